"""Evaluators: the metrics, baselines, slices and report entries of a task.

One file for each kind of problem; `base.py` has what they share.
"""
