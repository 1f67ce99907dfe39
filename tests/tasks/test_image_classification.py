"""Image classification: the case that every task gets, and what images alone have."""

import dataclasses
import json
import re

import numpy as np
import pictures
import pytest
import tensorflow as tf
from safetensors.numpy import load_file
from trainings import newest, same, slow, steps, stopped_after, stored

from tfft import api
from tfft.backbones.image.tiny_image import tiny_image
from tfft.backbones.text.tiny import tiny
from tfft.baselines.pixels import pixel_floors, small
from tfft.data.encoded_split import Ragged
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ConfigError, DataError
from tfft.layers.inspection import named_variables
from tfft.preprocessing.media_files import content
from tfft.reports.console import Console
from tfft.runs import environment, exported, trainer
from tfft.runs.restore import built_head
from tfft.storage.workdir import Workdir
from tfft.tasks.image.image_classification import ImageClassification
from tfft.tasks.text.text_classification import TextClassification
from tfft.testing.task_case import TaskCase
from tfft.training.averaging import EMA, SWA, WiseFT
from tfft.training.averaging.norm_statistics import NormStatistics
from tfft.training.feature_cache.placement import FeatureCache
from tfft.training.freeze_proof import checksums
from tfft.training.schedules import Linear
from tfft.training.stage import Stage

TOP = Stage(
    name="top",
    freeze_layers=1,
    epochs=2,
    batch_size=16,
    learning_rate=1e-2,
    schedule=Linear(warmup=0),
)
QUIET = Console(quiet=True)


class TestImageClassification(TaskCase):
    def make_task(self):
        return ImageClassification()

    def make_source(self):
        return pictures.source()

    def make_body(self):
        return tiny_image()


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch, restored_state):
    monkeypatch.setenv("TFFT_STORE", str(tmp_path / "store"))


def make(folder, body=None):
    environment.make_deterministic(0, [TOP], QUIET)
    source, body = pictures.source(96), body or tiny_image(3)
    task = ImageClassification().with_training_answers(source.label_counts("train"))
    body = body.read_for(task)
    job = trainer.Trainer(task, body, built_head(task, body), 0, Workdir(folder), QUIET)
    job.encode(source)
    return job


@pytest.mark.parametrize("depth", [slow(1), 2, slow("all")])
def test_stored_features_train_as_without(tmp_path, depth):
    found = {}
    for kind, call in (("off", steps), ("memory", steps), ("disk", stored)):
        stage = dataclasses.replace(
            TOP, freeze_layers=depth, feature_cache=FeatureCache(where=kind)
        )
        found[kind] = call(make(tmp_path), stage)
    losses, outputs, memory = found["memory"]
    assert len(losses) == 12
    np.testing.assert_allclose(losses, found["off"][0], atol=1e-5)
    np.testing.assert_allclose(outputs, found["off"][1], atol=1e-4)
    for inputs in (memory, found["disk"]):
        assert inputs.pooled == (depth == "all")
        shape = {1: (12, 12, 8), 2: (6, 6, 8), "all": (8,)}[depth]
        assert inputs.features.values.shape == (96, *shape)
    disk = found["disk"].features.values
    assert np.array_equal(memory.features.values, disk) and isinstance(disk, np.memmap)


def test_the_statistics_of_frozen_norms_stay_bit_identical(tmp_path):
    job = make(tmp_path)
    before = checksums(job.backbone, job.head)
    steps(job, dataclasses.replace(TOP, feature_cache=FeatureCache(where="off")))
    after = checksums(job.backbone, job.head)
    moved = {name for name in after if after[name] != before[name]}
    statistics = {name for name in after if "moving_" in name}
    assert len(statistics) == 14  # of 7 norms
    assert {name.split("/")[0] for name in statistics & moved} == {"block2", "block3"}
    assert len(statistics & moved) == 8
    assert {name.split("/")[0] for name in moved} == {"block2", "block3", "head"}


