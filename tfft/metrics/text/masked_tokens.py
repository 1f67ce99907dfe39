"""Metrics of predicted hidden tokens, and the constant prediction of the most frequent ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

FIGURES = {
    "perplexity": "perplexity of a hidden token",
    "accuracy": "hidden tokens guessed",
    "among_most": "among the words named",
}


def hidden(targets: Any) -> list[np.ndarray]:
    """Returns the ids that are hidden in each text, -1 elsewhere, int [t].

    Args:
      targets: `Ragged`, those ids and the numbers of the words, [t 2] a text.
    """
    return [row[:, 0] for row in targets.rows()]


def measures(truth: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> dict[str, Any]:
    """Returns the aggregate and the terms of each of `FIGURES`.

    Args:
      truth: of each text the ids that are hidden, -1 elsewhere, int [t].
      outputs: the most probable ids, their probabilities, and the logarithm of that of the truth,
        [t 2 k + 1] a text.
    """
    tokens, loss, hits, among = (np.zeros(len(truth)) for _ in range(4))
    for row, (ids, output) in enumerate(zip(truth, outputs, strict=True)):
        hidden = ids >= 0
        values, most = output[hidden].astype(float), output.shape[1] // 2
        right = values[:, :most] == ids[hidden, None]
        tokens[row], loss[row] = hidden.sum(), -values[:, -1].sum()
        hits[row], among[row] = right[:, 0].sum(), right.sum()
    return {
        "perplexity": ("exp_ratio", {"loss": loss, "tokens": tokens}),
        "accuracy": ("ratio", {"part": hits, "whole": tokens}),
        "among_most": ("ratio", {"part": among, "whole": tokens}),
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
    outputs = []
    for ids in truth:
        row = np.column_stack([np.tile(same, (len(ids), 1)), logs[np.maximum(ids, 0)]])
        outputs.append(np.where((ids >= 0)[:, None], row, 0.0))
    return outputs


def entropy(hidden: np.ndarray) -> float:
    """Returns the mean loss of answering the shares of the hidden ids, int [m]; -1 for none."""
    counts = np.bincount(hidden[hidden >= 0])
    shared = counts[counts > 0] / counts.sum()
    return float(-shared @ np.log(shared))


def told(
    truth: Sequence[np.ndarray], outputs: Sequence[np.ndarray], names: Sequence[str]
) -> list[dict[str, str]]:
    """Returns the hidden words of each text and the most probable ones: `truth` and `predicted`.

    Args:
      truth, outputs: as in `measures`.
      names: of the tokens, by their ids.
    """
    words, rows = np.array(names), []
    for ids, output in zip(truth, outputs, strict=True):
        there = ids >= 0
        sides = {"truth": ids[there], "predicted": output[there, 0].astype(int)}
        rows.append({side: " ".join(words[each]) for side, each in sides.items()})
    return rows
