"""The fields of serialized protocol buffers, read without their classes and without copies.

A parser makes an object of two bytes that announce an empty message, so that a small hostile file
fills the memory. Here nothing is made of what is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; groups, 3 and 4, are refused
FIXED = {FIXED64: 8, FIXED32: 4}
LARGEST_TAG = 2**32 - 1


def fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yields the number and the value of each field of a message, in their order.

    The value of a field of bytes, which strings, messages and packed numbers are too, is a view
    of `data`; that of a number of 32 or 64 fixed bits a view of its bytes; any other is an integer.

    Raises:
      ValueError: the data are no message.
    """
    place, end = 0, len(data)
    while place < end:
        tag, place = _varint(data, place)
        number, kind = tag >> 3, tag & 7
        if not number or tag > LARGEST_TAG:
            raise ValueError(f"a field has the tag {tag}")
        if kind == VARINT:
            value, place = _varint(data, place)
            yield number, value
            continue
        if kind == BYTES:
            size, place = _varint(data, place)
        elif kind in FIXED:
            size = FIXED[kind]
        else:
            raise ValueError(f"a field has the wire type {kind}")
        if size > end - place:
            raise ValueError(f"a field of {size:,} bytes is longer than its message")
        yield number, data[place : place + size]
        place += size


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """Returns the number at a place, below 2**64, and the place after it."""
    try:
        first = data[place]
        if first < 128:
            return first, place + 1
        value = first & 127
        for shift in range(7, 70, 7):
            place += 1
            byte = data[place]
            value |= (byte & 127) << shift
            if byte < 128:
                return value, place + 1
    except IndexError:
        raise ValueError("a number is cut off") from None
    raise ValueError("a number has more than 10 bytes")
