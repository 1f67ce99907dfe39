"""Metrics with their intervals, and the floors that a model has to beat."""
