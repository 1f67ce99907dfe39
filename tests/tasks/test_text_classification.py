"""Text classification: the case that every task gets, and what is its own."""

import keras
import numpy as np
import pytest

from tfft.backbones.text.tiny import tiny
from tfft.data.examples import Examples
from tfft.data.sources.synthetic import synthetic
from tfft.errors import DataError
from tfft.tasks.base import serving_signature, with_calibration
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
    def names(task, counts):
        return task.with_training_answers(counts).target.names

    assert names(TextClassification(), {"b": 1, "a": 1}) == ("a", "b")
    assert names(TextClassification(["b", "a"]), {"a": 1}) == ("b", "a")
    with pytest.raises(DataError, match="has the label 'c', which is none of the task's"):
        names(TextClassification(["a", "b"]), {"c": 1})
    with pytest.raises(DataError, match="one class only: a"):
        names(TextClassification(), {"a": 1})


def test_targets_name_an_unknown_label():
    task = TextClassification(["good", "bad"])
    assert task.encode_targets(Examples((), ["bad", "good"])).tolist() == [1, 0]
    with pytest.raises(DataError, match="'god' was not in the training data") as caught:
        task.encode_targets(Examples((), ["god"]))
    assert "good" in caught.value.valid


def test_label_smoothing_is_the_formula():
    outputs = np.array([[0.7, 0.2, 0.1]], "float32")
    loss = TextClassification(["a", "b", "c"], label_smoothing=0.3).build_loss()
    target = np.array([0.7 + 0.1, 0.1, 0.1])
    assert float(loss(np.array([0]), outputs)) == pytest.approx(-(target * np.log(outputs)).sum())
    plain = TextClassification(["a", "b", "c"]).build_loss()
    assert isinstance(plain, keras.losses.SparseCategoricalCrossentropy)


def test_a_prediction_reads_names():
    task = TextClassification(["a", "b"])
    outputs = np.array([[0.25, 0.75]])
    [row] = serving_signature(task).format_predictions(Examples((["text"],)), outputs)
    assert row == {"label": "b", "probabilities": {"a": 0.25, "b": 0.75}}


def test_what_a_report_says_follows_the_threshold():
    outputs = np.array([[0.6, 0.4], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55]])
    examples = Examples((list("wxyz"),), ["b", "a", "a", "b"], np.array([1, 0, 0, 1]))
    task = TextClassification(["a", "b"])
    calibrated = with_calibration(task, {"threshold": {"label": "b", "value": 0.35}}, None)
    plain, limited = task.build_evaluator(), calibrated.build_evaluator()
    assert plain.main_terms(examples, outputs)["score"].tolist() == [0, 1, 0, 1]
    assert limited.main_terms(examples, outputs)["score"].tolist() == [1, 1, 0, 1]
    assert limited.slices(examples) == {"class": ["b", "a", "a", "b"]}
    for one, wrong in ((plain, 2), (limited, 1)):
        found = one.report_details(examples, outputs)
        assert found["labels"] == ["a", "b"] and found["ranking"][0]["label"] == "b"
        assert sum(pair["texts"] for pair in found["confusions"]) == wrong
        shown = one.report_examples(examples, outputs)
        assert shown["mistake_count"] == len(shown["mistakes"]) == wrong
        assert [row["text"] for row in shown["least_certain"]] == ["z", "w", "y", "x"]
        metrics = one.evaluate(examples, outputs)
        assert metrics["accuracy"]["value"] == one.main_terms(examples, outputs)["score"].mean()
        assert {metric.key for metric in one.metrics} <= set(metrics)
    assert shown["mistakes"][0]["probability_of_truth"] == 0.3


def test_the_constant_loss_is_the_entropy_of_the_classes():
    targets = np.array([0] * 30 + [1] * 10 + [2] * 60)
    task = TextClassification(["a", "b", "c", "never"])
    shares = np.array([0.3, 0.1, 0.6])
    found = task.build_evaluator().constant_loss(targets)
    assert found == pytest.approx(-(shares * np.log(shares)).sum())
