"""The choice that shares most words with the question."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfft.baselines.base import Floor
from tfft.metrics.classification.multiple_choice import choices_of


def choice_floors(questions: Sequence[str], lists: Sequence[str]) -> dict[str, Floor]:
    """Returns two baselines of choices, as scores [r 1] of each example.

    `word_overlap` counts the distinct words, lower-cased and cut at spaces, that a choice shares
    with the question; among equal ones the first counts as chosen. `first` scores 1 for the first
    choice and 0 for the others.
    """
    examples = [
        (set(question.lower().split()), choices_of(each))
        for question, each in zip(questions, lists, strict=True)
    ]
    overlap = [
        np.array([[len(words & set(choice.lower().split()))] for choice in choices], np.float32)
        for words, choices in examples
    ]
    first = [np.eye(len(choices), 1, dtype=np.float32) for _, choices in examples]
    return {"word_overlap": Floor(overlap), "first": Floor(first)}
