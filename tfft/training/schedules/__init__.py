"""Schedules: how a stage's learning rate changes from step to step.

One file for each; `base.py` has what they share.
"""

from tfft.training.schedules.constant import Constant
from tfft.training.schedules.cosine import Cosine
from tfft.training.schedules.cosine_restarts import CosineRestarts
from tfft.training.schedules.keras_schedule import KerasSchedule
from tfft.training.schedules.linear import Linear

__all__ = ["Constant", "Cosine", "CosineRestarts", "KerasSchedule", "Linear"]
