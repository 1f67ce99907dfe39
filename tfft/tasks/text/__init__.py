"""Tasks on text, one file each.

What several of them share is in `text_generation_base` and `teacher_forcing`.
"""
