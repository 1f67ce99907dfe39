"""Serving signatures: what an export takes and answers, and how predictions read.

One file for each kind of answer: probabilities, values, texts; `base.py` has what they share.
"""
