"""Two texts as one sequence: start, the first, end, the second, end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfft.errors import ConfigError
from tfft.preprocessing.text.text_preprocessor import TextPreprocessor


class PairPreprocessor(TextPreprocessor):
    """Joins two texts as the body was trained to read them.

    Two end tokens stand between them where `double_end` says so (RoBERTa); the second one and its
    end are segment 1 where the body has segments (BERT). A pair that is too long loses tokens from
    the end of its longer text until both are equally long, then from the end of either in turn.
    """

    def __init__(self, subwords: Any, **settings: Any):
        super().__init__(subwords, **settings)
        self.inputs = ("segment_ids",) if self.segments else ()
        self._special = 3 + self.double_end
        if self.sequence_length < self._special + 2:
            raise ConfigError(
                f"sequence_length={self.sequence_length} leaves no room for two texts.",
                valid=f"{self._special + 2} or more",
            )

    def pairs(self, first: Any, second: Any) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.Tensor]:
        """Returns the joined ids and segments, int32 [b (t)], and the whole lengths, int64 [b].

        Args:
          first, second: strings, [b].
        """
        one, two = self.subwords.ids(first), self.subwords.ids(second)
        long, other = one.row_lengths(), two.row_lengths()
        full = long + other + self._special
        room = self.sequence_length - self._special
        kept = tf.minimum(long, room - tf.minimum(other, room // 2))
        one = self._head(one, kept)
        two = self._head(two, tf.minimum(other, room - kept))
        ids = self._joined(one, two)
        first_part = one.row_lengths() + self._special - 1
        place = tf.ragged.range(ids.row_lengths())
        after = place.values >= tf.gather(first_part, place.value_rowids())
        return ids, ids.with_values(tf.cast(after, tf.int32)), full

    def _joined(self, one: tf.RaggedTensor, two: tf.RaggedTensor) -> tf.RaggedTensor:
        rows = one.nrows()
        start, end = (
            tf.fill([rows, 1], tf.constant(each, tf.int32)) for each in (self.start_id, self.end_id)
        )
        between = [end, end] if self.double_end else [end]
        return tf.concat([start, one, *between, two, end], axis=1)

    def _head(self, ids: tf.RaggedTensor, lengths: tf.Tensor) -> tf.RaggedTensor:
        """Returns the first `lengths` [b] of each row."""
        starts = ids.row_starts()
        places = tf.ragged.range(starts, starts + lengths)
        return places.with_values(tf.gather(ids.values, places.values))

    def rows(self, *inputs: Any) -> dict[str, tf.Tensor]:
        """Returns what is stored of pairs, see `TextPreprocessor.rows`."""
        ids, segments, full = self.pairs(*inputs)
        more = {"segment_ids": tf.cast(segments.values, tf.int8)} if self.segments else {}
        return {"full": full, "ids": ids.flat_values, "lengths": ids.row_lengths(), **more}

    def __call__(self, *inputs: Any) -> dict[str, tf.Tensor]:
        """Returns the model's inputs for first and second texts, strings [b]: int32 [b t]."""
        ids, segments, _ = self.pairs(*(self.shorten(s, self.sequence_length) for s in inputs))
        more = {"segment_ids": segments.to_tensor(0)} if self.segments else {}
        return {**self.pad(ids), **more}

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), "pairs": {"ends": 1 + self.double_end, **self._segments()}}

    def _segments(self) -> dict[str, bool]:
        return {"segments": True} if self.segments else {}
