"""What follows a prompt: what is learned, what is written, and that both survive everything."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from generating import body, made, prompted, source
from trainings import slow, steps

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.errors import ConfigError
from tfft.evaluation import inference
from tfft.export import exported_model
from tfft.layers import text_generation
from tfft.methods.lora import lora
from tfft.reports.console import Console
from tfft.runs import environment, trainer
from tfft.runs.restore import built_head
from tfft.storage.workdir import Workdir
from tfft.tasks import encoding
from tfft.tasks.base import predict_fn, serving_signature
from tfft.tasks.text.causal_lm import CausalLM
from tfft.tasks.text.text_classification import TextClassification
from tfft.testing.task_case import TaskCase
from tfft.training import loop
from tfft.training.feature_cache.placement import FeatureCache

QUIET = Console(quiet=True)
PROMPTS = ["good film is", "bad is", "plot great good bad is", "film plot is"]


class TestCausalLM(TaskCase):
    def make_task(self):
        return CausalLM(max_new_tokens=8)

    def make_source(self):
        return source(prompted)

    def make_body(self):
        return body("llama")

    def named(self, prediction):
        return isinstance(prediction["text"], str)


def test_the_answer_alone_is_learned():
    task = CausalLM(max_new_tokens=5)
    read = body("llama", sequence_length=12).read_for(task)
    given, _ = made(task, read, ["good film", "the plot"], ["bad", "one two three four five six"])
    tokens, targets = (list(part.rows()) for part in (given.encoded.tokens, given.targets))
    start, end = read.preprocessor.start_id, read.preprocessor.end_id
    assert tokens[0][0] == start and tokens[0][-1] == end and targets[0][-1] == -1
    assert targets[0].tolist() == [-1, -1, *tokens[0][3:], -1]
    assert given.encoded.extra["answer_mask"].pad(np.array([0]), 5).tolist() == [[0, 0, 0, 1, 1]]
    assert (targets[1] >= 0).sum() == 5 and end not in tokens[1]
    cut = given.encoded.full_lengths - given.encoded.kept
    assert cut[0] == 0 and cut[1] > 0
    warning = "1 of 2 answers are longer than max_new_tokens and are cut"
    assert task.build_evaluator().data_warnings(given) == [warning]


def test_of_a_long_prompt_the_end_is_kept():
    read = body("llama", sequence_length=8).read_for(CausalLM(max_new_tokens=3))
    long = read.preprocessor(["good bad film plot great the one"])["token_ids"].numpy()[0]
    last = read.preprocessor(["plot great the one"])["token_ids"].numpy()[0]
    assert long.tolist() == last.tolist() and len(long) == 5
    with pytest.raises(ConfigError, match="leave no room for a prompt"):
        body("llama", sequence_length=8).read_for(CausalLM(max_new_tokens=7))


def test_loss_and_probability_are_those_of_the_formula():
    task = CausalLM(max_new_tokens=8, label_smoothing=0.2)
    read = body("llama").read_for(task)
    given, model = made(task, read, PROMPTS, ["the film", "bad", "one and one", "plot"])
    batch = loop.Batch(np.arange(4), int(given.encoded.sizes.max()))
    targets = given.encoded.targets_of(batch.rows, batch.length)
    logits = model(loop.ExampleReader(given.encoded).batch(batch)).numpy()
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    there = targets >= 0
    right = np.take_along_axis(logs, np.maximum(targets, 0)[..., None], -1)[..., 0]
    each = -(0.8 * right + 0.2 * logs.mean(-1))
    expected = (each * there).sum() / there.sum()
    assert float(task.build_loss(None)(targets, logits)) == pytest.approx(expected, rel=1e-5)
    outputs = inference.predict(predict_fn(task, model), given.encoded)
    assert outputs["tokens"].tolist() == there.sum(1).tolist()
    np.testing.assert_allclose(outputs["log_probability"], (right * there).sum(1), rtol=1e-5)
    bare = encoding.encoded(task, read.preprocessor, (PROMPTS,))
    blind = inference.predict(predict_fn(task, model), bare.encoded)  # the answer is not looked at
    assert blind["text"].tolist() == outputs["text"].tolist() and not blind["tokens"].any()
    found = task.build_evaluator().evaluate(given, outputs)["perplexity"]["value"]
    assert found == pytest.approx(np.exp(-(right * there).sum() / there.sum()), rel=1e-5)


def greedy(read, prompt, longest):
    """Returns the most probable tokens one by one, with nothing kept between them."""
    ids = prompt.numpy().tolist()
    first = len(ids)
    while len(ids) < first + longest:
        whole = {"token_ids": tf.constant([ids]), "padding_mask": tf.ones((1, len(ids)), tf.int32)}
        hidden = read.outputs(whole, training=False)["tokens"]
        ids.append(int(read.scores(hidden)[0, -1].numpy().argmax()))
        if ids[-1] == read.preprocessor.end_id:
            return ids[first:-1]
    return ids[first:]


@pytest.mark.parametrize(("kind", "beams"), [slow("llama", 1), slow("gemma", 1), ("gemma", 3)])
def test_each_text_is_written_alone_as_in_a_batch(kind, beams):
    task = CausalLM(max_new_tokens=5, num_beams=beams)
    read = body(kind, seed=3).read_for(task)
    _, model = made(task, read, PROMPTS)
    batch = read.preprocessor(PROMPTS)
    given = {name: tf.TensorSpec([None, None], tf.int32) for name in batch}
    call = tf.function(predict_fn(task, model), input_signature=[given], autograph=False)
    together = call(batch)
    assert len({*together["text"].numpy()}) > 1 and not together["tokens"].numpy().any()
    lengths = batch["padding_mask"].numpy().sum(1)
    for row, length in enumerate(lengths):
        one = call({name: value[row : row + 1, :length] for name, value in batch.items()})
        assert one["text"].numpy()[0] == together["text"].numpy()[row]
    if beams == 1:
        expected = [
            greedy(read, ids[:n], 5) for ids, n in zip(batch["token_ids"], lengths, strict=True)
        ]
        padded = tf.ragged.constant(expected, dtype=tf.int32)
        texts = tf.function(read.preprocessor.texts, autograph=False)
        wanted = texts(padded.to_tensor(), padded.row_lengths())
        assert together["text"].numpy().tolist() == wanted.numpy().tolist()


def test_a_body_that_gives_something_else_is_refused():
    with pytest.raises(ConfigError, match="causal_lm reads a vector a token that knows"):
        tiny("bert").read_for(CausalLM())
    with pytest.raises(ConfigError, match="text_classification reads one vector a text"):
        body("llama").read_for(TextClassification())


@pytest.mark.slow
@pytest.mark.usefixtures("restored_state")
@pytest.mark.parametrize("kind", ["llama", "gemma"])
def test_features_kept_or_not_train_alike_with_lora(tmp_path, kind):
    method = lora(rank=2, targets=("*/query", "*/value"))
    stage = tfft.Stage(
        freeze_layers=1,
        epochs=2,
        batch_size=16,
        learning_rate=3e-3,
        method=method,
        schedule=tfft.schedules.Linear(warmup=0),
    )
    found = {}
    for features in ("off", "memory"):
        environment.make_deterministic(0, [stage], QUIET)
        task = CausalLM(max_new_tokens=8)
        read = body(kind).read_for(task)
        job = trainer.Trainer(
            task, read, built_head(task, read), 0, Workdir(tmp_path / features), QUIET
        )
        job.encode(source(prompted, 48, 8, 8))
        found[features] = steps(
            job, dataclasses.replace(stage, feature_cache=FeatureCache(where=features))
        )
    np.testing.assert_allclose(found["memory"][0], found["off"][0], atol=1e-5)
    for one, two in zip(found["memory"][1], found["off"][1], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


@pytest.mark.slow
def test_a_made_format_is_learned_and_exported(tmp_path):
    stage = tfft.Stage(
        epochs=12, learning_rate=1e-2, schedule=tfft.schedules.Linear(warmup=0), batch_size=32
    )
    data, task = source(prompted, 512, 16, 48), CausalLM(max_new_tokens=8)
    where = {"feature_floor": True, "workdir": tmp_path / "run", "say": QUIET}
    found = tfft.train(task, body("llama", dim=32), data, [stage], **where, plots=False)
    report = found.report
    assert report["floors"]["pretrained"]["exact_match"]["value"] == 0.0
    assert report["floors"]["pretrained"]["perplexity"]["value"] > 2
    assert report["main"] == "exact_match" and report["metrics"]["exact_match"]["value"] == 1.0
    assert report["metrics"]["perplexity"]["value"] < 1.05
    floor = report["floors"]["most_frequent"]
    assert floor["exact_match"]["value"] < 0.3 and "perplexity" not in floor
    assert report["written"][0]["truth"] == report["written"][0]["predicted"]
    version = found.export(tmp_path / "export", say=QUIET)
    served = exported_model.run_export(str(version), (["good film is"],), QUIET)
    assert served["text"] == [b"the good and film"]
    card = json.loads((version / "tfft.json").read_text())["task"]
    again = tfft.tasks.of_card(card, str(version))
    assert serving_signature(again).format_answers(served, None) == [{"text": "the good and film"}]
    (tmp_path / "new.jsonl").write_text('{"prompt": "bad is", "label": "the bad and bad"}\n')
    figures = tfft.runs.exported.evaluate_export(
        str(version), input=str(tmp_path / "new.jsonl"), say=QUIET
    )
    assert figures["metrics"]["exact_match"]["value"] == 1.0


@pytest.mark.parametrize("kind", ["llama", slow("gpt2")])
def test_losses_of_packed_examples_are_those_of_each_alone(kind):
    task = CausalLM(max_new_tokens=12, packing=True)
    read = body(kind).read_for(task)
    answers = ["the film", "bad", "one", "a plot"]
    given, model = made(task, read, ["good a", "bad is", "the", "plot"], answers)
    packed = task.pack(given.encoded, 32)
    lengths = given.encoded.tokens.lengths
    assert packed.size < 4 and packed.tokens.lengths.max() <= 32
    assert packed.full_lengths.sum() == lengths.sum() == packed.filled.sum()
    found, expected = (losses(model, part) for part in (packed, given.encoded))
    np.testing.assert_allclose(sorted(found), sorted(expected), atol=1e-5)
    assert CausalLM().pack(given.encoded, 32) is given.encoded


def losses(model, encoded):
    """Returns the loss of each token of the answers."""
    batch = loop.Batch(np.arange(encoded.size), int(encoded.sizes.max()))
    targets = encoded.targets_of(batch.rows, batch.length)
    logits = model(loop.ExampleReader(encoded).batch(batch)).numpy()
    total = np.log(np.exp(logits).sum(-1))
    right = np.take_along_axis(logits, np.maximum(targets, 0)[..., None], -1)[..., 0]
    return (total - right)[targets >= 0]


@pytest.mark.slow
def test_a_packed_run_learns_the_same_format(tmp_path):
    data = source(prompted, 96, 8, 8)
    stage = tfft.Stage(
        freeze_layers=1,
        epochs=2,
        learning_rate=1e-2,
        schedule=tfft.schedules.Linear(warmup=0),
        batch_size=4,
        feature_cache=tfft.FeatureCache(where="memory"),
    )
    task = CausalLM(max_new_tokens=8, packing=True)
    found = tfft.train(task, body("llama"), data, [stage], workdir=tmp_path, say=QUIET, plots=False)
    losses = [record["loss"] for record in found.report["curves"]]
    assert losses[1] < losses[0]
    assert found.report["truncation"]["train"]["texts"] == 96


def test_the_body_of_a_model_is_found():
    task = CausalLM(max_new_tokens=8)
    read = body("llama").read_for(task)
    assert text_generation.body_of(made(task, read, PROMPTS)[1]) is read
