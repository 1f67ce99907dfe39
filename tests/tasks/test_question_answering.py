"""Answers out of a context: the case that every task gets, windows, offsets, figures, floors."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from trainings import steps

import tfft
from tfft import examples, export, loop, machine
from tfft import job as jobs
from tfft.backbones.tiny import tiny
from tfft.console import Console
from tfft.errors import ConfigError, DataError
from tfft.metrics import answers, spans
from tfft.metrics.answer_floor import SlidingWindow
from tfft.sources.memory import memory
from tfft.spans import SpanLoss, best_spans
from tfft.tasks.question_answering import QuestionAnswering
from tfft.testing import TaskCase
from tfft.workdir import Workdir

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


class TestOtherBody(TestQuestionAnswering):
    """Two end tokens between the texts, no segments, every question answered."""

    def make_task(self):
        return QuestionAnswering(null_threshold=None, overlap=2)

    def make_body(self):
        return tiny("roberta", layers=2, sequence_length=40)


def encoded(task, body, given):
    """Returns examples with targets for (question, context, answer)."""
    questions, contexts, known = map(list, zip(*given, strict=True))
    known = [json.dumps(each, ensure_ascii=False) for each in known]
    return examples.encoded(task, body.preprocessor, (questions, contexts), known)


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm_roberta", "albert"])
def test_an_answer_is_found_again_in_every_script(kind):
    task = QuestionAnswering(longest_answer=400)
    body = tiny(kind, sequence_length=512).read_for(task)
    given = encoded(task, body, [(q, c, answer(c, text)) for q, c, text in SCRIPTS.values()])
    logits = []
    for (_, context, text), (starts, ends) in zip(
        SCRIPTS.values(), spans.places(given.encoded), strict=True
    ):
        begin = context.index(text)
        logits.append(spans.logits_of(starts, ends, (begin, begin + len(text)), 400))
    found = task.predictions(given, logits)
    for number, ((_, context, text), row) in enumerate(zip(SCRIPTS.values(), found, strict=True)):
        if kind in ("bert", "roberta"):  # SentencePiece may join words with what stands beside
            assert row["answer"] == text
        assert text in row["answer"] and context[row["start"] : row["end"]] == row["answer"]
        length = logits[number].shape[1]
        [marks] = given.encoded.targets.pad(np.array([number]), length, -1)
        for side, mark in enumerate((spans.START, spans.END)):
            right = np.isin(marks, (mark, spans.START + spans.END))
            assert np.array_equal(right, logits[number][0, :, side] == 0)
    read = body.preprocessor(*given.inputs)
    padded = np.full((*read["starts"].shape, 2), -100.0, np.float32)
    for number, each in enumerate(logits):
        padded[number, :, : each.shape[1]] = each
    served = task.serve(tf.constant(padded), read)
    served = {name: list(value.numpy()) for name, value in served.items()}
    assert task.answered(served, given) == found


def by_hand(ids, room, overlap, most):
    """Returns the windows of a context's tokens, and how many of them are read."""
    if len(ids) <= room:
        return [ids], len(ids)
    begins = [*range(0, len(ids) - room, room - overlap), len(ids) - room][:most]
    return [ids[begin : begin + room] for begin in begins], begins[-1] + room


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_windows_are_those_made_by_hand(kind):
    body = tiny(kind, sequence_length=24)
    own = body.preprocessor
    settings = {"question_length": 4, "overlap": 3, "most_windows": 4}
    text = QuestionAnswering(**settings).preprocessor(own)
    questions = ["film", "is the film good", "is this one a good plot or", "film", "plot"]
    lengths = (3, 40, 30, 17, 100)
    contexts = [" ".join(["one"] * 2 + ["the"] * (n - 2)) for n in lengths]
    asked = [row[1:-1] for row in own.tokenize(questions).to_list()]
    whole = [row[1:-1] for row in own.tokenize(contexts).to_list()]
    double = own.double_end
    windows, counts, full, kept = text.windows(questions, contexts)
    rows = windows.to_list()
    for number, count in enumerate(counts.numpy()):
        found, rows = rows[:count], rows[count:]
        first = asked[number][:4]
        room = 24 - 3 - double - len(first)
        inner, read = by_hand(whole[number], room, 3, 4)
        ends = [own.end_id] * (1 + double)
        for row, wanted in zip(found, inner, strict=True):
            ids, starts, _, segments = zip(*row, strict=True)
            assert [*ids] == [own.start_id, *first, *ends, *wanted, own.end_id]
            behind = 1 + len(first) + len(ends)
            assert [*segments] == [0] * behind + [1] * (len(wanted) + 1)
            assert {*starts[:behind], starts[-1]} == {-1} and min(starts[behind:-1]) >= 0
        assert len({len(row) for row in found}) == 1 and (count == 1 or len(found[0]) == 24)
        assert full[number] == len(asked[number]) + len(whole[number]) + 3 + double
        assert kept[number] == len(first) + read + 3 + double


