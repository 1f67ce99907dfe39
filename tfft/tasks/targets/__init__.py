"""Targets: how the answers of a source are read, checked and counted.

One file for each kind; `base.py` has what they share.
"""
