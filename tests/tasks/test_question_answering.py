"""Answers out of a context: the case that every task gets, windows, offsets, figures, floors."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from trainings import steps

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.data import examples
from tfft.data.sources.memory import memory
from tfft.errors import ConfigError
from tfft.export import exported_model
from tfft.losses.answer_spans import SpanLoss
from tfft.metrics.text import answer_span_scores
from tfft.reports.console import Console
from tfft.runs import environment, trainer
from tfft.runs.restore import built_head
from tfft.storage.workdir import Workdir
from tfft.tasks import encoding
from tfft.tasks.base import serving_signature
from tfft.tasks.text.question_answering import QuestionAnswering
from tfft.testing.task_case import TaskCase
from tfft.training import loop
from tfft.training.feature_cache.placement import FeatureCache

INPUTS = ("question", "context")
NAMES = ["film", "plot", "movie", "one"]
QUIET = Console(quiet=True)
# One context a script, with an answer that lies behind characters of several bytes.
SCRIPTS = {
    "emoji": ("who?", "😀👩‍👩‍👧 the film 🎬 was one, not the plot", "one"),
    "arabic": ("أين؟", "تقع القاهرة في مصر على نهر النيل", "مصر"),
    "devanagari": ("कहाँ?", "ताज महल आगरा में है", "आगरा"),
    "thai": ("ที่ไหน", "วัดพระแก้วอยู่ในกรุงเทพ ประเทศไทย", "ประเทศไทย"),
    "chinese": ("在哪里?", "故宫在北京 市中心", "北京"),
    "accents": ("où?", "Éléonore habitait à Besançon près d'ici", "Besançon"),
    "combining": ("ou?", "E\u0301le\u0301onore habitait Besanc\u0327on, la", "Besanc\u0327on"),
}


def answer(context, *found):
    """Returns an answer in SQuAD's shape."""
    return {"text": list(found), "answer_start": [context.index(text) for text in found]}


