"""Two models on the same examples: how far apart they are, and whether chance alone could do it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.stats import binomtest

RESAMPLES = 2000
LARGEST_DRAW = 4_000_000  # counts that are held at once while resampling: 32 MB


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
    classes = int(cells.max()) + 1
    right = (other == truth).astype(int) - (base == truth)

    def differences(draws: np.ndarray) -> np.ndarray:
        before, after = (_macro_f1(draws, truth, part, classes) for part in (base, other))
        return after - before

    value = float(differences(counts[None])[0])
    draws = np.concatenate([differences(part) for part in _draws(counts)])
    low, high = np.quantile(draws, [0.025, 0.975])
    only_base, only_other = int(counts[right < 0].sum()), int(counts[right > 0].sum())
    return {
        "macro_f1": {"value": value, "low": float(low), "high": float(high)},
        "mcnemar": mcnemar(only_base, only_other),
    }


def mcnemar(only_base: int, only_other: int) -> dict[str, Any]:
    """Returns McNemar's test (1947), exact: could a fair coin have settled what differs?

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


def _macro_f1(
    counts: np.ndarray, truth: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    """Returns macro F1 over the classes that occur, of draws of cells: float [draws].

    Args:
      counts: of the cells, int [draws cells].
      truth, predicted: class numbers of the cells, int [cells].
    """
    cells = np.arange(len(truth))

    def summed_by(numbers: np.ndarray, kept: np.ndarray) -> np.ndarray:
        to_class = sparse.csr_matrix((kept, (cells, numbers)), (len(cells), classes))
        return np.asarray(counts @ to_class)

    every = np.ones(len(cells), int)
    occurs = summed_by(truth, every) + summed_by(predicted, every)
    f1 = 2 * summed_by(truth, (truth == predicted).astype(int)) / np.maximum(occurs, 1)
    return f1.sum(1) / (occurs > 0).sum(1)


def _draws(counts: np.ndarray, seed: int = 0) -> Any:
    """Yields resamples of the examples as counts of each kind of them, int [draws kinds]."""
    rng, total = np.random.default_rng(seed), int(counts.sum())
    at_once = max(1, LARGEST_DRAW // len(counts))
    for done in range(0, RESAMPLES, at_once):
        yield rng.multinomial(total, counts / total, min(at_once, RESAMPLES - done))
