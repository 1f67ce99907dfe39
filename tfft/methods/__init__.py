"""Parameter-efficient methods that a stage can train in place of whole layers.

One file for each method that a config can name; `base` and `attachment` add and merge their
weights.
"""

from tfft.methods.adapters import adapters
from tfft.methods.bitfit import bitfit
from tfft.methods.ia3 import ia3
from tfft.methods.lora import lora
from tfft.methods.norm_tuning import norm_tuning

__all__ = ["adapters", "bitfit", "ia3", "lora", "norm_tuning"]
