"""What a stage can train instead of whole layers, one file a method."""

from tfft.methods.bitfit import bitfit
from tfft.methods.norm_tuning import norm_tuning

__all__ = ["bitfit", "norm_tuning"]
