"""ROC and precision-recall curves: how a class is separated from the others at every threshold."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from tfft.metrics.confidence_intervals import areas

MOST_CURVES = 6  # that one picture can hold
MOST_POINTS = 200
TOLERANCE = 0.0005  # of an axis: a quarter of a pixel on the page


def ranking(
    truth: np.ndarray, probabilities: np.ndarray, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns the curves of the classes to plot, each against the rest.

    Of two classes it is the rarer one, the second where they are equally frequent. Of more it is
    all, or the `MOST_CURVES` with the lowest average precision, the lowest first. Classes without
    areas, as those that do not occur, have no curve.

    Args:
      truth: class numbers, int [n].
      probabilities: float [n c].
      names: of the classes, in the order of the columns.

    Returns:
      `label`; `share`, of its texts, which is the precision of chance; `roc` with
      `false_positive_rate` and `true_positive_rate`; `precision_recall` with `recall` and
      `precision`. The points of a curve go from 0 to 1 and are joined by straight lines.
    """
    classes = [areas(truth == number, probabilities[:, number]) for number in range(len(names))]
    plotted = [number for number, each in enumerate(classes) if each["roc_auc"] is not None]
    if len(names) == 2:
        plotted = sorted(plotted[::-1], key=np.bincount(truth, minlength=2).__getitem__)[:1]
    if len(plotted) > MOST_CURVES:
        precision = [each["average_precision"] or 0.0 for each in classes]
        plotted = sorted(plotted, key=precision.__getitem__)[:MOST_CURVES]
    return [_curves(names[number], truth == number, probabilities[:, number]) for number in plotted]


def _curves(name: str, positive: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    false, true, _ = roc_curve(positive, scores)
    precision, recall, _ = precision_recall_curve(positive, scores, drop_intermediate=True)
    # Each precision holds from its recall down to the next: average precision is the area below
    # these steps. The last point, which scikit-learn adds, is no figure of any threshold.
    steps = np.repeat(recall, 2)[1:][::-1], np.repeat(precision, 2)[:-1][::-1]
    return {
        "label": name,
        "share": float(positive.mean()),
        "roc": _simplified("false_positive_rate", "true_positive_rate", false, true),
        "precision_recall": _simplified("recall", "precision", *(column[1:] for column in steps)),
    }


def _simplified(across: str, up: str, x: np.ndarray, y: np.ndarray) -> dict[str, list[float]]:
    chosen = line_points(x, y)
    return {across: x[chosen].round(5).tolist(), up: y[chosen].round(5).tolist()}


def line_points(x: np.ndarray, y: np.ndarray, most: int = MOST_POINTS) -> list[int]:
    """Returns the numbers of the points that a line needs, its ends among them.

    The point that lies farthest from the line so far comes first (Douglas and Peucker, 1973), until
    there are `most` or none lies farther than `TOLERANCE`.
    """
    points = np.column_stack([x, y])
    chosen, open_ = {0, len(points) - 1}, [_farthest(points, 0, len(points) - 1)]
    while len(chosen) < most and -open_[0][0] > TOLERANCE:
        _, first, at, last = heapq.heappop(open_)
        chosen.add(at)
        heapq.heappush(open_, _farthest(points, first, at))
        heapq.heappush(open_, _farthest(points, at, last))
    return sorted(chosen)


def _farthest(points: np.ndarray, first: int, last: int) -> tuple[float, int, int, int]:
    """Returns minus the distance, and the number, of the point farthest from a straight piece."""
    begin, along = points[first], points[last] - points[first]
    inner = points[first + 1 : last] - begin
    if not len(inner):
        return 0.0, first, first, last
    share = np.clip(inner @ along / max(along @ along, 1e-12), 0, 1)
    distances = np.linalg.norm(inner - share[:, None] * along, axis=1)
    at = int(distances.argmax())
    return -float(distances[at]), first, first + 1 + at, last
