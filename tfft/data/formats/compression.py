"""Compressed files, decompressed while they are read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from typing import Any, BinaryIO, cast

from tfft.errors import DataError

LARGE, RATIO = 2**24, 1000  # bytes of content, and times the size of its file, that no data have
COMMANDS = {".bz2": "bunzip2 -k", ".gz": "gunzip -k", ".xz": "unxz -k", ".zst": "unzstd"}
_FIRST_BYTES = {
    b"\x1f\x8b": ".gz",
    b"BZh": ".bz2",
    b"\xfd7zXZ\x00": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
}


def compression_of(content: bytes) -> str:
    """Returns the suffix of the compression that a file's first bytes show, or ""."""
    return next((suffix for begin, suffix in _FIRST_BYTES.items() if content.startswith(begin)), "")


def refuse_expansion(where: str, size: int, stored: int) -> None:
    """Raises a DataError if a file stands for far more content than data have.

    Args:
      where: Path for error messages.
      size: Number of bytes of the content so far.
      stored: Number of bytes of the file.
    """
    if size > LARGE and size > RATIO * stored:
        raise DataError(
            f"{where} has {stored:,} bytes and stands for more than {size:,}.",
            set_in=where,
            valid=f"content of at most {RATIO:,} times the size of its file",
        )


def decompressed(file: BinaryIO, suffix: str, where: str) -> BinaryIO:
    """Returns the decompressed content of a file as a stream.

    Args:
      file: Compressed; closed together with the stream.
      suffix: Key of `COMMANDS`, or "" for a file that is not compressed.
      where: Path for error messages.

    Raises:
      DataError: While reading, if the file is truncated, has another format or stands for far more
        content than data have.
    """
    if not suffix:
        return file
    return cast(BinaryIO, io.BufferedReader(_Decompressed(file, suffix, where), 1 << 17))


class _Decompressed(io.RawIOBase):
    """Raw stream that turns the errors of every decompressor into a DataError."""

    def __init__(self, file: BinaryIO, suffix: str, where: str):
        self._file, self._suffix, self._where = file, suffix, where
        self._stream: Any = None
        self._size, self._stored = 0, file.seek(0, io.SEEK_END)
        file.seek(0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            if self._stream is None:
                self._stream = _stream(self._file, self._suffix)
            count = self._stream.readinto(buffer)
        except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise DataError(
                f"{self._where} is truncated or not a {self._suffix} file: {error}",
                set_in=self._where,
                valid=f"a complete {self._suffix} file; {COMMANDS[self._suffix]} FILE shows "
                f"whether it is. Without {self._suffix} in its name, a file is read as it is",
            ) from error
        self._size += count
        refuse_expansion(self._where, self._size, self._stored)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _stream(file: BinaryIO, suffix: str) -> Any:
    if suffix == ".zst":
        import pyarrow

        return pyarrow.CompressedInputStream(file, "zstd")
    openers: dict[str, Any] = {".bz2": bz2.open, ".gz": gzip.open, ".xz": lzma.open}
    return openers[suffix](file, "rb")
