"""The numbers of pixels that image files claim, read from their headers before they are decoded."""

from __future__ import annotations

import contextlib
import re
import struct

MOST_PIXELS = 2**27  # of all frames: 400 MB in RGB
# Of JPEG, with a length, or the end; within the coded image, only others stand.
MARKER, END = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]"), 0xD9
FRAME_HEADER = 7  # bytes behind the marker of a frame, up to the width


def claimed_pixels(content: bytes) -> int:
    """Returns the number of pixels of all frames of a JPEG, PNG, BMP, WebP or GIF file.

    0 if the header is not understood; decoding the file fails then.
    """
    try:
        if content.startswith(b"\x89PNG"):
            return _product(struct.unpack_from(">II", content, 16))
        if content.startswith(b"BM"):
            return _product(struct.unpack_from("<ii", content, 18))
        if content.startswith(b"GIF8"):
            return _gif(content)
        if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
            return _webp(content)
        return _jpeg(content) if content.startswith(b"\xff\xd8") else 0
    except (struct.error, IndexError):
        return 0


def _product(sides: tuple[int, ...]) -> int:
    return abs(sides[0]) * abs(sides[1])


def _jpeg(content: bytes) -> int:
    """Returns the largest size of a frame header; there is more than one in a damaged file.

    Cameras append other data behind the end, such as a film, in which any bytes may stand.
    """
    place, most = 2, 0
    while match := MARKER.search(content, place):
        marker, place = match[0][1], match.end()
        if marker == END or place + FRAME_HEADER > len(content):  # no frame header has room
            break
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            most = max(most, _product(struct.unpack_from(">HH", content, place + 3)))
        place += struct.unpack_from(">H", content, place)[0]
    return most


def _gif(content: bytes) -> int:
    """Returns the pixels of all frames, those before a cut too: the library decodes them."""
    total = _product(struct.unpack_from("<HH", content, 6))
    place = 13 + _table(content[10])
    with contextlib.suppress(struct.error, IndexError):
        while place < len(content) and content[place] in (0x21, 0x2C):
            if content[place] == 0x2C:
                total += _product(struct.unpack_from("<HH", content, place + 5))
                place += 11 + _table(content[place + 9])
            else:
                place += 2
            while content[place]:
                place += 1 + content[place]
            place += 1
    return total


def _table(flags: int) -> int:
    """Returns the size of a table of colors."""
    return 3 * 2 ** (1 + (flags & 7)) if flags & 0x80 else 0


def _webp(content: bytes) -> int:
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
        return width * height
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return ((bits & 0x3FFF) + 1) * ((bits >> 14 & 0x3FFF) + 1)
    width, height = struct.unpack_from("<HH", content, 26)
    return (width & 0x3FFF) * (height & 0x3FFF)
