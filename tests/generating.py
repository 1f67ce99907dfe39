"""Small bodies that write, and made texts with answers that follow a rule."""

import zlib

import numpy as np

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.data.sources.memory import memory
from tfft.runs.restore import built_head
from tfft.tasks import encoding

WORDS = ["good", "bad", "film", "plot", "great"]
DICTIONARY = dict(
    zip(["good", "bad", "film", "plot"], ["well", "worst", "movie", "one"], strict=True)
)


def body(kind, **sizes):
    return tiny(kind, **{"layers": 2, "dim": 16, "sequence_length": 32, "dropout": 0.0, **sizes})


def made(task, read, texts, answers=None):
    """Returns examples, and the model of random weights."""
    given = encoding.encoded(task, read.preprocessor, (list(texts),), answers)
    head = built_head(task, read)
    return given, tfft.training.model.assemble(read, head, frozenset()).full


def drawn(words, longest, count, seed):
    """Returns lists of words: those of seed 0, to learn from, are none of the other seeds'."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        chosen = rng.choice(words, rng.integers(1, longest + 1)).tolist()
        held_out = zlib.crc32(" ".join(chosen).encode()) % 5 == 0
        if held_out == bool(seed):
            found.append(chosen)
    return found


def prompted(count, seed):
    """Returns prompts whose answer is a made format of their first and last word."""
    return [
        {"prompt": " ".join(words) + " is", "label": f"the {words[0]} and {words[-1]}"}
        for words in drawn(WORDS, 3, count, seed)
    ]


def translation(text):
    """Returns the words of a text in the other order, each as the dictionary has it."""
    return " ".join(DICTIONARY[word] for word in reversed(text.split()))


def translated(count, seed):
    """Returns texts with their translations."""
    texts = [" ".join(words) for words in drawn(list(DICTIONARY), 4, count, seed)]
    return [{"source": text, "label": translation(text)} for text in texts]


def source(rows, *sizes):
    """Returns a source of rows of one of these kinds, by its function."""
    parts = [rows(count, seed) for seed, count in enumerate(sizes or (96, 16, 16))]
    return memory(*parts, inputs=tuple(parts[0][0])[:1], classes=False)
