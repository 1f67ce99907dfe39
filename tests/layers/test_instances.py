"""Long texts in windows: the windows, the averages, and runs in which a text is one example."""

import dataclasses
import json
import signal

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.data import folds
from tfft.data.encoded_split import encode
from tfft.data.encoded_towers import pack, unpack
from tfft.data.example_reader import ExampleReader
from tfft.data.examples import Examples
from tfft.data.folds import POOL
from tfft.data.length_buckets import Batch
from tfft.data.sources.memory import memory
from tfft.errors import ConfigError
from tfft.evaluation import inference, run_comparison
from tfft.export import exported_model
from tfft.layers.instances import Average, Each
from tfft.reports.console import Console
from tfft.runs.restore import built_head
from tfft.storage import cache_store
from tfft.tasks.text.text_classification import TextClassification
from tfft.training import checkpointing
from tfft.training.feature_cache import cache
from tfft.training.feature_cache.cache_keys import Cut
from tfft.training.model import assemble
from tfft.training.regularizers import AdversarialStep, Mixup, NoisyEmbeddings, RDrop

WORDS = ["the", "film", "is", "a", "plot", "of", "it", "and", "movie", "on", "was", "with"]
LENGTH, OVERLAP = 16, 4
QUIET = Console(quiet=True)


def windows(average="features", **settings):
    settings = {"sequence_length": LENGTH, "window_overlap": OVERLAP} | settings
    return tiny(long_texts="windows", window_average=average, **settings)


def told(count, last, seed=0):
    """Returns a text of `count` words and one more."""
    rng = np.random.default_rng([seed, count])
    return " ".join([*rng.choice(WORDS, count), last])


def examples(count, lengths, seed=0):
    """Returns texts whose label stands in their last word."""
    rng = np.random.default_rng(seed)
    names = ["bad", "good"]
    return [
        (told(int(rng.integers(*lengths)), names[n % 2], seed + n), names[n % 2])
        for n in range(count)
    ]


def source(lengths=(2, 40), count=160):
    rows = [examples(n, lengths, seed) for n, seed in ((count, 0), (48, 1000), (64, 2000))]
    return memory(*rows)


def train(folder, body, data=None, **settings):
    stage = tfft.Stage(**{"epochs": 2, "learning_rate": 3e-3, "freeze_layers": 1} | settings)
    task = TextClassification()
    return api.train(task, body, data or source(), [stage], workdir=folder, say=QUIET, plots=False)


def by_hand(ids, length, overlap, most):
    """Returns the windows of a text's ids without special tokens, and how many are read."""
    room = length - 2
    if len(ids) <= room:
        return [ids], len(ids)
    begins = list(range(0, len(ids) - room, room - overlap)) + [len(ids) - room]
    if len(begins) > most:
        begins = [number * (room - overlap) for number in range(most)]
    return [ids[begin : begin + room] for begin in begins], begins[-1] + room


@pytest.mark.matrix
@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm_roberta"])
@pytest.mark.parametrize("overlap,most", [(0, 8), (4, 8), (13, 50), (4, 2), (4, 1)])
def test_windows_are_those_made_by_hand(kind, overlap, most):
    text = windows(architecture=kind, window_overlap=overlap, most_windows=most).preprocessor
    texts = [told(count, "good") for count in (1, 5, 12, 13, 14, 15, 23, 24, 33, 34, 80)]
    whole = [row[1:-1] for row in text.tokenize(texts).to_list()]
    rows, full, _, counts, kept = text.read(texts)
    rows, counts = rows.to_list(), counts.numpy().tolist()
    assert full.numpy().tolist() == [len(ids) + 2 for ids in whole]
    for ids, count, read in zip(whole, counts, kept.numpy(), strict=True):
        wanted, covered = by_hand(ids, LENGTH, overlap, most)
        found, rows = rows[:count], rows[count:]
        assert [row[1:-1] for row in found] == wanted and read == covered + 2
        assert all(row[0] == text.start_id and row[-1] == text.end_id for row in found)
    assert rows == []


def test_a_text_that_fits_is_as_it_was():
    cut, text = tiny(sequence_length=LENGTH).preprocessor, windows().preprocessor
    texts = [told(count, "good") for count in (1, 5, 12)]
    one, two = cut(texts), text(texts)
    for name, value in one.items():
        assert np.array_equal(value, two[name][:, 0])
    assert text.fingerprint() != cut.fingerprint()
    assert "long_texts" not in cut.config() and "window_average" not in tiny().config()


