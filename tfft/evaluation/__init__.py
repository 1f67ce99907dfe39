"""From a model's outputs to metrics: calibration, slices, baselines of a run, stored
predictions.
"""
