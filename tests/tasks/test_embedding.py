"""Embedding: the case that every task gets, its losses by hand, and runs."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.data import examples as split_examples
from tfft.data.examples import Examples
from tfft.data.inputs import names_of, texts
from tfft.data.sources.memory import memory
from tfft.errors import ConfigError, DataError
from tfft.evaluation import inference
from tfft.export import saved_model
from tfft.losses.contrastive import CosineError, InBatch, InBatchAccuracy, Triplet
from tfft.methods import lora
from tfft.reports.console import Console
from tfft.runs import exported
from tfft.tasks import encoding
from tfft.tasks.text.embedding import Embedding
from tfft.testing.task_case import TaskCase

QUIET = Console(quiet=True)
WORDS = ["film", "plot", "movie", "great", "awful", "with", "of", "good", "bad", "it"]
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(6, 3, 8))
VECTORS = (VECTORS / np.linalg.norm(VECTORS, axis=-1, keepdims=True)).astype(np.float32)
GROUPS = np.array([0, 1, 2, 1, 3, 4])


def examples(count, seed, loss="in_batch"):
    """Returns texts of two words and others with the same words behind a noise of their own."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        one, two = rng.choice(WORDS, (2, 2))
        first, second = " ".join(one), f"{one[1]} {one[0]} the"
        if loss == "cosine":
            alike = number % 2
            second = second if alike else " ".join(two)
            found.append((first, second, alike))
        elif loss == "triplet":
            found.append((first, second, " ".join(two) + " the", " ".join(sorted(one))))
        else:
            found.append((first, second, " ".join(sorted(one))))
    return found


def source(loss="in_batch", count=160):
    parts = [examples(n, seed, loss) for n, seed in ((count, 0), (48, 1), (64, 2))]
    return memory(*parts, inputs=names_of(Embedding(loss).inputs), classes=False)


def train(folder, task=None, feature_floor=False, **settings):
    stage = tfft.Stage(**{"epochs": 2, "learning_rate": 3e-3, "freeze_layers": 1} | settings)
    where = {"feature_floor": feature_floor, "workdir": folder, "say": QUIET}
    task = task or Embedding()
    return api.train(task, tiny(), source(task.loss), [stage], **where, plots=False)


class TestEmbedding(TaskCase):
    def make_task(self):
        return Embedding(projection=16, dims=(4, 8))

    def make_source(self):
        return source()

    def make_body(self):
        return tiny()

    def named(self, prediction):
        return len(prediction["embedding"]) == 16


def cut(vectors, size):
    part = vectors[..., :size].astype(np.float64)
    return part / np.linalg.norm(part, axis=-1, keepdims=True)


def in_batch(vectors, scale, both):
    """Returns the loss by the formula, an example at a time."""
    found = []
    scores = scale * vectors[:, 0].astype(np.float64) @ vectors[:, 1].T
    for i in range(len(vectors)):
        kept = [j for j in range(len(vectors)) if j == i or GROUPS[j] != GROUPS[i]]
        forward = np.log(np.exp(scores[i, kept]).sum()) - scores[i, i]
        back = np.log(np.exp(scores[kept, i]).sum()) - scores[i, i]
        found.append((forward + back) / 2 if both else forward)
    return np.mean(found)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("dims", [(), (2, 5)])
def test_in_batch_is_the_formula(both, dims):
    found = float(InBatch(7.0, both, dims=dims)(GROUPS, VECTORS))
    parts = [VECTORS, *(cut(VECTORS, size) for size in dims)]
    assert found == pytest.approx(sum(in_batch(each, 7.0, both) for each in parts), abs=1e-5)


def test_cosine_and_triplet_are_the_formulas():
    answers = np.array([1.0, 0.5, -1.0, 0.0, 0.25, 1.0])
    cosines = (VECTORS[:, 0] * VECTORS[:, 1]).sum(-1)
    expected = np.mean((cosines - answers) ** 2)
    assert float(CosineError()(answers, VECTORS)) == pytest.approx(expected, abs=1e-6)
    near, far = (((VECTORS[:, 0] - VECTORS[:, n]) ** 2).sum(-1) for n in (1, 2))
    expected = np.maximum(near - far + 0.3, 0).mean()
    assert float(Triplet(0.3)(GROUPS, VECTORS)) == pytest.approx(expected, abs=1e-6)
    metric = InBatchAccuracy()
    metric.update_state(GROUPS, VECTORS)
    best = (VECTORS[:, 0] @ VECTORS[:, 1].T).argmax(1)
    assert float(metric.result()) == pytest.approx((GROUPS[best] == GROUPS).mean())


def test_losses_come_from_the_arguments():
    assert isinstance(Embedding("cosine").build_loss(None), CosineError)
    assert Embedding("triplet", margin=0.5).build_loss(None).margin == 0.5
    in_batch_loss = Embedding(scale=5.0, both=True, dims=(2,)).build_loss(None)
    assert in_batch_loss.get_config()["scale"] == 5.0
    assert Embedding("triplet").inputs == texts("text", "text_pair", "text_negative")
    assert Embedding("cosine").build_evaluator().metrics[0].key == "spearman"
    with pytest.raises(ConfigError, match="Embedding.loss must be .* Received: loss='mnr'"):
        Embedding("mnr")
    with pytest.raises(ConfigError, match=r"dims=\(4, 9\), and the vectors have 8 numbers"):
        Embedding(dims=(4, 9)).build_head(None).build((None, 8))


