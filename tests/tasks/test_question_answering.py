"""Answers out of a context: the case that every task gets, windows, offsets, figures, floors."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from trainings import steps

import tfft
from tfft import examples, export, loop, machine
from tfft import job as jobs
from tfft.backbones.architectures import ARCHITECTURES
from tfft.backbones.tiny import tiny
from tfft.console import Console
from tfft.errors import ConfigError, DataError
from tfft.metrics import answers, spans
from tfft.metrics.answer_floor import SlidingWindow
from tfft.sources.memory import memory
from tfft.spans import SpanLoss, best_spans
from tfft.tasks.question_answering import QuestionAnswering
from tfft.testing import TaskCase
from tfft.workdir import Workdir

INPUTS = ("question", "context")
NAMES = ["film", "plot", "movie", "one"]
QUIET = Console(quiet=True)
# One context a script, with an answer that lies behind characters of several bytes.
SCRIPTS = {
    "emoji": ("who?", "😀👩‍👩‍👧 the film 🎬 was one, not the plot", "one"),
    "arabic": ("أين؟", "تقع القاهرة في مصر على نهر النيل", "مصر"),
    "devanagari": ("कहाँ?", "ताज महल आगरा में है", "आगरा"),
    "thai": ("ที่ไหน", "วัดพระแก้วอยู่ในกรุงเทพ ประเทศไทย", "ประเทศไทย"),
    "chinese": ("在哪里?", "故宫在北京 市中心", "北京"),
    "accents": ("où?", "Éléonore habitait à Besançon près d'ici", "Besançon"),
    "combining": ("ou?", "E\u0301le\u0301onore habitait Besanc\u0327on, la", "Besanc\u0327on"),
}


def answer(context, *found):
    """Returns an answer in SQuAD's shape."""
    return {"text": list(found), "answer_start": [context.index(text) for text in found]}


def rows(count, seed, length=12):
    """Returns questions for the number behind a name, of which some contexts have none."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        asked = str(rng.choice(NAMES))
        values = {name: f"{rng.integers(10)}" for name in NAMES}
        words = [f"{name} {values[name]}" for name in rng.permutation(NAMES)]
        words += ["the"] * int(rng.integers(0, length))
        context = " ".join(rng.permutation(words))
        if number % 5 == 4:
            context = context.replace(f"{asked} {values[asked]}", "of")
            known = answer(context)
        else:
            start = context.index(f"{asked} {values[asked]}") + len(asked) + 1
            known = {"text": [values[asked]], "answer_start": [start]}
        found.append({"question": f"is {asked}", "context": context, "label": known})
    return found


def source(length=12, sizes=(96, 24, 24)):
    parts = [rows(count, seed, length) for seed, count in enumerate(sizes)]
    return memory(*parts, inputs=INPUTS, classes=False)


class TestQuestionAnswering(TaskCase):
    def make_task(self):
        return QuestionAnswering()

    def make_source(self):
        return source()

    def make_body(self):
        return tiny(layers=2, sequence_length=24)

    def named(self, prediction):
        start, end, text = (prediction[name] for name in ("start", "end", "answer"))
        return end - start == len(text) and (start < 0) == (not text)


class TestOtherBody(TestQuestionAnswering):
    """Two end tokens between the texts, no segments, every question answered."""

    def make_task(self):
        return QuestionAnswering(null_threshold=None, overlap=2)

    def make_body(self):
        return tiny("roberta", layers=2, sequence_length=40)


def encoded(task, body, given):
    """Returns examples with targets for (question, context, answer)."""
    questions, contexts, known = map(list, zip(*given, strict=True))
    known = [json.dumps(each, ensure_ascii=False) for each in known]
    return examples.encoded(task, body.preprocessor, (questions, contexts), known)


@pytest.mark.parametrize("kind", list(ARCHITECTURES))
@pytest.mark.parametrize("script", list(SCRIPTS))
def test_an_answer_is_found_again_in_every_script(kind, script):
    question, context, text = SCRIPTS[script]
    task = QuestionAnswering(longest_answer=400)
    body = tiny(kind, sequence_length=512).read_for(task)
    given = encoded(task, body, [(question, context, answer(context, text))])
    [(starts, ends)] = spans.places(given.encoded)
    begin = context.index(text)
    logits = spans.logits_of(starts, ends, (begin, begin + len(text)), 400)
    [row] = task.predictions(given, [logits])
    if kind in ("bert", "distilbert", "electra", "roberta"):
        assert row["answer"] == text
    assert text in row["answer"] and context[row["start"] : row["end"]] == row["answer"]
    marks = given.encoded.targets.pad(np.array([0]), starts.shape[1], -1)
    assert np.array_equal(np.where(marks & 1, marks, 0) > 0, logits[..., 0] == 0)
    read = body.preprocessor([question], [context])
    served = task.serve(tf.constant(logits[None]), read)
    assert served["answer"][0].numpy().decode() == row["answer"]
    assert [int(served[name][0]) for name in ("start", "end")] == [row["start"], row["end"]]
