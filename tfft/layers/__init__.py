"""Keras layers of heads, search and generation, and the inspection of models."""
