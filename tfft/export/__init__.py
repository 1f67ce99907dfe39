"""Models in the forms in which they are served.

Each form is compared with the model in memory, in a new process, before it counts.
"""
