"""Teacher forcing: from texts and their answers to the rows that a generative model learns from.

An answer is tokenised for itself, so that where it begins is known; the joined text would be other
tokens.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfft.data.encoded_split import Encoded, Ragged, ragged
from tfft.data.examples import Examples
from tfft.preprocessing.text.prompts import PromptPreprocessor, SourcePreprocessor

IGNORED = -1  # the target of a token behind which there is nothing to learn


def append_answers(examples: Examples, preprocessor: PromptPreprocessor) -> Examples:
    """Returns examples whose rows are the prompt and its answer.

    The target of a token is the next one, where that is one of the answer; `answer_mask` is 1 at
    tokens of the answer, its end included.

    Args:
      examples: prompts, with their answers and the tokens of the prompts.
      preprocessor: that made the tokens.
    """
    tokens = examples.encoded
    answers, full = preprocessor.rows_of_answers(examples.answers or ())
    pairs = list(zip(tokens.tokens.rows(), answers, strict=True))
    rows = [np.concatenate(pair) for pair in pairs]
    marks = [np.repeat(np.array([0, 1], np.int32), list(map(len, pair))) for pair in pairs]
    encoded = dataclasses.replace(
        tokens,
        tokens=ragged(rows),
        targets=ragged([next_tokens(*pair) for pair in pairs]),
        full_lengths=tokens.full_lengths + full,
        extra={**tokens.extra, "answer_mask": ragged(marks)},
        end_id=preprocessor.end_id,
    )
    return dataclasses.replace(examples, targets=encoded.targets, encoded=encoded)


def next_tokens(before: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Returns the target of each token of both, int32: the next one, where the answer has it."""
    prompt = np.full(len(before) - 1, IGNORED, np.int32)
    return np.concatenate([prompt, answer, [IGNORED]]).astype(np.int32)


def add_decoder_rows(examples: Examples, preprocessor: SourcePreprocessor) -> Examples:
    """Returns examples with the rows of a decoder: what it begins with, and the answer.

    The target of a token is the next one, where that is one of the answer.

    Args:
      examples: texts, with their answers and the tokens of the texts.
      preprocessor: that made the tokens.
    """
    tokens = examples.encoded
    answers, full = preprocessor.rows_of_answers(examples.answers or ())
    begins = np.array(preprocessor.begins, np.int32)
    encoded = dataclasses.replace(
        tokens,
        decoder=ragged([np.concatenate([begins, row]) for row in answers]),
        targets=ragged([next_tokens(begins, row) for row in answers]),
        full_lengths=(tokens.full_lengths + full + len(begins)).astype(np.int32),
        end_id=preprocessor.end_id,
    )
    return dataclasses.replace(examples, targets=encoded.targets, encoded=encoded)


def pack_rows(encoded: Encoded, length: int) -> Encoded:
    """Returns the examples put together in rows of at most `length` tokens.

    The longest goes first, each into the first row that has room for it. `padding_mask` numbers the
    examples of a row from 1, so that a backbone can keep them apart.

    Args:
      encoded: a split of `append_answers`.
      length: none of its examples is longer.
    """
    lengths = encoded.tokens.lengths
    rows: list[list[int]] = []
    room = np.zeros(0, int)
    for number in np.argsort(-lengths, kind="stable"):
        fits = np.flatnonzero(room >= lengths[number])
        place = int(fits[0]) if len(fits) else len(rows)
        if place == len(rows):
            rows.append([])
            room = np.append(room, length)
        rows[place].append(int(number))
        room[place] -= lengths[number]

    def joined(values: Ragged) -> Ragged:
        each = list(values.rows())
        return ragged([np.concatenate([each[number] for number in row]) for row in rows])

    numbers = [np.repeat(np.arange(len(row), dtype=np.int32) + 1, lengths[row]) for row in rows]
    return dataclasses.replace(
        encoded,
        tokens=joined(encoded.tokens),
        targets=joined(encoded.targets),  # type: ignore[arg-type]
        full_lengths=np.array([lengths[row].sum() for row in rows], np.int32),
        extra={
            **{name: joined(values) for name, values in encoded.extra.items()},
            "padding_mask": ragged(numbers),
        },
    )
