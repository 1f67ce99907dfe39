"""TensorFlow Datasets: a builder defined here, with what real ones have."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as catalogue

from tfft.data.sources.tfds import tfds
from tfft.data.splits import SPLITS, stream_splits
from tfft.errors import DataError

TRAIN = [(f"train {n}", n % 2) for n in range(150)]


class Reviews(catalogue.core.GeneratorBasedBuilder):
    """Splits, features and supervised keys as a test sets them."""

    VERSION = catalogue.core.Version("1.0.0")
    DATA = {"train": TRAIN}
    LABEL = catalogue.features.ClassLabel(names=["down", "up"])
    MORE = {}
    KEYS = None

    def _info(self):
        features = {"sentence": catalogue.features.Text(), "mood": self.LABEL, **self.MORE}
        return catalogue.core.DatasetInfo(
            builder=self,
            features=catalogue.features.FeaturesDict(features),
            supervised_keys=self.KEYS,
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in self.DATA}

    def _generate_examples(self, split):
        for number, (text, label) in enumerate(self.DATA[split]):
            more = {name: "x" for name in self.MORE}
            yield number, {"sentence": text, "mood": label, **more}


@pytest.fixture
def builder(tmp_path, monkeypatch):
    """Returns a function that sets the class up and makes a builder."""

    def make(data=None, label=None, more=None, keys=None):
        monkeypatch.setattr(Reviews, "DATA", data or Reviews.DATA)
        monkeypatch.setattr(Reviews, "LABEL", label or Reviews.LABEL)
        monkeypatch.setattr(Reviews, "MORE", more or {})
        monkeypatch.setattr(Reviews, "KEYS", keys)
        return Reviews(data_dir=tmp_path)

    return make


def named(rows):
    return sorted((text, ["down", "up"][label]) for text, label in rows)


def test_own_splits_are_streamed(builder):
    data = {
        "train": [*TRAIN, ("shared", 0)],
        "dev": [("v1", 0), ("v2", 1)],
        "test": [("t1", 1), ("shared", 0)],
        "unsupervised": [("u", -1)],
    }
    source = tfds(builder(data))
    assert source.name == "reviews/1.0.0"
    assert source.splits == ("train", "validation", "test")
    assert source.notes == (
        "reviews/1.0.0: text in feature 'sentence', label in 'mood'",
        "splits that are not read: unsupervised",
        "1 training texts are also in test: kept, as the builder has them",
    )
    for split, origin in (("train", "train"), ("validation", "dev"), ("test", "test")):
        assert sorted(source.rows(split)) == named(data[origin])
        assert source.size(split) == len(data[origin]) == int(source.dataset(split).cardinality())
        assert list(source.rows(split)) == list(source.rows(split))
    assert source.dataset("train").element_spec == {
        "text": tf.TensorSpec([], tf.string),
        "label": tf.TensorSpec([], tf.string),
    }
    assert source.label_counts("train") == {"down": 76, "up": 75}
    assert source.fingerprint() == tfds(builder(data)).fingerprint()


def test_lacking_splits_are_taken_from_train(builder):
    source = tfds(builder())
    rows = {split: list(source.rows(split)) for split in source.splits}
    assert sorted(rows) == ["test", "train", "validation"]
    assert sorted(sum(rows.values(), [])) == named(TRAIN)
    for split, found in rows.items():
        assert len(found) == source.size(split) == int(source.dataset(split).cardinality())
        numbers = stream_splits([text for text, _ in found], 0.1, 0.1)
        assert {SPLITS[number] for number in numbers} == {split}
    assert source.notes[-1] == (
        "split off from train by a salted hash of the text: about 10% validation, about 10% test; "
        "not stratified by label"
    )


def test_a_large_held_out_split_of_a_stream_is_a_sample(builder, monkeypatch):
    every = {split: tfds(builder()).size(split) for split in SPLITS}
    monkeypatch.setattr("tfft.data.sources.tfds.MAX_HELD_OUT", 4)
    source = tfds(builder())
    for split in ("validation", "test"):
        rows = list(source.rows(split))
        assert len(rows) == source.size(split) == 4 == int(source.dataset(split).cardinality())
        assert set(rows) <= set(named(TRAIN)) and list(source.rows(split)) == rows
        note = f"{split}: a random sample of 4 of {every[split]} rows"
        assert any(each.startswith(note) for each in source.notes)
    assert source.streamed and source.size("train") == every["train"]


def test_a_rare_label_of_a_stream_is_in_training_first(builder):
    names = [f"odd {number}" for number in range(40)]
    held = [names[number] for number in np.flatnonzero(stream_splits(names, 0.1, 0.1))]
    rows = [*((text, "usual") for text, _ in TRAIN), ("again", "rare"), (held[0], "odd")]
    texts = catalogue.features.Text()
    source = tfds(builder({"train": rows}, label=texts), text="sentence", label="mood")
    found = {split: list(source.rows(split)) for split in source.splits}
    assert (held[0], "odd") in found["train"]
    assert sorted(sum(found.values(), [])) == sorted(rows)
    for split, part in found.items():
        assert len(part) == source.size(split) == int(source.dataset(split).cardinality())


def test_labels_that_are_kept_secret_are_never_used(builder):
    data = {
        "train": [*TRAIN, ("unlabelled", -1)],
        "validation": [("v1", 0), ("v2", 1), ("v3", -1)],
        "test": [(f"t{n}", -1) for n in range(9)],
    }
    source = tfds(builder(data))
    assert source.notes[1:] == (
        "1 examples of validation have no label and are left out",
        "9 examples of test have no label and are left out",
        "1 examples of train have no label and are left out",
        "split off from train by a salted hash of the text: about 10% test; not stratified by "
        "label",
    )
    assert sorted(source.rows("validation")) == [("v1", "down"), ("v2", "up")]
    texts = {text for split in ("train", "test") for text, _ in source.rows(split)}
    assert texts == {text for text, _ in TRAIN}


def test_kinds_of_labels(builder, tmp_path):
    numbers = builder(label=catalogue.features.Scalar(tf.int64))
    assert tfds(numbers, label="mood").labels == ("0", "1")


def test_labels_that_are_words(builder):
    data = {"train": [(text, ["ja", "nein"][label]) for text, label in TRAIN]}
    words = builder(data, label=catalogue.features.Text())
    assert tfds(words, text="sentence", label="mood").labels == ("ja", "nein")
    with pytest.raises(DataError) as caught:
        tfds(words, label="mood")
    assert caught.value.problem == (
        "reviews/1.0.0 has 2 features that could be the text. Its features: sentence, mood."
    )


def test_supervised_keys_choose(builder):
    more = {"title": catalogue.features.Text()}
    source = tfds(builder(more=more, keys=("sentence", "mood")))
    assert source.labels == ("down", "up")


def test_what_is_refused(builder):
    cases = [
        (dict(label="mod"), "has no feature 'mod'.", "mood"),
        (dict(text="mood"), "feature 'mood' of reviews/1.0.0 is no single text", "one string"),
    ]
    for options, problem, valid in cases:
        with pytest.raises(DataError) as caught:
            tfds(builder(), **options)
        assert problem in caught.value.problem
        assert caught.value.valid == valid and caught.value.see


@pytest.mark.parametrize(
    "data, problem",
    [
        ({"test": TRAIN}, "reviews/1.0.0 has no training split."),
        ({"train": TRAIN[:4]}, "reviews/1.0.0 is too small to be split"),
        ({"train": TRAIN, "test": [(" ", 0)]}, "1 text is empty in the test split"),
        ({"train": [("a", 0)], "validation": [("b", 0)], "test": [("c", 0)]}, "one class only"),
    ],
)
def test_data_that_is_refused(builder, data, problem):
    with pytest.raises(DataError, match=problem) as caught:
        tfds(builder(data))
    assert caught.value.valid and caught.value.see


def test_unknown_builder(tmp_path):
    with pytest.raises(DataError) as caught:
        tfds("imdb_review", data_dir=str(tmp_path))
    assert caught.value.problem == "TensorFlow Datasets has no builder 'imdb_review'."
    assert "imdb_reviews" in caught.value.valid
    with pytest.raises(DataError, match="the builder 'glue/nonsense' cannot be made"):
        tfds("glue/nonsense", data_dir=str(tmp_path))


def test_a_pipeline_with_its_own_names():
    columns = {"words": [text for text, _ in TRAIN], "y": [label for _, label in TRAIN]}
    source = tfds(tf.data.Dataset.from_tensor_slices(columns), text="words", label="y")
    assert source.labels == ("0", "1")
    assert sum(source.size(split) for split in source.splits) == 150


def test_mocked_catalogue():
    with catalogue.testing.mock_data(num_examples=200):
        source = tfds("glue/sst2")
        assert "the builder does not say which splits it has: only train is read" in source.notes
        assert source.labels == ("negative", "positive")
        assert sum(source.size(split) for split in source.splits) == 200
        assert len(list(source.rows("test"))) == source.size("test")


FEATURES = catalogue.features
TAGS = ["O", "B-person", "I-person"]


class Various(catalogue.core.GeneratorBasedBuilder):
    """Words with tags, and questions with answers, as CoNLL and SQuAD are there."""

    VERSION = catalogue.core.Version("1.0.0")

    def _info(self):
        answers = {"text": FEATURES.Text(), "answer_start": FEATURES.Scalar(tf.int32)}
        features = {
            "tokens": FEATURES.Sequence(FEATURES.Text()),
            "ner_tags": FEATURES.Sequence(FEATURES.ClassLabel(names=TAGS)),
            "question": FEATURES.Text(),
            "context": FEATURES.Text(),
            "answers": FEATURES.Sequence(answers),
            "score": FEATURES.Scalar(tf.float32),
            "mood": FEATURES.ClassLabel(names=["down", "up"]),
        }
        return catalogue.core.DatasetInfo(builder=self, features=FEATURES.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(80), "test": self._generate_examples(9)}

    def _generate_examples(self, count):
        for n in range(count):
            yield (
                n,
                {
                    "tokens": ["Jos\u00e9", "Lee", "came", str(n)],
                    "ner_tags": [1, 2, 0, 0],
                    "question": f"who came {n}",
                    "context": f"Jos\u00e9 {n} came",
                    "answers": {"text": ["Jos\u00e9"] * (n % 2), "answer_start": [0] * (n % 2)},
                    "score": n / 2,
                    "mood": n % 2,
                },
            )


@pytest.fixture(scope="module")
def various(tmp_path_factory):
    return Various(data_dir=tmp_path_factory.mktemp("various"))


def first(source):
    return sorted(source.rows("test"))[:2]


def test_features_of_other_tasks(various):
    found = tfds(various, text=("question", "context"), label="answers", classes=False)
    assert found.inputs == ("question", "context") and found.size("test") == 9
    for number, (question, context, answer) in enumerate(first(found)):
        assert (question, context) == (f"who came {number}", f"Jos\u00e9 {number} came")
        wanted = {"text": ["Jos\u00e9"][:number], "answer_start": [0][:number]}
        assert json.loads(answer) == wanted
    assert found.notes[0] == "various/1.0.0: inputs in 'question', 'context', answer in 'answers'"
    tagged = tfds(various, text="tokens", label="ner_tags", classes=False)
    assert first(tagged)[0] == ("Jos\u00e9 Lee came 0", '[[0, 8, "person"]]')
    scores = tfds(various, text="question", label="score", classes=False)
    assert [answer for _, answer in first(scores)] == ["0.0", "0.5"]
    pairs = tfds(various, text=("question", "context"), label="mood")
    assert pairs.classes and pairs.labels == ("down", "up")
    assert sorted(pairs.splits) == ["test", "train", "validation"]
    assert sum(pairs.size(split) for split in pairs.splits) == 89


def test_features_that_are_not_there(various):
    with pytest.raises(DataError, match="no feature 'tags'"):
        tfds(various, text="tokens", label="tags", classes=False)
    with pytest.raises(DataError, match="needs the names of the features"):
        tfds(various, text="tokens", classes=False)


@pytest.mark.parametrize("number", [2, -2])
@pytest.mark.parametrize("split", ["train", "test"])
def test_numbers_without_a_name_are_refused(builder, monkeypatch, number, split):
    monkeypatch.setattr(FEATURES.ClassLabel, "encode_example", lambda self, example: example)
    data = {"train": TRAIN, "test": [("t1", 0), ("t2", 1)]}
    data[split] = [*data[split], ("wrong", number)]
    with pytest.raises(DataError, match=f"the label {number} has no name") as caught:
        tfds(builder(data))
    assert caught.value.set_in.endswith(f" of {split}")
    assert caught.value.valid == "0 to 1, or -1 for no label" and caught.value.see
    with pytest.raises(DataError, match=f"the label {number} has no name") as caught:
        tfds(builder(), text=("sentence",), label="mood")
    assert caught.value.valid == "0 to 1, or -1 for no label" and caught.value.set_in


def test_negative_numbers_are_no_missing_labels(builder):
    data = {"train": [*TRAIN, ("wrong", -2)]}
    numbers = builder(data, label=FEATURES.Scalar(tf.int64))
    with pytest.raises(DataError, match="the label -2 has no name"):
        tfds(numbers, label="mood")


def test_a_group_of_a_builder_or_a_pipeline_stays_together(various):
    pages = [f"page {n // 5}" for n in range(80)]
    source = tfds(various, text="question", label="mood", group="score", test_share=0.0)
    assert [source.size(split) for split in source.splits] == [72, 8, 9]
    columns = {"text": [f"t{n}" for n in range(80)], "y": [n % 2 for n in range(80)], "page": pages}
    dataset = tf.data.Dataset.from_tensor_slices(columns)
    source = tfds(dataset, label="y", group="page")
    found = [set(source.groups(split)) for split in source.splits]
    assert sum(map(len, found)) == len(set(pages)) == 16 and all(found)
    pairs = tfds(dataset, text=("text", "page"), label="y")
    assert pairs.inputs == ("text", "page")
    with pytest.raises(DataError, match="the dataset has no feature 'label'"):
        tfds(dataset)


def test_secret_labels_of_pairs_are_left_out(builder):
    data = {"train": TRAIN, "test": [(f"t{n}", -1) for n in range(9)]}
    builder = builder(data, more={"other": catalogue.features.Text()})
    source = tfds(builder, text=("sentence", "other"), label="mood")
    assert "9 examples of test have no label and are left out" in source.notes
    assert source.size("test") == 15 and source.labels == ("down", "up")
