"""A person's own files: CSV, TSV, JSONL, Parquet, or a folder per class.

Columns are found by this rule, and the notes say what was found: the column that TEXT= or LABEL=
names; else the only column whose name, in lower case, is one of the usual ones below; else, in a
file of two columns, the one with the longer values is the text and the other the label.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import pathlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfft.errors import DataError, near
from tfft.sources import Rows, Source, split_by_hash

TEXT_NAMES = (
    "text sentence review content comment message body document tweet description title input"
).split()
LABEL_NAMES = "label labels class category target sentiment topic intent rating output y".split()
LONGEST_LINE = 10_000_000  # bytes; a longer line is a broken file, not a text
SEE = "tfft check --gin_file=quick/text.gin --gin.DATA=FILE --gin.TEXT=COLUMN --gin.LABEL=COLUMN"
SPLIT_FILES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


@dataclasses.dataclass(frozen=True)
class Table:
    """Texts of a file in its order, their labels if it has any, and lines for a person."""

    texts: list[str]
    labels: list[str] | None
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Columns:
    """A file as it was read: where it came from, column names, and the line each row began on."""

    where: str
    names: list[str]
    values: dict[str, list[Any]]
    lines: Sequence[int]


def files(
    data: str,
    *,
    text: str | None = None,
    label: str | None = None,
    validation: str | None = None,
    test: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
) -> Source:
    """Returns a source of a person's own files.

    Args:
      data: a .csv, .tsv, .jsonl or .parquet file; or a folder with a folder of .txt files for each
        class, or with a train, validation and test part of any of these kinds.
      text, label: the columns' names; found by the rule of this module when None.
      validation, test: files of their own.
      validation_share, test_share: what is taken from `data` by a hash of the text for a split
        that has no file of its own.

    Raises:
      DataError: the file cannot be read, or no run could learn from it.
    """
    parts = _parts(data, validation, test)
    tables = {split: read(path, text=text, label=label) for split, path in parts.items()}
    notes = [f"{split}: {note}" for split, table in tables.items() for note in table.notes]
    rows: dict[str, Rows] = {
        split: (table.texts, table.labels or []) for split, table in tables.items()
    }
    if len(rows) > 1:
        rows["train"], dropped = _without(rows)
        if dropped:
            notes.append(f"{dropped:,} training texts that are in another split were dropped")
    shares = {"validation": validation_share, "test": test_share}
    lacking = {name: share for name, share in shares.items() if name not in rows and share}
    if lacking:
        own = split_by_hash(
            *rows["train"], lacking.get("validation", 0.0), lacking.get("test", 0.0)
        )
        _refuse_empty(data, own, ["train", *lacking])
        rows = {**rows, **own}
        told = ", ".join(f"{share:.0%} {name}" for name, share in lacking.items())
        notes.append(f"split by a hash of the text: {told}")
    ordered = {name: rows[name] for name in ("train", "validation", "test") if name in rows}
    return Source(data, ordered, notes)


def _refuse_empty(data: str, rows: dict[str, Rows], wanted: Sequence[str]) -> None:
    for split in wanted:
        if split not in rows:
            count = sum(len(texts) for texts, _ in rows.values())
            raise DataError(
                f"{data} has {count} examples: too few to take a {split} split from.",
                valid="more examples, or files of their own for validation and test",
            )


def _without(rows: dict[str, Rows]) -> tuple[Rows, int]:
    """Returns the training rows whose text is in no other split, and how many were dropped."""
    other = {text for split, (texts, _) in rows.items() if split != "train" for text in texts}
    texts, labels = rows["train"]
    kept = [number for number, text in enumerate(texts) if text not in other]
    found = ([texts[number] for number in kept], [labels[number] for number in kept])
    return found, len(texts) - len(kept)


def _parts(data: str, validation: str | None, test: str | None) -> dict[str, str]:
    """Returns the path of each split that has one."""
    given = {"train": data, "validation": validation, "test": test}
    folder = pathlib.Path(data)
    if folder.is_dir():
        inside = {path.stem: path for path in sorted(folder.iterdir())}
        found = {
            split: next((str(inside[name]) for name in names if name in inside), None)
            for split, names in SPLIT_FILES.items()
        }
        if found["train"]:
            given = {split: given[split] or path for split, path in found.items()}
            given["train"] = found["train"]
    return {split: path for split, path in given.items() if path}


def read(
    path: str, *, text: str | None = None, label: str | None = None, labelled: bool = True
) -> Table:
    """Returns the texts of a file, and its labels unless `labelled` is False.

    Args:
      path: a file or a folder per class; "-" is standard input: JSONL when it begins with "{",
        CSV otherwise.

    Raises:
      DataError: what is wrong, in which line, and what would be right.
    """
    columns = _open(path)
    if not columns.lines:
        raise DataError(f"{columns.where} has no rows.", valid="a header line and a row a text")
    taken = [label] if label else []
    text = _column(columns, text, TEXT_NAMES, "text", taken, 0)
    notes = [f"{len(columns.lines):,} rows of {columns.where}, text in column {text!r}"]
    texts = [
        _text(value, columns, row, text) for row, value in enumerate(columns.values[text])
    ]
    if not labelled:
        return Table(texts, None, tuple(notes))
    label = _column(columns, label, LABEL_NAMES, "label", [text], 1)
    labels = [
        _label(value, columns, row, label) for row, value in enumerate(columns.values[label])
    ]
    return Table(texts, labels, (f"{notes[0]}, label in column {label!r}",))


def _column(
    columns: _Columns,
    wanted: str | None,
    usual: Sequence[str],
    kind: str,
    taken: Sequence[str],
    place: int,
) -> str:
    """Returns the column for texts (place 0) or labels (place 1)."""
    names = columns.names
    flag = f"--gin.{kind.upper()}"
    if wanted is not None:
        if wanted not in names:
            raise DataError(
                f"{columns.where} has no column {wanted!r}.",
                set_in=f"{flag}={wanted}",
                valid=near(wanted, names, 12),
            )
        return wanted
    hits = [name for name in names if name.lower().strip() in usual and name not in taken]
    if len(hits) == 1:
        return hits[0]
    rest = [name for name in names if name not in taken]
    if not hits and len(names) <= 2 and rest:
        by_length = sorted(rest, key=lambda name: -_mean_length(columns.values[name]))
        if len(by_length) == 1 or place == 0:
            return by_length[0]
    raise DataError(
        f"which column of {columns.where} is the {kind}? It has: {', '.join(names)}.",
        valid=f"{flag}=COLUMN" + (f", for example {hits[0]}" if hits else ""),
        see=SEE,
    )


def _mean_length(values: Sequence[Any]) -> float:
    some = values[:1000]
    return sum(len(str(value)) for value in some) / max(len(some), 1)


def _text(value: Any, columns: _Columns, row: int, name: str) -> str:
    if not isinstance(value, str):
        raise DataError(
            f"{columns.where}:{columns.lines[row]}: column {name!r} holds {value!r}, not a text.",
            valid="a string in every row",
        )
    if not value.strip():
        empty = sum(not str(other or "").strip() for other in columns.values[name])
        raise DataError(
            f"{columns.where}:{columns.lines[row]}: the text is empty, as in {empty:,} rows.",
            valid="a text in every row: remove the others",
        )
    return value


def _label(value: Any, columns: _Columns, row: int, name: str) -> str:
    missing = value is None or isinstance(value, float) and math.isnan(value)
    if isinstance(value, str):
        missing = value.strip().lower() in ("", "nan")
    if missing or isinstance(value, (list, dict)):
        raise DataError(
            f"{columns.where}:{columns.lines[row]}: the label in column {name!r} is missing "
            f"({value!r}).",
            valid="a label in every row: remove the others",
        )
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _open(path: str) -> _Columns:
    if path == "-":
        content = sys.stdin.buffer.read()
        kind: Any = _jsonl if content.lstrip()[:1] == b"{" else _comma
        return kind(content, "standard input")
    place = pathlib.Path(path)
    if place.is_dir():
        return _folder(place)
    if not place.exists():
        beside = [each.name for each in place.parent.glob("*")] if place.parent.is_dir() else []
        raise DataError(
            f"there is no file {path}.", valid=f"in that folder: {near(place.name, beside)}"
        )
    if place.suffix.lower() not in _READERS:
        raise DataError(
            f"{path}: files that end in {place.suffix or 'nothing'!r} are not read.",
            valid=f"{', '.join(sorted(_READERS))}, or a folder per class",
        )
    return _READERS[place.suffix.lower()](place.read_bytes(), path)


def _decoded(content: bytes, where: str) -> str:
    """Returns the text of a file without its byte order mark."""
    longest = max((len(line) for line in content.split(b"\n")), default=0)
    if longest > LONGEST_LINE:
        number = next(
            n for n, line in enumerate(content.split(b"\n"), 1) if len(line) > LONGEST_LINE
        )
        raise DataError(
            f"{where}:{number} is a line of {longest:,} bytes.",
            valid=f"at most {LONGEST_LINE:,} bytes a line",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{where}:{number}: byte {error.start:,} of the file ({content[error.start]:#04x}) is "
            "not UTF-8.",
            valid="a file in UTF-8: iconv -f LATIN1 -t UTF-8 FILE > NEW",
        ) from error


def _separated(content: bytes, where: str, delimiter: str) -> _Columns:
    reader = csv.reader(
        io.StringIO(_decoded(content, where), newline=""), delimiter=delimiter, strict=True
    )
    csv.field_size_limit(LONGEST_LINE)
    rows, lines = [], []
    began = 1
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(began)
            began = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{where}: the record that begins in line {began} is broken: {error}.",
            valid='a quote inside a quoted field is written twice: ""',
        ) from error
    if not rows:
        raise DataError(f"{where} is empty.", valid="a header line and a row a text")
    names = rows[0]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{where} has two columns {twice!r}.", valid="a name of its own for each")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise DataError(
                f"{where}:{line} has {len(row)} fields, the header {len(names)}.",
                valid='a field that holds the separator stands in quotes: "a, b"',
            )
    columns = list(zip(*rows[1:], strict=True)) if len(rows) > 1 else [()] * len(names)
    values = {name: list(column) for name, column in zip(names, columns, strict=True)}
    return _Columns(where, names, values, lines[1:])


def _comma(content: bytes, where: str) -> _Columns:
    return _separated(content, where, ",")


def _tab(content: bytes, where: str) -> _Columns:
    return _separated(content, where, "\t")


def _jsonl(content: bytes, where: str) -> _Columns:
    rows, lines = [], []
    for number, line in enumerate(_decoded(content, where).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{where}:{number} is not JSON: {error.msg}.", valid="one object a line"
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{where}:{number} is no object.", valid='{"text": ..., "label": ...}')
        rows.append(row)
        lines.append(number)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return _Columns(where, names, {name: [row.get(name) for row in rows] for name in names}, lines)


def _lines(content: bytes, where: str) -> _Columns:
    texts = _decoded(content, where).splitlines()
    return _Columns(where, ["text"], {"text": texts}, range(1, len(texts) + 1))


def _parquet(content: bytes, where: str) -> _Columns:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(content))
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(f"{where} is not readable Parquet: {error}.") from error
    values = {name: table.column(name).to_pylist() for name in table.column_names}
    return _Columns(where, table.column_names, values, range(1, table.num_rows + 1))


def _folder(place: pathlib.Path) -> _Columns:
    """Reads a folder per class: each .txt file is one text."""
    found = list(_texts(place))
    if not found:
        raise DataError(
            f"{place} holds no folder with .txt files.",
            valid="a folder a class, or train.csv and test.csv",
        )
    values = {"text": [text for text, _ in found], "label": [label for _, label in found]}
    return _Columns(str(place), ["text", "label"], values, range(1, len(found) + 1))


def _texts(place: pathlib.Path) -> Iterator[tuple[str, str]]:
    for folder in sorted(path for path in place.iterdir() if path.is_dir()):
        for file in sorted(folder.glob("*.txt")):
            yield _decoded(file.read_bytes(), str(file)), folder.name


_READERS: dict[str, Callable[[bytes, str], _Columns]] = {
    ".csv": _comma,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
    ".tsv": _tab,
    ".txt": _lines,
}
