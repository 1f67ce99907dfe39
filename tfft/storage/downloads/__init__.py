"""Weights and data by package: what can be fetched, how it is checked and unpacked.

Every file is pinned by its hash.
"""
