"""What a task of one's own returns is checked, and its errors name the member."""

import keras
import numpy as np
import pytest

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.baselines.base import Floor
from tfft.data.encoded_split import Ragged
from tfft.data.examples import Examples
from tfft.errors import ConfigError
from tfft.layers.heads import dense_head
from tfft.reports.console import Console
from tfft.tasks import definition_checks
from tfft.tasks.base import Task
from tfft.tasks.evaluators.base import Evaluator, reported
from tfft.tasks.signatures.base import ServingSignature, predictions
from tfft.tasks.signatures.values import ValueSignature
from tfft.training.stage import Stage

QUIET = Console(quiet=True)
ROWS = [(f"{word} film {i}", i) for i in range(12) for word in ("good", "bad")]


class Lengths(Task):
    """Predicts a number."""

    name = "lengths"

    def encode_targets(self, examples):
        return np.array(examples.answers, "float32")[:, None]

    def build_head(self, backbone):
        return dense_head(0.0, 1, "value")

    def build_loss(self, head):
        return keras.losses.MeanSquaredError()


def run(task):
    return tfft.train(task, tiny(layers=1), ROWS, Stage(epochs=1), plots=False, say=QUIET)


class Own(Evaluator):
    metrics = reported({"error": "error"}, less_is_better=("error",))

    def __init__(self, terms):
        self._terms = terms

    def terms(self, examples, outputs):
        return self._terms(examples.targets, outputs)


def check(terms, count=3):
    definition_checks.check_terms(Own(None), count, terms)


def test_terms_are_those_of_the_metrics_and_of_each_example():
    score = np.zeros(3)
    check({"error": ("mean", {"score": score})})
    other = Own(lambda truth, found: {"other": ("mean", {"score": score})})
    with pytest.raises(ConfigError, match="no terms of the main metric 'error'"):
        other.main_terms(Examples(([""] * 3,)), None)
    with pytest.raises(ConfigError, match="'avg' is not an aggregate"):
        check({"error": ("avg", {"score": score})})
    for wrong in (np.zeros((3, 3)), np.zeros(2), np.float64(1)):
        with pytest.raises(ConfigError, match="must have a value for each of 3 examples") as caught:
            check({"error": ("mean", {"score": wrong})})
        assert caught.value.set_in == "Own.terms"


def test_a_broadcast_score_ends_the_run_in_place_of_a_wrong_metric():
    class Broadcast(Lengths):
        def build_evaluator(self):
            return Own(lambda truth, found: {"error": ("mean", {"score": truth - found[:, 0]})})

    with pytest.raises(ConfigError, match=r"Received: shape=\(\d+, \d+\)"):
        run(Broadcast())
    with pytest.raises(ConfigError, match=r"Received: shape=\(\d+, \d+\)"):
        tfft.check(Broadcast(), tiny(layers=1), ROWS, Stage(epochs=1), say=QUIET)


def test_outputs_of_another_shape_than_the_targets_are_refused():
    class Flat(Lengths):
        def encode_targets(self, examples):
            return np.array(examples.answers, "float32")

    with pytest.raises(ValueError, match="compares values of one shape"):
        run(Flat())


@pytest.mark.parametrize(
    "targets, message",
    [
        (lambda answers: list(answers), "must be NumPy arrays or Ragged. Received: str"),
        (lambda answers: np.zeros(len(answers) - 1), "must have a value for each"),
        (lambda answers: {"a": np.zeros(len(answers)), "b": np.zeros(2)}, "for each of"),
        (
            lambda answers: Ragged(np.zeros(3), np.arange(4), along="own"),
            "must have a value for each",
        ),
    ],
)
def test_targets_are_one_for_each_example(targets, message):
    class Wrong(Lengths):
        def encode_targets(self, examples):
            return targets(examples.answers)

    with pytest.raises(ConfigError, match=message) as caught:
        run(Wrong())
    assert caught.value.set_in == "Wrong.encode_targets"


def test_a_task_has_a_name_metrics_and_its_arguments():
    class Nameless(Lengths):
        name = ""

    class Without(Lengths):
        def build_evaluator(self):
            return Evaluator()

    class Forgetful(Lengths):
        def __init__(self, rate: float = 0.5):
            self.other = rate

    for task, message in (
        (Nameless(), "Nameless has no name"),
        (Without(), "Evaluator has no metrics"),
        (Forgetful(), "does not keep the argument 'rate'"),
    ):
        with pytest.raises(ConfigError, match=message):
            definition_checks.check_definition(task)


def test_baselines_are_floors():
    floors = {"mean": Floor(np.zeros(3))}
    assert definition_checks.check_baselines(Own(None), floors) == floors
    with pytest.raises(ConfigError, match="'mean' must be a Floor. Received: ndarray"):
        definition_checks.check_baselines(Own(None), {"mean": np.zeros(3)})


def test_predictions_can_be_written_and_are_one_for_each_example():
    class Wrong(ServingSignature):
        def format_predictions(self, examples, outputs):
            return outputs

    examples, signature = range(2), Wrong(Lengths())
    assert predictions(signature, examples, [{"a": 1.0}, {"a": 2.0}]) == [{"a": 1.0}, {"a": 2.0}]
    with pytest.raises(ConfigError, match="'a' of a prediction cannot be written as JSON"):
        predictions(signature, examples, [{"a": np.float32(1)}, {"a": 2.0}])
    with pytest.raises(ConfigError, match="a prediction for each of 2 examples. Received: 1"):
        predictions(signature, examples, [{"a": 1.0}])
    with pytest.raises(ConfigError, match="Wrong does not say what the answers of an export mean"):
        signature.format_answers({"a": np.zeros(2)}, examples)


def test_values_of_several_names_are_a_prediction():
    signature = ValueSignature(Lengths())
    found = signature.format_predictions(range(2), {"a": np.array([1, 2]), "b": np.ones((2, 2))})
    assert found == [{"a": 1, "b": [1.0, 1.0]}, {"a": 2, "b": [1.0, 1.0]}]
