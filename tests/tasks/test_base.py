"""What a task says of itself without being told: its config, and figures out of measures."""

import numpy as np
import pytest

from tfft.data.examples import Examples
from tfft.tasks.base import Task, config_of
from tfft.tasks.text.text_regression import TextRegression


class Length(Task):
    name = "length"
    figures = {"error": "error", "share": "share"}

    def __init__(self, loss="mse", most=5):
        self.kind, self.most = loss, most

    def config(self):
        return config_of(self, loss=self.kind)

    def measures(self, examples, outputs):
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
    assert Task().config() == {"task": ""}
    assert Length(most=3).config() == {"task": "length", "loss": "mse", "most": 3}
    assert Longer(2, loss="mae").config() == {
        **Length(loss="mae").config(),
        "least": 2,
    }
    with pytest.raises(KeyError, match="most"):
        Forgetful().config()


def test_a_decision_is_kept_and_told():
    task = Length()
    decided = task.decided({"limit": 0.5}, None)
    assert decided.config() == {**task.config(), "decision": {"limit": 0.5}}
    assert not task.decision and "decision" not in task.config()


def test_figures_and_the_sums_of_the_main_one_follow_from_measures():
    examples = Examples((["a", "b"],), targets=np.array([1.0, 2.0]))
    task, outputs = Length(), np.array([1.0, 5.0])
    found = task.evaluate(examples, outputs)
    assert found["error"]["value"] == 1.5 and found["share"]["value"] == 0.5
    assert task.sums(examples, outputs)["score"].tolist() == [0.0, 3.0]


def test_a_card_is_the_config_of_the_task_that_it_makes():
    task = TextRegression("huber", delta=0.5, pair=True)
    expected = {"task": "text_regression", "loss": "huber", "delta": 0.5}
    config = task.config()
    assert -999.0 in config.pop("sentinels")
    assert config == {**expected, "dropout": 0.1, "pair": True}
    assert TextRegression.of_card(task.config()).inputs == ("text", "text_pair")
