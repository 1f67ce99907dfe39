"""Folders, names and handles: what is read, with which numbers, and what is refused."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import safetensors.numpy
import transformers_folders as layouts

from tfft import backbones
from tfft.backbones.text.tiny import hub_tokenizer
from tfft.errors import ConfigError, DepthError, WeightsError
from tfft.storage.downloads import fetch


def word_piece_files(folder, size=layouts.WORDS):
    tokens = list(hub_tokenizer("bert").get_vocabulary())
    tokens += [f"[unused{i}]" for i in range(size - len(tokens))]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))


def pieces(folder, kind):
    tokenizer = hub_tokenizer(kind)
    if kind == "roberta":
        (folder / "vocab.json").write_text(json.dumps(tokenizer.vocabulary))
        (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(tokenizer.merges))
    else:
        name = "spiece.model" if kind == "albert" else "sentencepiece.bpe.model"
        (folder / name).write_bytes(tokenizer.proto)


def make(folder, kind, prefix="", **config):
    layouts.write(folder, kind, prefix, **config)
    if kind in ("bert", "distilbert"):
        word_piece_files(folder)
    else:
        pieces(folder, kind)
    return folder


def hidden_states(body, ids):
    longest = max(map(len, ids))
    pad = body.preprocessor.pad_id
    batch = {
        "token_ids": np.array([row + [pad] * (longest - len(row)) for row in ids], "int32"),
        "padding_mask": np.array([[1] * len(r) + [0] * (longest - len(r)) for r in ids], "int32"),
    }
    layers = [body.embed(batch)]
    for i in range(body.depth):
        layers.append(body.layers(i, layers[-1], batch["padding_mask"], [None]))
    return [np.asarray(layer) for layer in layers]


def compare(body, rows, first, atol):
    ours = hidden_states(body, [row["ids"] for row in rows])
    for i, row in enumerate(rows):
        right = np.array(row["layers"])
        mine = np.stack([layer[i, : len(row["ids"])] for layer in ours])
        mine = np.concatenate([mine[..., :first], mine.sum(-1, keepdims=True)], -1)
        np.testing.assert_allclose(mine, right, atol=atol, rtol=0)


@pytest.mark.matrix
@pytest.mark.parametrize("prefixed", [False, True])
@pytest.mark.parametrize("kind", list(layouts.CONFIGS))
def test_transformers_layout_gives_transformers_numbers(kind, prefixed, tmp_path, reference):
    prefix = {"xlm_roberta": "roberta."}.get(kind, f"{kind}.") if prefixed else ""
    body = backbones.keras_hub(str(make(tmp_path, kind, prefix)), sequence_length=16)
    expected = reference("tiny_hidden_states.json")
    compare(body, expected["bodies"][kind], expected["first"], 2e-5)
    assert body.preprocessor(["a good movie"])["token_ids"].shape[0] == 1


@pytest.mark.fetched
def test_hidden_states_of_real_weights(reference):
    """Every layer, against Transformers: to 1e-4 (the sums of 384 to 1e-3)."""
    expected = reference("minilm_hidden_states.json")
    body = backbones.keras_hub("minilm_l6")
    ids = body.preprocessor.tokenize(expected["sentences"]).to_list()
    assert ids == [row["ids"] for row in expected["rows"]]
    ours = hidden_states(body, ids)
    worst = 0.0
    for i, row in enumerate(expected["rows"]):
        for mine, right in zip(ours, np.array(row["layers"]), strict=True):
            mine = mine[i, : len(row["ids"])]
            worst = max(worst, np.abs(mine[:, : expected["first"]] - right[:, :-1]).max())
            np.testing.assert_allclose(mine.sum(-1), right[:, -1], atol=1e-3)
    print(f"largest difference {worst:.1e}")
    assert worst < 1e-4
    assert "similarity" in " ".join(body.notes)
    assert body.config()["parameters"] == 22_713_216


def test_tanh_form_when_the_config_says_so(tmp_path):
    exact = backbones.keras_hub(str(make(tmp_path / "a", "bert")), sequence_length=16)
    tanh = backbones.keras_hub(
        str(make(tmp_path / "b", "bert", hidden_act="gelu_new")), sequence_length=16
    )
    ids = [[2, 17, 299, 3]]
    gap = np.abs(hidden_states(exact, ids)[-1] - hidden_states(tanh, ids)[-1]).max()
    assert 1e-5 < gap < 1e-2


def test_mixed_precision(tmp_path):
    body = backbones.keras_hub(
        str(make(tmp_path, "bert")), sequence_length=16, dtype="mixed_bfloat16"
    )
    outputs = body.outputs(body.preprocessor(["a good movie"]))
    assert outputs["pooled"].dtype == "bfloat16"
    assert body.model.weights[0].dtype == "float32"


def test_weights_in_parts(tmp_path):
    make(tmp_path, "bert")
    held = layouts.tensors("bert")
    names = sorted(held)
    parts = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for part, own in parts.items():
        safetensors.numpy.save_file({n: held[n] for n in own}, tmp_path / part)
    place = {name: part for part, own in parts.items() for name in own}
    whole = backbones.keras_hub(str(tmp_path), sequence_length=16).fingerprint()
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": place}))
    assert backbones.keras_hub(str(tmp_path), sequence_length=16).fingerprint() == whole


def without(folder, part):
    held = layouts.tensors("bert")
    kept = {name: array for name, array in held.items() if part not in name}
    safetensors.numpy.save_file(kept, folder / "model.safetensors")


def test_no_pooler_is_noted_and_cannot_be_used(tmp_path):
    without(make(tmp_path, "bert"), "pooler")
    assert "no pooler" in backbones.keras_hub(str(tmp_path), sequence_length=16).notes[0]
    with pytest.raises(ConfigError, match="holds no pooler"):
        backbones.keras_hub(str(tmp_path), sequence_length=16, pooling="pooler")


def test_a_body_with_segments_of_sentence_similarity_says_so(tmp_path):
    (make(tmp_path, "bert") / "modules.json").write_text("[]")
    assert "similarity" in backbones.keras_hub(str(tmp_path), sequence_length=16).notes[0]


def tear(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:2000])


def pickle_only(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def rewrite(**changes):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


BROKEN = {
    "torn weights": (tear, "cannot be read"),
    "pickled": (pickle_only, "runs the code in it"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights that can be read"),
    "torn config": (lambda f: (f / "config.json").write_text('{"model_type"'), "as JSON"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "no JSON object"),
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "config without a size": (lambda f: (f / "config.json").write_text(
        '{"model_type": "bert", "vocab_size": 3}'), "does not say 'num_hidden_layers'"),
    "wider config": (rewrite(hidden_size=24), r"is \[300, 12\] in the file, and the config asks"),
    "other inner size": (rewrite(intermediate_size=21), "do not fit"),
    "fewer layers": (rewrite(num_hidden_layers=2), "hold 3 layers, and its config.json asks for 2"),
    "more layers": (rewrite(num_hidden_layers=4), "hold 3 layers"),
    "fewer positions": (rewrite(max_position_embeddings=20), "do not fit"),
    "a tensor is missing": (lambda f: without(f, "output.dense.bias"), "lack 6 tensors"),
    "unknown body": (rewrite(model_type="gpt7"), "model_type 'gpt7' is not supported"),
    "only in KerasHub's layout": (rewrite(model_type="electra"), "not supported in Transformers'"),
    "relative positions": (rewrite(position_embedding_type="relative_key"), "relative_key"),
    "unknown activation": (rewrite(hidden_act="gelux"), "'gelux'"),
    "no vocabulary": (lambda f: (f / "vocab.txt").unlink(), "holds no vocabulary"),
    "no case": (lambda f: (f / "tokenizer_config.json").unlink(), "lower-cased"),
    "too many words": (lambda f: word_piece_files(f, 301), "301 tokens, and the model has 300"),
    "repeated word": (
        lambda f: (f / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\na\n"),
        "each used once",
    ),
    "other rules": (lambda f: (f / "tokenizer.json").write_text(
        '{"model": {"type": "Unigram"}}'), "other rules"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_refused(what, tmp_path):
    damage, message = BROKEN[what]
    damage(make(tmp_path, "bert"))
    with pytest.raises(WeightsError, match=message):
        backbones.keras_hub(str(tmp_path), sequence_length=16)


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset")
    backbones.tiny("bert").model.save_to_preset(str(folder))
    hub_tokenizer("bert").save_to_preset(str(folder))
    return folder


def hub_config(**changes):
    def change(folder):
        path = folder / "config.json"
        config = json.loads(path.read_text())
        config["config"].update(changes)
        path.write_text(json.dumps(config))

    return change


def hub_class(folder):
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace("BertBackbone", "ResNetBackbone"))


def tear_h5(folder):
    path = folder / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:5000])


BROKEN_PRESETS = {
    "torn": (tear_h5, "cannot be read"),
    "wider": (hub_config(intermediate_dim=48), "cannot be read into its config"),
    "fewer layers": (hub_config(num_layers=1), "arrays, and config.json asks for"),
    "more layers": (hub_config(num_layers=3), "cannot be read|arrays, and config"),
    "not for text": (hub_class, "ResNetBackbone"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "without its tokenizer"),
    "no vocabulary": (lambda f: shutil.rmtree(f / "assets"), "tokenizer in"),
}


@pytest.mark.parametrize("what", BROKEN_PRESETS)
def test_refused_presets(what, preset, tmp_path):
    folder = shutil.copytree(preset, tmp_path / "copy")
    damage, message = BROKEN_PRESETS[what]
    damage(folder)
    with pytest.raises(WeightsError, match=message):
        backbones.keras_hub(str(folder), sequence_length=16)


def test_sequence_length_beyond_the_positions(tmp_path):
    with pytest.raises(DepthError, match="positions for 40 tokens") as caught:
        backbones.keras_hub(str(make(tmp_path, "bert")), sequence_length=41)
    assert caught.value.valid == "3 to 40"


def test_missing_folder_shows_near_names(tmp_path):
    (tmp_path / "my_bert").mkdir()
    with pytest.raises(WeightsError) as caught:
        backbones.keras_hub(str(tmp_path / "my_brt"))
    assert "my_bert" in caught.value.valid


def test_unknown_name_shows_near_names():
    with pytest.raises(WeightsError) as caught:
        backbones.keras_hub("bert_tiny_en_uncase")
    assert "bert_tiny_en_uncased" in caught.value.valid
    assert caught.value.see == "tfft list presets"


@pytest.mark.parametrize("handle", ["hf://someone/model", "kaggle://keras/bert/keras/x/1"])
def test_handle_without_a_network(handle, monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("name resolution failed\nand a long story")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    monkeypatch.setattr("kagglehub.model_download", unreachable)
    with pytest.raises(WeightsError, match="needs the network .* name resolution failed\\)$"):
        try:
            backbones.keras_hub(handle)
        except WeightsError as error:
            raise WeightsError(error.problem) from error


def test_handle_of_an_unknown_kind():
    with pytest.raises(WeightsError, match="not known") as caught:
        backbones.keras_hub("ftp://x")
    assert "hf://" in caught.value.valid


def test_handle_is_downloaded_without_pickles(preset, monkeypatch):
    asked = {}

    def download(name, allow_patterns):
        asked.update(name=name, patterns=allow_patterns)
        return str(preset)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    body = backbones.keras_hub("hf://someone/model", sequence_length=16)
    assert (body.preset, asked["name"]) == ("hf://someone/model", "someone/model")
    assert not any(pathlib.PurePath("pytorch_model.bin").match(p) for p in asked["patterns"])


def test_kerashub_name_goes_to_its_handle(preset, monkeypatch):
    asked = []
    monkeypatch.setattr("kagglehub.model_download", lambda name: asked.append(name) or str(preset))
    backbones.keras_hub("bert_tiny_en_uncased", sequence_length=16)
    assert asked[0].startswith("keras/bert/keras/bert_tiny_en_uncased")


def test_fetched_name_goes_to_its_folder(preset, monkeypatch):
    monkeypatch.setattr(fetch, "path", lambda name: preset)
    body = backbones.keras_hub("minilm_l6", sequence_length=16)
    assert (body.preset, body.depth) == ("minilm_l6", 2)
