"""From image files to pixels in the graph."""
