"""One stage of training: mask, optimizer, schedule, loop, checkpoints, averages of weights.

The cache of frozen features and the regularizers have folders of their own.
"""
