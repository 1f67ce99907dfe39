"""Checks of what the members of a task return, with errors that name the member."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.baselines.base import Floor
from tfft.data.encoded_split import Ragged
from tfft.errors import ConfigError, near
from tfft.metrics.aggregates import MEASURES
from tfft.metrics.record_aggregates import RECORDS

SEE = "docs/own_task.md"
ONE_AXIS = ("mean", "root_mean", "ratio", "pearson", "exp_ratio")  # whose terms are [n]


def check_definition(task: Any) -> None:
    """Refuses a task that lacks what every run needs of it.

    Raises:
      ConfigError: it has no name, no metrics, or does not keep an argument of its constructor.
    """
    kind = type(task).__name__
    if not task.name:
        raise ConfigError(
            f"{kind} has no name.", set_in=f"{kind}.name", valid='such as "stars"', see=SEE
        )
    evaluator = task.build_evaluator()
    if not evaluator.metrics:
        raise ConfigError(
            f"{type(evaluator).__name__} has no metrics.",
            set_in=f"{type(evaluator).__name__}.metrics",
            valid='reported({"accuracy": "accuracy"}), of tfft.tasks.evaluators.base',
            see=SEE,
        )
    try:
        task.get_config()
    except KeyError as error:
        raise ConfigError(
            f"{kind} does not keep the argument {error.args[0]!r} of its constructor.",
            set_in=f"{kind}.get_config",
            valid=f"self.{error.args[0]} = {error.args[0]}; or a get_config of its own",
            see=SEE,
        ) from error


def check_targets(task: Any, encoded: Any, targets: Any) -> None:
    """Refuses targets that are not one for each example.

    Args:
      task: whose `encode_targets` returned them.
      encoded: the inputs of the examples.
      targets: an array, `Ragged`, or a nested dict of them.

    Raises:
      ConfigError: says what they are.
    """
    where, count = f"{type(task).__name__}.encode_targets", encoded.size
    for leaf in tf.nest.flatten(targets):
        ragged = isinstance(leaf, Ragged)
        if not ragged and not isinstance(leaf, np.ndarray):
            raise ConfigError(
                f"targets must be NumPy arrays or Ragged. Received: {type(leaf).__name__}.",
                set_in=where,
                valid="an array [n ...], Ragged, or a dict of them",
                see=SEE,
            )
        by_token = ragged and leaf.along == "tokens"  # examples may be several rows of tokens
        found = len(leaf.lengths) if ragged else len(leaf)
        if found != count and not by_token:
            raise ConfigError(
                f"targets must have a value for each of {count:,} examples. Received: {found:,}.",
                set_in=where,
                valid="one for each of examples.answers, in their order",
                see=SEE,
            )


def check_terms(evaluator: Any, count: int | None, terms: Mapping[str, Any]) -> None:
    """Refuses terms that are not one for each example.

    Args:
      evaluator: whose `terms` returned them.
      count: of the examples; None if that is not known.

    Raises:
      ConfigError: an aggregate is not known, or a term has another shape.
    """
    where = f"{type(evaluator).__name__}.terms"
    known = [*MEASURES, *RECORDS]
    for key, (aggregate, own) in terms.items():
        if aggregate not in known:
            raise ConfigError(
                f"{aggregate!r} is not an aggregate.", set_in=where, valid=near(aggregate, known)
            )
        for name, values in own.items() if count is not None else ():
            shape = np.shape(values)
            if shape[:1] != (count,) or (aggregate in ONE_AXIS and len(shape) > 1):
                raise ConfigError(
                    f"the term {name!r} of {key!r} must have a value for each of {count:,} "
                    f"examples. Received: shape={shape}.",
                    set_in=where,
                    valid=f"an array of the shape ({count},)",
                    see=SEE,
                )


def check_baselines(evaluator: Any, baselines: Mapping[str, Any]) -> Mapping[str, Floor]:
    """Returns what an evaluator's `baselines` gave.

    Raises:
      ConfigError: the outputs of one are not in a `Floor`.
    """
    for name, found in baselines.items():
        if not isinstance(found, Floor):
            raise ConfigError(
                f"the baseline {name!r} must be a Floor. Received: {type(found).__name__}.",
                set_in=f"{type(evaluator).__name__}.baselines",
                valid="tfft.baselines.base.Floor(outputs)",
                see=SEE,
            )
    return baselines


def check_predictions(signature: Any, count: int, predictions: Sequence[Mapping[str, Any]]) -> None:
    """Refuses predictions that cannot be written, or are not one for each example.

    Raises:
      ConfigError: the number is another, or a value is not one of JSON.
    """
    where = f"{type(signature).__name__}.format_predictions"
    if len(predictions) != count:
        raise ConfigError(
            f"there must be a prediction for each of {count:,} examples. Received: "
            f"{len(predictions):,}.",
            set_in=where,
            valid="a dict for each example, in their order",
            see=SEE,
        )
    for name, value in predictions[0].items() if count else ():
        try:
            json.dumps(value)
        except TypeError as error:
            raise ConfigError(
                f"the value {name!r} of a prediction cannot be written as JSON: {error}.",
                set_in=where,
                valid="text, Python numbers, and lists and dicts of them: float(value), "
                "array.tolist()",
                see=SEE,
            ) from error
