"""What a model says of hidden tokens: sums for its figures, and the floor of frequent ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfft.metrics import corpus
from tfft.metrics.floors import Floor

Sums = dict[str, dict[str, np.ndarray]]


def sums(truth: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> Sums:
    """Returns what each text adds to each figure, by the figure: float64 [n] by key.

    Args:
      truth: of each text the ids that are hidden, -1 elsewhere, int [t].
      outputs: the most probable ids, their probabilities, and the logarithm of that of the truth,
        [t 2 k + 1] a text.
    """
    tokens, loss, hits, among = (np.zeros(len(truth)) for _ in range(4))
    for row, (ids, output) in enumerate(zip(truth, outputs, strict=True)):
        hidden = ids >= 0
        found, most = output[hidden].astype(float), output.shape[1] // 2
        right = found[:, :most] == ids[hidden, None]
        tokens[row], loss[row] = hidden.sum(), -found[:, -1].sum()
        hits[row], among[row] = right[:, 0].sum(), right.sum()
    return {
        "perplexity": {"loss": loss, "tokens": tokens},
        "accuracy": {"part": hits, "whole": tokens},
        "among_most": {"part": among, "whole": tokens},
    }


def shares(values: np.ndarray, size: int) -> np.ndarray:
    """Returns the share of each of `size` ids among `values`, each counted once more: [size]."""
    counts = np.bincount(values, minlength=size) + 1.0
    return counts / counts.sum()


def constant(share: np.ndarray, truth: Sequence[np.ndarray], most: int) -> list[np.ndarray]:
    """Returns the outputs of a model that answers with the same shares for every hidden token.

    Args:
      share: of each id, [v].
      truth: of each text the ids that are hidden, -1 elsewhere, int [t].
      most: how many of the most frequent it names.
    """
    best = np.argsort(-share, kind="stable")[:most]
    same = np.concatenate([best, share[best]])
    logs = np.log(share)
    return [
        np.where(
            (ids >= 0)[:, None],
            np.column_stack([np.tile(same, (len(ids), 1)), logs[np.maximum(ids, 0)]]),
            0.0,
        )
        for ids in truth
    ]


def figures(truth: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> dict[str, Any]:
    """Returns perplexity and shares with their intervals; arguments as of `sums`."""
    found = sums(truth, outputs)
    measures = {name: "exp_ratio" if name == "perplexity" else "ratio" for name in found}
    return corpus.figures({name: (measures[name], each) for name, each in found.items()})


def entropy(hidden: np.ndarray) -> float:
    """Returns the mean loss of answering the shares of the hidden ids, int [m]; -1 for none."""
    counts = np.bincount(hidden[hidden >= 0])
    shared = counts[counts > 0] / counts.sum()
    return float(-shared @ np.log(shared))


def floors(
    train: Sequence[np.ndarray], test: Sequence[np.ndarray], tokens: int, most: int
) -> dict[str, Floor]:
    """Returns the answers by how often each of `tokens` ids is hidden in the training texts."""
    seen = np.concatenate(train)
    share = shares(seen[seen >= 0], tokens)
    described = {"fitted_on": len(train), "training_texts": len(train)}
    return {"frequency": Floor(constant(share, test, most), described)}
