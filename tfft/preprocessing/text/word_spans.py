"""Words of texts in any script, from the places of tokens, in the graph.

A word is a run of letters, digits and their marks. Any other character that is no white space,
such as punctuation, a symbol or a letter of a script without spaces between words, stands for
itself; a token that begins with one is a word, as long as the tokenizer made it. So "U.S." is four
words, and Chinese and Thai have the words that the tokenizer has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tfft.preprocessing.text.offsets import counted
from tfft.preprocessing.text.subword_tokenizer import TEXTS
from tfft.preprocessing.text.text_preprocessor import Rows, TextPreprocessor

BLANK = r"[\s\p{Z}\p{C}]"
# What continues whatever it stands behind: marks, the joiners of Persian, Hindi and emoji, the soft
# hyphen.
JOINED = r"[\p{M}\x{200C}\x{200D}\x{AD}]"
# Scripts that put no space between words.
UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Tai_Le}"
    r"\p{New_Tai_Lue}\p{Tai_Tham}\p{Javanese}\p{Balinese}"
)
LETTER = r"[\p{L}\p{N}]"
NONE = -1  # where no word begins


class WordPreprocessor(TextPreprocessor):
    """Says of each token which word it begins.

    `rows` and calls also give `starts` and `ends`: the first character of the word in the text as
    given and the one after its last, in Unicode characters; -1 where no word begins, as at special
    tokens, at padding and at further tokens of a word.
    """

    fills: ClassVar[Mapping[str, int]] = {"starts": NONE, "ends": NONE}

    def read(self, *inputs: Any) -> Rows:
        texts = tf.strings.unicode_transcode(*inputs, "UTF-8", "UTF-8")
        ids, *spans = self.subwords.ids_with_offsets(texts)
        ids = self.between(ids, self.start_id, self.end_id)
        starts, ends = (
            self.truncate(self.between(each, NONE, NONE)) for each in word_spans(texts, *spans)
        )
        return Rows(self.truncate(ids), ids.row_lengths(), {"starts": starts, "ends": ends})

    def config(self) -> Mapping[str, Any]:
        return {**super().config(), "words": 1}  # the version of the rule


_SPANS = tf.RaggedTensorSpec([None, None], tf.int32)


@tf.function(input_signature=[TEXTS, _SPANS, _SPANS], autograph=False)
def word_spans(texts, starts, ends):
    """Returns the word that each token begins, or -1 twice: int32 [b (t)].

    A word reaches to the end of the run of letters that its last token is in, whatever marks the
    tokenizer removed there, or to the next word.

    Args:
      texts: strings [b], valid UTF-8.
      starts, ends: where the tokens stand, in characters, int32 [b (t)].
    """
    # A space behind each text keeps the words of two texts apart.
    codes = tf.strings.unicode_decode(tf.strings.join([texts, " "]), "UTF-8")
    inked, letters, begins = _groups(codes.values)
    group = tf.cumsum(tf.cast(begins, tf.int32))
    group_starts = tf.cast(tf.where(begins)[:, 0], tf.int32)
    reach = tf.where(inked, tf.range(1, tf.size(group) + 1), 0)
    reach = tf.math.unsorted_segment_max(reach, group, tf.size(group_starts) + 1)
    first = tf.cast(tf.gather(codes.row_starts(), starts.value_rowids()), tf.int32)
    seen = tf.where(ends.values > starts.values)[:, 0]
    left, right, first = (
        tf.gather(each, seen) for each in (starts.values + first, ends.values + first, first)
    )
    key = tf.gather(group, left)
    opens = (key > _before(key)) & tf.gather(inked, left)
    begun = tf.where(opens)[:, 0]
    # The last token of each word: the one before the next word, or before the next text.
    closed = tf.where(opens | (first != _before(first)))[:, 0]
    closed = tf.concat([closed, [tf.size(key, tf.int64)]], axis=0)
    closing = tf.gather(closed, tf.searchsorted(closed, begun, "right"))
    # A run of letters ends where it does, whatever else an unknown token covers.
    run, key = tf.gather(tf.gather(letters, left), begun), tf.gather(key, begun)
    last = tf.where(run, key, tf.gather(tf.gather(group, right - 1), closing - 1))
    # Not where the token begins: one for an unknown "(N" may stand before one for "ew".
    begin = tf.gather(group_starts, key - 1)
    following = tf.concat([begin, tf.shape(group)], axis=0)[1:]
    end = tf.minimum(tf.gather(reach, last), following)
    shift, places = tf.gather(first, begun), tf.gather(seen, begun)[:, tf.newaxis]
    nowhere = tf.fill(tf.shape(starts.values), NONE)
    return tuple(
        starts.with_values(tf.tensor_scatter_nd_update(nowhere, places, each - shift))
        for each in (begin, end)
    )


def _before(values: tf.Tensor) -> tf.Tensor:
    """Returns the value before each one, 0 before the first: int32 [n]."""
    return tf.concat([[0], values], axis=0)[:-1]


def _groups(codes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns which characters are no blanks, are letters of runs, begin a group: bool [n] each.

    Groups are runs of letters and single other characters, with their marks.

    Args:
      codes: code points, int32 [n], a blank at the end of each text.
    """
    distinct, which = tf.unique(codes)
    characters = tf.strings.unicode_encode(distinct[:, tf.newaxis], "UTF-8")

    def are(pattern: str) -> tf.Tensor:
        return tf.gather(tf.strings.regex_full_match(characters, f"(?s){pattern}"), which)

    joined, letters = are(JOINED), are(LETTER) & ~are(f"[{UNSPACED}]")
    blank = are(BLANK) & ~joined
    # For each place the last character before it that is no mark; 0 stands for none.
    solid = tf.cast(tf.where(~joined)[:, 0], tf.int32) + 1
    bases = tf.gather(tf.concat([[0], solid], axis=0), counted(~joined)[:-1])
    after_letter = tf.gather(tf.concat([[False], letters], axis=0), bases)
    after_blank = tf.gather(tf.concat([[True], blank], axis=0), bases)
    return ~blank, letters, tf.where(joined, after_blank, ~blank & ~(letters & after_letter))


