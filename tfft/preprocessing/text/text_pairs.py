"""Two texts as one sequence: start, the first, end, the second, end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfft.errors import ConfigError
from tfft.preprocessing.text.text_preprocessor import Ragged, Rows, TextPreprocessor


class PairPreprocessor(TextPreprocessor):
    """Joins two texts as the backbone was trained to read them.

    Two end tokens stand between them where `double_end` says so (RoBERTa); the second one and its
    end are segment 1 where the backbone has segments (BERT). A pair that is too long loses tokens
    from the end of its longer text until both are equally long, then from the end of each in turn.
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

    def pairs(self, first: Any, second: Any) -> tuple[Ragged, Mapping[str, Ragged], tf.Tensor]:
        """Returns the joined ids, int32 [b (t)], and the lengths of complete pairs, int64 [b].

        Between them `segment_ids` in a dict, empty where the backbone has none.

        Args:
          first, second: strings, [b].
        """
        one, two = self.subwords.ids(first), self.subwords.ids(second)
        long, other = one.row_lengths(), two.row_lengths()
        full = long + other + self._special
        room = self.sequence_length - self._special
        kept = tf.minimum(long, room - tf.minimum(other, room // 2))
        one = self._head(one, kept)
        ids = self._joined(one, self._head(two, tf.minimum(other, room - kept)))
        if not self.segments:
            return ids, {}, full
        first_part = one.row_lengths() + self._special - 1
        place = tf.ragged.range(ids.row_lengths())
        after = place.values >= tf.gather(first_part, place.value_rowids())
        return ids, {"segment_ids": ids.with_values(tf.cast(after, tf.int32))}, full

    def read(self, *inputs: Any) -> Rows:
        ids, segments, full = self.pairs(*inputs)
        return Rows(ids, full, segments)

    def _joined(self, one: Ragged, two: Ragged) -> Ragged:
        end = tf.fill([one.nrows(), 1], tf.constant(self.end_id, tf.int32))
        between = [end, end] if self.double_end else [end]
        return tf.concat([self.between(one, self.start_id, None), *between, two, end], axis=1)

    def _head(self, ids: Ragged, lengths: tf.Tensor) -> Ragged:
        """Returns the first `lengths` [b] of each row."""
        starts = ids.row_starts()
        places = tf.ragged.range(starts, starts + lengths)
        return places.with_values(tf.gather(ids.values, places.values))

    def config(self) -> Mapping[str, Any]:
        segments = {"segments": True} if self.segments else {}
        return {**super().config(), "pairs": {"ends": 1 + self.double_end, **segments}}
