"""Token classification: the case that every task gets, and what is its own."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tfft.backbones.text.tiny import tiny
from tfft.data.sources.memory import memory
from tfft.errors import ConfigError, DataError
from tfft.export.saved_model import difference
from tfft.tasks import encoding
from tfft.tasks.base import serving_signature
from tfft.tasks.text.token_classification import TokenClassification
from tfft.testing.task_case import TaskCase

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


def given(*rows, labels=("LOC", "PER"), body=None):
    """Returns a task, and examples of texts with spans as it reads them."""
    task = TokenClassification(labels)
    texts, found = zip(*rows, strict=True)
    made = (body or tiny()).read_for(task)
    answers = [json.dumps(each) for each in found]
    return task, encoding.encoded(task, made.preprocessor, (list(texts),), answers)


ROWS = (
    ("anna is in New York, U.S.", [[0, 4, "PER"], [11, 19, "LOC"], [21, 25, "LOC"]]),
    ("Cafe\u0301 \U0001f642 bob", [[0, 5, "LOC"], [8, 11, "PER"]]),
    ("nothing here", []),
)


def perfect(task, held):
    """Returns outputs that are sure of the targets."""
    return [np.eye(len(task.target.names))[np.maximum(row, 0)] for row in held.targets.rows()]


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm_roberta"])
def test_the_targets_as_outputs_are_the_spans_again(kind):
    task, held = given(*ROWS, body=tiny(kind))
    outputs = perfect(task, held)
    predictions = serving_signature(task).format_predictions(held, outputs)
    for (text, spans), row in zip(ROWS, predictions, strict=True):
        assert [[s["start"], s["end"], s["label"]] for s in row["spans"]] == spans
        assert all(s["text"] == text[s["start"] : s["end"]] for s in row["spans"])
        assert all(s["probability"] == 1 for s in row["spans"])
    evaluator = task.build_evaluator()
    metrics = evaluator.evaluate(held, outputs)
    assert {metrics[each.key]["value"] for each in evaluator.metrics} == {1.0}
    assert evaluator.data_warnings(held) == []
    assert evaluator.report_examples(held, outputs)["mistake_count"] == 0
    assert evaluator.main_terms(held, outputs)["hits"].tolist() == [3, 2, 0]
    for each in (task, TokenClassification()):
        learned = each.with_training_answers(dict.fromkeys(held.answers, 1))
        assert learned.target == task.target
    assert task.target.names == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


def test_a_cut_text_has_no_spans_behind_the_cut():
    task, held = given(*ROWS, body=tiny(sequence_length=8))
    outputs, evaluator = perfect(task, held), task.build_evaluator()
    [warning] = evaluator.data_warnings(held)
    assert "stand where a text is cut" in warning
    sums = evaluator.main_terms(held, outputs)
    assert sums["true"].tolist() == [3, 2, 0] and sums["hits"][0] < 3
    worst = evaluator.report_examples(held, outputs)["mistakes"][0]
    assert worst["truth"] == "anna (PER), New York (LOC), U.S. (LOC)"
    places = worst["spans"]["truth"]
    assert [worst["text"][a:b] for a, b, _ in places] == ["anna", "New York", "U.S."]


def test_baselines_are_evaluated_as_a_model():
    task, held = given(*ROWS)
    evaluator = task.build_evaluator()
    baselines = evaluator.baselines(held, held)
    f1 = {n: evaluator.evaluate(held, each.outputs)["f1"] for n, each in baselines.items()}
    assert {n: each["value"] for n, each in f1.items()} == {"majority": 0.0, "dictionary": 1.0}


def test_wrong_answers_are_refused():
    with pytest.raises(DataError, match="'PERS' is none of the task's"):
        given(("anna", [[0, 4, "PERS"]]))
    with pytest.raises(DataError, match="no training example has a span"):
        TokenClassification().with_training_answers({"[]": 1})
    with pytest.raises(DataError, match="'a' is none"):
        TokenClassification(["b"]).with_training_answers({'[[0, 1, "a"]]': 1})
    with pytest.raises(ConfigError, match="token_classification reads tokens"):
        tiny(long_texts="windows").read_for(TokenClassification())
    with pytest.raises(ConfigError, match="has the label 'PRE'") as caught:
        TokenClassification(["PER"], class_weights={"PRE": 2}).build_loss()
    assert caught.value.set_in == "TokenClassification.class_weights"


def test_the_export_answers_the_spans_of_the_outputs():
    task, held = given(*ROWS)
    rng = np.random.default_rng(0)
    signature = serving_signature(task)
    features = tiny().read_for(task).preprocessor(tf.constant(held.inputs[0]))
    outputs = rng.dirichlet(np.ones(5), features["starts"].shape).astype("f4")
    served = signature.serving_outputs(tf.constant(outputs), features)
    rows = zip(outputs, held.targets.rows(), strict=True)
    expected = signature.format_predictions(held, [out[: len(tags)] for out, tags in rows])
    answers = {name: list(value.numpy()) for name, value in served.items()}
    assert difference(expected, signature.format_answers(answers, held)) < 1e-6
    assert sum(len(row["spans"]) for row in expected) > 8
    of_ids = signature.serving_outputs(outputs, {"token_ids": features["token_ids"]})
    assert list(of_ids) == ["probabilities"]


def test_constant_loss_is_the_entropy_of_the_tags():
    task, held = given(*ROWS)
    known = held.targets.values[held.targets.values >= 0]
    shares = np.bincount(known, minlength=5) / len(known)
    entropy = -(shares[shares > 0] * np.log(shares[shares > 0])).sum()
    constant_loss = task.build_evaluator().constant_loss
    assert constant_loss(held.targets) == pytest.approx(entropy, rel=1e-5)
    bare = held.targets.take(np.array([2]))  # of a fold: the text without a name
    assert constant_loss(bare) == pytest.approx(0.0, abs=1e-5)
