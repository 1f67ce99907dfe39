"""What every task says of itself: inputs, head, loss, figures, and how a prediction reads.

A file of `tfft/tasks` declares one problem. What is usual is said here once; a task overrides the
rest. Nothing outside asks which task it is: it asks these questions.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.baselines.base import Floor, Say
from tfft.data.examples import Examples
from tfft.errors import ConfigError
from tfft.metrics import aggregates

Answers = Mapping[str, Sequence[np.ndarray]]  # of a served model, an array for each example


class Task:
    """A problem.

    Attributes:
      name: in lower case; the name of the file that declares it.
      modality: what an example is, "text" or "image"; a body says the same.
      inputs: names of what a prediction is made from, also in an export's signature.
      classes: whether each answer is one of `labels`, so that a source without two of them, or with
        one that the training split lacks, is refused; None where answers are not looked at.
      empty_labels: Whether an empty answer of a file is an answer, that of no label.
      reads: what of a body: "pooled", one vector a row; "tokens", one a token; "both", that of the
        text before those of its tokens; "causal", one a token that knows what stands before it
        alone; "decoder", one a token of an answer to a text.
      rows: whether an example is several rows, each with an output of its own: [b r ...].
      absent: with `rows`, the output of a row that an example of a batch does not have.
      distribution: whether an output is a distribution over classes, on its last axis.
      searched: whether answers are found by a search, which rounding can make another one.
      random_inputs: whether the inputs of an example differ each time it is seen, see `drawn`.
      labels: names of the outputs; None until the training data are known.
      decision: what validation data settled, see `decide`.
      figures: what is reported, by its key in `evaluate`, and how a person reads it; the first is
        the main one: of the answer in one line, of slices and of comparisons.
      measure: how the main figure follows from `sums`, a name of `tfft.metrics.aggregates`.
      lower: keys of `figures` of which less is better.
      unserved_figures: keys of `figures` that an export cannot give, each with the reason.
    """

    name: ClassVar[str] = ""
    modality: ClassVar[str] = "text"
    inputs: ClassVar[tuple[str, ...]] = ("text",)
    classes: ClassVar[bool | None] = False
    empty_labels: ClassVar[bool] = False
    reads: ClassVar[str] = "pooled"
    rows: ClassVar[bool] = False
    absent: ClassVar[float] = 0.0
    distribution: ClassVar[bool] = False
    searched: ClassVar[bool] = False
    random_inputs: ClassVar[bool] = False
    figures: ClassVar[Mapping[str, str]] = {}
    measure: ClassVar[str] = "mean"
    lower: ClassVar[frozenset[str]] = frozenset()
    unserved_figures: ClassVar[Mapping[str, str]] = {}

    labels: tuple[str, ...] | None = ()
    decision: Mapping[str, Any] = {}

    # Data ---------------------------------------------------------------------------------------

    def with_labels(self, found: Sequence[str], counts: Mapping[str, int] | None = None) -> Any:
        """Returns the task for the answers that the training split holds.

        Args:
          found: the distinct answers; or the labels of a task that was trained before.
          counts: how many training examples have each.
        """
        return self

    def check_answers(self, counts: Mapping[str, int]) -> None:
        """Refuses answers that this task cannot read, in whichever split they are.

        It is called before `with_labels`, with what can be seen without labels, and after it.

        Args:
          counts: Number of examples with each answer in all splits.

        Raises:
          DataError: Its `answers` are the wrong ones, whose rows are added to the error.
        """

    def label_counts(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Returns the number of examples with each label; empty if the task has no labels.

        Args:
          counts: Number of examples with each answer.
        """
        return {name: counts.get(name, 0) for name in self.labels or ()} if self.classes else {}

    def data_notes(self) -> list[str]:
        """Returns how the answers are read, a line each, for the description of the data."""
        return []

    def preprocessor(self, subwords: Any) -> Any:
        """Returns what makes the model's inputs out of the task's, from a body's preprocessor."""
        return subwords

    def targets(self, examples: Examples) -> Any:
        """Returns what the head learns of examples: [n ...], or `Ragged`, in rows as the tokens.

        Raises:
          DataError: an answer is none that this task knows.
        """
        raise NotImplementedError

    def drawn(self, inputs: Any, targets: Any, rng: np.random.Generator) -> tuple[Any, Any]:
        """Returns a training batch as it is seen this time, with `random_inputs`.

        Args:
          inputs: what the model reads, arrays [b ...] by name.
          targets: of its examples, [b ...].
          rng: whose seed is that of the run, the epoch and the batch.
        """
        raise NotImplementedError

    def taught(self, examples: Examples, preprocessor: Any) -> Examples:
        """Returns examples as the model learns from them: their tokens, with `targets`.

        A task whose model reads a part of the answer puts it into the tokens here; what is
        predicted from has none of it.

        Args:
          examples: with their answers and the tokens of their inputs.
          preprocessor: that made the tokens.
        """
        return examples.with_targets(self.targets(examples))

    def packed(self, encoded: Any, length: int) -> Any:
        """Returns the training split as batches are made of it: itself as a rule.

        Args:
          encoded: its tokens, with targets.
          length: the most tokens of a row.
        """
        return encoded

    def warnings(self, examples: Examples) -> list[str]:
        """Returns what a person has to know of examples that `targets` was given, a line each."""
        return []

    def config(self) -> dict[str, Any]:
        """Returns what makes two tasks the same, JSON-able, see `config_of`."""
        return config_of(self)

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> Any:
        """Returns a task that answers as the one did whose `config` this is."""
        task = cls()
        task.labels = tuple(card.get("labels", ()))
        return task.decided(card.get("decision", {}), None)

    # Model --------------------------------------------------------------------------------------

    def head(self) -> keras.layers.Layer:
        """Returns the layers from what is read, [b d] or [b t d], to the output."""
        raise NotImplementedError

    def head_on(self, body: Any) -> keras.layers.Layer:
        """Returns the head for a body, which it may read: `body.embedding` to write with."""
        return self.head()

    def outputs_of(self, model: Any) -> Callable[..., Any]:
        """Returns what is called on a batch for the outputs that answers and figures need.

        The model itself as a rule; a task whose model gives more than is kept of it for a whole
        split, or that has to call it several times, returns a function in its place: from the
        model's inputs and `training=False` to a tensor [b ...] within a graph, or to several by
        name.
        """
        return model

    def loss(self) -> keras.losses.Loss:
        raise NotImplementedError

    def loss_on(self, head: keras.layers.Layer) -> keras.losses.Loss:
        """Returns the loss of a head's outputs; a loss may read the head's weights."""
        return self.loss()

    def metrics(self) -> list[Any]:
        """Returns what is shown after each epoch."""
        return []

    def lower_is_better(self, name: str) -> bool | None:
        """Returns True if a smaller value of a metric is better, None if that is not known.

        The loss is, and what `lower` holds; other `figures` are not. Keras' own metrics declare a
        direction, which Keras' callbacks read too.

        Args:
          name: "loss", a key of `figures`, or the name of one of `metrics()`.
        """
        if name == "loss" or name in self.lower:
            return True
        if name in self.figures:
            return False
        directions = {metric.name: getattr(metric, "_direction", None) for metric in self.metrics()}
        return {"down": True, "up": False}.get(directions.get(name) or "")

    def constant_loss(self, targets: Any) -> float | None:
        """Returns the training loss of the best answer that is the same for every example."""
        return None

    @property
    def undecided(self) -> bool:
        """Whether validation data have to settle something."""
        return False

    def undecidable(self, answers: Collection[str]) -> list[str]:
        """Returns the names of labels or tasks that a decision needs and validation data lack.

        Args:
          answers: the distinct answers of the validation split.
        """
        return [self.name] if self.undecided and not answers else []

    def decide(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns what validation data settle, JSON-able."""
        return {}

    def decided(self, found: Mapping[str, Any], head: keras.layers.Layer | None) -> Any:
        """Returns the task that answers by a decision.

        Args:
          found: what `decide` returned.
          head: with trained weights; None where there is none, as behind an export.
        """
        task = copy.copy(self)
        task.decision = found
        return task

    # Answers ------------------------------------------------------------------------------------

    @property
    def served(self) -> Any:
        """The task that predictions and exports answer, with the same head; itself as a rule.

        It has other inputs where a model learns from several texts what it says of one.
        """
        return self

    def contents(self, inputs: tuple[Sequence[Any], ...]) -> tuple[Sequence[Any], ...]:
        """Returns the values of each input as an export takes them: strings, or files' bytes."""
        return inputs

    def asked(self, inputs: tuple[Sequence[str], ...]) -> tuple[Sequence[str], ...]:
        """Returns examples of this task as examples of `served`, the values of each input."""
        return inputs

    def predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        """Returns what a person reads of each output."""
        raise NotImplementedError

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a served model's answers, as tensors.

        Args:
          outputs: of the model.
          read: what the preprocessor gave, offsets included; where a server gave token ids, them.
        """
        raise NotImplementedError

    def answered(self, answers: Answers, examples: Examples) -> list[dict[str, Any]]:
        """Returns the predictions that a served model's answers are."""
        return self.predictions(examples, self.received(answers))

    def received(self, answers: Answers) -> Any:
        """Returns the model's outputs out of a served model's answers.

        Raises:
          ConfigError: the answers do not hold them.
        """
        raise ConfigError(
            f"an export of {self.name} gives answers alone, and they cannot be evaluated.",
            valid="tfft evaluate --workdir=FOLDER, with the folder of the run",
        )

    def evaluate_answers(
        self, examples: Examples, answers: Answers
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns what `evaluate` and `described` do, of an export's answers.

        Args:
          examples: with their answers, without tokens.
          answers: of an export, to the examples as `asked` gives them.
        """
        given, outputs = examples.with_targets(self.targets(examples)), self.received(answers)
        return self.evaluate(given, outputs), self.described(given, outputs)

    # Figures ------------------------------------------------------------------------------------

    def measures(self, examples: Examples, outputs: Any) -> dict[str, tuple[str, aggregates.Sums]]:
        """Returns for each figure its measure and what each example adds, see
        `aggregates.figures`.
        """
        raise NotImplementedError

    def evaluate(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns all figures of outputs, those of `figures` with their intervals."""
        return aggregates.figures(self.measures(examples, outputs))

    def sums(self, examples: Examples, outputs: Any) -> aggregates.Sums:
        """Returns what each example adds to the main figure, [n] each; keys as `measure` asks."""
        return self.measures(examples, outputs)[next(iter(self.figures))][1]

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        """Returns the answers of models that need no network, as outputs for the test examples."""
        return {}

    def feature_floor(self, train: np.ndarray, targets: Any, test: np.ndarray) -> Floor:
        """Returns the answers of a simple model on a frozen body's pooled outputs, [n d].

        Raises:
          ConfigError: there is none for this task.
        """
        raise ConfigError(
            f"{self.name} has no floor of frozen features.",
            set_in="train.feature_floor",
            valid="train.feature_floor = False",
        )

    def groups(self, examples: Examples) -> dict[str, Sequence[str]]:
        """Returns divisions of evaluated examples that every report has, a value for each."""
        return {}

    def described(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns further content of report.json."""
        return {}

    def shown(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns examples for the report: `mistake_count`, `mistakes`, `least_certain`.

        The latter two are lists of dicts: `text`, `characters_left_out`, `truth`, `predicted`, and
        what more the task knows.
        """
        return {"mistake_count": 0, "mistakes": [], "least_certain": []}


def config_of(task: Task, **kept: Any) -> dict[str, Any]:
    """Returns a task's name as `task`, its constructor's arguments, and its decision if it has one.

    Args:
      kept: the arguments that are no attributes of their own names.
    """
    found = {**vars(task), **kept}
    decided = {"decision": dict(task.decision)} if task.decision else {}
    return {"task": task.name, **{name: found[name] for name in _arguments(type(task))}, **decided}


def _arguments(made: type) -> list[str]:
    """Returns the names of a constructor's arguments, and of those that it passes on."""
    found: list[str] = []
    for each in made.__mro__[:-1]:
        if "__init__" in vars(each):
            _, *given = inspect.signature(vars(each)["__init__"]).parameters.values()
            found += [one.name for one in given if one.kind is not one.VAR_KEYWORD]
            if all(one.kind is not one.VAR_KEYWORD for one in given):
                break
    return found
