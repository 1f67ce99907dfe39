"""Tiny models in Transformers' layout, the same on every machine; needs numpy and safetensors.

The tests write them and read them back; `make_minilm_hidden_states.py` gives the same folders to
Transformers and keeps what it computes.
"""

from __future__ import annotations

import json
import pathlib
import zlib

import numpy as np
import safetensors.numpy

WIDTH, INNER, HEADS, LAYERS, WORDS, PLACES = 12, 20, 3, 3, 300, 40
COMMON = {
    "vocab_size": WORDS,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "max_position_embeddings": PLACES,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "layer_norm_eps": 1e-12,
}
CONFIGS = {
    "bert": {**COMMON, "model_type": "bert", "pad_token_id": 0},
    "distilbert": {
        "model_type": "distilbert",
        "vocab_size": WORDS,
        "n_layers": LAYERS,
        "n_heads": HEADS,
        "dim": WIDTH,
        "hidden_dim": INNER,
        "max_position_embeddings": PLACES,
        "dropout": 0.1,
        "activation": "gelu",
        "pad_token_id": 0,
    },
    "roberta": {
        **COMMON,
        "model_type": "roberta",
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "pad_token_id": 1,
    },
    "xlm_roberta": {
        **COMMON,
        "model_type": "xlm-roberta",
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-3,
        "pad_token_id": 1,
    },
    "albert": {
        **COMMON,
        "model_type": "albert",
        "embedding_size": 8,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
        "hidden_act": "gelu_new",
        "pad_token_id": 0,
    },
}


def _dense(name: str, into: int, out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _norm(name: str, width: int = WIDTH) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _layer_names(kind: str) -> list[tuple[str, int, int]]:
    if kind == "distilbert":
        attention = [f"attention.{name}_lin" for name in ("q", "k", "v", "out")]
        inner, outer = "ffn.lin1", "ffn.lin2"
    elif kind == "albert":
        attention = [f"attention.{name}" for name in ("query", "key", "value", "dense")]
        inner, outer = "ffn", "ffn_output"
    else:
        attention = [f"attention.self.{name}" for name in ("query", "key", "value")]
        attention.append("attention.output.dense")
        inner, outer = "intermediate.dense", "output.dense"
    square = [(name, WIDTH, WIDTH) for name in attention]
    return [*square, (inner, WIDTH, INNER), (outer, INNER, WIDTH)]


NORMS = {
    "distilbert": ("sa_layer_norm", "output_layer_norm"),
    "albert": ("attention.LayerNorm", "full_layer_layer_norm"),
}
LAYER_PREFIX = {
    "distilbert": "transformer.layer.{}",
    "albert": "encoder.albert_layer_groups.{}.albert_layers.0",
}


def shapes(kind: str) -> dict[str, tuple[int, ...]]:
    """Returns the name and shape of every tensor of a body, without a prefix."""
    width = 8 if kind == "albert" else WIDTH
    found: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (WORDS, width),
        "embeddings.position_embeddings.weight": (PLACES, width),
        **_norm("embeddings.LayerNorm", width),
    }
    if kind != "distilbert":
        types = int(CONFIGS[kind]["type_vocab_size"])
        found["embeddings.token_type_embeddings.weight"] = (types, width)
        found |= _dense("pooler" if kind == "albert" else "pooler.dense", WIDTH, WIDTH)
    if kind == "albert":
        found |= _dense("encoder.embedding_hidden_mapping_in", width, WIDTH)
    for i in range(1 if kind == "albert" else LAYERS):
        prefix = LAYER_PREFIX.get(kind, "encoder.layer.{}").format(i)
        for name, into, out in _layer_names(kind):
            found |= _dense(f"{prefix}.{name}", into, out)
        for name in NORMS.get(kind, ("attention.output.LayerNorm", "output.LayerNorm")):
            found |= _norm(f"{prefix}.{name}")
    return found


def tensors(kind: str) -> dict[str, np.ndarray]:
    """Returns weights drawn by their names: large enough to use the bends of the activations."""
    made = {}
    for name, shape in shapes(kind).items():
        draw = np.random.default_rng(zlib.crc32(f"{kind}/{name}".encode()))
        centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
        made[name] = draw.normal(centre, 0.3, shape).astype(np.float32)
    return made


def write(folder: pathlib.Path, kind: str, prefix: str = "", **config: object) -> pathlib.Path:
    """Writes config.json and model.safetensors; `config` overrides what the config says."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIGS[kind], **config}))
    named = {prefix + name: array for name, array in tensors(kind).items()}
    safetensors.numpy.save_file(named, folder / "model.safetensors", {"format": "pt"})
    return folder
