"""A number for each text: the case that every task gets, units, losses and figures."""

from collections import Counter

import hypothesis
import keras
import numpy as np
import pytest
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.data.examples import Examples
from tfft.data.sources.files import files
from tfft.data.sources.memory import memory
from tfft.errors import ConfigError, DataError
from tfft.metrics import regression
from tfft.reports.console import Console
from tfft.tasks import encoding
from tfft.tasks.text.text_regression import TextRegression
from tfft.testing.task_case import TaskCase


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


def trained_on(answers):
    """Returns a task with the mean and the deviation of training answers, one example each."""
    return TextRegression().with_training_answers(Counter(answers))


class TestTextRegression(TaskCase):
    def make_task(self):
        return TextRegression()

    def make_source(self):
        return source()

    def make_body(self):
        return tiny()

    def named(self, prediction):
        return 3_000 < prediction["value"] < 25_000  # in the units of the data


@pytest.mark.slow
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
    task = TextRegression(loss=kind, delta=0.5).with_training_answers({"10": 1, "30": 3})
    assert task.target.center == 25.0 and task.target.scale == pytest.approx(75**0.5)
    loss = task.build_loss()
    truth, found = np.array([[10.0], [30.0]]), np.array([[12.0], [50.0]])
    error = (found - truth)[:, 0] / 75**0.5
    huber = np.where(np.abs(error) > 0.5, 0.5 * np.abs(error) - 0.125, error**2 / 2)
    expected = (error**2 if kind == "mse" else huber).mean()
    assert float(loss(truth, found)) == pytest.approx(expected, rel=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(truth, found)) == pytest.approx(expected, rel=1e-5)


def test_figures_are_those_of_scipy():
    rng = np.random.default_rng(1)
    truth = rng.normal(50, 20, (120, 1)).astype(np.float32)
    outputs = truth + rng.normal(0, 10, (120, 1)).astype(np.float32)
    found = TextRegression().build_evaluator().evaluate(Examples((), None, truth), outputs)
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
        task.with_training_answers({"1": 1, "a lot": 1})
    with pytest.raises(DataError, match="no finite number"):
        task.encode_targets(Examples((), ["inf"]))
    with pytest.raises(DataError, match="all training answers are 3"):
        task.with_training_answers({"3": 9})
    with pytest.raises(ConfigError, match="loss must be .* Received: loss='mae'"):
        TextRegression(loss="mae")


def test_a_run_is_reported_and_read_again_in_units(tmp_path):
    task, quiet = TextRegression(), Console(quiet=True)
    found = tfft.train(
        task,
        tiny(layers=1),
        source(),
        [
            tfft.Stage(
                epochs=8,
                learning_rate=1e-2,
                schedule=tfft.schedules.Linear(warmup=0),
                early_stopping=tfft.EarlyStopping(patience=8),
            )
        ],
        workdir=tmp_path,
        say=quiet,
        plots=False,
    )
    report = found.report
    assert report["main"] == "pearson" and report["metrics"]["pearson"]["value"] > 0.5
    assert report["floors"]["mean"]["pearson"]["value"] is None
    ridge, mean = (report["floors"][name]["rmse"]["value"] for name in ("tfidf_ridge", "mean"))
    assert ridge < mean
    assert report["best"]["val_loss"] == min(row["val_loss"] for row in report["curves"])
    again = tfft.api.evaluate(
        TextRegression(), tiny(layers=1), str(tmp_path), source=source, say=quiet
    )
    assert again["metrics"] == report["metrics"]
    assert "Pearson" in (tmp_path / "report.html").read_text()


# How numbers are written.


