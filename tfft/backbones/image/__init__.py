"""Backbones of images: Keras Applications, KerasHub, and a tiny one for tests.

They are divided at the ends of blocks.
"""
