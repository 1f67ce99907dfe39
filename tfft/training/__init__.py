"""One stage of training: mask, optimizer, schedule, loop, checkpoints, averages of weights."""