def encoded(body, texts, targets=None):
    parts = ((texts[start : start + 3],) for start in range(0, len(texts), 3))
    return dataclasses.replace(encode(parts, body.preprocessor), targets=targets)


def test_a_split_in_windows_is_stored_and_batched():
    body = windows(most_windows=3)
    texts = [told(count, "good") for count in (3, 20, 7, 60)]
    data = encoded(body, texts, np.arange(4, dtype=np.int32))
    assert data.size == 4 and data.windows.counts.tolist() == [1, 2, 1, 3]
    assert data.sizes.tolist() == [6, 32, 10, 48]
    assert data.full_lengths.tolist() == [6, 23, 10, 63] and data.kept.tolist() == [6, 23, 10, 36]
    assert data.truncation() == {"texts": 4, "cut_texts": 1, "tokens": 102, "cut_tokens": 27}
    batch = ExampleReader(data).batch(Batch(np.array([3, 0, 1]), 48))
    expected = body.preprocessor([texts[3], texts[0], texts[1]])
    for name, value in batch.items():
        assert value.dtype == np.int32 and np.array_equal(value, expected[name])
    short = ExampleReader(data).batch(Batch(np.array([2, 0]), 10))
    assert short["token_ids"].shape == (2, 1, 10)
    again = unpack(pack(data), body.preprocessor)
    assert again.sizes.tolist() == data.sizes.tolist() and again.kept.tolist() == [6, 23, 10, 36]
    assert data.by_row().sizes.tolist() == [6, 16, 16, 10, 16, 16, 16]


@pytest.mark.matrix
@pytest.mark.parametrize("average", ["features", "probabilities"])
@pytest.mark.parametrize("frozen", [(), ("embeddings", "layer_0"), "all"])
def test_the_model_averages_over_the_windows_of_a_text(average, frozen):
    body, task = windows(average), TextClassification(["a", "b", "c"])
    names = [group.name for group in body.groups] if frozen == "all" else frozen
    head = built_head(task, body)
    model = assemble(body, head, frozenset(names)).full
    texts = [told(count, "good") for count in (3, 50, 20, 12)]
    found = model(dict(body.preprocessor(texts)), training=False).numpy()
    rows, _, _, counts, _ = body.preprocessor.read(texts)
    pooled = body.outputs(body.preprocessor.pad(rows), training=False)["pooled"]
    parts = np.split(pooled.numpy(), np.cumsum(counts.numpy())[:-1])
    if average == "features":
        expected = head(np.stack([part.mean(0) for part in parts])).numpy()
    else:
        expected = np.stack([head(part).numpy().mean(0) for part in parts])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("freeze_layers", [0, 1, "all"])
def test_nothing_changes_where_no_text_is_long(tmp_path, freeze_layers):
    data = source((2, 12))
    bodies = {"cut": tiny(sequence_length=LENGTH), "windows": windows()}
    for name, body in bodies.items():
        train(tmp_path / name, body, data, freeze_layers=freeze_layers)
    one, two = (load_file(tmp_path / name / "best/weights.safetensors") for name in bodies)
    assert one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)
    records = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()] for name in bodies
    ]
    for first, second in zip(*records, strict=True):
        assert first | {"seconds": 0} == second | {"seconds": 0}


