"""Token classification: the case that every task gets, and what is its own."""

import json

import numpy as np

from tfft.backbones.tiny import tiny
from tfft.sources.memory import memory
from tfft.tasks.token_classification import TokenClassification
from tfft.testing import TaskCase

NAMES = {"PER": ("anna", "bob lee", "zoe"), "LOC": ("great plot", "rome")}


def made(count):
    """Returns texts whose names stand between fixed words, with their spans."""
    rows, rng = [], np.random.default_rng(0)
    for number in range(count):
        text, spans = f"film {number}", []
        for label in rng.permutation(["PER", "LOC"])[: rng.integers(0, 3)]:
            name = str(rng.choice(NAMES[label]))
            text += {"PER": " was for ", "LOC": " is in "}[label]
            spans.append([len(text), len(text) + len(name), str(label)])
            text += name
        rows.append((text + ".", json.dumps(spans)))
    return rows


class TestTokenClassification(TaskCase):
    def make_task(self):
        return TokenClassification()

    def make_source(self):
        return memory(made(128), classes=False)

    def make_body(self):
        return tiny()

    def named(self, prediction):
        return all(span["label"] in NAMES and span["text"] for span in prediction["spans"])
