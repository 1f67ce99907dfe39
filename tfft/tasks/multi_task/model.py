"""Several tasks on one backbone: heads side by side, losses added up, targets and outputs by name.

A batch may hold examples of every task. The targets of a task are those of all examples, with a
mask of the ones that have some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfft.layers.serialization import deserialize
from tfft.tasks.base import Task


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

    def get_config(self) -> dict[str, Any]:
        heads = list(map(list, self.parts.items()))  # in their order
        return {**super().get_config(), "heads": heads, "tokens": sorted(self.tokens)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Heads:
        heads = {name: deserialize(head) for name, head in config["heads"]}
        return super().from_config({**config, "heads": heads})

    def build(self, input_shape: Any) -> None:
        text = (input_shape[0], input_shape[-1])
        for name, head in self.parts.items():
            if not head.built:
                with keras.name_scope(name):
                    head.build(tuple(input_shape) if name in self.tokens else text)
        self.built = True

    def call(self, read: Any, training: bool | None = None) -> dict[str, Any]:
        """Returns the output of each head, float32: [b c], or [b t c] where it reads tokens."""
        pooled, tokens = read[:, 0], read[:, 1:]
        outputs = {
            name: head(tokens if name in self.tokens else pooled, training=training)
            for name, head in self.parts.items()
        }
        return keras.tree.map_structure(lambda out: keras.ops.cast(out, "float32"), outputs)


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
        self._tokens, self._weights = heads.tokens, weights
        self._losses = {name: task.build_loss(heads.parts[name]) for name, task in tasks.items()}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        total = 0.0
        for name, loss in self._losses.items():
            # Of a softmax's own output Keras takes the logits: other last digits of the loss.
            outputs = tf.nest.map_structure(tf.identity, y_pred[name])
            part = loss.call(y_true[name]["targets"], outputs)
            share = y_true[name]["mask"]
            # A loss of tokens is a mean over all of the batch: it has no example to leave out.
            share = keras.ops.mean(share) if name in self._tokens else share
            total += self._weights[name] * share * part
        return total


class PartMetric(keras.metrics.Metric):
    """A task's metric over the examples that have a target for it, called "task_metric"."""

    def __init__(self, name: str, metric: Any):
        super().__init__(name=f"{name}_{metric.name}")
        self._task, self._metric = name, metric
        if direction := getattr(metric, "_direction", None):
            self._direction = direction

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        targets, weight = y_true[self._task]["targets"], y_true[self._task]["mask"]
        if sample_weight is not None:
            weight *= keras.ops.cast(sample_weight, "float32")
        return self._metric.update_state(targets, y_pred[self._task], weight)

    def result(self) -> Any:
        return self._metric.result()

    def reset_state(self) -> None:
        self._metric.reset_state()
