"""Keras losses, and Keras metrics that are computed batch by batch during training.

The metrics of a report are in `metrics`.
"""
