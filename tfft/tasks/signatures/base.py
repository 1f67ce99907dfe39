"""What an export takes and answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from tfft.data.examples import Columns, Examples
from tfft.data.inputs import Input
from tfft.errors import ConfigError
from tfft.tasks.definition_checks import check_predictions
from tfft.tasks.evaluators.base import Evaluator
from tfft.tasks.targets.base import Target

Answers = Mapping[str, Sequence[np.ndarray]]  # of an export, an array for each example
Predictions = list[dict[str, Any]]  # JSON-able, one for each example
Results = tuple[dict[str, Any], dict[str, Any]]  # metrics and report details
Tensors = Mapping[str, Any]  # by name, in the graph
DEFAULT = "serving_default"


class ServedTask(Protocol):
    """What a signature needs to know of a `Task`."""

    @property
    def name(self) -> str: ...

    @property
    def inputs(self) -> tuple[Input, ...]: ...

    @property
    def target(self) -> Target: ...

    def encode_targets(self, examples: Examples) -> Any: ...

    def build_evaluator(self) -> Evaluator: ...


def predictions(signature: ServingSignature, examples: Examples, outputs: Any) -> Predictions:
    """Returns `format_predictions` of a signature, one for each example and JSON-able.

    Raises:
      ConfigError: they are not.
    """
    result = signature.format_predictions(examples, outputs)
    check_predictions(signature, len(examples), result)
    return result


class ServingSignature:
    """One signature of an export; `Task.build_signatures` returns it by its name.

    Args:
      task: with its names and calibration.

    Attributes:
      task: whose preprocessor and prediction function serve: the task itself, or one of the same
        head that reads fewer inputs.
      is_searched: whether answers are found by a search, which rounding can make another one.
    """

    is_searched = False

    def __init__(self, task: ServedTask):
        self.task = task

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What it takes, a tensor of strings each."""
        return self.task.inputs

    def make_predict_fn(self, model: keras.Model) -> Callable[..., Any]:
        """Returns a function from the inputs that the served task has to the outputs.

        It is that of the task, see `tfft.tasks.base.CustomPrediction`, else the model. A signature
        with fewer inputs than the task overrides it, such as one for one tower of a backbone.
        """
        own = getattr(self.task, "make_predict_fn", None)
        return model if own is None else own(model)

    def split_inputs(self, inputs: Columns) -> Columns:
        """Returns the inputs of training examples as examples of this signature."""
        return inputs

    def to_serving(self, inputs: Columns) -> Columns:
        """Returns the strings that an export takes for the values of each input."""
        pairs = zip(self.inputs, inputs, strict=True)
        return tuple(each.to_serving(values) for each, values in pairs)

    def serving_outputs(self, outputs: Any, features: Tensors) -> Tensors:
        """Returns the answers of an export, as tensors within its graph.

        Args:
          outputs: of the model.
          features: the preprocessor's outputs, offsets included; or the token ids of a request.
        """
        raise NotImplementedError

    def parse(self, answers: Answers) -> Any:
        """Returns the model's outputs out of the answers of an export.

        Raises:
          ConfigError: the answers do not hold them.
        """
        raise ConfigError(
            f"an export of {self.task.name} gives answers alone, and they cannot be evaluated.",
            valid="tfft evaluate --workdir=FOLDER, with the folder of the run",
        )

    def format_predictions(self, examples: Examples, outputs: Any) -> Predictions:
        """Returns a prediction for each output, as a person reads it."""
        raise NotImplementedError

    def format_answers(self, answers: Answers, examples: Examples) -> Predictions:
        """Returns the predictions that the answers of an export are."""
        if type(self).parse is ServingSignature.parse:
            kind = type(self).__name__
            raise ConfigError(
                f"{kind} does not say what the answers of an export mean, so that they cannot be "
                "compared with the predictions of the model.",
                set_in=kind,
                valid=f"{kind}.parse, or {kind}.format_answers",
                see="docs/own_task.md",
            )
        return self.format_predictions(examples, self.parse(answers))

    def evaluate_answers(self, task: ServedTask, examples: Examples, answers: Answers) -> Results:
        """Returns the metrics and report details of an export's answers.

        Args:
          task: that was trained.
          examples: with their answers, without tokens.
          answers: of an export, to the examples as `split_inputs` gives them.
        """
        evaluator = task.build_evaluator()
        encoded, outputs = examples.with_targets(task.encode_targets(examples)), self.parse(answers)
        return evaluator.evaluate(encoded, outputs), evaluator.report_details(encoded, outputs)


Signatures = Mapping[str, ServingSignature]  # by their names in an export
