"""Preprocessing of inputs of several kinds.

Each tower of a backbone has the preprocessor of its own kind of input.
"""
