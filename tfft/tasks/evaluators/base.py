"""How outputs become metrics and a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.baselines.base import Floor
from tfft.data.examples import Examples
from tfft.errors import ConfigError
from tfft.metrics import aggregates
from tfft.tasks.definition_checks import check_terms

Details = dict[str, Any]  # JSON-able part of a report
Floors = dict[str, Floor]  # by the name of a baseline
Log = Callable[[str], None] | None
Terms = Mapping[str, tuple[str, aggregates.Terms]]


@dataclasses.dataclass(frozen=True)
class ReportedMetric:
    """A metric that every report of a task has.

    Attributes:
      key: in report.json.
      title: how a person reads it.
      greater_is_better: whether a larger value is better.
      not_served: why an export cannot give it; "" where it can.
    """

    key: str
    title: str
    greater_is_better: bool = True
    not_served: str = ""


def reported(
    titles: Mapping[str, str],
    less_is_better: Sequence[str] = (),
    not_served: Mapping[str, str] | None = None,
) -> tuple[ReportedMetric, ...]:
    """Returns metrics by key and title, the main one first.

    Args:
      less_is_better: keys of those of which a smaller value is better.
      not_served: by key why an export cannot give it.
    """
    return tuple(
        ReportedMetric(key, title, key not in less_is_better, (not_served or {}).get(key, ""))
        for key, title in titles.items()
    )


class Evaluator:
    """Evaluates the outputs of a task's model; `Task.build_evaluator` returns it.

    Attributes:
      metrics: what is reported; the first is the main one, of the result line, of slices and of
        comparisons.
      aggregate: how the main metric follows from its terms, a name of `tfft.metrics.aggregates`.
    """

    metrics: tuple[ReportedMetric, ...] = ()
    aggregate: str = "mean"

    def terms(self, examples: Examples, outputs: Any) -> Terms:
        """Returns for each metric its aggregate, and what each example adds to it."""
        raise NotImplementedError

    def main_terms(self, examples: Examples, outputs: Any) -> aggregates.Terms:
        """Returns what each example adds to the main metric, [n] by key."""
        key, terms = self.metrics[0].key, self._checked_terms(examples, outputs)
        if key not in terms:
            raise ConfigError(
                f"there are no terms of the main metric {key!r}. Received: {', '.join(terms)}.",
                set_in=f"{type(self).__name__}.terms",
                valid=key,
                see="docs/own_task.md",
            )
        return terms[key][1]

    def evaluate(self, examples: Examples, outputs: Any) -> Details:
        """Returns all metrics of outputs, those of `metrics` with their intervals."""
        return aggregates.figures(self._checked_terms(examples, outputs))

    def _checked_terms(self, examples: Examples, outputs: Any) -> Terms:
        terms = self.terms(examples, outputs)
        check_terms(self, len(examples) if examples.inputs else None, terms)
        return terms

    def greater_is_better(self, name: str) -> bool | None:
        """Returns whether a larger value of a metric is better; None for one that is not its own.

        Args:
          name: the key of one of `metrics`.
        """
        return {metric.key: metric.greater_is_better for metric in self.metrics}.get(name)

    def predicted_classes(self, outputs: Any) -> np.ndarray:
        """Returns the class numbers of outputs, int [n], where the target is one of classes."""
        raise NotImplementedError

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        """Returns the outputs of models that need no network, for the test examples."""
        return {}

    def frozen_feature_baseline(self, train: np.ndarray, targets: Any, test: np.ndarray) -> Floor:
        """Returns the outputs of a simple model on a frozen backbone's pooled outputs, [n d].

        Raises:
          ConfigError: there is none for this task.
        """
        raise ConfigError(
            "this task has no baseline of frozen features.",
            set_in="train.feature_floor",
            valid="train.feature_floor = False",
        )

    def constant_loss(self, targets: Any) -> float | None:
        """Returns the training loss of the best output that is the same for every example."""
        return None

    def slices(self, examples: Examples) -> dict[str, Sequence[str]]:
        """Returns divisions of examples that every report has, a value for each example."""
        return {}

    def data_warnings(self, examples: Examples) -> list[str]:
        """Returns what a person has to know of examples with targets, a line each."""
        return []

    def report_details(self, examples: Examples, outputs: Any) -> Details:
        """Returns further content of report.json."""
        return {}

    def report_examples(self, examples: Examples, outputs: Any) -> Details:
        """Returns examples for the report: `mistake_count`, `mistakes`, `least_certain`.

        A task that does not say which predictions are mistakes has None for the first. The latter
        two are lists of dicts: `text`, `characters_left_out`, `truth`, `predicted`, and what more
        the task knows.
        """
        return {"mistake_count": None, "mistakes": [], "least_certain": []}


def greater_is_better(evaluator: Evaluator, keras_metrics: Sequence[Any], name: str) -> bool | None:
    """Returns whether a larger value of a metric is better; None if that is not known.

    Args:
      evaluator: its `metrics` have a direction.
      keras_metrics: of the training, which may have one.
      name: "loss", or the name of a metric of either.
    """
    if name == "loss":
        return False
    known = evaluator.greater_is_better(name)
    if known is not None:
        return known
    directions = {metric.name: getattr(metric, "_direction", None) for metric in keras_metrics}
    return {"up": True, "down": False}.get(directions.get(name) or "")
