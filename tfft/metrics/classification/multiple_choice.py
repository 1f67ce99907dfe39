"""Lists of choices: reading of choices and answers, and metrics of their scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from scipy.special import softmax

from tfft.errors import DataError


def choices_of(text: str | bytes) -> list[str]:
    """Returns the choices of an example.

    Args:
      text: a list of strings in JSON.

    Raises:
      DataError: it is none of two texts or more.
    """
    problem = f"the choices {text[:80]!r}"
    try:
        choices = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{problem} are no JSON: {error}.", valid='["one", "another"]') from error
    if not isinstance(choices, list) or not all(isinstance(each, str) for each in choices):
        raise DataError(f"{problem} are no list of strings.", valid='["one", "another"]')
    if len(choices) < 2 or not all(each.strip() for each in choices):
        raise DataError(f"{problem} are not two texts or more.", valid='["one", "another"]')
    return choices


def right_number(
    choices: Sequence[str], answer: str, kind: Literal["either", "number", "text"]
) -> int:
    """Returns which choice an answer means.

    Args:
      choices: of the example.
      answer: the number of the right one, from 0, or its text.
      kind: "number", "text", or "either".

    Raises:
      DataError: the answer is none of the choices, or of "either" it could be two of them.
    """
    numbers = set()
    if kind != "text" and answer.strip().isdecimal() and int(answer) < len(choices):
        numbers.add(int(answer))
    if kind != "number" and answer in choices:
        numbers.add(choices.index(answer))
    if len(numbers) > 1:
        raise DataError(
            f"the answer {answer!r} is the text of one choice and the number of another.",
            valid='MultipleChoice.answer = "number" or "text"',
        )
    if not numbers:
        valid = {"number": f"a number from 0 to {len(choices) - 1}", "text": "the text of a choice"}
        raise DataError(
            f"the answer {answer!r} is none of the choices {list(choices)}.",
            valid=valid.get(kind, ", or ".join(valid.values())),
        )
    return numbers.pop()


def measures(truth: np.ndarray, outputs: Sequence[np.ndarray]) -> dict[str, Any]:
    """Returns the aggregate and the terms of accuracy and log loss.

    The latter is minus the logarithm of the right choice's probability.

    Args:
      truth: numbers of the right choices, int [n].
      outputs: scores of the choices of each example, [r 1].
    """
    wide = [scores[:, 0].astype(np.float64) for scores in outputs]
    right = np.array([scores.argmax() for scores in wide]) == truth
    pairs = zip(wide, truth, strict=True)
    losses = [np.logaddexp.reduce(scores) - scores[number] for scores, number in pairs]
    return {
        "accuracy": ("mean", {"score": right.astype(float)}),
        "log_loss": ("mean", {"score": np.array(losses)}),
    }


def chosen(choices: Sequence[str], scores: np.ndarray) -> dict[str, Any]:
    """Returns the choice with the highest score, its number and the probabilities of all."""
    probabilities = softmax(scores.astype(np.float64)).tolist()
    number = probabilities.index(max(probabilities))
    return {"choice": choices[number], "number": number, "probabilities": probabilities}