@pytest.mark.parametrize(
    "answer, reason, right",
    [
        ("3,5", "a decimal comma", "3.5"),
        ("-0,25", "a decimal comma", "-0.25"),
        ("45%", "a percent sign", "45"),
        ("4.5 %", "a percent sign", "4.5"),
        ("1,234", "a comma, between thousands or before decimals", "1234 or 1.234"),
        ("1,234,567.5", "commas between thousands", "1234567.5"),
        ("1.234,5", "points between thousands", "1234.5"),
        ("1.234.567", "points between thousands", "1234567"),
        ("1 234", "a separator between thousands", "1234"),
        ("1'234.5", "a separator between thousands", "1234.5"),
        ("1\u202f234,5", "a separator between thousands", "1234.5"),
        ("1_0", "an underscore", "10"),
        ("1_000.5", "an underscore", "1000.5"),
        ("0x10", "hexadecimal digits", "16"),
    ],
)
def test_numbers_that_are_written_otherwise_are_refused(tmp_path, answer, reason, right):
    rows = [(f"t{n}", f"{n}.5") for n in range(60)]
    rows[7] = rows[9] = ("t", answer)
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f'{t},"{y}"\n' for t, y in rows))
    source = files(str(path), classes=False, validation_share=0, test_share=0)
    with pytest.raises(DataError) as caught:
        encoding.with_training_answers(TextRegression(), source)
    error = caught.value
    assert error.problem == (
        f"the answer {answer!r} is no number: it has {reason}. There are 2 such answers, of 60."
    )
    assert (error.set_in, error.valid) == (f"{path}:9, {path}:11", right)


@pytest.mark.parametrize("answer", ["nan", "-inf", "Infinity", "1e39", "", "true", "\u0663"])
def test_what_is_no_number_is_refused(answer):
    with pytest.raises(DataError, match="is no "):
        TextRegression().with_training_answers({"1": 1, "2": 1, answer: 1})


@pytest.mark.parametrize("answer", [" 3 ", "+3", ".5", "3.", "1e5", "-2.5E-3"])
def test_numbers_as_they_are_written(answer):
    found = TextRegression().encode_targets(Examples((), [answer]))
    assert found.tolist() == [[pytest.approx(float(answer))]]


@pytest.mark.parametrize("answer", ["-999", "9999", "1e38", "-2147483648", "3.4e38"])
def test_a_number_that_stands_for_a_missing_one_is_refused(tmp_path, answer):
    path = tmp_path / "a.csv"
    values = [f"{n % 5}.5" for n in range(60)]
    values[3] = answer
    path.write_text("text,label\n" + "".join(f"t{n},{y}\n" for n, y in enumerate(values)))
    for test in (None, str(path)):  # in the training file; in a test file
        train = path
        if test:
            train = tmp_path / "train.csv"
            train.write_text("text,label\n" + "".join(f"u{n},{n % 5}\n" for n in range(60)))
        source = files(str(train), test=test, classes=False, validation_share=0, test_share=0)
        with pytest.raises(DataError, match="far from the others, 0.*4.* missing") as caught:
            encoding.with_training_answers(TextRegression(), source)
        assert caught.value.set_in == f"{path}:5"
    if answer == "-999":
        found = TextRegression(sentinels=()).with_training_answers(Counter(values))
        assert found.target.scale > 100


def test_sentinels_within_the_range_are_numbers():
    task = trained_on(["99", "999", "500", "100", "-99"])
    assert task.target.center == pytest.approx(319.8)


@pytest.mark.parametrize(
    "answers, problem",
    [
        (["1e20", "2e20", "5e20"], "squared error is beyond float32"),
        (["1e-20", "2e-20"], "squared error is beyond float32"),
        (["100000000", "100000000.1", "99999999.9"], "float32 has steps of 8"),
        (["1000000000", "1000000001"], "float32 has steps of 64"),
    ],
)
def test_numbers_that_float32_cannot_standardize_are_refused(answers, problem):
    with pytest.raises(DataError, match=problem):
        trained_on(answers)


def test_large_numbers_are_trained_and_reported_as_numbers():
    task = trained_on(["1e17", "3e17"])
    assert np.isfinite(float(task.build_loss()(np.array([[1e17]]), np.array([[3e17]]))))
    truth = np.array([[1e17], [3e17], [2e17]], np.float32)
    found = task.build_evaluator().evaluate(Examples((), None, truth), -100 * truth)
    assert np.isfinite(found["rmse"]["value"])


@hypothesis.given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_numbers_come_back_as_python_writes_them(value):
    assert (
        regression.read([repr(value), f"{value:.60f}", f" {value:+.20e} "]).tolist() == [value] * 3
    )
