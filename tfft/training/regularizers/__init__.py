"""Changes of the training step against overfitting: R-Drop, mixup, noise, adversarial steps.

`train_step` puts them into one step.
"""
