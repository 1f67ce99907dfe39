"""Keras losses and the metrics of a batch, while a model trains."""
