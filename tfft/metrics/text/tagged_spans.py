"""Spans of texts: reading of answers, tags of words, and metrics of predicted spans."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.errors import DataError, ExportError, refuse_unknown
from tfft.metrics import aggregates
from tfft.metrics.classification.class_metrics import class_row

Span = tuple[int, int, str]  # the first character, the one after the last, the label
VALID = '[[0, 5, "NAME"], ...]: characters of the text, the end exclusive; [] for none'
OUTSIDE = "O"
FIGURES = {
    "f1": "span F1",
    "precision": "precision",
    "recall": "recall",
    "token_accuracy": "word accuracy",
}


def tags_of(labels: Iterable[str]) -> tuple[str, ...]:
    """Returns the tags of the scheme BIO for labels: O, B-x, I-x, ..."""
    return (OUTSIDE, *(f"{kind}-{label}" for label in labels for kind in "BI"))


def labels_of(tags: Sequence[str]) -> tuple[str, ...]:
    """Returns the labels whose tags these are."""
    return tuple(tag[2:] for tag in tags[1::2])


def read_spans(answer: str) -> list[Span]:
    """Returns the spans of an answer in their order.

    Args:
      answer: a list in JSON, a start, an end and a label each.

    Raises:
      DataError: it is none, or two of its spans overlap.
    """
    try:
        parsed = json.loads(answer)
        spans = sorted((start, end, label) for start, end, label in parsed)
        right = isinstance(parsed, list) and all(
            type(s) is type(e) is int and 0 <= s < e and isinstance(label, str) and label
            for s, e, label in spans
        )
    except (TypeError, ValueError, RecursionError):
        right = False
    if not right:
        problem = f"{answer[:200]!r} is no list of spans."
        raise DataError(problem, valid=VALID, answers=[answer])
    for one, two in itertools.pairwise(spans):
        if two[0] < one[1]:
            raise DataError(
                f"the spans {json.dumps(one)} and {json.dumps(two)} overlap, in {answer[:200]!r}.",
                valid="spans that do not share a character",
            )
    return spans


def labels_in(answers: Iterable[str]) -> list[str]:
    """Returns the labels of all spans of answers, sorted.

    Raises:
      DataError: there is no span, or an answer is no list of spans.
    """
    labels = sorted({label for answer in answers for *_, label in read_spans(answer)})
    if not labels:
        raise DataError("no training example has a span.", valid=VALID)
    return labels


def truth(examples: Any) -> list[list[Span]]:
    """Returns the spans of each of `Examples`, see `spans_in`."""
    return [spans_in(*row) for row in zip(examples.answers or (), examples.inputs[0], strict=True)]


def spans_in(answer: str, text: str) -> list[Span]:
    """Returns the spans of a text's answer, without white space at their edges.

    Raises:
      DataError: a span ends behind the text, or is white space.
    """
    spans = []
    for start, end, label in read_spans(answer):
        part = text[start:end]
        if end > len(text) or not part.strip():
            problem = "ends behind" if part.strip() else "has no character in"
            raise DataError(
                f"the span {json.dumps([start, end, label])} {problem} the text {text[:80]!r} of "
                f"{len(text):,} characters.",
                valid=VALID,
            )
        start += len(part) - len(part.lstrip())
        spans.append((start, start + len(part.strip()), label))
    return spans


def touched(span: Span, words: np.ndarray) -> tuple[int, int]:
    """Returns the first word that a span shares a character with, and the one after the last.

    Args:
      words: their starts and ends, int [w 2].
    """
    first = np.searchsorted(words[:, 1], span[0], "right")
    return int(first), int(np.searchsorted(words[:, 0], span[1]))


def token_tags(spans: Sequence[Span], words: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Returns the number of each word's tag at the token that begins it, -1 elsewhere: int32 [t].

    Args:
      spans: of a text.
      words: the start and the end of the word that each token begins, or -1, int [t 2].
      labels: of the spans, in the order of their tags.

    Raises:
      DataError: a label is none of these.
    """
    begins = words[:, 0] >= 0
    words, out = words[begins], np.full(len(words), -1, np.int32)
    tags = np.zeros(len(words), np.int32)
    refuse_unknown((span[2] for span in spans), labels)
    for span in spans:
        first, last = touched(span, words)
        number = labels.index(span[2])
        tags[first:last] = 2 * number + 2
        tags[first : min(first + 1, last)] = 2 * number + 1
    out[begins] = tags
    return out


def told(rows: Iterable[tuple[Sequence[Span], np.ndarray, bool]]) -> list[str]:
    """Returns lines about spans that no model can find as they are.

    Args:
      rows: of each text its spans, what `token_tags` takes as words, and whether it is cut.
    """
    total = behind = inexact = 0
    for spans, words, cut in rows:
        words = words[words[:, 0] >= 0]
        for span in spans:
            first, last = touched(span, words)
            exact = first < last and (words[first, 0], words[last - 1, 1]) == span[:2]
            lost = cut and span[1] > words[:, 1].max(initial=0)
            total, behind, inexact = total + 1, behind + lost, inexact + (not exact and not lost)
    lines = {
        "do not begin and end with a word: they are learned as the words that they touch, and "
        "count as missed": inexact,
        "stand where a text is cut, and count as missed": behind,
    }
    return [f"{count:,} of {total:,} spans {line}" for line, count in lines.items() if count]


