"""What a run shows: the terminal, report.json, the page, the model card, comparisons.

Reports format what `evaluation` computed, and compute nothing themselves.
"""