@pytest.mark.slow
@pytest.mark.parametrize("average", ["features", "probabilities"])
def test_windows_find_what_a_cut_text_lacks(tmp_path, average):
    data, settings = source((20, 40), 320), {"freeze_layers": 0, "epochs": 8, "learning_rate": 1e-2}
    cut = train(tmp_path / "cut", tiny(sequence_length=LENGTH), data, **settings)
    read = train(tmp_path / "read", windows(average), data, **settings)
    assert cut.report["metrics"]["accuracy"]["value"] < 0.7
    assert read.report["metrics"]["accuracy"]["value"] > 0.8
    assert set(cut.report["ledger"]["figure"]) == {"cut"}
    assert set(read.report["ledger"]["figure"]) == {"windows"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "average,freeze_layers",
    [
        ("features", 1),
        ("probabilities", 1),
        ("features", "all"),
        ("probabilities", "all"),
    ],
)
def test_stored_features_give_what_the_whole_model_does(tmp_path, average, freeze_layers):
    runs = [
        train(
            tmp_path / kind,
            windows(average),
            feature_cache=tfft.FeatureCache(where=kind),
            freeze_layers=freeze_layers,
        )
        for kind in ("memory", "off")
    ]
    losses = [[row["loss"] for row in one.report["curves"]] for one in runs]
    assert np.allclose(*losses, atol=1e-5)
    texts = [told(count, "good") for count in (3, 50, 20, 12)]
    assert np.allclose(runs[0].outputs(texts), runs[1].outputs(texts), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("freeze_layers", [0, 1, "all"])
def test_figures_during_training_are_per_text(tmp_path, freeze_layers):
    data = source()
    found = train(tmp_path, windows(), data, epochs=1, freeze_layers=freeze_layers)
    [record] = found.report["curves"]
    texts, labels = zip(*data.rows("validation"), strict=True)
    truth = found.task.encode_targets(Examples((texts,), labels))
    outputs = found.outputs(texts)
    assert record["val_accuracy"] == pytest.approx((outputs.argmax(-1) == truth).mean())
    losses = -np.log(outputs[np.arange(len(truth)), truth])
    assert record["val_loss"] == pytest.approx(losses.mean(), abs=1e-5)
    assert found.report["truncation"]["train"]["texts"] == 160
    assert record["step"] == 5  # 160 texts in batches of 32


@pytest.mark.slow
@pytest.mark.parametrize("freeze_layers", [1, "all"])
def test_a_stopped_run_continues_to_the_same_bits(tmp_path, monkeypatch, freeze_layers):
    settings = {
        "freeze_layers": freeze_layers,
        "epochs": 3,
        "execution": tfft.Execution(steps_per_execution=1),
    }
    train(tmp_path / "whole", windows(), **settings)
    count = checkpointing.Recorder.on_train_batch_end

    def stop(self, batch, logs=None):
        if self.position.total_steps == 7:
            signal.raise_signal(signal.SIGINT)
        count(self, batch, logs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpointing.Recorder, "on_train_batch_end", stop)
        train(tmp_path / "stopped", windows(), **settings)
    assert not (tmp_path / "stopped/report.json").exists()
    train(tmp_path / "stopped", windows(), **settings)
    newest = [
        sorted((tmp_path / name / "checkpoints").glob("step-*"))[-1]
        for name in ("whole", "stopped")
    ]
    one, two = map(load_file, newest)
    assert one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)


@pytest.mark.slow
@pytest.mark.parametrize(
    "average,pooling",
    [
        ("features", "mean"),
        ("features", "cls"),
        ("probabilities", "mean"),
        ("probabilities", "cls"),
    ],
)
def test_the_export_takes_raw_long_texts(tmp_path, average, pooling):
    found = train(tmp_path / "run", windows(average, pooling=pooling), epochs=1)
    version = found.export(tmp_path / "export", say=QUIET)
    texts = [told(count, "good") for count in (3, 120, 20, 12)]
    outputs = np.stack(exported_model.run_export(str(version), [texts], QUIET)["probabilities"])
    np.testing.assert_allclose(outputs, found.outputs(texts), atol=1e-4)
    loaded = tf.saved_model.load(str(version))
    [alone] = loaded.signatures["serving_default"](text=tf.constant(texts[1:2]))["probabilities"]
    np.testing.assert_allclose(alone, outputs[1], atol=1e-4)
    ids = loaded.signatures["token_ids"](**found.backbone.preprocessor(texts))
    np.testing.assert_allclose(ids["probabilities"], outputs, atol=1e-4)
    rows = found.predict(texts)
    names = found.task.target.names
    assert [row["label"] for row in rows] == [names[row.argmax()] for row in outputs]


def test_predictions_do_not_depend_on_the_other_texts():
    body, task = windows(), TextClassification(["a", "b"])
    model = assemble(body, built_head(task, body), frozenset()).full
    texts = [told(count % 70, "good", count) for count in range(200)]
    together = inference.predict(model, encoded(body, texts), batch_size=8)
    for row in (0, 69, 131):
        alone = inference.predict(model, encoded(body, texts[row : row + 1]))
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


@pytest.mark.parametrize("layer", [Average(), Each(-1.0)])
def test_several_outputs_of_rows_are_put_together_one_by_one(layer):
    mask = np.array([[[1, 1], [1, 0]], [[1, 0], [0, 0]]], "int32")
    rows = {"a": np.arange(8, dtype="f4").reshape(4, 2), "b": np.ones((4, 3), "f4")}
    found = layer(rows, mask)
    for name, each in rows.items():
        assert np.array_equal(found[name], layer(each, mask))


def test_a_model_of_one_s_own_loop_takes_what_the_preprocessor_gives():
    body = windows()
    model = tfft.build(TextClassification(["a", "b"]), body, tfft.Stage(freeze_layers=1))
    inputs = dict(body.preprocessor([told(30, "good"), "bad"]))
    found = model.train_on_batch(inputs, np.array([1, 0]), return_dict=True)
    assert np.isfinite(found["loss"]) and model(inputs).shape == (2, 2)


