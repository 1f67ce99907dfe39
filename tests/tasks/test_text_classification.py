"""Text classification: the case that every task gets, and what is its own."""

import keras
import numpy as np
import pytest

from tfft.backbones.tiny import tiny
from tfft.errors import DataError
from tfft.sources.synthetic import synthetic
from tfft.task import Examples
from tfft.tasks.text_classification import TextClassification
from tfft.testing import TaskCase


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
