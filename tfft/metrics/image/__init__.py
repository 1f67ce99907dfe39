"""Metrics of images: boxes of objects, masks of classes.

Arrays in, terms out; `tfft.metrics.aggregates` computes metrics and intervals from them.
"""
