"""Models of folders that are not trusted: no more is built than their weights can fill."""

from __future__ import annotations

import contextlib
import functools
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import keras

from tfft.backbones.keras_hub_downloads import short
from tfft.backbones.model_folders import check_files, read_json
from tfft.errors import UserError, WeightsError

MOST_LAYERS = 1_000  # and one more for each 10 kB of weights
SPARE = 2**22  # numbers that a model may have beyond its file, such as a pooler
WEIGHTS = (".h5", ".safetensors")
INDEX = "model.safetensors.index.json"
VALID = "config.json, weights and vocabulary of the same model, whole"


@contextlib.contextmanager
def built_from(folder: pathlib.Path) -> Iterator[None]:
    """Checks a folder, and what is built from it within the block.

    Each number of the weights takes a byte or more in the files. More weights than that are refused
    before they are allocated.

    Args:
      folder: Holds config.json and weights.

    Raises:
      WeightsError: The folder cannot be read, or its config asks for too much.
    """
    check_files(folder)
    weights = [path for path in folder.iterdir() if path.suffix in WEIGHTS and path.exists()]
    stored = sum(path.stat().st_size for path in weights)
    limits = {"layers": MOST_LAYERS + stored // 10_000, "numbers": stored + SPARE}
    refusals: list[WeightsError] = []

    def count(kind: str, more: int) -> None:
        limits[kind] -= more
        if limits[kind] < 0:
            refusals.append(
                WeightsError(
                    f"{folder / 'config.json'} describes more {kind} than the {stored:,} bytes of "
                    "weights in its folder can hold.",
                    valid=VALID,
                )
            )
            raise refusals[0]

    try:
        if (folder / INDEX).exists():
            _check_index(folder)
        with _counting(count):
            yield
    except UserError:
        raise
    except Exception as error:  # of any library that reads a part of it
        if refusals:  # Keras puts an error of its own around it
            raise refusals[0] from error
        raise WeightsError(f"{folder} cannot be read: {short(error)}", valid=VALID) from error


@contextlib.contextmanager
def _counting(count: Any) -> Iterator[None]:
    """Counts the layers that are made within the block, and the numbers of their weights."""
    layer: Any = keras.layers.Layer
    make, add = layer.__dict__["__new__"], layer.add_weight

    def counted_make(kind: Any, *args: Any, **kwargs: Any) -> Any:
        count("layers", 1)
        return make.__func__(kind, *args, **kwargs)

    @functools.wraps(add)
    def counted_add(self: Any, *args: Any, **kwargs: Any) -> Any:
        shape = kwargs.get("shape", args[0] if args else None)
        count("numbers", math.prod(shape) if isinstance(shape, list | tuple) else shape or 1)
        return add(self, *args, **kwargs)

    layer.__new__, layer.add_weight = staticmethod(counted_make), counted_add
    try:
        yield
    finally:
        layer.__new__, layer.add_weight = make, add


def _check_index(folder: pathlib.Path) -> None:
    """Refuses parts of the weights that are not in the folder."""
    parts = {str(part) for part in read_json(folder / INDEX)["weight_map"].values()}
    outside = [part for part in sorted(parts) if pathlib.PurePath(part).name != part]
    if outside:
        raise WeightsError(
            f"{folder / INDEX} names {outside[0]!r}.", valid="names of files beside it"
        )
