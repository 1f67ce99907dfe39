"""Metrics with confidence intervals, in NumPy and SciPy: terms per example, aggregates, intervals.

Nothing here imports TensorFlow or knows about tasks.
"""
