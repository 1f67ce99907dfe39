"""Answers with several labels: names in a list or a string, or 0 and 1 for each label.

An answer is one of
- a JSON list of names, `["plot", "cast"]`; `[]` is no label;
- a JSON object from every label to 0 or 1, `{"plot": 1, "cast": 0}`;
- a JSON list of 0 and 1, one for each label in the order of the labels (multi-hot);
- a string of names with a separator between them; "" is no label.

What a list of numbers means and which separator a string has is decided on all answers together.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Sequence
from typing import Any

from tfft.errors import DataError

SEPARATORS = ("|", ";", ",")
NAMES = (
    'labels by name, ["plot", "cast"]; or for lists of 0 and 1 their names in order, '
    'MultiLabelClassification.labels = ("plot", "cast"); or one column for each label, '
    'files.label = ("plot", "cast")'
)
_SPACED = re.compile(r"[01]( +[01])+")


@dataclasses.dataclass(frozen=True)
class LabelSets:
    """Labels of answers.

    Attributes:
      sets: Distinct labels of each answer, in its order.
      names: All labels that the answers name, those that are 0 everywhere included.
      separator: Detected or given; None if no answer needs one.
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
    digits = _digits([_split(each, separator) for each in texts])
    for place, value in enumerate(parsed):
        if isinstance(value, str):
            parts = _split(value, separator)
            parsed[place] = list(map(int, parts)) if digits else parts
    indicators = _indicator_names(parsed, answers, labels)
    sets: list[list[str]] = []
    names: set[str] = set()
    for answer, value in zip(answers, parsed, strict=True):
        if isinstance(value, list) and indicators and _is_vector(value):
            value = _zipped(answer, value, indicators)
        found = _of_object(answer, value) if isinstance(value, dict) else _of_list(answer, value)
        names.update(found if isinstance(value, list) else map(str.strip, value))
        sets.append(found)
    return LabelSets(sets, frozenset(names), separator)


def find_separator(texts: Sequence[str], labels: Collection[str] = ()) -> str | None:
    """Returns the separator that strings of labels have, None if no string has one.

    Raises:
      DataError: Several characters could be the separator.
    """
    several = [text for text in texts if text not in labels]
    found = [each for each in SEPARATORS if any(each in text for text in several)]
    if len(found) > 1:
        shown = [next(text for text in several if each in text) for each in found]
        error = DataError(
            f"the separator of labels is not clear: {_listed(found)} stand in the answers, "
            f"as in {_listed(list(dict.fromkeys(shown)))}.",
            valid='MultiLabelClassification.separator = "|", or the one that you mean; or lists, '
            '["plot", "cast"]',
        )
        error.answers = frozenset(shown)
        raise error
    return found[0] if found else None


def _listed(values: Sequence[str]) -> str:
    return " and ".join(repr(value[:60]) for value in values)


def _parse(answer: str) -> Any:
    """Returns a list, an object, or the string itself."""
    text = answer.strip()
    if text[:1] not in ("[", "{"):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "list" if text[0] == "[" else "object"
        raise _wrong(answer, f"is no {kind} in JSON: {error}") from error
    return value


def _split(text: str, separator: str | None) -> list[str]:
    if separator is None and _SPACED.fullmatch(text):
        return text.split()
    parts = text.split(separator) if separator else [text]
    return [part.strip() for part in parts if part.strip()]


def _digits(lists: Sequence[Any]) -> bool:
    """Returns True if the lists that are not empty are "0" and "1", as many in each."""
    found = [each for each in lists if each]
    digits = all(value in ("0", "1") for each in found for value in each)
    return bool(found) and digits and len({len(each) for each in found}) == 1


def _is_vector(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(each, int | float) for each in value)


def _indicator_names(
    parsed: Sequence[Any], answers: Sequence[str], labels: Sequence[str] | None
) -> Sequence[str]:
    """Returns the labels that lists of numbers have 0 and 1 for; () if the numbers are names."""
    vectors = [value for value in parsed if isinstance(value, list) and _is_vector(value)]
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
    error = DataError(
        f"the answers are lists of numbers, as {answers[parsed.index(vectors[0])][:60]!r}: 0 and 1 "
        "for each label, or labels that are called so?",
        valid=NAMES,
    )
    error.answers = frozenset(
        answer
        for answer, value in zip(answers, parsed, strict=True)
        if isinstance(value, list) and _is_vector(value)
    )
    raise error


def _zipped(answer: str, values: list[Any], labels: Sequence[str]) -> dict[str, Any]:
    if len(values) != len(labels):
        raise _wrong(answer, f"has {len(values)} numbers for {len(labels)} labels")
    return dict(zip(labels, values, strict=True))


def _of_object(answer: str, value: dict[str, Any]) -> list[str]:
    for name, given in value.items():
        if not isinstance(given, bool | int | float) or given not in (0, 1):
            raise _wrong(answer, f"has {json.dumps(given)[:40]} for {name!r}, not 0 or 1")
    return _distinct([name for name, given in value.items() if given])


def _of_list(answer: str, value: Any) -> list[str]:
    for each in value:
        if not isinstance(each, str) and type(each) is not int:
            raise _wrong(answer, f"has {json.dumps(each)[:40]} in its list, not a name")
    return _distinct(list(map(str, value)))


def _distinct(names: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(name.strip() for name in names) if name]


def _wrong(answer: str, problem: str) -> DataError:
    error = DataError(f"the answer {answer[:80]!r} {problem}.", valid=NAMES)
    error.answers = frozenset([answer])
    return error


def counts(sets: Sequence[Sequence[str]], sizes: Sequence[int]) -> dict[str, int]:
    """Returns how many examples have each label.

    Args:
      sets: Labels of each distinct answer.
      sizes: Number of examples with each answer.
    """
    found: dict[str, int] = {}
    for names, size in zip(sets, sizes, strict=True):
        for name in names:
            found[name] = found.get(name, 0) + size
    return found
