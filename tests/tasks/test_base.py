"""The defaults of tasks and evaluators: configs, calibrated values, metrics from terms."""

import numpy as np
import pytest

from tfft.data.examples import Examples
from tfft.data.inputs import texts
from tfft.tasks.base import Task, config_of, needs_fit, with_calibration
from tfft.tasks.calibrations.base import Calibration
from tfft.tasks.evaluators.base import Evaluator, reported
from tfft.tasks.text.text_regression import TextRegression


class Length(Task):
    name = "length"
    calibration = Calibration()

    def __init__(self, loss="mse", most=5):
        self.kind, self.most = loss, most

    def get_config(self):
        return config_of(self, loss=self.kind)


class LengthEvaluator(Evaluator):
    metrics = reported({"error": "error", "share": "share"})

    def terms(self, examples, outputs):
        off = np.abs(outputs - examples.targets)
        return {"share": ("mean", {"score": off == 0}), "error": ("mean", {"score": off})}


class Longer(Length):
    def __init__(self, least, **more):
        super().__init__(**more)
        self.least = least


class Forgetful(Task):
    name = "forgetful"

    def __init__(self, most=5):
        self.limit = most


def test_a_config_is_the_name_and_the_arguments():
    assert Task().get_config() == {"task": ""}
    assert Length(most=3).get_config() == {"task": "length", "loss": "mse", "most": 3}
    assert Longer(2, loss="mae").get_config() == {
        **Length(loss="mae").get_config(),
        "least": 2,
    }
    with pytest.raises(KeyError, match="most"):
        Forgetful().get_config()


def test_calibrated_values_are_kept_in_the_config():
    task = Length()
    calibrated = with_calibration(task, {"limit": 0.5}, None)
    config = calibrated.get_config()
    assert config == {**task.get_config(), "decision": {"limit": 0.5}}
    assert needs_fit(task) and not needs_fit(calibrated)
    assert "decision" not in task.get_config()
    assert Length.from_config(config).get_config() == config


def test_metrics_and_the_terms_of_the_main_one_follow_from_terms():
    examples = Examples((["a", "b"],), targets=np.array([1.0, 2.0]))
    evaluator, outputs = LengthEvaluator(), np.array([1.0, 5.0])
    found = evaluator.evaluate(examples, outputs)
    assert found["error"]["value"] == 1.5 and found["share"]["value"] == 0.5
    assert evaluator.main_terms(examples, outputs)["score"].tolist() == [0.0, 3.0]


def test_a_task_is_made_from_the_config_of_another():
    task = TextRegression("huber", delta=0.5, pair=True)
    expected = {"task": "text_regression", "loss": "huber", "delta": 0.5}
    config = task.get_config()
    assert -999.0 in config.pop("sentinels")
    assert config == {**expected, "dropout": 0.1, "pair": True}
    again = TextRegression.from_config(task.get_config())
    assert again.inputs == texts("text", "text_pair")
