"""Images and sounds as examples name them: by path, or in place as a data URI."""

from __future__ import annotations

import base64
import binascii
import pathlib
import urllib.parse

from tfft.errors import DataError
from tfft.preprocessing.fingerprints import digest
from tfft.storage.foreign_files import read_regular

MOST_BYTES = 2**28  # of a file
KINDS = "a JPEG, PNG, BMP, WebP or GIF file"


def content(value: str) -> bytes:
    """Returns the content of a file, from its path or a data URI in base64.

    Raises:
      DataError: there is no such file, or no such content.
    """
    try:
        if not value.startswith("data:"):
            return read_regular(value, MOST_BYTES)
        head, _, coded = value.partition(",")
        if head.endswith(";base64"):
            return base64.b64decode(coded, validate=True)
        problem = "it is not in base64"
    except (OSError, ValueError, binascii.Error) as error:
        problem = getattr(error, "strerror", None) or str(error)
    raise DataError(
        f"{name_of(value)} cannot be read: {problem}.",
        set_in=name_of(value),
        valid=f"the path of {KINDS}, from this folder or from that of the table that names it",
    )


def content_hash(value: str) -> str:
    """Returns the SHA-256, in hex, of the content of a file."""
    return digest(content(value))


def in_place(value: str, media: str, usual: str) -> str:
    """Returns a file as a data URI, from its path; a data URI as it is.

    Args:
      media: "image" or "audio".
      usual: the kind of a file whose name has no suffix, such as "png".
    """
    if value.startswith("data:"):
        return value
    kind = pathlib.Path(value).suffix.lower().removeprefix(".").replace("jpg", "jpeg")
    return data_uri(content(value), kind or usual, name_of(value), media)


def data_uri(read: bytes, kind: str, name: str = "", media: str = "image") -> str:
    """Returns content as a data URI (RFC 2397), which may have a name for a person.

    Args:
      kind: such as "png".
      media: "image" or "audio".
    """
    named = f";name={urllib.parse.quote(name)}" if name else ""
    return f"data:{media}/{kind}{named};base64,{base64.b64encode(read).decode()}"


def name_of(value: str) -> str:
    """Returns what a person calls a file: its path, or the name in a data URI."""
    if not value.startswith("data:"):
        return value
    parts = value.partition(",")[0].split(";")
    names = [part.removeprefix("name=") for part in parts if part.startswith("name=")]
    return urllib.parse.unquote(names[0]) if names else "a file in place"
