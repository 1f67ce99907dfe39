"""Adapters: a start at the pretrained body, what alone moves, what merges, and what a run keeps."""

import dataclasses
import json
import sys

import forks
import keras
import numpy as np
import pytest
import tensorflow as tf
from trainings import newest, same, slow, steps, stopped_after

import tfft
from tfft import api
from tfft.backbones.text.encoder_architectures import ARCHITECTURES
from tfft.backbones.text.tiny import tiny
from tfft.data.encoded_split import encode
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ConfigError, FreezeError, WeightsError
from tfft.evaluation import inference
from tfft.layers.inspection import named_variables
from tfft.methods import adapters, attachment, bitfit, ia3, lora
from tfft.reports.console import Console
from tfft.runs import environment, trainer
from tfft.runs.restore import built_head, restore
from tfft.storage.workdir import Workdir
from tfft.training.execution import Execution
from tfft.training.feature_cache.cache_keys import Cut, Hashes
from tfft.training.feature_cache.placement import FeatureCache
from tfft.training.freeze_proof import checksums, prove_freeze
from tfft.training.freezing import adapt, frozen_depths, rate_factors
from tfft.training.optimizers import AdamW
from tfft.training.prepare_stage import prepare
from tfft.training.schedules import Constant
from tfft.training.stage import Stage

TASK = tfft.tasks.TextClassification(["a", "b"])
METHODS = {
    "lora": lora(rank=2),
    "lora everywhere": lora(
        rank=2, targets=("*/query", "*/key", "*/value", "*/attention_output", "*/feedforward_*")
    ),
    "ia3": ia3(),
    "adapters": adapters(size=4),
    "adapters twice": adapters(size=4, targets=("*/attention_output", "*/feedforward_output_*")),
}
RNG = np.random.default_rng(0)
BATCH = {
    "token_ids": RNG.integers(5, 20, (8, 6)).astype("int32"),
    "padding_mask": (np.arange(6) < RNG.integers(2, 7, (8, 1))).astype("int32"),
}
TARGETS = np.array([0, 1] * 4)
QUIET = Console(quiet=True)


def made(body, method, **settings):
    head = TASK.build_head(None)
    head.build((None, body.dim))
    settings = {"learning_rate": 1e-2, "schedule": Constant(warmup=0)} | settings
    return prepare(Stage(method=method, **settings), body, head, TASK, 4), head


def shaken(body, scale=0.05):
    """Gives every adapter of a body values that change something."""
    rng = np.random.default_rng(1)
    for part in attachment.parts(body).values():
        for name in part.values():
            variable = getattr(part, name)
            variable.assign(np.array(variable) + rng.normal(0, scale, variable.shape))


def pooled(body, training=False):
    return np.array(body.outputs(BATCH, training)["pooled"])


@pytest.mark.matrix
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_the_start_is_the_pretrained_body_to_the_bit(architecture, method, packed):
    body = tiny(architecture)
    body.packed = packed
    before, kept = pooled(body), body.fingerprint()
    adapt([Stage(method=METHODS[method])], body, 3)
    assert attachment.parts(body) and body.fingerprint() != kept
    assert np.array_equal(pooled(body), before)
    shaken(body)
    assert not np.allclose(pooled(body), before, atol=1e-3)


@pytest.mark.matrix
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_only_adapters_and_the_head_move(architecture, method):
    body = tiny(architecture)
    prepared, head = made(body, METHODS[method], optimizer=AdamW(weight_decay=0.0))
    added = attachment.added_variables(body)
    variables = named_variables(body, head)
    before = checksums(body, head)
    wanted = {n for n in before if id(variables[n]) in added or n.startswith("head/")}
    prepared.trained.train_on_batch(BATCH, TARGETS)
    prove_freeze(before, prepared, body, head)  # what waits for others is known
    prepared.trained.train_on_batch(BATCH, TARGETS)
    after = checksums(body, head)
    assert {name for name in after if after[name] != before[name]} == wanted
    proof = prove_freeze(before, prepared, body, head)
    assert proof["trainable_moved"] == len(wanted) and not proof["cannot_move"]
    assert proof["frozen_bit_identical"] == len(before) - len(wanted)
    assert 0 < prepared.trainable_share < 0.5


