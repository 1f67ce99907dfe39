"""Several tasks on one backbone.

`data` joins their examples and targets, and `model` their heads and losses. `parts` checks which
tasks can be joined.
"""
