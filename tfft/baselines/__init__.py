"""Models that a fine-tuned one is compared with and that need no network: TF-IDF, BM25, pixels."""
