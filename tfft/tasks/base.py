"""A task: one problem, what it reads, learns and answers.

A file of `tfft/tasks` declares one problem. Nothing outside asks which task it is: it uses this
interface.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, Self, TypeVar

import keras
import numpy as np

from tfft.data import inputs
from tfft.data.examples import Examples
from tfft.data.inputs import Input, Text
from tfft.tasks.backbone_output import POOLED, BackboneOutput
from tfft.tasks.calibrations.base import Calibration
from tfft.tasks.definition_checks import check_targets
from tfft.tasks.evaluators.base import Evaluator
from tfft.tasks.evaluators.values import ValueEvaluator, absolute_error
from tfft.tasks.signatures.base import DEFAULT, ServingSignature, Signatures
from tfft.tasks.signatures.values import ValueSignature
from tfft.tasks.targets.base import Answers, Counts, Target


class BatchAugmentation(Protocol):
    """Changes a training batch each time that it is seen."""

    def __call__(
        self, inputs: Mapping[str, np.ndarray], targets: Any, rng: np.random.Generator
    ) -> tuple[Mapping[str, np.ndarray], Any]:
        """Returns inputs, [b ...] by name, and targets, nested as given, as they are trained on.

        Args:
          rng: whose seed is that of the run, the epoch and the batch.
        """


class Task:
    """A problem.

    Attributes:
      name: in lower case; the name of the file that declares it.
      inputs: what a prediction is made from, also in an export's signature.
      target: how the answers of a source are read.
      backbone_output: what the head reads.
      augmentation: of training batches; None for none.
      calibration: what validation data decide after training; None for nothing.
    """

    name: ClassVar[str] = ""
    inputs: tuple[Input, ...] = (Text("text"),)
    target: Target = Answers()
    backbone_output: BackboneOutput = POOLED
    augmentation: BatchAugmentation | None = None
    calibration: Calibration | None = None

    def with_training_answers(self, counts: Counts) -> Self:
        """Returns the task for the answers of the training split.

        Args:
          counts: how many training examples have each answer.

        Raises:
          DataError: no model could learn from them.
        """
        task = copy.copy(self)
        task.target = self.target.with_training_answers(counts)
        return task

    def build_preprocessor(self, own: Any) -> Any:
        """Returns what makes the model's inputs of the task's, from a backbone's preprocessor."""
        return own

    def encode_targets(self, examples: Examples) -> Any:
        """Returns what the head learns of examples: [n ...], `Ragged`, or a nested dict of them.

        Raises:
          DataError: an answer is none that this task can learn.
        """
        raise NotImplementedError

    def build_head(self, backbone: Any) -> keras.layers.Layer:
        """Returns the layers from what is read, [b d] or [b t d], to one output or several by name.

        Args:
          backbone: whose embedding the head may use.
        """
        raise NotImplementedError

    def build_loss(self, head: keras.layers.Layer) -> keras.losses.Loss:
        """Returns the loss of a head's outputs; it reads nested targets and outputs whole."""
        raise NotImplementedError

    def build_metrics(self) -> list[keras.metrics.Metric]:
        """Returns what is computed after each epoch, of the same targets and outputs."""
        return []

    def build_evaluator(self) -> Evaluator:
        """Returns the evaluator of the task's outputs, by default of their mean absolute error."""
        metric = "mean_absolute_error"
        return ValueEvaluator({metric: absolute_error}, less_is_better=(metric,))

    def build_signatures(self) -> Signatures:
        """Returns the signatures of an export by name; by default one with the outputs.

        `predict` and exports use the one that is called "serving_default".
        """
        return {DEFAULT: ValueSignature(self)}

    def get_config(self) -> dict[str, Any]:
        """Returns what makes two tasks the same, JSON-able, see `config_of`."""
        return config_of(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Returns a task that answers as the one did whose `get_config` this is."""
        # Arguments of the constructor that the answers of an export depend on.
        names: tuple[str, ...] = getattr(cls, "_answer_arguments", ())
        task = cls(**{name: config[name] for name in names})
        task.target = task.target.with_names(config.get("labels", ()))
        return with_calibration(task, config.get("decision", {}), None)


AnyTask = TypeVar("AnyTask", bound=Task)


class CustomPrediction:
    """A task whose outputs are computed by more than one call of its model."""

    def make_predict_fn(self, model: keras.Model) -> Callable[..., Any]:
        """Returns a function from the model's inputs and `training=False` to its outputs.

        Within a graph: a tensor [b ...], or several by name.
        """
        raise NotImplementedError


class TextGeneration:
    """A task that learns a text which it writes: its tokens are a part of what the model reads."""

    def encode_training_examples(self, examples: Examples, preprocessor: Any) -> Examples:
        """Returns examples with the tokens of their answers, and targets.

        Args:
          examples: with their answers and the tokens of their inputs.
          preprocessor: that made the tokens.
        """
        raise NotImplementedError

    def pack(self, encoded: Any, length: int) -> Any:
        """Returns the training split as batches are made of it: itself as a rule.

        Args:
          encoded: its tokens, with targets.
          length: the most tokens of a row.
        """
        return encoded


def predict_fn(task: object, model: keras.Model) -> Callable[..., Any]:
    """Returns the function from a batch to the outputs that a task evaluates and serves."""
    return task.make_predict_fn(model) if isinstance(task, CustomPrediction) else model


def encode_training_examples(task: Task, examples: Examples, preprocessor: Any) -> Examples:
    """Returns examples as the model learns from them: with targets.

    Args:
      examples: with their answers and the tokens of their inputs.
      preprocessor: that made the tokens.
    """
    if isinstance(task, TextGeneration):
        return task.encode_training_examples(examples, preprocessor)
    targets = task.encode_targets(examples)
    if examples.encoded is not None:
        check_targets(task, examples.encoded, targets)
    return examples.with_targets(targets)


def modality_of(task: Task) -> str:
    """Returns what the inputs of a task are, such as "text"; "example" where they differ."""
    return inputs.modality_of(task.inputs)


def serving_signature(task: Task) -> ServingSignature:
    """Returns the signature that `predict` and exports use by default."""
    return task.build_signatures()[DEFAULT]


def needs_fit(task: Task) -> bool:
    """Returns True if validation data have to decide something of a task."""
    calibration = task.calibration
    return calibration is not None and calibration.fits and not calibration.values


def with_calibration(task: AnyTask, values: Mapping[str, Any], head: Any) -> AnyTask:
    """Returns the task that answers by calibrated values.

    Args:
      values: of `Calibration.fit`.
      head: with trained weights; None where there is none, as behind an export.
    """
    if task.calibration is None:
        return task
    calibration = copy.copy(task.calibration)
    task = copy.copy(task)
    task.calibration = calibration
    if head is not None:
        calibration.apply(values, head)
    calibration.values = values
    return task


def calibrated_values(task: Task) -> dict[str, Any]:
    """Returns what was fit for a task; empty for nothing."""
    return dict(task.calibration.values) if task.calibration is not None else {}


def config_of(task: Task, **arguments: Any) -> dict[str, Any]:
    """Returns a task's name as `task`, its constructor's arguments, and its calibrated values.

    Args:
      arguments: those that are no attributes of their own names.
    """
    known = {"labels": task.target.names, **vars(task), **arguments}
    config = {"task": task.name, **{name: known[name] for name in _arguments(type(task))}}
    values = calibrated_values(task)
    return {**config, "decision": values} if values else config


def _arguments(kind: type) -> list[str]:
    """Returns the names of a constructor's arguments, and of those that it passes on."""
    names: list[str] = []
    for each in kind.__mro__[:-1]:
        if "__init__" in vars(each):
            _, *parameters = inspect.signature(vars(each)["__init__"]).parameters.values()
            own = [one.name for one in parameters if one.kind is not one.VAR_KEYWORD]
            names += own
            if len(own) == len(parameters):
                break
    return names
