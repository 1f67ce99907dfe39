"""Pictures of clothes in ten classes, from the Debian package dataset-fashion-mnist."""

from __future__ import annotations

import gzip
import hashlib
import pathlib
import struct
import zlib

import numpy as np

from tfft.argument_checks.validated import COUNT, FILLED, FRACTION, validated
from tfft.data.sources.base import Source
from tfft.data.sources.images import of_rows
from tfft.data.splits import Rows, check_shares
from tfft.errors import DataError
from tfft.preprocessing.media_files import MOST_BYTES, data_uri
from tfft.storage.downloads import fetch
from tfft.storage.foreign_files import read_regular

LABELS = (
    *("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag"),
    "ankle boot",
)
INSTALLED = pathlib.Path("/usr/share/datasets/fashion-mnist")
# SHA-256 of the package's files, which may be installed rather than fetched.
FILES = {
    "train-images-idx3": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}
SEE = "tfft fetch fashion_mnist"


@validated(validation_share=FRACTION, train_images=COUNT, installed=FILLED)
def fashion_mnist(
    validation_share: float = 0.1,
    train_images: int | None = None,
    installed: str = str(INSTALLED),
) -> Source:
    """Returns Fashion-MNIST; the test split is the package's own.

    Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    Learning Algorithms", 2017. The validation split is taken from the training images, stratified
    by label; training images that are also in the test split are dropped.

    Args:
      validation_share: of the training images.
      train_images: the first so many of the 60,000 alone; None for all.
      installed: the folder of the package where it is installed and nothing was fetched.

    Raises:
      DataError: the data are not here, or the files are not the known ones.
    """
    check_shares(validation_share, 0.0)
    folder = _folder(pathlib.Path(installed))
    rows = {"train": read(folder, "train", train_images), "test": read(folder, "t10k", None)}
    notes = [] if train_images is None else [f"the first {train_images:,} training images alone"]
    return of_rows("fashion_mnist", rows, notes, {"validation": validation_share})


def _folder(installed: pathlib.Path) -> pathlib.Path:
    """Returns where the files are: fetched, or installed and as they are known."""
    try:
        return fetch.path("fashion_mnist")
    except DataError:
        if not installed.is_dir():
            raise
    for name, known in FILES.items():
        path = installed / f"{name}-ubyte.gz"
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != known:
            raise DataError(
                f"{path} is not the file of the known package.", set_in=str(installed), see=SEE
            )
    return installed


def read(folder: pathlib.Path, split: str, most: int | None) -> Rows:
    """Returns images as data URIs, with names such as "train 17", and the names of their classes.

    Raises:
      DataError: a file is none of the IDX format.
    """
    pixels = _idx(folder / f"{split}-images-idx3-ubyte.gz", 3)[:most]
    numbers = _idx(folder / f"{split}-labels-idx1-ubyte.gz", 1)[:most]
    if len(pixels) != len(numbers) or numbers.max(initial=0) >= len(LABELS):
        raise DataError(
            f"the labels in {folder} do not fit its images.",
            set_in=str(folder),
            valid=f"as many of both, of {len(LABELS)} classes",
            see=SEE,
        )
    values = [data_uri(png(each), "png", f"{split} {n}") for n, each in enumerate(pixels)]
    return values, [LABELS[number] for number in numbers]


def _idx(path: pathlib.Path, axes: int) -> np.ndarray:
    """Returns the bytes of an IDX file, uint8 with that many axes."""
    try:
        content = gzip.decompress(read_regular(path, MOST_BYTES))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}.", set_in=str(path), see=SEE) from error
    begin = 4 + 4 * axes
    shape = struct.unpack(f">{axes}I", content[4:begin]) if len(content) >= begin else ()
    if content[:4] != bytes((0, 0, 8, axes)) or len(content) - begin != np.prod(shape, dtype=int):
        raise DataError(f"{path} is no IDX file of {axes} axes.", set_in=str(path), see=SEE)
    return np.frombuffer(content, np.uint8, offset=begin).reshape(shape)


def png(pixels: np.ndarray) -> bytes:
    """Returns grey pixels, uint8 [h w], as a PNG file that is not compressed.

    So its bytes, and what follows from their hash, are the same whatever library is installed.
    """
    height, width = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)  # 0: no filter
    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for chunk in (b"IHDR" + header, b"IDAT" + zlib.compress(lines, 0), b"IEND"):
        content += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return content