@pytest.mark.slow
def test_lengths_of_batches_may_be_given(tmp_path):
    given = tfft.Batching(padded_lengths=(16, 48, 128))
    found = train(tmp_path, windows(), batching=given, epochs=1)
    assert found.report["curves"]
    with pytest.raises(ConfigError, match="the longest text has 64 tokens"):
        given = tfft.Batching(padded_lengths=(16, 48))
        train(tmp_path / "2", windows(), batching=given, epochs=1)
    found = train(tmp_path / "3", windows(), batching=tfft.Batching(max_size=512), epochs=1)
    assert found.report["curves"]


def test_check_reads_windows(capsys):
    api.check(TextClassification(), windows(), source(), [tfft.Stage(freeze_layers=1)])
    shown = capsys.readouterr()
    assert shown.out.strip().endswith("ready")
    assert "long texts in windows of 16 tokens: " in shown.err


@pytest.mark.parametrize(
    "settings,message",
    [
        ({"long_texts": "window"}, "Received: long_texts='window'"),
        ({"long_texts": "windows", "window_overlap": 14}, "window_overlap=14 does not fit"),
        (
            {"long_texts": "windows", "window_overlap": -1},
            "0 or more. Received: window_overlap=-1",
        ),
        (
            {"long_texts": "windows", "most_windows": 0},
            "1 or more. Received: most_windows=0",
        ),
        ({"long_texts": "windows", "window_average": "mean"}, "Received: window_average='mean'"),
        ({"window_overlap": 4}, 'no effect with long_texts="cut"'),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        tiny(sequence_length=LENGTH, **settings)


def test_the_smallest_window_holds_one_token():
    text = tiny(sequence_length=3, long_texts="windows").preprocessor
    _, full, _, counts, kept = text.read(["the film is a plot"])
    assert counts.numpy().tolist() == [5] and full.numpy() == kept.numpy() == 7


def test_another_average_is_another_run_with_the_same_tokens():
    one, two = windows(), windows("probabilities")
    assert one.config() != two.config()
    assert one.preprocessor.fingerprint() == two.preprocessor.fingerprint()


@pytest.mark.slow
@pytest.mark.parametrize("freeze_layers", [0, 1, "all"])
def test_noise_shift_and_two_passes_work_on_padded_windows(tmp_path, freeze_layers):
    regularizers = (NoisyEmbeddings(5.0), AdversarialStep(0.1), RDrop(0.5))
    found = train(tmp_path, windows(), freeze_layers=freeze_layers, regularizers=regularizers)
    assert np.isfinite([row["loss"] for row in found.report["curves"]]).all()
    assert np.isfinite(found.outputs([told(50, "good"), "bad"])).all()


@pytest.mark.slow
def test_features_of_texts_are_mixed_and_probabilities_are_not(tmp_path):
    mixed = {"regularizers": (Mixup(0.4),), "epochs": 1}
    found = train(tmp_path / "1", windows(), **mixed)
    assert np.isfinite(found.report["curves"][0]["loss"])
    with pytest.raises(ConfigError, match="mixes the features of two texts"):
        train(tmp_path / "2", windows("probabilities"), **mixed)


def test_some_texts_of_a_split_are_as_they_are_alone():
    body, targets = windows(most_windows=3), np.arange(6, dtype=np.int32)
    texts = [told(count, "good", count) for count in (3, 20, 7, 60, 40, 12)]
    whole = encoded(body, texts, targets)
    for rows in ([4, 0, 3], [1, 2, 5], [2, 2, 1], [0]):
        alone = encoded(body, [texts[row] for row in rows], targets[rows])
        some = whole.take(np.array(rows))
        for name in ("sizes", "kept", "full_lengths", "targets", "size"):
            assert np.array_equal(getattr(some, name), getattr(alone, name))
        assert np.array_equal(some.windows.offsets, alone.windows.offsets)
        assert some.truncation() == alone.truncation()
        batch = Batch(np.arange(len(rows))[::-1], 48)
        one, two = ExampleReader(some).batch(batch), ExampleReader(alone).batch(batch)
        assert one.keys() == two.keys() and all(np.array_equal(one[key], two[key]) for key in one)


@pytest.mark.matrix
@pytest.mark.parametrize("cut", [Cut(0), Cut(1), Cut(2, True)])
@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_features_of_a_fold_are_picked_window_by_window(cut, kind):
    body = windows(most_windows=4)
    texts = [told(count, "good", count) for count in range(1, 70, 3)]
    pool = encoded(body, texts)
    fold = {"train": np.arange(23) % 3 != 1, "validation": np.arange(23) % 3 == 1}
    splits = {split: pool.take(np.flatnonzero(rows)) for split, rows in fold.items()}
    rows = {split: each.by_row() for split, each in {**splits, POOL: pool}.items()}
    features = cache.Features(body, rows, cache_store.Store(QUIET), QUIET)
    for split, some in splits.items():
        alone = encoded(body, [texts[row] for row in np.flatnonzero(fold[split])])
        found = features.get(split, cut, kind, False)
        parts = cache.Features(body, {split: alone.by_row()}, cache_store.Store(QUIET), QUIET)
        batch = Batch(np.arange(some.size), 64)
        one = ExampleReader(some, found).batch(batch)
        two = ExampleReader(alone, parts.get(split, cut, "memory", False)).batch(batch)
        assert one.keys() == two.keys()
        for name in one:
            np.testing.assert_allclose(one[name], two[name], atol=1e-5)


def of_fold(data, number, count):
    """Returns the texts and labels of a fold in a source of its own."""
    pool = folds.lists(data, ["train", "validation"])
    rows = folds.fold_numbers(pool, count, 0)[number]
    pairs = list(zip(*pool, strict=True))
    held = [[pairs[row] for row in rows[split]] for split in ("train", "validation")]
    return memory(*held, list(data.rows("test")))


def train_folds(folder, average, features, data, **settings):
    stages = [
        tfft.Stage(
            "head", freeze_layers="all", epochs=1, feature_cache=tfft.FeatureCache(where=features)
        ),
        tfft.Stage(
            "upper",
            freeze_layers=1,
            epochs=2,
            learning_rate=3e-3,
            feature_cache=tfft.FeatureCache(where=features),
        ),
    ]
    settings = {"workdir": folder, "feature_floor": True, "say": QUIET} | settings
    return api.train(TextClassification(), windows(average), data, stages, **settings, plots=False)


@pytest.mark.slow
@pytest.mark.parametrize("average,features", [("features", "off"), ("probabilities", "memory")])
def test_each_fold_is_the_run_on_its_own_split(tmp_path, monkeypatch, average, features):
    filled, fill = [], cache.Features._fill

    def counting(self, split, cut, *rest):
        filled.append((split, cut.depth))
        fill(self, split, cut, *rest)

    monkeypatch.setenv("TFFT_STORE", str(tmp_path / "store"))
    data = source((2, 60), 60)
    with monkeypatch.context() as patch:
        patch.setattr(cache.Features, "_fill", counting)
        best = train_folds(tmp_path / "folds", average, features, data, folds=2)
    stored = [(POOL, 1), (POOL, 2), ("test", 2)]
    assert sorted(filled) == (stored[1:] if features == "off" else stored)
    train_folds(tmp_path / "alone", average, "off", of_fold(data, 1, 2))
    one, two = map(run_comparison.open_run, (tmp_path / "folds/fold-1", tmp_path / "alone"))
    for name in ("truncation", "lengths"):
        assert one.report[name] == two.report[name]
    bits = features == "off"  # stored ones are computed in other batches, which round otherwise
    for first, second in zip(one.report["curves"], two.report["curves"], strict=True):
        assert not bits or first | {"seconds": 0} == second | {"seconds": 0}
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert first[name] == pytest.approx(second[name], abs=1e-6)
    found, wanted = one.kept[0].probabilities, two.kept[0].probabilities
    assert not bits or np.array_equal(found["model"], wanted["model"])
    assert found.keys() == wanted.keys() and len(found) == 4  # with three floors
    for name in found:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-5)
    if features == "memory":
        check_verbs(best, data, tmp_path / "export")


def check_verbs(best, data, folder):
    """Evaluates and exports the best run of a plan."""
    again = api.evaluate(
        TextClassification(), windows("probabilities"), best.workdir, source=data, say=QUIET
    )
    for name, value in best.report["metrics"].items():
        assert again["metrics"][name] == value
    assert again["ledger"]["figure"] == best.report["ledger"]["figure"]
    best.export(folder, say=QUIET)
    texts = [told(count, "good") for count in (3, 120, 20, 12)]
    answers = exported_model.run_export(str(folder), [texts], QUIET)
    np.testing.assert_allclose(np.stack(answers["probabilities"]), best.outputs(texts), atol=1e-4)
