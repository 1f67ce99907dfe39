"""What every source offers, and the sources that need no files."""

import numpy as np
import pytest
import tensorflow as tf

from tfft.data.sources.base import MemorySource, summarize
from tfft.data.sources.demo.movie_reviews import labelled, movie_reviews, parse
from tfft.data.sources.memory import memory
from tfft.data.sources.synthetic import synthetic
from tfft.errors import DataError

ROWS = [(f"text {n}", f"class {n % 3}") for n in range(300)]
TRAIN = (["a", "b", "c"], ["x", "y", "x"])


def elements(source, split):
    rows = source.dataset(split).as_numpy_iterator()
    return [(row["text"].decode(), row["label"].decode()) for row in rows]


def test_dataset_and_rows_agree():
    source = MemorySource("s", {"test": (["é"], ["y"]), "train": TRAIN}, ["a note"])
    assert source.splits == ("train", "test")
    missing = "the test split has no example of 'x' (2 in train): support 0 in its figures"
    assert (source.name, source.notes, source.labels) == ("s", ("a note", missing), ("x", "y"))
    assert elements(source, "train") == list(source.rows("train")) == list(zip(*TRAIN, strict=True))
    assert elements(source, "test") == [("é", "y")]
    assert source.dataset("train").element_spec == {
        "text": tf.TensorSpec([], tf.string),
        "label": tf.TensorSpec([], tf.string),
    }
    assert source.size("train") == 3 and source.label_counts("train") == {"x": 2, "y": 1}
    with pytest.raises(DataError, match="s has no split 'validation'"):
        source.size("validation")


def test_fingerprint_sees_every_change():
    def print_of(**rows):
        return MemorySource("s", rows).fingerprint()

    seen = {
        print_of(train=TRAIN),
        print_of(train=(TRAIN[0][::-1], TRAIN[1])),
        print_of(train=(TRAIN[0], ["x", "x", "y"])),
        print_of(train=(["a", "bx", "c"], ["x", "y", "x"])),
        print_of(train=(["a", "b", "c"], ["x", "xy", "x"])),
        print_of(train=TRAIN, test=TRAIN),
        print_of(train=TRAIN, validation=TRAIN),
    }
    assert len(seen) == 7
    assert print_of(train=TRAIN) in seen


def test_digest_is_fixed():
    # A workdir compares it with that of an earlier version of this package.
    assert summarize([("a", "x"), ("é", "y")]).digest == (
        "872374dbd8a7e760c463e3447b2de633bef008029bf985002e502f1bf0df6f6c"
    )


def test_refusals_of_every_source():
    cases = {
        "s has no examples in its train split.": {"train": ([], [])},
        "s has no examples in its test split.": {"train": TRAIN, "test": ([], [])},
        "2 texts are empty in the test split of s.": {
            "train": TRAIN,
            "test": (["", " "], ["x"] * 2),
        },
        "s has one class only: all 2 training examples are labelled 'x'.": {
            "train": (["a", "b"], ["x", "x"])
        },
        "'z': 1 examples of the test split of s have a label that the training split does not "
        "have.": {"train": TRAIN, "test": (["a"], ["z"])},
    }
    for problem, rows in cases.items():
        with pytest.raises(DataError) as caught:
            MemorySource("s", rows)
        assert caught.value.problem == problem
        assert caught.value.valid and caught.value.see


def test_memory_takes_lists_and_datasets():
    dicts = [{"text": text, "label": label} for text, label in ROWS]
    tensors = {"text": [t for t, _ in ROWS], "label": [y for _, y in ROWS]}
    dataset = tf.data.Dataset.from_tensor_slices(tensors)
    pairs = dataset.map(lambda row: (row["text"], row["label"]))
    prints = {memory(given).fingerprint() for given in (ROWS, dicts, dataset, pairs)}
    assert len(prints) == 1
    source = memory(ROWS)
    assert source.splits == ("train", "validation", "test")
    assert sum(source.size(split) for split in source.splits) == 300
    assert source.notes == (
        "split off from train: 30 rows for validation (10%), 30 rows for test (10%); "
        "stratified by label, equal inputs stay together",
    )


def test_memory_keeps_given_splits_and_names():
    dataset = tf.data.Dataset.from_tensor_slices((["a", "b"], [0, 1]))
    source = memory(dataset, test=[("c", 1)], label_names=["bad", "good"])
    assert source.splits == ("train", "test")
    assert list(source.rows("train")) == [("a", "bad"), ("b", "good")]
    assert list(source.rows("test")) == [("c", "good")]
    assert memory([("a", 0), ("b", np.float32(1)), ("c", True)], test=[("d", 1)]).labels == (
        "0",
        "1",
        "true",
    )