@pytest.mark.matrix
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("method", ["lora", "lora everywhere", "ia3"])
@pytest.mark.parametrize("architecture", list(ARCHITECTURES))
def test_merged_is_unmerged(architecture, method, packed):
    body = tiny(architecture)
    body.packed = packed
    plain = len(body.model.weights)
    adapt([Stage(method=METHODS[method])], body, 3)
    shaken(body)
    outputs, kept = pooled(body), body.fingerprint()
    with attachment.merged(body):
        assert not attachment.parts(body) and len(body.model.weights) == plain
        np.testing.assert_allclose(pooled(body), outputs, atol=1e-5)
    assert np.array_equal(pooled(body), outputs) and body.fingerprint() == kept


def test_what_cannot_be_merged_stays():
    body = tiny()
    adapt([Stage(method=adapters(size=4))], body, 0)
    shaken(body)
    outputs = pooled(body)
    with attachment.merged(body):
        assert len(attachment.parts(body)) == 2
        assert np.array_equal(pooled(body), outputs)


def dense_of(method, target):
    """Returns a body, one adapted Dense layer of its, kernel [i o], bias [o] and the adapter."""
    body = tiny(dropout=0.0)
    adapt([Stage(method=method)], body, 0)
    shaken(body)
    [place] = [
        place for place in attachment.parts(body) if place.startswith("layer_1") and target in place
    ]
    dense = attachment.dense_layers(body)[place]
    kernel = np.array(dense.kernel).reshape(attachment.flat_shape(dense))
    return body, dense, kernel, np.array(dense.bias).ravel(), attachment.parts(body)[place].values()


def test_lora_is_its_formula():
    _, dense, kernel, bias, found = dense_of(lora(rank=2, alpha=5.0), "query")
    x = np.random.default_rng(2).normal(size=(3, 4, 16)).astype("float32")
    expected = x @ kernel + bias + 5.0 / 2 * (x @ found["a"]) @ found["b"]
    assert found["a"].shape == (16, 2) and found["b"].shape == (2, 16)
    np.testing.assert_allclose(np.array(dense(x)).reshape(3, 4, 16), expected, atol=1e-5)


def test_ia3_is_its_formula():
    x = np.random.default_rng(2).normal(size=(3, 4, 16)).astype("float32")
    _, dense, kernel, bias, found = dense_of(ia3(), "/key")
    np.testing.assert_allclose(
        np.array(dense(x)).reshape(3, 4, 16), found["columns"] * (x @ kernel + bias), atol=1e-5
    )
    x = np.random.default_rng(2).normal(size=(3, 4, 32)).astype("float32")
    _, dense, kernel, bias, found = dense_of(ia3(), "feedforward_output_dense")
    expected = (x * found["rows"]) @ kernel + bias
    np.testing.assert_allclose(np.array(dense(x)), expected, atol=1e-5)


def test_an_adapter_is_its_formula():
    x = np.random.default_rng(2).normal(size=(3, 4, 32)).astype("float32")
    _, dense, kernel, bias, found = dense_of(adapters(size=4), "feedforward_output_dense")
    y = x @ kernel + bias
    inner = np.array(tf.nn.gelu(y @ found["down"] + found["down_bias"]))
    expected = y + inner @ found["up"] + found["up_bias"]
    np.testing.assert_allclose(np.array(dense(x)), expected, atol=1e-5)


