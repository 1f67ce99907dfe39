"""Several labels a text: targets, and metrics with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfft.errors import refuse_unknown
from tfft.metrics import aggregates
from tfft.metrics.classification.class_metrics import label_row, mean_area


def marked(answers: Sequence[Sequence[str]], labels: Sequence[str]) -> np.ndarray:
    """Returns 1 at the labels of each answer, float32 [n c].

    Raises:
      DataError: an answer has another label.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    targets = np.zeros((len(answers), len(labels)), np.float32)
    for row, names in enumerate(answers):
        refuse_unknown(names, numbers)
        targets[row, [numbers[name] for name in names]] = 1.0
    return targets


def label_sums(truth: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Returns each example's labels: predicted rightly (`hits`), predicted, and true, [n] each.

    Args:
      truth, predicted: bool [n c].
    """
    return {"hits": (truth & predicted).sum(1), "predicted": predicted.sum(1), "true": truth.sum(1)}


def multi_label_metrics(
    truth: np.ndarray, predicted: np.ndarray, scores: np.ndarray, names: Sequence[str]
) -> dict[str, Any]:
    """Returns all that is reported of a model that predicts any number of labels.

    Args:
      truth, predicted: whether an example has a label, and is predicted to have it, bool [n c].
      scores: probabilities, float [n c].
      names: of the labels.

    Returns:
      Micro F1 (over all labels of all examples), macro F1 (the mean over the labels that occur or
      are predicted), the share of examples with all labels right, and the share of labels that are
      wrong (Hamming loss), with bootstrap or Wilson intervals; average precision, the mean over
      the labels; per label precision, recall, F1, areas and support, None where undefined.
    """
    single = {"hits": truth & predicted, "predicted": predicted, "true": truth}
    figures = aggregates.figures(
        {
            "micro_f1": ("f1", label_sums(truth, predicted)),
            "macro_f1": ("mean_f1", single),
            "subset_accuracy": ("mean", {"score": (truth == predicted).all(1).astype(int)}),
            "hamming_loss": ("mean", {"score": (truth != predicted).mean(1)}),
        }
    )
    classes = {}
    for number, name in enumerate(names):
        own = {key: each[:, number] for key, each in single.items()}
        f1 = aggregates.interval("f1", own)
        classes[name] = label_row(own["true"], own["predicted"], scores[:, number], f1)
    figures["average_precision"] = {"value": mean_area(classes, "average_precision")}
    return {**figures, "classes": classes}


def surest_errors(truth: np.ndarray, predicted: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the numbers of the examples with a wrong label, that of the surest first."""
    sure = np.where(truth != predicted, np.abs(scores - truth), 0.0).max(1)
    wrong = np.flatnonzero((truth != predicted).any(1))
    return wrong[np.argsort(-sure[wrong], kind="stable")]
