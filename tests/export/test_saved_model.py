"""Exports: the comparison with the model in memory, and what is refused."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfft.backbones.text.tiny import tiny
from tfft.errors import ConfigError, ExportError
from tfft.export.saved_model import Served, difference, export
from tfft.runs.restore import built_head
from tfft.tasks.base import serving_signature
from tfft.tasks.signatures.class_probabilities import ClassSignature
from tfft.tasks.text.text_classification import TextClassification
from tfft.training.feature_cache import half_precision
from tfft.training.model import assemble

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (0.5, NAN),
        (NAN, 0.5),
        (NAN, NAN),
        (0.5, INF),
        (INF, 0.5),
        (INF, -INF),
        (INF, NAN),
        (1, NAN),
        (1e308, -1e308),
        ("0.5", 0.5),
        (True, NAN),
    ],
)
@pytest.mark.parametrize(
    "inside",
    [
        lambda value: value,
        lambda value: [value],
        lambda value: [0.5, value, 0.5],
        lambda value: {"label": "a", "probabilities": {"a": 0.1, "b": value}},
        lambda value: [{"spans": [{"probability": 0.2}, {"probability": value}]}, {"spans": []}],
        lambda value: np.array([0.1, value, 0.2], object),
    ],
)
def test_a_number_that_is_not_finite_differs_infinitely(ours, theirs, inside):
    assert difference(inside(ours), inside(theirs)) == INF
    assert difference([inside(0.5), inside(ours)], [inside(0.5), inside(theirs)]) == INF
    assert difference([inside(ours), inside(0.5)], [inside(theirs), inside(0.5)]) == INF


def test_finite_numbers_differ_by_their_distance():
    assert difference([0.5, INF, "a", 3], [0.5, INF, "a", 3]) == 0.0
    assert difference([0.5, 1000.0], [0.75, 1001.0]) == 0.25
    assert difference([1000.0, 0.5], [1100.0, 0.5]) == pytest.approx(0.1)
    assert difference({"a": []}, {"a": []}) == 0.0 and difference([1], [1, 1]) == INF


class AnswersNan(ClassSignature):
    """Answers NaN when it is served."""

    def serving_outputs(self, outputs, features):
        answers = super().serving_outputs(outputs, features)
        first = tf.one_hot(0, tf.shape(outputs)[0], on_value=math.nan, off_value=0.0)
        return {**answers, "probabilities": answers["probabilities"] + first[:, None]}


def test_a_saved_model_that_answers_nan_is_removed(tmp_path):
    task = TextClassification(labels=["bad", "good"])
    signature, body = AnswersNan(task), tiny().read_for(task)
    model = assemble(body, built_head(task, body), frozenset()).full
    inputs = (["a film", "mark1", "the film"],)
    expected = [[0.5, 0.5]] * 3

    def differ(answers):
        found = np.stack(answers["probabilities"])
        assert np.isnan(found).any() and not np.isnan(found).all()
        predictions = signature.format_predictions(None, np.array(expected))
        return difference(predictions, signature.format_answers(answers, None))

    with pytest.raises(ExportError, match="differs from the model in memory by inf"):
        export(tmp_path / "export", Served(model, body.preprocessor, signature), {}, inputs, differ)
    assert list((tmp_path / "export").iterdir()) == []


def test_the_gate_lets_through_what_is_within_its_tolerance_alone(tmp_path, monkeypatch):
    task = TextClassification(labels=["bad", "good"])
    body = tiny().read_for(task)
    model = assemble(body, built_head(task, body), frozenset()).full
    served = Served(model, body.preprocessor, serving_signature(task))
    monkeypatch.setattr("tfft.export.saved_model._fresh_process", lambda *_: {})
    folder, inputs = tmp_path / "export", (["a film"],)
    for difference_found in (2e-5, INF, NAN):
        with pytest.raises(ExportError, match="differs from the model in memory"):
            export(folder, served, {}, inputs, lambda _, found=difference_found: found)
    assert list(folder.iterdir()) == []
    (folder / ".export-0badc0de").mkdir()  # of a killed process
    assert export(folder, served, {}, inputs, lambda _: 9e-6) == (folder / "1", 9e-6)
    assert [path.name for path in folder.iterdir()] == ["1"]


def test_what_half_precision_changes_is_not_lost_between_parts():
    parts = [{"largest": 0.1, "squares": 1.0, "of": 2.0}, {"largest": NAN, "squares": 1.0, "of": 1}]
    for each in (parts, parts[::-1]):
        assert math.isnan(half_precision.measured(each)["largest_difference"])


def test_features_that_overflow_in_half_precision_are_refused():
    exact = np.array([1.0, 1e6, -1e6], np.float32)
    with np.errstate(over="ignore"), pytest.raises(ConfigError, match="2 frozen features"):
        half_precision.change(exact, exact.astype(np.float16))
    fine = np.array([1.0, 1e-6], np.float32)
    assert half_precision.change(fine, fine.astype(np.float16))["largest"] < 1e-6
