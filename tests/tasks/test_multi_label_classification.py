"""Several labels a text: the case that every task gets, answers as people write them, figures."""

import json
from collections import Counter

import hypothesis
import numpy as np
import pyarrow
import pytest
from hypothesis import strategies as st
from pyarrow import parquet
from sklearn.metrics import average_precision_score, f1_score, hamming_loss

import tfft
from tfft.api import check
from tfft.backbones.text.tiny import tiny
from tfft.data.examples import Examples
from tfft.data.sources.files import files
from tfft.data.sources.memory import memory
from tfft.errors import ConfigError, DataError
from tfft.evaluation.thresholds import f1
from tfft.metrics.classification import label_answers
from tfft.metrics.classification.multi_label import multi_label_metrics
from tfft.reports.console import Console
from tfft.tasks import encoding
from tfft.tasks.base import serving_signature
from tfft.tasks.text.multi_label_classification import MultiLabelClassification
from tfft.testing.task_case import TaskCase

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


def trained_on(answers, **settings):
    """Returns a task with the labels of training answers."""
    return MultiLabelClassification(**settings).with_training_answers(Counter(answers))


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
    assert task.encode_targets(Examples((), answers)).tolist() == [
        [1, 1, 0],
        [1, 0, 1],
        [0, 0, 0],
        [0, 0, 1],
    ]
    for separator in (None, "|"):
        piped = trained_on(["b|a", "c"], separator=separator).target
        assert (piped.names, piped.separator) == (("a", "b", "c"), "|")
    assert trained_on(["b|a", "c"], separator=",").target.names == ("b|a", "c")
    with pytest.raises(DataError, match="'d' is none of the task's"):
        task.encode_targets(Examples((), ["d"]))
    with pytest.raises(DataError, match="no list in JSON"):
        task.encode_targets(Examples((), ["[a"]))


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


def test_a_prediction_reads_names():
    task = MultiLabelClassification(["a", "b", "c"])
    outputs = np.array([[0.9, 0.2, 0.6]])
    [row] = serving_signature(task).format_predictions(Examples((["text"],)), outputs)
    assert row == {"labels": ["a", "c"], "probabilities": {"a": 0.9, "b": 0.2, "c": 0.6}}


@pytest.mark.slow
def test_thresholds_are_chosen_for_each_label_and_served(tmp_path, capsys):
    found = tfft.train(
        MultiLabelClassification(threshold=f1()),
        tiny(layers=1),
        source(),
        [tfft.Stage(epochs=3, learning_rate=3e-3, schedule=tfft.schedules.Linear(warmup=0))],
        workdir=tmp_path / "run",
        say=Console(quiet=True),
        plots=False,
    )
    report = found.report
    assert report["main"] == "micro_f1" and "confusions" not in report
    limits = found.task.calibration.limits(found.task.target.names)
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
    tfft.runs.exported.predict_export(str(folder), input=given, say=quiet)
    row = json.loads(capsys.readouterr().out)
    assert row["labels"] == rows[0]["labels"]
    assert tfft.runs.exported.evaluate_export(str(folder), input=given, say=quiet)["metrics"][
        "micro_f1"
    ]
    task = MultiLabelClassification(threshold=f1())
    again = tfft.api.evaluate(task, tiny(layers=1), str(tmp_path / "run"), source=source, say=quiet)
    assert again["metrics"]["micro_f1"] == report["metrics"]["micro_f1"]


# Answers in other shapes.


def labels_of(answers, **settings):
    """Returns the labels of a task and those of each answer."""
    task = trained_on(answers, **settings)
    names, rows = task.target.names, task.encode_targets(Examples((), answers)).tolist()
    return names, [[name for name, has in zip(names, row, strict=True) if has] for row in rows]


MUSIC, PLOT = "music", "plot"
HOT = ["[1, 0]", "[0, 0]", "[1, 1]"]
HOT_LABELS = [[MUSIC], [], [MUSIC, PLOT]]


@pytest.mark.parametrize(
    "answers",
    [
        HOT,
        ["[1.0, 0.0]", "[0.0, 0.0]", "[1.0, 1.0]"],
        ["[true, false]", "[false, false]", "[true, true]"],
        ["1|0", "0|0", "1|1"],
        ["1,0", "0,0", "1,1"],
        ["1 0", "0 0", "1 1"],
    ],
)
def test_lists_of_0_and_1_need_names(answers):
    assert labels_of(answers, labels=[MUSIC, PLOT]) == ((MUSIC, PLOT), HOT_LABELS)
    with pytest.raises(DataError, match="lists of numbers") as caught:
        labels_of(answers)
    assert "MultiLabelClassification.labels = (" in caught.value.valid
    assert "files.label = (" in caught.value.valid
    with pytest.raises(DataError, match="has 2 numbers for 3 labels"):
        labels_of(answers, labels=["a", "b", "c"])


