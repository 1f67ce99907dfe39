"""Features computed once: the same training as without, where they come from, and when not."""

import dataclasses

import keras
import numpy as np
import pytest
from trainings import slow, steps, stored

from tfft.backbones.text.encoder_architectures import ARCHITECTURES
from tfft.backbones.text.tiny import tiny
from tfft.data.example_reader import ExampleReader
from tfft.data.length_buckets import plan_epoch
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ConfigError
from tfft.reports.console import Console
from tfft.runs import environment, trainer
from tfft.runs.restore import built_head
from tfft.runs.signals import Stop
from tfft.storage.cache_store import Store
from tfft.storage.workdir import Workdir
from tfft.tasks.text.text_classification import TextClassification
from tfft.training.execution import Execution, set_precision
from tfft.training.feature_cache import cache
from tfft.training.feature_cache.cache_keys import Cut
from tfft.training.feature_cache.placement import FeatureCache, gain
from tfft.training.stage import Stage


class Say(Console):
    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def info(self, line):
        self.lines.append(line)

    warn = info


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch, restored_state):
    monkeypatch.setenv("TFFT_STORE", str(tmp_path / "store"))


def own(job):
    """Returns the features of the only tower."""
    return job.features.towers[""]


def make(folder, body=None, rows=96):
    environment.make_deterministic(0, [Stage()], Console(quiet=True))
    source, body = synthetic(rows), body or tiny(layers=3)
    task = TextClassification().with_training_answers(source.label_counts("train"))
    job = trainer.Trainer(task, body, built_head(task, body), 0, Workdir(folder), Say())
    job.encode(source)
    return job


@pytest.mark.matrix
@pytest.mark.parametrize("depth", ["all", slow("half")])
@pytest.mark.parametrize("architecture", ["bert", *map(slow, list(ARCHITECTURES)[1:])])
def test_every_body_trains_as_without(tmp_path, architecture, depth):
    # Layers that share their weights can only be frozen together.
    layers = {"all": "all", "half": 2 if architecture == "albert" else 1}[depth]
    stage = Stage(freeze_layers=layers, epochs=2, batch_size=16, learning_rate=3e-3)
    found = {}
    for kind, call in (("off", steps), ("memory", steps), ("disk", stored)):
        job = make(tmp_path, tiny(architecture, layers=2, dropout=0.2))
        found[kind] = call(job, dataclasses.replace(stage, feature_cache=FeatureCache(where=kind)))
    losses, outputs, memory = found["memory"]
    assert len(losses) > 8
    np.testing.assert_allclose(losses, found["off"][0], atol=1e-5)
    np.testing.assert_allclose(outputs, found["off"][1], atol=1e-4)
    disk = found["disk"]
    assert memory.pooled == disk.pooled == (depth == "all" or architecture == "albert")
    assert np.array_equal(memory.features.values, disk.features.values)
    assert isinstance(disk.features.values, np.memmap)


def count_layers(monkeypatch, body):
    """Counts texts that pass each layer of the body: {layer: calls}."""
    calls = []
    plain = type(body).layers

    def counted(self, first, hidden, mask, modes, pooled_next=False):
        import tensorflow as tf

        if not hasattr(hidden, "_keras_history"):
            tf.py_function(lambda: calls.extend(range(first, first + len(modes))), [], [])
        return plain(self, first, hidden, mask, modes, pooled_next)

    monkeypatch.setattr(type(body), "layers", counted)
    return calls


def train(job, *stages):
    """Trains for real; returns which stretches of the body were computed for which split."""
    made, plain = [], own(job)._fill

    def fill(split, cut, half, offsets, to):
        made.append((split, own(job)._below(split, cut)[1], cut))
        return plain(split, cut, half, offsets, to)

    own(job)._fill = fill
    position = job.train(stages, 1000, Stop())
    return made, position


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_a_chain_of_stages_continues_from_what_is_there(tmp_path, kind):
    stages = [
        Stage(
            f"stage {n}",
            freeze_layers=n,
            feature_cache=FeatureCache(where=kind),
            epochs=2,
            learning_rate=1e-3,
        )
        for n in ("all", 4, 2)
    ]
    job = make(tmp_path, tiny(layers=6), rows=40)
    made, position = train(job, *stages)
    chain = [(None, Cut(2)), (2, Cut(4)), (4, Cut(6, True))]
    assert sorted(made, key=str) == sorted(
        ((split, *step) for split in ("train", "validation") for step in chain), key=str
    )
    assert [proof["features"] for proof in position.proofs] == [{"kept": kind}] * 3
    assert len(own(job)._memory) == (2 if kind == "memory" else 0)  # the last stage's alone


