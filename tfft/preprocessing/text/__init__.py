"""From strings to token ids in the graph: tokenizers, windows, offsets, prompts.

Positions of tokens are mapped back to characters of the original text.
"""