def test_a_split_is_batched_as_it_is_served():
    task = QuestionAnswering(overlap=3, most_windows=3)
    body = tiny(sequence_length=24).read_for(task)
    contexts = ["the film is one", "the " * 60 + "one", "a plot"]
    given = encoded(task, body, [("who", c, answer(c)) for c in contexts])
    tokens = given.encoded
    batch = loop.Batch(np.arange(3), int(tokens.sizes.max()))
    expected = body.preprocessor(*given.inputs)
    for name, value in loop.Inputs(tokens).batch(batch).items():
        assert np.array_equal(value, expected[name])
    marks = tokens.targets_of(batch.rows, batch.length)
    assert np.array_equal(marks >= 0, (expected["starts"] >= 0) | (marks == 3))
    assert marks[:, 0, 0].tolist() == [3, 3, 3] and (marks[:, 1:] < 3).all()
    turned = tokens.take(np.array([2, 1]))
    assert np.array_equal(turned.targets_of(np.arange(2), batch.length), marks[[2, 1]])
    assert np.array_equal([*spans.places(turned)][1][0], [*spans.places(tokens)][1][0])


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
    rows, _ = np.nonzero(marks[0] == spans.START)
    assert rows.tolist() == [0, 1] and (marks[0] == spans.END).sum() == 2
    assert (marks[1] <= 0).all() and marks[1, 0, 0] == 0  # behind the last window
    assert task.notes("train", given.encoded) == [
        "train: 1 of 2 answers are in no window; the loss leaves them out"
    ]
    outputs = np.zeros((2, *marks.shape[1:], 2), np.float32)
    positions = (marks[0] >= 0).sum()
    loss = SpanLoss(reduction="none")(marks, outputs).numpy()
    assert loss == pytest.approx([np.log(positions / 2), 0.0])
    assert task.constant_loss(given.encoded.targets) == pytest.approx(loss.mean())


def test_the_loss_is_one_softmax_over_all_rows():
    rng = np.random.default_rng(0)
    marks = np.full((2, 2, 5), -1)
    marks[0, 0, 0] = marks[1, 0, 0] = 0
    marks[:, :, 2:4] = 0
    marks[0, 1, 2], marks[0, 1, 3], marks[1, 0, 2] = 1, 2, 3
    logits = rng.normal(0, 3, (2, 2, 5, 2)).astype(np.float32)
    expected = []
    for each, scores in zip(marks, logits, strict=True):
        total = np.log(np.exp(scores[each >= 0]).sum(0))
        first, last = (scores[np.isin(each, (side, 3))][0] for side in (1, 2))
        expected.append((total[0] - first[0] + total[1] - last[1]) / 2)
    loss = SpanLoss()
    assert float(loss(marks, logits)) == pytest.approx(np.mean(expected), rel=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(marks, logits)) == pytest.approx(np.mean(expected), rel=1e-5)
    with tf.GradientTape() as tape:
        variable = tf.Variable(logits)
        value = loss(np.full_like(marks, -1), variable)
    assert not tape.gradient(value, variable).numpy().any()


