"""Texts that are answered with text: prompts and sources, answers, and tokens as text again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.errors import ConfigError
from tfft.preprocessing.text.served_texts import limited
from tfft.preprocessing.text.text_preprocessor import Ragged, Rows, Tensors, TextPreprocessor


class AnswerPreprocessor(TextPreprocessor):
    """Reads texts and their answers, and writes tokens as text.

    Args:
      settings: as in `TextPreprocessor`.
      answer_length: the most tokens of an answer, its end token included.
    """

    def __init__(self, subwords: Any, *, answer_length: int = 32, **settings: Any):
        super().__init__(subwords, **settings)
        self.answer_length = int(answer_length)

    def answers(self, texts: Any) -> tuple[Ragged, Ragged]:
        """Returns the ids of answers with their end token: complete and cut, int32 [b (t)]."""
        ids = self.between(self.subwords.ids(texts), None, self.end_id)
        return ids, ids[:, : self.answer_length]

    def texts(self, ids: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
        """Returns tokens as text.

        Args:
          ids: int32 [b t].
          counts: how many of them there are, int32 [b]; start and end tokens are left out.

        Returns:
          Strings, [b].
        """
        keep = tf.sequence_mask(counts, tf.shape(ids)[1])
        for special in {self.start_id, self.end_id} - {None}:
            keep &= ids != special
        return self.subwords.texts(tf.ragged.boolean_mask(ids, keep))

    def rows_of_answers(self, texts: Sequence[str]) -> tuple[list[np.ndarray], np.ndarray]:
        """Returns the cut ids of answers, int32 [t] each, and how many tokens they have uncut."""
        rows: list[np.ndarray] = []
        full: list[np.ndarray] = []
        for start in range(0, len(texts), self.batch):
            whole, cut = self.answers(tf.constant(list(texts[start : start + self.batch])))
            full.append(whole.row_lengths().numpy())
            rows += np.split(cut.values.numpy(), cut.row_splits.numpy()[1:-1])
        return rows, np.concatenate(full).astype(np.int32)

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), "answer_length": self.answer_length}


class PromptPreprocessor(AnswerPreprocessor):
    """Reads a prompt that its answer follows in the same row, for decoders without an encoder.

    A row is the start token and the prompt. Of a prompt that is too long the end is kept, where the
    answer begins. The tokens of an answer are a part of `sequence_length`.

    Raises:
      ConfigError: an answer leaves no room for a prompt.
    """

    inputs: tuple[str, ...] = ("answer_mask",)

    def __init__(self, subwords: Any, **settings: Any):
        super().__init__(subwords, **settings)
        self.room = self.sequence_length - self.answer_length
        if self.room < 2:
            raise ConfigError(
                f"max_new_tokens={self.answer_length} of sequence_length={self.sequence_length} "
                "leave no room for a prompt.",
                valid=f"max_new_tokens of 1 to {self.sequence_length - 2}",
            )

    def _begun(self, texts: Any) -> Ragged:
        """Returns the start token and the ids of each text; the end token for nothing at all."""
        ids = self.between(self.subwords.ids(texts), self.start_id, None)
        empty = tf.cast(tf.equal(ids.row_lengths(), 0), tf.int64)
        ends = tf.fill([tf.reduce_sum(empty)], tf.constant(self.end_id, tf.int32))
        return tf.concat([ids, Ragged.from_row_lengths(ends, empty)], axis=1)

    def _cut(self, whole: Ragged) -> Ragged:
        """Returns the first token of each row and as many of the last ones as there is room for."""
        lengths = tf.cast(whole.row_lengths(), tf.int64)
        first = tf.cast(whole.row_starts(), tf.int64)
        ends = first + lengths
        places = tf.ragged.range(tf.maximum(ends - self.room, first) + 1, ends)
        return tf.concat([whole[:, :1], tf.gather(whole.flat_values, places)], axis=1)

    def read(self, *inputs: Any) -> Rows:
        """Returns the rows of prompts, with `answer_mask`, 0 at each token."""
        ids = self._begun(*inputs)
        cut = self._cut(ids)
        mask = cut.with_values(tf.zeros_like(cut.values))
        return Rows(cut, ids.row_lengths(), {"answer_mask": mask})

    def shorten_inputs(self, *inputs: Any) -> tuple[tf.Tensor, ...]:
        return tuple(map(limited, inputs))  # the end is kept


class SourcePreprocessor(AnswerPreprocessor):
    """Reads a text for an encoder; its answer is written by a decoder, in rows of its own.

    Args:
      begins: the ids that a decoder begins with.
    """

    inputs: tuple[str, ...] = ("decoder_token_ids", "decoder_padding_mask")

    def __init__(self, subwords: Any, *, begins: tuple[int, ...], **settings: Any):
        super().__init__(subwords, **settings)
        self.begins = tuple(begins)

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "begins": self.begins}

    def __call__(self, *inputs: Any) -> Tensors:
        """Returns token_ids and padding_mask, int32 [b t], and what the decoder begins with."""
        result = super().__call__(*inputs)
        count = tf.shape(result["token_ids"])[0]
        begun = tf.repeat(tf.constant([self.begins], tf.int32), count, axis=0)
        more = {"decoder_token_ids": begun, "decoder_padding_mask": tf.ones_like(begun)}
        return {**result, **more}

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), "begins": list(self.begins)}
