"""Metrics of texts: spans, answers, generated text, masked tokens."""
