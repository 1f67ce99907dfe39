"""Backbones of text: encoders, decoders, encoder-decoders."""
