"""BLEU and chrF against sacrebleu, ROUGE-L against the example of its paper."""

import numpy as np
import pytest
import sacrebleu

from tfft.metrics import aggregates
from tfft.metrics.text import generated_text

FOUND = ["the film is very good .", "a plot", "", "nothing is right here, it seems", "das ist gut"]
RIGHT = ["the film is good.", "the plot of it", "well", "all of it is wrong", "das ist gut"]


@pytest.mark.parametrize(
    ("figure", "theirs"), [("bleu", sacrebleu.corpus_bleu), ("chrf", sacrebleu.corpus_chrf)]
)
@pytest.mark.parametrize("rows", [slice(None), slice(0, 2), slice(2, 3), slice(4, 5), slice(1, 4)])
def test_corpus_figures_are_those_of_sacrebleu(figure, theirs, rows):
    found, right = FOUND[rows], RIGHT[rows]
    sums = generated_text.sums(figure, found, right)
    ours = aggregates.MEASURES[figure].metric(aggregates.columns(figure, sums).sum(0)[None])[0]
    assert ours == pytest.approx(theirs(found, [right]).score, abs=1e-9)


def test_a_figure_of_drawn_examples_is_that_of_their_texts():
    drawn = np.random.default_rng(0).integers(0, len(FOUND), 40)
    found, right = [FOUND[row] for row in drawn], [RIGHT[row] for row in drawn]
    for figure in ("bleu", "chrf"):
        totals = aggregates.columns(figure, generated_text.sums(figure, FOUND, RIGHT))[drawn].sum(0)
        whole = aggregates.columns(figure, generated_text.sums(figure, found, right)).sum(0)
        assert np.array_equal(totals, whole)
    figures = aggregates.figures({"bleu": ("bleu", generated_text.sums("bleu", found, right))})
    assert figures["bleu"]["low"] < figures["bleu"]["value"] < figures["bleu"]["high"]


def test_rouge_l_is_that_of_the_paper():
    """Lin (2004), section 3.1: 3/4 and 2/4."""
    right = "police killed the gunman"
    assert generated_text.rouge_l("police kill the gunman", right) == 3 / 4
    assert generated_text.rouge_l("the gunman kill police", right) == 2 / 4
    assert generated_text.rouge_l("", "") == 1.0 and generated_text.rouge_l("", right) == 0.0
    assert generated_text.rouge_l("我爱北京", "我爱上海") == 0.5  # a character is a word


def test_the_longest_common_subsequence_is_that_of_the_table():
    rng = np.random.default_rng(0)
    for _ in range(50):
        one, two = (rng.choice(list("abcd"), rng.integers(0, 12)).tolist() for _ in "12")
        table = np.zeros((len(one) + 1, len(two) + 1), int)
        for i, a in enumerate(one):
            for j, b in enumerate(two):
                longer = max(table[i, j + 1], table[i + 1, j])
                table[i + 1, j + 1] = table[i, j] + 1 if a == b else longer
        assert generated_text.common(one, two) == table[-1, -1]


def test_exact_match_leaves_spaces_aside():
    assert generated_text.exact([" a  b", "a b", "A b"], ["a b", "a c", "a b"]).tolist() == [
        1,
        0,
        0,
    ]