def test_targets_are_groups_or_cosines():
    given = Examples((["x"] * 3, ["y"] * 3), ["b", "a", "b"])
    assert Embedding().encode_targets(given).tolist() == [1, 0, 1]
    given = Examples((["x"] * 2, ["y"] * 2), ["5", "2.5"])
    assert Embedding("cosine", highest=5.0).encode_targets(given).tolist() == [1.0, 0.5]
    with pytest.raises(DataError, match="the answer '5' is no number from -1 to 1"):
        Embedding("cosine").encode_targets(given)


@pytest.mark.slow
@pytest.mark.parametrize("freeze_layers", [1, "all"])
def test_stored_features_give_what_the_whole_model_does(tmp_path, freeze_layers):
    runs = [
        train(
            tmp_path / kind,
            Embedding(projection=8),
            feature_cache=tfft.FeatureCache(where=kind),
            freeze_layers=freeze_layers,
        )
        for kind in ("memory", "off")
    ]
    losses = [[row["loss"] for row in one.report["curves"]] for one in runs]
    assert np.allclose(*losses, atol=1e-5)
    one, two = (each.outputs(["good film", "plot"]) for each in runs)
    assert np.allclose(one, two, atol=1e-4)


@pytest.mark.slow
def test_a_run_learns_and_exports_single_texts(tmp_path):
    found = train(tmp_path, freeze_layers=0, epochs=4)
    metrics, floors = found.report["metrics"], found.report["floors"]
    assert list(metrics) == [metric.key for metric in found.task.build_evaluator().metrics]
    assert set(floors) == {"bm25"}
    assert metrics["mrr"]["value"] > 0.8
    assert found.report["curves"][-1]["val_batch_accuracy"] > 0.7
    texts = ["good film", "film good the", "awful plot with it and more of the words"]
    rows = found.predict(texts)
    vectors = np.array([row["embedding"] for row in rows])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    version = found.export(tmp_path / "export", say=QUIET)
    loaded = tf.saved_model.load(str(version)).signatures["serving_default"]
    np.testing.assert_allclose(loaded(text=tf.constant(texts))["embedding"], vectors, atol=1e-4)
    (tmp_path / "new.csv").write_text("text\n" + "\n".join(texts) + "\n")
    files = {"input": str(tmp_path / "new.csv"), "say": QUIET}
    exported.predict_export(str(version), output=str(tmp_path / "1.jsonl"), **files)
    files |= {"text": ("text", "other"), "output": str(tmp_path / "2.jsonl")}
    api.predict(Embedding(), tiny(), tmp_path, **files)
    for name in ("1.jsonl", "2.jsonl"):
        lines = [json.loads(line) for line in (tmp_path / name).open()]
        assert [line.pop("row") for line in lines] == [1, 2, 3]
        assert [line.pop("input") for line in lines] == [{"text": text} for text in texts]
        assert saved_model.difference(lines, rows) < 1e-4
    again = api.evaluate(Embedding(), tiny(), tmp_path, source=source(), say=QUIET)
    assert again["metrics"] == metrics


@pytest.mark.slow
def test_the_body_before_the_training_is_a_floor_and_leaves_the_training_as_it_is(tmp_path):
    one, other = (train(tmp_path / str(asked), None, asked) for asked in (True, False))
    assert set(one.report["floors"]) == {"bm25", "pretrained"}
    task, body = Embedding(), tiny().read_for(Embedding())
    given = encoding.encoded(task, body.preprocessor, *split_examples.read(source(), "test"))
    outputs = inference.predict(tfft.build(task, body), given.encoded)
    found = task.build_evaluator().evaluate(given, outputs)
    assert one.report["floors"]["pretrained"] == json.loads(json.dumps(found))
    assert found["mrr"]["value"] < one.report["metrics"]["mrr"]["value"]
    assert "before the training" in (one.workdir / "report.html").read_text()
    assert one.report["metrics"] == other.report["metrics"]
    for first, second in zip(one.report["curves"], other.report["curves"], strict=True):
        assert first["loss"] == second["loss"] and first["val_loss"] == second["val_loss"]


def test_a_head_with_weights_of_its_own_has_no_such_floor(tmp_path):
    with pytest.raises(ConfigError, match="this task has no baseline of frozen features"):
        train(tmp_path, Embedding(projection=8), True)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["cosine", "triplet"])
def test_other_losses_train(tmp_path, loss):
    found = train(tmp_path, Embedding(loss, dims=(8,)), freeze_layers=0, method=lora(rank=2))
    losses = [row["loss"] for row in found.report["curves"]]
    assert losses[-1] < losses[0]
    main = found.task.build_evaluator().metrics[0].key
    assert found.report["metrics"][main]["value"] > 0.3
    assert len(found.predict(["good"])[0]["embedding"]) == found.backbone.dim
