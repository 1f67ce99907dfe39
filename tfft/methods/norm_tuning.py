"""Norm tuning: the scales and shifts of norms alone."""

from tfft.argument_checks.validated import validated
from tfft.methods.base import Method


@validated()
def norm_tuning() -> Method:
    """Trains the norms' scales and shifts, and the head (Qi et al. 2022; Frankle et al. 2020).

    About 0.05 % of a BERT's weights. A rate ten times that of full fine-tuning is usual.
    """
    return Method("norm_tuning", ("*/gamma", "*/beta", "*/scale"))
