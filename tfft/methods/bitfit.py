"""BitFit: the biases alone."""

from tfft.argument_checks.validated import validated
from tfft.methods.base import Method


@validated()
def bitfit() -> Method:
    """Trains the biases, those of norms too, and the head (Ben Zaken et al. 2021, BitFit).

    About 0.1 % of a BERT's weights. A rate ten times that of full fine-tuning is usual.
    """
    return Method("bitfit", ("*/bias", "*/beta"))
