"""Reports, comparisons and summaries of tasks that the package does not have."""

import html.parser
import json
import re
import types

import numpy as np
import pytest

from tfft.baselines.base import Floor
from tfft.data import truncation
from tfft.data.examples import Examples
from tfft.data.inputs import texts
from tfft.errors import DataError
from tfft.evaluation import run_comparison, stored_predictions
from tfft.evaluation.slices import encoded_groups
from tfft.evaluation.stored_predictions import load
from tfft.reports import comparison, report
from tfft.reports import tables as report_tables
from tfft.reports.console import Console
from tfft.runs import repeat_summary
from tfft.storage import manifest
from tfft.storage.workdir import Workdir
from tfft.tasks.base import Task
from tfft.tasks.evaluators.base import Evaluator, reported
from tfft.tasks.report_examples import text_of
from tfft.tasks.targets.base import Target
from tfft.tasks.text.text_classification import TextClassification

QUIET = Console(quiet=True)
COUNT = 120
RNG = np.random.default_rng(5)
TRUTH = RNG.normal(3.0, 1.0, COUNT)


class RegressionEvaluator(Evaluator):
    """Outputs and targets are [n]."""

    metrics = reported(
        {
            "pearson": "Pearson correlation",
            "within_one": "share within one",
            "absolute_error": "mean absolute error",
            "largest_error": "largest error",
        },
        less_is_better=("absolute_error", "largest_error"),
    )
    aggregate = "pearson"

    def terms(self, examples, outputs):
        error = np.abs(outputs - examples.targets)
        return {
            "pearson": ("pearson", {"x": outputs, "y": examples.targets}),
            "within_one": ("mean", {"score": error <= 1}),
            "absolute_error": ("mean", {"score": error}),
        }

    def evaluate(self, examples, outputs):
        largest = float(np.abs(outputs - examples.targets).max())
        return {**super().evaluate(examples, outputs), "largest_error": {"value": largest}}

    def report_examples(self, examples, outputs):
        error = np.abs(outputs - examples.targets)
        rows = [
            {
                **text_of(examples, row),
                "truth": f"{examples.targets[row]:.2f}",
                "predicted": f"{outputs[row]:.2f}",
            }
            for row in np.argsort(-error)[:5]
        ]
        return {"mistake_count": int((error > 0).sum()), "mistakes": rows, "least_certain": []}


class SpreadEvaluator(Evaluator):
    """The smaller the main metric is, the better; there are slices, and metrics of labels."""

    metrics = reported(
        {"perplexity": "perplexity", "label_f1": "label F1"}, less_is_better=("perplexity",)
    )
    aggregate = "exp_ratio"

    def terms(self, examples, outputs):
        loss, tokens = np.abs(outputs - examples.targets), np.full(len(examples), 2)
        return {"perplexity": ("exp_ratio", {"loss": loss, "tokens": tokens})}

    def evaluate(self, examples, outputs):
        row = {"precision": 0.5, "recall": None, "f1": 0.25, "support": 9}
        return {
            **super().evaluate(examples, outputs),
            "label_f1": {"value": 0.25},
            "classes": {name: row for name in ("<new>", "old")},
        }

    def slices(self, examples):
        return {"half": ["low" if target < 3 else "high" for target in examples.targets]}


class Regression(Task):
    """A number for a pair of texts."""

    name = "text_regression"
    inputs = texts("first", "second")

    def build_evaluator(self):
        return RegressionEvaluator()


class Spread(Regression):
    """A task with names and without mistakes to show."""

    name = "spread"
    target = Target(("<new>", "old"))

    def build_evaluator(self):
        return SpreadEvaluator()


