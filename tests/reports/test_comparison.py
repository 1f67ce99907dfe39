"""Runs beside each other: pairing by text, refusals, the terminal and the page."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tfft.cli import main as cli
from tfft.errors import DataError, WorkdirError
from tfft.evaluation import run_comparison, stored_predictions
from tfft.evaluation.stored_predictions import MODEL, Outputs, digests, load
from tfft.metrics.classification.class_metrics import classification_metrics
from tfft.reports import comparison, report
from tfft.storage import manifest
from tfft.storage.workdir import Workdir
from tfft.tasks.text.text_classification import TextClassification

NAMES = ("bad", "good")
NAMING = {"schema": stored_predictions.SCHEMA, **report.named(TextClassification(NAMES))}
TEXTS = [f"text {number}" for number in range(200)]
TRUTH = np.arange(200) % 2


def predictions(wrong):
    return np.where(np.isin(np.arange(200), wrong), 1 - TRUTH, TRUTH)


def make_run(folder, wrong, rows=slice(None), names=NAMES):
    """Writes what a run leaves that was wrong on some texts; its floor says "bad" always."""
    texts = TEXTS[rows]
    truth, predicted = TRUTH[rows], predictions(wrong)[rows]
    if names != NAMES:
        truth, predicted = 1 - truth, 1 - predicted
    probabilities = np.eye(2)[predicted] * 0.8 + 0.1
    constant = np.eye(2)[[names.index("bad")] * len(texts)]
    files = Workdir(folder)
    predictions_of = {MODEL: predicted, "majority": constant.argmax(-1)}
    Outputs(
        "test",
        digests([texts], [names[number] for number in truth]),
        "accuracy",
        "mean",
        {name: {"score": each == truth} for name, each in predictions_of.items()},
        names,
        truth,
        predictions_of,
        {MODEL: probabilities, "majority": constant},
    ).save(files)
    content = {
        **NAMING,
        "metrics": classification_metrics(truth, probabilities, names),
        "frozen": {"trainable_parameters": 1234},
        "seconds": {"training": 60.0},
    }
    files.write_json("report.json", content)
    manifest.write(files)
    return str(folder)


@pytest.fixture
def two(tmp_path):
    return make_run(tmp_path / "one", range(40)), make_run(tmp_path / "two", range(10, 30))


def test_outputs_are_kept_as_they_were(two):
    kept = load(Workdir(two[0]))
    assert kept.labels == NAMES and kept.split == "test" and list(kept.predicted)[0] == MODEL
    assert np.array_equal(kept.truth, TRUTH)
    assert np.array_equal(kept.predicted[MODEL], predictions(range(40)))
    assert kept.probabilities[MODEL].dtype == np.float32


def test_runs_are_paired_text_by_text(two):
    [found] = comparison.side_by_side(two)["differences"]
    assert found["examples"] == 200 and found["left_out"] == 0
    assert found["accuracy"]["value"] == pytest.approx(0.1)
    assert found["mcnemar"]["only_other"] == 20 and found["mcnemar"]["only_base"] == 0
    assert found["mcnemar"]["p"] == pytest.approx(2**-19)
    assert found["spread"] is None and found["warning"] is None


def test_the_order_of_texts_and_labels_does_not_matter(two, tmp_path):
    other = make_run(tmp_path / "three", range(40), slice(None, None, -1), NAMES[::-1])
    [found] = comparison.side_by_side([two[0], other])["differences"]
    assert found["accuracy"]["value"] == 0 and found["mcnemar"]["p"] == 1.0


def test_equal_texts_are_counted_one_by_one(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "TEXTS", ["the same"] * 200)
    paths = [make_run(tmp_path / name, wrong) for name, wrong in (("a", [0]), ("b", [2]))]
    [found] = comparison.side_by_side(paths)["differences"]
    assert found["examples"] == 200
    assert (found["mcnemar"]["only_base"], found["mcnemar"]["only_other"]) == (1, 1)


def test_other_test_texts_are_refused_or_left_out(two, tmp_path):
    half = make_run(tmp_path / "half", range(5), slice(0, 120))
    with pytest.raises(DataError, match="120 are shared, 80 are left out") as caught:
        comparison.side_by_side([two[0], half])
    assert "--shared" in caught.value.valid
    [found] = comparison.side_by_side([two[0], half], shared=True)["differences"]
    assert found["examples"] == 120 and found["accuracy"]["value"] == pytest.approx(35 / 120)
    none = make_run(tmp_path / "first", [], slice(0, 50))
    rest = make_run(tmp_path / "rest", [], slice(50, 100))
    with pytest.raises(DataError, match="0 are shared"):
        comparison.side_by_side([none, rest], shared=True)


def test_a_run_alone_stands_beside_its_floors(two):
    content = comparison.side_by_side(two[:1])
    [found] = content["differences"]
    assert found["base"] == "most frequent class"
    assert found["accuracy"]["value"] == pytest.approx(0.3)
    assert content["runs"][0]["trained"] == 1234


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(WorkdirError, match="holds no finished run"):
        run_comparison.open_run(tmp_path)
    make_run(tmp_path, [])
    manifest.remove(Workdir(tmp_path))
    with pytest.raises(WorkdirError, match="never finished"):
        run_comparison.open_run(tmp_path)
    Workdir(tmp_path).write_json("report.json", {"schema": 2})
    with pytest.raises(WorkdirError, match="evaluated by another version"):
        run_comparison.open_run(tmp_path)


def test_the_previous_run_is_the_newest_beside(two, tmp_path):
    class Say:
        lines: list = []
        info = lines.append

    found = run_comparison.resolve("previous", tmp_path / "new", Say)
    assert found is not None and found.name == "two"
    assert run_comparison.resolve(None, tmp_path / "new", Say) is None
    assert run_comparison.resolve("previous", tmp_path / "one/new", Say) is None
    assert "there is no finished run beside" in Say.lines[0]
    with pytest.raises(WorkdirError):
        run_comparison.resolve(str(tmp_path), tmp_path / "new", Say)


def make_plan(folder, wrongs):
    names = [f"seed-{number}" for number in range(len(wrongs))]
    for name, wrong in zip(names, wrongs, strict=True):
        make_run(folder / name, wrong)
    values = [1 - len(wrong) / 200 for wrong in wrongs]
    figure = {"value": np.mean(values), "sd": np.std(values, ddof=1)}
    figure |= {"least": min(values), "most": max(values)}
    figures = {name: figure for name in ("accuracy", "macro_f1", "log_loss")}
    content = {
        **NAMING,
        "figures": figures,
        "runs": [{"name": name} for name in names],
        "seconds": {},
    }
    Workdir(folder).write_json("report.json", content)
    manifest.write(Workdir(folder))
    return str(folder)


def test_plans_are_compared_by_their_means_and_their_spread(tmp_path):
    one = make_plan(tmp_path / "one", [range(20), range(30), range(10)])
    two = make_plan(tmp_path / "two", [range(20), range(28), range(8)])
    content = comparison.side_by_side([one, two])
    [found] = content["differences"]
    assert found["accuracy"]["value"] == pytest.approx((2 + 2) / 600)
    assert found["spread"] == pytest.approx(np.std([0.9, 0.86, 0.96], ddof=1))
    assert "is smaller than the spread over the runs" in found["warning"]
    far = make_plan(tmp_path / "far", [range(100), range(110), range(120)])
    assert comparison.side_by_side([one, far])["differences"][0]["warning"] is None
    rows = dict((row[0], row[1]) for row in comparison.tables(content)[0][2])
    assert rows[one] == "0.900 ± 0.050 (3 runs)"


def test_the_command_shows_and_writes(two, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert cli.command(["compare", *two, f"--output={page}"]) == 0
    shown = capsys.readouterr().out
    assert "+0.100 (+0.06" in shown and "20 / 0" in shown and "< 0.001" in shown
    text = page.read_text("utf-8")
    assert "+0.100" in text and "<svg" in text and "<script" not in text
    assert cli.command(["compare", *two, f"--output={page}"]) == 2
    assert "exists" in capsys.readouterr().err
    assert cli.command(["compare", *two, f"--output={page}", "--force"]) == 0
    assert cli.command(["compare"]) == 2


def test_a_name_cannot_break_the_page(two):
    table = ("t", ["run", "x"], [["<b>&", "1"]])
    named = [("<b>&", {"value": 0.5, "low": 0.4, "high": 0.6})]
    text = comparison.page("<i>", [table], ["<u>"], named, "<s>")
    assert not {"<b>", "<i>", "<u>", "<s>"} & {text[i : i + 3] for i in range(len(text))}


def test_comparing_loads_no_tensorflow(two):
    code = (
        "import sys; from tfft.reports import comparison; comparison.side_by_side(sys.argv[1:]);"
        "print([m for m in ('tensorflow', 'keras', 'gin') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, *two]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert json.loads((Workdir(two[0]).path / "report.json").read_text())
