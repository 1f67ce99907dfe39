"""Examples that a report shows: the errors and the least certain predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tfft.data.examples import Examples

LONGEST_TEXT = 1000  # characters of an example that a report keeps
SHOWN_EXAMPLES = 20  # of each kind in a report


def shown_examples(
    examples: Examples,
    wrong: Sequence[int] | np.ndarray,
    details: Callable[[int], Mapping[str, Any]],
    unsure: Sequence[int] | np.ndarray = (),
) -> dict[str, Any]:
    """Returns what `Evaluator.report_examples` does, at most `SHOWN_EXAMPLES` of each kind.

    Args:
      wrong: numbers of the examples that are wrong, in the order in which they are shown.
      details: from the number of an example to the values that are shown beside its inputs.
      unsure: numbers of examples, the least certain first.
    """

    def rows(numbers: Any) -> list[dict[str, Any]]:
        chosen = [int(number) for number in numbers[:SHOWN_EXAMPLES]]
        return [{**text_of(examples, row), **details(row)} for row in chosen]

    return {"mistake_count": len(wrong), "mistakes": rows(wrong), "least_certain": rows(unsure)}


def text_of(examples: Examples, row: int) -> dict[str, Any]:
    """Returns an example's inputs as a report shows them: cut, and how much of them is left out."""
    text = "\n".join(str(column[row]) for column in examples.inputs)
    return {"text": text[:LONGEST_TEXT], "characters_left_out": max(0, len(text) - LONGEST_TEXT)}
