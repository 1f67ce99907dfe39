"""Metrics of labels: one or several an example, curves, calibration, thresholds."""