def test_lists_of_0_and_1_beside_empty_answers():
    assert labels_of([*HOT, "[]", ""], labels=[MUSIC, PLOT])[1] == [*HOT_LABELS, [], []]
    with pytest.raises(DataError, match="lists of numbers"):
        labels_of(["1|0|1", "0|0|1", ""])


def test_lists_of_numbers_of_labels():
    assert labels_of(["[7, 3]", "[]", "[3]"]) == (("3", "7"), [["3", "7"], [], ["3"]])
    assert labels_of(["[0, 1]", "[0]", "[1]"])[0] == ("0", "1")
    assert labels_of(["[0, 1]", "[1, 0]"], labels=["0", "1"])[1] == [["0", "1"], ["0", "1"]]


def test_objects_are_read_as_they_mean():
    answers = ['{"plot": 1, "cast": 0}', '{"plot": true, "rare": false}', '{"cast": 1.0}', "{}"]
    assert labels_of(answers) == (("cast", "plot", "rare"), [["plot"], ["plot"], ["cast"], []])
    for value in ("2", '"yes"', "null", "0.5", "[1]"):
        with pytest.raises(DataError, match="for 'plot', not 0 or 1"):
            labels_of(['{"cast": 1}', f'{{"plot": {value}}}'])


@pytest.mark.parametrize(
    "answer", ["[null]", '["a", true]', "[0.5]", '[["a"]]', '[{"label": "a"}]', "['a']", "{a,b}"]
)
def test_other_shapes_are_refused(answer):
    with pytest.raises(DataError) as caught:
        labels_of(['["a", "b"]', answer])
    assert answer in caught.value.answers and caught.value.valid


@pytest.mark.parametrize("separator", ["|", ";", ","])
def test_the_separator_is_detected(separator):
    answers = [f"plot{separator}cast", "plot", f" music {separator} plot{separator}", ""]
    labels, sets = labels_of(answers)
    assert labels == ("cast", "music", "plot")
    assert sets == [["cast", "plot"], ["plot"], ["music", "plot"], []]
    task = trained_on(answers)
    assert task.target.notes() == [f"labels in strings are separated by {separator!r}"]
    again = MultiLabelClassification.from_config(task.get_config())
    assert again.encode_targets(Examples((), answers[:1])).tolist() == [[1, 0, 1]]


def test_a_separator_that_is_not_clear_is_refused():
    answers = ["plot|cast", "one; two"]
    with pytest.raises(DataError, match="'|' and ';' stand in the answers") as caught:
        labels_of(answers)
    assert 'MultiLabelClassification.separator = "|"' in caught.value.valid
    assert labels_of(answers, separator="|")[0] == ("cast", "one; two", "plot")
    with pytest.raises(ConfigError, match="separator must be not empty"):
        MultiLabelClassification(separator="")


def test_labels_in_lists_may_hold_a_separator():
    labels, sets = labels_of(['["a, b", "c"]', '["c", "c", " c "]'])
    assert (labels, sets) == (("a, b", "c"), [["a, b", "c"], ["c"]])


def test_labels_are_counted():
    answers = {"plot|cast": 2, "plot": 3, "": 1, "plot|plot": 1}
    task = MultiLabelClassification().with_training_answers(answers)
    assert task.target.label_counts(answers) == {"cast": 2, "plot": 6, "(no label)": 1}


@pytest.mark.parametrize(
    "answer", [[1, 0], np.array([1, 0]), np.array([True, False]), np.array([1.0, 0.0], "f4")]
)
def test_indicators_in_memory(answer):
    rows = [{"text": f"t{n}", "label": answer} for n in range(60)]
    source = memory(rows, classes=False)
    with pytest.raises(DataError, match="lists of numbers") as caught:
        encoding.with_training_answers(MultiLabelClassification(), source)
    assert "example 1 of the train split" in caught.value.set_in
    task = encoding.with_training_answers(MultiLabelClassification([MUSIC, PLOT]), source)
    counts = task.target.label_counts(source.label_counts("train"))
    assert counts == {MUSIC: source.size("train"), PLOT: 0, "(no label)": 0}