@pytest.mark.matrix
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("training", [False, True])
def test_the_packed_encoder_computes_what_kerashubs_layers_do(method, training):
    body = tiny(dropout=0.0)
    adapt([Stage(method=METHODS[method])], body, 0)
    shaken(body)
    hidden = tf.constant(np.random.default_rng(3).normal(size=(8, 6, 16)).astype("float32"))
    added = attachment.added_variables(body)
    weights = [v.value for v in named_variables(body).values() if id(v) in added]

    def found(packed):
        body.packed = packed
        with tf.GradientTape() as tape:
            out = body.layers(0, hidden, tf.constant(BATCH["padding_mask"]), [training] * 2)
            loss = tf.reduce_sum(tf.sin(3.0 * body.pool(out, BATCH["padding_mask"])))
        return [loss, *tape.gradient(loss, weights)]

    for one, two in zip(found(True), found(False), strict=True):
        np.testing.assert_allclose(one, two, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("packed", [True, False])
def test_lora_drops_the_inputs_of_the_change_alone(packed):
    body = tiny(dropout=0.0)
    body.packed = packed
    adapt([Stage(method=lora(rank=2, dropout=0.5))], body, 0)
    assert np.array_equal(pooled(body, training=True), pooled(body))  # the change is zero yet
    shaken(body)
    assert not np.allclose(pooled(body, training=True), pooled(body, training=True))
    seeds = [name for name in named_variables(body) if "/lora/" in name and "seed" in name]
    assert len(seeds) == 4


def test_first_values_follow_from_the_seed_and_the_name():
    def first(seed):
        body = tiny()
        adapt([Stage(method=lora(rank=2))], body, seed)
        return {place: part.values()["a"] for place, part in attachment.parts(body).items()}

    one, same, other = first(1), first(1), first(2)
    assert all(np.array_equal(one[place], same[place]) for place in one)
    values = [*one.values(), *other.values()]
    assert not any(np.array_equal(a, b) for i, a in enumerate(values) for b in values[:i])
    assert all(np.abs(value).max() <= 16**-0.5 for value in values)


def test_only_layers_above_the_frozen_prefix_are_adapted():
    body = tiny(layers=3)
    prepared, head = made(body, lora(rank=2), freeze_layers=2)
    assert {place.split("/")[0] for place in attachment.parts(body)} == {"layer_2"}
    assert prepared.split.frozen_layers == 2
    assert frozen_depths(Stage(method=lora(rank=2)), tiny_with_all(), head) == {"": (0, False)}


def tiny_with_all():
    body = tiny(layers=3)
    adapt([Stage(method=lora(rank=2))], body, 0)
    return body


def test_a_chain_creates_adapters_once_and_other_stages_leave_them():
    body = tiny(layers=2)
    stages = [
        Stage("head", freeze_layers="all"),
        Stage("lora", method=lora(rank=2), freeze_layers=1),
        Stage("more", method=lora(rank=2)),
        Stage("whole"),
        Stage("biases", method=bitfit()),
    ]
    adapt(stages, body, 0)
    assert len(attachment.parts(body)) == 4
    held = attachment.parts(body)
    head = TASK.build_head(None)
    head.build((None, body.dim))
    trained = []
    for stage in stages:
        prepared = prepare(stage, body, head, TASK, 4)
        trained.append({v.path for v in prepared.trained.trainable_variables if "lora" in v.path})
    assert [len(names) for names in trained] == [0, 4, 8, 0, 0]
    assert all(attachment.parts(body)[place] is part for place, part in held.items())


def test_rates_and_decay_reach_adapters():
    body = tiny(layers=2)
    optimizer = AdamW(
        weight_decay=0.1, layer_decay=0.5, learning_rate_multipliers={"*/lora/b": 4.0}
    )
    prepared, head = made(body, lora(rank=2), optimizer=optimizer)
    found = rate_factors(prepared.stage, body, head)
    named = {name: factor for name, factor in found.items() if "/lora/" in name}
    for name, factor in named.items():
        layer = int(name[len("layer_")])
        assert factor == 0.5 ** (2 - layer) * (4.0 if name.endswith("/b") else 1.0)
    assert len(named) == 8
    prepared.trained.train_on_batch(BATCH, TARGETS)


@pytest.mark.matrix
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_float32_adapters(method, precision):
    body = tiny()
    prepared, head = made(body, METHODS[method], execution=Execution(dtype_policy=precision))
    before = checksums(body, head)
    for _ in range(2):
        assert np.isfinite(prepared.trained.train_on_batch(BATCH, TARGETS)[0])
    prove_freeze(before, prepared, body, head)
    assert {v.dtype for v in prepared.trained.trainable_variables} == {"float32"}


def job_of(folder, architecture, stage):
    environment.make_deterministic(0, [stage], QUIET)
    source, body = synthetic(96), tiny(architecture, layers=2, dropout=0.2)
    task = tfft.tasks.TextClassification().with_training_answers(source.label_counts("train"))
    job = trainer.Trainer(task, body, built_head(task, body), 0, Workdir(folder), QUIET)
    job.encode(source)
    return job


@pytest.mark.usefixtures("restored_state")
@pytest.mark.parametrize("method", [slow("lora"), slow("ia3"), slow("adapters")])
@pytest.mark.parametrize("architecture", ["bert", *map(slow, list(ARCHITECTURES)[1:])])
def test_stored_features_train_as_without(tmp_path, monkeypatch, architecture, method):
    monkeypatch.setenv("TFFT_STORE", str(tmp_path / "store"))
    depth = 0 if architecture == "albert" else 1  # layers that share weights freeze together
    method = METHODS[method]
    stage = Stage(freeze_layers=depth, method=method, epochs=2, batch_size=16, learning_rate=3e-3)
    stages = {
        kind: dataclasses.replace(stage, feature_cache=FeatureCache(where=kind))
        for kind in ("off", "memory")
    }
    found = {kind: steps(job_of(tmp_path, architecture, s), s) for kind, s in stages.items()}
    np.testing.assert_allclose(found["memory"][0], found["off"][0], atol=1e-5)
    np.testing.assert_allclose(found["memory"][1], found["off"][1], atol=1e-4)


def test_a_neutral_adapter_leaves_the_key_of_features():
    def key(method=None, shake=False):
        body = tiny()
        if method:
            adapt([Stage(method=method)], body, 0)
        if shake:
            shaken(body)
        tokens = {"train": encode([(["a film"],)], body.preprocessor)}
        return Hashes(body, tokens).key("train", Cut(2), False)

    plain = key()
    for method in (lora(rank=2), ia3(), adapters(size=4)):
        assert key(method) == plain != key(method, shake=True)
    shaken_keys = [key(lora(rank=2, alpha=alpha), shake=True) for alpha in (1.0, 2.0)]
    assert shaken_keys[0] != shaken_keys[1]


STAGES = (
    Stage("head", freeze_layers="all", epochs=1, learning_rate=1e-2),
    Stage("lora", method=lora(rank=2, dropout=0.1), epochs=2, learning_rate=1e-2),
)


def train(folder, stages=STAGES, body=None, **settings):
    task = tfft.tasks.TextClassification()
    settings = {"say": QUIET, "checkpoint_steps": 2} | settings
    return api.train(
        task, body or tiny(), synthetic(256), stages, workdir=folder, **settings, plots=False
    )


# Checkpoints in the stage of the head, in the first epoch of lora, and in its second.
@pytest.mark.slow
@pytest.mark.parametrize("at", [4, 11, 19])
def test_a_stopped_run_continues_to_the_same_bits(tmp_path, at):
    train(tmp_path / "whole")
    with stopped_after(at):
        train(tmp_path / "stopped")
    train(tmp_path / "stopped")
    assert same(newest(tmp_path / "whole"), newest(tmp_path / "stopped"))
    name = "best/weights.safetensors"
    assert same(tmp_path / "whole" / name, tmp_path / "stopped" / name)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run"))


def test_a_run_reports_its_shares(trained):
    found = json.loads((trained.workdir / "report.json").read_text())
    shares = [stage["trainable_share"] for stage in found["stages"]]
    assert 0 < shares[0] < shares[1] < 0.1
    rows = found["stages"][1]["groups"]
    trained_ones, whole = (sum(row[k] for row in rows) for k in ("trainable", "parameters"))
    assert shares[1] == trained_ones / whole


def test_another_body_gets_the_run_s_adapters_back(trained):
    texts = ["the film is mark1", "mark0 of the plot"]
    body = tiny()
    _, _, model = restore(tfft.tasks.TextClassification(), body, Workdir(trained.workdir))
    encoded = encode([(texts,)], body.preprocessor)
    assert np.array_equal(inference.predict(model, encoded), trained.outputs(texts))
    again = restore(tfft.tasks.TextClassification(), body, Workdir(trained.workdir))[2]
    assert np.array_equal(inference.predict(again, encoded), trained.outputs(texts))
    assert len(attachment.parts(body)) == 4


def variables_of(version):
    return [name for name, _ in tf.train.list_variables(str(version / "variables/variables"))]


def operations_of(version):
    loaded = tf.saved_model.load(str(version))
    graph = loaded.signatures["token_ids"].graph.as_graph_def()
    return sorted(
        [node.op for node in graph.node]
        + [node.op for function in graph.library.function for node in function.node_def]
    )


def test_an_export_is_plain_and_agrees(trained, tmp_path):
    before = trained.outputs(*trained.held_out)
    version = trained.export(tmp_path / "lora", say=QUIET)  # compares with the unmerged model
    assert np.array_equal(trained.outputs(*trained.held_out), before)
    stage = Stage(freeze_layers="all", epochs=1)
    plain = train(tmp_path / "run", (stage,)).export(tmp_path / "plain", say=QUIET)
    assert len(variables_of(version)) == len(variables_of(plain))
    assert not any("lora" in name or "adapter" in name for name in variables_of(version))
    assert operations_of(version) == operations_of(plain)


@pytest.mark.slow
@pytest.mark.parametrize("method", [ia3(), adapters(size=4)])
def test_other_methods_export_too(tmp_path, method):
    stage = Stage(method=method, epochs=3, learning_rate=1e-2)  # after one, some outputs are ties
    found = train(tmp_path / "run", (stage,))
    version = found.export(tmp_path / "export", say=QUIET)
    assert any("adapter" in name for name in variables_of(version)) == (method.name == "adapters")


@pytest.mark.slow
def test_mixed_precision_is_exported(tmp_path):
    stage = Stage(
        method=lora(rank=2),
        epochs=1,
        learning_rate=1e-2,
        execution=Execution(dtype_policy="mixed_bfloat16"),
    )
    assert train(tmp_path / "run", (stage,)).export(tmp_path / "export", say=QUIET).exists()


CONFIG = """
train.task = @TextClassification()
train.backbone = @tiny()
train.source = @synthetic()
synthetic.examples = 128
train.stages = (@Stage(),)
train.plots = False
Stage.method = @lora()
Stage.epochs = 2
Stage.learning_rate = 1e-2
lora.rank = 2
lora.alpha = 4.0
lora.targets = ("*/query", "*/key")
"""


def command(folder, *words):
    """Runs the binary as a person does, in a fresh process."""
    return forks.run([sys.executable, "-m", "tfft", *words], folder)


def test_a_fresh_process_evaluates_predicts_and_exports(tmp_path):
    (tmp_path / "own.gin").write_text(CONFIG)
    checked = command(tmp_path, "check", "--gin_file=own.gin")
    assert checked.returncode == 0, checked.stderr
    assert "% of the weights are trained" in checked.stderr + checked.stdout
    first = command(tmp_path, "train", "--gin_file=own.gin", "--workdir=one")
    assert first.returncode == 0, first.stderr
    evaluated = command(tmp_path, "evaluate", "--workdir=one")
    assert evaluated.returncode == 0 and "accuracy" in evaluated.stdout, evaluated.stderr
    (tmp_path / "new.csv").write_text("text\nmark1 of the film\nmark0 of the plot\n")
    found = command(tmp_path, "predict", "--workdir=one", "--input=new.csv", "--output=out.jsonl")
    assert found.returncode == 0, found.stderr
    exported = command(tmp_path, "export", "--workdir=one")
    assert exported.returncode == 0, exported.stderr
    version = tmp_path / "one/export/1"
    assert not any("lora" in name for name in variables_of(version))
    again = command(
        tmp_path, "predict", "--workdir=one/export", "--input=new.csv", "--output=served.jsonl"
    )
    assert again.returncode == 0, again.stderr
    for one, two in zip(*(rows(tmp_path / n) for n in ("out.jsonl", "served.jsonl")), strict=True):
        for name, value in one["probabilities"].items():
            assert two["probabilities"][name] == pytest.approx(value, abs=1e-5)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_cannot_be_is_refused():
    with pytest.raises(FreezeError, match="'\\*/qery' of lora matches no Dense") as caught:
        made(tiny(), lora(targets=("*/qery",)))
    assert "query" in caught.value.valid
    with pytest.raises(ConfigError, match="rank=17 is above"):
        made(tiny(), lora(rank=17))
    for wrong in ({"rank": 0}, {"dropout": 1.0}, {"alpha": 0.0}):
        with pytest.raises(ConfigError, match="must be"):
            lora(**wrong)
    with pytest.raises(ConfigError, match="must be"):
        adapters(size=0)
    with pytest.raises(FreezeError, match="freezes every layer of its targets"):
        made(tiny(), lora(rank=2), freeze_layers="all")
    with pytest.raises(ConfigError, match="has an adapter already"):
        adapt([Stage(method=lora(rank=2)), Stage(method=ia3())], tiny(), 0)


def test_a_saved_run_imports_nothing_foreign():
    body = tiny()
    adapt([Stage(method=lora(rank=2))], body, 0)
    [entry] = json.loads(json.dumps(attachment.described(body)))
    other = tiny()
    attachment.attach_again(other, [entry])
    assert attachment.described(other) == attachment.described(body)
    for kind in ("antigravity:geohash", "os:system", "tfft.methods.lora:Method"):
        with pytest.raises(WeightsError, match="not known here"):
            attachment.attach_again(tiny(), [{**entry, "kind": kind}])
    assert "antigravity" not in sys.modules
    with pytest.raises(WeightsError, match="which this backbone lacks"):
        attachment.attach_again(tiny(layers=1), [entry])


def test_equations_of_all_kerashub_kernels_are_matrices():
    dense = keras.layers.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de")
    dense.build((None, None, 4))
    assert attachment.flat_shape(dense) == (4, 6)
    dense = keras.layers.EinsumDense("abcd,cde->abe", (None, 5))
    dense.build((None, None, 2, 3))
    assert attachment.flat_shape(dense) == (6, 5)
    dense = keras.layers.EinsumDense("abc,dc->abd", (None, 5))  # outputs first, as in Gemma
    dense.build((None, None, 4))
    assert attachment.flat_shape(dense) == (4, 5)
    odd = keras.layers.EinsumDense("abc,cd->adb", (5, None))
    odd.build((None, None, 4))
    assert attachment._matrix_form(odd)[1] == ()


@pytest.mark.fetched
@pytest.mark.parametrize(
    "method,most", [(lora(), 0.004), (adapters(), 0.012), (ia3(), 0.001), (bitfit(), 0.002)]
)
def test_recipes_train_a_small_share_of_a_real_body(method, most):
    body = tfft.backbones.keras_hub("minilm_l6")
    assert made(body, method)[0].trainable_share < most < 0.03
