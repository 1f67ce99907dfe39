"""Checks of the arguments of public functions and constructors: types, ranges, choices.

`arguments` has the decorator that every public configurable carries.
"""
