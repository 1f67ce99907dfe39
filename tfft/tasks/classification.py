"""One label out of several for each example, whatever an example is.

A task of it says what its inputs are, how a report shows them, and what needs no network.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np

from tfft.argument_checks.validated import DISTINCT, FRACTION, NAMED, NON_NEGATIVE, validated
from tfft.baselines.base import Floor
from tfft.baselines.frozen_features import feature_floor
from tfft.data.examples import Examples
from tfft.errors import ConfigError, DataError, near
from tfft.layers.heads import dense_head
from tfft.losses.batch_metrics import MacroF1
from tfft.losses.classification import Crossentropy, class_weights
from tfft.metrics.classification.class_metrics import (
    class_areas,
    classification_metrics,
    confusions,
)
from tfft.metrics.classification.roc_and_pr_curves import ranking
from tfft.metrics.classification.temperature_scaling import fit_temperature, with_temperature
from tfft.metrics.classification.thresholds import Threshold
from tfft.tasks.base import Answers, Task
from tfft.tasks.report_examples import shown_examples, text_of

MOST_PAIRS = 100  # kinds of mistakes that a report keeps


@validated(
    labels=NAMED,
    dropout=FRACTION,
    label_smoothing=FRACTION,
    focal_gamma=NON_NEGATIVE,
    class_weights=NON_NEGATIVE,
    metrics=DISTINCT,
)
class Classification(Task):
    """A softmax Dense on the body's pooled output, trained with cross-entropy.

    Args:
      labels: the class names in the order of the outputs; None takes those of the training
        split, sorted.
      dropout: share of the pooled features that is dropped in training.
      label_smoothing: share of the target spread evenly over all classes (Szegedy et al., 2016).
      focal_gamma: how much less an example counts the surer the model is of its class; 0 counts
        all alike, 2 is usual (focal loss: Lin et al., 2017).
      class_weights: what an example counts by its class's name; "balanced" gives each class the
        same sum, n / (classes * examples of the class).
      metrics: shown after each epoch, and what `EarlyStopping.monitor` can watch.
      calibrate: divides the logits by a temperature that is fitted on the validation split, in the
        model and in its exports (Guo et al., 2017).
      threshold: of two classes, chosen on the validation split: `f1()`, `recall_at_precision(0.9)`;
        None gives the more probable class.
    """

    classes = True
    distribution = True
    figures = {
        "accuracy": "accuracy",
        "macro_f1": "macro F1",
        "weighted_f1": "weighted F1",
        "matthews_correlation": "Matthews",
        "roc_auc": "ROC area",
        "average_precision": "PR area",
        "log_loss": "log loss",
        "brier_score": "Brier",
        "expected_calibration_error": "calibration error",
    }
    lower = frozenset({"log_loss", "brier_score", "expected_calibration_error"})

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        dropout: float = 0.1,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        class_weights: Literal["balanced"] | Mapping[str, float] | None = None,
        metrics: Sequence[Literal["accuracy", "macro_f1"]] = ("accuracy",),
        calibrate: bool = False,
        threshold: Threshold | None = None,
    ):
        self.labels = None if labels is None else tuple(str(label) for label in labels)
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.focal_gamma = focal_gamma
        self.class_weights = class_weights
        self.metric_names = tuple(metrics)
        self.weights: tuple[float, ...] | None = None
        self.calibrate, self.threshold = calibrate, threshold

    def with_labels(
        self, found: Sequence[str], counts: Mapping[str, int] | None = None
    ) -> Classification:
        """Returns the task for the labels that the training split holds.

        Args:
          found: the labels.
          counts: how many training examples have each, for "balanced".

        Raises:
          DataError: the data hold a label that `labels` lacks, or one class only.
        """
        labels = self.labels or tuple(sorted(found))
        unknown = sorted(set(found) - set(labels))
        if unknown:
            raise DataError(
                f"the training split has the label {unknown[0]!r}, which is none of the task's.",
                valid=near(unknown[0], labels),
                see="tfft show --gin_file=FILE",
            )
        if len(labels) < 2:
            raise DataError(
                f"there is one class only: {', '.join(labels)}.", valid="two classes or more"
            )
        if self.threshold:
            self.threshold.check(labels)
        task = copy.copy(self)
        task.labels = labels
        task.weights = class_weights(self.class_weights, labels, counts)
        return task

    def config(self) -> dict[str, Any]:
        """Returns what makes two tasks the same, JSON-able."""
        aim = {"threshold": dataclasses.asdict(self.threshold)} if self.threshold else {}
        return {
            "task": self.name,
            "labels": list(self.labels or ()),
            "dropout": self.dropout,
            "label_smoothing": self.label_smoothing,
            "focal_gamma": self.focal_gamma,
            "class_weights": self.class_weights,
            "metrics": list(self.metric_names),
            **({"calibrate": True} if self.calibrate else {}),
            **aim,
            **({"decision": dict(self.decision)} if self.decision else {}),
        }

    @property
    def undecided(self) -> bool:  # type: ignore[override]
        """Whether validation data have to settle something."""
        return bool(self.calibrate or self.threshold) and not self.decision

    def undecidable(self, answers: Collection[str]) -> list[str]:
        """Returns the label whose threshold is chosen if no validation example has it."""
        if self.threshold and self.undecided and answers:
            label = self.threshold.label_of(self.labels or ())
            return [] if label in answers else [label]
        return super().undecidable(answers)

    def decide(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        """Returns the temperature and the threshold for validation data, JSON-able.

        Args:
          examples: with their targets.
          outputs: probabilities, float [n c].
        """
        found: dict[str, Any] = {}
        truth = examples.targets
        if self.calibrate:
            found["temperature"] = fit_temperature(truth, outputs)
            outputs = with_temperature(outputs, found["temperature"])
        if self.threshold:
            found["threshold"] = self.threshold.settle(truth, outputs, self.labels or ())
        return found

    def decided(self, found: Mapping[str, Any], head: keras.layers.Layer | None) -> Any:
        """Returns the task that answers by a decision.

        Args:
          found: what `decide` returned.
          head: with trained weights; its logits are divided by the temperature, in place. None
            where there is none, as behind an export.
        """
        temperature = found.get("temperature")
        if head is not None and temperature:
            for variable in head.layers[-1].weights:
                variable.assign(variable / temperature)
        return super().decided(found, head)

    def targets(self, examples: Examples) -> np.ndarray:
        return self.numbers(examples.answers or ())

    def numbers(self, labels: Sequence[str]) -> np.ndarray:
        """Returns the class numbers of label names: int32 [n].

        Raises:
          DataError: a name is none of the task's labels.
        """
        numbers = {name: number for number, name in enumerate(self.labels or ())}
        unknown = sorted(set(labels) - set(numbers))
        if unknown:
            others = f", nor were {len(unknown) - 1:,} other labels" if len(unknown) > 1 else ""
            error = DataError(
                f"the label {unknown[0]!r} was not in the training data{others}.",
                valid=near(unknown[0], numbers),
            )
            error.answers = frozenset(unknown)
            raise error
        return np.array([numbers[label] for label in labels], np.int32)

    def head(self) -> keras.layers.Layer:
        """Returns the layers from pooled features [b d] to probabilities [b n]."""
        classes = len(self.labels or ())
        return dense_head(self.dropout, classes, "softmax", activation="softmax")

    def loss(self) -> keras.losses.Loss:
        if self.class_weights == "balanced" and self.weights is None:
            raise ConfigError(
                'class_weights="balanced" needs to know how frequent the classes are.',
                valid="tfft.train, or a number for each class",
            )
        if self.label_smoothing or self.focal_gamma or self.weights:
            classes = len(self.labels or ())
            return Crossentropy(classes, self.label_smoothing, self.focal_gamma, self.weights)
        return keras.losses.SparseCategoricalCrossentropy()

    def metrics(self) -> list[Any]:
        makers = {
            "accuracy": lambda: keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            "macro_f1": lambda: MacroF1(len(self.labels or ())),
        }
        unknown = [name for name in self.metric_names if name not in makers]
        if unknown:
            raise ConfigError(
                f"{unknown[0]!r} is no metric of {self.name}.", valid=near(unknown[0], makers)
            )
        return [makers[name]() for name in self.metric_names]

    def predicted(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the class numbers of outputs [n c]: int [n]."""
        limits = self.limits
        return (outputs if limits is None else outputs - np.array(limits, np.float32)).argmax(-1)

    @property
    def limits(self) -> tuple[float, ...] | None:
        """The probability above which each class is given; None without a threshold."""
        found = self.decision.get("threshold")
        if not found:
            return None
        value = found["value"]
        return tuple(value if name == found["label"] else 1 - value for name in self.labels or ())

    def predictions(self, examples: Examples, outputs: np.ndarray) -> list[dict[str, Any]]:
        """Returns what a person reads of outputs [n c]: the label and each probability."""
        labels, found = self.labels or (), self.decision.get("threshold")
        more = {"threshold": {found["label"]: found["value"]}} if found else {}
        return [
            {
                "label": labels[number],
                "probabilities": {name: float(p) for name, p in zip(labels, row, strict=True)},
                **more,
            }
            for number, row in zip(self.predicted(outputs), outputs, strict=True)
        ]

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a served model's answers for outputs [b n], as tensors.

        With a threshold they say what it is: `threshold`, the probability above which each class
        is given, [b n].
        """
        names, limits = _constant(self.labels or ()), self.limits
        number = keras.ops.argmax(outputs if limits is None else outputs - limits, axis=-1)
        answers = {"probabilities": outputs, "label_id": number, "label": _take(names, number)}
        if limits is not None:
            answers["threshold"] = keras.ops.ones_like(outputs) * limits
        return answers

    def received(self, answers: Answers) -> np.ndarray:
        return np.stack(answers["probabilities"])

    def constant_loss(self, targets: np.ndarray) -> float:
        """Returns the training loss of answering the shares of the classes for every example."""
        shares = np.bincount(targets, minlength=len(self.labels or ())) / len(targets)
        classes = np.flatnonzero(shares)
        constant = np.tile(shares.astype(np.float32), (len(classes), 1))
        weights = shares[classes] * len(classes)  # the loss is a mean over what it is given
        return float(self.loss()(classes, constant, sample_weight=weights))

    def evaluate(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        """Returns what `classification_metrics` does of outputs [n c]."""
        truth, predicted = examples.targets, self.predicted(outputs)
        return classification_metrics(truth, outputs, self.labels or (), predicted)

    def sums(self, examples: Examples, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """Returns whether each prediction is right, as `score`."""
        return {"score": (self.predicted(outputs) == examples.targets).astype(float)}

    def groups(self, examples: Examples) -> dict[str, Sequence[str]]:
        """Returns the division by class."""
        labels = self.labels or ()
        return {"class": [labels[number] for number in examples.targets]}

    def described(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        """Returns `labels`, `ranking` (see there), and `confusions`, the most frequent first."""
        truth, labels = examples.targets, self.labels or ()
        matrix = np.zeros((len(labels), len(labels)), int)
        np.add.at(matrix, (truth, self.predicted(outputs)), 1)
        return {
            "labels": list(labels),
            "ranking": ranking(truth, outputs, labels, class_areas(truth, outputs, labels)),
            "confusions": confusions(matrix.tolist(), labels)[:MOST_PAIRS],
        }

    def shown(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        """Returns the mistakes of which the model was surest, and what it was least certain of.

        The latter are the examples with the smallest margin between the two likeliest classes.
        """
        truth, predicted, labels = examples.targets, self.predicted(outputs), self.labels or ()
        wrong = np.flatnonzero(predicted != truth)
        surest = wrong[np.argsort(-outputs[wrong, predicted[wrong]], kind="stable")]
        two = np.partition(outputs, -2, axis=-1)[:, -2:]
        margins = np.abs(two[:, 1] - two[:, 0])
        unsure = np.argsort(margins, kind="stable")

        def told(row: int) -> dict[str, Any]:
            return {
                **self.seen(examples, row),
                "truth": labels[truth[row]],
                "predicted": labels[predicted[row]],
                "probability": float(outputs[row, predicted[row]]),
                "probability_of_truth": float(outputs[row, truth[row]]),
                "margin": float(margins[row]),
            }

        return shown_examples(examples, surest, told, unsure)

    def seen(self, examples: Examples, row: int) -> dict[str, Any]:
        """Returns an example as a report shows it."""
        return text_of(examples, row)

    def feature_floor(self, train: np.ndarray, targets: np.ndarray, test: np.ndarray) -> Floor:
        """Returns the answers of a logistic regression on a frozen body's outputs [n d]."""
        return feature_floor(train, targets, test, len(self.labels or ()))


def _constant(names: Sequence[str]) -> Any:
    import tensorflow as tf

    return tf.constant(list(names))


def _take(names: Any, number: Any) -> Any:
    import tensorflow as tf

    return tf.gather(names, number)