def rows(count, seed, length=12):
    """Returns questions for the number behind a name, of which some contexts have none."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        asked = str(rng.choice(NAMES))
        values = {name: f"{rng.integers(10)}" for name in NAMES}
        words = [f"{name} {values[name]}" for name in rng.permutation(NAMES)]
        words += ["the"] * int(rng.integers(0, length))
        context = " ".join(rng.permutation(words))
        if number % 5 == 4:
            context = context.replace(f"{asked} {values[asked]}", "of")
            known = answer(context)
        else:
            start = context.index(f"{asked} {values[asked]}") + len(asked) + 1
            known = {"text": [values[asked]], "answer_start": [start]}
        found.append({"question": f"is {asked}", "context": context, "label": known})
    return found


def source(length=12, sizes=(96, 24, 24)):
    parts = [rows(count, seed, length) for seed, count in enumerate(sizes)]
    return memory(*parts, inputs=INPUTS, classes=False)


class TestQuestionAnswering(TaskCase):
    def make_task(self):
        return QuestionAnswering()

    def make_source(self):
        return source()

    def make_body(self):
        return tiny(layers=2, sequence_length=24)

    def named(self, prediction):
        start, end, text = (prediction[name] for name in ("start", "end", "answer"))
        return end - start == len(text) and (start < 0) == (not text)


@pytest.mark.slow
class TestOtherBody(TestQuestionAnswering):
    """No segments, every question answered."""

    def make_task(self):
        return QuestionAnswering(null_threshold=None, overlap=2)

    def make_body(self):
        return tiny("distilbert", layers=2, sequence_length=30)


def encoded(task, body, given):
    """Returns examples with targets for (question, context, answer)."""
    questions, contexts, known = map(list, zip(*given, strict=True))
    known = [json.dumps(each, ensure_ascii=False) for each in known]
    return encoding.encoded(task, body.preprocessor, (questions, contexts), known)


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm_roberta", "albert"])
def test_an_answer_is_found_again_in_every_script(kind):
    task = QuestionAnswering(longest_answer=400)
    body = tiny(kind, sequence_length=512).read_for(task)
    given = encoded(task, body, [(q, c, answer(c, text)) for q, c, text in SCRIPTS.values()])
    logits = []
    for (_, context, text), (starts, ends) in zip(
        SCRIPTS.values(), answer_span_scores.places(given.encoded), strict=True
    ):
        begin = context.index(text)
        logits.append(answer_span_scores.logits_of(starts, ends, (begin, begin + len(text)), 400))
    signature = serving_signature(task)
    found = signature.format_predictions(given, logits)
    for number, ((_, context, text), row) in enumerate(zip(SCRIPTS.values(), found, strict=True)):
        if kind in ("bert", "roberta"):  # SentencePiece may join words with what stands beside
            assert row["answer"] == text
        assert text in row["answer"] and context[row["start"] : row["end"]] == row["answer"]
        length = logits[number].shape[1]
        [marks] = given.encoded.targets.pad(np.array([number]), length, -1)
        for side, mark in enumerate((answer_span_scores.START, answer_span_scores.END)):
            right = np.isin(marks, (mark, answer_span_scores.START + answer_span_scores.END))
            assert np.array_equal(right, logits[number][0, :, side] == 0)
    features = body.preprocessor(*given.inputs)
    padded = np.full((*features["starts"].shape, 2), -100.0, np.float32)
    for number, each in enumerate(logits):
        padded[number, :, : each.shape[1]] = each
    served = signature.serving_outputs(tf.constant(padded), features)
    served = {name: list(value.numpy()) for name, value in served.items()}
    assert signature.format_answers(served, given) == found


def test_marks_are_batched_as_the_tokens_are():
    task = QuestionAnswering(overlap=3, most_windows=3)
    body = tiny(sequence_length=24).read_for(task)
    contexts = ["the film is one", "the " * 60 + "one", "a plot"]
    given = encoded(task, body, [("who", c, answer(c)) for c in contexts])
    tokens = given.encoded
    batch = loop.Batch(np.arange(3), int(tokens.sizes.max()))
    expected = body.preprocessor(*given.inputs)
    marks = tokens.targets_of(batch.rows, batch.length)
    assert np.array_equal(marks >= 0, (expected["starts"] >= 0) | (marks == 3))
    assert marks[:, 0, 0].tolist() == [3, 3, 3] and (marks[:, 1:] < 3).all()
    turned = tokens.take(np.array([2, 1]))
    assert np.array_equal(turned.targets_of(np.arange(2), batch.length), marks[[2, 1]])
    assert np.array_equal(
        [*answer_span_scores.places(turned)][1][0], [*answer_span_scores.places(tokens)][1][0]
    )


def test_an_answer_is_right_in_every_window_that_holds_it():
    task = QuestionAnswering(question_length=2, overlap=10, most_windows=3)
    body = tiny(sequence_length=24).read_for(task)
    context = "the " * 14 + "good film " + "the " * 40 + "plot"
    known = answer(context, "good film")
    late = answer(context, "plot")
    given = encoded(task, body, [("a", context, known), ("a", context, late)])
    assert given.encoded.windows.counts.tolist() == [3, 3]
    assert (given.encoded.full_lengths > given.encoded.kept).all()
    marks = given.encoded.targets_of(np.arange(2), int(given.encoded.sizes.max()))
    rows, _ = np.nonzero(marks[0] == answer_span_scores.START)
    assert rows.tolist() == [0, 1] and (marks[0] == answer_span_scores.END).sum() == 2
    assert (marks[1] <= 0).all() and marks[1, 0, 0] == 0  # behind the last window
    evaluator = task.build_evaluator()
    [warning] = evaluator.data_warnings(given)
    assert warning == "1 of 2 answers are in no window, and the loss leaves them out"
    outputs = np.zeros((2, *marks.shape[1:], 2), np.float32)
    positions = (marks[0] >= 0).sum()
    loss = SpanLoss(reduction="none")(marks, outputs).numpy()
    assert loss == pytest.approx([np.log(positions / 2), 0.0])
    assert evaluator.constant_loss(given.encoded.targets) == pytest.approx(loss.mean())


def test_settings_that_cannot_be_are_told():
    with pytest.raises(ConfigError, match="longest_answer=0"):
        QuestionAnswering(longest_answer=0)
    with pytest.raises(ConfigError, match="null_threshold='best'"):
        QuestionAnswering(null_threshold="best")
    with pytest.raises(ConfigError, match="longest_answer=True"):
        QuestionAnswering(longest_answer=True)
    windows = tiny(sequence_length=24, long_texts="windows", window_overlap=2)
    assert windows.read_for(QuestionAnswering(overlap=5)).preprocessor.overlap == 5
    assert tfft.build(QuestionAnswering(), windows).output_shape == (None, None, None, 2)


@pytest.mark.slow
@pytest.mark.usefixtures("restored_state")
def test_features_kept_or_not_train_alike(tmp_path):
    stage = tfft.Stage(freeze_layers=1, epochs=2, batch_size=16, learning_rate=3e-3)
    found = {}
    for kind in ("off", "memory"):
        environment.make_deterministic(0, [stage], QUIET)
        task = QuestionAnswering()
        body = tiny(layers=2, sequence_length=24).read_for(task)
        head = built_head(task, body)
        job = trainer.Trainer(task, body, head, 0, Workdir(tmp_path / kind), QUIET)
        job.encode(source(sizes=(48, 8, 8), length=30))
        assert job.splits["train"].windows.counts.max() > 1
        found[kind] = steps(job, dataclasses.replace(stage, feature_cache=FeatureCache(where=kind)))
    np.testing.assert_allclose(found["memory"][0], found["off"][0], atol=1e-5)
    for one, two in zip(found["memory"][1], found["off"][1], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


@pytest.mark.slow
def test_a_run_learns_answers_and_when_there_is_none(tmp_path):
    from tfft.methods.lora import lora

    stages = [
        tfft.Stage(
            epochs=6, learning_rate=1e-2, schedule=tfft.schedules.Linear(warmup=0), batch_size=16
        ),
        tfft.Stage(name="lora", method=lora(rank=2), epochs=1),
    ]
    task = QuestionAnswering(null_threshold="validation", longest_answer=4)
    body = tiny(layers=1, sequence_length=24, dropout=0.0)
    found = tfft.train(
        task,
        body,
        source(length=20, sizes=(320, 40, 40)),
        stages,
        workdir=tmp_path,
        say=QUIET,
        plots=False,
    )
    report = found.report
    assert report["main"] == "f1" and set(report["floors"]) == {"sliding_window", "no_answer"}
    assert report["floors"]["no_answer"]["f1"]["value"] == pytest.approx(0.2)
    assert {row["value"] for row in report["slices"] if row["by"] == "answer"}
    worst = report["mistakes"][0]
    assert worst["text"].startswith("is ")
    [[start, end, _], *_] = worst["spans"]["truth"]
    assert worst["text"][start:end] in worst["truth"].split(" | ")
    assert '<mark class="' in (found.workdir / "report.html").read_text("utf-8")
    calibration = found.task.calibration
    assert found.task.get_config()["decision"] == {"null_threshold": calibration.limit}
    version = found.export(tmp_path / "export", say=QUIET)
    inputs = (["is film"], ["the film 7 of plot 3"])
    served = exported_model.run_export(str(version), inputs, QUIET)
    card = json.loads((version / "tfft.json").read_text())["task"]
    again = tfft.tasks.of_card(card, str(version))
    [row] = serving_signature(again).format_answers(served, examples.Examples(inputs))
    assert row["answer"] == found.predict(*inputs)[0]["answer"]
    (tmp_path / "new.jsonl").write_text(
        '{"question": "is film", "context": "film 7", "label": {"text": [], "answer_start": []}}\n'
    )
    again = tfft.runs.exported.evaluate_export(
        str(version), input=str(tmp_path / "new.jsonl"), say=QUIET
    )
    declined = found.predict(["is film"], ["film 7"])[0]["answer"] == ""
    assert again["metrics"]["no_answer_accuracy"]["value"] == float(declined)
    ids = tf.saved_model.load(str(version)).signatures["token_ids"]
    read = found.backbone.preprocessor(*inputs)
    names = ("token_ids", "padding_mask", "segment_ids")
    assert ids(**{name: read[name] for name in names})["logits"].shape[-1] == 2
