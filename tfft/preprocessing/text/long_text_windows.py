"""Long texts as overlapping windows instead of cut ones, in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfft.errors import ConfigError
from tfft.preprocessing.text.text_preprocessor import Ragged, Rows, TextPreprocessor


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
        self.overlap, self.most = checked_overlap("window_overlap", overlap, room, self), most

    def read(self, *inputs: Any) -> Rows:
        """Returns the windows of texts, strings [b]; special tokens count once in the lengths."""
        ids = self.subwords.ids(*inputs)
        lengths = tf.cast(ids.row_lengths(), tf.int64)
        room = tf.fill(tf.shape(lengths), tf.constant(self.sequence_length - 2, tf.int64))
        places, counts, kept = window_places(ids, room, self.overlap, self.most)
        inner = places.with_values(tf.gather(ids.flat_values, places.values))
        windows = self.between(inner, self.start_id, self.end_id)
        return Rows(windows, lengths + 2, {}, counts, kept + 2)

    def shorten_inputs(self, *inputs: Any) -> tuple[tf.Tensor, ...]:
        room = self.sequence_length - 2
        most = room + (self.most - 1) * (room - self.overlap)
        return tuple(self.shorten(each, most) for each in inputs)

    def config(self) -> Mapping[str, Any]:
        own = {"long_texts": "windows", "window_overlap": self.overlap, "most_windows": self.most}
        return {**super().config(), **own}


def checked_overlap(
    name: str, overlap: int | None, room: int, preprocessor: TextPreprocessor, beside: str = ""
) -> int:
    """Returns the tokens that two neighbours share; None for a quarter of `sequence_length`.

    Args:
      name: of the argument.
      room: the tokens of a text in a window.
      beside: what else is in the window, for the error.

    Raises:
      ConfigError: there is no room for a token that is new.
    """
    length = preprocessor.sequence_length
    overlap = min(length // 4, room - 1) if overlap is None else overlap
    if not 0 <= overlap < room:
        raise ConfigError(
            f"{name}={overlap!r} does not fit sequence_length={length}.",
            valid=f"0 to {room - 1}, below the {room} tokens {beside or 'of a text in a window'}",
        )
    return overlap


def window_places(
    ids: Ragged, room: tf.Tensor, overlap: int, most: int
) -> tuple[Ragged, tf.Tensor, tf.Tensor]:
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
      ConfigError: settings of windows that cannot be.
    """
    if choice == "cut" and overlap is not None:
        raise ConfigError(
            f'window_overlap={overlap} has no effect with long_texts="cut".',
            valid='long_texts="windows"',
            see="docs/long_texts.md",
        )
    if choice == "cut":
        return preprocessor
    if getattr(preprocessor, "begins", None):
        raise ConfigError(
            'long_texts="windows" averages over windows, and a backbone that writes has nothing to '
            "average.",
            set_in="keras_hub.long_texts",
            valid='long_texts="cut"',
        )
    return WindowPreprocessor(**preprocessor.settings(), overlap=overlap, most=most)
