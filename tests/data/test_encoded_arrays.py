"""Streamed splits as arrays on disk: the same tokens, targets, weights and bits as in memory."""

import json

import numpy as np
import pytest
import shard_files
from trainings import newest, same, stopped_after

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.data import encoded_arrays, examples
from tfft.data.encoded_split import Ragged
from tfft.data.sources.base import MemorySource
from tfft.data.sources.files import files
from tfft.data.sources.shards import shards
from tfft.errors import ConfigError
from tfft.reports.console import Console
from tfft.runs.trainer import Trainer
from tfft.storage.workdir import Workdir
from tfft.tasks import encoding

ROWS = [
    (f"the {'good' if n % 2 else 'bad'} film {n} " + "on and on " * (n % 7), str(n % 2))
    for n in range(160)
]


class Lines(Console):
    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def info(self, text):
        self.lines.append(text)

    warn = info


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(encoded_arrays, "CHUNK", 13)


def splits_of(source, task, body, folder):
    task = encoding.with_training_answers(task, source)
    job = Trainer(task, body.read_for(task), None, 0, Workdir(folder), Lines())
    job.encode(source)
    return job.splits, job.say.lines


def equal(one, two):
    if one is None or isinstance(one, np.ndarray):
        return (one is None and two is None) or np.array_equal(one, two)
    return all(np.array_equal(a, b) for a, b in zip(one.rows(), two.rows(), strict=True))


TASKS = {
    "classification": (lambda: tfft.tasks.TextClassification(), lambda: tiny(), True),
    "windows": (
        lambda: tfft.tasks.TextClassification(),
        lambda: tiny(sequence_length=12, long_texts="windows"),
        True,
    ),
    "masked": (lambda: tfft.tasks.MaskedLM(), lambda: tiny(), True),
    "regression": (lambda: tfft.tasks.TextRegression(), lambda: tiny(), False),
    "causal": (lambda: tfft.tasks.CausalLM(), lambda: tiny("gpt2"), False),
    "seq2seq": (lambda: tfft.tasks.Seq2Seq(), lambda: tiny("t5"), False),
}


@pytest.mark.parametrize("name", TASKS)
def test_tokens_and_targets_are_those_of_memory(tmp_path, name, small_chunks):
    task, body, classes = TASKS[name]
    body = body()
    path = shard_files.write(tmp_path / "rows.jsonl", ROWS)
    streamed = shards(path, classes=classes)
    rows = {split: tuple(zip(*streamed.rows(split), strict=True)) for split in streamed.splits}
    in_memory = MemorySource("memory", rows, classes=classes)
    found, _ = splits_of(streamed, task(), body, tmp_path / "one")
    again, lines = splits_of(streamed, task(), body, tmp_path / "two")
    expected, _ = splits_of(in_memory, task(), body, tmp_path / "three")
    assert any("found in the store" in line for line in lines)
    for split, encoded in expected.items():
        for other in (found[split], again[split]):
            assert equal(encoded.tokens, other.tokens) and equal(encoded.targets, other.targets)
            assert equal(encoded.full_lengths, other.full_lengths)
            assert (
                equal(encoded.decoder, other.decoder) and encoded.extra.keys() == other.extra.keys()
            )
            assert all(equal(encoded.extra[each], other.extra[each]) for each in encoded.extra)
            assert (encoded.inputs, encoded.end_id) == (other.inputs, other.end_id)
            assert np.array_equal(encoded.sizes, other.sizes)
    assert isinstance(found["train"].tokens.values, np.memmap)
    targets = found["train"].targets
    assert not isinstance(targets, Ragged) or isinstance(targets.values, np.memmap)


def train(source, folder, **settings):
    stage = tfft.Stage(epochs=2, learning_rate=3e-3, batch_size=16)
    settings = {"say": Console(quiet=True), "plots": False, "checkpoint_steps": 2} | settings
    task = tfft.tasks.TextClassification(calibrate=True)
    return api.train(task, tiny(), source, stage, workdir=folder, **settings)


def parts(folder):
    """Writes the three splits; returns their paths."""
    numbers = {"train": ROWS[:100], "validation": ROWS[100:130], "test": ROWS[130:]}
    return [shard_files.write(folder / f"{split}.jsonl", rows) for split, rows in numbers.items()]


def test_shards_train_to_the_weights_of_files_and_resume_to_the_same_bits(tmp_path, small_chunks):
    paths = parts(tmp_path)
    train(files(paths[0], validation=paths[1], test=paths[2]), tmp_path / "files")
    train(shards(*paths), tmp_path / "shards")
    with stopped_after(9):  # in the second epoch of 7 batches
        train(shards(*paths), tmp_path / "stopped")
    train(shards(*paths), tmp_path / "stopped")
    whole = newest(tmp_path / "shards")
    for other in ("files", "stopped"):
        assert whole.name == newest(tmp_path / other).name
        assert same(whole, newest(tmp_path / other))
    reports = [
        json.loads((tmp_path / each / "report.json").read_text()) for each in ("files", "shards")
    ]
    assert reports[0]["metrics"] == reports[1]["metrics"]
    assert reports[0]["floors"] == reports[1]["floors"]


def test_baselines_read_a_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "MAX_SAMPLE", 40)
    say = Lines()
    run = train(shards(*parts(tmp_path)), tmp_path / "run", say=say, feature_floor=True)
    assert any("random sample of 40 of 100 training texts" in line for line in say.lines)
    floors = run.report["floors"]
    for name in ("tfidf_logistic_regression", "frozen_features_logistic_regression"):
        assert floors[name]["fitted_on"] == 40 and floors[name]["training_texts"] == 100


def test_folds_of_many_examples_are_refused(tmp_path, monkeypatch):
    from tfft.data import folds

    monkeypatch.setattr(folds, "MAX_POOL", 100)
    with pytest.raises(ConfigError, match="streams 130"):
        train(shards(*parts(tmp_path)), tmp_path / "run", folds=2)
