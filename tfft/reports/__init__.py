"""What a run shows: the terminal, report.json, the page, the model card, the comparison of runs."""
