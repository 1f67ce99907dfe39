"""From a source to batches: examples, splits, encoded splits, length buckets."""
