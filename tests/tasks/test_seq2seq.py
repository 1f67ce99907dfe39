"""A text to another: what a decoder learns, what is written, and that both survive everything."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from generating import body, made, source, translated, translation
from trainings import steps

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.errors import ConfigError
from tfft.evaluation import inference
from tfft.export import exported_model
from tfft.reports.console import Console
from tfft.runs import environment, trainer
from tfft.runs.restore import built_head
from tfft.storage.workdir import Workdir
from tfft.tasks.base import predict_fn, serving_signature
from tfft.tasks.text.seq2seq import Seq2Seq
from tfft.testing.task_case import TaskCase
from tfft.training import loop
from tfft.training.feature_cache.placement import FeatureCache

QUIET = Console(quiet=True)
SOURCES = ["good film", "bad plot film good", "plot"]


class TestSeq2Seq(TaskCase):
    def make_task(self):
        return Seq2Seq(max_new_tokens=8, num_beams=2, length_penalty=0.6, label_smoothing=0.1)

    def make_source(self):
        return source(translated)

    def make_body(self):
        return body("t5")

    def named(self, prediction):
        return isinstance(prediction["text"], str)


def test_the_decoder_reads_the_answer_and_learns_the_next_token():
    task = Seq2Seq(max_new_tokens=4)
    read = body("t5").read_for(task)
    given, _ = made(task, read, SOURCES, ["the film", "one two three four", "bad"])
    end, pad = read.preprocessor.end_id, read.preprocessor.pad_id
    tokens = given.encoded
    [first, second, _] = tokens.decoder.rows()
    assert first[0] == pad and first[-1] == end and second[0] == pad and end not in second
    assert [row.tolist() for row in tokens.targets.rows()][0] == [*first[1:], -1]
    assert (tokens.full_lengths - tokens.kept).tolist()[0::2] == [0, 0]
    warning = "1 of 3 answers are longer than max_new_tokens and are cut"
    assert task.build_evaluator().data_warnings(given) == [warning]
    lengths = tokens.tokens.lengths.tolist()  # a decoder's row is as long as those below it need
    assert tokens.decoder_length(max(lengths)) == 5
    assert tokens.decoder_length(min(lengths)) == len(list(tokens.decoder.rows())[2])
    turned = tokens.take(np.array([2, 0]))
    assert turned.decoder_length(max(lengths)) == len(first)
    batch = loop.ExampleReader(tokens).batch(loop.Batch(np.arange(3), max(lengths)))
    assert batch["decoder_padding_mask"].sum(1).tolist() == tokens.decoder.lengths.tolist()
    given, _ = made(task, read, SOURCES)
    batch = loop.ExampleReader(given.encoded).batch(loop.Batch(np.arange(3), max(lengths)))
    assert batch["decoder_token_ids"].tolist() == [[pad]] * 3


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "beams"), [("t5", 1), ("t5", 3), ("bart", 1)])
def test_each_text_is_answered_alone_as_in_a_batch(kind, beams):
    task = Seq2Seq(max_new_tokens=5, num_beams=beams)
    read = body(kind, seed=1, heads=4).read_for(task)
    _, model = made(task, read, SOURCES)
    batch = read.preprocessor(SOURCES)
    spec = {name: tf.TensorSpec([None, None], tf.int32) for name in batch}
    call = tf.function(predict_fn(task, model), input_signature=[spec], autograph=False)
    together = call(batch)
    assert not together["tokens"].numpy().any()
    lengths = batch["padding_mask"].numpy().sum(1)
    for row, length in enumerate(lengths):
        one = {name: value[row : row + 1] for name, value in batch.items()}
        one |= {name: one[name][:, :length] for name in ("token_ids", "padding_mask")}
        assert call(one)["text"].numpy()[0] == together["text"].numpy()[row]
        if beams == 1:
            ids = greedy(read, one, 5)
            texts = tf.function(read.preprocessor.texts, autograph=False)
            wanted = texts(tf.constant([[*ids, 0]], tf.int32), tf.constant([len(ids)]))
            assert wanted.numpy()[0] == together["text"].numpy()[row]


def greedy(read, batch, longest):
    """Returns the most probable tokens one by one, with nothing kept between them."""
    ids = batch["decoder_token_ids"].numpy()[0].tolist()
    first = len(ids)
    while len(ids) < first + longest:
        given = {
            "decoder_token_ids": tf.constant([ids]),
            "decoder_padding_mask": tf.ones_like([ids]),
        }
        hidden = read.outputs({**batch, **given}, training=False)["tokens"]
        ids.append(int(read.scores(hidden)[0, -1].numpy().argmax()))
        if ids[-1] == read.preprocessor.end_id:
            return ids[first:-1]
    return ids[first:]


@pytest.mark.slow
def test_the_probability_is_that_of_the_formula():
    task = Seq2Seq(max_new_tokens=8)
    read = body("t5").read_for(task)
    given, model = made(task, read, SOURCES, list(map(translation, SOURCES)))
    batch = loop.Batch(np.arange(3), int(given.encoded.sizes.max()))
    targets = given.encoded.targets_of(batch.rows, batch.length)
    logits = model(loop.ExampleReader(given.encoded).batch(batch)).numpy()
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    right = np.take_along_axis(logs, np.maximum(targets, 0)[..., None], -1)[..., 0]
    outputs = inference.predict(predict_fn(task, model), given.encoded)
    expected = (right * (targets >= 0)).sum(1)
    np.testing.assert_allclose(outputs["log_probability"], expected, rtol=1e-5)
    assert outputs["tokens"].tolist() == (targets >= 0).sum(1).tolist()


@pytest.mark.slow
@pytest.mark.usefixtures("restored_state")
@pytest.mark.parametrize("depth", [1, 3])
def test_features_of_the_encoder_kept_or_not_train_alike(tmp_path, depth):
    stage = tfft.Stage(
        freeze_layers=depth,
        epochs=2,
        batch_size=16,
        learning_rate=3e-3,
        schedule=tfft.schedules.Linear(warmup=0),
    )
    found = {}
    for features in ("off", "memory"):
        environment.make_deterministic(0, [stage], QUIET)
        task = Seq2Seq(max_new_tokens=8)
        read = body("t5").read_for(task)
        where = Workdir(tmp_path / features)
        job = trainer.Trainer(task, read, built_head(task, read), 0, where, QUIET)
        job.encode(source(translated, 48, 8, 8))
        found[features] = steps(
            job,
            dataclasses.replace(stage, feature_cache=FeatureCache(where=features)),
            lambda model, task=task: predict_fn(task, model),
        )
    assert found["memory"][2].features.values.shape[1] == 16
    np.testing.assert_allclose(found["memory"][0], found["off"][0], atol=1e-5)
    one, two = (found[kind][1] for kind in ("memory", "off"))
    np.testing.assert_allclose(one["log_probability"], two["log_probability"], atol=1e-3)
    np.testing.assert_array_equal(one["text"], two["text"])


def test_settings_that_cannot_be_are_told(monkeypatch):
    with pytest.raises(ConfigError, match="Seq2Seq.figure must be .* Received: figure='ter'"):
        Seq2Seq(figure="ter")
    with pytest.raises(ConfigError, match="label_smoothing=1"):
        Seq2Seq(label_smoothing=1.0)
    with pytest.raises(ConfigError, match="seq2seq reads a vector a token of an answer"):
        tiny("bert").read_for(Seq2Seq())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="sacrebleu"):
        Seq2Seq().with_training_answers({})


def test_the_main_metric_is_chosen():
    evaluator = Seq2Seq(figure="rouge_l").build_evaluator()
    expected = ["rouge_l", "bleu", "chrf", "exact_match", "perplexity"]
    assert [metric.key for metric in evaluator.metrics] == expected
    assert [metric.key for metric in evaluator.metrics if not metric.greater_is_better] == [
        "perplexity"
    ]
    assert evaluator.aggregate == "mean"
    assert Seq2Seq().build_evaluator().aggregate == "bleu"
    again = Seq2Seq.from_config(Seq2Seq(figure="chrf").get_config())
    assert again.build_evaluator().metrics[0].key == "chrf"


@pytest.mark.slow
def test_a_made_transformation_is_learned_and_exported(tmp_path):
    stage = tfft.Stage(
        epochs=20, learning_rate=3e-3, schedule=tfft.schedules.Linear(warmup=0.1), batch_size=32
    )
    task = Seq2Seq(max_new_tokens=8, figure="chrf")
    data = source(translated, 2000, 16, 64)
    found = tfft.train(
        task,
        body("t5", dim=32, heads=4),
        data,
        [stage],
        workdir=tmp_path / "run",
        say=QUIET,
        plots=False,
    )
    report = found.report
    assert report["main"] == "chrf" and report["metrics"]["exact_match"]["value"] == 1.0
    assert report["floors"]["copy"]["chrf"]["value"] < 30
    version = found.export(tmp_path / "export", say=QUIET)
    served = exported_model.run_export(str(version), (["bad film"],), QUIET)
    assert served["text"] == [b"movie worst"]
    card = json.loads((version / "tfft.json").read_text())["task"]
    again = tfft.tasks.of_card(card, str(version))
    assert serving_signature(again).format_answers(served, None) == [{"text": "movie worst"}]
