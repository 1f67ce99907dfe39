"""TensorFlow Datasets: what files and names would import is refused unless it is trusted."""

import importlib
import json
import sys

import pytest
import tensorflow_datasets as catalogue
from tensorflow_datasets.core.features.feature import FeatureConnector

from tfft.config import load
from tfft.data.sources.tfds import tfds
from tfft.data.sources.tfds_trust import refuse_foreign_code
from tfft.errors import ConfigError, DataError

MODULE = """
import pathlib, tensorflow_datasets
pathlib.Path({marker!r}).touch()
class Feature(tensorflow_datasets.features.Text): pass
"""
INFO = {"name": "theirs", "version": "1.0.0", "fileFormat": "tfrecord"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of prepared data, and a module that leaves a marker when it is imported."""
    data = tmp_path / "theirs" / "1.0.0"
    data.mkdir(parents=True)
    (data / "dataset_info.json").write_text(json.dumps(INFO))
    (tmp_path / "code").mkdir()
    code = MODULE.format(marker=str(tmp_path / "marker"))
    (tmp_path / "code" / "theirs_features.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "code")
    importlib.invalidate_caches()
    yield tmp_path
    sys.modules.pop("theirs_features", None)
    FeatureConnector._registered_features.pop("theirs_features.Feature", None)


def features(folder, kind, place="json"):
    """Writes features of a text of some class and of a label."""
    label = {
        "pythonClassName": "tensorflow_datasets.core.features.class_label_feature.ClassLabel",
        "classLabel": {"numClasses": "2"},
    }
    whole = {
        "pythonClassName": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
        "featuresDict": {
            "features": {"text": {"pythonClassName": kind, "text": {}}, "label": label}
        },
    }
    if place == "legacy":
        whole = {
            "type": "tensorflow_datasets.core.features.features_dict.FeaturesDict",
            "content": {"text": {"type": kind, "content": {}}},
        }
    data = folder / "theirs" / "1.0.0"
    if place == "info":
        (data / "dataset_info.json").write_text(json.dumps({**INFO, "features": whole}))
    else:
        (data / "features.json").write_text(json.dumps(whole))


FOREIGN = "theirs_features.Feature"


@pytest.mark.parametrize("place", ["json", "legacy", "info"])
@pytest.mark.parametrize("kind", [FOREIGN, "tensorflow_datasets_x.Y", ".a.b", "x", "os.path.X"])
def test_a_foreign_feature_class_is_not_imported(folder, place, kind):
    features(folder, kind, place)
    with pytest.raises(DataError) as caught:
        tfds("theirs", data_dir=str(folder))
    if place != "info":  # TensorFlow Datasets reads none of it before it has the other file
        assert repr(kind) in str(caught.value) and "trust_data" in str(caught.value)
    assert not (folder / "marker").exists()


@pytest.mark.parametrize("trusted", [True, ["theirs_features"], ["other", "theirs_features"]])
def test_a_trusted_one_is_imported(folder, trusted):
    features(folder, FOREIGN)
    with pytest.raises(DataError, match="has no prepared split 'train'"):
        tfds("theirs", data_dir=str(folder), text="text", label="label", trust_data=trusted)
    assert (folder / "marker").exists()


@pytest.mark.parametrize("trusted", [["theirs"], ["theirs_features.Feature.x"], False, []])
def test_trust_is_of_whole_names(folder, trusted):
    features(folder, FOREIGN)
    with pytest.raises(DataError, match="whose module would be imported"):
        tfds("theirs", data_dir=str(folder), trust_data=trusted)
    assert not (folder / "marker").exists()


def test_own_features_need_no_trust_and_nothing_stays_changed(folder):
    before = FeatureConnector.__dict__["cls_from_name"]
    features(folder, "tensorflow_datasets.core.features.text_feature.Text")
    with pytest.raises(DataError, match="has no prepared split 'train'"):
        tfds("theirs", data_dir=str(folder), text="text", label="label")
    assert FeatureConnector.__dict__["cls_from_name"] is before
    catalogue.features.FeatureConnector.from_config(str(folder / "theirs" / "1.0.0"))


@pytest.mark.parametrize("name", ["kaggle:x", "huggingface:squad", "theirs:thing/a:1.0.0"])
def test_a_namespace_is_not_downloaded(folder, name, monkeypatch):
    monkeypatch.setattr(catalogue, "builder", lambda *args, **more: pytest.fail("was called"))
    with pytest.raises(DataError, match="has a namespace") as caught:
        tfds(name)
    assert "--trust_data" in str(caught.value.valid)
    with refuse_foreign_code(name, True):
        pass


def test_no_config_gives_trust(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = "train.task = @TextClassification()\ntrain.backbone = @tiny()\n"
    lines += "train.source = @tfds()\ntrain.stages = (@Stage(),)\ntfds.name = 'a:b'\n"
    (tmp_path / "run.gin").write_text(lines)
    plain = load.load(["run.gin"], allow=["tfft"])
    assert "trust_data" not in plain.text and not any("trust" in s.name for s in plain.settings)
    with pytest.raises(DataError, match="has a namespace"):
        plain.kwargs(only=["source"])
    seen = []
    monkeypatch.setattr(catalogue, "builder", lambda name, **more: seen.append(name) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        load.load(["run.gin"], trust_data=True).kwargs(only=["source"])
    assert seen == ["a:b"]
    (tmp_path / "run.gin").write_text(lines + "tfds.trust_data = True\n")
    with pytest.raises(ConfigError, match="given by the command line") as caught:
        load.load(["run.gin"])
    assert caught.value.valid == "--trust_data"
    with pytest.raises(ConfigError, match="given by the command line"):
        load.load(["run.gin"], {"tfds.trust_data": "True"})
