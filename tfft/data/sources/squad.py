"""Questions on paragraphs of articles, in the JSON of SQuAD 1.1 and 2.0."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from tfft.argument_checks.validated import DISTINCT, FILLED, FRACTION, validated
from tfft.data.formats.open_format import open_bytes
from tfft.data.sources.base import MemorySource, Source
from tfft.data.splits import Rows, check_shares, complete, take, without_overlap
from tfft.errors import DataError
from tfft.storage.foreign_files import parse_json

SEE = "tfft show squad"
COLUMNS = ("question", "context", "label", "title")
VALID = '{"data": [{"title", "paragraphs": [{"context", "qas": [{"question", "answers"}]}]}]}'


@validated(
    data=FILLED,
    validation=FILLED,
    test=FILLED,
    validation_share=FRACTION,
    test_share=FRACTION,
    columns=DISTINCT,
)
def squad(
    data: str,
    *,
    validation: str | None = None,
    test: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    group: Literal["title", "context"] = "title",
    columns: Sequence[str] = ("title",),
) -> Source:
    """Returns questions and contexts, with answers that `QuestionAnswering` reads.

    An answer is JSON, `{"text": [...], "answer_start": [...]}`; both are empty where the file says
    `is_impossible` (SQuAD 2.0), whose `plausible_answers` are not read. A split that has no file is
    split off from the training file, all questions on an article together: questions on the same
    paragraph give away each other's answers.

    Sources: Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", 2016;
    Rajpurkar et al., "Know What You Don't Know: Unanswerable Questions for SQuAD", 2018.

    Args:
      data, validation, test: JSON files.
      validation_share, test_share: of the training file; 0 for no such split.
      group: what stays in the same split: the questions on an article, or those on a paragraph, if
        there is only one article.
      columns: in whose values the report slices the evaluated questions: "title", or none, ().

    Raises:
      DataError: a file is none of this shape, or no run could learn from it.
    """
    check_shares(validation_share, test_share)
    if group not in ("title", "context"):
        raise DataError(
            f"group={group!r} is unknown.", set_in="squad.group", valid="title, context"
        )
    if unknown := sorted(set(columns) - {"title"}):
        raise DataError(
            f"squad has no column {unknown[0]!r}.", set_in="squad.columns", valid='("title",) or ()'
        )
    given = {"train": data, "validation": validation, "test": test}
    rows: dict[str, Rows] = {
        split: tuple(map(list, zip(*read(path), strict=True))) or tuple([] for _ in COLUMNS)
        for split, path in given.items()
        if path is not None
    }
    notes = [_told(split, part) for split, part in rows.items()]
    kept, dropped = without_overlap(rows, 2)
    rows = {split: take(part, kept[split]) for split, part in rows.items()} if dropped else rows
    notes += dropped
    shares = {"validation": validation_share, "test": test_share}
    number = COLUMNS.index(group)
    kind: Any = {"inputs": 2, "classes": False, "group": number, "group_name": group}
    rows, made = complete(str(data), rows, shares, **kind)
    notes += made
    settings: Any = {"inputs": COLUMNS[:2], "classes": False, "columns": tuple(columns)}
    settings["groups"] = {split: part[number] for split, part in rows.items()}
    rows = {split: part[: 3 + len(columns)] for split, part in rows.items()}
    return MemorySource(str(data), rows, notes, see=SEE, **settings)


def read(path: str) -> Iterator[tuple[str, str, str, str]]:
    """Yields question, context, answer and title of each question in a file, in its order.

    Raises:
      DataError: it cannot be read, or something in it is missing or of another kind.
    """
    try:
        with open_bytes(path) as file:
            content = parse_json(file.read())
    except ValueError as error:
        raise DataError(
            f"{path} cannot be read: {error}", set_in=str(path), valid=f"JSON: {VALID}", see=SEE
        ) from error
    for number, article in enumerate(_list(content, "data", path)):
        place = f"{path}, article {number + 1:,}"
        title = _text(article, "title", place)
        place += f" ({title})"
        for below, paragraph in enumerate(_list(article, "paragraphs", place)):
            inside = f"{place}, paragraph {below + 1:,}"
            context = _text(paragraph, "context", inside)
            for asked in _list(paragraph, "qas", inside):
                where = f"{inside}, question {asked.get('id', asked.get('question'))}"
                yield _text(asked, "question", where), context, _answer(asked, where), title


def _answer(asked: dict[str, Any], where: str) -> str:
    """Returns the answers to a question as JSON, each text with its place once."""
    found = _list(asked, "answers", where)
    impossible = bool(asked.get("is_impossible", False))
    if impossible == bool(found):
        raise DataError(
            f"a question that is {'impossible' if impossible else 'possible'} has "
            f"{len(found) or 'no'} answers.",
            set_in=where,
            valid='"is_impossible": true without answers, or answers without it',
            see=SEE,
        )
    pairs: list[tuple[str, int]] = []
    for answer in found:
        start = answer.get("answer_start")
        if not isinstance(start, int) or isinstance(start, bool) or start < 0:
            raise DataError(
                f"an answer has the answer_start {start!r}.",
                set_in=where,
                valid="a whole number from 0, of Unicode characters",
                see=SEE,
            )
        pairs.append((_text(answer, "text", where), start))
    pairs = list(dict.fromkeys(pairs))
    content = {"text": [text for text, _ in pairs], "answer_start": [start for _, start in pairs]}
    return json.dumps(content, ensure_ascii=False)


def _list(parent: Any, name: str, where: str) -> list[dict[str, Any]]:
    found = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise DataError(
            f"there is no list of objects called {name!r}.", set_in=where, valid=VALID, see=SEE
        )
    return found


def _text(parent: dict[str, Any], name: str, where: str) -> str:
    found = parent.get(name)
    if not isinstance(found, str):
        raise DataError(f"{name!r} is {found!r}.", set_in=where, valid="a text", see=SEE)
    return found


def _told(split: str, rows: Rows) -> str:
    questions, contexts, answers, titles = rows
    none = sum(not json.loads(answer)["text"] for answer in answers)
    more = f", {none:,} of them without an answer" if none else ""
    return (
        f"{split}: {len(questions):,} questions{more}, on {len(set(contexts)):,} paragraphs of "
        f"{len(set(titles)):,} articles"
    )
