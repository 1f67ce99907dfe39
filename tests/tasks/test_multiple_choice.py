"""Multiple choice: the case that every task gets, its loss by hand, and runs."""

import json

import numpy as np
import pytest

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.data.examples import Examples
from tfft.data.sources.memory import memory
from tfft.errors import ConfigError, DataError
from tfft.export import exported_model, saved_model
from tfft.losses.batch_metrics import ChoiceAccuracy
from tfft.methods import lora
from tfft.reports.console import Console
from tfft.runs.restore import built_head
from tfft.tasks.base import serving_signature
from tfft.tasks.text.multiple_choice import MultipleChoice
from tfft.testing.task_case import TaskCase
from tfft.training.model import assemble

QUIET = Console(quiet=True)
WORDS = ["film", "plot", "movie", "great", "awful", "with", "of"]
ABSENT = MultipleChoice.backbone_output.padding_value


def examples(count, seed, alike=False):
    """Returns questions whose answer is the choice with "good" in it, of 2 to 4."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        choices = [
            f"it was {word}" for word in rng.choice(WORDS, 4 if alike else rng.integers(2, 5))
        ]
        right = int(rng.integers(len(choices)))
        choices[right] = "the good " + " ".join(rng.choice(WORDS, rng.integers(1, 4)))
        question = f"how is the {rng.choice(WORDS)} {number}"
        found.append((question, choices, choices[right] if number % 2 else right))
    return found


def source(count=160, **settings):
    parts = [examples(n, seed, **settings) for n, seed in ((count, 0), (48, 1), (64, 2))]
    return memory(*parts, inputs=("question", "choices"), classes=False)


def train(folder, **settings):
    stage = tfft.Stage(**{"epochs": 2, "learning_rate": 3e-3, "freeze_layers": 1} | settings)
    return api.train(
        MultipleChoice(), tiny(), source(), [stage], workdir=folder, say=QUIET, plots=False
    )


class TestMultipleChoice(TaskCase):
    def make_task(self):
        return MultipleChoice()

    def make_source(self):
        return source()

    def make_body(self):
        return tiny()

    def named(self, prediction):
        return prediction["choice"].startswith(("the ", "it "))


SCORES = np.array([[1.0, 3.0, -1.0], [0.5, 0.2, ABSENT], [2.0, 2.0, 5.0]], np.float32)[..., None]
TRUTH = np.array([1, 1, 0])


def by_hand():
    parts = [np.exp([1.0, 3.0, -1.0]), np.exp([0.5, 0.2]), np.exp([2.0, 2.0, 5.0])]
    pairs = zip(parts, TRUTH, strict=True)
    return [-np.log(each[number] / each.sum()) for each, number in pairs]


def test_the_loss_is_a_softmax_over_the_choices_that_there_are():
    loss = MultipleChoice().build_loss(None)
    assert float(loss(TRUTH, SCORES)) == pytest.approx(np.mean(by_hand()), abs=1e-6)
    weighted = loss(TRUTH, SCORES, sample_weight=np.array([0.0, 3.0, 0.0]))
    assert float(weighted) == pytest.approx(by_hand()[1], abs=1e-6)
    metric = ChoiceAccuracy()
    metric.update_state(TRUTH, SCORES)
    assert float(metric.result()) == pytest.approx(1 / 3)


def test_figures_are_those_of_the_loss_whether_or_not_outputs_are_trimmed():
    task, lists = MultipleChoice(), ['["a", "b", "c"]', '["a", "b"]', '["a", "b", "c"]']
    given = Examples((["q"] * 3, lists), ["1", "b", "0"])
    given = given.with_targets(task.encode_targets(given))
    evaluator, signature = task.build_evaluator(), serving_signature(task)
    for outputs in (list(SCORES), [SCORES[0], SCORES[1, :2], SCORES[2]]):
        found = evaluator.evaluate(given, outputs)
        assert found["log_loss"]["value"] == pytest.approx(np.mean(by_hand()), abs=1e-6)
        assert found["accuracy"]["value"] == pytest.approx(1 / 3)
        rows = signature.format_predictions(given, outputs)
        assert [row["choice"] for row in rows] == ["b", "a", "c"]
        assert [len(row["probabilities"]) for row in rows] == [3, 2, 3]
    shown = evaluator.report_examples(given, outputs)
    assert shown["mistake_count"] == 2 and shown["mistakes"][0]["predicted"] == "c"
    assert shown["mistakes"][0]["truth"] == "a"


@pytest.mark.parametrize(
    "choices,answer,kind,number",
    [
        (["a", "b"], "1", "either", 1),
        (["a", "b"], "b", "either", 1),
        (["2", "0", "1"], "0", "number", 0),
        (["2", "0", "1"], "0", "text", 1),
        (["0", "1"], "1", "either", 1),
    ],
)
def test_an_answer_is_a_number_or_a_text(choices, answer, kind, number):
    given = Examples((["q"], [json.dumps(choices)]), [answer])
    assert MultipleChoice(kind).encode_targets(given).tolist() == [number]


@pytest.mark.parametrize(
    "text,answer,message",
    [
        ('["a", "b"]', "2", r"the answer '2' is none of the choices \['a', 'b'\]"),
        ('["1", "0"]', "0", "the text of one choice and the number of another"),
        ("a, b", "0", "are no JSON"),
        ('{"a": 1}', "0", "are no list of strings"),
        ("[1, 2]", "0", "are no list of strings"),
        ('["a"]', "0", "are not two texts or more"),
        ('["a", " "]', "0", "are not two texts or more"),
    ],
)
def test_data_that_cannot_be(text, answer, message):
    with pytest.raises(DataError, match=message):
        MultipleChoice().encode_targets(Examples((["q"], [text]), [answer]))


def test_an_unknown_kind_of_answer():
    with pytest.raises(ConfigError, match="answer must be .* Received: answer='letter'"):
        MultipleChoice("letter")


def test_floors_are_counted_by_hand():
    given = Examples(
        (["The film is good", "x"], ['["a", "good film"]', '["x", "b", "x"]']), ["1", "1"]
    )
    given = given.with_targets(np.array([1, 1]))
    evaluator = MultipleChoice().build_evaluator()
    floors = evaluator.baselines(given, given)
    assert [each[:, 0].tolist() for each in floors["word_overlap"].outputs] == [[0, 2], [1, 0, 1]]
    assert [each[:, 0].tolist() for each in floors["first"].outputs] == [[1, 0], [1, 0, 0]]
    found = {name: evaluator.evaluate(given, each.outputs) for name, each in floors.items()}
    assert found["word_overlap"]["accuracy"]["value"] == 0.5
    assert found["first"]["accuracy"]["value"] == 0.0


@pytest.mark.parametrize("frozen", [(), ("embeddings", "layer_0"), "all"])
def test_the_model_scores_each_choice_by_itself(frozen):
    task = MultipleChoice()
    body = tiny().read_for(task)
    names = [group.name for group in body.groups] if frozen == "all" else frozen
    head = built_head(task, body)
    model = assemble(body, head, frozenset(names)).full
    choices = [["a good film", "it"], ["bad", "plot of the", "with"]]
    inputs = body.preprocessor(["what is it", "who"], [json.dumps(each) for each in choices])
    found = model(dict(inputs), training=False).numpy()
    assert found.shape == (2, 3, 1) and found[0, 2, 0] == np.float32(ABSENT)
    for row, (question, texts) in enumerate(zip(["what is it", "who"], choices, strict=True)):
        for place, choice in enumerate(texts):
            ids, segments, _ = body.preprocessor.pairs([question], [choice])
            batch = {
                **body.preprocessor.pad(ids),
                "segment_ids": segments["segment_ids"].to_tensor(),
            }
            pooled = body.outputs(batch, training=False)["pooled"]
            np.testing.assert_allclose(found[row, place], head(pooled)[0], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("freeze_layers", [1, "all"])
def test_stored_features_give_what_the_whole_model_does(tmp_path, freeze_layers):
    runs = [
        train(
            tmp_path / kind,
            feature_cache=tfft.FeatureCache(where=kind),
            freeze_layers=freeze_layers,
        )
        for kind in ("memory", "off")
    ]
    losses = [[row["loss"] for row in one.report["curves"]] for one in runs]
    assert np.allclose(*losses, atol=1e-5)
    inputs = [list(column) for column in zip(*examples(9, 7), strict=True)][:2]
    inputs[1] = list(map(json.dumps, inputs[1]))
    one, two = (each.outputs(*inputs) for each in runs)
    for first, second in zip(one, two, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-4)


@pytest.mark.slow
def test_a_run_finds_the_rule_and_its_export_answers(tmp_path):
    found = train(tmp_path, freeze_layers=0, epochs=6, learning_rate=1e-2)
    metrics, floors = found.report["metrics"], found.report["floors"]
    assert metrics["accuracy"]["value"] > 0.9
    assert set(floors) == {"word_overlap", "first"} and floors["first"]["accuracy"]["value"] < 0.7
    [record] = found.report["curves"][-1:]
    assert record["val_accuracy"] > 0.8
    assert {row["by"] for row in found.report["slices"]} >= {"choices"}
    version = found.export(tmp_path / "export", say=QUIET)
    inputs = [["how is the film", "what"], ['["it was bad", "the good plot"]', '["a", "b", "c"]']]
    answers = exported_model.run_export(str(version), inputs, QUIET)
    rows = serving_signature(found.task).format_answers(answers, Examples(tuple(inputs)))
    assert saved_model.difference(rows, found.predict(*inputs)) < 1e-4
    assert rows[0]["choice"] == "the good plot" and len(rows[1]["probabilities"]) == 3


@pytest.mark.slow
def test_adapters_train(tmp_path):
    found = train(tmp_path, freeze_layers=0, method=lora(rank=2), epochs=1)
    assert np.isfinite(found.report["curves"][0]["loss"])
