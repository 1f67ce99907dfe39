"""Examples of several rows, each of which the body reads by itself, in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.preprocessing.instances import Alternatives
from tfft.preprocessing.text.json_lists import strings
from tfft.preprocessing.text.served_texts import MOST_CHOICES, limited
from tfft.preprocessing.text.text_pairs import PairPreprocessor
from tfft.preprocessing.text.text_preprocessor import TextPreprocessor


class Rows(TextPreprocessor):
    """What preprocessors of several rows an example have in common; subclasses give `read`."""

    windowed = True

    def read(self, *inputs: Any) -> tuple[Any, Mapping[str, Any], Any, Any]:
        """Returns the rows of examples, end to end.

        Args:
          inputs: strings, [b] each.

        Returns:
          int32 [w (t)], the ids of the rows; further values of each id, by name, such as segments;
          int64 [b], how many rows an example has; int64 [w], the whole lengths of the rows.
        """
        raise NotImplementedError

    def rows(self, *inputs: Any) -> dict[str, tf.Tensor]:
        """Returns what is stored of examples, as `WindowPreprocessor.rows` does of long texts.

        `full` and `kept` are sums over the rows of an example.
        """
        ids, more, counts, full = self.read(*inputs)
        lengths = ids.row_lengths()
        example = tf.repeat(tf.range(tf.size(counts)), counts)
        full, kept = (tf.math.segment_sum(each, example) for each in (full, lengths))
        found = {"full": full, "ids": ids.values, "lengths": lengths}
        found |= {name: tf.cast(each.values, tf.int8) for name, each in more.items()}
        return found | {"counts": counts, "kept": kept}

    def grouping(self, offsets: np.ndarray, kept: np.ndarray, lengths: np.ndarray) -> Alternatives:
        """Returns which rows are an example's, see `tfft.layers.instances`."""
        return Alternatives(offsets, kept, self.sequence_length)

    def __call__(self, *inputs: Any) -> dict[str, tf.Tensor]:
        """Returns the model's inputs for strings [b]: int32 [b r t], 0 in the mask at padding."""
        ids, more, counts, _ = self.read(*inputs)
        dense = {**self.pad(ids), **{name: each.to_tensor(0) for name, each in more.items()}}
        return {
            name: tf.RaggedTensor.from_row_lengths(rows, counts).to_tensor(
                self.pad_id if name == "token_ids" else 0
            )
            for name, rows in dense.items()
        }

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), "rows": type(self).__name__}


class ChoicePreprocessor(Rows, PairPreprocessor):
    """A question and a list of choices in JSON: a row is the question joined with one choice."""

    def read(self, *inputs: Any) -> tuple[Any, Mapping[str, Any], Any, Any]:
        questions, lists = inputs
        choices = strings(lists)
        counts = choices.row_lengths()
        ids, segments, full = self.pairs(tf.repeat(questions, counts), choices.values)
        return ids, {"segment_ids": segments} if self.segments else {}, counts, full

    def __call__(self, *inputs: Any) -> dict[str, tf.Tensor]:
        questions, lists = inputs
        lists = limited(lists)
        tf.debugging.assert_less_equal(
            strings(lists).row_lengths(),
            tf.constant(MOST_CHOICES, tf.int64),
            message=f"a question has more than {MOST_CHOICES:,} choices",
        )
        return super().__call__(self.shorten(questions, self.sequence_length), lists)


class SeveralTexts(Rows):
    """A row for each of the inputs, which are not joined.

    Args:
      subwords, settings: as in `TextPreprocessor`.
      count: how many inputs there are.
    """

    def __init__(self, subwords: Any, *, count: int, **settings: Any):
        super().__init__(subwords, **settings)
        self.count = count

    def read(self, *inputs: Any) -> tuple[Any, Mapping[str, Any], Any, Any]:
        together = tf.reshape(tf.stack(inputs, axis=1), [-1])
        whole = self.tokenize(together)
        counts = tf.fill([tf.size(inputs[0])], tf.constant(self.count, tf.int64))
        cut = self.truncate(whole, self.sequence_length)
        return cut, {}, counts, whole.row_lengths()

    def __call__(self, *inputs: Any) -> dict[str, tf.Tensor]:
        return super().__call__(*(self.shorten(each, self.sequence_length) for each in inputs))

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), "texts": self.count}
