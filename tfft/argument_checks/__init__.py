"""Checks of the arguments of public functions and constructors: types, ranges, choices.

`validated` has the decorator that every public configurable carries.
"""