def spans(
    probabilities: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor, rows: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Returns the spans that words' most probable tags are, in the scheme BIO.

    Tag 0 is outside; 2 k + 1 begins a span of label k, and 2 k + 2 continues it, or begins one
    where there is none to continue.

    Args:
      probabilities: of the tags, float [w c].
      starts, ends: of the words, int32 [w].
      rows: the text of each word, ascending, int [w].

    Returns:
      `rows`, `starts`, `ends`, `labels`, integers [s], and `probabilities`, float [s]: the product
      of those of the words' tags.
    """
    tags = tf.argmax(probabilities, axis=1, output_type=tf.int32)
    labels = tf.where(tags > 0, (tags - 1) // 2, -1)
    inside = labels >= 0
    same = (labels == tf.concat([[-1], labels], axis=0)[:-1]) & (
        rows == tf.concat([rows[:1] - 1, rows], axis=0)[:-1]
    )
    begins = inside & ~(same & (tags % 2 == 0))
    number = tf.boolean_mask(tf.cumsum(tf.cast(begins, tf.int32)) - 1, inside)
    chances = tf.boolean_mask(tf.reduce_max(probabilities, axis=1), inside)
    return {
        "rows": tf.boolean_mask(rows, begins),
        "starts": tf.boolean_mask(starts, begins),
        "ends": tf.math.segment_max(tf.boolean_mask(ends, inside), number),
        "labels": tf.boolean_mask(labels, begins),
        "probabilities": tf.math.segment_prod(chances, number),
    }


def of_tokens(examples: Any) -> list[np.ndarray]:
    """Returns the start and the end of the word that each token begins or -1, int [t 2] a text.

    Args:
      examples: `Examples`, with the tokens that `WordPreprocessor.rows` gave.
    """
    columns = (examples.encoded.extra[name].rows() for name in ("starts", "ends"))
    return [np.stack(pair, axis=1) for pair in zip(*columns, strict=True)]


def dense_spans(
    probabilities: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor, labels: Sequence[str]
) -> dict[str, tf.Tensor]:
    """Returns the spans of each text, filled up with -1, "" and 0.

    Args:
      probabilities: of each token's tags, float [b t c].
      starts, ends: of the word that each token begins, int32 [b t]; -1 where there is none.
      labels: names of the spans' labels.

    Returns:
      `starts` and `ends`, int32 [b s], in characters of the text; `labels`, string [b s];
      `probabilities`, float [b s]. Of words `word_starts`, `word_ends` and `word_tags`, the numbers
      of the most probable tags: int32 [b w], filled up with -1.
    """
    begins = starts >= 0
    chances, *places = (tf.boolean_mask(each, begins) for each in (probabilities, starts, ends))
    parts = spans(chances, places[0], places[1], tf.where(begins)[:, 0])
    parts["labels"] = tf.gather(tf.constant(list(labels), tf.string), parts["labels"])
    rows, size = parts.pop("rows"), tf.shape(starts, tf.int64)[0]
    filled = {"starts": NONE, "ends": NONE, "labels": "", "probabilities": 0.0}
    tags = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
    of_words = {"word_starts": starts, "word_ends": ends, "word_tags": tags}
    return {
        **{
            name: tf.RaggedTensor.from_value_rowids(values, rows, size).to_tensor(filled[name])
            for name, values in parts.items()
        },
        **{
            name: tf.ragged.boolean_mask(values, begins).to_tensor(NONE)
            for name, values in of_words.items()
        },
    }


def spans_of(
    probabilities: Sequence[np.ndarray], words: Sequence[np.ndarray], labels: Sequence[str]
) -> list[list[tuple[int, int, str, float]]]:
    """Returns the spans of each text: start, end, label, probability.

    Args:
      probabilities: of each token's tags, a text each, float [t c].
      words: the start and the end of the word that each token begins or -1, int [t 2].
      labels: names of the spans' labels.
    """
    begins = [here[:, 0] >= 0 for here in words]
    rows = np.repeat(np.arange(len(words)), [mask.sum() for mask in begins])
    places = np.concatenate([here[mask] for here, mask in zip(words, begins, strict=True)])
    chances = np.concatenate([out[m] for out, m in zip(probabilities, begins, strict=True)])
    parts = spans(*map(tf.constant, (chances, places[:, 0], places[:, 1], rows)))
    texts: list[list[tuple[int, int, str, float]]] = [[] for _ in words]
    columns = ("rows", "starts", "ends", "labels", "probabilities")
    for row, start, end, label, chance in zip(*(parts[c].numpy() for c in columns), strict=True):
        texts[row].append((int(start), int(end), labels[label], float(chance)))
    return texts
