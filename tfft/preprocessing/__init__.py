"""From raw inputs to what a backbone reads, in the graph: the same code trains and serves."""
