"""Damaged folders of weights give a model or an error of ours.

`make test-extras` runs each file for `TFFT_FUZZ_MINUTES` minutes of CPU, 10 by default.
"""

import gzip
import shutil
import struct

import pytest
import weights_folders
from fuzzing import damaged, fuzz

from tfft.backbones.model_folders import read_json
from tfft.backbones.text import tokenizer_loading
from tfft.backbones.text.encoder_architectures import ARCHITECTURES
from tfft.backbones.text.tiny import hub_tokenizer
from tfft.data.sources.demo import fashion_mnist

pytestmark = pytest.mark.extras


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    room = tmp_path_factory.mktemp("weights")
    made = {
        "transformers": weights_folders.transformers_folder(room / "transformers"),
        "hub": weights_folders.hub_folder(room / "hub"),
    }
    for folder in made.values():
        assert weights_folders.load(folder)
    return made


FILES = {
    "config.json": "transformers",
    "model.safetensors": "transformers",
    "vocab.txt": "transformers",
    "tokenizer_config.json": "transformers",
    "hub config.json": "hub",
    "tokenizer.json": "hub",
    "assets/tokenizer/vocabulary.txt": "hub",
    "model.weights.h5": "hub",
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_a_folder(name, folders, tmp_path):
    folder = shutil.copytree(folders[FILES[name]], tmp_path / "copy")
    path = folder / name.removeprefix("hub ")
    # The header of safetensors is what is parsed; flipped bits of weights are other weights.
    content = path.read_bytes()

    def load(damaged_content):
        path.write_bytes(damaged_content)
        return weights_folders.load(folder)

    fuzz(load, damaged([content]))


def test_tokenizer_json_of_word_pieces(folders, tmp_path):
    content = weights_folders.tokenizer_json().encode()
    folder = shutil.copytree(folders["transformers"], tmp_path / "copy")

    def load(damaged_content):
        (folder / "tokenizer.json").write_bytes(damaged_content)
        return weights_folders.load(folder)

    fuzz(load, damaged([content]))


@pytest.mark.parametrize("kind", ["albert", "xlm_roberta"])
def test_sentencepiece_models(kind, tmp_path):
    content = hub_tokenizer(kind).proto
    name = "spiece.model" if kind == "albert" else "sentencepiece.bpe.model"

    def load(damaged_content):
        (tmp_path / name).write_bytes(damaged_content)
        return tokenizer_loading.from_folder(tmp_path, ARCHITECTURES[kind], 16)[1]

    fuzz(load, damaged([content]))


def test_json(tmp_path):
    def load(damaged_content):
        (tmp_path / "config.json").write_bytes(damaged_content)
        return read_json(tmp_path / "config.json")

    fuzz(load, damaged([weights_folders.tokenizer_json().encode(), b'{"vocab_size": 10}']))


def test_idx(tmp_path):
    images = struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 3) + bytes(18)
    labels = struct.pack(">4BI", 0, 0, 8, 1, 2) + b"\1\2"

    def load(images, labels, whole):
        for name, content in (("images-idx3", images), ("labels-idx1", labels)):
            content = gzip.compress(content) if whole[:1] < b"\x80" else whole
            (tmp_path / f"train-{name}-ubyte.gz").write_bytes(content)
        return len(fashion_mnist.read(tmp_path, "train", None)[0])

    fuzz(load, damaged([images]), damaged([labels]), damaged([gzip.compress(images)]))
