"""From raw inputs to the inputs of a backbone, in the graph: the same code trains and serves.

One folder for each modality.
"""
