"""From the contents of image files to pixels in the graph.

The preprocessor decodes and resizes, in training and in an export.
"""
