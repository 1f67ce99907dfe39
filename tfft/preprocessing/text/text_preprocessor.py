"""From strings to token ids in the graph, with the same code for training and for serving."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfft.errors import ConfigError
from tfft.preprocessing.text.served_texts import shorten


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
      segments: whether the body tells the tokens of two texts apart by a segment, as BERT does.
    """

    windowed = False  # whether an example may be several rows; see `preprocess.windows`
    reads = "token_ids"  # what the model calls the rows
    padded = True  # whether rows differ in length, so that there is a padding mask
    inputs: tuple[str, ...] = ()  # what the model reads beside token_ids and padding_mask
    batch = 4096  # examples a call; the rules for texts that are not ASCII cost the same for any

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
        if isinstance(sequence_length, bool) or int(sequence_length) < 3:
            raise ConfigError(
                f"sequence_length={sequence_length!r} leaves no room for a token of the text.",
                valid="3 or more: one token between the two special ones",
            )
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
        """Returns the arguments of this preprocessor, for another one of the same body."""
        return {
            "subwords": self.subwords,
            "start_id": self.start_id,
            "end_id": self.end_id,
            "pad_id": self.pad_id,
            "sequence_length": self.sequence_length,
            "double_end": self.double_end,
            "segments": self.segments,
        }

    def tokenize(self, texts: Any) -> tf.RaggedTensor:
        """Returns the ids of whole texts, special tokens included: int32 [b (t)].

        Args:
          texts: strings, [b]. Bytes that are no UTF-8 count as U+FFFD.
        """
        return self.between(self.subwords.ids(texts), self.start_id, self.end_id)

    def between(
        self, values: tf.RaggedTensor, first: int | None, last: int | None
    ) -> tf.RaggedTensor:
        """Puts a number before and one behind each row, int32 [b (t)]; None for nothing."""
        rows = values.nrows()
        start, end = (
            [] if each is None else [tf.fill([rows, 1], tf.constant(each, tf.int32))]
            for each in (first, last)
        )
        return tf.concat([*start, values, *end], axis=1)

    def truncate(self, ragged: tf.RaggedTensor, sequence_length: int) -> tf.RaggedTensor:
        """Cuts rows to at most `sequence_length` tokens, of which the last stays the last."""
        # A row of at most sequence_length - 1 tokens is whole in the first part already.
        last = ragged[:, sequence_length - 1 :][:, -1:]
        return tf.concat([ragged[:, : sequence_length - 1], last], axis=1)

    def rows(self, *inputs: Any) -> dict[str, tf.Tensor]:
        """Returns what is stored of texts.

        Args:
          inputs: strings, [b] each.

        Returns:
          `full`: int64 [b], the lengths of the whole texts; `ids`: int32, the cut ids end to end;
          `lengths`: int64, those of the rows. Other names are further values of each id.
        """
        full = self.tokenize(*inputs)
        cut = self.truncate(full, self.sequence_length)
        return {"full": full.row_lengths(), "ids": cut.flat_values, "lengths": cut.row_lengths()}

    def pad(self, ragged: tf.RaggedTensor, length: int | None = None) -> dict[str, tf.Tensor]:
        """Fills rows up to `length`, or to the longest row.

        Returns:
          token_ids and padding_mask (1 where there is a token), int32 [b t].

        Raises:
          tf.errors.InvalidArgumentError: a row is longer than `length`.
        """
        lengths = ragged.row_lengths()
        if length is not None:
            fits = tf.debugging.assert_less_equal(
                lengths,
                tf.cast(length, lengths.dtype),
                message="a row is longer than the length to pad to; truncate it first",
            )
            with tf.control_dependencies([fits] if fits is not None else []):
                lengths = tf.identity(lengths)
        token_ids = ragged.to_tensor(self.pad_id, shape=[None, length])
        mask = tf.sequence_mask(lengths, tf.shape(token_ids)[1], tf.int32)
        return {"token_ids": token_ids, "padding_mask": mask}

    def shorten(self, texts: Any, tokens: int) -> tf.Tensor:
        """Returns texts without what no token is read of, see `served_texts`: strings [b]."""
        return shorten(
            texts,
            tokens,
            lambda heads: self.subwords.ids(heads).row_lengths(),
            self.subwords.boundary,
        )

    def __call__(self, *inputs: Any) -> dict[str, tf.Tensor]:
        """Returns the model's inputs for strings [b], cut at `sequence_length`."""
        inputs = tuple(self.shorten(each, self.sequence_length) for each in inputs)
        return self.pad(self.truncate(self.tokenize(*inputs), self.sequence_length))

    def config(self) -> Mapping[str, Any]:
        """Returns what a person may want to know of it, JSON-able and short."""
        return {
            "tokenizer": type(self.subwords).__name__,
            "sequence_length": self.sequence_length,
            "start_id": self.start_id,
            "end_id": self.end_id,
            "pad_id": self.pad_id,
        }

    def fingerprint(self) -> str:
        """Returns the SHA-256, in hex, of the vocabulary and every setting."""
        everything = [dict(self.config()), self.subwords.settings()]
        text = json.dumps(everything, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()
