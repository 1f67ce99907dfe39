"""The delimiter of a CSV file, detected in its header and checked on a sample of its rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import NamedTuple

from tfft.data.formats.base import LONGEST_LINE, Open, lines
from tfft.data.formats.csv import Separated, field_limit, record_pattern
from tfft.errors import DataError

DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
SAMPLE_LINES, SAMPLE_CHARACTERS = 200, 1_000_000


class _Parse(NamedTuple):
    """Number of fields of each sampled record, and whether all records could be parsed."""

    widths: list[int]
    complete: bool

    @property
    def consistent(self) -> bool:
        return self.complete and len(set(self.widths)) == 1


def separated(where: str, open_file: Open, usual: str) -> Separated:
    """Returns the rows of a file with the delimiter that it uses.

    Args:
      usual: Delimiter of the file's suffix, used unless the header shows another one.

    Raises:
      DataError: The header could be split by several delimiters, or the file is broken.
    """
    delimiter = detect(where, open_file, usual)
    file = Separated(where, open_file, delimiter)
    if delimiter != usual:
        file.notes.append(f"the delimiter is {DELIMITERS[delimiter]}, detected in the header")
    return file


def detect(where: str, open_file: Open, usual: str) -> str:
    """Returns the delimiter of a file, see `separated`."""
    sample, whole = _sample(where, open_file)
    parses = {each: _parse(sample, each, whole) for each in DELIMITERS}
    parses = {each: found for each, found in parses.items() if found.widths[:1] > [1]}
    if not parses.keys() - {usual}:
        return usual
    if len(parses) == 1:  # a header of one column may hold the character, its rows do not
        [(delimiter, found)] = parses.items()
        return usual if found.complete and set(found.widths[1:]) == {1} else delimiter
    consistent = [each for each, found in parses.items() if found.consistent]
    if len(consistent) == 1:
        return consistent[0]
    if not consistent and usual in parses:
        return usual
    names = " or ".join(DELIMITERS[each] for each in parses)
    raise DataError(
        f"{where}: the delimiter is not clear. The header can be split by {names}.",
        set_in=f"{where}:1",
        valid='one delimiter; a column name that holds another one in quotes: "price; net"',
    )


def _sample(where: str, open_file: Open) -> tuple[list[str], bool]:
    """Returns the first lines of a file, and whether these are all."""
    sample: list[str] = []
    size = 0
    with open_file() as file:
        for line in lines(file, where):
            if len(sample) == SAMPLE_LINES or (sample and size + len(line) > SAMPLE_CHARACTERS):
                return sample, False
            sample.append(line)
            size += len(line)
    return sample, True


def _parse(sample: Sequence[str], delimiter: str, whole: bool) -> _Parse:
    widths: list[int] = []
    with field_limit(LONGEST_LINE):
        reader = csv.reader(sample, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if not widths:
                    header = "".join(sample[: reader.line_num]).strip("\r\n")
                    if '"' in header and not record_pattern(delimiter).fullmatch(header):
                        return _Parse([], False)
                if row:
                    widths.append(len(row))
        except csv.Error as error:
            cut = not whole and "unexpected end" in str(error)
            return _Parse(widths, cut)
    return _Parse(widths, True)