@pytest.mark.slow
def test_without_room_a_later_stage_computes_again(tmp_path, monkeypatch):
    stages = [
        Stage(f"{n}", freeze_layers=n, feature_cache=FeatureCache(where="memory"), epochs=2)
        for n in ("all", 2)
    ]
    job = make(tmp_path, rows=40)
    room = own(job).size(Cut(2))
    memory = cache.psutil.virtual_memory()._replace(available=room)
    monkeypatch.setattr(cache.psutil, "virtual_memory", lambda: memory)
    made, _ = train(job, *stages)
    assert [step for step in made if step[0] == "train"] == [
        ("train", None, Cut(3, True)),
        ("train", None, Cut(2)),
    ]
    assert any("no room for layer 2" in line for line in job.say.lines)


@pytest.mark.slow
def test_upper_layers_first_then_the_head_alone(tmp_path):
    job = make(tmp_path, rows=40)
    stages = [
        Stage(f"{n}", freeze_layers=n, feature_cache=FeatureCache(where="memory"), epochs=2)
        for n in (2, "all")
    ]
    made, _ = train(job, *stages)
    assert [step[1:] for step in made if step[0] == "train"] == [
        (None, Cut(2)),
        (2, Cut(3, True)),
    ]


@pytest.mark.slow
def test_a_sweep_of_whole_runs_computes_no_body(tmp_path, monkeypatch):
    stage = Stage(freeze_layers="all", feature_cache=FeatureCache(where="disk"), epochs=2)
    assert len(train(make(tmp_path / "1"), stage)[0]) == 2
    calls = []
    monkeypatch.setattr(cache.Features, "_stretch", lambda *arguments: calls.append(arguments))
    for number, kind in enumerate(("disk", "auto", "memory")):
        job = make(tmp_path / f"sweep {number}")
        settings = {"learning_rate": 0.1 / (number + 1), "feature_cache": FeatureCache(kind)}
        train(job, dataclasses.replace(stage, **settings))
    assert not calls


@pytest.mark.matrix
@pytest.mark.parametrize("precision, half", [("mixed_bfloat16", False), ("float32", True)])
@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_other_precisions_are_kept_and_trained_on(tmp_path, precision, half, kind):
    job = make(tmp_path, rows=40)
    stage = Stage(
        freeze_layers=2,
        feature_cache=FeatureCache(where=kind, dtype="float16" if half else "float32"),
        execution=Execution(dtype_policy=precision),
        epochs=2,
    )
    _, position = train(job, stage)
    kept = own(job).get("train", Cut(2), kind, half).values
    assert str(kept.dtype) == ("float16" if half else "bfloat16")
    prefix = job.prepare(stage, 8, True).split.prefix
    inputs = ExampleReader(job.splits["train"])
    [batch] = plan_epoch(job.splits["train"].tokens.lengths[:1], (64,), 1)
    found = prefix(inputs.batch(batch), training=False)[0].numpy()
    count = job.splits["train"].tokens.lengths[0]
    np.testing.assert_allclose(
        found[:count].astype(np.float32), kept[:count].astype(np.float32), atol=0.05
    )
    recorded = position.proofs[0]["features"]
    assert (recorded.get("relative_rms_difference", 0) > 0) == half
    assert any("in float16: they differ by at most" in line for line in job.say.lines) == half


def test_a_chain_computes_each_layer_once(tmp_path, monkeypatch):
    job = make(tmp_path, tiny(layers=6), rows=40)
    calls = count_layers(monkeypatch, job.backbone)
    stages = [
        Stage(freeze_layers=n, feature_cache=FeatureCache(where="memory")) for n in ("all", 4, 2)
    ]
    seen = []
    for number in range(3):
        job.inputs(stages[number], "train", job.cuts(stages[number:]), "memory")
        seen.append(sorted(set(calls)))
        times = {layer: calls.count(layer) for layer in set(calls)}
        calls.clear()
        assert len(set(times.values())) <= 1
    assert seen == [[0, 1, 2, 3, 4, 5], [], []]


