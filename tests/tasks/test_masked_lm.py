"""MaskedLM: the case that every task gets, what is hidden, its loss by hand, and runs."""

import json
import math

import numpy as np
import pytest
import tensorflow as tf

import tfft
from tfft import api
from tfft.backbones.from_run import from_run
from tfft.backbones.text.encoder_architectures import ARCHITECTURES
from tfft.backbones.text.tiny import tiny
from tfft.data.sources.memory import memory
from tfft.errors import ConfigError, WeightsError
from tfft.losses.masked_token import HiddenCrossentropy
from tfft.metrics.text import masked_tokens
from tfft.preprocessing.text.masking import MASK, MaskingPreprocessor
from tfft.reports.console import Console
from tfft.runs import exported
from tfft.tasks import encoding
from tfft.tasks.text.masked_lm import MaskedLM
from tfft.testing.task_case import TaskCase
from tfft.training import loop

QUIET = Console(quiet=True)
FOLLOWS = {"good": "film", "bad": "plot", "great": "movie", "worst": "one"}


def texts(count, seed):
    """Returns texts in which a word says which one follows it."""
    rng = np.random.default_rng(seed)
    found = []
    for first in rng.choice(sorted(FOLLOWS), (count, 3)):
        found.append(" ".join(f"{word} {FOLLOWS[word]}" for word in first))
    return found


def source(count=200):
    parts = [[(text, text) for text in texts(n, seed)] for n, seed in ((count, 0), (40, 1))]
    return memory(parts[0], parts[1], parts[1], classes=False)


def train(folder, **settings):
    stage = {"epochs": 30, "learning_rate": 1e-2, "freeze_layers": 0, "batch_size": 50}
    body, task = tiny(layers=1, dim=32, dropout=0.0), MaskedLM(rate=0.2)
    return api.train(
        task,
        body,
        source(),
        [tfft.Stage(**stage | settings)],
        workdir=folder,
        say=QUIET,
        plots=False,
    )


class TestMaskedLM(TaskCase):
    def make_task(self):
        return MaskedLM(rate=0.3)

    def make_source(self):
        return source(60)

    def make_body(self):
        return tiny()

    def named(self, prediction):
        return prediction == {"masks": []}  # no text of the case marks a place


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(tmp_path_factory.mktemp("masked"))


@pytest.mark.slow
def test_a_run_learns_which_word_follows(finished):
    report = finished.report
    figures, floor = report["metrics"], report["floors"]["frequency"]
    assert figures["accuracy"]["value"] > 0.9 > floor["accuracy"]["value"]
    assert figures["perplexity"]["value"] < 2 < floor["perplexity"]["value"]
    assert "frozen features: computed at every step" not in json.dumps(report["notes"])


def test_predictions_name_words_with_their_places(finished):
    marked = ["great [MASK] bad plot good [MASK]", "good film", "bad [MASK]"]
    two, none, one = finished.predict(marked)
    assert none == {"masks": []}
    places = [(place["start"], place["end"]) for place in two["masks"]]
    assert places == [(6, 12), (27, 33)] and all(marked[0][a:b] == MASK for a, b in places)
    best = [place["words"][0] for place in [*two["masks"], *one["masks"]]]
    assert [word["word"] for word in best] == ["movie", "film", "plot"]
    assert all(len(place["words"]) == 5 for place in two["masks"])
    assert all(0.5 < word["probability"] <= 1 for word in best)


@pytest.mark.slow
def test_the_export_answers_as_the_model(finished, tmp_path):
    folder = finished.export(tmp_path)
    served = tf.saved_model.load(str(folder)).signatures["serving_default"]
    found = served(text=tf.constant(["great [MASK] bad plot good [MASK]", "good film"]))
    words = found["words"].numpy()
    assert words.shape == (2, 2, 5) and list(words[0, :, 0]) == [b"movie", b"film"]
    assert not found["probabilities"].numpy()[1].any() and set(words[1].ravel()) == {b""}
    lines = tmp_path / "texts.csv"
    lines.write_text("text\ngreat [MASK] bad plot\n")
    out = tmp_path / "out.jsonl"
    exported.predict_export(str(tmp_path), input=str(lines), output=str(out), say=QUIET)
    [place] = json.loads(out.read_text())["masks"]
    assert place["words"][0]["word"] == "movie"


