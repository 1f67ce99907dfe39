"""Tasks on text, one file each.

What several of them share is in `generative_base` and `teacher_forcing`.
"""
