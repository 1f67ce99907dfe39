"""Metrics of text: tagged spans, extractive answers, generated text, masked tokens.

Strings or arrays in, numbers out.
"""