@pytest.mark.slow
def test_two_runs_have_the_same_bits(tmp_path):
    whole = train(tmp_path / "whole", epochs=2)
    again = train(tmp_path / "again", epochs=2)
    for one, other in zip(whole.model.weights, again.model.weights, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("kind", list(ARCHITECTURES))
def test_words_are_hidden_whole_and_as_many_as_were_asked(kind):
    reader = MaskedLM(rate=0.3).build_preprocessor(tiny(kind).preprocessor)
    given = tf.constant(
        ["the film is great, and the plot was bad", "worst", "", "Größe über 好 🙂"]
    )
    found = {name: value.numpy() for name, value in reader.rows(given).items()}
    again = {name: value.numpy() for name, value in reader.rows(given[::-1]).items()}
    ends = np.cumsum(found["lengths"])
    assert np.array_equal(found["ids"][: ends[0]], again["ids"][-ends[0] :])
    plain = reader.words(given)[0].numpy()
    for row, begin in enumerate([0, *ends[:-1]]):
        ids, truth, words = (found[n][begin : ends[row]] for n in ("ids", "truth", "words"))
        hidden = truth > 0
        assert np.array_equal(np.where(hidden, truth, ids), plain[row])
        assert (ids[hidden] == reader.mask_id).all() and (words[hidden] >= 0).all()
        for word in set(words[hidden]):
            assert hidden[words == word].all()
        allowed = 0.3 * (words >= 0).sum()
        assert hidden.any() == (words >= 0).any()
        assert hidden.sum() <= allowed or len(set(words[hidden])) == 1


def test_without_whole_words_tokens_are_hidden_alone():
    reader = MaskingPreprocessor(0.5, False, **tiny().preprocessor.settings())
    words = np.array([-1, 0, 0, 0, 0, 1, 1, 1, 1, -1])
    hidden = [reader.hide(words, np.random.default_rng(seed)) for seed in range(20)]
    assert all(each.sum() == 4 and not each[[0, -1]].any() for each in hidden)
    assert any(0 < each[1:5].sum() < 4 for each in hidden)


def test_drawn_batches_hide_other_words_and_keep_what_is_there():
    task = MaskedLM(rate=0.4)
    body = tiny().read_for(task)
    given = encoding.encoded(task, body.preprocessor, (texts(400, 3),), texts(400, 3))
    plan = loop.plan_epoch(given.encoded.sizes, [int(given.encoded.sizes.max())], 400)
    inputs = loop.ExampleReader(given.encoded).batch(plan[0])
    targets = given.encoded.targets_of(plan[0].rows, plan[0].length)
    plain = np.where(targets[..., 0] >= 0, targets[..., 0], inputs["token_ids"])
    found, wanted = task.augmentation(inputs, targets, np.random.default_rng(1))
    chosen = wanted[..., 0] >= 0
    assert np.array_equal(np.where(chosen, wanted[..., 0], plain), plain)
    assert (chosen != (targets[..., 0] >= 0)).any()
    assert np.array_equal(found["token_ids"][~chosen], plain[~chosen])
    share = [
        (found["token_ids"][chosen] == body.preprocessor.mask_id).mean(),
        (found["token_ids"][chosen] == plain[chosen]).mean(),
    ]
    assert share[0] == pytest.approx(0.8, abs=0.05) and share[1] == pytest.approx(0.1, abs=0.05)
    same, _ = task.augmentation(inputs, targets, np.random.default_rng(1))
    assert np.array_equal(same["token_ids"], found["token_ids"])


def test_the_loss_is_the_mean_over_hidden_tokens_of_the_tied_scores():
    task = MaskedLM(rate=0.4)
    body = tiny().read_for(task)
    head = task.build_head(body)
    head.build(body.head_shape)
    head.bias.assign(np.random.default_rng(0).normal(size=head.bias.shape))
    vectors = np.random.default_rng(1).normal(size=(2, 3, 16)).astype(np.float32)
    targets = np.array([[[4, 0], [-1, 1], [9, 2]], [[-1, 0], [7, 1], [-1, -1]]])
    table = body.embedding.embeddings.numpy()
    scores = vectors @ table.T + head.bias.numpy()
    logs = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    by_hand = -np.mean([logs[0, 0, 4], logs[0, 2, 9], logs[1, 1, 7]])
    assert float(HiddenCrossentropy(head)(targets, vectors)) == pytest.approx(by_hand, rel=1e-5)
    assert len(head.weights) == 5  # the embedding is the body's


@pytest.mark.slow
def test_the_tied_embedding_is_frozen_with_the_body_and_learns_with_it(tmp_path):
    frozen = train(tmp_path / "frozen", epochs=1, freeze_layers=1)
    assert np.array_equal(
        frozen.backbone.embedding.embeddings.numpy(),
        tiny(layers=1, dim=32).embedding.embeddings.numpy(),
    )
    moved = train(tmp_path / "moved", epochs=1)
    assert not np.array_equal(
        moved.backbone.embedding.embeddings.numpy(),
        tiny(layers=1, dim=32).embedding.embeddings.numpy(),
    )


def test_figures_by_hand():
    truth = [np.array([-1, 3, 5]), np.array([2, -1])]
    outputs = [
        np.array(
            [[0, 0, 0, 0, 0], [3, 5, 0.5, 0.25, math.log(0.5)], [3, 5, 0.5, 0.2, math.log(0.2)]]
        ),
        np.array([[7, 8, 0.6, 0.3, math.log(0.1)], [0, 0, 0, 0, 0]]),
    ]
    found = {name: sums for name, (_, sums) in masked_tokens.measures(truth, outputs).items()}
    assert found["perplexity"]["loss"] == pytest.approx([-math.log(0.1), -math.log(0.1)])
    assert found["perplexity"]["tokens"].tolist() == [2, 1]
    assert found["accuracy"]["part"].tolist() == [1, 0]
    assert found["among_most"]["part"].tolist() == [2, 0]
    share = masked_tokens.shares(np.array([1, 1, 3]), 4)
    assert share == pytest.approx([1 / 7, 3 / 7, 1 / 7, 2 / 7])
    [row] = masked_tokens.constant(share, [np.array([3, -1])], 2)
    assert row[0] == pytest.approx([1, 3, 3 / 7, 2 / 7, math.log(2 / 7)]) and not row[1].any()


def test_a_body_without_a_mask_token_is_refused(monkeypatch):
    body = tiny("xlm_roberta")
    monkeypatch.setattr(body.preprocessor.subwords.tokenizer, "mask_token_id", None)
    with pytest.raises(ConfigError, match="no token for a hidden word"):
        body.read_for(MaskedLM())


@pytest.mark.slow
def test_labels_of_a_source_are_not_looked_at(tmp_path):
    rows = [(text, "ab"[i % 2]) for i, text in enumerate(texts(40, 0))]
    found = api.train(
        MaskedLM(),
        tiny(),
        memory(rows, rows, rows),
        [tfft.Stage(epochs=1)],
        workdir=tmp_path,
        say=QUIET,
        plots=False,
    )
    assert found.report["metrics"]["perplexity"]["value"] > 1


def test_a_body_goes_from_one_run_to_the_next(tmp_path, finished):
    body = from_run(tiny(layers=1, dim=32, dropout=0.0), str(finished.workdir))
    for one, other in zip(body.model.weights, finished.backbone.model.weights, strict=True):
        if "seed" not in one.path:
            assert np.array_equal(one.numpy(), other.numpy())
    assert "weights of the backbone are those of" in body.notes[-1]
    with pytest.raises(ConfigError, match="no folder of a run"):
        from_run(tiny(), str(tmp_path))
    with pytest.raises(WeightsError, match="another shape"):
        from_run(tiny(dim=16), str(finished.workdir))
