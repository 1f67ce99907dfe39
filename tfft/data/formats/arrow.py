"""Data sets of Hugging Face's `datasets` on disk: Arrow files, with the names of their classes."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tfft.argument_checks.validated import FILLED, validated
from tfft.data.formats.base import LONGEST_LINE, Format, Row
from tfft.errors import DataError
from tfft.storage.foreign_files import local_path, parse_json, read_regular, refuse_special

STATE = "state.json"  # in each folder that `save_to_disk` wrote
WHOLE = "a folder that datasets.Dataset.save_to_disk wrote, with all of its files"


@validated(where=FILLED)
class Arrow(Format):
    """One Arrow file, or the ones of a folder that `datasets.Dataset.save_to_disk` wrote.

    Numbers of a ClassLabel become its names, within lists too; -1, which stands for none, becomes
    None.
    """

    def __init__(self, where: str):
        place = local_path(where, DataError)
        self._files = _files(place) if place.is_dir() else [place]
        self._where = where
        schema = self._open(self._files[0]).schema
        try:
            names = schema.names
        except UnicodeDecodeError as error:  # of a damaged file; pyarrow reads names late
            raise self._broken(self._files[0], error) from error
        super().__init__(where, names)
        self.refuse_twice()
        self._named = self._readers((schema.metadata or {}).get(b"huggingface", b"{}"))

    def _readers(self, metadata: bytes) -> dict[str, Callable[[Any], Any]]:
        """Returns what reads the values of each column that the metadata describe."""
        try:
            features = (parse_json(metadata).get("info") or {}).get("features") or {}
            return {name: _names(feature) for name, feature in features.items()}
        except (ValueError, AttributeError, TypeError, IndexError) as error:
            raise DataError(
                f"{self.where}: the metadata of Hugging Face's datasets cannot be read: {error!r}.",
                set_in=self.where,
                valid=WHOLE,
            ) from error

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        from tfft.data.formats.arrow_values import BatchReader

        stored = sum(path.stat().st_size for path in self._files if path.exists())
        reader = BatchReader(self, stored)
        for path in self._files:
            for batch in self._batches(path):
                for number, values in reader.columns(batch, columns):
                    for name, column in zip(columns, values, strict=True):
                        self._name_classes(name, column, number)
                    yield from enumerate(zip(*values, strict=True), number + 1)

    def _name_classes(self, name: str, values: list[Any], number: int) -> None:
        """Puts the names of a ClassLabel in place of its numbers.

        Args:
          number: Number of rows before the values.
        """
        read = self._named.get(name, _same)
        if read is _same:
            return
        for place, value in enumerate(values):
            try:
                values[place] = read(value)
            except (_UnknownNumber, TypeError, KeyError, AttributeError) as error:
                where = self.place(number + place + 1)
                known = isinstance(error, _UnknownNumber)
                reason = str(error) if known else "is not of the type that the features describe"
                raise DataError(
                    f"{where}: a value of {name!r} {reason}.",
                    set_in=where,
                    valid=f"0 to {error.count - 1}, the numbers of its names, or -1 for no label"
                    if isinstance(error, _UnknownNumber)
                    else "values that fit the features in the file's metadata",
                ) from error

    def place(self, number: int) -> str:
        return f"{self.where}, row {number:,}"

    def _batches(self, path: pathlib.Path) -> Iterator[Any]:
        import pyarrow

        reader = self._open(path)
        try:
            if hasattr(reader, "num_record_batches"):
                yield from map(reader.get_batch, range(reader.num_record_batches))
            else:
                yield from reader
        except (pyarrow.ArrowException, OSError) as error:
            raise self._broken(path, error) from error

    def _open(self, path: pathlib.Path) -> Any:
        """Returns a reader of a file: a stream, as `datasets` writes it, or Arrow's file format."""
        import pyarrow

        try:
            refuse_special(path)
            source = pyarrow.memory_map(str(path))
            try:
                return pyarrow.ipc.open_stream(source)
            except pyarrow.ArrowInvalid:
                source.seek(0)
                return pyarrow.ipc.open_file(source)
        except (pyarrow.ArrowException, OSError) as error:
            raise self._broken(path, error) from error

    def _broken(self, path: pathlib.Path, error: Exception) -> DataError:
        return DataError(
            f"{path} is not readable Arrow: {(str(error).splitlines() or ['?'])[0]}",
            set_in=self._where,
            valid=WHOLE,
        )


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the data files that a saved data set consists of, in their order."""
    try:
        state = parse_json(read_regular(folder / STATE, LONGEST_LINE))
        found = [folder / entry["filename"] for entry in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder / STATE} cannot be read: {error!r}.", set_in=str(folder), valid=WHOLE
        ) from error
    if state.get("_indices_data_files"):
        raise DataError(
            f"{folder} keeps its rows in another order than its files have.",
            set_in=str(folder),
            valid="the same after dataset.flatten_indices().save_to_disk(FOLDER)",
        )
    if not found:
        raise DataError(f"{folder} holds no data file.", set_in=str(folder), valid=WHOLE)
    return found


class _UnknownNumber(ValueError):
    """A number that none of `count` names belongs to."""

    def __init__(self, number: Any, count: int):
        super().__init__(f"is the number {number!r} of a ClassLabel with {count} names")
        self.count = count


def _name(value: Any, names: Sequence[str]) -> str | None:
    """Returns the name of a class; None for -1, which stands for no label."""
    if value is None or value == -1:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < len(names):
        raise _UnknownNumber(value, len(names))
    return names[value]


def _same(value: Any) -> Any:
    return value


def _names(feature: Any) -> Callable[[Any], Any]:
    """Returns what reads a value by its feature, as `datasets` describes it in JSON."""
    if isinstance(feature, list):  # an old form of a list's feature
        feature = {"_type": "List", "feature": feature[0]}
    kind = feature.get("_type") if isinstance(feature, Mapping) else None
    if kind == "ClassLabel" and isinstance(feature, Mapping):
        names = feature.get("names")
        if not names:
            return lambda value: None if value == -1 else value
        return lambda value: _name(value, names)
    if kind is None and isinstance(feature, Mapping):
        fields = {name: _names(inner) for name, inner in feature.items()}
        if any(read is not _same for read in fields.values()):
            return lambda value: value and {key: fields[key](each) for key, each in value.items()}
    listed = kind in ("Sequence", "List", "LargeList")
    one = _names(feature.get("feature")) if listed and isinstance(feature, Mapping) else _same
    if one is not _same:
        return lambda value: None if value is None else [one(each) for each in value]
    return _same
