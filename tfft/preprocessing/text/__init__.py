"""From strings to token ids in the graph: tokenizers, windows, offsets, prompts."""
