"""Answers that stand in a text, in SQuAD's form: reading, and comparison with predictions."""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.errors import DataError
from tfft.metrics.text import answer_span_scores

SHAPE = '{"text": ["308"], "answer_start": [34]}, or {"text": [], "answer_start": []} for no answer'
SHOWN = 60  # characters of a text in an error
NONE = "no answer"  # how a report says ""
FIGURES = {
    "f1": "F1",
    "exact_match": "exact match",
    "no_answer_accuracy": "no answer where there is none",
}
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

Golds = list[tuple[int, str]]  # of an answer: its first character, and its text


def read(answer: str, question: str, context: str) -> Golds:
    """Returns the right answers to a question, none where it has none.

    Args:
      answer: JSON; `answer_start` counts Unicode characters of the context.

    Raises:
      DataError: it has another shape, or a text does not stand where it says.
    """
    where = f"the question {_cut(question)!r}"
    try:
        parsed = json.loads(answer)
        texts, starts = list(parsed["text"]), list(parsed["answer_start"])
        if isinstance(parsed["text"], str) or len(texts) != len(starts):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f"an answer is {_cut(answer)!r}.", set_in=where, valid=f"JSON such as {SHAPE}"
        ) from error
    for text, start in zip(texts, starts, strict=True):
        number = isinstance(start, int) and not isinstance(start, bool) and start >= 0
        if not isinstance(text, str) or not text or not number:
            raise DataError(
                f"an answer has the text {text!r} and the start {start!r}.",
                set_in=where,
                valid=f"a text and a whole number: {SHAPE}",
            )
        there = context[start : start + len(text)]
        if there != text:
            place = context.find(text)
            valid = f"answer_start {place:,}, where it first stands"
            if place < 0:
                valid = "a text that the context holds"
            raise DataError(
                f"the answer {_cut(text)!r} does not stand at character {start:,} of its context: "
                f"there is {_cut(there)!r}.",
                set_in=f"{where}, on {_cut(context)!r}",
                valid=f"{valid}, counted in Unicode characters, not in bytes",
            )
    return list(zip(starts, texts, strict=True))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def normalised(text: str) -> str:
    """Returns a text as SQuAD compares it (Rajpurkar et al., 2016).

    In lower case, without ASCII punctuation and English articles, with single spaces.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact(predicted: str, golds: Sequence[str]) -> float:
    """Returns 1 where an answer is one of the right ones, normalised; "" is no answer."""
    return float(normalised(predicted) in _known(golds))


def f1(predicted: str, golds: Sequence[str]) -> float:
    """Returns the F1 of the words of an answer and of the right one that is most like it."""
    return max(_word_f1(normalised(predicted), gold) for gold in _known(golds))


def _known(golds: Sequence[str]) -> list[str]:
    """Returns the normalised right answers that are not empty, or "", as SQuAD 2.0 does."""
    return [text for text in map(normalised, golds) if text] or [""]


def _word_f1(prediction: str, gold: str) -> float:
    one, two = prediction.split(), gold.split()
    if not one or not two:
        return float(one == two)
    shared = (Counter(one) & Counter(two)).total()
    return 2 * shared / (len(one) + len(two))


def golds(examples: Any) -> list[Golds]:
    """Returns the right answers of `Examples`, see `read`."""
    return [read(*row) for row in zip(examples.answers, *examples.inputs, strict=True)]


def texts(examples: Any) -> list[list[str]]:
    """Returns the texts of the right answers of `Examples`."""
    return [[text for _, text in each] for each in golds(examples)]


def scores(
    score: Callable[[str, Sequence[str]], float],
    answers: Sequence[str],
    right: Sequence[Sequence[str]],
) -> np.ndarray:
    """Returns `f1` or `exact` of each answer, float [n]."""
    return np.array([score(*pair) for pair in zip(answers, right, strict=True)], float)


def measures(
    predicted: Sequence[Mapping[str, Any]], right: Sequence[Sequence[str]]
) -> dict[str, tuple[str, dict[str, np.ndarray]]]:
    """Returns aggregate and terms of `FIGURES`; of the last one where a question has no answer.

    Args:
      predicted: `answer` of each example.
      right: the texts of right answers.
    """
    answers = [each["answer"] for each in predicted]
    result = {
        name: ("mean", {"score": scores(score, answers, right)})
        for name, score in {"f1": f1, "exact_match": exact}.items()
    }
    there = np.array([not texts for texts in right], float)
    if there.any():
        declined = np.array([not answer for answer in answers], float)
        result["no_answer_accuracy"] = ("mean", {"score": declined, "there": there})
    return result


def best_threshold(examples: Any, spans: Sequence[answer_span_scores.Span]) -> float:
    """Returns above which doubt no answer has the better F1, on `Examples` with their spans."""
    right = texts(examples)
    best = [each["answer"] for each in answer_span_scores.told(spans, examples.inputs[1], np.inf)]
    answered, declined = (scores(f1, each, right) for each in (best, [""] * len(right)))
    doubts = np.array([span.doubt for span in spans])
    return answer_span_scores.best_threshold(doubts, answered, declined)


def surest_errors(
    examples: Any, predicted: Sequence[Mapping[str, Any]]
) -> dict[int, dict[str, Any]]:
    """Returns the answers that are not exactly right: least F1 first, then the surest.

    Args:
      examples: `Examples` of questions and contexts.
      predicted: the prediction of each.

    Returns:
      By the number of an example `truth`, `predicted`, `probability`, `f1`, and `spans`, where both
      stand in the question with its context below.
    """
    right = texts(examples)
    answers = [each["answer"] for each in predicted]
    match, score = scores(exact, answers, right), scores(f1, answers, right)
    sure = np.array([each["probability"] for each in predicted])
    return {
        int(row): {
            "truth": " | ".join(dict.fromkeys(right[row])) or NONE,
            "predicted": answers[row] or NONE,
            "probability": float(sure[row]),
            "f1": float(score[row]),
            "spans": _places(examples, row, predicted[row]),
        }
        for row in np.lexsort((-sure, score))
        if not match[row]
    }


def _places(examples: Any, row: int, prediction: Mapping[str, Any]) -> dict[str, list[Any]]:
    context = len(examples.inputs[0][row]) + 1  # where it begins, behind the question
    golds = read(examples.answers[row], *(column[row] for column in examples.inputs))
    right = {(start, start + len(text)) for start, text in golds}
    predicted = {(prediction["start"], prediction["end"])} if prediction["answer"] else set()
    return {
        side: [(start + context, end + context, "answer") for start, end in sorted(spans)]
        for side, spans in (("truth", right), ("predicted", predicted))
    }


def received(served: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Returns a served model's answers, arrays of one value each, as a task predicts them."""
    kinds: dict[str, Callable[[Any], Any]]
    kinds = {"answer": bytes.decode, "start": int, "end": int, "probability": float}
    rows = zip(*(map(kind, served[name]) for name, kind in kinds.items()), strict=True)
    return [dict(zip(kinds, row, strict=True)) for row in rows]
