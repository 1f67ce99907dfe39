"""Tasks on images, one file each.

A task is the class that has its file's name.
"""
