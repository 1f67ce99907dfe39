"""Changes of the training step against overfitting."""
