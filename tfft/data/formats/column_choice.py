"""Which columns of a file hold the inputs and the answer."""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Callable, Mapping, Sequence

from tfft.data.formats.base import Format, listed, short
from tfft.data.formats.csv import Separated
from tfft.errors import DataError

TEXT_NAMES = (
    *("text", "sentence", "review", "content", "comment", "message", "tweet", "body"),
    *("document", "utterance", "query"),
)
LABEL_NAMES = (
    *("label", "labels", "class", "category", "sentiment", "target", "topic", "intent"),
    "rating",
)
SAMPLE = 1000  # rows on which the longer of two columns is found
LABEL = "label"
Chooser = Callable[[Format], tuple[list[str], list[str]]]  # the columns, and how each was found
Found = dict[str, tuple[str, str]]  # by kind: the column's name, and how it was found


def see_check(path: str) -> str:
    """Returns the command that checks a file."""
    data = "FILE" if path == "-" else shlex.quote(path)
    return f"tfft check --gin_file=quick/text.gin --gin.DATA={data}"


def find_usual(file: Format, found: Found, kind: str, usual: Sequence[str], wanted: bool) -> None:
    """Takes the only column with a usual name; several are an error when one is wanted."""
    taken = {name for name, _ in found.values()}
    hits = [name for name in file.names if name.strip().lower() in usual and name not in taken]
    if len(hits) == 1:
        found[kind] = (hits[0], "by its name")
    elif hits and wanted:
        several = f"{file.where} has {len(hits)} columns that could be the {kind}."
        raise unclear(file, kind, several)


def find_by_length(file: Format, found: Found) -> None:
    """In a file of one or two columns: the longer one is the text, the other one the label."""
    taken = {name for name, _ in found.values()}
    rest = [name for name in file.names if name not in taken]
    if "text" not in found and len(rest) == 2:
        rest = _longer_first(file, rest)
    if "text" not in found and rest:
        found["text"] = (rest.pop(0), "the longer one" if rest else "the only one left")
    if "label" not in found and rest:
        found["label"] = (rest.pop(0), "the other one")
        _refuse_no_header(file, found["label"][0])


def _longer_first(file: Format, names: list[str]) -> list[str]:
    sample = [row for _, row in itertools.islice(file.rows(names), SAMPLE)]
    means = [
        math.fsum(len(row[place]) for row in sample if isinstance(row[place], str))
        for place in range(2)
    ]
    if means[0] == means[1]:
        raise unclear(file, "text", f"the two columns of {file.where} are equally long.")
    return names if means[0] > means[1] else names[::-1]


def _refuse_no_header(file: Format, label: str) -> None:
    """A guessed column whose name is also one of its values: the first line is no header."""
    sample = itertools.islice(file.rows([label]), SAMPLE)
    if isinstance(file, Separated) and any(row[0] == label for _, row in sample):
        raise DataError(
            f"{file.where} seems to have no header: its first line names a column {short(label)}, "
            "which also stands in the rows below.",
            set_in=file.place(1),
            valid="a first line with the columns' names, for example text,label",
        )


def unclear(file: Format, kind: str, problem: str) -> DataError:
    return DataError(
        f"{problem} Its columns: {listed(file.names)}.",
        set_in=file.where,
        valid=f"--gin.{kind.upper()}=COLUMN with one of them",
        see=f"{see_check(file.path)} --gin.{kind.upper()}=COLUMN",
    )


def chosen_before(
    kinds: Sequence[str],
    usual: Mapping[str, Sequence[str]],
    trained: Mapping[str, str | None],
    requested: Mapping[str, str],
) -> Chooser:
    """Returns a function that chooses the columns of a file that `predict` or `evaluate` reads.

    The columns are those that are requested, else those of the training, else the only one with the
    name of the input or with a usual name.

    Args:
      kinds: names of the task's inputs, then "label" if labels are read.
      usual: by kind, the usual names of its column.
      trained: by kind, the column in the training file; without those that are not known.
      requested: by kind, the column that the user named.
    """

    def choose(file: Format) -> tuple[list[str], list[str]]:
        refuse_unknown_kinds(requested, kinds)
        if not file.has_header:
            return _without_header(file, kinds, requested)
        pairs = [_column_of(file, kind, usual[kind], trained, requested) for kind in kinds]
        return [name for name, _ in pairs], [how for _, how in pairs]

    return choose


def refuse_unknown_kinds(requested: Mapping[str, str], kinds: Sequence[str]) -> None:
    """Raises a DataError if a column is requested for something that is not read."""
    unknown = [kind for kind in requested if kind not in kinds]
    if unknown:
        raise DataError(
            f"a column is named for {unknown[0]!r}, which the task does not read.",
            set_in=f"--columns={unknown[0]}={requested[unknown[0]]}",
            valid=f"--columns={','.join(f'{kind}=COLUMN' for kind in kinds)}",
        )


def _without_header(
    file: Format, kinds: Sequence[str], requested: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Returns the columns of a text file or a folder for each class, which name none."""
    wanted = ["text", *([LABEL] if LABEL in kinds else [])]
    if requested or len(kinds) > len(wanted) or any(name not in file.names for name in wanted):
        lacking = f"it has {listed(file.names)} alone, and {', '.join(kinds)} are read"
        raise DataError(
            f"{file.where} names no columns: {lacking}."
            if not requested
            else f"{file.where} names no columns, so none of them can be chosen.",
            set_in="--columns" if requested else file.where,
            valid="a .csv, .tsv, .jsonl or .parquet file with a column for each",
        )
    return wanted, [file.how] * len(wanted)


def _column_of(
    file: Format,
    kind: str,
    usual: Sequence[str],
    trained: Mapping[str, str | None],
    requested: Mapping[str, str],
) -> tuple[str, str]:
    """Returns the column of an input or of the answer, and how it was found."""
    name, before = requested.get(kind), trained.get(kind)
    if name is not None and name in file.names:
        return name, "as named" + (
            f", {before!r} in training" if before not in (None, name) else ""
        )
    if name is None and before is not None and before in file.names:
        return before, "as in training"
    hits = [each for each in file.names if each == kind]
    hits = hits or [each for each in file.names if each.strip().lower() in usual]
    if name is None and before is None and len(hits) == 1:
        return hits[0], "by its name"
    if name is not None:
        problem = f"has no column {name!r}"
    elif before is not None:
        problem = f"has no column {before!r}, which was the {kind} in training"
    else:
        count = "several columns" if hits else "no column"
        problem = f"has {count} with a usual name of the {kind}"
    header = "; a first line that names the columns, if it lacks one"
    raise DataError(
        f"{file.where} {problem}. Its columns: {listed(file.names)}.",
        set_in=f"--columns={kind}={name}" if name is not None else file.where,
        valid=f"--columns={kind}=COLUMN with one of them" + header * isinstance(file, Separated),
        see="docs/predict.md",
    )
