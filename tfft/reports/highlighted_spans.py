"""Spans within a text as a page shows them: which are right, missed and wrong."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

Span = Sequence[Any]  # start, end, label; in characters, the end exclusive


def pieces(text: str, spans: Mapping[str, Sequence[Span]]) -> list[dict[str, str]]:
    """Returns a text in pieces, each of one kind from its beginning to its end.

    Args:
      text: perhaps the beginning of a longer one; what is behind its end is left out.
      spans: those of "truth" and those "predicted".

    Returns:
      Of each piece its `text`, its `kind` ("right", "missed", "wrong" or ""), and the `note` that a
      person reads of it. Where truth and prediction have different labels, the kind is "wrong".
    """
    ends = {min(place, len(text)) for side in spans.values() for span in side for place in span[:2]}
    places = sorted({0, len(text), *ends})
    result = []
    for begin, end in itertools.pairwise(places):
        truth, predicted = (
            ", ".join(str(label) for a, b, label in spans[side] if a <= begin and end <= b)
            for side in ("truth", "predicted")
        )
        kind, note = _kind_and_note(truth, predicted)
        result.append({"text": text[begin:end], "kind": kind, "note": note})
    return result


def _kind_and_note(truth: str, predicted: str) -> tuple[str, str]:
    """Returns the kind of a piece and its note, from its labels; "" for none."""
    if truth == predicted:
        return ("right", truth) if truth else ("", "")
    if not predicted:
        return "missed", f"missed: {truth}"
    return "wrong", f"{truth} taken for {predicted}" if truth else f"taken for {predicted}"
