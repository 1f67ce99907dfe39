"""Backbones of several towers, each of one kind of input.

`towers` puts together backbones of the other folders.
"""
