"""Questions on paragraphs of articles, in the JSON of SQuAD 1.1 and 2.0."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from tfft.argument_checks.validated import DISTINCT, FILLED, FRACTION, each, validated
from tfft.data.formats.open_format import open_bytes
from tfft.data.sources.base import Source
from tfft.data.sources.split_rows import source_of_rows
from tfft.data.splits import Rows, check_shares
from tfft.errors import DataError
from tfft.storage.foreign_files import parse_json

SEE = "tfft show squad"
COLUMNS = ("question", "context", "label", "title")
VALID = '{"data": [{"title", "paragraphs": [{"context", "qas": [{"question", "answers"}]}]}]}'


@validated(
    **each("data validation test", FILLED),
    **each("validation_share test_share", FRACTION),
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
    if unknown := sorted(set(columns) - {"title"}):
        raise DataError(
            f"squad has no column {unknown[0]!r}.", set_in="squad.columns", valid='("title",) or ()'
        )
    paths = {"train": data, "validation": validation, "test": test}
    rows: dict[str, Rows] = {
        split: tuple(map(list, zip(*read(path), strict=True))) or tuple([] for _ in COLUMNS)
        for split, path in paths.items()
        if path is not None
    }
    return source_of_rows(
        data,
        rows,
        [_note(split, part) for split, part in rows.items()],
        {"validation": validation_share, "test": test_share},
        inputs=COLUMNS[:2],
        classes=False,
        columns=tuple(columns),
        group=COLUMNS.index(group),
        group_name=group,
        see=SEE,
    )


def read(path: str) -> Iterator[tuple[str, str, str, str]]:
    """Yields question, context, answer and title of each question in a file, in its order.

    Raises:
      DataError: it cannot be read, or something in it is missing or of another kind.
    """
    try:
        with open_bytes(path) as file:
            content = parse_json(file.read())
    except ValueError as error:
        raise _error(f"{path} cannot be read: {error}", str(path), f"JSON: {VALID}") from error
    for number, article in enumerate(_list(content, "data", path)):
        place = f"{path}, article {number + 1:,}"
        title = _text(article, "title", place)
        place += f" ({title})"
        for below, paragraph in enumerate(_list(article, "paragraphs", place)):
            inside = f"{place}, paragraph {below + 1:,}"
            context = _text(paragraph, "context", inside)
            for question in _list(paragraph, "qas", inside):
                where = f"{inside}, question {question.get('id', question.get('question'))}"
                text = _text(question, "question", where)
                yield text, context, _answers(question, where), title


def _answers(question: dict[str, Any], where: str) -> str:
    """Returns the answers to a question as JSON, each text with its place once."""
    answers = _list(question, "answers", where)
    kind = "impossible" if question.get("is_impossible", False) else "possible"
    if (kind == "impossible") == bool(answers):
        raise _error(
            f"a question that is {kind} has {len(answers) or 'no'} answers.",
            where,
            '"is_impossible": true without answers, or answers without it',
        )
    pairs: dict[tuple[str, int], None] = {}
    for answer in answers:
        start = answer.get("answer_start")
        if not isinstance(start, int) or isinstance(start, bool) or start < 0:
            valid = "a whole number from 0, of Unicode characters"
            raise _error(f"an answer has the answer_start {start!r}.", where, valid)
        pairs[_text(answer, "text", where), start] = None
    content = {"text": [text for text, _ in pairs], "answer_start": [start for _, start in pairs]}
    return json.dumps(content, ensure_ascii=False)


def _list(parent: Any, name: str, where: str) -> list[dict[str, Any]]:
    value = parent.get(name) if isinstance(parent, dict) else None
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise _error(f"there is no list of objects called {name!r}.", where, VALID)
    return value


def _text(parent: dict[str, Any], name: str, where: str) -> str:
    value = parent.get(name)
    if not isinstance(value, str):
        raise _error(f"{name!r} is {value!r}.", where, "a text")
    return value


def _error(problem: str, where: str, valid: str) -> DataError:
    return DataError(problem, set_in=where, valid=valid, see=SEE)


def _note(split: str, rows: Rows) -> str:
    questions, contexts, answers, titles = rows
    none = sum(not json.loads(answer)["text"] for answer in answers)
    more = f", {none:,} of them without an answer" if none else ""
    return (
        f"{split}: {len(questions):,} questions{more}, on {len(set(contexts)):,} paragraphs of "
        f"{len(set(titles)):,} articles"
    )
