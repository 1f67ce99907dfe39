"""Averages of weights, which a stage validates and keeps in place of the last ones.

One file for each; `base.py` has the places of a stage at which they act.
"""

from tfft.training.averaging.ema import EMA
from tfft.training.averaging.swa import SWA
from tfft.training.averaging.wise_ft import WiseFT

__all__ = ["EMA", "SWA", "WiseFT"]
