"""From a source to batches: examples, splits, folds, encoded splits, length buckets.

Sources and file formats have folders of their own; nothing here knows about tasks.
"""
