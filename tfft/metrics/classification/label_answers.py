"""Answers with several labels: names in a list or a string, or 0 and 1 for each label.

An answer is one of
- a JSON list of names, `["plot", "cast"]`; `[]` is no label;
- a JSON object from every label to 0 or 1, `{"plot": 1, "cast": 0}`;
- a JSON list of 0 and 1, one for each label in the order of the labels (multi-hot);
- a string of names with a separator between them; "" is no label.

What a list of numbers means and which separator a string has is decided on all answers together.
"""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from tfft.errors import DataError

SEPARATORS = ("|", ";", ",")
NAMES = (
    'labels by name, ["plot", "cast"]; or for lists of 0 and 1 their names in order, '
    'MultiLabelClassification.labels = ("plot", "cast"); or one column for each label, '
    'files.label = ("plot", "cast")'
)
_SPACED = re.compile(r"[01]( +[01])+")


class LabelSets(NamedTuple):
    """Labels of answers.

    Attributes:
      sets: Distinct labels of each answer, in its order.
      names: All labels that the answers name, those that are 0 everywhere included.
      separator: The argument or the detected one; None if no answer needs one.
    """

    sets: list[list[str]]
    names: frozenset[str]
    separator: str | None


def read(
    answers: Sequence[str], labels: Sequence[str] | None = None, separator: str | None = None
) -> LabelSets:
    """Returns the labels of answers.

    Args:
      answers: See the module.
      labels: Names of lists of 0 and 1, in their order. None if they are not known.
      separator: Of answers that are strings; None detects it.

    Raises:
      DataError: An answer has another form, or the answers can be read in several ways. Its
        `answers` are the wrong ones.
    """
    parsed: list[Any] = [_parse(answer) for answer in answers]
    texts = [each for each in parsed if isinstance(each, str)]
    if separator is None:
        separator = find_separator(texts, labels or ())
    lists = [parts for each in texts if (parts := _split(each, separator))]
    digits = set().union(*lists) <= {"0", "1"} and len(set(map(len, lists))) == 1
    for place, value in enumerate(parsed):
        if isinstance(value, str):
            parts = _split(value, separator)
            parsed[place] = list(map(int, parts)) if digits else parts
    indicators = _indicator_names(parsed, answers, labels)
    sets: list[list[str]] = []
    names: set[str] = set()
    for answer, value in zip(answers, parsed, strict=True):
        if indicators and _is_vector(value):
            if len(value) != len(indicators):
                problem = f"has {len(value)} numbers for {len(indicators)} labels"
                raise _wrong(answer, problem)
            value = dict(zip(indicators, value, strict=True))
        own = _of_object(answer, value) if isinstance(value, dict) else _of_list(answer, value)
        names.update(own if isinstance(value, list) else map(str.strip, value))
        sets.append(own)
    return LabelSets(sets, frozenset(names), separator)


def find_separator(texts: Sequence[str], labels: Collection[str] = ()) -> str | None:
    """Returns the separator that strings of labels have, None if no string has one.

    Raises:
      DataError: Several characters could be the separator.
    """
    several = [text for text in texts if text not in labels]
    separators = [each for each in SEPARATORS if any(each in text for text in several)]
    if len(separators) > 1:
        answers = [next(text for text in several if each in text) for each in separators]
        raise DataError(
            f"the separator of labels is not clear: {_listed(separators)} stand in the answers, "
            f"as in {_listed(list(dict.fromkeys(answers)))}.",
            valid='MultiLabelClassification.separator = "|", or the one that you mean; or lists, '
            '["plot", "cast"]',
            answers=answers,
        )
    return separators[0] if separators else None


def _listed(values: Sequence[str]) -> str:
    return " and ".join(repr(value[:60]) for value in values)


def _parse(answer: str) -> Any:
    """Returns a list, an object, or the string itself."""
    text = answer.strip()
    if text[:1] not in ("[", "{"):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "list" if text[0] == "[" else "object"
        raise _wrong(answer, f"is no {kind} in JSON: {error}") from error


def _split(text: str, separator: str | None) -> list[str]:
    if separator is None and _SPACED.fullmatch(text):
        return text.split()
    parts = text.split(separator) if separator else [text]
    return [part.strip() for part in parts if part.strip()]


def _is_vector(value: Any) -> bool:
    return isinstance(value, list) and set() < {*map(type, value)} <= {int, float, bool}


def _indicator_names(
    parsed: Sequence[Any], answers: Sequence[str], labels: Sequence[str] | None
) -> Sequence[str]:
    """Returns the labels that lists of numbers have 0 and 1 for; () if the numbers are names."""
    vectors = [value for value in parsed if _is_vector(value)]
    values = [each for value in vectors for each in value]
    whole = all(type(each) is int for each in values)
    repeated = any(len(set(value)) < len(value) for value in vectors)
    same_length = len({len(value) for value in vectors}) == 1
    if not vectors or (whole and not {*values} <= {0, 1}):
        return ()
    known = set(map(str, values)) <= set(labels or ())
    if whole and not repeated and (known or not same_length):
        return ()
    if labels and not known:
        return labels
    pairs = zip(answers, parsed, strict=True)
    raise DataError(
        f"the answers are lists of numbers, as {answers[parsed.index(vectors[0])][:60]!r}: 0 and 1 "
        "for each label, or labels that are called so?",
        valid=NAMES,
        answers=[answer for answer, value in pairs if _is_vector(value)],
    )


def _of_object(answer: str, value: dict[str, Any]) -> list[str]:
    for name, indicator in value.items():
        if not isinstance(indicator, int | float) or indicator not in (0, 1):
            raise _wrong(answer, f"has {json.dumps(indicator)[:40]} for {name!r}, not 0 or 1")
    return _distinct([name for name, indicator in value.items() if indicator])


def _of_list(answer: str, value: Any) -> list[str]:
    for each in value:
        if not isinstance(each, str) and type(each) is not int:
            raise _wrong(answer, f"has {json.dumps(each)[:40]} in its list, not a name")
    return _distinct(list(map(str, value)))


def _distinct(names: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(name.strip() for name in names) if name]


def _wrong(answer: str, problem: str) -> DataError:
    return DataError(f"the answer {answer[:80]!r} {problem}.", valid=NAMES, answers=[answer])


def counts(sets: Sequence[Sequence[str]], sizes: Sequence[int]) -> dict[str, int]:
    """Returns how many examples have each label.

    Args:
      sets: Labels of each distinct answer.
      sizes: Number of examples with each answer.
    """
    result: collections.Counter[str] = collections.Counter()
    for names, size in zip(sets, sizes, strict=True):
        result.update(dict.fromkeys(names, size))
    return result
