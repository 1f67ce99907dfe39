"""The highest F1."""

from tfft.argument_checks.validated import FILLED, validated
from tfft.metrics.classification.thresholds import Threshold


@validated(label=FILLED)
def f1(label: str | None = None) -> Threshold:
    """Chooses the threshold with the highest F1 of a label on the validation split.

    Args:
      label: the class that is looked for; None for the second of two.
    """
    return Threshold("f1", label)
