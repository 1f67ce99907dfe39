"""Several tasks on one backbone.

`data` joins their examples, `targets` what they learn, and `model` their heads and losses. `parts`
says which tasks can be joined.
"""