@pytest.mark.parametrize(
    "train, options, problem",
    [
        ("text", {}, "memory() got str for train."),
        ([{"text": "a"}], {}, "an element has no text and label: ['text']"),
        ([("a", "b", "c")], {}, "an element has no text and label: ('a', 'b', 'c')"),
        ([(7, "x")], {}, "a text is '7', a int."),
        ([(b"\xff", "x")], {}, "a text is not UTF-8: invalid start byte, at 0."),
        ([("a", 2)], {"label_names": ["x", "y"]}, "label 2 has no name."),
        ([("a", -1)], {"label_names": ["x", "y"]}, "label -1 has no name."),
        ([("a", float("nan"))], {}, "an example has no label."),
        ([("a", "")], {}, "an example has no label."),
        ([], {}, "memory has no examples in its train split."),
        (ROWS[:4], {}, "memory is too small to be split into train, validation, test: "),
    ],
)
def test_memory_refuses(train, options, problem):
    with pytest.raises(DataError) as caught:
        memory(train, **options)
    assert caught.value.problem.startswith(problem)
    assert caught.value.valid and caught.value.see


def test_memory_refuses_batches():
    with pytest.raises(DataError) as caught:
        memory(tf.data.Dataset.from_tensor_slices((["a", "b"], [0, 1])).batch(2))
    assert caught.value.problem == "the dataset is batched."
    assert caught.value.valid == "one example an element: dataset.unbatch()"


def test_synthetic():
    source = synthetic(64, 3, seed=1)
    assert source.labels == ("class_0", "class_1", "class_2")
    assert [source.size(split) for split in source.splits] == [64, 16, 16]
    assert all(f"mark{label[6:]}" in text.split() for text, label in source.rows("test"))
    assert source.fingerprint() == synthetic(64, 3, seed=1).fingerprint()
    assert source.fingerprint() != synthetic(64, 3, seed=2).fingerprint()
    with pytest.raises(DataError, match="cannot be learned"):
        synthetic(classes=1)


def test_movie_reviews_drops_with_counts():
    lines = ["1\t2.5\tgood one \r\n", "2\t0.0\tso so\r\n", "3\t-1\tbad one\r\n"]
    lines += ["4\t1.0\tgood one\r\n", "5\t1\ttorn\r\n", "6\t-1\ttorn"]
    rows, notes = labelled(parse(lines))
    assert rows == (["good one", "bad one"], ["positive", "negative"])
    assert notes == [
        "6 sentences, of which 2 are kept",
        "1 sentences with a score of zero dropped, 1 repeated ones dropped, "
        "2 that stand there with both labels dropped",
    ]
    with pytest.raises(DataError) as caught:
        list(parse(["1\t2.0\ta\n", "2\tx\tb\n"]))
    assert caught.value.set_in == "movieReviewSnippets_GroundTruth.txt:2"


def test_movie_reviews_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("TFFT_HOME", str(tmp_path))
    with pytest.raises(DataError) as caught:
        movie_reviews()
    assert caught.value.see == "tfft fetch movie_reviews"


@pytest.mark.fetched
def test_movie_reviews():
    source = movie_reviews()
    assert {split: source.label_counts(split) for split in source.splits} == {
        "train": {"negative": 3727, "positive": 3669},
        "validation": {"negative": 533, "positive": 524},
        "test": {"negative": 1065, "positive": 1048},
    }
    assert source.notes[:2] == (
        "10,605 sentences, of which 10,566 are kept",
        "37 sentences with a score of zero dropped, 2 repeated ones dropped",
    )
    texts = [text for split in source.splits for text, _ in source.rows(split)]
    assert len(set(texts)) == len(texts) == 10_566
    assert source.fingerprint().startswith("cf163589bab2c90d")


def test_further_keys_become_columns():
    rows = [{"text": t, "label": b, "year": int(t.split()[1]) % 5} for t, b in ROWS]
    year_of = {row["text"]: str(row["year"]) for row in rows}
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    for given in (rows, tf.data.Dataset.from_tensor_slices(columns)):
        source = memory(given, columns=["year"])
        for split in source.splits:
            texts = [text for text, _ in source.rows(split)]
            assert source.columns(split) == {"year": [year_of[text] for text in texts]}
    with pytest.raises(DataError, match="an element has no 'month'"):
        memory(rows, columns=["month"])


def test_lists_are_inputs_in_json_where_answers_are_no_labels():
    rows = [(f"question {n}", ["é", "b"], n % 2) for n in range(40)]
    found = memory(rows, inputs=("question", "choices"), classes=False)
    assert {row[1] for row in found.rows("train")} == {'["é", "b"]'}
    with pytest.raises(DataError, match="a text is"):
        memory(rows, inputs=("question", "choices"))
