"""The report: every figure in the file, a page that stands alone, nothing unescaped."""

import html.parser
import json
import math
import re

import numpy as np
import pytest

from tfft.data.examples import Examples
from tfft.evaluation import stored_predictions
from tfft.reports import plots, report, result_line
from tfft.reports import tables as report_tables
from tfft.storage.workdir import Workdir
from tfft.tasks.text.text_classification import TextClassification

NAMES = ["bad", "good"]
TRUTH = np.array([0, 1] * 20)
OUTPUTS = np.where(np.arange(40)[:, None] % 8 == 0, 0.5, 0.0) + np.eye(2)[TRUTH] * [0.3, 0.2] + 0.1
OUTPUTS[4] = [0.01, 0.99]
CURVE = {
    "stage": "s",
    "stage_number": 0,
    "epoch": 1,
    "step": 5,
    "loss": 0.5,
    "accuracy": 0.7,
    "val_loss": 0.6,
    "val_accuracy": 0.65,
}
CUT = {"texts": 40, "cut_texts": 1, "tokens": 400, "cut_tokens": 7}


def groups(trained):
    return [
        {"group": "embeddings", "parameters": 90, "trainable": 0},
        {"group": "layer_0", "parameters": 100, "trainable": 100 * trained},
        {"group": "head", "parameters": 10, "trainable": 10},
    ]


def stage(name="s", trained=0):
    proof = {"frozen_bit_identical": 3, "trainable_moved": 2, "cannot_move": ["layer_0/key/bias"]}
    return {"name": name, "groups": groups(trained), "proof": proof}


def built(names=NAMES, truth=TRUTH, outputs=OUTPUTS, texts=None, **changed):
    task = TextClassification(names)
    texts = texts or ["<script>alert(1)</script>"] * len(truth)
    examples = Examples((texts,), [names[number] for number in truth], truth)
    shares = np.bincount(truth, minlength=len(names)) / len(truth)
    evaluator = task.build_evaluator()
    floor = evaluator.evaluate(examples, np.tile(shares, (len(truth), 1)))
    given = {
        "split": "test",
        "metrics": evaluator.evaluate(examples, outputs),
        "floors": {"majority": floor, "tfidf_logistic_regression": floor},
        "lengths": {"train": np.arange(1, 41)},
        "stages": [stage()],
        "curves": [CURVE, CURVE | {"epoch": 2, "step": 10, "loss": 0.3, "val_loss": 0.4}],
        "best": CURVE,
        "truncation": {"train": CUT},
        "seconds": {"training": 1.0, "evaluation": 0.5},
        "notes": ["tuned for sentence similarity"],
        "machine": {"versions": {"keras": "3"}, "devices": [], "git_commit": None},
        "seed": 0,
        "command": "tfft train --gin_file=config.gin",
        "groups": {
            "class": [names[number] for number in truth],
            "year": [str(1990 + number % 3) for number in range(len(truth))],
        },
        "constant_loss": math.log(2),
    }
    parts = {"task": task, "examples": examples, "outputs": outputs}
    return report.build(**parts, sums=evaluator.main_terms(examples, outputs), **(given | changed))


@pytest.fixture(scope="module")
def content():
    return built()


