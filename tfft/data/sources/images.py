"""A person's own images: a folder for each class, or a table with a column of paths."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tfft.argument_checks.validated import DISTINCT, FILLED, FRACTION, each, validated
from tfft.data.formats.open_format import open_format
from tfft.data.formats.tables import Table
from tfft.data.formats.tables import read as read_table
from tfft.data.sources.base import MemorySource, Source
from tfft.data.sources.split_rows import split_paths
from tfft.data.splits import Rows, check_shares, complete, take, without_overlap
from tfft.errors import DataError
from tfft.preprocessing.media_files import content_hash
from tfft.storage.foreign_files import local_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
IMAGE_NAMES = ("image", "path", "file", "filename", "file_name", "image_path", "picture", "photo")
SEE = "tfft check --gin_file=quick/images.gin --gin.DATA=FOLDER"
OUTSIDE = "--trust_data"
VALID = (
    "a folder for each class with images in it; train, validation and test folders of that kind; "
    "or a table with a column of paths and one of labels"
)


@validated(
    **each("data image label validation test", FILLED),
    **each("validation_share test_share", FRACTION),
    columns=DISTINCT,
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
    trust_data: bool | Sequence[str] = False,
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
      trust_data: True if a table may name images outside of its own folder: by absolute paths, by
        "..", or through links. No config can set it; `--trust_data` does. Links in a folder of
        images are followed.

    Raises:
      DataError: there are no images, one cannot be read, or no run could learn from them.
    """
    check_shares(validation_share, test_share)
    paths, _ = split_paths(data, validation, test, skip=".txt", see=SEE)  # lists without labels
    columns = tuple(dict.fromkeys([*columns, *([group] if group else [])]))
    tables = {
        split: read_images(
            path, image=image, label=label, columns=columns, trust_data=trust_data is True
        )
        for split, path in paths.items()
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
    hashes = {split: list(map(content_hash, part[0])) for split, part in rows.items()}
    known = {
        image: content
        for split, part in rows.items()
        for image, content in zip(part[0], hashes[split], strict=True)
    }
    if len(rows) > 1:
        kept, dropped = without_overlap({split: (part,) for split, part in hashes.items()})
        rows = {split: take(part, kept[split]) for split, part in rows.items()}
        notes = [*notes, *(note.replace("their text", "their image") for note in dropped)]
    number = 2 + columns.index(group) if group else None
    kind: Any = {"keys": [known[image] for image in rows["train"][0]], "group": number}
    rows, made = complete(name, rows, shares, group_name=group or "", **kind)
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
        super().__init__(name, rows, notes, self._where, SEE, columns, ("image",), groups=groups)

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
    trust_data: bool = False,
    **settings: Any,
) -> Table:
    """Returns the paths of images, and their labels unless `labelled` is False.

    Args:
      path: a folder, of classes where labels are read; a table whose paths are from its own folder;
        a .txt file with a path a line; "-" for a table on standard input.
      image, label: names of the table's columns.
      trust_data: whether the table may name images outside of its folder.
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
    if not trust_data:
        refuse_outside([base], values, table)
    return dataclasses.replace(table, inputs=(values,))


def _from(base: pathlib.Path, value: str) -> str:
    """Returns an image as it is named from here, where it is named from a folder."""
    return value if value.startswith("data:") else str(base / value)


def refuse_outside(folders: Sequence[pathlib.Path], values: Sequence[str], table: Table) -> None:
    """Refuses files of a table that are not below one of some folders once links are followed."""
    begins = tuple(os.path.join(os.path.realpath(folder), "") for folder in folders)
    places = " and ".join(dict.fromkeys(begins))
    for number, value in enumerate(values):
        if "\0" in value or value.startswith("data:"):
            continue
        if not os.path.realpath(value).startswith(begins):
            where = table.place(table.lines[number])
            raise DataError(
                f"{where}: the file {value!r} is outside of {places}.",
                set_in=where,
                valid=f"files below {begins[0]}; or {OUTSIDE}, if you trust the table",
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
    if labelled:
        places = [place for place in sorted(folder.iterdir()) if not place.name.startswith(".")]
        inside = [file for place in places if place.is_dir() for file in sorted(place.iterdir())]
    else:
        inside = sorted(folder.rglob("*"))
    inside = [file for file in inside if file.is_file() and not file.name.startswith(".")]
    images = [file for file in inside if file.suffix.lower() in SUFFIXES]
    if not images:
        raise DataError(
            f"{folder} holds no {'folder with images in it' if labelled else 'images'}.",
            set_in=str(folder),
            valid=f"{VALID}; images end in {', '.join(SUFFIXES)}",
            see=SEE,
        )
    for file in images:
        local_path(file, DataError)
    paths, notes = list(map(str, images)), [f"{folder}: {len(images):,} images"]
    if len(images) < len(inside):
        notes.append(f"{folder}: {len(inside) - len(images):,} files that are no images not read")
    labels = [file.parent.name for file in images] if labelled else None
    lines, rows = range(len(paths)), range(1, len(paths) + 1)
    return Table((paths,), labels, tuple(notes), lines, paths.__getitem__, rows=rows)
