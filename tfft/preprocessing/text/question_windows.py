"""A question with its context in windows, and where the context's tokens stand, in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import tensorflow as tf

from tfft.errors import ConfigError
from tfft.preprocessing.text.long_text_windows import checked_overlap, window_places
from tfft.preprocessing.text.offsets import with_marks
from tfft.preprocessing.text.text_pairs import PairPreprocessor
from tfft.preprocessing.text.text_preprocessor import Ragged, Rows, Tensors

LONGEST_QUESTION = 64  # tokens, where nothing is said
COLUMNS = ("ids", "starts", "ends", "segment_ids")


class PairWindows(PairPreprocessor):
    """Reads a long second text in windows, each behind the whole first one.

    A row is start, the first text, end (two of them where `double_end` says so), a window of the
    second text, end. Each window repeats the last `overlap` tokens of the one before it; the last
    one begins earlier, so that it is full too. A pair that fits is one row.

    Args:
      subwords, settings: as in `TextPreprocessor`; `subwords` has `ids_with_offsets` too.
      first_length: the most tokens of the first text, what is behind them is cut; None for 64, or a
        third of `sequence_length` where that is less.
      overlap: tokens that two neighbours share; None for a quarter of `sequence_length`.
      most: windows of a pair; what is behind them is cut.

    Raises:
      ConfigError: the settings leave no room for a token of the second text that is new.
    """

    windowed = True
    fills: ClassVar[Mapping[str, int]] = {"starts": -1, "ends": -1}

    def __init__(
        self,
        subwords: Any,
        *,
        first_length: int | None = None,
        overlap: int | None = None,
        most: int = 8,
        **settings: Any,
    ):
        super().__init__(subwords, **settings)
        length, room = self.sequence_length, self.sequence_length - self._special
        if first_length is None:
            first_length = min(LONGEST_QUESTION, max(1, length // 3))
        if not 1 <= first_length < room:
            raise ConfigError(
                f"question_length={first_length!r} does not fit sequence_length={length}.",
                valid=f"1 to {room - 1}, below the {room} tokens of both texts in a window",
            )
        beside = "beside the longest question"
        self.overlap = checked_overlap("overlap", overlap, room - first_length, self, beside)
        self.first_length, self.most = first_length, most

    def windows(self, first: Any, second: Any) -> tuple[Ragged, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the windows of pairs, end to end.

        Args:
          first, second: strings, [b].

        Returns:
          int32 [w (t) 4], of each token its id, the characters of the second text that it begins
          and ends with (-1 where it is none of them) and its segment; int64 [b], how many windows
          a pair has; int64 [b], the lengths of the complete pairs and of what is in some window,
          special tokens counted once.
        """
        question = self.subwords.ids(first)
        question_lengths = tf.cast(question.row_lengths(), tf.int64)
        question = question[:, : self.first_length]
        second = tf.strings.unicode_transcode(second, "UTF-8", "UTF-8")
        ids, starts, ends = self.subwords.ids_with_offsets(second)
        ends = with_marks(second, starts, ends)
        lengths = tf.cast(ids.row_lengths(), tf.int64)
        cut_lengths = tf.minimum(question_lengths, self.first_length)
        room = self.sequence_length - self._special - cut_lengths
        places, counts, kept = window_places(ids, room, self.overlap, self.most)
        pair = tf.repeat(tf.range(tf.size(counts)), counts)
        context = _columns(ids.values, starts.values, ends.values, 1)
        context = places.with_values(tf.gather(context, places.values))
        question = question.with_values(_columns(question.values, -1, -1, 0))
        rows = self._joined_rows(tf.gather(question, pair), context)
        full = question_lengths + lengths + self._special
        return rows, counts, full, cut_lengths + kept + self._special

    def _joined_rows(self, one: Ragged, two: Ragged) -> Ragged:
        def special(number: int, segment: int) -> tf.Tensor:
            return tf.tile(tf.constant([[[number, -1, -1, segment]]]), [one.nrows(), 1, 1])

        between = [special(self.end_id, 0)] * (1 + self.double_end)
        parts = [special(self.start_id, 0), one, *between, two, special(self.end_id, 1)]
        return tf.concat(parts, axis=1)

    def read(self, *inputs: Any) -> Rows:
        """Returns the windows of pairs, with `starts`, `ends` and `segment_ids` of their tokens.

        The first two are the Unicode characters of the second text that each token begins with and
        the ones after its last, int32; -1 where a token is none of that text.
        """
        windows, counts, full, kept = self.windows(*inputs)
        parts = [windows.with_values(each) for each in tf.unstack(windows.values, num=4, axis=1)]
        columns = dict(zip(COLUMNS, parts, strict=True))
        ids = columns.pop("ids")
        if not self.segments:
            del columns["segment_ids"]
        return Rows(ids, full, columns, counts, kept)

    def __call__(self, *inputs: Any) -> Tensors:
        """Returns the model's inputs for strings [b], with the values that read its outputs.

        Returns:
          token_ids, padding_mask and, where the backbone has them, segment_ids: int32 [b r t];
          starts and ends as of `read`, -1 at padding too; `second`: the second texts, strings [b].
        """
        first, second = self.shorten_inputs(*inputs)
        return {**self.dense(self.read(first, second)), "second": second}

    def shorten_inputs(self, *inputs: Any) -> tuple[tf.Tensor, ...]:
        first, second = inputs
        room = self.sequence_length - self._special
        most = room + (self.most - 1) * (room - self.overlap)
        return self.shorten(first, self.first_length), self.shorten(second, most)

    def config(self) -> Mapping[str, Any]:
        windows = {"window_overlap": self.overlap, "most_windows": self.most}
        rule = {"offsets": 2}  # the version of where tokens end
        return {**super().config(), "first_length": self.first_length, **windows, **rule}


def _columns(ids: tf.Tensor, starts: Any, ends: Any, segment: int) -> tf.Tensor:
    """Returns values of tokens side by side, int32 [n 4], constants as often as there are ids."""
    values = (ids, starts, ends, segment)
    return tf.stack([tf.cast(each, tf.int32) + tf.zeros_like(ids) for each in values], axis=1)
