"""Text files: one text for each line, or a file for each text in the folder of its class."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Sequence
from io import BytesIO

from tfft.data.formats.base import LONGEST_LINE, Format, Open, Row, lines
from tfft.errors import DataError
from tfft.storage.foreign_files import local_path, read_regular


class Lines(Format):
    """One text a line, no labels."""

    has_header = False
    how = "one a line"

    def __init__(self, where: str, open_file: Open):
        self._open = open_file
        super().__init__(where, ["text"])

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        with self._open() as file:
            for number, line in enumerate(lines(file, self.where), 1):
                yield number, [line.rstrip("\r\n")] * len(columns)


class ClassFolders(Format):
    """A folder for each class; each .txt file in it is one text."""

    has_header = False
    how = "a file each, in the folder of its class"

    def __init__(self, where: str):
        super().__init__(where, ["text", "label"])
        folders = [each for each in sorted(pathlib.Path(where).iterdir()) if each.is_dir()]
        for folder in folders:
            local_path(folder, DataError)  # its name is a label
        inside = [
            file
            for folder in folders
            if not folder.name.startswith(".")
            for file in sorted(folder.iterdir())
            if not file.name.startswith(".")
        ]
        self._files = [file for file in inside if file.suffix.lower() == ".txt" and file.is_file()]
        self._other = len(inside) - len(self._files)
        if not self._files:
            raise DataError(
                f"{where} holds no folder with .txt files in it.",
                set_in=where,
                valid="a folder for each class with a .txt file for each text; or "
                "train.csv (.tsv, .jsonl, .parquet) with validation.csv and test.csv beside it",
            )

    @property
    def skipped(self) -> str:
        return f"{self._other:,} files that are no .txt were not read" if self._other else ""

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        for number, file in enumerate(self._files):
            text = "".join(lines(BytesIO(_content(file)), str(file))).rstrip("\r\n")
            row = {"text": text, "label": file.parent.name}
            yield number, [row[name] for name in columns]

    def place(self, number: int) -> str:
        return str(self._files[number])


def _content(file: pathlib.Path) -> bytes:
    try:
        return read_regular(file, LONGEST_LINE)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.", set_in=str(file)) from error
