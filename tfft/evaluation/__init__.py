"""From a model's outputs to results: inference, calibration, slices, stored predictions.

It works on outputs and examples alone and does not know how a run was trained.
"""
