"""The report: every figure in the file, a page that stands alone, nothing unescaped."""

import json

import numpy as np
import pytest

from tfft import report
from tfft.metrics.classification import classification_metrics

NAMES = ["bad", "good"]
TRUTH = np.array([0, 1] * 20)
OUTPUTS = np.where(np.arange(40)[:, None] % 8 == 0, 0.5, 0.0) + np.eye(2)[TRUTH] * [0.3, 0.2] + 0.1
OUTPUTS[4] = [0.01, 0.99]


@pytest.fixture
def content():
    metrics = classification_metrics(TRUTH, OUTPUTS, NAMES)
    floor = classification_metrics(TRUTH, np.tile([0.6, 0.4], (40, 1)), NAMES)
    groups = [
        {"group": "embeddings", "parameters": 90, "trainable": 0},
        {"group": "head", "parameters": 10, "trainable": 10},
    ]
    proof = {"frozen_bit_identical": 3, "trainable_moved": 2, "cannot_move": []}
    curve = {"stage": "s", "epoch": 1, "step": 5, "loss": 0.5, "accuracy": 0.7}
    cut = {"texts": 40, "cut_texts": 1, "tokens": 400, "cut_tokens": 7}
    return report.build(
        task="text_classification",
        labels=NAMES,
        split="test",
        metrics=metrics,
        floors={"majority": floor, "tfidf_logistic_regression": floor},
        truth=TRUTH,
        outputs=OUTPUTS,
        texts=["<script>alert(1)</script>"] * 40,
        lengths={"train": np.arange(1, 40)},
        stages=[{"name": "s", "groups": groups, "proof": proof}],
        curves=[curve, curve | {"epoch": 2, "step": 10, "val_loss": 0.4}],
        truncation={"train": cut},
        seconds={"training": 1.0},
        notes=["a note"],
        machine={"versions": {"keras": "3"}, "devices": [], "git_commit": None},
        seed=0,
        command="tfft train",
        best=None,
    )


def test_the_schema(content):
    assert content["schema"] == 1 and content["task"] == "text_classification"
    assert set(content["metrics"]["accuracy"]) == {"value", "low", "high"}
    assert set(content["floors"]) == {"majority", "tfidf_logistic_regression"}
    assert content["frozen"]["trainable_share"] == 0.1
    assert content["truncation"]["train"]["cut_tokens"] == 7
    json.dumps(content)


def test_the_surest_mistake_comes_first(content):
    first = content["mistakes"][0]
    assert (first["truth"], first["predicted"]) == ("bad", "good")
    assert first["probability"] == pytest.approx(0.99)


def test_the_page_stands_alone_and_escapes(content, tmp_path):
    written = {}
    report.write(tmp_path, content, lambda path, text: written.update({path.name: text}))
    page = written["report.html"]
    assert set(written) == {"report.html", "report.json"}
    assert "<script" not in page and "&lt;script&gt;" in page
    assert page.count("<svg") == 3 and page.count('role="img"') == 3
    without = page.replace("http://www.w3.org", "").replace("http://purl.org", "")
    assert "http" not in without.replace("http://creativecommons.org", "")


def test_the_answer_compares_with_the_floor(content):
    assert "TF-IDF with logistic regression reaches 0.5000" in report.answer(content)
    assert "above it by more than the interval" in report.answer(content)


def test_tables_hold_every_class_and_phase(content):
    found = {title: rows for title, _, rows in report.tables(content)}
    assert [row[0] for row in found["Per class"]] == NAMES
    assert found["Seconds"] == [["training", "1.0"]]
