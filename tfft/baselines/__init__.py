"""Models that need no network, with which a fine-tuned one is compared: TF-IDF, BM25, pixels.

Each returns outputs like those of the model, so that the same metrics evaluate both.
"""
