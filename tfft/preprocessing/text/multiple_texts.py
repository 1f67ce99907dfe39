"""Examples of several rows, each of which the backbone reads by itself, in the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import tensorflow as tf

from tfft.preprocessing.instances import Alternatives, Windows
from tfft.preprocessing.text.json_lists import strings
from tfft.preprocessing.text.served_texts import MOST_CHOICES, limited
from tfft.preprocessing.text.text_pairs import PairPreprocessor
from tfft.preprocessing.text.text_preprocessor import Ragged, Rows, TextPreprocessor


class SeveralRows(TextPreprocessor):
    """Base class of preprocessors of several rows an example."""

    windowed = True
    grouping_class: ClassVar[type[Windows]] = Alternatives

    def several(
        self, ids: Ragged, columns: Mapping[str, Ragged], counts: tf.Tensor, full: tf.Tensor
    ) -> Rows:
        """Returns the rows of examples, with sums over the rows of each.

        Args:
          ids, columns: of all rows end to end, see `Rows`.
          counts: int64 [b], how many rows an example has.
          full: int64 [w], the complete lengths of the rows.
        """
        example = tf.repeat(tf.range(tf.size(counts)), counts)
        full, kept = (tf.math.segment_sum(each, example) for each in (full, ids.row_lengths()))
        return Rows(ids, full, columns, counts, kept)

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), "rows": type(self).__name__}


class ChoicePreprocessor(SeveralRows, PairPreprocessor):
    """A question and a list of choices in JSON: a row is the question joined with one choice."""

    def read(self, *inputs: Any) -> Rows:
        questions, lists = inputs
        choices = strings(lists)
        counts = choices.row_lengths()
        ids, segments, full = self.pairs(tf.repeat(questions, counts), choices.values)
        return self.several(ids, segments, counts, full)

    def shorten_inputs(self, *inputs: Any) -> tuple[tf.Tensor, ...]:
        questions, lists = inputs
        lists = limited(lists)
        tf.debugging.assert_less_equal(
            strings(lists).row_lengths(),
            tf.constant(MOST_CHOICES, tf.int64),
            message=f"a question has more than {MOST_CHOICES:,} choices",
        )
        return self.shorten(questions, self.sequence_length), lists


class SeveralTexts(SeveralRows):
    """A row for each of the inputs, which are not joined.

    Args:
      subwords, settings: as in `TextPreprocessor`.
      count: how many inputs there are.
    """

    def __init__(self, subwords: Any, *, count: int, **settings: Any):
        super().__init__(subwords, **settings)
        self.count = count

    def read(self, *inputs: Any) -> Rows:
        ids = self.tokenize(tf.reshape(tf.stack(inputs, axis=1), [-1]))
        counts = tf.fill([tf.size(inputs[0])], tf.constant(self.count, tf.int64))
        return self.several(self.truncate(ids), {}, counts, ids.row_lengths())

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), "texts": self.count}
