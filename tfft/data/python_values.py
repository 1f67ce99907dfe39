"""Reads single Python values of examples: texts, labels, answers and images."""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfft.argument_checks.validated import shown
from tfft.errors import DataError, near
from tfft.preprocessing.media_files import data_uri

SEE = "tfft list"
CALL = "help(tfft.sources.memory.memory)"
value_error = functools.partial(DataError, see=SEE, call=CALL)  # of examples in Python


def plain(value: Any) -> Any:
    """Returns a tensor as an array, and a single value of NumPy as a Python value."""
    if hasattr(value, "numpy") and hasattr(value, "shape"):
        value = value.numpy()
    return value.item() if isinstance(value, np.ndarray | np.generic) and not value.ndim else value


def read_text(value: Any, where: str, structured: bool = False) -> str:
    """Returns a text, from a string or bytes in UTF-8.

    Args:
      value: of an example.
      where: the example, for errors.
      structured: take lists and dicts too, as JSON.

    Raises:
      DataError: it is something else.
    """
    value = plain(value)
    try:
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, str):
            value.encode()
            return str(value)
    except UnicodeError as error:
        problem = f"a text is not UTF-8: {error.reason}, at {error.start}."  # type: ignore[attr-defined]
        raise value_error(problem, set_in=where, valid="texts in UTF-8") from error
    if structured and isinstance(value, list | dict):
        return read_answer(value, where)
    problem = f"a text is {str(value)[:40]!r}, a {type(value).__name__}."
    raise value_error(problem, set_in=where, valid="a string")


def read_label(value: Any, names: Sequence[str] | None, where: str) -> str:
    """Returns a label as a string.

    Args:
      value: text, a number or a bool; 1 and 1.0 are "1", True is "true".
      names: of integer labels, which are places in it; None if there are none.
      where: the example, for errors.

    Raises:
      DataError: it is no label, or has no name.
    """
    value = plain(value)
    if isinstance(value, str | bytes):
        label = read_text(value, where)
        if not label.strip() or label == "nan":
            raise _no_label(label, where)
        if names is not None and label not in names:
            valid = f"{near(label, names)}, of label_names"
            raise value_error(f"label {label!r} has no name.", set_in=where, valid=valid)
        return label
    if not (isinstance(value, int) or isinstance(value, float) and math.isfinite(value)):
        raise _no_label(value, where)
    if names is None:
        if value != int(value):
            raise _no_label(value, where)
        return str(value).lower() if isinstance(value, bool) else str(int(value))
    if int(value) != value or not 0 <= value < len(names):
        valid = f"0 to {len(names) - 1}, for {len(names)} label_names"
        raise value_error(f"label {value} has no name.", set_in=where, valid=valid)
    return str(names[int(value)])


def _no_label(value: Any, where: str) -> DataError:
    valid = "a label: text, a whole number or a bool"
    if isinstance(value, float) and value == value:
        valid += "; for other numbers str(label), or TextRegression and classes=False"
    if isinstance(value, np.ndarray | list | tuple):
        valid += "; of a one-hot row the number of the class, np.argmax(row)"
        valid += "; for several labels of an example, MultiLabelClassification and classes=False"
    received = str(value)[:40] if isinstance(value, np.ndarray) else shown(value)
    problem = f"an example has no label. Received: label={received}."
    return value_error(problem, set_in=where, valid=valid)


def read_answer(value: Any, where: str) -> str:
    """Returns an answer that is no label: text as it is, anything else as JSON.

    Raises:
      DataError: it is missing, not finite, or of a type that JSON does not have.
    """
    value = plain(value)
    if isinstance(value, str | bytes):
        text = read_text(value, where)
        if not text.strip() or text == "nan":
            raise _no_answer(value, where)
        return text
    if value is None:
        raise _no_answer(value, where)
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_in_json)
    except (TypeError, ValueError) as error:
        raise _no_answer(value, where) from error


def _no_answer(value: Any, where: str) -> DataError:
    problem = f"an example has no answer. Received: label={shown(value)}."
    valid = "text, a finite number, or a list or dict of them"
    return value_error(problem, set_in=where, valid=valid)


def _in_json(value: Any) -> Any:
    """Returns the JSON value for a NumPy value, a tensor or bytes in a list."""
    value = plain(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} is no value of JSON")


def read_number(value: Any, where: str) -> str:
    """Returns a finite number as it is written.

    Raises:
      DataError: it is something else.
    """
    value = plain(value)
    try:
        if not isinstance(value, bool) and math.isfinite(float(value)):
            return value.strip() if isinstance(value, str) else str(value)
    except (TypeError, ValueError, OverflowError):
        pass
    problem = f"a number is {shown(value)}."
    raise value_error(problem, set_in=where, valid="a finite number")


def read_sound(value: Any, sample_rate: int, where: str) -> str:
    """Returns a sound as a path or a data URI of a WAV file.

    Args:
      value: a path, a data URI, or samples between -1 and 1, float [t].
      sample_rate: of samples.
      where: the example, for errors.

    Raises:
      DataError: it is something else.
    """
    value = plain(value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim == 1 and len(value):
        import tensorflow as tf

        samples = tf.constant(value[:, None], tf.float32)
        wav: Any = tf.audio.encode_wav(samples, sample_rate)
        return data_uri(wav.numpy(), "wav", where, "audio")
    valid = "the path of a WAV file, or an array of samples between -1 and 1, float [samples]"
    return _read_path(value, where, "a sound", valid)


def read_image(value: Any, where: str) -> str:
    """Returns an image as a path or a data URI.

    Args:
      value: a path, a data URI, or pixels 0 to 255, uint8 [h w], [h w 1] or [h w 3].
      where: the example, for errors.

    Raises:
      DataError: it is something else.
    """
    value = plain(value)
    if isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.size:
        pixels = value[..., None] if value.ndim == 2 else value
        if pixels.ndim == 3 and pixels.shape[-1] in (1, 3):
            import tensorflow as tf

            return data_uri(tf.io.encode_png(pixels).numpy(), "png", where)
    valid = "the path of a file, or an array of pixels 0 to 255, uint8 [height width 3]"
    return _read_path(value, where, "an image", valid)


def _read_path(value: Any, where: str, kind: str, valid: str) -> str:
    """Returns a path or a data URI; refuses other values."""
    if isinstance(value, str | bytes | os.PathLike):
        return read_text(os.fspath(value), where)
    array = isinstance(value, np.ndarray)
    received = f"{value.dtype} {list(value.shape)}" if array else shown(value)
    raise value_error(f"{kind} is {received}.", set_in=where, valid=valid)
