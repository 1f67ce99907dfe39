"""Hostile folders of weights: nothing large is allocated, nothing hangs, and the file is named."""

import json
import os
import shutil
import struct

import pytest
import weights_folders
from hostile_children import call, refused
from weights_folders import load

BILLION = 10**9
SIZES = {
    "transformers": (
        *("hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size"),
        *("max_position_embeddings", "type_vocab_size", "num_attention_heads"),
    ),
    "hub": (
        *("hidden_dim", "num_layers", "intermediate_dim", "vocabulary_size"),
        *("max_sequence_length", "num_segments", "num_heads"),
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    room = tmp_path_factory.mktemp("weights")
    made = {
        "transformers": weights_folders.transformers_folder(room / "transformers"),
        "hub": weights_folders.hub_folder(room / "hub"),
    }
    for folder in made.values():  # what is loaded the first time is loaded before forks
        assert load(folder)
    return made


@pytest.fixture
def copy(folders, tmp_path):
    return lambda layout="transformers": shutil.copytree(folders[layout], tmp_path / layout)


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        pytest.param(layout, name, marks=[pytest.mark.slow] * (place > 1))
        for layout, names in SIZES.items()
        for place, name in enumerate(names)
    ],
)
@pytest.mark.parametrize("value", [BILLION, 10**30])
def test_sizes_that_the_weights_do_not_have(layout, name, value, copy):
    folder = copy(layout)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    (config if layout == "transformers" else config["config"])[name] = value
    path.write_text(json.dumps(config))
    refused(load, folder, names=[folder])


FILES = {
    "config.json": "transformers",
    "vocab.txt": "transformers",
    "tokenizer_config.json": "transformers",
    "model.safetensors": "transformers",
    "model.weights.h5": "hub",
    "tokenizer.json": "hub",
    "assets/tokenizer/vocabulary.txt": "hub",
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_pipes_or_devices(name, copy):
    folder = copy(FILES[name])
    (folder / name).unlink()
    os.mkfifo(folder / name)
    refused(load, folder, names=[folder / name, "a pipe"])
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    refused(load, folder, names=[folder / name, "a device"])


CONTENTS = {
    "deep": b"[" * 100_000,
    "shut": b'{"a":' + b"[" * 900 + b"]" * 900 + b"}",
    "not UTF-8": b"\xff\xfe\x00",
    "cut": b'{"vocab_size": 10',
    "empty": b"",
    "a list": b"[1, 2]",
    "digits": b'{"model_type": "bert", "vocab_size": ' + b"1" * 5000 + b"}",
    "null": b"null",
    "other types": b'{"model": [], "model_type": {}, "class_name": 3, "config": "x"}',
}


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_json_of_weights(name, content, copy):
    folder = copy()
    (folder / name).write_bytes(CONTENTS[content])
    outcome = call(load, folder)
    harmless = name == "tokenizer_config.json" and content in ("digits", "other types")
    assert outcome.kind == "error" or harmless, outcome
    assert outcome.within_limits and (harmless or str(folder) in outcome.detail), outcome


VOCABULARIES = {
    "not UTF-8": b"[PAD]\n\xff\xfe",
    "empty": b"",
    "one line": b"[PAD]" * 100_000,
    "twice": b"[PAD]\n" * 50,
    "cut": b"[PAD]\n[UNK]\n[CL",
    "nul": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n\0\n##\n",
}


@pytest.mark.parametrize("what", VOCABULARIES)
def test_vocabularies(what, copy):
    folder = copy()
    (folder / "vocab.txt").write_bytes(VOCABULARIES[what])
    outcome = call(load, folder)
    assert outcome.kind == "error" or what == "nul", outcome
    assert outcome.kind != "crash" and outcome.within_limits


def test_a_vocabulary_that_is_huge(copy):
    folder = copy()
    os.truncate(folder / "vocab.txt", 2**33)
    refused(load, folder, names=[folder / "vocab.txt", "it has more than"])


def header(**tensors):
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


def tensor(shape, begin, end):
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


SAFETENSORS = {
    "huge shape": header(a=tensor([10**9, 10**9], 0, 4)) + bytes(4),
    "overflow": header(a=tensor([2**62, 4], 0, 0)),
    "overlap": header(a=tensor([2], 0, 8), b=tensor([2], 4, 12)) + bytes(12),
    "outside": header(a=tensor([2], 0, 8)) + bytes(4),
    "gap": header(a=tensor([1], 8, 12)) + bytes(12),
    "negative": header(a=tensor([-1], 0, 4)) + bytes(4),
    "huge header": struct.pack("<Q", 2**60) + b"{}",
    "deep header": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "no header": b"\0" * 7,
    "none": header(),
}


@pytest.mark.parametrize("what", SAFETENSORS)
def test_headers_of_safetensors(what, copy):
    folder = copy()
    (folder / "model.safetensors").write_bytes(SAFETENSORS[what])
    refused(load, folder, names=[folder])


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "a/b"])
def test_parts_of_weights_outside_of_the_folder(name, copy):
    folder = copy()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    refused(load, folder, names=["model.safetensors.index.json", name])


@pytest.mark.parametrize("name", ["x" * 300, "y" * 5000 + "/z", "\udcff/a", "~nobody/x", "a\0/b"])
def test_names_of_folders(name):
    assert call(load, name).kind == "error"