def slow_best(logits, starts, ends, longest):
    """Tries every span."""
    text = (starts >= 0) & (ends > starts)
    positions = [(0, 0), *zip(*np.nonzero(text), strict=True)]
    total = np.log(sum(np.exp(logits[place].astype(float)) for place in positions))
    best = (-np.inf, None)
    for row, left in positions[1:]:
        for right in range(left, min(left + longest, text.shape[1])):
            if text[row, right]:
                score = (logits[row, left] - total)[0] + (logits[row, right] - total)[1]
                best = max(best, (score, (starts[row, left], ends[row, right])))
    return best[1], best[0], (logits[0, 0] - total).sum()


@pytest.mark.parametrize("longest", [1, 3, 40])
def test_the_best_span_is_that_of_a_search(longest):
    rng = np.random.default_rng(longest)
    logits = rng.normal(0, 2, (20, 2, 9, 2)).astype(np.float32)
    starts = np.full((20, 2, 9), -1, np.int32)
    starts[:, :, 3:8] = np.arange(10).reshape(2, 5) * 3
    ends = np.where(starts >= 0, starts + rng.integers(0, 4, starts.shape), -1).astype(np.int32)
    served = [each.numpy() for each in best_spans(tf.constant(logits), starts, ends, longest)]
    for number in range(20):
        found = spans.best(logits[number], starts[number], ends[number], longest)
        where, score, none = slow_best(logits[number], starts[number], ends[number], longest)
        assert (found.start, found.end) == where
        assert found.log_probability == pytest.approx(score, abs=1e-4)
        assert found.none == pytest.approx(none, abs=1e-4)
        assert [served[0][number], served[1][number]] == [*where]
        assert served[2][number] == pytest.approx(found.log_probability, abs=1e-5)
        assert served[3][number] == pytest.approx(found.none, abs=1e-5)


@pytest.mark.parametrize(
    "known,message",
    [
        ("no json", "an answer is 'no json'"),
        ('{"text": ["film"]}', "an answer is"),
        ('{"text": "film", "answer_start": 4}', "an answer is"),
        ('{"text": ["film"], "answer_start": [1, 2]}', "an answer is"),
        ('{"text": ["film"], "answer_start": ["4"]}', "has the text 'film' and the start '4'"),
        ('{"text": [""], "answer_start": [4]}', "has the text '' and the start 4"),
        ('{"text": ["film"], "answer_start": [7]}', "does not stand at character 7"),
    ],
)
def test_a_wrong_answer_is_told(known, message):
    with pytest.raises(DataError, match=message) as caught:
        answers.read(known, "which?", "the 🎬 film")
    assert "'which?'" in caught.value.set_in
    if "7" in known:
        assert caught.value.valid.startswith("answer_start 6, where it first stands")


@pytest.mark.parametrize(
    "found,golds,f1,exact",
    [
        ("The Cat!", ["cat"], 1.0, 1.0),
        ("a black cat", ["the cat", "black dog"], 2 / 3, 0.0),
        ("", [], 1.0, 1.0),
        ("cat", [], 0.0, 0.0),
        ("", ["cat"], 0.0, 0.0),
        ("the", ["the", "..."], 1.0, 1.0),
        ("北京", ["北京"], 1.0, 1.0),
        ("cat cat", ["cat dog cat cat"], 2 / 3, 0.0),
    ],
)
def test_answers_are_compared_as_squad_does(found, golds, f1, exact):
    assert answers.f1(found, golds) == pytest.approx(f1)
    assert answers.exact(found, golds) == exact


def test_a_threshold_has_the_best_sum():
    rng = np.random.default_rng(0)
    for _ in range(20):
        doubts = rng.integers(-3, 4, 30).astype(float)
        given, none = rng.random(30), rng.integers(0, 2, 30).astype(float)
        found = spans.best_threshold(doubts, given, none)
        sums = [np.where(doubts > edge, none, given).sum() for edge in np.arange(-4, 4) + 0.5]
        assert np.where(doubts > found, none, given).sum() == pytest.approx(max(sums))


