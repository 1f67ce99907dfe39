"""Images that are decoded each time they are read train to the same bits as those in memory."""

import numpy as np
import pictures
import pytest
from safetensors.numpy import load_file
from trainings import stopped_after

import tfft
from tfft.backbones.image.tiny_image import tiny_image
from tfft.data import decoded_rows
from tfft.data.sources.images import images
from tfft.errors import DataError
from tfft.reports.console import Console
from tfft.tasks.image.image_classification import ImageClassification
from tfft.training.feature_cache.placement import FeatureCache
from tfft.training.stage import Stage

QUIET = Console(quiet=True)
STAGE = Stage(epochs=2, batch_size=8, learning_rate=1e-2)


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch, restored_state):
    monkeypatch.setenv("TFFT_STORE", str(tmp_path / "store"))


def train(folder, data, decode, stage=STAGE, say=QUIET, **settings):
    source = images(str(data), decode=decode)
    body = tiny_image()
    return tfft.train(
        ImageClassification(), body, source, stage, workdir=folder, plots=False, say=say, **settings
    )


def weights(run):
    return load_file(run.workdir / "best/weights.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def test_on_demand_trains_to_the_same_bits_and_resumes_within_an_epoch(tmp_path):
    data = pictures.folder(tmp_path / "data", 40)
    memory = train(tmp_path / "memory", data, "memory")
    decoded = train(tmp_path / "decoded", data, "on_demand")
    assert same(weights(memory), weights(decoded))
    assert memory.report["metrics"] == decoded.report["metrics"]
    with stopped_after(5):
        train(tmp_path / "stopped", data, "on_demand", checkpoint_steps=1)
    resumed = train(tmp_path / "stopped", data, "on_demand", checkpoint_steps=1)
    assert same(weights(memory), weights(resumed))


def test_features_of_decoded_images_are_computed_once(tmp_path, monkeypatch):
    data = pictures.folder(tmp_path / "data", 40)
    read, plain = [], decoded_rows.DecodedRows.first

    def first(self, rows):
        read.extend(rows)
        return plain(self, rows)

    monkeypatch.setattr(decoded_rows.DecodedRows, "first", first)
    counts = []
    for epochs in (2, 5):
        cache = FeatureCache(where="memory")
        stage = Stage(freeze_layers=1, epochs=epochs, feature_cache=cache)
        run = train(tmp_path / f"run-{epochs}", data, "on_demand", stage)
        assert run.report["stages"][0]["features"]["kept"] == "memory"
        counts.append(len(read))
        read.clear()
    assert counts[0] == counts[1]


def test_large_splits_are_decoded_on_demand_with_a_message(tmp_path, monkeypatch):
    data = pictures.folder(tmp_path / "data", 40)
    monkeypatch.setattr(decoded_rows, "SHARE", 1e-9)
    lines = []
    monkeypatch.setattr(Console, "info", lambda self, line: lines.append(line))
    train(tmp_path / "run", data, "auto")
    assert any("32 images are decoded each time they are read" in line for line in lines)


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_image_that_cannot_be_decoded_is_named(tmp_path, split):
    data = tmp_path / "data"
    for seed, (name, count) in enumerate({"train": 24, "validation": 8, "test": 12}.items()):
        pictures.folder(data / name, count, seed=seed)
    broken = sorted((data / split / "red").iterdir())[3]
    broken.write_bytes(broken.read_bytes()[:60])
    with pytest.raises(DataError, match=f"{split}/red/{broken.name} is no image that can be read"):
        train(tmp_path / "run", data, "on_demand")
