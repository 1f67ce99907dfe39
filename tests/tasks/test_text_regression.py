"""A number for each text: the case that every task gets, units, losses and figures."""

import keras
import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

import tfft
from tfft.backbones.tiny import tiny
from tfft.console import Console
from tfft.errors import ConfigError, DataError
from tfft.sources.memory import memory
from tfft.task import Examples
from tfft.tasks.text_regression import TextRegression
from tfft.testing import TaskCase


def rows(count, seed):
    """Returns texts whose number follows from two of their words, in thousands."""
    rng = np.random.default_rng(seed)
    worth = {"good": 2000.0, "bad": -1000.0, "film": 500.0}
    found = []
    for number in range(count):
        words = rng.choice([*worth, "the", "of"], 5)
        value = 10_000 + sum(worth.get(word, 0.0) for word in words)
        found.append((" ".join(words) + f" {number}", value))
    return found


def source():
    return memory(rows(160, 0), rows(40, 1), rows(40, 2), classes=False)


class TestTextRegression(TaskCase):
    def make_task(self):
        return TextRegression()

    def make_source(self):
        return source()

    def make_body(self):
        return tiny()

    def named(self, prediction):
        return 3_000 < prediction["value"] < 25_000  # in the units of the data


class TestPairs(TestTextRegression):
    def make_task(self):
        return TextRegression(loss="huber", pair=True)

    def make_source(self):
        parts = [
            [(text, text[::-1], value) for text, value in rows(count, seed)]
            for count, seed in ((160, 0), (40, 1), (40, 2))
        ]
        return memory(*parts, inputs=("one", "two"), classes=False)


@pytest.mark.parametrize("kind", ["mse", "huber"])
def test_the_loss_is_in_deviations(kind):
    task = TextRegression(loss=kind, delta=0.5).with_labels(["10", "30"], {"10": 1, "30": 3})
    assert task.center == 25.0 and task.scale == pytest.approx(75**0.5)
    truth, found = np.array([[10.0], [30.0]]), np.array([[12.0], [50.0]])
    error = (found - truth)[:, 0] / 75**0.5
    huber = np.where(np.abs(error) > 0.5, 0.5 * np.abs(error) - 0.125, error**2 / 2)
    expected = (error**2 if kind == "mse" else huber).mean()
    assert float(task.loss()(truth, found)) == pytest.approx(expected, rel=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(task.loss()))
    assert float(again(truth, found)) == pytest.approx(expected, rel=1e-5)


def test_figures_are_those_of_scipy():
    rng = np.random.default_rng(1)
    truth = rng.normal(50, 20, (120, 1)).astype(np.float32)
    outputs = truth + rng.normal(0, 10, (120, 1)).astype(np.float32)
    found = TextRegression().evaluate(Examples((), None, truth), outputs)
    error = (outputs - truth)[:, 0]
    expected = {
        "pearson": pearsonr(truth[:, 0], outputs[:, 0])[0],
        "spearman": spearmanr(truth[:, 0], outputs[:, 0])[0],
        "mae": np.abs(error).mean(),
        "rmse": np.sqrt((error**2).mean()),
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, rel=1e-5)
        assert found[name]["low"] < value < found[name]["high"]


def test_answers_that_are_no_numbers_are_refused():
    task = TextRegression()
    with pytest.raises(DataError, match="'a lot' is no number"):
        task.with_labels(["1", "a lot"])
    with pytest.raises(DataError, match="no finite number"):
        task.targets(Examples((), ["inf"]))
    with pytest.raises(DataError, match="all training answers are 3"):
        task.with_labels(["3"], {"3": 9})
    with pytest.raises(ConfigError, match="loss must be .* Received: loss='mae'"):
        TextRegression(loss="mae")


def test_a_run_is_reported_and_read_again_in_units(tmp_path):
    task, quiet = TextRegression(), Console(quiet=True)
    found = tfft.train(
        task,
        tiny(layers=1),
        source(),
        [tfft.Stage(epochs=8, learning_rate=1e-2, warmup=0, patience=8)],
        workdir=tmp_path,
        say=quiet,
    )
    report = found.report
    assert report["main"] == "pearson" and report["metrics"]["pearson"]["value"] > 0.5
    assert report["floors"]["mean"]["pearson"]["value"] is None
    ridge, mean = (report["floors"][name]["rmse"]["value"] for name in ("tfidf_ridge", "mean"))
    assert ridge < mean
    assert report["best"]["val_loss"] == min(row["val_loss"] for row in report["curves"])
    again = tfft.run.evaluate(
        TextRegression(), tiny(layers=1), str(tmp_path), source=source, say=quiet
    )
    assert again["metrics"] == report["metrics"]
    assert "Pearson" in (tmp_path / "report.html").read_text()
