"""Several tasks on one backbone.

`data` joins their examples, `model` their heads and losses.
"""
