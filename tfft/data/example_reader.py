"""Random access to the examples of a split, batch by batch, and the batches of a plan.

The order of an epoch is a function of the seed, the stage and the epoch alone, so that a resumed
run continues with the very batch that comes next.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.data.decoded_rows import DecodedRows
from tfft.data.encoded_split import Ragged
from tfft.data.encoded_towers import EncodedTowers
from tfft.data.length_buckets import Batch
from tfft.preprocessing.instances import spread
from tfft.storage.array_file import release

RELEASE = 2**29  # bytes read from disk after which their memory is given back
RELEASE_TOKENS = 2**26
ROW_MARGIN = 2**17  # bytes: what the system maps around a row that is read


@dataclasses.dataclass(frozen=True)
class ExampleReader:
    """Reads the examples of a split as a model does, in any order.

    The values are in memory, in arrays on disk that are mapped, or decoded when they are read; the
    arrays of `encoded` and `features` decide. What is read does not depend on it.

    Attributes:
      encoded: the split.
      features: the outputs of the frozen prefix, which are read in place of the inputs; None for
        the inputs. [tokens, d] for hidden states; one row a text, a window or an image for pooled
        ones, and for all that an image has.
      pooled: whether the prefix holds the pooling.
      augmentation: changes each batch of inputs and targets, see `BatchAugmentation`; None for no
        change.
      towers: by name the reader of each tower, where `encoded` is of several.
    """

    encoded: Any
    features: Ragged | None = None
    pooled: bool = False
    augmentation: Callable[[Any, Any, np.random.Generator], tuple[Any, Any]] | None = None
    towers: Mapping[str, ExampleReader] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.encoded, EncodedTowers) and not self.towers:
            parts = {name: ExampleReader(part) for name, part in self.encoded.parts.items()}
            object.__setattr__(self, "towers", parts)

    @property
    def sizes(self) -> np.ndarray:
        """What each example takes in a batch, such as its tokens: int [n]. Plans are made of it."""
        return self.encoded.sizes

    def read(
        self, batch: Batch, rng: np.random.Generator | None = None
    ) -> tuple[dict[str, np.ndarray], Any]:
        """Returns the inputs and the targets of a batch, [b ...] each; None for no targets.

        Args:
          batch: the numbers of its examples, and their padded length.
          rng: of the augmentation; None for a batch without it.
        """
        inputs, targets = self.batch(batch), None
        if self.encoded.targets is not None:
            targets = self.encoded.targets_of(batch.rows, batch.length)
        if self.augmentation is not None and rng is not None:
            return self.augmentation(inputs, targets, rng)
        return inputs, targets

    def batch(self, batch: Batch) -> dict[str, np.ndarray]:
        """Returns the model's inputs for one batch: [b t], or [b t d] and [b t], or [b d].

        Rows of a fixed shape are [b ...] and have no mask. With windows: [b n t], or [b n t d] and
        [b n t], or [b n d] and [b n 1]. The inputs of several towers have their names before them.
        """
        if self.towers:
            return self._of_towers(batch, ExampleReader.batch)
        windows = self.encoded.windows
        if windows is None:
            return self._rows(batch.rows, batch.length)
        count, length = windows.shape(batch.length)
        rows, places = windows.rows(batch.rows, count)
        inputs = self._rows(rows, length)
        if self.pooled:
            inputs["padding_mask"] = np.ones((len(rows), 1), np.int32)
        shape, fill = (len(batch.rows), count), {self.encoded.name: self.encoded.pad_id}
        return {k: spread(value, places, shape, fill.get(k, 0)) for k, value in inputs.items()}

    def _fixed(self, name: str) -> int | None:
        """Returns how many axes of an input have one size in all batches; None for all but one."""
        if not self.encoded.padded:
            return None
        read = dict.fromkeys(("hidden", "pooled"), self.features)
        values = {**read, self.encoded.name: self.encoded.tokens}.get(name)
        return 0 if values is None else len(values.value_shape)

    def _of_towers(
        self, batch: Batch, read: Callable[[ExampleReader, Batch], dict[str, Any]]
    ) -> dict[str, Any]:
        """Returns what `read` does for each tower, with the tower's name before the inputs'."""
        inputs: dict[str, Any] = {}
        for name, part in self.towers.items():
            own = Batch(batch.rows, self.encoded.part_length(name, batch.length))
            inputs |= {f"{name}_{key}": value for key, value in read(part, own).items()}
        return inputs

    def _with_shapes(self, batch: Batch) -> dict[str, tuple[np.ndarray, list[int | None]]]:
        """Returns a batch's inputs with their shapes, None where they differ between batches."""
        if self.towers:
            return self._of_towers(batch, ExampleReader._with_shapes)
        inputs = self.batch(batch).items()
        return {name: (each, _open_shape(each, self._fixed(name))) for name, each in inputs}

    def _rows(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        encoded, features = self.encoded, self.features
        if features is not None and self.pooled:
            return {"pooled": features.first(rows)}
        if not encoded.padded:
            read, key = (encoded.tokens, encoded.name) if features is None else (features, "hidden")
            return {key: read.first(rows)}
        mask = _mask(encoded.tokens.lengths_of(rows), length)
        if "padding_mask" in encoded.extra:  # several examples in a row, numbered
            mask = encoded.extra["padding_mask"].pad(rows, length)
        beside = self._decoder_rows(rows, length)
        if features is not None:
            return {"hidden": features.pad(rows, length), "padding_mask": mask, **beside}
        tokens = encoded.tokens.pad(rows, length, encoded.pad_id)
        own = [name for name in encoded.inputs if name in encoded.extra]
        more = {name: encoded.extra[name].pad(rows, length).astype(np.int32) for name in own}
        return {encoded.name: tokens, "padding_mask": mask, **more, **beside}

    def _decoder_rows(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        """Returns the decoder's inputs beside rows of `length` tokens: [b u]; nothing without."""
        decoder = self.encoded.decoder
        if decoder is None:
            return {}
        size = self.encoded.decoder_length(length)
        return {
            "decoder_token_ids": decoder.pad(rows, size, self.encoded.pad_id),
            "decoder_padding_mask": _mask(decoder.lengths_of(rows), size),
        }

    @property
    def _decodes(self) -> bool:
        """Whether inputs are decoded when they are read, which several threads do at once."""
        if self.towers:
            return any(part._decodes for part in self.towers.values())
        return self.features is None and isinstance(self.encoded.tokens, DecodedRows)

    def _mapped(self) -> list[np.ndarray]:
        """Returns the arrays that batches read from disk."""
        encoded, read = self.encoded, tf.nest.flatten(self.encoded.targets)
        if self.features is not None:
            read = [self.features]
        elif not self.towers:
            read += [encoded.tokens, encoded.decoder, *encoded.extra.values()]
        values = [each.values for each in read if isinstance(each, Ragged)]
        own = [each for each in values if isinstance(each, np.memmap)]
        return own + [each for part in self.towers.values() for each in part._mapped()]

    def dataset(
        self,
        plan: list[Batch],
        start: int = 0,
        weights: Sequence[float] | None = None,
        seed: Sequence[int] = (0,),
    ) -> tf.data.Dataset:
        """Returns the plan's batches from number `start` on, made while the model works.

        Args:
          weights: of each batch's examples, one number a batch; the model gets them as [b].
          seed: of the augmentation, together with the number of the batch.
        """
        encoded, unreleased = self.encoded, 0
        targets, mapped = encoded.targets, self._mapped()
        leaves = [] if targets is None else tf.nest.flatten(targets)
        most = RELEASE_TOKENS if self.features is None and not self.towers else RELEASE

        def element(number: np.ndarray) -> list[np.ndarray]:
            nonlocal unreleased
            batch = plan[int(number)]
            augments = self.augmentation is not None
            rng = np.random.default_rng([*seed, int(number)]) if augments else None
            inputs, own = self.read(batch, rng)
            values = list(inputs.values())
            if mapped:
                unreleased += sum(value.nbytes for value in values) + ROW_MARGIN * len(batch.rows)
                full = min(unreleased, sum(array.nbytes for array in mapped)) > most
                if full or number == len(plan) - 1:
                    for array in mapped:
                        release(array)
                    unreleased = 0
            if own is not None:
                values += tf.nest.flatten(own)
            if weights is not None:
                values.append(np.full(len(batch.rows), weights[int(number)], np.float32))
            return values

        first = self._with_shapes(plan[0])
        example, shapes = map(list, zip(*first.values(), strict=True))
        if targets is not None:
            values = tf.nest.flatten(encoded.targets_of(plan[0].rows, plan[0].length))
            example += values
            for value, leaf in zip(values, leaves, strict=True):
                along_tokens = isinstance(leaf, Ragged) and leaf.along == "tokens"
                shapes.append(_open_shape(value, len(leaf.value_shape) if along_tokens else None))
        if weights is not None:
            example.append(np.zeros(1, np.float32))
            shapes.append([None])
        begin, end = len(first), len(first) + len(leaves)

        def tensors(number: Any) -> Any:
            values = tf.numpy_function(element, [number], [value.dtype for value in example])
            for value, shape in zip(values, shapes, strict=True):
                value.set_shape(shape)
            inputs, more = dict(zip(first, values, strict=False)), values[end:]
            if leaves:
                more = [tf.nest.pack_sequence_as(targets, values[begin:end]), *more]
            return (inputs, *more) if more else inputs

        workers = {"num_parallel_calls": os.cpu_count(), "deterministic": True}
        more = workers if self._decodes else {}
        dataset = tf.data.Dataset.range(start, len(plan)).map(tensors, **more)
        # With autotuning, the end of an iterator waits for the tuner's next turn; its turns come
        # after 10 ms, 20 ms, and so on doubled: an epoch could last twice as long for nothing.
        options = tf.data.Options()
        options.autotune.enabled = False
        return dataset.prefetch(4).with_options(options)


def _mask(lengths: np.ndarray, size: int) -> np.ndarray:
    """Returns 1 at the tokens of rows, 0 at padding: int32 [b size]."""
    return (np.arange(size) < lengths[:, None]).astype(np.int32)


def _open_shape(value: np.ndarray, fixed: int | None) -> list[int | None]:
    """Returns the shape of a batch's array, None for axes that differ between batches.

    Args:
      fixed: the number of the last axes, which have one size in all batches; None for all but the
        first axis.
    """
    free = 1 if fixed is None else value.ndim - fixed
    return [*[None] * free, *value.shape[free:]]
