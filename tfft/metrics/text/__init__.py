"""Metrics of text: tagged spans, extractive answers, generated text, error rates, masked tokens.

Strings or arrays in, numbers out.
"""
