"""How near a text is to the right one: exactly it, BLEU, chrF and ROUGE-L."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import numpy as np

from tfft.errors import ConfigError
from tfft.metrics.text.words import words

NAMES = {"bleu": "BLEU", "chrf": "chrF", "rouge_l": "ROUGE-L", "exact_match": "exact match"}


def exact(predicted: Sequence[str], right: Sequence[str]) -> np.ndarray:
    """Returns 1 where a text is the right one, spaces at its ends and double ones aside: [n]."""
    pairs = zip(predicted, right, strict=True)
    return np.array([one.split() == other.split() for one, other in pairs], float)


def require() -> None:
    """Refuses to go on without what counts BLEU and chrF.

    Raises:
      ConfigError: sacrebleu is not installed.
    """
    if importlib.util.find_spec("sacrebleu") is None:
        raise ConfigError(
            "BLEU and chrF are counted by sacrebleu, which is not installed.",
            valid='pip install "tfft[text]"',
        )


def counts(figure: str, predicted: Sequence[str], right: Sequence[str]) -> np.ndarray:
    """Returns what each text adds to BLEU, [n 10], or chrF, [n 18]; see `tfft.metrics.aggregates`.

    The words of BLEU are those of sacrebleu's tokeniser 13a; case counts in both (Post, 2018).

    Args:
      figure: "bleu" (Papineni et al., 2002) or "chrf" (Popović, 2015).
      predicted, right: n texts each.
    """
    import sacrebleu.metrics

    kind = sacrebleu.metrics.BLEU(force=True) if figure == "bleu" else sacrebleu.metrics.CHRF()
    rows = kind._extract_corpus_statistics(list(predicted), [list(right)])
    return np.array(rows, float)


def rouge_l(predicted: str, right: str) -> float:
    """Returns the F1 of the longest common subsequence of words (Lin, 2004).

    Words are in lower case, without the signs between them; of scripts without spaces each
    character is one.
    """
    one, two = ([word for word, _, _ in words(text)] for text in (predicted, right))
    if not one or not two:
        return float(one == two)
    return 2 * common(one, two) / (len(one) + len(two))


def common(one: Sequence[str], two: Sequence[str]) -> int:
    """Returns the length of the longest common subsequence, by bits of a number (Hyyrö, 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(one)) - 1
    left = full
    for word in two:
        both = left & places.get(word, 0)
        left = ((left + both) | (left - both)) & full
    return len(one) - left.bit_count()


def sums(figure: str, predicted: Sequence[str], right: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns what each text adds to a figure of `NAMES`, keys as its measure asks."""
    if figure in ("bleu", "chrf"):
        return {"counts": counts(figure, predicted, right)}
    if figure == "rouge_l":
        pairs = zip(predicted, right, strict=True)
        return {"score": np.array([rouge_l(*pair) for pair in pairs])}
    return {"score": exact(predicted, right)}


def measure(figure: str) -> str:
    """Returns the measure of a figure, a name of `tfft.metrics.aggregates`."""
    return figure if figure in ("bleu", "chrf") else "mean"
