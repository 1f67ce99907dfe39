"""Several tasks on one body: the case that every task gets, and what is its own."""

import json

import numpy as np
import pytest
from trainings import newest, same, steps, stopped_after

import tfft
from tfft import api, thresholds
from tfft.backbones.text.tiny import tiny
from tfft.data.encoded_split import Ragged
from tfft.data.examples import Examples
from tfft.data.sources.memory import memory
from tfft.data.sources.mixture import mixture
from tfft.errors import ConfigError, DataError
from tfft.reports.console import Console
from tfft.runs import environment
from tfft.runs.restore import built_head
from tfft.tasks import encoding
from tfft.tasks.base import calibrated_values, predict_fn, with_calibration
from tfft.tasks.multi_task import data as shares
from tfft.tasks.multi_task.multi_task import MultiTask
from tfft.tasks.text.masked_lm import MaskedLM
from tfft.tasks.text.multi_label_classification import MultiLabelClassification
from tfft.tasks.text.text_classification import TextClassification
from tfft.tasks.text.text_pair_classification import TextPairClassification
from tfft.tasks.text.text_regression import TextRegression
from tfft.tasks.text.token_classification import TokenClassification
from tfft.testing.task_case import TaskCase
from tfft.training import loop
from tfft.training.feature_cache.placement import FeatureCache
from tfft.training.schedules import Linear
from tfft.training.stage import Stage

QUIET = Console(quiet=True)
LONGEST = 24  # tokens
NAMES = {"PER": ("anna", "zoe"), "LOC": ("rome", "york")}


def topics(count):
    return [(f"the {['bad', 'great'][i % 2]} film {i}", ["no", "yes"][i % 2]) for i in range(count)]