def test_a_sweep_on_disk_computes_no_body(tmp_path, monkeypatch):
    stage = Stage(freeze_layers="all", epochs=2, feature_cache=FeatureCache(where="disk"))
    first = make(tmp_path)
    kept = first.inputs(stage, "train", first.cuts([stage]), "disk").features.values
    second = make(tmp_path)
    assert any("found in the store" in line for line in second.say.lines)
    calls = count_layers(monkeypatch, second.backbone)
    other = dataclasses.replace(stage, learning_rate=1.0)
    again = second.inputs(other, "train", second.cuts([stage]), "disk").features.values
    assert np.array_equal(kept, again) and not calls


def test_a_deeper_cut_continues_from_a_shallower_one(tmp_path, monkeypatch):
    job = make(tmp_path)
    own(job).get("train", Cut(1), "disk", False)
    job = make(tmp_path)
    calls = count_layers(monkeypatch, job.backbone)
    features = own(job).get("train", Cut(3, True), "disk", False)
    assert set(calls) == {1, 2}
    monkeypatch.undo()
    monkeypatch.setenv("TFFT_STORE", str(tmp_path / "other"))
    alone = own(make(tmp_path)).get("train", Cut(3, True), "memory", False)
    np.testing.assert_allclose(features.values, alone.values, atol=1e-6)


def test_what_a_killed_run_leaves_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "PART_BYTES", 2000)
    whole = own(make(tmp_path)).get("train", Cut(2), "memory", False).values
    job = make(tmp_path)
    plain, done = own(job)._compute, []

    def stops(*arguments):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(1)
        return plain(*arguments)

    monkeypatch.setattr(own(job), "_compute", stops)
    with pytest.raises(KeyboardInterrupt):
        own(job).get("train", Cut(2), "disk", False)
    job = make(tmp_path)
    found = own(job).get("train", Cut(2), "disk", False).values
    assert any("are there already" in line for line in job.say.lines)
    assert np.array_equal(found, whole)
    del found
    [folder] = job.store.folder.glob("features-*")
    lines = (folder / "parts.jsonl").read_text().split()
    (folder / "parts.jsonl").write_text((folder / "parts.jsonl").read_text()[:-20])
    with open(folder / "values.bin", "r+b") as file:
        file.seek(100)
        file.write(b"????")
    job, done = make(tmp_path), []
    plain_again = own(job)._compute
    monkeypatch.setattr(own(job), "_compute", lambda *a: done.append(a) or plain_again(*a))
    assert np.array_equal(own(job).get("train", Cut(2), "disk", False).values, whole)
    assert len(done) == 2 < len(lines)
    assert any("journal is torn" in line for line in job.say.lines)
    assert any("1 parts are damaged" in line for line in job.say.lines)


def test_every_change_makes_new_features(tmp_path):
    def names(body, rows=96):
        job = make(tmp_path, body, rows)
        return {own(job)._name("train", cut, half) for cut in CUTS for half in (True, False)}

    CUTS = (Cut(0), Cut(1), Cut(2), Cut(3), Cut(3, True))
    found = names(tiny(layers=3))
    assert len(found) == 10
    assert names(tiny(layers=3)) == found
    half = tiny(layers=3)
    set_precision(half, None, "mixed_bfloat16")
    others = [
        names(half),
        names(tiny(layers=3, seed=1)),
        names(tiny(layers=3, sequence_length=32)),
        names(tiny("electra", layers=3)),
        names(tiny(layers=3), rows=100),
    ]
    assert not any(found & other for other in others)
    changed = make(tmp_path)
    before = {cut: own(changed)._name("train", cut, False) for cut in CUTS}
    changed.backbone.groups[2].layers[0].weights[0].assign_add(
        np.ones(changed.backbone.groups[2].layers[0].weights[0].shape) * 1e-3
    )
    own(changed).begin_stage(CUTS)
    same = [cut for cut in CUTS if own(changed)._name("train", cut, False) == before[cut]]
    assert same == [Cut(0), Cut(1)]


