"""Long texts as overlapping windows instead of cut ones, in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.errors import ConfigError, near
from tfft.preprocessing.instances import Windows
from tfft.preprocessing.text.text_preprocessor import TextPreprocessor

CHOICES = ("cut", "windows")


class WindowPreprocessor(TextPreprocessor):
    """Reads a text that is too long in windows of `sequence_length` tokens.

    Each window has the special tokens at its ends and repeats the last `overlap` tokens of the one
    before it; the last window of a text begins earlier, so that it is full too. A text that fits is
    one window, with the ids that `TextPreprocessor` gives it.

    Args:
      subwords, settings: as in `TextPreprocessor`.
      overlap: tokens that two neighbours share; None for a quarter of `sequence_length`.
      most: windows of a text; what is behind them is cut.
    """

    windowed = True

    def __init__(
        self, subwords: Any, *, overlap: int | None = None, most: int = 8, **settings: Any
    ):
        super().__init__(subwords, **settings)
        room = self.sequence_length - 2
        overlap = min(self.sequence_length // 4, room - 1) if overlap is None else overlap
        if isinstance(overlap, bool) or not 0 <= overlap < room:
            raise ConfigError(
                f"window_overlap={overlap!r} does not fit sequence_length={self.sequence_length}.",
                valid=f"0 to {room - 1}, below the {room} tokens of a text in a window",
            )
        if isinstance(most, bool) or most < 1:
            raise ConfigError(f"most_windows={most!r} reads nothing.", valid="1 or more")
        self.overlap, self.most = int(overlap), int(most)

    def windows(self, texts: Any) -> tuple[tf.RaggedTensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns the windows of texts, end to end.

        Args:
          texts: strings, [b].

        Returns:
          int32 [w (t)], the windows with special tokens; int64 [b], how many a text has; int64 [b],
          the lengths of the whole texts and of what is in some window, special tokens counted once.
        """
        ids = self.subwords.ids(texts)
        lengths = tf.cast(ids.row_lengths(), tf.int64)
        room = tf.fill(tf.shape(lengths), tf.constant(self.sequence_length - 2, tf.int64))
        places, counts, kept = window_places(ids, room, self.overlap, self.most)
        inner = places.with_values(tf.gather(ids.flat_values, places.values))
        windows = self.between(inner, self.start_id, self.end_id)
        return windows, counts, lengths + 2, kept + 2

    def rows(self, *inputs: Any) -> dict[str, tf.Tensor]:
        """Returns what is stored of texts, [b].

        Returns:
          What `TextPreprocessor.rows` returns, with a row a window; `counts`: int64 [b], the
          windows of each text; `kept`: int64 [b], the tokens of a text that are in some window.
        """
        windows, counts, full, kept = self.windows(*inputs)
        found = {"ids": windows.flat_values, "lengths": windows.row_lengths()}
        return {"full": full, **found, "counts": counts, "kept": kept}

    def grouping(self, offsets: np.ndarray, kept: np.ndarray, lengths: np.ndarray) -> Windows:
        """Returns which windows are a text's, see `tfft.layers.instances`."""
        return Windows(offsets, kept, self.sequence_length)

    def __call__(self, *inputs: Any) -> dict[str, tf.Tensor]:
        """Returns the model's inputs for strings [b]: int32 [b n t], 0 in the mask at padding."""
        room = self.sequence_length - 2
        most = room + (self.most - 1) * (room - self.overlap)
        windows, counts, _, _ = self.windows(*(self.shorten(each, most) for each in inputs))
        return {
            name: tf.RaggedTensor.from_row_lengths(rows, counts).to_tensor(
                self.pad_id if name == "token_ids" else 0
            )
            for name, rows in self.pad(windows).items()
        }

    def config(self) -> Mapping[str, Any]:
        found = {"long_texts": "windows", "window_overlap": self.overlap, "most_windows": self.most}
        return {**super().config(), **found}


def window_places(
    ids: tf.RaggedTensor, room: tf.Tensor, overlap: int, most: int
) -> tuple[tf.RaggedTensor, tf.Tensor, tf.Tensor]:
    """Returns which tokens are in each window of each text, the last window of one being full.

    Args:
      ids: of the texts, [b (t)].
      room: the tokens of a text that a window holds, int64 [b].
      overlap: tokens that two neighbours share.
      most: windows of a text.

    Returns:
      Places among all tokens of the batch, int64 [w (t)]; int64 [b], how many windows a text has;
      int64 [b], how many of its tokens are in some window.
    """
    lengths = tf.cast(ids.row_lengths(), tf.int64)
    step, behind = room - overlap, tf.maximum(lengths - room, 0)
    counts = tf.minimum(1 + (behind + step - 1) // step, most)
    text = tf.repeat(tf.range(tf.size(counts)), counts)
    number = tf.range(tf.reduce_sum(counts)) - tf.gather(tf.cumsum(counts, exclusive=True), text)
    begin = tf.minimum(number * tf.gather(step, text), tf.gather(behind, text))
    begin += tf.gather(tf.cast(ids.row_starts(), tf.int64), text)
    places = tf.ragged.range(begin, begin + tf.gather(tf.minimum(lengths, room), text))
    return places, counts, tf.minimum(lengths, room + (counts - 1) * step)


def with_long_texts(
    preprocessor: TextPreprocessor, choice: str, overlap: int | None, most: int
) -> TextPreprocessor:
    """Returns the preprocessor that does with long texts what `choice` says: "cut" or "windows".

    Raises:
      ConfigError: another choice, or settings of windows that cannot be.
    """
    if choice not in CHOICES:
        raise ConfigError(
            f"long_texts={choice!r} is not known.", valid=near(choice, CHOICES, len(CHOICES))
        )
    if choice == "windows" and getattr(preprocessor, "begins", None):
        raise ConfigError(
            'long_texts="windows" averages over windows, and a body that writes has nothing to '
            "average.",
            set_in="keras_hub.long_texts",
            valid='long_texts="cut"',
        )
    if choice == "cut":
        if overlap is not None:
            raise ConfigError(
                f'window_overlap={overlap} has no effect with long_texts="cut".',
                valid='long_texts="windows"',
                see="docs/long_texts.md",
            )
        return preprocessor
    return WindowPreprocessor(**preprocessor.settings(), overlap=overlap, most=most)
