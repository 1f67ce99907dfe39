"""Values of Arrow's record batches as Python values, checked before they are read.

Buffers of a foreign file are not trusted: offsets may lead outside of them, and a few bytes may
stand for gigabytes, as many rows with the same long value do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as pc
from pyarrow import types

from tfft.data.formats.base import Format
from tfft.data.formats.compression import refuse_expansion
from tfft.errors import DataError

MOST = 2**26  # bytes of one row's values, and of the values that are converted at a time
VALUE = 64  # bytes that a Python value takes beside its characters
TEXTS = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
VALID = "a whole file; rows of texts, numbers, lists or structs"


class BatchReader:
    """Reads batches of a file, one after another.

    Args:
      file: For the places of rows.
      stored: Number of bytes of the file.
    """

    def __init__(self, file: Format, stored: int):
        self._file, self._stored = file, stored
        self._number = self._total = 0

    def columns(self, batch: Any, names: Sequence[str]) -> Iterator[tuple[int, list[list[Any]]]]:
        """Yields the number of the rows before, and the values of columns, some rows at a time.

        Raises:
          DataError: A value is damaged or too large, or its type is not supported.
        """
        batch = batch.select([*dict.fromkeys(names)])
        try:
            batch.validate()
            self._refuse_expansion(sum(map(_view_size, batch.columns)))
            batch.validate(full=True)
        except (pyarrow.ArrowException, UnicodeDecodeError) as error:
            raise self._damaged(_first_invalid(batch), error) from error
        size = self._bytes(batch)
        self._refuse_expansion(size)
        self._total += size
        for piece in self._pieces(batch, size):
            try:
                columns = [_plain(piece.column(name)).to_pylist() for name in names]
            except (ArithmeticError, LookupError, ValueError, pyarrow.ArrowException) as error:
                raise self._damaged(0, error) from error  # such as a date after the year 9999
            yield self._number, columns
            self._number += len(piece)

    def _pieces(self, batch: Any, size: int) -> Iterator[Any]:
        """Yields slices of a batch whose values take at most `MOST` bytes each."""
        if size <= MOST:
            yield batch
        elif len(batch) == 1:
            raise self._error(0, f"has values of {size:,} bytes", f"at most {MOST:,} bytes a row")
        else:
            half = len(batch) // 2
            for part in (batch.slice(0, half), batch.slice(half)):
                yield from self._pieces(part, self._bytes(part))

    def _refuse_expansion(self, size: int) -> None:
        refuse_expansion(self._file.where, self._total + size, self._stored)

    def _bytes(self, batch: Any) -> int:
        try:
            return sum(map(_size, batch.columns))
        except TypeError as error:
            raise self._error(0, f"has a value of the type {error}, which is not read") from error

    def _damaged(self, row: int, error: Exception) -> DataError:
        return self._error(row, f"is damaged: {(str(error).splitlines() or ['?'])[0][:200]}")

    def _error(self, row: int, problem: str, valid: str = VALID) -> DataError:
        place = self._file.place(self._number + row + 1)
        return DataError(f"{place} {problem}.", set_in=place, valid=valid)


def _first_invalid(batch: Any) -> int:
    """Returns the number of the first row that is damaged."""
    low, high = 0, len(batch)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            batch.slice(low, middle - low).validate(full=True)
            low = middle
        except (pyarrow.ArrowException, UnicodeDecodeError):
            high = middle
    return low


def _size(array: Any) -> int:
    """Returns the number of bytes that the values of an array take in Python, about.

    Raises:
      TypeError: Values of this type may stand for many others.
    """
    kind, size = array.type, VALUE * len(array)
    if isinstance(array, pyarrow.ExtensionArray):
        return _size(array.storage)
    if types.is_dictionary(kind):
        return size + _size_of_indices(array)
    if types.is_struct(kind):
        return size + sum(map(_size, array.flatten()))
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return size + _size(array.flatten())
    if types.is_map(kind):
        return size + _size(array.keys) + _size(array.items)
    if types.is_string_view(kind) or types.is_binary_view(kind):
        return size + int(_view_lengths(array).sum())
    if types.is_nested(kind) or types.is_run_end_encoded(kind):
        raise TypeError(str(kind))
    if types.is_primitive(kind) or types.is_null(kind) or types.is_decimal(kind):
        return size
    return size + (pc.sum(pc.binary_length(array)).as_py() or 0)


def _size_of_indices(array: Any) -> int:
    """Returns the size of the values that an array names by their place in its dictionary."""
    values, kind = array.dictionary, array.dictionary.type
    if types.is_primitive(kind):  # counted by their number, as outside of a dictionary
        return 0
    if any(test(kind) for test in TEXTS):
        return pc.sum(pc.take(pc.binary_length(values), array.indices)).as_py() or 0
    return len(array) * _size(values)


def _view_size(array: Any) -> int:
    """Returns the size of the texts that string views name: many may name the same one.

    Offsets are not looked at, so that this needs no `validate(full=True)`, which reads these texts.
    """
    kind = array.type
    if types.is_string_view(kind) or types.is_binary_view(kind):
        return int(_view_lengths(array).sum(dtype=np.int64))
    if types.is_dictionary(kind):
        return _view_size(array.dictionary)
    if types.is_struct(kind):
        return sum(_view_size(array.field(place)) for place in range(kind.num_fields))
    return _view_size(array.values) if types.is_nested(kind) and hasattr(array, "values") else 0


def _view_lengths(array: Any) -> np.ndarray:
    """Returns the lengths of string views, int32 [n], which Arrow keeps beside their places."""
    views = array.buffers()[1]
    if views is None:
        return np.zeros(0, np.int32)
    return np.frombuffer(views, np.int32)[::4][array.offset : array.offset + len(array)]


def longest(array: Any) -> int:
    """Returns the length of the longest text in the dictionaries of an array, in bytes."""
    kind = array.type
    if types.is_dictionary(kind):
        return pc.max(pc.binary_length(array.dictionary)).as_py() or 0
    if types.is_struct(kind):
        return max((longest(array.field(place)) for place in range(kind.num_fields)), default=0)
    return longest(array.values) if types.is_nested(kind) and hasattr(array, "values") else 0


def _plain(array: Any) -> Any:
    """Returns an array without dictionaries, and without values that its slices leave out."""
    kind = array.type
    if types.is_dictionary(kind):
        return array.dictionary_decode()
    if types.is_list(kind):
        ends = np.cumsum(pc.list_value_length(array).fill_null(0).to_numpy(), dtype=np.int32)
        offsets = pyarrow.array(np.concatenate([[0], ends]).astype(np.int32))
        inner = _plain(array.flatten())
        return pyarrow.ListArray.from_arrays(offsets, inner, mask=array.is_null())
    if types.is_struct(kind):
        names = [field.name for field in kind]
        inner = [_plain(each) for each in array.flatten()]
        return pyarrow.StructArray.from_arrays(inner, names, mask=array.is_null())
    return array