def examples_of(rows=slice(None)):
    lengths = np.arange(1, COUNT + 1)[rows]
    first = [f"text <{number}>" for number in range(COUNT)][rows]
    targets = TRUTH[rows]
    encoded = types.SimpleNamespace(
        full_lengths=lengths, cut=np.maximum(lengths - 100, 0), windows=None, targets=None
    )
    pairs = (first, [f"second of {text}" for text in first])
    return Examples(pairs, [f"{target:.3f}" for target in targets], targets, encoded)


def answered(noise, rows=slice(None)):
    return (TRUTH + noise * np.random.default_rng(9).normal(size=COUNT))[rows]


def curve(epoch):
    figures = {"loss": 1 / epoch, "mae": 0.5 / epoch, "val_loss": 1.5 / epoch, "val_mae": 1 / epoch}
    record = {"stage": "s", "stage_number": 0, "epoch": epoch, "step": 5 * epoch}
    return {**record, **figures, "learning_rate": 1e-3, "seconds": 2.0}


def make(folder, noise=0.5, task=None, rows=slice(None), floor_noise=2.0, seed=0, **changed):
    """Writes what a run leaves; returns its report."""
    task = task or Regression()
    examples, outputs = examples_of(rows), answered(noise, rows)
    floors = {
        "constant": Floor(np.full(len(examples), 3.0)),
        "own_ridge": Floor(answered(floor_noise, rows), {"fitted_on": 5, "training_texts": 9}),
    }
    files = Workdir(folder)
    job = types.SimpleNamespace(task=task, files=files, say=QUIET)
    kept = stored_predictions.keep(job.files, task, job.task, "test", examples, outputs, floors)
    evaluator = task.build_evaluator()
    sums = evaluator.main_terms(examples, outputs)
    given = {
        "split": "test",
        "metrics": evaluator.evaluate(examples, outputs),
        "floors": {
            name: {**evaluator.evaluate(examples, floor.outputs), **floor.described}
            for name, floor in floors.items()
        },
        "lengths": {"train": examples.encoded.full_lengths},
        "truncation": {"test": {"texts": COUNT, "cut_texts": 1, "tokens": 9, "cut_tokens": 1}},
        "stages": [{"name": "s", "groups": [HEAD], "proof": PROOF}],
        "curves": [curve(epoch) for epoch in (1, 2, 3)],
        "best": curve(3),
        "seconds": {"training": 60.0},
        "notes": [],
        "machine": {"versions": {"keras": "3"}, "devices": [], "git_commit": None},
        "seed": seed,
        "command": "tfft train",
        "ledger": {
            **truncation.ledger({"test": examples.encoded}, ()),
            "figure": truncation.on_cut(examples.encoded, evaluator.aggregate, sums),
        },
        "groups": {**evaluator.slices(examples), **encoded_groups(examples.encoded)},
        "more": {"comparisons": run_comparison.comparisons(kept, None, QUIET)},
    }
    parts = {"task": task, "examples": examples, "outputs": outputs, "sums": sums}
    content = report.build(**parts, **(given | changed))
    files.write_json("report.json", content)
    manifest.write(files)
    return content


HEAD = {"group": "head", "parameters": 10, "trainable": 10}
PROOF = {"frozen_bit_identical": 3, "trainable_moved": 2, "cannot_move": []}


class Outline(html.parser.HTMLParser):
    """Collects the words of each section, its heading apart."""

    def __init__(self):
        super().__init__()
        self.headings, self.sections, self.inside = [], [], None
        self.cells: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag == "section":
            self.sections.append("")
        if tag in ("h1", "h2", "h3"):
            self.inside = tag
            self.headings.append("")

    def handle_endtag(self, tag):
        if tag == self.inside:
            self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.headings[-1] += data
        elif self.sections:
            self.sections[-1] += data


