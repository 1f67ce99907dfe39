"""What a threshold can be chosen for, one file for each aim.

A config names them: `@f1()`.
"""

from tfft.evaluation.thresholds.f1 import f1
from tfft.evaluation.thresholds.recall_at_precision import recall_at_precision

__all__ = ["f1", "recall_at_precision"]