def readable(spans: Sequence[Span], text: str) -> str:
    """Returns spans as a person reads them."""
    return ", ".join(f"{text[start:end]} ({label})" for start, end, label in spans) or "none"


def named(found: Sequence[Sequence[Any]], texts: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the spans of texts as a task predicts them.

    Args:
      found: of each text a start, an end, a label and a probability each.
    """
    keys = ("start", "end", "text", "label", "probability")
    rows = zip(found, texts, strict=True)
    return [
        {"spans": [dict(zip(keys, (s, e, text[s:e], *more), strict=True)) for s, e, *more in row]}
        for row, text in rows
    ]


def received(served: Mapping[str, Sequence[Any]]) -> list[list[tuple[int, int, str, float]]]:
    """Returns a served model's answers, see `words.dense_spans`, as `named` takes them."""
    columns = [served[name] for name in ("starts", "ends", "labels", "probabilities")]
    rows = [zip(*row, strict=True) for row in zip(*columns, strict=True)]
    return [
        [(int(s), int(e), label.decode(), float(p)) for s, e, label, p in row if s >= 0]
        for row in rows
    ]


def errors(
    truth: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]], texts: Sequence[str]
) -> dict[int, dict[str, Any]]:
    """Returns the texts with spans that are missed or wrong, those with the most first.

    Args:
      truth, found: the spans of each text.

    Returns:
      By the number of a text `truth` and `predicted` as a person reads them, and as `spans`.
    """
    wrong = np.array([len({*a} ^ {*b}) for a, b in zip(truth, found, strict=True)])
    result: dict[int, dict[str, Any]] = {}
    for row in map(int, np.argsort(-wrong, kind="stable")[: (wrong > 0).sum()]):
        sides = {"truth": truth[row], "predicted": found[row]}
        result[row] = {side: readable(each, texts[row]) for side, each in sides.items()}
        result[row]["spans"] = sides
    return result


def span_sums(
    truth: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]]
) -> dict[str, np.ndarray]:
    """Returns each example's spans: found rightly (`hits`), found, and true, int [n] each.

    A span is right when its start, its end and its label are.
    """
    rows = [(len({*a} & {*b}), len(b), len(a)) for a, b in zip(truth, found, strict=True)]
    hits, predicted, true = np.array(rows, int).reshape(-1, 3).T
    return {"hits": hits, "predicted": predicted, "true": true}


def word_sums(tags: Iterable[np.ndarray], outputs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Returns each text's words: those with the right tag (`part`), and all (`whole`), int [n].

    Args:
      tags: of each text's tokens, see `token_tags`, int [t].
      outputs: the tags' probabilities, [t c] a text.
    """
    pairs = zip(tags, outputs, strict=True)
    rows = [((out.argmax(1) == tag).sum(), (tag >= 0).sum()) for tag, out in pairs]
    return dict(zip(("part", "whole"), np.array(rows).T, strict=True))


def served_word_sums(
    truth: Sequence[Sequence[Span]], served: Mapping[str, Sequence[Any]], labels: Sequence[str]
) -> dict[str, np.ndarray]:
    """Returns what `word_sums` does, of a served model's answers, see `words.dense_spans`.

    Raises:
      ExportError: they do not hold the tags of the words.
    """
    names = ("word_starts", "word_ends", "word_tags")
    if any(name not in served for name in names):
        raise ExportError(
            "the export does not say where the words of a text are: it was made by an earlier "
            "version.",
            valid="a new export: tfft export --workdir=FOLDER, with the folder of the run",
        )
    rows = []
    for spans, starts, ends, tags in zip(truth, *(served[name] for name in names), strict=True):
        there = starts >= 0
        words = np.stack([starts[there], ends[there]], axis=1)
        rows.append(((token_tags(spans, words, labels) == tags[there]).sum(), len(words)))
    return dict(zip(("part", "whole"), np.array(rows).T, strict=True))


def span_metrics(
    truth: Sequence[Sequence[Span]],
    found: Sequence[Sequence[Span]],
    labels: Sequence[str],
    more: Mapping[str, tuple[str, Mapping[str, np.ndarray]]],
) -> dict[str, Any]:
    """Returns F1, precision and recall of spans, over all and by label, with 95 % intervals.

    As the CoNLL evaluations count (Tjong Kim Sang and De Meulder, 2003). What is undefined, such as
    the precision of no span, is None.

    Args:
      truth, found: the spans of each example.
      labels: of the spans.
      more: further figures, as `aggregates.figures` takes them.
    """
    sums = {"": span_sums(truth, found)}
    for label in labels:
        own = ([[s for s in each if s[2] == label] for each in side] for side in (truth, found))
        sums[f"{label}/"] = span_sums(*own)
    wanted: dict[str, Any] = {}
    for name, each in sums.items():
        wanted[f"{name}f1"] = "f1", each
        for ratio, side in (("precision", "predicted"), ("recall", "true")):
            wanted[name + ratio] = "ratio", {"part": each["hits"], "whole": each[side]}
    figures = aggregates.figures({**wanted, **more})
    classes = {}
    for label in labels:
        row = {name: figures.pop(f"{label}/{name}") for name in ("precision", "recall", "f1")}
        classes[label] = class_row(row, int(sums[f"{label}/"]["true"].sum()))
    return {**figures, "classes": classes}
