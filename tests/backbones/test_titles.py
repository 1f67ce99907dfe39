"""What reports and listings call a body: as a person named it, with its architecture."""

import json
import shutil

import pytest

import tfft
from tfft import api
from tfft.backbones.base import Backbone
from tfft.backbones.text.keras_hub import keras_hub
from tfft.backbones.text.tiny import tiny
from tfft.data.sources.synthetic import synthetic
from tfft.reports.console import Console
from tfft.storage.downloads import fetch


@pytest.mark.parametrize(
    "preset, name, title",
    [
        ("minilm_l6", "bert", "minilm_l6 (bert)"),
        ("bert_base_en", "bert", "bert_base_en"),
        ("roberta_like", "bert", "roberta_like (bert)"),
        ("hf://user/model", "distilbert", "hf://user/model (distilbert)"),
        ("kaggle://keras/bert/keras/small", "bert", "kaggle://keras/bert/keras/small"),
        ("VGG16, vgg16", "vgg16", "VGG16, vgg16"),
        ("VGG16, random weights", "vgg16", "VGG16, random weights"),
        ("resnet_50_imagenet", "resnet", "resnet_50_imagenet"),
        ("bert", "bert", "bert"),
        ("", "bert", "bert"),
    ],
)
def test_the_title_of_a_preset(preset, name, title):
    body = Backbone()
    body.preset, body.name = preset, name
    assert body.title == title


def test_the_title_of_a_folder_is_its_name(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    body = Backbone()
    body.name = "bert"
    for preset in (str(tmp_path / "mine"), f"{tmp_path}/mine/"):
        body.preset = preset
        assert body.title == "mine (bert)"
    monkeypatch.chdir(tmp_path / "mine")
    body.preset = "."
    assert body.title == "mine (bert)"


def test_a_body_without_a_preset_is_named_by_its_kind():
    body = Backbone()
    body.name = "own"
    assert body.title == "own"


@pytest.mark.fetched
def test_reports_name_the_folder(tmp_path, capsys):
    folder = tmp_path / "our_encoder"
    shutil.copytree(fetch.path("minilm_l6"), folder)
    body = keras_hub(str(folder), sequence_length=8)
    assert body.title == "our_encoder (bert)"


@pytest.mark.slow
def test_report_page_card_and_compare_have_the_title(tmp_path, capsys, monkeypatch):
    from tfft.reports import comparison

    body = tiny()
    body.preset = "our_encoder"
    stage = tfft.Stage(freeze_layers="all", epochs=1)
    data = synthetic(64)
    task = tfft.tasks.TextClassification()
    api.train(task, body, data, (stage,), workdir=tmp_path, say=Console(quiet=True), plots=False)
    title = f"our_encoder ({body.name})"
    assert json.loads((tmp_path / "report.json").read_text())["backbone"] == title
    assert title in (tmp_path / "report.html").read_text()
    card = (tmp_path / "report.md").read_text()
    assert "encoder (bert)" in card and 'base_model: "our_encoder"\n' in card
    capsys.readouterr()
    comparison.run([str(tmp_path), str(tmp_path)], "-", False, False, Console(quiet=True))
    assert title in capsys.readouterr().out
    api.check(task, tiny(), data, (stage,), say=Console())
    assert "backbone: tiny bert" in capsys.readouterr().err
