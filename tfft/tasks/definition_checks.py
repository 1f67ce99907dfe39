"""Checks of the values that the members of a task return, with errors that name the member."""

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

ONE_AXIS = ("mean", "root_mean", "ratio", "pearson", "exp_ratio")  # whose terms are [n]


def _wrong(member: str, problem: str, valid: str) -> ConfigError:
    """Returns the error of a member of a task, such as "Stars.name"."""
    return ConfigError(problem, set_in=member, valid=valid, see="docs/own_task.md")


def check_definition(task: Any) -> None:
    """Refuses a task that lacks what every run needs of it.

    Raises:
      ConfigError: it has no name, no metrics, or does not keep an argument of its constructor.
    """
    kind = type(task).__name__
    if not task.name:
        raise _wrong(f"{kind}.name", f"{kind} has no name.", 'such as "stars"')
    evaluator = task.build_evaluator()
    if not evaluator.metrics:
        own = type(evaluator).__name__
        valid = 'reported({"accuracy": "accuracy"}), of tfft.tasks.evaluators.base'
        raise _wrong(f"{own}.metrics", f"{own} has no metrics.", valid)
    try:
        task.get_config()
    except KeyError as error:
        name = error.args[0]
        problem = f"{kind} does not keep the argument {name!r} of its constructor."
        valid = f"self.{name} = {name}; or a get_config of its own"
        raise _wrong(f"{kind}.get_config", problem, valid) from error


def check_targets(task: Any, encoded: Any, targets: Any) -> None:
    """Refuses targets that are not one for each example.

    Args:
      task: whose `encode_targets` returned them.
      encoded: the inputs of the examples.
      targets: an array, `Ragged`, or a nested dict of them.

    Raises:
      ConfigError: says what they are.
    """
    member = f"{type(task).__name__}.encode_targets"
    for leaf in tf.nest.flatten(targets):
        ragged = isinstance(leaf, Ragged)
        if not ragged and not isinstance(leaf, np.ndarray):
            problem = f"targets must be NumPy arrays or Ragged. Received: {type(leaf).__name__}."
            raise _wrong(member, problem, "an array [n ...], Ragged, or a dict of them")
        by_token = ragged and leaf.along == "tokens"  # examples may be several rows of tokens
        size = len(leaf.lengths) if ragged else len(leaf)
        if size != encoded.size and not by_token:
            problem = (
                f"targets must have a value for each of {encoded.size:,} examples. Received: "
                f"{size:,}."
            )
            raise _wrong(member, problem, "one for each of examples.answers, in their order")


def check_terms(evaluator: Any, count: int | None, terms: Mapping[str, Any]) -> None:
    """Refuses terms that are not one for each example.

    Args:
      evaluator: whose `terms` returned them.
      count: of the examples; None if that is not known.

    Raises:
      ConfigError: an aggregate is not known, or a term has another shape.
    """
    member, known = f"{type(evaluator).__name__}.terms", [*MEASURES, *RECORDS]
    for key, (aggregate, own) in terms.items():
        if aggregate not in known:
            problem = f"{aggregate!r} is not an aggregate."
            raise _wrong(member, problem, near(aggregate, known))
        for name, values in own.items() if count is not None else ():
            shape = np.shape(values)
            if shape[:1] != (count,) or (aggregate in ONE_AXIS and len(shape) > 1):
                problem = (
                    f"the term {name!r} of {key!r} must have a value for each of {count:,} "
                    f"examples. Received: shape={shape}."
                )
                raise _wrong(member, problem, f"an array of the shape ({count},)")


def check_baselines(evaluator: Any, baselines: Mapping[str, Any]) -> Mapping[str, Floor]:
    """Returns the baselines of an evaluator.

    Raises:
      ConfigError: the outputs of one are not in a `Floor`.
    """
    for name, value in baselines.items():
        if not isinstance(value, Floor):
            member = f"{type(evaluator).__name__}.baselines"
            problem = f"the baseline {name!r} must be a Floor. Received: {type(value).__name__}."
            raise _wrong(member, problem, "tfft.baselines.base.Floor(outputs)")
    return baselines


def check_predictions(signature: Any, count: int, predictions: Sequence[Mapping[str, Any]]) -> None:
    """Refuses predictions that cannot be written, or are not one for each example.

    Raises:
      ConfigError: the number is another, or a value is not one of JSON.
    """
    member, size = f"{type(signature).__name__}.format_predictions", len(predictions)
    if size != count:
        problem = f"there must be a prediction for each of {count:,} examples. Received: {size:,}."
        raise _wrong(member, problem, "a dict for each example, in their order")
    for name, value in predictions[0].items() if count else ():
        try:
            json.dumps(value)
        except TypeError as error:
            problem = f"the value {name!r} of a prediction cannot be written as JSON: {error}."
            valid = "text, Python numbers, lists and dicts of them: float(value), array.tolist()"
            raise _wrong(member, problem, valid) from error
