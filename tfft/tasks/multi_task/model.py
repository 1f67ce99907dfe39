"""Several tasks on one body: heads side by side, losses added up, targets as columns.

A batch may hold examples of every task. What is of a whole text stands at its first token: a target
of `Columns` and an output of `Heads` are [b t c], in which each task has columns of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfft.data.encoded_split import Encoded, Ragged
from tfft.data.examples import Examples
from tfft.layers.inspection import inner
from tfft.layers.serialization import deserialize
from tfft.tasks.base import Task
from tfft.tasks.multi_task.data import Share

NONE = -1  # the target of a token that has none


@dataclasses.dataclass(frozen=True)
class Columns:
    """Where a task stands among the columns of all targets.

    Attributes:
      task: with its labels.
      begin, end: its columns.
      tokens: whether it has a target for each token.
      single: whether a text's target is a number, rather than several.
      dtype: of its targets.
    """

    task: Task
    begin: int
    end: int
    tokens: bool
    single: bool
    dtype: Any

    def put(self, values: np.ndarray, offsets: np.ndarray, rows: np.ndarray, found: Any) -> None:
        """Writes the targets of some examples.

        Args:
          values: of all tokens, float32 [sum of lengths, c], changed in place.
          offsets: where the tokens of each example begin and end.
          rows: numbers of the examples.
          found: what `task.encode_targets` returned of them.
        """
        if self.tokens:
            for row, each in zip(rows, found.rows(), strict=True):
                values[offsets[row] : offsets[row + 1], self.begin] = each
        else:
            values[offsets[rows], self.begin : self.end] = found.reshape(len(rows), -1)

    def taken(self, targets: Ragged) -> Any:
        """Returns the targets of the examples that have one, as the task encodes them."""
        rows = [row[:, self.begin : self.end] for row in targets.rows()]
        if self.tokens:
            found = [row[:, 0].astype(np.int32) for row in rows if (row != NONE).any()]
            ends = np.cumsum([0, *map(len, found)]).astype(np.int64)
            return Ragged(np.concatenate([*found, np.zeros(0, np.int32)]), ends)
        firsts = np.array([row[0] for row in rows if not np.isnan(row[0]).any()])
        firsts = firsts.reshape(-1, self.end - self.begin).astype(self.dtype)
        return firsts[:, 0] if self.single else firsts

    def there(self, y_true: Any) -> Any:
        """Returns which examples of a batch, [b t c], have a target: bool [b]."""
        part = y_true[..., self.begin : self.end]
        if self.tokens:
            return keras.ops.any(part != NONE, axis=(1, 2))
        return keras.ops.logical_not(keras.ops.any(keras.ops.isnan(part[:, 0]), axis=-1))

    def truth(self, y_true: Any) -> Any:
        """Returns a batch's targets as the task's loss reads them; zeros where there is none."""
        part = y_true[..., self.begin : self.end]
        if self.tokens:
            return part[..., 0]
        first = part[:, 0]
        first = keras.ops.where(keras.ops.isnan(first), 0.0, first)
        return first[:, 0] if self.single else first


def columns_of(tasks: Mapping[str, Task]) -> dict[str, Columns]:
    """Returns the columns of each task, whose labels are known."""
    found, begin = {}, 0
    for name, task in tasks.items():
        if task.backbone_output.kind == "tokens":
            found[name] = Columns(task, begin, begin + 1, True, True, np.int32)
        else:
            probe = task.encode_targets(Examples(tuple([] for _ in task.inputs), []))
            single, width = probe.ndim == 1, int(np.prod(probe.shape[1:], dtype=int))
            found[name] = Columns(task, begin, begin + width, False, single, probe.dtype)
        begin = found[name].end
    return found


def targets_of(shares: Mapping[str, Share], encoded: Encoded) -> Ragged:
    """Returns the targets of examples, float32, [t c] each; NaN or -1 where a task has none.

    Args:
      shares: the examples of each task.
      encoded: all of them.
    """
    columns = columns_of({name: share.task for name, share in shares.items()})
    lengths = encoded.tokens.lengths
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    width = max(each.end for each in columns.values())
    values = np.full((offsets[-1], width), np.nan, np.float32)
    for name, each in columns.items():
        if each.tokens:
            values[:, each.begin] = NONE
        share = shares[name]
        if len(share.rows):
            each.put(values, offsets, share.rows, share.examples.targets)
    return Ragged(values, offsets)


def constant_loss(
    tasks: Mapping[str, Task], weights: Mapping[str, float], targets: Ragged
) -> float | None:
    """Returns the loss of each task's best constant answer; None where one has none."""
    total, count = 0.0, len(targets.lengths)
    for name, each in columns_of(tasks).items():
        own = each.taken(targets)
        examples = len(own.lengths) if isinstance(own, Ragged) else len(own)
        found = each.task.build_evaluator().constant_loss(own) if examples else 0.0
        if found is None:
            return None
        total += weights[name] * found * examples / count
    return total


