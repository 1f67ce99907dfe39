"""Metrics of labels: one or several for each example, curves, calibration, thresholds.

Arrays in, numbers with intervals out.
"""
