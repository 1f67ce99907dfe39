"""Greedy and beam search against every text there could be, and rows of different lengths."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfft.errors import ConfigError
from tfft.layers.beam_search import Search, search

WORDS, END, LONGEST = 4, 3, 4
TABLE = np.random.default_rng(0).normal(0.0, 1.5, (WORDS, WORDS, WORDS)).astype(np.float32)
PROMPTS = [[1, 2], [2, 1], [0, 2, 1], [1, 1, 2]]


def step(last, state, place):
    """A model whose next token depends on the last two."""
    del place
    before, last = state[0], last[:, 0]
    return tf.gather_nd(TABLE, tf.stack([before, last], axis=1)), (last,)


def found(prompts, **settings):
    """Returns what is found behind each prompt, a list of tokens each."""
    lengths = np.array([len(row) for row in prompts], np.int32)
    padded = np.zeros((len(prompts), lengths.max()), np.int32)
    for row, prompt in enumerate(prompts):
        padded[row, : len(prompt)] = prompt
    shortest = lengths.min()
    state = (tf.constant(padded[:, shortest - 2]),)
    call = tf.function(search, autograph=False)
    given = tf.constant(padded), tf.constant(lengths), END, Search(LONGEST, **settings)
    ids, counts = call(step, state, *given)
    return [list(row[:count]) for row, count in zip(ids.numpy(), counts.numpy(), strict=True)]


def log_probability(tokens):
    """Returns that of all but the first two tokens."""
    total = 0.0
    for place in range(2, len(tokens)):
        logits = TABLE[tokens[place - 2], tokens[place - 1]]
        total += float(logits[tokens[place]] - np.log(np.exp(logits).sum()))
    return total


def best(prompt, penalty):
    """Returns the best of all texts that end, or are as long as they may be."""
    scores = {}
    for count in range(1, LONGEST + 1):
        for tokens in itertools.product(range(WORDS), repeat=count):
            ended = tokens[-1] == END
            if END in tokens[:-1] or not (ended or count == LONGEST):
                continue
            score = log_probability([*prompt[-2:], *tokens]) / ((5 + count) / 6) ** penalty
            scores[tokens[:-1] if ended else tokens] = score
    return list(max(scores, key=scores.get))


@pytest.mark.parametrize("penalty", [0.0, 0.8, 3.0])
def test_enough_beams_find_the_best_text(penalty):
    answers = found(PROMPTS, beams=WORDS**LONGEST, penalty=penalty)
    assert answers == [best(prompt, penalty) for prompt in PROMPTS]


def test_a_length_penalty_favours_longer_texts():
    short, long = (
        sum(map(len, found(PROMPTS, beams=16, penalty=penalty))) for penalty in (0.0, 5.0)
    )
    assert long > short


def test_one_beam_takes_the_most_probable_token():
    for prompt, answer in zip(PROMPTS, found(PROMPTS), strict=True):
        tokens = list(prompt)
        while len(tokens) < len(prompt) + LONGEST:
            tokens.append(int(TABLE[tokens[-2], tokens[-1]].argmax()))
            if tokens[-1] == END:
                tokens.pop()
                break
        assert answer == tokens[len(prompt) :]


@pytest.mark.parametrize("beams", [1, 2, 3])
def test_a_row_is_continued_as_if_it_were_alone(beams):
    together = found(PROMPTS, beams=beams, penalty=0.6)
    assert together == [found([prompt], beams=beams, penalty=0.6)[0] for prompt in PROMPTS]


def test_numbers_that_cannot_be_are_refused():
    for settings in ({"longest": 0}, {"longest": 4, "beams": 0}, {"longest": 4, "penalty": -1.0}):
        *_, (name, value) = settings.items()
        with pytest.raises(ConfigError, match=f"Search.{name} must be.*{name}={value}"):
            Search(**settings)
