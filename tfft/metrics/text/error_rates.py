"""Word and character error rates of transcripts and of other generated texts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

ErrorTerms = tuple[str, dict[str, np.ndarray]]


def edit_distance(one: Sequence[Hashable], two: Sequence[Hashable]) -> int:
    """Returns the fewest insertions, deletions and substitutions that make `two` of `one`.

    The columns of the table of Levenshtein (1966) are differences in bits of a number (Myers, 1999;
    Hyyrö, 2003).
    """
    places: dict[Hashable, int] = {}
    for place, item in enumerate(one):
        places[item] = places.get(item, 0) | 1 << place
    full = (1 << len(one)) - 1
    last = full - (full >> 1)
    rises, falls, distance = full, 0, len(one)  # down a column, by bit
    for item in two:
        equal = places.get(item, 0)
        stays = (((equal & rises) + rises) ^ rises) | equal | falls  # along a diagonal
        up, down = falls | ~(stays | rises) & full, stays & rises  # along a row
        distance += bool(up & last) - bool(down & last)
        up, down = (up << 1 | 1) & full, down << 1 & full
        rises, falls = down | ~(stays | up) & full, stays & up
    return distance if one else len(two)


def word_error_rate(predictions: Sequence[str], references: Sequence[str]) -> ErrorTerms:
    """Returns aggregate and terms of the word error rate, edits / words of the references.

    Words are separated by spaces. Case and punctuation count: normalize the texts before, if they
    should not.

    Args:
      predictions, references: n texts each.
    """
    return _error_rate(predictions, references, str.split)


def character_error_rate(predictions: Sequence[str], references: Sequence[str]) -> ErrorTerms:
    """Returns the same of characters; spaces between words count as one each."""
    return _error_rate(predictions, references, lambda text: " ".join(text.split()))


def _error_rate(
    predictions: Sequence[str],
    references: Sequence[str],
    items: Callable[[str], Sequence[Hashable]],
) -> ErrorTerms:
    pairs = [
        (items(prediction), items(reference))
        for prediction, reference in zip(predictions, references, strict=True)
    ]
    edits = np.array([edit_distance(*pair) for pair in pairs], float)
    sizes = np.array([len(reference) for _, reference in pairs], float)
    return "ratio", {"part": edits, "whole": sizes}
