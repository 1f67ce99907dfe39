"""Targets: how the answers of a source are read, checked and counted.

One file for labels and one for numbers; `base.py` has what they share.
"""