def tagged(count):
    rows = []
    for number in range(count):
        label = ["PER", "LOC"][number % 2]
        text = f"plot {number} for "
        name = NAMES[label][number // 2 % 2]
        spans = [[len(text), len(text) + len(name), label]]
        rows.append((text + name, json.dumps(spans)))
    return rows


def two_sources(count=64):
    parts = memory(topics(count)), memory(tagged(count), classes=False)
    return mixture(parts, tasks=("topic", "names"))


def two_tasks(**settings):
    tasks = {"topic": TextClassification(dropout=0.0), "names": TokenClassification(dropout=0.0)}
    return MultiTask(tasks, **settings)


class TestMultiTask(TaskCase):
    def make_task(self):
        return two_tasks()

    def make_source(self):
        return two_sources()

    def make_body(self):
        return tiny()

    def named(self, prediction):
        spans = prediction["names"]["spans"]
        return prediction["topic"]["label"] in ("no", "yes") and all(
            s["label"] in NAMES for s in spans
        )


def test_what_a_task_leaves_open_is_settled_on_its_own_examples():
    task = MultiTask(
        {
            "topic": TextClassification(["no", "yes"], calibrate=True),
            "tags": MultiLabelClassification(["a", "b"]),
        }
    )
    outputs = {"topic": np.array([[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]]), "tags": np.zeros((3, 2))}
    answers = ['{"topic": "yes"}', '{"topic": "no", "tags": ["a"]}', '{"tags": ["b"]}']
    found = task.calibration.fit(task, Examples((["one", "two", "three"],), answers), outputs)
    alone, topic = Examples((["one", "two"],), ["yes", "no"], np.array([1, 0])), task.tasks["topic"]
    assert found == {"topic": topic.calibration.fit(topic, alone, outputs["topic"][:2])}
    calibrated = with_calibration(task, found, None)
    assert calibrated_values(calibrated.tasks["topic"]) == found["topic"]
    with pytest.raises(DataError, match="validation split has no example of 'topic'"):
        task.calibration.fit(task, Examples((["three"],), answers[2:]), outputs)


def test_a_task_that_nothing_can_be_settled_for_is_named_before_training(tmp_path):
    parts = memory(topics(64), validation_share=0.0), memory(tagged(64), classes=False)
    source = mixture(parts, tasks=("topic", "names"))
    tasks = {"topic": TextClassification(calibrate=True), "names": TokenClassification()}
    for verb in (api.train, api.check):
        with pytest.raises(ConfigError, match="validation split has no example of 'topic'"):
            verb(MultiTask(tasks), tiny(), source, say=QUIET, workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    tasks = {"topic": TextClassification(), "names": TokenClassification()}
    api.check(MultiTask(tasks), tiny(), source, say=QUIET)
    rows = [("one", "no"), ("two", "no")]
    parts = memory(topics(64), validation=rows, test=rows), parts[1]
    tasks["topic"] = TextClassification(threshold=thresholds.f1())
    with pytest.raises(ConfigError, match="validation split has no example of 'topic/yes'"):
        api.check(MultiTask(tasks), tiny(), mixture(parts, tasks=("topic", "names")), say=QUIET)


@pytest.mark.slow
def test_a_run_learns_both_and_reports_each(tmp_path):
    stages = [Stage(epochs=20, learning_rate=1e-2, batch_size=16, schedule=Linear(warmup=0))]
    run = tfft.train(
        two_tasks(), tiny(), two_sources(), stages, workdir=tmp_path, say=QUIET, plots=False
    )
    metrics = run.report["metrics"]
    assert run.report["main"] == "topic/accuracy"
    assert metrics["topic/accuracy"]["value"] == 1.0 and metrics["names/f1"]["value"] == 1.0
    assert "low" in metrics["names/f1"] and "macro_f1" in metrics["tasks"]["topic"]
    [first, second] = list(run.report["floors"])[:2]
    assert run.report["floors"][first]["topic/accuracy"]["value"] < 1.0
    assert {"topic/yes", "names/PER"} <= metrics["classes"].keys()
    topics_alone = sum(row["support"] for row in metrics["tasks"]["topic"]["classes"].values())
    assert run.report["comparisons"][0]["examples"] == topics_alone
    [found] = run.predict(["plot 7 for zoe"])
    assert [(s["text"], s["label"]) for s in found["names"]["spans"]] == [("zoe", "PER")]
    again = api.evaluate(two_tasks(), tiny(), str(tmp_path), source=two_sources(), say=QUIET)
    assert again["metrics"]["names/f1"] == metrics["names/f1"]


@pytest.mark.slow
@pytest.mark.usefixtures("restored_state")
@pytest.mark.parametrize("freeze_layers", [1, "all"])
def test_stored_features_change_nothing(tmp_path, monkeypatch, freeze_layers):
    monkeypatch.setenv("TFFT_STORE", str(tmp_path / "store"))
    found = {}
    for kind in ("off", "memory"):
        case = TestMultiTask()
        case.stage = Stage(
            freeze_layers=freeze_layers,
            epochs=2,
            batch_size=16,
            feature_cache=FeatureCache(where=kind),
        )
        environment.make_deterministic(0, [case.stage], QUIET)
        job, _ = case.prepare(tmp_path / kind)
        found[kind], outputs, _ = steps(job, case.stage)
        assert all(len(each) == job.splits["test"].size for each in outputs.values())
    np.testing.assert_allclose(found["memory"], found["off"], rtol=1e-5)


@pytest.mark.slow
def test_a_stopped_run_of_rates_continues_to_the_same_bits(tmp_path):
    parts = memory(topics(64)), memory(tagged(64), classes=False)
    source = mixture(parts, tasks=("topic", "names"), rates=(1, 2))
    stage = Stage(freeze_layers=1, epochs=2, batch_size=8, learning_rate=3e-3)

    def train(folder):
        body = tiny(layers=2, dropout=0.1)
        settings = {"workdir": tmp_path / folder, "say": QUIET, "checkpoint_steps": 3}
        return tfft.train(two_tasks(), body, source, [stage], **settings, plots=False).report[
            "metrics"
        ]

    whole = train("whole")
    with stopped_after(7):
        train("stopped")
    assert train("stopped") == whole
    assert same(newest(tmp_path / "whole"), newest(tmp_path / "stopped"))


def given(rows, tasks, body=None):
    """Returns a task with its labels, a body that reads for it, and examples as it learns them."""
    answers = [json.dumps(answer) for _, answer in rows]
    task = MultiTask(tasks).with_training_answers({a: answers.count(a) for a in answers})
    body = (body or tiny()).read_for(task)
    texts = ([text for text, _ in rows],)
    return task, body, encoding.encoded(task, body.preprocessor, texts, answers)


ROWS = (
    ("anna is great", {"topic": "yes", "names": [[0, 4, "PER"]], "score": 2.5}),
    ("a bad plot of a film", {"topic": "no", "tags": ["slow", "long"]}),
    ("nothing here", {"score": "-1", "names": []}),
    ("a film", {"tags": [], "topic": None}),
)
FOUR = {
    "topic": TextClassification(dropout=0.0),
    "names": TokenClassification(dropout=0.0),
    "score": TextRegression(dropout=0.0),
    "tags": MultiLabelClassification(dropout=0.0),
}


def test_each_task_has_targets_of_all_examples_and_a_mask():
    _, _, held = given(ROWS, FOUR)
    targets = {name: part["targets"] for name, part in held.targets.items()}
    masks = {name: part["mask"].tolist() for name, part in held.targets.items()}
    assert masks == {
        "topic": [1, 1, 0, 0],
        "names": [1, 0, 1, 0],
        "score": [1, 0, 1, 0],
        "tags": [0, 1, 0, 1],
    }
    assert targets["topic"].tolist() == [1, 0, 0, 0] and targets["topic"].dtype == np.int32
    assert targets["score"].tolist() == [[2.5], [0.0], [-1.0], [0.0]]
    assert targets["tags"].tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]
    first, second, third, _ = targets["names"].rows()
    assert first[first >= 0].tolist() == [1, 0, 0] and not len(second)
    assert set(third.tolist()) == {-1, 0}  # it has words, and all are outside


def test_a_task_without_examples_has_masked_targets_of_the_same_form():
    task, _, held = given(ROWS, FOUR)
    alone = Examples(held.inputs, [json.dumps({"score": 1})] * 4, None, held.encoded)
    some = alone.with_targets(task.encode_targets(alone)).encoded.targets_of(np.arange(4), LONGEST)
    full = held.encoded.targets_of(np.arange(4), LONGEST)
    for name, part in some.items():
        assert part["targets"].shape == full[name]["targets"].shape
        assert part["targets"].dtype == full[name]["targets"].dtype
        assert part["mask"].tolist() == [float(name == "score")] * 4
    assert (some["names"]["targets"] == -1).all() and not some["tags"]["targets"].any()


def test_the_loss_is_that_of_each_task_by_its_share_of_the_batch():
    task, body, held = given(ROWS, FOUR)
    task.weights["names"] = 2.0
    head = built_head(task, body)
    rng = np.random.default_rng(0)
    y_true = held.encoded.targets_of(np.arange(4), LONGEST)
    y_pred = head(rng.normal(size=(4, 1 + LONGEST, body.dim)).astype("float32"))
    found = float(task.build_loss(head)(y_true, y_pred))
    expected = 0.0
    for name, share in shares.shares(held, task.tasks).items():
        one = task.tasks[name]
        out = np.array(y_pred[name])[share.rows]
        truth = share.examples.targets
        if isinstance(truth, Ragged):
            truth = truth.pad(np.arange(len(share.rows)), LONGEST, -1)
        loss = float(one.build_loss(head.parts[name])(truth, out))
        expected += task.weights[name] * loss * len(share.rows) / 4
    assert found == pytest.approx(expected, rel=1e-5)


def test_metrics_count_a_task_s_own_examples():
    task, _, held = given(ROWS, FOUR)
    y_true = held.encoded.targets_of(np.arange(4), LONGEST)
    y_pred = {"topic": np.array([[0.0, 1.0]] * 4, "f4")}  # always "yes": right for one of two
    named = {metric.name: metric for metric in task.build_metrics()}
    assert named["topic_accuracy"](y_true, y_pred) == 0.5
    named["topic_accuracy"].reset_state()
    first = held.encoded.targets_of(np.arange(1), LONGEST)
    assert named["topic_accuracy"](first, {"topic": y_pred["topic"][:1]}) == 1.0


def test_figures_are_those_of_the_tasks_alone():
    task, _, held = given(ROWS, FOUR)
    probabilities = np.array([[0.2, 0.8], [0.9, 0.1], [0.5, 0.5], [0.5, 0.5]], np.float32)
    evaluator = task.build_evaluator()
    found = evaluator.evaluate(held, {"topic": probabilities})
    assert {"topic/yes", "topic/no"} == found["classes"].keys()
    assert found["topic/accuracy"]["value"] == 1.0 and found["score/mae"] == {"value": None}
    terms = evaluator.main_terms(held, {"topic": probabilities})
    assert terms["score"].tolist() == [1, 1, 0, 0] and terms["there"].tolist() == [1, 1, 0, 0]


def test_a_pooler_is_trained_and_saved_beside_the_tokens():
    task, body, held = given(ROWS, FOUR, tiny(pooling="pooler"))
    assert body.groups[-1].name == "pooler"
    out = predict_fn(task, tfft.build(task, body))(batch_of(held))
    assert {name: tuple(out[name].shape[2:]) for name in ("topic", "names")} == {
        "topic": (),
        "names": (3,),
    }


def batch_of(held):
    rows = np.arange(len(held))
    plan = loop.plan_epoch(held.encoded.sizes, [int(held.encoded.sizes.max())], len(rows))
    return loop.ExampleReader(held.encoded).batch(plan[0])


@pytest.mark.parametrize(
    "tasks, told",
    [
        ({"one": TextClassification()}, "'one'"),
        ({"a/b": TextClassification(), "c": TextClassification()}, "'a/b'"),
        ({"a": TextClassification(), "b": MaskedLM()}, "masked_lm reads or answers"),
        ({"a": TextClassification(), "b": TextPairClassification()}, "text, text_pair"),
    ],
)
def test_tasks_that_cannot_stand_together_are_refused(tasks, told):
    with pytest.raises(ConfigError) as error:
        MultiTask(tasks)
    assert told in error.value.problem


def test_answers_that_are_none_are_refused():
    with pytest.raises(DataError, match="no object"):
        shares.answers_in("yes", FOUR)
    with pytest.raises(DataError, match="'topics' is no task"):
        shares.answers_in('{"topics": "yes"}', FOUR)
    with pytest.raises(DataError, match="'names'"):
        MultiTask(FOUR).with_training_answers({'{"topic": "yes"}': 1})
    with pytest.raises(ConfigError, match="weights"):
        MultiTask(FOUR, {"topics": 1.0})


def test_a_mixture_of_tasks_keeps_the_answers_of_its_sources():
    source = two_sources(64)
    rows = list(source.rows("train"))
    assert [json.loads(row[-1]).keys() for row in rows[:1] + rows[-1:]] == [{"topic"}, {"names"}]
    assert not source.classes and "source" not in source.columns("train")
    data = [row["label"].decode() for row in source.dataset("train").as_numpy_iterator()]
    assert data == [row[-1] for row in rows]
    with pytest.raises(ConfigError, match="1 tasks for 2 sources"):
        mixture([memory(topics(64)), memory(topics(64))], tasks=["a"])


def test_examples_without_answers_have_no_shares():
    held = Examples((["a film"],))
    assert [len(share.rows) for share in shares.shares(held, FOUR).values()] == [0, 0, 0, 0]


def test_labels_are_counted_by_task():
    counts = {json.dumps(answer): 2 for _, answer in ROWS}
    task = MultiTask(FOUR).with_training_answers(counts)
    assert task.target.label_counts(counts) == {
        "topic/no": 2,
        "topic/yes": 2,
        "tags/long": 2,
        "tags/slow": 2,
        "tags/(no label)": 2,
    }
    with pytest.raises(DataError, match="'3,5' is no number: it has a decimal comma"):
        task.target.check({'{"score": "3,5"}': 1})
