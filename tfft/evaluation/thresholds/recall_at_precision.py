"""The highest recall at a precision."""

from tfft.argument_checks.validated import FILLED, Range, validated
from tfft.metrics.classification.thresholds import Threshold


@validated(precision=Range(above=0, most=1), label=FILLED)
def recall_at_precision(precision: float, label: str | None = None) -> Threshold:
    """Chooses the threshold with the highest recall at a precision on the validation split.

    Where no threshold reaches the precision there, the one with the highest precision is taken, and
    the run says so.

    Args:
      precision: the least share of right answers among those that give the label.
      label: the class that is looked for; None for the second of two.

    Raises:
      ConfigError: `precision` is not above 0 and at most 1.
    """
    return Threshold("recall_at_precision", label, precision)