@keras.saving.register_keras_serializable("tfft")
class Heads(keras.layers.Layer):
    """The heads of several tasks, on [b 1+t d]: the text's vector before those of its tokens.

    Args:
      heads: by task.
      tokens: names of the tasks whose head reads tokens.
    """

    def __init__(
        self, heads: Mapping[str, keras.layers.Layer], tokens: Sequence[str], **kwargs: Any
    ):
        super().__init__(**{"name": "head"} | kwargs)
        self.names, self.parts, self.tokens = list(heads), dict(heads), frozenset(tokens)
        self.ranges: dict[str, tuple[int, int]] = {}

    def get_config(self) -> dict[str, Any]:
        heads = [[name, head] for name, head in self.parts.items()]  # in their order
        own = {"heads": heads, "tokens": sorted(self.tokens)}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Heads:
        heads = {name: deserialize(head) for name, head in config["heads"]}
        return super().from_config({**config, "heads": heads})

    def build(self, input_shape: Any) -> None:
        begin, text = 0, (input_shape[0], input_shape[-1])
        for name, head in self.parts.items():
            shape = tuple(input_shape) if name in self.tokens else text
            if not head.built:
                with keras.name_scope(name):
                    head.build(shape)
            end = begin + int(head.compute_output_shape(shape)[-1])
            self.ranges[name], begin = (begin, end), end
        self.built = True

    def call(self, read: Any, training: bool | None = None) -> Any:
        """Returns the outputs of all heads, float32 [b t c]; a text's stand at each token."""
        pooled, tokens, found = read[:, 0], read[:, 1:], []
        for name, head in self.parts.items():
            if name in self.tokens:
                found.append(head(tokens, training=training))
            else:
                out = head(pooled, training=training)[:, None]
                found.append(out * keras.ops.ones_like(tokens[..., :1], out.dtype))
        return keras.ops.concatenate([keras.ops.cast(out, "float32") for out in found], axis=-1)

    def of(self, name: str, outputs: Any) -> Any:
        """Returns a task's part of the outputs: [b c], or [b t c] where it reads tokens."""
        begin, end = self.ranges[name]
        part = outputs[..., begin:end]
        return part if name in self.tokens else part[:, 0]


def heads_on(body: Any, tasks: Mapping[str, Task]) -> Heads:
    """Returns the heads of tasks for a body."""
    heads = {name: task.build_head(body) for name, task in tasks.items()}
    return Heads(
        heads, [name for name, task in tasks.items() if task.backbone_output.kind == "tokens"]
    )


def split(model: keras.Model) -> Callable[..., dict[str, Any]]:
    """Returns a function from the inputs of a model with `Heads` to the outputs by task."""
    heads = inner(model, Heads)

    def named(inputs: Any, training: bool = False) -> dict[str, Any]:
        outputs = model(inputs, training=training)
        return {name: heads.of(name, outputs) for name in heads.names}

    return named


class SummedLoss(keras.losses.Loss):
    """The mean over a batch of what each example adds: its tasks' losses times their weights.

    A task's loss over its examples of a batch counts by their share of the batch, so that the
    tasks' rates say how much each is learned.

    Args:
      heads: of the model.
      tasks, weights: by name.
    """

    def __init__(self, heads: Heads, tasks: Mapping[str, Task], weights: Mapping[str, float]):
        super().__init__()
        self._heads, self._columns, self._weights = heads, columns_of(tasks), weights
        self._losses = {name: task.build_loss(heads.parts[name]) for name, task in tasks.items()}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        ops, total = keras.ops, 0.0
        for name, columns in self._columns.items():
            there = ops.cast(columns.there(y_true), "float32")
            found = self._losses[name].call(columns.truth(y_true), self._heads.of(name, y_pred))
            # A loss of tokens is a mean over all of the batch: it has no example to leave out.
            share = ops.mean(there) if columns.tokens else there
            total += self._weights[name] * share * found
        return total


class PartMetric(keras.metrics.Metric):
    """A task's metric over the examples that have a target for it."""

    def __init__(self, name: str, columns: Columns, heads: Callable[[], Heads], metric: Any):
        super().__init__(name=f"{name}_{metric.name}")
        self._task, self._columns, self._heads, self._metric = name, columns, heads, metric
        if direction := getattr(metric, "_direction", None):
            self._direction = direction

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        weight = keras.ops.cast(self._columns.there(y_true), "float32")
        if sample_weight is not None:
            weight *= keras.ops.cast(sample_weight, "float32")
        part = self._heads().of(self._task, y_pred)
        return self._metric.update_state(self._columns.truth(y_true), part, weight)

    def result(self) -> Any:
        return self._metric.result()

    def reset_state(self) -> None:
        self._metric.reset_state()


def metrics_of(tasks: Mapping[str, Task], heads: Callable[[], Heads]) -> list[Any]:
    """Returns the metrics of all tasks, called "task_metric".

    Args:
      tasks: by name.
      heads: asked when there are outputs.
    """
    columns = columns_of(tasks)
    return [
        PartMetric(name, columns[name], heads, metric)
        for name, task in tasks.items()
        for metric in task.build_metrics()
    ]