def test_objects_in_memory():
    rows = [{"text": f"t{n}", "label": {MUSIC: n % 2, PLOT: n % 2 == 0}} for n in range(60)]
    source = memory(rows, classes=False)
    task = encoding.with_training_answers(MultiLabelClassification(), source)
    assert task.target.names == (MUSIC, PLOT)


NAMED = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="|;,"), min_size=1)
NAMED = NAMED.map(str.strip).filter(lambda name: name and name[0] not in "[{01")
ANSWERS = st.lists(st.lists(NAMED, max_size=4, unique=True), min_size=1, max_size=8)


@hypothesis.given(ANSWERS, st.sampled_from(["list", "object", "|", ";", ","]))
def test_labels_come_back_however_they_are_written(sets, form):
    everything = sorted({name for names in sets for name in names})
    if form == "list":
        answers = [json.dumps(names) for names in sets]
    elif form == "object":
        answers = [json.dumps({name: int(name in names) for name in everything}) for names in sets]
    else:
        answers = [form.join(names) for names in sets]
    found = label_answers.read(answers)
    assert [set(names) for names in found.sets] == [set(names) for names in sets]
    assert found.names == set(everything)
    again = label_answers.read(answers, everything, found.separator)
    assert again.sets == found.sets


def columns_of(count):
    return [{"text": f"text {n}", "music": n % 2, "plot": n % 3 == 0} for n in range(count)]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_one_column_for_each_label(tmp_path, suffix):
    rows, path = columns_of(60), tmp_path / f"a.{suffix}"
    if suffix == "csv":
        lines = [f"{row['text']},{row['music']},{row['plot']}" for row in rows]
        path.write_text("\n".join(["text,music,plot", *lines]))
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    label = ("music", "plot")
    source = files(str(path), label=label, classes=False, validation_share=0, test_share=0)
    task = MultiLabelClassification().with_training_answers(source.label_counts("train"))
    counts = task.target.label_counts(source.label_counts("train"))
    assert counts == {"music": 30, "plot": 20, "(no label)": 20}
    with pytest.raises(DataError, match="no column 'cast'"):
        files(str(path), label=("music", "cast"), classes=False)
    with pytest.raises(DataError, match="labels of their own"):
        files(str(path), label=label)


def test_a_label_column_that_is_not_0_or_1(tmp_path):
    path = tmp_path / "a.csv"
    for value, shown in (("yes", "'yes'"), ("", "''"), ("2", "'2'")):
        path.write_text(f"text,music,plot\na,1,0\nb,1,{value}\n")
        with pytest.raises(DataError) as caught:
            files(str(path), label=("music", "plot"), classes=False)
        assert caught.value.problem == f"{path}:3: 'plot' is {shown}, not 0 or 1."


def test_an_empty_cell_is_no_label_where_that_is_set(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "".join(f"t{n},{'a|b' if n % 2 else ''}\n" for n in range(60)))
    source = files(str(path), classes=False, empty_labels=True)
    assert set(source.labels) == {"", "a|b"}
    with pytest.raises(DataError, match="30 of 60 rows") as caught:
        files(str(path), classes=False)
    assert "files.empty_labels = True" in caught.value.valid


def test_wrong_answers_are_found_in_their_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    answers = [["a"], ["b"]] * 40 + [{"a": "no"}]
    lines = [json.dumps({"text": f"t{n}", "label": y}) for n, y in enumerate(answers)]
    path.write_text("\n".join(lines))
    source = files(str(path), classes=False, validation_share=0, test_share=0)
    with pytest.raises(DataError, match="not 0 or 1") as caught:
        encoding.with_training_answers(MultiLabelClassification(), source)
    assert caught.value.set_in == f"{path}:81"


def test_check_shows_the_labels_with_counts(tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text(
        "text;label\n" + "".join(f"t{n};{'x|why' if n % 2 else 'x'}\n" for n in range(90))
    )
    source = files(str(path), classes=False)
    check(MultiLabelClassification(), tiny(layers=1), source, [tfft.Stage(epochs=1)])
    shown = capsys.readouterr()
    shown = shown.out + shown.err
    assert "labels in strings are separated by '|'" in shown
    assert "the delimiter is a semicolon" in shown
    train = source.label_counts("train")
    assert str(train["x|why"]) in shown and str(sum(train.values())) in shown
    assert "why" in shown and "(no label)" in shown
