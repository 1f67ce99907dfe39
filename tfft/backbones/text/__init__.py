"""Backbones of text: encoders, decoders, encoder-decoders, their tokenizers and weights.

`keras_hub` is what a config names; `tiny` is for tests.
"""
