"""Keras layers: heads, beam search, text generation, averages over instances.

Also the inspection of models: variables and layers by stable names.
"""
