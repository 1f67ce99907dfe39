"""Text classification: the case that every task gets, and what is its own."""

import keras
import numpy as np
import pytest

from tfft.backbones.text.tiny import tiny
from tfft.data.examples import Examples
from tfft.data.sources.synthetic import synthetic
from tfft.errors import DataError
from tfft.tasks.text.text_classification import TextClassification
from tfft.testing.task_case import TaskCase


class TestTextClassification(TaskCase):
    def make_task(self):
        return TextClassification()

    def make_source(self):
        return synthetic(128, classes=3)

    def make_body(self):
        return tiny()


def test_labels_are_those_of_the_data_or_the_ones_given():
    assert TextClassification().with_labels(["b", "a"]).labels == ("a", "b")
    assert TextClassification(["b", "a"]).with_labels(["a"]).labels == ("b", "a")
    with pytest.raises(DataError, match="has the label 'c', which is none of the task's"):
        TextClassification(["a", "b"]).with_labels(["c"])
    with pytest.raises(DataError, match="one class only: a"):
        TextClassification().with_labels(["a"])


def test_targets_name_an_unknown_label():
    task = TextClassification(["good", "bad"])
    assert task.targets(Examples((), ["bad", "good"])).tolist() == [1, 0]
    with pytest.raises(DataError, match="'god' was not in the training data") as caught:
        task.targets(Examples((), ["god"]))
    assert "good" in caught.value.valid


def test_label_smoothing_is_the_formula():
    outputs = np.array([[0.7, 0.2, 0.1]], "float32")
    loss = TextClassification(["a", "b", "c"], label_smoothing=0.3).loss()
    target = np.array([0.7 + 0.1, 0.1, 0.1])
    assert float(loss(np.array([0]), outputs)) == pytest.approx(-(target * np.log(outputs)).sum())
    plain = TextClassification(["a", "b", "c"]).loss()
    assert isinstance(plain, keras.losses.SparseCategoricalCrossentropy)


def test_a_prediction_reads_names():
    task = TextClassification(["a", "b"])
    [row] = task.predictions(Examples((["text"],)), np.array([[0.25, 0.75]]))
    assert row == {"label": "b", "probabilities": {"a": 0.25, "b": 0.75}}


def test_what_a_report_says_follows_the_threshold():
    outputs = np.array([[0.6, 0.4], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55]])
    examples = Examples((list("wxyz"),), ["b", "a", "a", "b"], np.array([1, 0, 0, 1]))
    task = TextClassification(["a", "b"])
    decided = task.decided({"threshold": {"label": "b", "value": 0.35}}, None)
    assert task.sums(examples, outputs)["score"].tolist() == [0, 1, 0, 1]
    assert decided.sums(examples, outputs)["score"].tolist() == [1, 1, 0, 1]
    assert decided.groups(examples) == {"class": ["b", "a", "a", "b"]}
    for one, wrong in ((task, 2), (decided, 1)):
        found = one.described(examples, outputs)
        assert found["labels"] == ["a", "b"] and found["ranking"][0]["label"] == "b"
        assert sum(pair["texts"] for pair in found["confusions"]) == wrong
        shown = one.shown(examples, outputs)
        assert shown["mistake_count"] == len(shown["mistakes"]) == wrong
        assert [row["text"] for row in shown["least_certain"]] == ["z", "w", "y", "x"]
        metrics = one.evaluate(examples, outputs)
        assert metrics["accuracy"]["value"] == one.sums(examples, outputs)["score"].mean()
        assert set(one.figures) <= set(metrics)
    assert shown["mistakes"][0]["probability_of_truth"] == 0.3


def test_the_constant_loss_is_the_entropy_of_the_classes():
    targets = np.array([0] * 30 + [1] * 10 + [2] * 60)
    task = TextClassification(["a", "b", "c", "never"])
    shares = np.array([0.3, 0.1, 0.6])
    assert task.constant_loss(targets) == pytest.approx(-(shares * np.log(shares)).sum())
