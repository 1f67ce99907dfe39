"""Several labels a text: the case that every task gets, answers as people write them, figures."""

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, hamming_loss

import tfft
from tfft.backbones.tiny import tiny
from tfft.console import Console
from tfft.errors import DataError
from tfft.metrics.multi_label import multi_label_metrics
from tfft.sources.memory import memory
from tfft.task import Examples
from tfft.tasks.multi_label_classification import MultiLabelClassification
from tfft.testing import TaskCase
from tfft.thresholds import f1

NAMES = ["film", "good", "plot"]


def rows(count, seed):
    """Returns texts whose labels are the names that stand in them."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        names = [name for name in NAMES if rng.random() < 0.5]
        filler = rng.choice(["the", "a", "of", "one"], 4).tolist()
        text = " ".join(rng.permutation(names + filler))
        found.append({"text": f"{text} {number}", "label": names})
    return found


def source():
    return memory(rows(160, 0), rows(48, 1), rows(48, 2), classes=False)


class TestMultiLabelClassification(TaskCase):
    def make_task(self):
        return MultiLabelClassification()

    def make_source(self):
        return source()

    def make_body(self):
        return tiny()

    def named(self, prediction):
        return set(prediction["labels"]) <= set(NAMES)


def test_answers_are_lists_or_separated():
    task = MultiLabelClassification(["a", "b", "c"])
    answers = ['["b", "a"]', "a, c", "[]", "c"]
    assert task.targets(Examples((), answers)).tolist() == [
        [1, 1, 0],
        [1, 0, 1],
        [0, 0, 0],
        [0, 0, 1],
    ]
    assert MultiLabelClassification().with_labels(["b|a", "c"]).labels == ("b|a", "c")
    piped = MultiLabelClassification(separator="|").with_labels(["b|a", "c"])
    assert piped.labels == ("a", "b", "c")
    with pytest.raises(DataError, match="'d' is none of the task's"):
        task.targets(Examples((), ["d"]))
    with pytest.raises(DataError, match="no list in JSON"):
        task.targets(Examples((), ["[a"]))


def test_figures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, scores = rng.random((200, 3)) < [0.5, 0.2, 0.1], rng.random((200, 3))
    scores = 0.7 * scores + 0.3 * truth
    given = scores > 0.5
    found = multi_label_metrics(truth, given, scores, NAMES)
    for average in ("micro", "macro"):
        expected = f1_score(truth, given, average=average)
        figure = found[f"{average}_f1"]
        assert figure["value"] == pytest.approx(expected)
        assert figure["low"] < expected < figure["high"]
    assert found["average_precision"]["value"] == pytest.approx(
        average_precision_score(truth, scores, average="macro")
    )
    assert found["hamming_loss"]["value"] == pytest.approx(hamming_loss(truth, given))
    assert found["subset_accuracy"]["value"] == pytest.approx((truth == given).all(1).mean())
    assert found["classes"]["good"]["support"] == truth[:, 1].sum()


def test_thresholds_are_chosen_for_each_label_and_served(tmp_path, capsys):
    found = tfft.train(
        MultiLabelClassification(threshold=f1()),
        tiny(layers=1),
        source(),
        [tfft.Stage(epochs=3, learning_rate=3e-3, warmup=0)],
        workdir=tmp_path / "run",
        say=Console(quiet=True),
    )
    report = found.report
    assert report["main"] == "micro_f1" and "confusions" not in report
    limits = found.task.limits
    assert len(set(limits.tolist())) == 3
    outputs = found.outputs(["film good", "the"])
    rows = found.predict(["film good", "the"])
    assert [len(row["labels"]) for row in rows] == (outputs > limits).sum(1).tolist()
    floor = report["floors"]["tfidf_logistic_regression"]
    assert floor["micro_f1"]["value"] > 0.9  # the words are the labels
    assert report["floors"]["shares"]["micro_f1"]["value"] < floor["micro_f1"]["value"]
    folder = found.export(tmp_path / "export", say=Console(quiet=True)).parent
    (tmp_path / "new.jsonl").write_text('{"text": "film good", "label": ["film", "good"]}\n')
    given, quiet = str(tmp_path / "new.jsonl"), Console(quiet=True)
    capsys.readouterr()
    tfft.run.predict_export(str(folder), input=given, say=quiet)
    row = json.loads(capsys.readouterr().out)
    assert row["labels"] == rows[0]["labels"]
    assert tfft.run.evaluate_export(str(folder), input=given, say=quiet)["metrics"]["micro_f1"]
    task = MultiLabelClassification(threshold=f1())
    again = tfft.run.evaluate(task, tiny(layers=1), str(tmp_path / "run"), source=source, say=quiet)
    assert again["metrics"]["micro_f1"] == report["metrics"]["micro_f1"]
