"""Real weights through every verb: train, resume, evaluate, predict, export, reload."""

import csv

import numpy as np
import pytest
import tensorflow as tf
from trainings import newest, same, stopped_after

import tfft
from tfft import api
from tfft.data.sources.demo.movie_reviews import movie_reviews
from tfft.reports.console import Console

QUIET = Console(quiet=True)
SIZES = {"train": 48, "validation": 12, "test": 24}
STAGE = tfft.Stage(freeze_layers=4, epochs=2, batch_size=12, learning_rate=3e-4)


@pytest.fixture(scope="module")
def splits():
    source, found = movie_reviews(), {}
    for split, size in SIZES.items():
        rows = list(source.rows(split))
        found[split] = [rows[place] for place in np.linspace(0, len(rows) - 1, size).astype(int)]
    return found


def parts():
    return tfft.tasks.TextClassification(), tfft.backbones.keras_hub(
        "minilm_l6", sequence_length=32
    )


def train(folder, splits):
    settings = {"workdir": folder, "checkpoint_steps": 1, "plots": False, "say": QUIET}
    return tfft.train(*parts(), splits, STAGE, **settings)


@pytest.mark.fetched
def test_every_verb_on_real_weights(splits, tmp_path, restored_state, monkeypatch):
    monkeypatch.setenv("TFFT_STORE", str(tmp_path / "store"))
    run = train(tmp_path / "whole", splits)
    with stopped_after(6):  # within the second epoch of four batches
        train(tmp_path / "stopped", splits)
    train(tmp_path / "stopped", splits)
    assert same(newest(tmp_path / "whole"), newest(tmp_path / "stopped"))
    [stage] = run.report["stages"]
    assert stage["proof"]["frozen_bit_identical"] > 60  # 16 variables a layer, and embeddings
    losses = [record["loss"] for record in run.report["curves"]]
    assert losses[1] < losses[0]

    labelled = tmp_path / "labelled.csv"
    with open(labelled, "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *splits["test"]])
    again = api.evaluate(*parts(), str(run.workdir), input=str(labelled), say=QUIET)
    expected = run.report["metrics"]["accuracy"]["value"]
    assert again["metrics"]["accuracy"]["value"] == expected

    texts, truth = zip(*splits["test"], strict=True)
    predicted = run.predict(list(texts))
    right = np.mean([each["label"] == label for each, label in zip(predicted, truth, strict=True)])
    assert right == pytest.approx(expected)
    version = run.export(say=QUIET)
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    answers = served(text=tf.constant(texts))["probabilities"].numpy()
    names = run.task.target.names
    memory = [[each["probabilities"][name] for name in names] for each in predicted]
    np.testing.assert_allclose(answers, memory, atol=1e-5)
