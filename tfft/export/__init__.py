"""Models in the forms in which they are served, and the comparison with the model in memory."""
