"""One run: its data, the trainer, restoring it, repeats over seeds and folds, its environment.

`tfft.api` puts these parts together.
"""
