"""Two models on the same examples: their difference, and whether chance explains it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import binomtest

from tfft.metrics.confidence_intervals import chunks, class_counts

RESAMPLES = 2000


def compare_predictions(truth: np.ndarray, base: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    """Returns how another model's predictions stand to a base's on the same examples.

    Args:
      truth, base, other: class numbers, int [n].

    Returns:
      `macro_f1`: the difference, other minus base, with its 95 % paired bootstrap interval (Efron
      and Tibshirani, 1993); `mcnemar`: see there.
    """
    cells, counts = np.unique(np.stack([truth, base, other]), axis=1, return_counts=True)
    truth, base, other = cells
    right = (other == truth).astype(int) - (base == truth)

    def macro_f1(draws: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        hits, support, called = class_counts(draws, truth, predicted, int(cells.max()) + 1)
        occurs = support + called
        return (2 * hits / np.maximum(occurs, 1)).sum(1) / (occurs > 0).sum(1)

    def differences(draws: np.ndarray) -> np.ndarray:
        return macro_f1(draws, other) - macro_f1(draws, base)

    rng, total = np.random.default_rng(0), int(counts.sum())
    sizes = chunks(RESAMPLES, len(counts))
    draws = [differences(rng.multinomial(total, counts / total, size)) for size in sizes]
    low, high = np.quantile(np.concatenate(draws), [0.025, 0.975])
    figure = {"value": float(differences(counts[None])[0]), "low": float(low), "high": float(high)}
    only_base, only_other = int(counts[right < 0].sum()), int(counts[right > 0].sum())
    return {"macro_f1": figure, "mcnemar": mcnemar(only_base, only_other)}


def mcnemar(only_base: int, only_other: int) -> dict[str, Any]:
    """Returns McNemar's test (1947), exact: could a fair coin have settled the differences?

    Args:
      only_base: examples that the base alone has right.
      only_other: those that the other model alone has right.

    Returns:
      Both numbers, and `p`, the two-sided chance of a split at least as uneven as this one if both
      models were equally good. It is 1 where they differ on no example.
    """
    differing = only_base + only_other
    p = binomtest(only_other, differing, 0.5).pvalue if differing else 1.0
    return {"only_base": only_base, "only_other": only_other, "p": float(p)}
