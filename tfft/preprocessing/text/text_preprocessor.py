"""From strings to token ids in the graph, with the same code for training and for serving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from tfft.preprocessing.fingerprints import digest
from tfft.preprocessing.instances import Windows
from tfft.preprocessing.text.offsets import Ragged
from tfft.preprocessing.text.served_texts import shorten

Tensors = dict[str, tf.Tensor]


class Rows(NamedTuple):
    """The rows of tokens that the examples of a batch are read as.

    Attributes:
      ids: int32 [w (t)], special tokens included.
      full: int64 [b], the lengths of the complete texts.
      columns: further values of each token by name, int32 [w (t)].
      counts: int64 [b], the rows of each example; None for one row each.
      kept: with `counts`, int64 [b], the tokens of an example that are in some row.
    """

    ids: Ragged
    full: tf.Tensor
    columns: Mapping[str, Ragged] = {}
    counts: tf.Tensor | None = None
    kept: tf.Tensor | None = None


class TextPreprocessor(tf.Module):
    """Adds special tokens to a subword tokenizer's ids, cuts and pads them.

    It works in eager code, in a `tf.function`, in `tf.data` and in a SavedModel; its tables and
    constants are tracked.

    Args:
      subwords: a `tf.Module` with `ids(texts)`, from strings [b] to int32 [b (t)] without special
        tokens, and `settings()`, a JSON-able description that fixes every id.
      start_id: the id put before every text; None for nothing.
      end_id: the id put after every text.
      pad_id: the id that fills up a batch.
      sequence_length: the most tokens a text may have, special tokens included.
      double_end: whether two texts are joined by two end tokens, as RoBERTa has it.
      segments: whether the backbone tells the tokens of two texts apart by a segment, as BERT does.
    """

    windowed = False  # whether an example may be several rows; see `preprocessing.instances`
    reads = "token_ids"  # what the model calls the rows
    padded = True  # whether rows differ in length, so that there is a padding mask
    inputs: tuple[str, ...] = ()  # what the model reads beside token_ids and padding_mask
    batch = 4096  # examples a call; the rules for texts that are not ASCII cost the same for any
    grouping_class: ClassVar[type[Windows]] = Windows  # of rows, where an example is several
    fills: ClassVar[Mapping[str, int]] = {}  # what pads further values of tokens; 0 the others

    def __init__(
        self,
        subwords: Any,
        *,
        start_id: int | None,
        end_id: int,
        pad_id: int,
        sequence_length: int = 128,
        double_end: bool = False,
        segments: bool = False,
    ):
        super().__init__(name="text_preprocessor")
        self.subwords = subwords
        self.start_id: Any = None if start_id is None else int(start_id)
        self.end_id, self.pad_id = int(end_id), int(pad_id)
        self.sequence_length = int(sequence_length)
        self.double_end, self.segments = double_end, segments

    @property
    def signature(self) -> tuple[tf.TensorSpec, ...]:
        """What the model reads, as an export takes it: int32 [b t], or [b r t] of rows."""
        shape = [None] * (3 if self.windowed else 2)
        names = (self.reads, "padding_mask", *self.inputs)
        return tuple(tf.TensorSpec(shape, tf.int32, name=name) for name in names)

    def settings(self) -> dict[str, Any]:
        """Returns the arguments of this preprocessor, for another one of the same backbone."""
        names = ("subwords", "start_id", "end_id", "pad_id", "sequence_length", "double_end")
        return {name: getattr(self, name) for name in (*names, "segments")}

    def tokenize(self, texts: Any) -> Ragged:
        """Returns the ids of complete texts, special tokens included: int32 [b (t)].

        Args:
          texts: strings, [b]. Bytes that are no UTF-8 count as U+FFFD.
        """
        return self.between(self.subwords.ids(texts), self.start_id, self.end_id)

    def between(self, values: Ragged, first: int | None, last: int | None) -> Ragged:
        """Puts a number before and one behind each row, int32 [b (t)]; None for nothing."""
        start, end = (
            [] if each is None else [tf.fill([values.nrows(), 1], tf.constant(each, tf.int32))]
            for each in (first, last)
        )
        return tf.concat([*start, values, *end], axis=1)

    def truncate(self, rows: Ragged) -> Ragged:
        """Cuts rows to at most `sequence_length` tokens, of which the last stays the last."""
        # A shorter row is complete in the first part already.
        last = rows[:, self.sequence_length - 1 :][:, -1:]
        return tf.concat([rows[:, : self.sequence_length - 1], last], axis=1)

    def read(self, *inputs: Any) -> Rows:
        """Returns the rows of examples, strings [b] each."""
        full = self.tokenize(*inputs)
        return Rows(self.truncate(full), full.row_lengths())

    def rows(self, *inputs: Any) -> Tensors:
        """Returns the stored form of texts.

        Args:
          inputs: strings, [b] each.

        Returns:
          `full`: int64 [b], the lengths of the complete texts; `ids`: int32, the ids end to end;
          `lengths`: int64, those of the rows; where an example is several rows, `counts` and `kept`
          of `Rows`. Other names are further values of each id.
        """
        read = self.read(*inputs)
        stored = {"full": read.full, "ids": read.ids.flat_values, "lengths": read.ids.row_lengths()}
        for name, values in read.columns.items():
            small = name == "segment_ids"
            stored[name] = tf.cast(values.flat_values, tf.int8) if small else values.flat_values
        more = {} if read.counts is None else {"counts": read.counts, "kept": read.kept}
        return stored | more

    def grouping(self, offsets: np.ndarray, kept: np.ndarray, lengths: np.ndarray) -> Windows:
        """Returns which rows are an example's, see `tfft.layers.instances`."""
        return self.grouping_class(offsets, kept, self.sequence_length)

    def pad(self, rows: Ragged) -> Tensors:
        """Fills rows up to the longest one.

        Returns:
          token_ids and padding_mask (1 where there is a token), int32 [b t].
        """
        token_ids = rows.to_tensor(self.pad_id)
        mask = tf.sequence_mask(rows.row_lengths(), tf.shape(token_ids)[1], tf.int32)
        return {"token_ids": token_ids, "padding_mask": mask}

    def shorten(self, texts: Any, tokens: int) -> tf.Tensor:
        """Returns texts without what no token is read of, see `served_texts`: strings [b]."""
        boundary = self.subwords.boundary
        return shorten(
            texts, tokens, lambda heads: self.subwords.ids(heads).row_lengths(), boundary
        )

    def shorten_inputs(self, *inputs: Any) -> tuple[tf.Tensor, ...]:
        """Returns inputs of a served example without what no token is read of."""
        return tuple(self.shorten(each, self.sequence_length) for each in inputs)

    def __call__(self, *inputs: Any) -> Tensors:
        """Returns the model's inputs for strings [b], with the values of `Rows.columns`.

        Returns:
          int32 [b t], or [b r t] where an example is several rows; 0 in the mask at padding.
        """
        return self.dense(self.read(*self.shorten_inputs(*inputs)))

    def dense(self, read: Rows) -> Tensors:
        """Returns rows, padded, as the model reads them."""
        fills = {"token_ids": self.pad_id, **self.fills}
        dense = self.pad(read.ids)
        dense |= {name: each.to_tensor(fills.get(name, 0)) for name, each in read.columns.items()}
        if read.counts is None:
            return dense
        return {
            name: Ragged.from_row_lengths(each, read.counts).to_tensor(fills.get(name, 0))
            for name, each in dense.items()
        }

    def config(self) -> Mapping[str, Any]:
        """Returns its main settings for a report, JSON-able and short."""
        names = ("sequence_length", "start_id", "end_id", "pad_id")
        own = {name: getattr(self, name) for name in names}
        return {"tokenizer": type(self.subwords).__name__, **own}

    def fingerprint(self) -> str:
        """Returns the SHA-256, in hex, of the vocabulary and every setting."""
        return digest([dict(self.config()), self.subwords.settings()])
