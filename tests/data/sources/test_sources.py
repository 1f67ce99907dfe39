"""Sources other than files."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as catalogue

from tfft.data.sources.demo.movie_reviews import movie_reviews
from tfft.data.sources.memory import memory
from tfft.data.sources.synthetic import synthetic
from tfft.data.sources.tfds import tfds
from tfft.errors import DataError

PAIRS = [(f"text {n}", n % 2) for n in range(80)]


class SmallReviews(catalogue.core.GeneratorBasedBuilder):
    """A builder with names for its labels and a test split that has none."""

    VERSION = catalogue.core.Version("1.0.0")

    def _info(self):
        features = {
            "sentence": catalogue.features.Text(),
            "label": catalogue.features.ClassLabel(names=["down", "up"]),
        }
        return catalogue.core.DatasetInfo(
            builder=self, features=catalogue.features.FeaturesDict(features)
        )

    def _split_generators(self, dl_manager):
        return {"train": self._examples(80, 2), "test": self._examples(5, 0)}

    def _examples(self, count, classes):
        for number in range(count):
            label = number % classes if classes else -1
            yield number, {"sentence": f"sentence {number}", "label": label}

    def _generate_examples(self):
        return iter(())


def test_tfds_builder_gives_names_and_leaves_unlabelled_rows_out(tmp_path):
    source = tfds(SmallReviews(data_dir=tmp_path))
    assert source.labels == ("down", "up")
    assert "5 examples of test have no label and are left out" in source.notes
    assert sum(source.size(split) for split in source.splits) == 80
    assert {"train", "validation", "test"} == set(source.splits)


def test_tfds_unknown_feature_is_named(tmp_path):
    with pytest.raises(DataError, match="has no feature 'lable'") as caught:
        tfds(SmallReviews(data_dir=tmp_path), label="lable")
    assert "label" in caught.value.valid


def test_tfds_mock_data():
    with catalogue.testing.mock_data(num_examples=60):
        source = tfds("imdb_reviews")
    assert set(source.labels) <= {"neg", "pos"} and source.size("train") > 0


def test_memory_takes_pipelines_and_lists():
    texts, labels = zip(*PAIRS, strict=True)
    pipeline = tf.data.Dataset.from_tensor_slices((list(texts), list(labels)))
    first = memory(pipeline, label_names=["no", "yes"])
    second = memory([{"text": t, "label": ["no", "yes"][n]} for t, n in PAIRS])
    assert first.fingerprint() == second.fingerprint() and first.labels == ("no", "yes")


def test_memory_refuses_what_it_cannot_read():
    with pytest.raises(DataError, match="has no text and label"):
        memory([{"words": "a"}])
    with pytest.raises(DataError, match="the dataset is batched"):
        memory(tf.data.Dataset.from_tensor_slices((["a", "b"], [0, 1])).batch(2))
    with pytest.raises(DataError, match="memory.. got int"):
        memory(3)


def test_synthetic_is_the_same_each_time():
    assert synthetic(64).fingerprint() == synthetic(64).fingerprint()
    assert synthetic(64, classes=3).labels == ("class_0", "class_1", "class_2")


@pytest.mark.fetched
def test_movie_reviews_have_the_counts_of_the_file():
    source = movie_reviews()
    counts = [source.label_counts(split) for split in source.splits]
    assert sum(sum(count.values()) for count in counts) == 10_566
    assert "37 sentences with a score of zero dropped, 2 repeated ones dropped" in source.notes
    texts = [
        {e["text"] for e in source.dataset(split).as_numpy_iterator()} for split in source.splits
    ]
    assert not texts[0] & texts[2] and not texts[0] & texts[1] and not texts[1] & texts[2]
    assert np.isclose(source.size("test") / 10_566, 0.2, atol=0.01)


@pytest.mark.fetched
def test_movie_reviews_with_their_scores():
    source = movie_reviews(scores=True)
    assert sum(map(source.size, source.splits)) == 10_603 and not source.classes
    scores = np.array([float(row[1]) for split in source.splits for row in source.rows(split)])
    assert scores.min() >= -4 and scores.max() <= 4 and (scores == 0).any()
    signs = {text: label for text, label in movie_reviews().rows("test")}
    agreeing = [
        (float(score) > 0) == (signs[text] == "positive")
        for text, score in source.rows("test")
        if text in signs
    ]
    assert len(agreeing) > 0.98 * len(signs) and all(agreeing)
