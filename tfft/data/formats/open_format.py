"""What a path or standard input holds: one of the formats, by its name or by what a folder has."""

from __future__ import annotations

import pathlib
import re
import shlex
import sys
from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO

from tfft.data.formats.arrow import STATE, Arrow
from tfft.data.formats.base import STANDARD_INPUT, Format, Open
from tfft.data.formats.compression import COMMANDS, compression_of, decompressed
from tfft.data.formats.delimiters import separated
from tfft.data.formats.json_array import json_format
from tfft.data.formats.json_lines import JsonLines
from tfft.data.formats.parquet import Parquet
from tfft.data.formats.text_files import ClassFolders, Lines
from tfft.errors import DataError, near
from tfft.storage.foreign_files import local_path, open_regular, refuse_special

SUFFIXES: dict[str, Callable[[str, Open], Format]] = {
    ".arrow": lambda where, file: Arrow(where),
    ".csv": lambda where, file: separated(where, file, ","),
    ".json": json_format,
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".parquet": Parquet,
    ".tsv": lambda where, file: separated(where, file, "\t"),
    ".txt": Lines,
}
MOST_INPUT = 2**28  # bytes of standard input, which are held in memory
BINARY = (".arrow", ".parquet")  # read at any place of the file, and compressed inside
CONVERSIONS = {
    ".feather": 'pandas.read_feather(FILE).to_parquet("NEW.parquet")',
    ".pkl": 'pandas.read_pickle(FILE).to_parquet("NEW.parquet"), for a file that you trust',
    ".tar": "tar -xf FILE",
    ".tfrecord": "tfft.sources.shards.shards(FILE), which streams",
    ".tgz": "tar -xf FILE",
    ".xls": "the sheet saved as CSV in UTF-8",
    ".xlsx": "the sheet saved as CSV in UTF-8",
    ".zip": "unzip FILE",
}


def format_suffix(path: str | pathlib.PurePath) -> tuple[str, str]:
    """Returns the suffixes of a file's format and of its compression, in lower case.

    The first is "" if no format has it, the second if the file is not compressed.
    """
    place = pathlib.PurePath(str(path).lower())
    compression = place.suffix if place.suffix in COMMANDS else ""
    suffix = place.with_suffix("").suffix if compression else place.suffix
    return suffix if suffix in SUFFIXES else "", compression


def table_stem(path: pathlib.PurePath) -> str | None:
    """Returns the lower-case name of a table without its suffixes; None if it is not a table."""
    suffix, compression = format_suffix(path)
    return path.name.lower().removesuffix(compression).removesuffix(suffix) if suffix else None


def open_bytes(path: str) -> BinaryIO:
    """Returns the content of a file, decompressed if its name ends in one of `COMMANDS`.

    Raises:
      DataError: There is no such file, or it cannot be read.
    """
    try:
        file = open_regular(local_path(path, DataError))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", set_in=str(path)) from error
    return decompressed(file, format_suffix(path)[1], path)


def open_format(path: str) -> Format:
    """Returns the rows of a file, a folder per class, a saved data set, or standard input ("-").

    Raises:
      DataError: there is no such file, its kind is not known, or it is broken from the start.
    """
    if path == "-":
        return _standard_input()
    try:
        return _opened(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}.",
            valid="a file; - for the output of a command, which is read from standard input",
        ) from error


def _standard_input() -> Format:
    content = sys.stdin.buffer.read(MOST_INPUT + 1)
    if len(content) > MOST_INPUT:
        raise DataError(
            f"{STANDARD_INPUT} has more than {MOST_INPUT:,} bytes.", valid="the path of a file"
        )
    compression = compression_of(content)

    def open_content() -> BinaryIO:
        return decompressed(BytesIO(content), compression, STANDARD_INPUT)

    with open_content() as file:
        begin = file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip()
    kind = ".json" if re.match(rb"\[\s*[{\]]", begin) else ".jsonl" if begin[:1] == b"{" else ".csv"
    return SUFFIXES[kind](STANDARD_INPUT, open_content)


def _opened(path: str) -> Format:
    place = local_path(path, DataError)
    if place.is_dir():
        return Arrow(path) if (place / STATE).exists() else ClassFolders(str(place))
    if not place.exists():
        beside = [each.name for each in place.parent.glob("*")] if place.parent.is_dir() else []
        raise DataError(
            f"there is no file {path}.",
            valid=f"in {place.parent}: {near(place.name, beside)}"
            if place.parent.is_dir()
            else f"a path that exists; there is no folder {place.parent} either",
        )
    if not place.is_file():
        refuse_special(place)
    suffix, compression = format_suffix(place)
    if not suffix or (compression and suffix in BINARY):
        raise _unknown(path, place, suffix, compression)
    if not compression and suffix not in BINARY:
        _refuse_archive(path, place)
    return SUFFIXES[suffix](path, lambda: open_bytes(path))


def _unknown(path: str, place: pathlib.Path, suffix: str, compression: str) -> DataError:
    if suffix:
        return DataError(
            f"{path}: a {suffix} file is compressed inside, and not read within {compression}.",
            valid=f"{COMMANDS[compression]} {shlex.quote(path)}",
        )
    known = f"{', '.join(sorted(SUFFIXES))}, or a folder for each class; - is standard input"
    end = place.suffix.lower()
    converted = f"; {CONVERSIONS[end]}" if end in CONVERSIONS else ""
    ending = "".join(place.suffixes[-2:]) if compression else place.suffix
    more = f"; all but {' and '.join(BINARY)} also in {', '.join(sorted(COMMANDS))}"
    return DataError(
        f"{path}: a file that ends in {ending or 'nothing'!r} is not read.",
        valid=known + more + converted,
    )


def _refuse_archive(path: str, place: pathlib.Path) -> None:
    """Refuses a file whose first bytes show a compression that its name does not."""
    with open_regular(place) as file:
        begin = file.read(6)
    if compression := compression_of(begin):
        raise DataError(
            f"{path} is compressed, by its first bytes.",
            valid=f"a name that ends in {compression}: mv FILE FILE{compression}",
        )
    if begin.startswith(b"PK\x03\x04"):
        raise DataError(
            f"{path} is a ZIP archive or a spreadsheet, by its first bytes.",
            valid="unzip -p FILE > NEW, or the sheet saved as CSV in UTF-8",
        )
