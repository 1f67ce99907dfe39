"""Calibrations: temperatures and thresholds, fit on validation data after training.

One file for each kind of answer: probabilities, extracted answers, several tasks.
"""
