"""Calibrations: temperatures and thresholds, fit on validation data after training.

One file for each kind of answer; `base.py` has what they share.
"""
