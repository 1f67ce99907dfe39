"""Answers that are numbers: reading, checks, and metrics of predictions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from tfft.errors import DataError

LARGEST = 1e18  # the square is within float32
HUGE = 1e30  # no measured number, but a sign for a missing one
SENTINELS = (
    *(sign * (10.0**digits - 1) for digits in range(2, 7) for sign in (-1, 1)),
    *(-32768.0, -2147483648.0, 2147483647.0),
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SPACES = " '\u2019\u00a0\u202f\u2009"  # between thousands
# What is wrong with a number as it is written, and how it is written right.
_WRITTEN: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    (r".*\d\s*%", "a percent sign", lambda text: text.rstrip("% ")),
    (r"[+-]?[\d_]*\d_\d[\d_.]*", "an underscore", lambda text: text.replace("_", "")),
    (r"[+-]?0[xX][0-9a-fA-F]+", "hexadecimal digits", lambda text: str(int(text, 16))),
    (
        r"[+-]?[1-9]\d{0,2},\d{3}",
        "a comma, between thousands or before decimals",
        lambda text: f"{text.replace(',', '')} or {text.replace(',', '.')}",
    ),
    (
        r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?",
        "commas between thousands",
        lambda text: text.replace(",", ""),
    ),
    (
        r"[+-]?\d{1,3}(\.\d{3})+(,\d*)?",
        "points between thousands",
        lambda text: text.replace(".", "").replace(",", "."),
    ),
    (r"[+-]?\d*,\d+([eE][+-]?\d+)?", "a decimal comma", lambda text: text.replace(",", ".")),
    (
        rf"[+-]?\d{{1,3}}([{_SPACES}]\d{{3}})+([.,]\d*)?",
        "a separator between thousands",
        lambda text: re.sub(f"[{_SPACES}]", "", text).replace(",", "."),
    ),
)


def parse(answer: str) -> float | None:
    """Returns an answer as a number; None if it is not written as digits with a decimal point."""
    text = answer.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def check(counts: Mapping[str, int]) -> None:
    """Refuses answers that are not numbers, or beyond float32.

    Args:
      counts: Number of examples with each answer.

    Raises:
      DataError: Its `answers` are the wrong ones.
    """
    values = {answer: parse(answer) for answer in counts}
    wrong = [answer for answer, value in values.items() if value is None]
    if wrong:
        problem, valid = _reason(wrong[0])
        raise wrong_answers(f"the answer {wrong[0][:80]!r} is no {problem}", valid, wrong, counts)
    wrong = [answer for answer, value in values.items() if abs(value or 0.0) > _MOST]
    if wrong:
        problem = f"the answer {wrong[0]!r} is no finite number of float32"
        raise wrong_answers(problem, "a number; no row for a missing one", wrong, counts)


_MOST = float(np.finfo(np.float32).max)


def _reason(answer: str) -> tuple[str, str]:
    """Returns what an answer is not, and what would be right."""
    text = answer.strip()
    if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        return "finite number", "a number; no row for a missing one"
    for pattern, name, right in _WRITTEN:
        if re.fullmatch(pattern, text, re.ASCII):
            return f"number: it has {name}", right(text)
    return "number", "a number with a decimal point, such as 3.5"


def wrong_answers(
    problem: str, valid: str, wrong: Sequence[str], counts: Mapping[str, int]
) -> DataError:
    """Returns the error of some answers, with the number of examples that have them."""
    count, total = sum(map(counts.__getitem__, wrong)), sum(counts.values())
    which = "It is one" if count == 1 else f"There are {count:,} such answers,"
    return DataError(f"{problem}. {which} of {total:,}.", valid=valid, answers=wrong)


def check_sentinels(
    counts: Mapping[str, int], sentinels: Sequence[float], low: float, high: float
) -> None:
    """Refuses numbers that stand for a missing answer in many files.

    Args:
      counts: Number of examples with each answer.
      sentinels: Refused if they are far outside of the range.
      low, high: Range of the answers that are no sentinels.

    Raises:
      DataError: Its `answers` are the wrong ones.
    """
    margin = 5 * (high - low)
    wrong = [
        answer
        for answer in counts
        if is_sentinel(value := float(answer), sentinels)
        and not low - margin <= value <= high + margin
    ]
    if wrong:
        raise wrong_answers(
            f"the answer {wrong[0]} is far from the others, {low:g} to {high:g}: it seems to stand "
            "for a missing number",
            "rows with an answer alone; TextRegression.sentinels = () if it is a number",
            wrong,
            counts,
        )


def is_sentinel(value: float, sentinels: Sequence[float]) -> bool:
    """Returns True if a number is one of `sentinels`, or too large to be measured."""
    return bool(sentinels) and (value in sentinels or abs(value) >= HUGE)


def check_scale(values: np.ndarray, center: float, scale: float) -> None:
    """Refuses numbers that cannot be standardized in float32.

    Args:
      values: float [n].
      center, scale: Their mean and standard deviation.

    Raises:
      DataError: They, or their squares, are beyond float32, or it does not keep their differences.
    """
    most = float(np.abs(values).max())
    step = float(np.spacing(np.float32(most)))
    if scale < 4 * step:
        raise DataError(
            f"the training answers have a standard deviation of {scale:g} around {center:g}, where "
            f"float32 has steps of {step:g}.",
            valid="the same numbers less their mean",
        )
    if not scale < LARGEST or most > LARGEST or scale < 1 / LARGEST:
        raise DataError(
            f"the training answers reach {most:g}, their standard deviation is {scale:g}: the "
            "squared error is beyond float32.",
            valid=f"numbers below {LARGEST:g} with a deviation above {1 / LARGEST:g}: another unit",
        )


def read(answers: Sequence[str]) -> np.ndarray:
    """Returns answers as float32 [n].

    Raises:
      DataError: one is no number, or none that is finite.
    """
    check(dict.fromkeys(answers, 1))
    return np.array([float(answer) for answer in answers], np.float32)


def correlations(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Returns the aggregate and the terms of Pearson's and Spearman's correlation.

    Args:
      truth, predicted: float [n] each, by any scale.
    """
    plain = {"x": truth.astype(float), "y": predicted.astype(float)}
    ranks = {"x": rankdata(truth), "y": rankdata(predicted)}
    return {"pearson": ("pearson", plain), "spearman": ("pearson", ranks)}


def measures(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Returns `correlations`, and the same of the mean errors, absolute and squared."""
    error = predicted.astype(np.float64) - truth
    return {
        **correlations(truth, predicted),
        "mae": ("mean", {"score": np.abs(error)}),
        "rmse": ("root_mean", {"score": error**2}),
    }