def averaged(folder, averaging):
    """Trains with an average of weights; returns the run and its best weights."""
    stage = dataclasses.replace(TOP, epochs=3, averaging=(averaging,))
    source = pictures.source(32)
    arguments = {"workdir": folder, "checkpoint_steps": 2, "say": QUIET}
    found = api.train(
        ImageClassification(), tiny_image(), source, (stage,), **arguments, plots=False
    )
    return found, load_file(folder / "best/weights.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("averaging", [SWA(start=0.3), WiseFT((0.5,))], ids=str)
def test_averaged_weights_have_statistics_of_their_own(averaging, tmp_path, monkeypatch):
    """Those of one pass over the training data; frozen ones stay bit-identical."""
    before = named_variables(tiny_image())
    found, best = averaged(tmp_path / "new", averaging)
    monkeypatch.setattr(NormStatistics, "recompute", lambda self: None)
    _, left_behind = averaged(tmp_path / "old", averaging)
    statistics = [name for name in best if "moving_" in name]
    assert len(statistics) == 4  # of the 2 norms that are trained
    changed = [name for name in best if not np.array_equal(best[name], left_behind[name])]
    if isinstance(averaging, SWA) or found.report["best"].get("alpha", 1.0) < 1.0:
        assert changed and set(changed) <= set(statistics)
    else:
        assert not changed
    for name, variable in named_variables(found.backbone).items():
        if "moving_" in name and name not in statistics:
            np.testing.assert_array_equal(variable, before[name])


@pytest.mark.slow
@pytest.mark.parametrize("at", [3, 5])
def test_recomputed_statistics_survive_a_stop(at, tmp_path):
    averaged(tmp_path / "whole", EMA())
    with stopped_after(at):
        averaged(tmp_path / "parts", EMA())
    averaged(tmp_path / "parts", EMA())
    assert same(newest(tmp_path / "whole"), newest(tmp_path / "parts"))
    names = (tmp_path / part / "best/weights.safetensors" for part in ("whole", "parts"))
    assert same(*names)


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_bits(tmp_path):
    source, stages = pictures.source(32), (dataclasses.replace(TOP, freeze_layers=0),)

    def train(folder):
        settings = {"workdir": tmp_path / folder, "checkpoint_steps": 2, "say": QUIET}
        return api.train(
            ImageClassification(), tiny_image(), source, stages, **settings, plots=False
        )

    train("whole")
    with stopped_after(3):
        train("parts")
    train("parts")
    assert same(newest(tmp_path / "whole"), newest(tmp_path / "parts"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on a folder of files, and the folder."""
    from tfft.data.sources.images import images

    room = tmp_path_factory.mktemp("images")
    folder = pictures.folder(room / "pictures", 120, kind="jpg", height=20, width=30)
    task, body = ImageClassification(), tiny_image(2, fit="pad")
    stages = (dataclasses.replace(TOP, epochs=6),)
    settings = {"workdir": room / "out", "say": QUIET, "feature_floor": True}
    return api.train(task, body, images(str(folder)), stages, **settings, plots=False), room


def verb(call, room, **settings):
    return call(
        ImageClassification(), tiny_image(2, fit="pad"), room / "out", **settings, say=QUIET
    )


def test_a_run_on_files_is_reported(trained):
    found, _ = trained
    report, page = found.report, (found.workdir / "report.html").read_text()
    assert report["metrics"]["accuracy"]["value"] == 1.0
    assert report["unit"] == "image" and report["lengths"] == {}
    floors = ["majority", "pixels_logistic_regression", "frozen_features_logistic_regression"]
    assert list(report["floors"]) == floors
    assert report["least_certain"][0]["thumbnail"].startswith("data:image/jpeg")
    assert report["least_certain"][0]["text"].endswith(".jpg")
    assert '<img class="thumbnail" src="data:image/jpeg;base64,' in page
    words = re.sub("<svg.*?</svg>", "", page.partition("<body>")[2], flags=re.DOTALL)
    assert "Images</dt>" in words and "texts" not in words and "Length of" not in words
    assert " texts" not in (found.workdir / "report.md").read_text()


def test_predict_and_evaluate_read_folders_and_tables(trained, tmp_path):
    found, room = trained
    new = pictures.folder(tmp_path / "new", 10, seed=5, height=20, width=30)
    output = tmp_path / "predictions.jsonl"
    assert verb(api.predict, room, input=str(new), output=str(output)) == 10
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    paths = sorted(map(str, new.glob("*/*.png")))
    assert [row["label"] for row in rows] == [path.split("/")[-2] for path in paths]
    table = tmp_path / "new.csv"
    lines = [f"new/{path.split('/new/')[1]},{path.split('/')[-2]}" for path in paths]
    table.write_text("\n".join(["image,label", *lines]) + "\n")
    for each in (new, table):
        report = verb(api.evaluate, room, input=str(each))
        assert report["metrics"]["accuracy"]["value"] == 1.0


def test_an_export_takes_the_contents_of_files(trained, tmp_path):
    found, room = trained
    version = found.export(say=QUIET)
    new = pictures.folder(tmp_path / "new", 6, seed=7)
    paths = sorted(map(str, new.glob("*/*.png")))
    loaded = tf.saved_model.load(str(version))
    files = tf.constant([content(path) for path in paths])
    answers = loaded.signatures["serving_default"](image=files)
    expected = found.predict(paths)
    assert [label.decode() for label in answers["label"].numpy()] == [r["label"] for r in expected]
    ours = [list(row["probabilities"].values()) for row in expected]
    np.testing.assert_allclose(answers["probabilities"], ours, atol=1e-5)
    pixels = found.backbone.preprocessor(files)
    again = loaded.signatures["pixels"](**pixels)
    np.testing.assert_allclose(again["probabilities"], ours, atol=1e-5)
    output = tmp_path / "predictions.jsonl"
    count = exported.predict_export(str(version), input=str(new), output=str(output), say=QUIET)
    rows = [json.loads(line)["label"] for line in output.read_text().splitlines()]
    assert count == 6 and rows == [row["label"] for row in expected]
    report = exported.evaluate_export(str(version), input=str(new), say=QUIET)
    assert report["metrics"]["accuracy"]["value"] == 1.0


def test_a_file_that_is_no_image_ends_the_run(trained, tmp_path):
    folder = pictures.folder(tmp_path / "bad", 6)
    (folder / "red/000.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="example 4: .*red/000.png is no image"):
        verb(api.predict, trained[1], input=str(folder))


def test_a_source_of_texts_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="image_classification reads images, and synthetic holds"):
        api.train(
            ImageClassification(),
            tiny_image(),
            synthetic(24),
            say=QUIET,
            workdir=tmp_path,
            plots=False,
        )
    with pytest.raises(ConfigError, match="text_classification reads texts, and pictures holds"):
        api.train(
            TextClassification(),
            tiny(),
            pictures.source(24),
            say=QUIET,
            workdir=tmp_path,
            plots=False,
        )


def test_floors_of_pixels():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (20, 16, 4, 3)).astype(np.uint8)
    images = Ragged(values, np.arange(21))
    rows = np.array([3, 1])
    means = values[rows].reshape(2, 8, 2, 4, 3).mean(2) / 255  # 4 columns are fewer than 8
    np.testing.assert_allclose(small(images, rows), means.reshape(2, -1))
    targets = np.arange(20) % 2
    values[targets == 1] //= 2
    found = pixel_floors(images, targets, images.take(rows), 3)
    assert found["majority"].outputs.tolist() == [[0.5, 0.5, 0.0]] * 2
    assert found["pixels_logistic_regression"].outputs.argmax(1).tolist() == [1, 1]
    assert found["pixels_logistic_regression"].described["fitted_on"] == 20