def test_half_precision_is_measured(tmp_path):
    job = make(tmp_path)
    exact = own(job).get("train", Cut(2), "memory", False).values
    half = own(job).get("train", Cut(2), "disk", True).values
    assert half.dtype == np.float16
    measured = job.features.measured
    largest = np.abs(exact - half.astype(np.float32)).max()
    assert np.isclose(measured["largest_difference"], largest) and largest > 0
    assert 0 < measured["relative_rms_difference"] < 1e-3


def decided(job, epochs=3.0, where="auto"):
    stage = Stage(freeze_layers=2, feature_cache=FeatureCache(where))
    cuts = job.cuts([stage])
    random = "masking is random" if getattr(job.task, "random_inputs", False) else None
    return job.features.decide(stage, cuts, epochs, random)


def test_the_reasoning_is_one_line_with_figures(tmp_path):
    job = make(tmp_path)
    found = decided(job)
    assert found.kind == "memory"
    assert "saves 2 of 3 layers" in found.reason
    assert f"expected gain {gain(3, 1, 3):.1f} over 3 epochs" in found.reason
    assert "memory" in found.reason and "disk free" in found.reason
    assert decided(job, epochs=1.0).kind == "off"
    assert decided(job, where="off").kind == "off"


def test_size_decides_between_memory_disk_and_none(tmp_path, monkeypatch):
    job = make(tmp_path)
    size = own(job).size(Cut(2))
    memory = cache.psutil.virtual_memory()._replace(available=size)
    monkeypatch.setattr(cache.psutil, "virtual_memory", lambda: memory)
    assert decided(job).kind == "disk"
    own(job).store.limit = 10
    assert decided(job).kind == "off"


def test_what_is_on_disk_is_used_even_for_one_epoch(tmp_path):
    job = make(tmp_path)
    for split in ("train", "validation"):
        own(job).get(split, Cut(2), "disk", False)
    found = decided(make(tmp_path), epochs=1.0)
    assert found.kind == "disk" and "nothing is computed" in found.reason


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_random_inputs_are_never_stored(tmp_path, kind):
    job = make(tmp_path)
    job.task = dataclasses.replace(job.task) if dataclasses.is_dataclass(job.task) else job.task
    object.__setattr__(job.task, "random_inputs", True)
    assert "masking is random" in decided(job).reason
    with pytest.raises(ConfigError, match="masking is random"):
        decided(job, where=kind)


def test_a_prefix_that_is_no_fixed_function_is_noticed(tmp_path, monkeypatch):
    job = make(tmp_path)
    plain, seeds = job.backbone.embed, keras.random.SeedGenerator(0)

    def embed(batch, training=None):
        hidden = plain(batch, training)
        return hidden + keras.random.normal(hidden.shape[-1:], stddev=1e-3, seed=seeds)

    monkeypatch.setattr(job.backbone, "embed", embed)
    assert "other outputs for the same input" in decided(job).reason
    with pytest.raises(ConfigError, match="other outputs"):
        decided(job, where="memory")


def test_nothing_frozen_at_the_bottom_cannot_be_stored(tmp_path):
    job = make(tmp_path)
    stage = Stage(freeze_layers=0, feature_cache=FeatureCache(where="memory"))
    with pytest.raises(ConfigError, match="nothing at the bottom is frozen"):
        job.features.decide(stage, job.cuts([stage]), 3.0)


def test_tokens_from_the_store_are_the_same_bits(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    assert any("found in the store" in line for line in second.say.lines)
    for split, encoded in first.splits.items():
        again = second.splits[split]
        assert np.array_equal(encoded.tokens.values, again.tokens.values)
        assert np.array_equal(encoded.full_lengths, again.full_lengths)
        assert np.array_equal(encoded.targets, again.targets)


def test_a_stage_that_trains_below_ends_what_a_later_one_could_use(tmp_path):
    job = make(tmp_path)
    stages = [Stage(freeze_layers=n) for n in (3, 0, 2)]
    assert job.cuts(stages)[""].via == ()
    assert job.cuts([Stage(freeze_layers=n) for n in ("all", 2, 1)])[""].via == (1, 2)


def test_the_store_is_the_users_own(tmp_path, monkeypatch):
    assert make(tmp_path).store.folder == tmp_path / "store"
    assert ExampleReader(make(tmp_path).splits["train"]).pooled is False
    assert isinstance(make(tmp_path).store, Store)
