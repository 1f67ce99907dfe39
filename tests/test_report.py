"""The report: every figure in the file, a page that stands alone, nothing unescaped."""

import html.parser
import json
import math
import re

import numpy as np
import pytest

from tfft import plots, report
from tfft.metrics.classification import classification_metrics
from tfft.workdir import write_atomic

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


def built(names=NAMES, truth=TRUTH, outputs=OUTPUTS, **changed):
    metrics = classification_metrics(truth, outputs, names)
    shares = np.bincount(truth, minlength=len(names)) / len(truth)
    floor = classification_metrics(truth, np.tile(shares, (len(truth), 1)), names)
    given = {
        "task": "text_classification",
        "split": "test",
        "metrics": metrics,
        "floors": {"majority": floor, "tfidf_logistic_regression": floor},
        "texts": ["<script>alert(1)</script>"] * len(truth),
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
    }
    return report.build(labels=names, truth=truth, outputs=outputs, **(given | changed))


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
    assert content["schema"] == 1 and content["task"] == "text_classification"
    assert set(content["metrics"]["accuracy"]) == {"value", "low", "high"}
    assert set(content["floors"]) == {"majority", "tfidf_logistic_regression"}
    assert content["truncation"]["train"]["cut_tokens"] == 7
    assert content["answer"] == report.answer(content)
    assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_every_key_is_documented(content, request):
    page = (request.config.rootpath / "docs/report.md").read_text("utf-8")
    keys = {*content, *content["metrics"], *content["frozen"], *content["mistakes"][0]}
    keys |= {*content["lengths"]["train"], *content["stages"][0], *content["machine"]}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


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
    report.write(tmp_path, found, write_atomic)
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == found
    checked((tmp_path / "report.html").read_text("utf-8"))


def test_the_page_stands_alone_and_escapes(content):
    written = []
    report.write("folder", content, lambda path, text: written.append((path.name, text)))
    # The JSON is the sign of a finished report, so it comes last.
    assert [name for name, _ in written] == ["report.html", "report.json"]
    page = checked(written[0][1])
    assert "&lt;script&gt;" in page and "tuned for sentence similarity" in page
    assert page.count("<svg") == page.count('role="img"') == page.count("<desc") == 5
    without = page.replace("http://www.w3.org/2000/svg", "")
    assert "http" not in without.replace("http://www.w3.org/1999/xlink", "")


def test_colours_follow_the_page(content):
    page = report.page(content)
    assert "prefers-color-scheme: dark" in page
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert "var(--accent)" in drawn and "#0102" not in drawn
    assert re.findall(r"#[0-9a-f]{6}\b", drawn) == []


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
    tables = {title: rows for title, _, rows in report.tables(found)}
    assert len(tables["Per class (the 20 of 60 with the lowest F1)"]) == 20
    assert len(tables["Most frequent confusions"]) == 20
    page = checked(report.page(found))
    assert all(name in page for name in names) and "Most frequent confusions" in page


@pytest.mark.parametrize(
    ("low", "value", "high", "said"),
    [
        (0.81, 0.83, 0.85, "above it by more than the interval"),
        (0.79, 0.81, 0.83, "above it, and the interval holds both"),
        (0.78, 0.80, 0.82, "not above it, and the interval holds both"),
        (0.70, 0.72, 0.74, "below it by more than the interval"),
    ],
)
def test_the_verdict(low, value, high, said):
    assert report.verdict({"low": low, "value": value, "high": high}, 0.80) == said


def test_the_answer_compares_with_the_floor(content):
    said = report.answer(content)
    assert said.startswith("accuracy 0.975 (0.871 to 0.996) on the test split; TF-IDF with")
    assert said.endswith("reaches 0.500: above it by more than the interval")


def test_tables_hold_every_class_and_phase(content):
    found = {title: rows for title, _, rows in report.tables(content)}
    assert [row[0] for row in found["Per class"]] == NAMES
    assert found["Seconds"] == [["training", "1.0"], ["evaluation", "0.5"], ["all", "1.5"]]
    assert found["Confusion matrix (rows: truth)"][0][0] == "bad"
    assert found["What was frozen"][0] == ["frozen", "190", "embeddings, layer_0"]
    models = [row[0] for row in next(iter(found.values()))]
    assert models == ["this model", "TF-IDF + logistic regression", "most frequent class"]


def test_tables_of_an_evaluation_alone(content):
    part = {"metrics": content["metrics"], "floors": {}, "labels": NAMES}
    assert [title for title, _, _ in report.tables(part)][1:] == [
        "Per class",
        "Confusion matrix (rows: truth)",
    ]
    assert report.answer(part) == "accuracy 0.975 (0.871 to 0.996)"


def test_a_run_without_validation_floors_or_best():
    bare = {key: value for key, value in CURVE.items() if key != "val_loss"}
    page = checked(report.page(built(curves=[bare], best=None, floors={}, notes=[])))
    assert "validation loss by epoch" not in page and "0.975" in page


def test_a_sample_of_the_floor_is_said():
    floors = built()["floors"]
    floors["tfidf_logistic_regression"] |= {"fitted_on": 100_000, "training_texts": 250_000}
    assert "100,000 of 250,000 training texts" in report.page(built(floors=floors))


def test_pictures_are_described():
    said = plots.confusion([[5, 1], [2, 7]], ["bad", "good"])
    assert "12 of 15 are right; most often, 2 times, good is taken for bad<" in said
    drawn = plots.lengths(report.histogram(np.arange(1, 60)), 48, "training")
    assert "cut at 48" in drawn and "half have at most 30 tokens" in drawn


def test_the_ledger_stands_on_the_page_where_texts_were_cut(content):
    assert content["ledger"] == {} and "Cut, by class" not in report.page(content)
    row = {"texts": 40, "cut_texts": 4, "tokens": 400, "cut_tokens": 70}
    accuracy = {"cut": {"value": 0.5, "low": 0.2, "high": 0.8, "texts": 4}}
    ledger = {"splits": {"train": {"<b>": row}}, "accuracy": accuracy}
    found = built(ledger=ledger)
    page = report.page(found)
    assert "Cut, by class" in page and "70 (18%)" in page and "&lt;b&gt;" in page
    assert "0.500 (0.200 to 0.800)" in page
    titles = [title for title, _, _ in report.tables(found)]
    assert "Cut, by class" in titles and "Accuracy by how much was read" in titles
