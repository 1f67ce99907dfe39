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
          batch: the numbers of its examples, and what they are padded to.
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
            return {
                f"{name}_{key}": value
                for name, part in self.towers.items()
                for key, value in part.batch(self._batch_of(name, batch)).items()
            }
        windows = self.encoded.windows
        if windows is None:
            return self._rows(batch.rows, batch.length)
        count, length = windows.shape(batch.length)
        rows, places = windows.rows(batch.rows, count)
        found = self._rows(rows, length)
        if self.pooled:
            found["padding_mask"] = np.ones((len(rows), 1), np.int32)
        shape, pad_id = (len(batch.rows), count), self.encoded.pad_id
        return {
            name: spread(value, places, shape, pad_id if name == self.encoded.name else 0)
            for name, value in found.items()
        }

    def _fixed(self, name: str) -> int | None:
        """Returns how many axes of an input have one size in all batches; None for all but one."""
        if not self.encoded.padded:
            return None
        held = {self.encoded.name: self.encoded.tokens, "hidden": self.features}
        values = held.get(name, self.features if name == "pooled" else None)
        return 0 if values is None else len(values.value_shape)

    def _batch_of(self, tower: str, batch: Batch) -> Batch:
        return Batch(batch.rows, self.encoded.part_length(tower, batch.length))

    def _with_shapes(self, batch: Batch) -> dict[str, tuple[np.ndarray, list[int | None]]]:
        """Returns a batch's inputs with their shapes, None where they differ between batches."""
        if not self.towers:
            found = self.batch(batch)
            return {
                name: (each, _open_shape(each, self._fixed(name))) for name, each in found.items()
            }
        return {
            f"{name}_{key}": value
            for name, part in self.towers.items()
            for key, value in part._with_shapes(self._batch_of(name, batch)).items()
        }

    def _rows(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        encoded, features = self.encoded, self.features
        if features is not None and self.pooled:
            return {"pooled": features.first(rows)}
        if not encoded.padded:
            read = {encoded.name: encoded.tokens} if features is None else {"hidden": features}
            return {name: values.first(rows) for name, values in read.items()}
        mask = _mask(encoded.tokens.lengths_of(rows), length)
        if "padding_mask" in encoded.extra:  # several examples in a row, numbered
            mask = encoded.extra["padding_mask"].pad(rows, length)
        beside = self._decoder_rows(rows, length)
        if features is None:
            own = [name for name in encoded.inputs if name in encoded.extra]
            more = {name: encoded.extra[name].pad(rows, length).astype(np.int32) for name in own}
            return {
                encoded.name: encoded.tokens.pad(rows, length, encoded.pad_id),
                "padding_mask": mask,
                **more,
                **beside,
            }
        return {"hidden": features.pad(rows, length), "padding_mask": mask, **beside}

    def _decoder_rows(self, rows: np.ndarray, length: int) -> dict[str, np.ndarray]:
        """Returns what a decoder reads beside rows of `length` tokens: [b u]; nothing without."""
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
        encoded, targets = self.encoded, tf.nest.flatten(self.encoded.targets)
        if self.towers:
            read = targets
        else:
            read = [encoded.tokens, *targets, encoded.decoder, *encoded.extra.values()]
        read = read if self.features is None else [self.features]
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
          weights: of each batch's examples, one number a batch; given to the model as [b].
          seed: of the augmentation, together with the number of the batch.
        """
        encoded, held = self.encoded, 0
        targets, mapped = encoded.targets, self._mapped()
        leaves = [] if targets is None else tf.nest.flatten(targets)
        most = RELEASE_TOKENS if self.features is None and not self.towers else RELEASE

        def element(number: np.ndarray) -> list[np.ndarray]:
            nonlocal held
            batch = plan[int(number)]
            changes = self.augmentation is not None
            rng = np.random.default_rng([*seed, int(number)]) if changes else None
            inputs, wanted = self.read(batch, rng)
            found = list(inputs.values())
            if mapped:
                held += sum(value.nbytes for value in found) + ROW_MARGIN * len(batch.rows)
                full = min(held, sum(values.nbytes for values in mapped)) > most
                if full or number == len(plan) - 1:
                    for values in mapped:
                        release(values)
                    held = 0
            if wanted is not None:
                found += tf.nest.flatten(wanted)
            if weights is not None:
                found.append(np.full(len(batch.rows), weights[int(number)], np.float32))
            return found

        first = self._with_shapes(plan[0])
        example, shapes = map(list, zip(*first.values(), strict=True))
        if targets is not None:
            values = tf.nest.flatten(encoded.targets_of(plan[0].rows, plan[0].length))
            example += values
            shapes += map(_open_shape, values, map(_fixed_axes, leaves))
        if weights is not None:
            example.append(np.zeros(1, np.float32))
            shapes.append([None])
        begin, end = len(first), len(first) + len(leaves)

        def tensors(number: Any) -> Any:
            found = tf.numpy_function(element, [number], [value.dtype for value in example])
            for value, shape in zip(found, shapes, strict=True):
                value.set_shape(shape)
            inputs, more = dict(zip(first, found, strict=False)), found[end:]
            if leaves:
                more = [tf.nest.pack_sequence_as(targets, found[begin:end]), *more]
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


def _fixed_axes(targets: Any) -> int | None:
    """Returns how many axes of a batch of targets have one size always; None for all but one."""
    along_tokens = isinstance(targets, Ragged) and targets.along == "tokens"
    return len(targets.value_shape) if along_tokens else None


def _open_shape(value: np.ndarray, fixed: int | None) -> list[int | None]:
    """Returns the shape of a batch's array with what differs between batches left open.

    Args:
      fixed: the number of the last axes, which have one size in all batches; None for all but the
        first axis.
    """
    free = 1 if fixed is None else value.ndim - fixed
    return [*[None] * free, *value.shape[free:]]
