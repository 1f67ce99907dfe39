"""A person's own images: a folder for each class, or a table with a column of paths."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from tfft.argument_checks.validated import DISTINCT, FILLED, FRACTION, validated
from tfft.data.formats.open_format import open_format, table_stem
from tfft.data.formats.tables import Table
from tfft.data.formats.tables import read as read_table
from tfft.data.sources.base import MemorySource, Source
from tfft.data.splits import (
    SPLIT_NAMES,
    SPLITS,
    Rows,
    check_shares,
    complete,
    take,
    without_overlap,
)
from tfft.errors import DataError
from tfft.preprocessing.media_files import content_hash
from tfft.storage.foreign_files import local_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
IMAGE_NAMES = ("image", "path", "file", "filename", "file_name", "image_path", "picture", "photo")
SEE = "tfft check --gin_file=quick/images.gin --gin.DATA=FOLDER"
OUTSIDE = "images.allow_outside = True, or tfft predict --allow_outside,"
VALID = (
    "a folder for each class with images in it; train, validation and test folders of that kind; "
    "or a table with a column of paths and one of labels"
)


@validated(
    data=FILLED,
    image=FILLED,
    label=FILLED,
    columns=DISTINCT,
    validation=FILLED,
    test=FILLED,
    validation_share=FRACTION,
    test_share=FRACTION,
)
def images(
    data: str,
    *,
    image: str | None = None,
    label: str | None = None,
    columns: Sequence[str] = (),
    validation: str | None = None,
    test: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    group: str | None = None,
    decode: Literal["auto", "memory", "on_demand"] = "auto",
    allow_outside: bool = False,
) -> Source:
    """Returns a source of a person's own images.

    The splits and the fingerprint follow from the contents of the images: a file that moves stays
    in its split, and copies of an image are in the same one. An image that is in the test split is
    dropped from the others.

    Args:
      data: a folder with a folder of images for each class; a folder with a train, validation
        (valid, val, dev) and test folder of that kind; or a .csv, .tsv, .jsonl or .parquet file
        with a column of paths, from its own folder.
      image, label: the columns' names; found by their usual names, or in a file of two columns by
        their lengths, when None.
      columns: further columns, in whose values the report slices the evaluated images.
      validation, test: folders or tables of their own.
      validation_share, test_share: of the training images, for a split that has none of its own; 0
        for no such split.
      group: a column of the table whose equal values stay in the same split, such as the patient
        or the scene that an image is from. It is one of `columns` too.
      decode: "memory" decodes each image once, "on_demand" each time that it is read; "auto" keeps
        the images of a split in memory if they take at most a quarter of what is free.
      allow_outside: whether a table may name images outside of its own folder, by absolute paths,
        by "..", or through links. Links in a folder of images are followed.

    Raises:
      DataError: there are no images, one cannot be read, or no run could learn from them.
    """
    check_shares(validation_share, test_share)
    parts = _parts(data, validation, test)
    columns = tuple(dict.fromkeys([*columns, *([group] if group else [])]))
    tables = {
        split: read_images(
            path, image=image, label=label, columns=columns, allow_outside=allow_outside
        )
        for split, path in parts.items()
    }
    rows: dict[str, Rows] = {
        split: (table.texts, table.labels or [], *table.columns.values())
        for split, table in tables.items()
    }
    notes = [note for table in tables.values() for note in table.notes]
    shares = {"validation": validation_share, "test": test_share}
    source = of_rows(data, rows, notes, shares, columns, group)
    source.schema, source.decode = tables["train"].schema, decode
    return source


def of_rows(
    name: str,
    rows: Mapping[str, Rows],
    notes: Sequence[str],
    shares: Mapping[str, float],
    columns: Sequence[str] = (),
    group: str | None = None,
) -> Source:
    """Returns a source of images that are known by path or data URI.

    Args:
      name: of the source.
      rows: images, labels and the further columns of each split that is given.
      notes: lines for a person.
      shares: of the splits that are taken from the training images, where they are not given.
      columns: names of the further columns.
      group: the one whose equal values stay in the same split.
    """
    hashes = {split: [content_hash(value) for value in part[0]] for split, part in rows.items()}
    if len(rows) > 1:
        kept, dropped = without_overlap({split: (each,) for split, each in hashes.items()})
        rows = {split: take(part, kept[split]) for split, part in rows.items()}
        hashes = {split: [each[n] for n in kept[split]] for split, each in hashes.items()}
        notes = [*notes, *(note.replace("their text", "their image") for note in dropped)]
    known = dict(zip(rows["train"][0], hashes["train"], strict=True))
    number = 2 + columns.index(group) if group else None
    kind: Any = {"keys": hashes["train"], "group": number, "group_name": group or ""}
    rows, made = complete(name, rows, shares, **kind)
    known |= {
        value: each
        for split in hashes.keys() - {"train"}
        for value, each in zip(rows[split][0], hashes[split], strict=True)
    }
    groups = {split: part[number] for split, part in rows.items()} if number else None
    return ImageSource(name, rows, [*notes, *made], known, columns, groups)


class ImageSource(MemorySource):
    """Images by path or data URI, whose fingerprint is that of their contents.

    Args:
      name, rows, notes, columns, groups: as in `MemorySource`.
      hashes: of the content of each image.
    """

    modality = "image"

    def __init__(
        self,
        name: str,
        rows: Mapping[str, Rows],
        notes: Sequence[str],
        hashes: Mapping[str, str],
        columns: Sequence[str] = (),
        groups: Mapping[str, Sequence[str]] | None = None,
    ):
        self._hashes = hashes
        kind: Any = {"columns": columns, "inputs": ("image",), "groups": groups}
        super().__init__(name, rows, notes, self._where, SEE, **kind)

    def identified(self, row: tuple[str, ...]) -> tuple[str, ...]:
        return (self._hashes[row[0]], *row[1:])

    def _where(self, split: str, number: int) -> str:
        return str(self._rows[split][0][number])[:200]


def read_images(
    path: str,
    *,
    image: str | None = None,
    label: str | None = None,
    labelled: bool = True,
    allow_outside: bool = False,
    **settings: Any,
) -> Table:
    """Returns the paths of images, and their labels unless `labelled` is False.

    Args:
      path: a folder, of classes where labels are read; a table whose paths are from its own folder;
        a .txt file with a path a line; "-" for a table on standard input.
      image, label: names of the table's columns.
      allow_outside: whether the table may name images outside of its folder.
      settings: further ones of `tfft.data.sources.files.read`.

    Raises:
      DataError: there are none, or the table cannot be read.
    """
    place = local_path(path, DataError)
    if path != "-" and place.is_dir():
        return _folder(place, labelled)
    if "chooser" not in settings:
        image = image or _column(path, label, settings.get("columns", ()))
    try:
        table = read_table(path, text=image, label=label, labelled=labelled, **settings)
    except DataError as error:
        error.see = SEE
        raise
    base = pathlib.Path() if path == "-" else place.parent
    values = [_from(base, value) for value in table.texts]
    if not allow_outside:
        _refuse_outside(base, values, table)
    return dataclasses.replace(table, inputs=(values,))


def _from(base: pathlib.Path, value: str) -> str:
    """Returns an image as it is named from here, where it is named from a folder."""
    return value if value.startswith("data:") else str(base / value)


def _refuse_outside(base: pathlib.Path, values: Sequence[str], table: Table) -> None:
    """Refuses images that are not below a folder once links are followed."""
    folder = os.path.join(os.path.realpath(base), "")
    for number, value in enumerate(values):
        if "\0" in value or value.startswith("data:"):
            continue
        if not os.path.realpath(value).startswith(folder):
            where = table.place(table.lines[number])
            raise DataError(
                f"{where}: the image {value!r} is outside of {folder}.",
                set_in=where,
                valid=f"images below {folder}; {OUTSIDE} where you trust the table",
                see=SEE,
            )


def _column(path: str, label: str | None, columns: Sequence[str]) -> str | None:
    """Returns the only column with a usual name of images; None leaves the choice to the reader."""
    if path == "-":
        return None
    names = [name for name in open_format(path).names if name not in (label, *columns)]
    hits = [name for name in names if name.strip().lower() in IMAGE_NAMES]
    return hits[0] if len(hits) == 1 else None


def _folder(folder: pathlib.Path, labelled: bool) -> Table:
    """Returns the images of a folder: those in its folders with their names, or all."""
    places = [each for each in sorted(folder.iterdir()) if not each.name.startswith(".")]
    if labelled:
        inside = [file for each in places if each.is_dir() for file in sorted(each.iterdir())]
    else:
        inside = sorted(folder.rglob("*"))
    inside = [file for file in inside if file.is_file() and not file.name.startswith(".")]
    found = [file for file in inside if file.suffix.lower() in SUFFIXES]
    if not found:
        raise DataError(
            f"{folder} holds no {'folder with images in it' if labelled else 'images'}.",
            set_in=str(folder),
            valid=f"{VALID}; images end in {', '.join(SUFFIXES)}",
            see=SEE,
        )
    notes = [f"{folder}: {len(found):,} images"]
    if len(found) < len(inside):
        notes.append(f"{folder}: {len(inside) - len(found):,} files that are no images not read")
    for file in found:
        local_path(file, DataError)
    labels = [file.parent.name for file in found] if labelled else None
    place: Callable[[int], str] = lambda number: str(found[number])  # noqa: E731
    lines, rows = range(len(found)), range(1, len(found) + 1)
    return Table((list(map(str, found)),), labels, tuple(notes), lines, place, rows=rows)


def _parts(data: str, validation: str | None, test: str | None) -> dict[str, str]:
    """Returns the folder or the table of each split that has one."""
    given = {"train": data, "validation": validation, "test": test}
    folder = local_path(data, DataError)
    if folder.is_dir():
        inside = [each for each in sorted(folder.iterdir()) if not each.name.startswith(".")]
        found = {split: _only(split, inside) for split in SPLITS}
        if found["train"]:
            given = {split: given[split] or found[split] for split in SPLITS}
            given["train"] = found["train"]
    return {split: path for split in SPLITS if (path := given[split])}


def _only(split: str, inside: Sequence[pathlib.Path]) -> str | None:
    """Returns the one folder or table that is this split."""
    names = SPLIT_NAMES[split]
    hits = [
        each
        for each in inside
        if (each.stem.lower() if each.is_dir() else table_stem(each)) in names
        and each.suffix.lower() != ".txt"  # a list of paths, without labels
    ]
    if len(hits) > 1:
        raise DataError(
            f"{len(hits)} could be the {split} split: {', '.join(hit.name for hit in hits)}.",
            valid="one of them in this folder",
            see=SEE,
        )
    return str(hits[0]) if hits else None
