"""One run: the trainer, restoring it, repeats over seeds and folds, tracking, its environment."""
