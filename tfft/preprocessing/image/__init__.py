"""From image files to pixels in the graph.

`image_files` reads what a person names: paths and data URIs.
"""