def outline(page):
    found = Outline()
    found.feed(page)
    assert all(text.strip() for text in found.headings)
    assert all(text.strip() for text in found.sections)
    # No list, table or figure stands without content, and none that is opened is left open.
    assert not re.search(r"<(ol|ul|dl|tbody|figure)[^>]*>\s*</\1>", page)
    assert not re.search(r"<h[23][^>]*>[^<]*</h[23]>\s*(</section>|<h\d|<section)", page)
    links = re.findall(r'href="#([^"]*)"', page)
    assert set(links) <= set(re.findall(r' id="([^"]*)"', page))
    return found.headings


CLASSES = ("accuracy", "Accuracy", "onfusion", "macro F1", "McNemar", "likeliest", "probabilit")


@pytest.mark.parametrize("task", [Regression(), Spread()], ids=lambda task: task.name)
def test_a_report_has_the_figures_of_its_task(tmp_path, task, request):
    content = make(tmp_path, task=task)
    metrics = task.build_evaluator().metrics
    assert content["schema"] == 3 and content["main"] == metrics[0].key
    assert content["shown"] == {metric.key: metric.title for metric in metrics}
    lower = sorted(metric.key for metric in metrics if not metric.greater_is_better)
    assert content["lower"] == lower
    assert not {"labels", "ranking", "confusions"} & set(content)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    report.write_pages(content, Workdir(tmp_path).write)
    page = (tmp_path / "report.html").read_text("utf-8")
    card = (tmp_path / "report.md").read_text("utf-8")
    headings = outline(page)
    shown = page + card + json.dumps(report_tables.tables(content))
    assert [word for word in CLASSES if word in shown] == []
    for metric in metrics:
        assert metric.title in page and metric.title in card
    assert (
        "Confusion matrix" not in headings and "Can the probabilities be trusted?" not in headings
    )
    assert page.count("Learning curve: loss") == page.count("Learning curve: mae") > 0
    yaml = pytest.importorskip("yaml")
    head = yaml.safe_load(card.split("---\n", 2)[1])
    assert "labels" not in head
    [result] = head["model-index"][0]["results"]
    assert [each["type"] for each in result["metrics"]] == [metric.key for metric in metrics]
    for block in re.findall(r"(?:^\|.*\n)+", card, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    documented = (request.config.rootpath / "docs/report.md").read_text("utf-8")
    assert [key for key in content if f"`{key}`" not in documented] == []


def test_where_more_is_better(tmp_path):
    content = make(tmp_path)
    figure = content["metrics"]["pearson"]
    said = content["answer"]
    assert said.startswith(f"Pearson correlation {figure['value']:.3f} (")
    # The constant has no correlation, so the other floor is the strongest.
    assert content["floors"]["constant"]["pearson"] == {"value": None}
    assert ": better than own_ridge (0." in said
    assert said.endswith(") by more than the interval")
    page = report.page(content)
    assert 'class="verdict better"' in page and "; lower is better" not in page
    assert "Lower is better for mean absolute error and largest error." in page
    assert "own_ridge was fitted on 5 of 9 training texts" in page
    assert "The worst mistakes" in page and "120 texts of the test split are not" in page
    assert "these are the 5 farthest" in page
    tables = {title: (columns, rows) for title, columns, rows in report_tables.tables(content)}
    columns, rows = tables[f"Result: {said}"]
    names = ["Pearson correlation", "share within one"]
    assert columns == ["model", *(f"{name} (95 % interval)" for name in names)]
    assert [row[0] for row in rows] == ["this model", "own_ridge", "constant"]
    assert rows[2][1] == "–"
    assert "Pearson correlation by how much was read" in tables and "Cut" in tables
    assert "No slice is below the Pearson correlation on all texts" in page


def test_where_less_is_better(tmp_path):
    content = make(tmp_path, task=Spread())
    assert content["answer"].startswith("perplexity 1.")
    assert " (lower is better): better than constant (1." in content["answer"]
    assert content["answer"].endswith(") by more than the interval")
    page = report.page(content)
    assert 'class="verdict better"' in page and "on the test split; lower is better" in page
    worse = make(tmp_path / "worse", task=Spread(), noise=4.0)
    assert 'class="verdict worse"' in report.page(worse)
    assert content["own_slices"] == ["class", "cut", "half", "length"]
    assert report.covers(content, {})
    assert not report.covers(content, {"year": ["1990", "1991"] * 60})
    figures = [row["figure"]["value"] for row in content["slices"] if row["stands"] == "within"]
    assert figures == sorted(figures, reverse=True) and len(figures) > 2
    tables = {title: (columns, rows) for title, columns, rows in report_tables.tables(content)}
    columns, rows = tables["Per class"]
    assert columns == ["class", "precision", "recall", "F1", "support"]
    assert rows[0] == ["<new>", "0.500", "–", "0.250", "9"]
    assert "&lt;new&gt;" in page and 'id="mistakes"' not in page and "#mistakes" not in page


def test_a_report_of_almost_nothing(tmp_path):
    bare = {"floors": {}, "curves": [], "best": None, "lengths": {}, "truncation": {}}
    bare |= {"groups": {}, "ledger": {}, "more": {}, "seconds": {}, "stages": []}
    content = make(tmp_path, task=Spread(), rows=slice(0, 1), **bare)
    page = report.page(content)
    outline(page)
    assert "beside" not in page and report.card(content) and content["slices"] == []
    undefined = make(tmp_path / "one", rows=slice(0, 1), **bare)
    assert undefined["metrics"]["pearson"] == {"value": None}
    assert undefined["answer"] == "Pearson correlation – on the test split"
    outline(report.page(undefined))
    assert report.card(undefined)


def test_outputs_keep_what_pairing_needs(tmp_path):
    make(tmp_path)
    kept = load(Workdir(tmp_path))
    assert (kept.main, kept.measure, kept.split) == ("pearson", "pearson", "test")
    assert list(kept.sums) == ["model", "constant", "own_ridge"]
    assert np.array_equal(kept.sums["model"]["y"], TRUTH)
    assert kept.labels == () and kept.predicted == {} and not len(kept.truth)
    assert len(set(kept.keys())) == COUNT


def test_runs_are_compared_by_their_main_figure(tmp_path):
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    reports = [make(one, noise=0.8), make(two, noise=0.4)]
    content = comparison.side_by_side([one, two])
    [found] = content["differences"]
    values = [each["metrics"]["pearson"]["value"] for each in reports]
    assert found["pearson"]["value"] == pytest.approx(values[1] - values[0])
    assert 0 < found["pearson"]["low"] < found["pearson"]["high"]
    assert not {"accuracy", "macro_f1", "mcnemar"} & set(found)
    runs, differences = comparison.tables(content)
    names = ["Pearson correlation", "share within one", "mean absolute error"]
    assert runs[1] == ["run", *names, "trained weights", "seconds", "backbone"]
    assert differences[:2] == (
        "Paired differences",
        ["difference", "Pearson correlation (95 % interval)", "texts"],
    )
    comparison.run([one, two], str(tmp_path / "page.html"), False, False, QUIET)
    page = (tmp_path / "page.html").read_text("utf-8")
    assert [word for word in CLASSES if word in page] == []
    assert "Pearson correlation with its 95 % interval" in page and "<svg" in page
    alone = comparison.side_by_side([two])["differences"]
    assert [row["base"] for row in alone] == ["constant", "own_ridge"]
    assert alone[0]["pearson"] == {"value": None}
    assert comparison.difference_table(alone, content)[2][0][1] == "–"


def test_runs_of_different_tasks_are_refused(tmp_path):
    paths = [str(tmp_path / name) for name in ("one", "two")]
    make(paths[0])
    make(paths[1], task=Spread())
    with pytest.raises(DataError, match="one is judged by pearson and .*two by perplexity"):
        comparison.side_by_side(paths)
    warned = []
    say = types.SimpleNamespace(warn=warned.append)
    found = run_comparison.comparisons(load(Workdir(paths[0])), paths[1], say)
    assert len(found) == 2 and "it is judged by perplexity" in warned[0]


def test_other_answers_are_other_examples(tmp_path):
    paths = [str(tmp_path / name) for name in ("one", "two")]
    make(paths[0])
    make(paths[1], rows=slice(0, 90))
    with pytest.raises(DataError, match="90 are shared, 30 are left out"):
        comparison.side_by_side(paths)
    [found] = comparison.side_by_side(paths, shared=True)["differences"]
    assert found["pearson"]["value"] == pytest.approx(0) and found["examples"] == 90


def planned(folder, noises, task=None, base=None):
    names = [f"seed-{number}" for number in range(len(noises))]
    for seed, (name, noise) in enumerate(zip(names, noises, strict=True)):
        make(folder / name, noise, task, seed=seed)
    return repeat_summary.summarize_plan("seeds", names, Workdir(folder), base)


def test_a_plan_is_summed_up_by_its_main_figure(tmp_path):
    make(tmp_path / "base", noise=1.0)
    content = planned(tmp_path / "plan", (0.4, 0.5, 0.6), base=tmp_path / "base")
    assert content["answer"].startswith("Pearson correlation 0.") and content["main"] == "pearson"
    assert "over 3 seeds" in content["answer"] and "labels" not in content
    # A floor without the figure has no gain.
    assert [gain["over"] for gain in content["gains"]] == ["own_ridge"]
    values = [run_comparison.open_run(tmp_path / f"plan/seed-{n}").report for n in range(3)]
    values = [each["metrics"]["pearson"]["value"] for each in values]
    assert content["figures"]["pearson"]["value"] == pytest.approx(np.mean(values))
    [found] = content["comparisons"]
    assert found["pearson"]["value"] > 0 and found["spread"] == pytest.approx(
        np.std(values, ddof=1)
    )
    tables = {title: columns for title, columns, _ in repeat_summary.tables(content)}
    names = ["Pearson correlation", "share within one", "mean absolute error"]
    assert tables["Runs"] == ["run", *names, "val loss", "val mae", "seconds"]
    assert "Pearson correlation beside the floors" in tables
    repeat_summary.write(Workdir(tmp_path / "plan"), content, QUIET)
    page = (tmp_path / "plan/report.html").read_text("utf-8")
    outline(page)
    assert [word for word in CLASSES if word in page] == []
    again = comparison.side_by_side([str(tmp_path / "base"), str(tmp_path / "plan")])
    assert again["differences"][0]["pearson"] == found["pearson"]
    assert "± " in comparison.tables(again)[0][2][1][1]


def test_a_plan_of_which_a_run_has_no_figure(tmp_path):
    content = planned(tmp_path, (0.5, 0.6))
    run = run_comparison.open_run(tmp_path / "seed-0").report
    metrics = {**run["metrics"], "pearson": {"value": None}}
    files = Workdir(tmp_path / "seed-0")
    files.write_json("report.json", {**run, "metrics": metrics})
    manifest.write(files)
    content = repeat_summary.summarize_plan("seeds", ["seed-0", "seed-1"], Workdir(tmp_path), None)
    assert content["answer"].startswith("Pearson correlation is undefined in some run")
    assert content["gains"] == []
    repeat_summary.write(Workdir(tmp_path), content, QUIET)
    assert comparison.side_by_side([str(tmp_path / "seed-1"), str(tmp_path)])["differences"]


def test_brief_tables_have_a_figure_of_which_less_is_better():
    naming = report.named(TextClassification(["a", "b"]))
    assert report_tables.brief_keys(naming) == ["accuracy", "macro_f1", "log_loss"]
    assert report_tables.brief_keys(report.named(Spread())) == ["perplexity", "label_f1"]
    assert report_tables.listed(["a"]) == "a" and report_tables.listed(["a", "b"]) == "a and b"