def test_the_window_floor_finds_what_stands_beside_the_question():
    context = "The plot is thin. Anna Maria Berg wrote the novel in 1851, in Paris. It was read."
    window = SlidingWindow([context, "the film is one", "it was the first in the land"])
    start, end = window.span("Who wrote the novel?", context)
    assert context[start:end] == "Anna Maria Berg"
    assert window.span("Who?", "...") is None


def test_settings_that_cannot_be_are_told():
    own = tiny(sequence_length=24).preprocessor
    for settings, name in [
        ({"question_length": 21}, "question_length=21"),
        ({"question_length": 10, "overlap": 11}, "overlap=11"),
        ({"most_windows": 0}, "most_windows=0"),
    ]:
        with pytest.raises(ConfigError, match=name):
            QuestionAnswering(**settings).preprocessor(own)
    with pytest.raises(ConfigError, match="longest_answer=0"):
        QuestionAnswering(longest_answer=0)
    with pytest.raises(ConfigError, match="null_threshold='best'"):
        QuestionAnswering(null_threshold="best")
    windows = tiny(sequence_length=24, long_texts="windows", window_overlap=2)
    assert windows.read_for(QuestionAnswering(overlap=5)).preprocessor.overlap == 5
    assert tfft.build(QuestionAnswering(), windows).output_shape == (None, None, None, 2)


def test_features_kept_or_not_train_alike(tmp_path):
    stage = tfft.Stage(freeze_layers=1, epochs=2, batch_size=16, learning_rate=3e-3)
    found = {}
    for kind in ("off", "memory"):
        machine.make_deterministic(0, [stage], QUIET)
        task = QuestionAnswering()
        body = tiny(layers=2, sequence_length=24).read_for(task)
        head = jobs.built_head(task, body)
        job = jobs.Job(task, body, head, 0, Workdir(tmp_path / kind), QUIET)
        job.encode(source(sizes=(48, 8, 8), length=30))
        assert job.splits["train"].windows.counts.max() > 1
        found[kind] = steps(job, dataclasses.replace(stage, features=kind))
    np.testing.assert_allclose(found["memory"][0], found["off"][0], atol=1e-5)
    for one, two in zip(found["memory"][1], found["off"][1], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_a_run_learns_answers_and_when_there_is_none(tmp_path):
    from tfft.methods.lora import lora

    stages = [
        tfft.Stage(epochs=6, learning_rate=1e-2, warmup=0, batch_size=16),
        tfft.Stage(name="lora", method=lora(rank=2), epochs=1),
    ]
    task = QuestionAnswering(null_threshold="validation", longest_answer=4)
    body = tiny(layers=1, sequence_length=24, dropout=0.0)
    found = tfft.train(
        task, body, source(length=20, sizes=(320, 40, 40)), stages, workdir=tmp_path, say=QUIET
    )
    report = found.report
    assert report["main"] == "f1" and set(report["floors"]) == {"sliding_window", "no_answer"}
    assert report["floors"]["no_answer"]["f1"]["value"] == pytest.approx(0.2)
    assert {row["value"] for row in report["slices"] if row["by"] == "answer"}
    assert report["mistakes"][0]["text"].startswith("is ")
    assert isinstance(found.task.limit, float) and found.task.decision
    version = found.export(tmp_path / "export", say=QUIET)
    inputs = (["is film"], ["the film 7 of plot 3"])
    served = export.run_export(str(version), inputs, QUIET)
    card = json.loads((version / "tfft.json").read_text())["task"]
    again = tfft.tasks.of_card(card, str(version))
    [row] = again.answered(served, examples.Examples(inputs))
    assert row["answer"] == found.predict(*inputs)[0]["answer"]
    ids = tf.saved_model.load(str(version)).signatures["token_ids"]
    read = found.backbone.preprocessor(*inputs)
    names = ("token_ids", "padding_mask", "segment_ids")
    assert ids(**{name: read[name] for name in names})["logits"].shape[-1] == 2
