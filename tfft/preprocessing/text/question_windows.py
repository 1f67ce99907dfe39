"""A question with its context in windows, and where the context's tokens stand, in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.errors import ConfigError
from tfft.preprocessing.instances import Windows
from tfft.preprocessing.text.long_text_windows import window_places
from tfft.preprocessing.text.offsets import with_marks
from tfft.preprocessing.text.text_pairs import PairPreprocessor

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
        if isinstance(first_length, bool) or not 1 <= first_length < room:
            raise ConfigError(
                f"question_length={first_length!r} does not fit sequence_length={length}.",
                valid=f"1 to {room - 1}, below the {room} tokens of both texts in a window",
            )
        room -= first_length
        overlap = min(length // 4, room - 1) if overlap is None else overlap
        if isinstance(overlap, bool) or not 0 <= overlap < room:
            raise ConfigError(
                f"overlap={overlap!r} does not fit sequence_length={length}.",
                valid=f"0 to {room - 1}, below the {room} tokens beside the longest question",
            )
        if isinstance(most, bool) or most < 1:
            raise ConfigError(f"most_windows={most!r} reads nothing.", valid="1 or more")
        self.first_length, self.overlap, self.most = int(first_length), int(overlap), int(most)

    def windows(
        self, first: Any, second: Any
    ) -> tuple[tf.RaggedTensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the windows of pairs, end to end.

        Args:
          first, second: strings, [b].

        Returns:
          int32 [w (t) 4], of each token its id, the characters of the second text that it begins
          and ends with (-1 where it is none of them) and its segment; int64 [b], how many windows
          a pair has; int64 [b], the lengths of the whole pairs and of what is in some window,
          special tokens counted once.
        """
        question = self.subwords.ids(first)
        asked = tf.cast(question.row_lengths(), tf.int64)
        question = question[:, : self.first_length]
        second = tf.strings.unicode_transcode(second, "UTF-8", "UTF-8")
        ids, starts, ends = self.subwords.ids_with_offsets(second)
        ends = with_marks(second, starts, ends)
        lengths = tf.cast(ids.row_lengths(), tf.int64)
        known = tf.minimum(asked, self.first_length)
        room = self.sequence_length - self._special - known
        places, counts, kept = window_places(ids, room, self.overlap, self.most)
        pair = tf.repeat(tf.range(tf.size(counts)), counts)
        context = _columns(ids.values, starts.values, ends.values, 1)
        context = places.with_values(tf.gather(context, places.values))
        asked_ids = question.with_values(_columns(question.values, -1, -1, 0))
        rows = self._joined_rows(tf.gather(asked_ids, pair), context)
        return rows, counts, asked + lengths + self._special, known + kept + self._special

    def _joined_rows(self, one: tf.RaggedTensor, two: tf.RaggedTensor) -> tf.RaggedTensor:
        def special(number: int, segment: int) -> tf.Tensor:
            return tf.tile(tf.constant([[[number, -1, -1, segment]]]), [one.nrows(), 1, 1])

        between = [special(self.end_id, 0)] * (1 + self.double_end)
        parts = [special(self.start_id, 0), one, *between, two, special(self.end_id, 1)]
        return tf.concat(parts, axis=1)

    def rows(self, *inputs: Any) -> dict[str, tf.Tensor]:
        """Returns what is stored of pairs, see `WindowPreprocessor.rows`; also `starts`, `ends`.

        These are the Unicode characters of the second text that each token begins with and the
        ones after its last, int32; -1 where a token is none of that text.
        """
        windows, counts, full, kept = self.windows(*inputs)
        found = dict(zip(COLUMNS, tf.unstack(windows.values, num=4, axis=1), strict=True))
        segments = tf.cast(found.pop("segment_ids"), tf.int8)
        return {
            "full": full,
            "lengths": windows.row_lengths(),
            "counts": counts,
            "kept": kept,
            **found,
            **({"segment_ids": segments} if self.segments else {}),
        }

    def grouping(self, offsets: np.ndarray, kept: np.ndarray, lengths: np.ndarray) -> Windows:
        """Returns which windows are a pair's, see `tfft.layers.instances`."""
        return Windows(offsets, kept, self.sequence_length)

    def __call__(self, *inputs: Any) -> dict[str, tf.Tensor]:
        """Returns the model's inputs for strings [b], and what reads its outputs.

        Returns:
          token_ids, padding_mask and, where the body has them, segment_ids: int32 [b r t]; starts
          and ends as of `rows`, -1 at padding too; `second`: the second texts, strings [b].
        """
        first, second = inputs
        room = self.sequence_length - self._special
        most = room + (self.most - 1) * (room - self.overlap)
        first, second = self.shorten(first, self.first_length), self.shorten(second, most)
        windows, counts, _, _ = self.windows(first, second)
        columns = dict(zip(COLUMNS, tf.unstack(windows.values, num=4, axis=1), strict=True))
        found = self.pad(windows.with_values(columns.pop("ids")))
        for name, values in columns.items():
            if name != "segment_ids" or self.segments:
                found[name] = windows.with_values(values).to_tensor(_FILL.get(name, 0))
        fill = {**_FILL, "token_ids": self.pad_id}
        found = {
            name: tf.RaggedTensor.from_row_lengths(rows, counts).to_tensor(fill.get(name, 0))
            for name, rows in found.items()
        }
        return {**found, "second": second}

    def config(self) -> Mapping[str, Any]:
        windows = {"window_overlap": self.overlap, "most_windows": self.most}
        rule = {"offsets": 2}  # the version of where tokens end
        return {**super().config(), "first_length": self.first_length, **windows, **rule}


_FILL = {"starts": -1, "ends": -1}


def _columns(ids: tf.Tensor, starts: Any, ends: Any, segment: int) -> tf.Tensor:
    """Returns values of tokens side by side, int32 [n 4], constants as often as there are ids."""
    given = (ids, starts, ends, segment)
    return tf.stack([tf.cast(each, tf.int32) + tf.zeros_like(ids) for each in given], axis=1)