class Checker(html.parser.HTMLParser):
    """Collects ids, references and addresses, and checks that what is opened is closed."""

    EMPTY = {"meta", "br", "path", "use", "rect"}

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.references, self.addresses = [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.EMPTY:
            self.open.append(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            if key in ("aria-labelledby", "for"):
                self.references += value.split()
            if key in ("href", "src", "xlink:href", "srcset", "action"):
                self.addresses.append(value)
            self.references += re.findall(r"url\(#([^)]*)\)", value or "")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag


def checked(page):
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert set(checker.references) <= set(checker.ids)
    assert all(address.startswith("#") for address in checker.addresses)
    assert {address[1:] for address in checker.addresses} <= set(checker.ids)
    assert "<script" not in page and "@import" not in page
    return page


def test_the_schema(content):
    assert (
        content["schema"] == stored_predictions.SCHEMA == 3
        and content["task"] == "text_classification"
    )
    assert set(content["metrics"]["accuracy"]) == {"value", "low", "high"}
    assert set(content["floors"]) == {"majority", "tfidf_logistic_regression"}
    assert content["main"] == "accuracy" and list(content["shown"])[:2] == ["accuracy", "macro_f1"]
    assert content["lower"] == ["brier_score", "expected_calibration_error", "log_loss"]
    assert content["own_slices"] == ["class", "cut", "length"]
    assert content["truncation"]["train"]["cut_tokens"] == 7
    assert content["answer"] == result_line.answer(content)
    assert content["trainable_share"] == content["frozen"]["trainable_share"] == 0.05
    assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_every_key_is_documented(content, request):
    page = (request.config.rootpath / "docs/report.md").read_text("utf-8")
    assert [key for key in sorted(keys_of(content)) if f"`{key}`" not in page] == []


# Below these keys stand names that a person gave.
NAMED = {"shown", "floors", "classes", "truncation", "lengths", "seconds", "versions"}


def keys_of(value, names=0):
    """Yields every key of a report at any depth but those that are names."""
    if isinstance(value, list):
        for item in value:
            yield from keys_of(item)
    if isinstance(value, dict):
        for key, item in value.items():
            if not names:
                yield key
            below = 2 if key == "splits" else int(key in NAMED)  # splits, then classes
            yield from keys_of(item, names - 1 if names else below)


def test_frozen_is_what_no_stage_trained():
    found = built(stages=[stage("head", 0), stage("more", 1)])["frozen"]
    assert found["groups"] == ["embeddings"]
    assert (found["parameters"], found["trainable_parameters"]) == (90, 110)
    assert found["trainable_share"] == 0.55
    assert report.frozen_throughout([stage()])["groups"] == ["embeddings", "layer_0"]


def test_the_surest_mistake_comes_first(content):
    first = content["mistakes"][0]
    assert (first["truth"], first["predicted"]) == ("bad", "good")
    assert first["probability"] == pytest.approx(0.99)
    assert first["probability_of_truth"] == pytest.approx(0.01)
    assert content["mistake_count"] == int((OUTPUTS.argmax(-1) != TRUTH).sum())


def test_long_texts_are_cut_and_counted():
    outputs = np.eye(2)[1 - TRUTH]
    found = built(outputs=outputs, texts=["é" * 1234] * 40)
    assert len(found["mistakes"]) == 20 and found["mistake_count"] == 40
    assert found["mistakes"][0]["characters_left_out"] == 234
    page = report.page(found)
    assert "and 234 characters more" in page and "these are the 20" in page


def test_paths_in_texts_stay():
    texts = ["see http://a.b/data/c.html"] * 40
    found = built(outputs=np.eye(2)[1 - TRUTH], texts=texts, data="/data/reviews.csv")
    assert found["data"] == "reviews.csv" and found["mistakes"][0]["text"] == texts[0]


def test_the_histogram_counts_every_text():
    lengths = np.array([3] * 5 + [7] * 3 + [9000])
    found = report.histogram(np.tile(lengths, 100), limit=128)
    assert sum(found["counts"]) + found["longer"] == found["texts"] == 900
    assert found["longest"] == 9000 and found["median"] == 3
    usual = np.array([1] * 990 + [9000])
    found = report.histogram(usual, limit=128)
    assert found["longer"] == 1 and 128 < found["edges"][-1] < 200
    assert report.histogram(np.array([], int))["texts"] == 0


def test_figures_that_json_cannot_hold_become_null(tmp_path):
    diverged = CURVE | {"loss": math.nan, "val_loss": math.inf}
    found = built(curves=[CURVE, diverged], seconds={"training": np.float32(1)})
    assert found["curves"][1]["loss"] is None and found["curves"][1]["val_loss"] is None
    files = Workdir(tmp_path)
    report.write_pages(found, files.write)
    files.write_json("report.json", found)
    assert files.read_json("report.json") == found
    checked((tmp_path / "report.html").read_text("utf-8"))


def test_the_page_stands_alone_and_escapes(content):
    written = []
    report.write_pages(content, lambda name, text: written.append((name, text)))
    assert [name for name, _ in written] == ["report.html", "report.md"]
    page = checked(written[0][1])
    assert "&lt;script&gt;" in page and "tuned for sentence similarity" in page
    assert page.count("<svg") == page.count('role="img"') == page.count("<desc") == 8
    without = page.replace("http://www.w3.org/2000/svg", "")
    assert "http" not in without.replace("http://www.w3.org/1999/xlink", "")


def test_colours_follow_the_page(content):
    page = report.page(content)
    assert "prefers-color-scheme: dark" in page
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert "var(--accent)" in drawn and "#0102" not in drawn
    assert re.findall(r"#[0-9a-f]{6}\b", drawn) == []


def test_a_page_without_plots_has_its_tables_and_says_so(content):
    page, plain = checked(report.page(content)), checked(report.page(content, plots=False))
    assert page.count("<figure") > 3 and "train.plots" not in page
    assert "<svg" not in plain and "This page has no plots: train.plots = False." in plain
    assert page.count("<table") == plain.count("<table") > 3


def test_the_same_content_gives_the_same_page(content):
    assert report.page(content) == report.page(content)


@pytest.mark.filterwarnings("error")
def test_any_class_name_can_be_drawn():
    names = ["$x", "<b>", "a & b", "情感", "🎉", "x" * 90, 'q"', "tab\there\x00"]
    truth = np.arange(40) % 8
    page = checked(report.page(built(names, truth, np.eye(8)[truth])))
    assert "<b>" not in page and "\x00" not in page


def test_many_classes_are_listed_where_they_fit():
    names = [f"class {number:03}" for number in range(60)]
    truth = np.arange(600) % 60
    outputs = np.eye(60)[np.where(np.arange(600) % 7, truth, (truth + 1) % 60)]
    found = built(names, truth, outputs)
    tables = {title: rows for title, _, rows in report_tables.tables(found)}
    assert len(tables["Per class (the 20 of 60 with the lowest F1)"]) == 20
    assert len(tables["Most frequent confusions"]) == 20
    page = checked(report.page(found))
    assert all(name in page for name in names) and "Most frequent confusions" in page


@pytest.mark.parametrize(
    ("low", "value", "high", "higher", "lower"),
    [
        (0.81, 0.83, 0.85, "better than X (0.800) by more than the interval", "worse"),
        (0.79, 0.81, 0.83, "better than X (0.800), but the interval includes that value", "worse"),
        (0.78, 0.80, 0.82, "equal to X (0.800)", "equal"),
        (0.78, 0.79, 0.82, "worse than X (0.800), but the interval includes that value", "better"),
        (0.70, 0.72, 0.74, "worse than X (0.800) by more than the interval", "better"),
    ],
)
def test_the_verdict(low, value, high, higher, lower):
    """The sentence says which of the two is better, in whichever direction the metric points."""
    figure = {"low": low, "value": value, "high": high}
    assert result_line.verdict(figure, "X", 0.80) == higher
    expected = re.sub("better|worse|equal", lower, higher)
    assert result_line.verdict(figure, "X", 0.80, lower=True) == expected
    alone = result_line.verdict({"value": value}, "X", 0.80)
    assert alone == re.split(",| by", higher)[0]


def test_the_answer_compares_with_the_floor(content):
    said = result_line.answer(content)
    assert said.startswith("accuracy 0.975 (0.871 to 0.996) on the test split: better than TF-IDF")
    assert said.endswith("with logistic regression (0.500) by more than the interval")


def test_tables_hold_every_class_and_phase(content):
    found = {title: rows for title, _, rows in report_tables.tables(content)}
    assert [row[0] for row in found["Per class"]] == NAMES
    assert found["Seconds"] == [["training", "1.0"], ["evaluation", "0.5"], ["all", "1.5"]]
    assert found["Confusion matrix (rows: truth)"][0][0] == "bad"
    assert found["What was frozen"][0] == ["frozen", "190", "embeddings, layer_0"]
    models = [row[0] for row in next(iter(found.values()))]
    assert models == ["this model", "TF-IDF + logistic regression", "most frequent class"]


def test_tables_of_an_evaluation_alone(content):
    naming = report.named(TextClassification(NAMES))
    part = {"metrics": content["metrics"], "floors": {}, "labels": NAMES, **naming}
    assert [title for title, _, _ in report_tables.tables(part)][1:] == [
        "Metrics",
        "Per class",
        "Confusion matrix (rows: truth)",
    ]
    assert result_line.answer(part) == "accuracy 0.975 (0.871 to 0.996)"


def test_a_run_without_validation_floors_or_best():
    bare = {key: value for key, value in CURVE.items() if not key.startswith("val_")}
    page = checked(report.page(built(curves=[bare], best=None, floors={}, notes=[])))
    assert "validation loss by epoch" not in page and "0.975" in page
    assert "training loss by epoch" in page and "training accuracy by epoch" in page
    assert "beside" not in page


def test_a_sample_of_the_floor_is_said():
    floors = built()["floors"]
    floors["tfidf_logistic_regression"] |= {"fitted_on": 100_000, "training_texts": 250_000}
    assert "100,000 of 250,000 training texts" in report.page(built(floors=floors))


def test_pictures_are_described():
    said = plots.confusion([[5, 1], [2, 7]], ["bad", "good"])
    assert "12 of 15 are right; most often, 2 times, good is taken for bad<" in said
    drawn = plots.lengths(report.histogram(np.arange(1, 60)), 48, "training")
    assert "cut at 48" in drawn and "half have at most 30 tokens" in drawn


def test_a_reliability_picture_says_its_figures(content):
    drawn = plots.reliability(content["metrics"]["calibration"])
    assert "accuracy against" not in drawn and "texts with mean probability" in drawn


def test_curves_say_their_figures_and_whose_they_are(content):
    [entry] = content["ranking"]  # as frequent as the other, so it is the second
    assert entry["label"] == "good" and entry["share"] == 0.5
    drawn = plots.roc(content["ranking"], {"good": 0.9375})
    assert "good: area 0.938; true-positive rate by false-positive rate: 0.000 at 0.01" in drawn
    drawn = plots.precision_recall(content["ranking"], {"good": 0.9375})
    assert "good: area 0.938, by chance 0.500; precision by recall: " in drawn
    page = report.page(content)
    assert "those of good, the second of two equally frequent classes" in page
    assert "ROC curves" in page and "Precision-recall curves" in page
    truth = np.arange(90) % 9
    names = [f"class {number}" for number in range(9)]
    outputs = np.eye(9)[np.where(np.arange(90) % 4, truth, (truth + 1) % 9)] * 0.8 + 0.02
    page = checked(report.page(built(names, truth, outputs)))
    assert "those of the 6 of 9 classes with the lowest PR area, the lowest first" in page
    page = report.page(built(names[:3], truth % 3, outputs[:, :3]))
    assert "those of each class against the rest" in page


def test_classes_that_cannot_be_told_apart_have_no_curve():
    found = built(truth=np.zeros(40, int))
    assert found["ranking"] == []
    assert 'id="ranking"' not in checked(report.page(found))


def test_slices_are_shown_worst_first_and_the_rest_is_folded(content):
    assert [row["by"] for row in content["slices"]].count("year") == 3
    stands = [row["stands"] for row in content["slices"]]
    assert stands == sorted(stands, key=["below", "within", "above", "too_few"].index)
    names = [f"part {number:02}" for number in range(20)]
    truth = np.arange(800) % 2
    outputs = np.eye(2)[np.where(np.arange(800) % 20 == 7, 1 - truth, truth)] * 0.8 + 0.1
    found = built(
        truth=truth, outputs=outputs, groups={"part": [names[n % 20] for n in range(800)]}
    )
    assert (found["slices"][0]["value"], found["slices"][0]["stands"]) == ("part 07", "below")
    page = checked(report.page(found))
    assert "8 more slices" in page and all(name in page for name in names)
    assert "1 of 20 slices is below the accuracy on all texts by more than its" not in page
    assert "1 of 20 slices is below" in page
    tables = {title: rows for title, _, rows in report_tables.tables(found)}
    assert tables["Slices (the worst 8 of 20)"][0][:3] == ["part", "part 07", "40"]


def test_least_certain_and_confused(content):
    margins = [row["margin"] for row in content["least_certain"]]
    assert margins == sorted(margins) and len(margins) == 20
    two = np.sort(OUTPUTS, axis=-1)
    assert margins[0] == pytest.approx((two[:, 1] - two[:, 0]).min())
    [pair] = content["confusions"]
    assert pair == {"truth": "bad", "predicted": "good", "texts": 1, "share_of_truth": 0.05}


def test_a_report_covers_what_is_asked_or_not(content):
    years = {"year": [str(1990 + number % 3) for number in range(40)]}
    assert report.covers(content, years)
    assert not report.covers(content, {})
    assert not report.covers(content, {"year": ["1990"] * 20 + ["1991"] * 20})
    assert not report.covers(content | {"schema": 2}, years)


def test_sections_without_figures_are_left_out(content):
    more = {"pairs": {"one": 1}}
    bare = built(groups={}, curves=[], more=more)
    assert bare["pairs"] == {"one": 1} and bare["fitting"]["verdict"] == "no_validation"
    page = checked(report.page(bare))
    assert 'id="slices"' not in page and 'id="curves"' not in page
    assert report.card(bare)


def test_the_card_is_markdown_with_yaml_in_front(content):
    yaml = pytest.importorskip("yaml")
    names = ['a "b": c', "no", "1", "情感", "pipe | star *", "new\nline"]
    truth = np.arange(60) % 6
    found = built(names, truth, np.eye(6)[(truth + (truth == 5)) % 6] * 0.8 + 0.04, data="d: [x]")
    card = report.card(found)
    _, front, body = card.split("---\n", 2)
    head = yaml.safe_load(front)
    assert head["labels"] == names and head["pipeline_tag"] == "text-classification"
    assert head["datasets"] == ["d: [x]"]
    [result] = head["model-index"][0]["results"]
    values = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert values["accuracy"] == found["metrics"]["accuracy"]["value"]
    metrics = TextClassification(names).build_evaluator().metrics
    assert list(values) == [metric.title for metric in metrics]
    assert result["dataset"]["split"] == "test"
    for title in ("Intended use", "Training data", "Training", "Evaluation", "Limits"):
        assert f"\n## {title}\n" in body
    # Each row of a table has as many cells as its head, whatever the names are.
    for block in re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block
    assert "<script" not in body and "\n\n\n\n" not in body


def test_remarks_follow_from_the_figures(content):
    said = report_tables.remarks(content)
    assert set(said) == {"fitting", "calibration", "resamples", "lower", "ranking", "slices"}
    assert said["lower"] == "Lower is better for log loss, Brier and calibration error."
    assert said["fitting"].startswith("2 epochs: too few")
    assert "1,000 bootstrap resamples of the texts for the rest." in said["resamples"]
    many = content["metrics"] | {"resamples": 100, "areas_resampled": False}
    said = report_tables.remarks(content | {"metrics": many})["resamples"]
    assert "100 for the rest, fewer because" in said and "the areas have none" in said


def test_every_key_of_a_real_report_is_documented(tmp_path, request):
    import tfft
    from tfft.data.sources.synthetic import synthetic
    from tfft.reports.console import Console

    stage = tfft.Stage(
        freeze_layers=1,
        epochs=2,
        learning_rate=3e-3,
        optimizer=tfft.optimizers.AdamW(layer_decay=0.9),
        feature_cache=tfft.FeatureCache(dtype="float16"),
    )
    task, body = tfft.tasks.TextClassification(), tfft.backbones.tiny()
    slices = {"film": r"\bfilm\b"}
    say = Console(quiet=True)
    made = tfft.train(task, body, synthetic(128), [stage], workdir=tmp_path, slices=slices, say=say)
    found = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert Workdir(tmp_path).read_json("report.json") == made.report
    page = (request.config.rootpath / "docs/report.md").read_text("utf-8")
    assert [key for key in sorted(set(keys_of(found))) if f"`{key}`" not in page] == []
    checked((tmp_path / "report.html").read_text("utf-8"))
    assert "## Limits" in (tmp_path / "report.md").read_text("utf-8")
    assert sum(row["texts"] for row in found["slices"] if row["by"] == "class") == 32
    assert 0 < found["trainable_share"] == found["frozen"]["trainable_share"] < 1


def test_the_ledger_stands_on_the_page_where_texts_were_cut(content):
    assert content["ledger"] == {} and "Cut, by class" not in report.page(content)
    row = {"texts": 40, "cut_texts": 4, "tokens": 400, "cut_tokens": 70}
    accuracy = {"cut": {"value": 0.5, "low": 0.2, "high": 0.8, "texts": 4}}
    ledger = {"splits": {"train": {"<b>": row}}, "figure": accuracy}
    found = built(ledger=ledger)
    page = report.page(found)
    assert "Cut, by class" in page and "70 (18%)" in page and "&lt;b&gt;" in page
    assert "0.500 (0.200 to 0.800)" in page
    titles = [title for title, _, _ in report_tables.tables(found)]
    assert "Cut, by class" in titles and "Accuracy by how much was read" in titles
