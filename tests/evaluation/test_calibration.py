"""Temperature, threshold, the floor of frozen features and comparisons, through a whole run."""

import json
import shutil

import numpy as np
import pytest

import tfft
from tfft import api, thresholds
from tfft.backbones.text.tiny import tiny
from tfft.baselines.frozen_features import feature_floor
from tfft.data.sources.memory import memory
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ConfigError, WorkdirError
from tfft.evaluation import run_comparison
from tfft.export import exported_model
from tfft.metrics.classification.temperature_scaling import fit_temperature, with_temperature
from tfft.reports.console import Console
from tfft.runs import exported
from tfft.runs.restore import DECISION
from tfft.storage.workdir import Workdir
from tfft.tasks.text.text_classification import TextClassification

STAGE = tfft.Stage(freeze_layers=1, epochs=2, learning_rate=2e-3)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run without a decision."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    return api.train(
        TextClassification(),
        tiny(),
        synthetic(256),
        (STAGE,),
        workdir=folder,
        say=QUIET,
        plots=False,
    )


def decide(folder, **more):
    task = TextClassification(calibrate=True, threshold=thresholds.recall_at_precision(0.7))
    settings = {"feature_floor": True, "against": "previous", "workdir": folder, "say": QUIET}
    return api.train(task, tiny(), synthetic(256), (STAGE,), **settings, **more, plots=False)


@pytest.fixture(scope="module")
def decided(plain):
    """The same training, calibrated and with a threshold, beside the first."""
    return decide(plain.workdir.parent / "decided")


def split(name):
    rows = list(synthetic(256).rows(name))
    return [text for text, _ in rows], np.array([label == "class_1" for _, label in rows], int)


def test_the_model_is_scaled_by_the_temperature_of_the_validation_split(plain, decided):
    texts, truth = split("validation")
    outputs = plain.outputs(texts)
    temperature = fit_temperature(truth, outputs)
    assert abs(temperature - 1) > 0.01
    found = json.loads((decided.workdir / DECISION).read_text())
    assert found["temperature"] == pytest.approx(temperature, rel=1e-4)
    expected = with_temperature(outputs, temperature)
    assert np.allclose(decided.outputs(texts), expected, atol=1e-5)
    chosen = thresholds.recall_at_precision(0.7).choose(truth == 1, expected[:, 1])
    assert found["threshold"]["value"] == pytest.approx(chosen["value"], abs=1e-5)


def test_what_was_settled_is_used_everywhere(decided, tmp_path):
    texts, truth = split("test")
    value = decided.report["threshold"]["value"]
    positive = decided.outputs(texts)[:, 1] > value
    rows = decided.predict(texts)
    assert [row["label"] == "class_1" for row in rows] == positive.tolist()
    assert rows[0]["threshold"] == {"class_1": value}
    accuracy = decided.report["metrics"]["accuracy"]["value"]
    assert accuracy == pytest.approx(np.mean(positive == truth))
    assert decided.report["mistake_count"] == int(np.sum(positive != truth))
    again = api.evaluate(
        TextClassification(),
        tiny(),
        str(decided.workdir),
        source=lambda: synthetic(256),
        say=QUIET,
    )
    assert again["metrics"]["accuracy"]["value"] == accuracy


@pytest.mark.slow
def test_the_export_answers_alike_and_states_the_threshold(decided, tmp_path, capsys):
    import tensorflow as tf

    version = decided.export(tmp_path, say=QUIET)
    texts, truth = split("test")
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    answer = served(text=tf.constant(texts))
    assert set(answer) == {"probabilities", "label", "label_id", "threshold"}
    expected = decided.task.build_evaluator().predicted_classes(decided.outputs(texts))
    assert np.array_equal(answer["label_id"].numpy(), expected)
    value = decided.report["threshold"]["value"]
    assert np.allclose(answer["threshold"].numpy(), [[1 - value, value]] * len(texts))
    labels = decided.task.target.names
    answers = exported_model.run_export(str(tmp_path), [texts], QUIET)
    assert np.allclose(np.stack(answers["probabilities"]), decided.outputs(texts), atol=1e-5)
    lines = [
        "text,label",
        *(f"{text},class_{number}" for text, number in zip(texts, truth, strict=True)),
    ]
    (tmp_path / "test.csv").write_text("\n".join(lines) + "\n")
    found = exported.evaluate_export(str(tmp_path), input=str(tmp_path / "test.csv"), say=QUIET)
    assert found["metrics"]["accuracy"] == decided.report["metrics"]["accuracy"]
    capsys.readouterr()
    exported.predict_export(str(tmp_path), input=str(tmp_path / "test.csv"), say=QUIET)
    row = json.loads(capsys.readouterr().out.splitlines()[0])
    assert row["label"] == labels[expected[0]] and row["threshold"] == {"class_1": value}


def test_the_report_has_both_figures_before_and_after(plain, decided):
    texts, truth = split("test")
    calibration = decided.report["temperature"]
    loss = plain.report["metrics"]["log_loss"]["value"]
    assert calibration["before"]["log_loss"] == pytest.approx(loss, abs=1e-4)
    after = decided.report["metrics"]["log_loss"]["value"]
    assert calibration["after"]["log_loss"] == pytest.approx(after, abs=1e-5)
    assert "temperature" not in plain.report and "threshold" not in plain.report
    page = (decided.workdir / "report.html").read_text()
    assert "temperature" in page and "on the validation split" in page
    assert "temperature" not in (plain.workdir / "report.html").read_text()


def test_the_floor_of_frozen_features_is_that_of_the_pretrained_body(plain, decided):
    name = "frozen_features_logistic_regression"
    assert set(decided.report["floors"]) == {"majority", "tfidf_logistic_regression", name}
    assert name not in plain.report["floors"]
    body = tiny()
    pooled = {}
    for part in ("train", "test"):
        batch = body.preprocessor(split(part)[0])
        pooled[part] = np.array(body.outputs(batch, training=False)["pooled"])
    floor = feature_floor(pooled["train"], split("train")[1], pooled["test"], 2)
    kept = run_comparison.open_run(decided.workdir).kept[0]
    assert np.allclose(kept.probabilities[name], floor.outputs, atol=1e-3)
    accuracy = np.mean(floor.outputs.argmax(-1) == split("test")[1])
    assert decided.report["floors"][name]["accuracy"]["value"] == accuracy


def test_slices_asked_for_later_leave_the_floor(decided, tmp_path):
    shutil.copytree(decided.workdir.parent, tmp_path / "runs")
    again = decide(tmp_path / "runs/decided", slices={"film": r"\bfilm\b"})
    assert again.report["floors"] == decided.report["floors"]
    assert "film" in {row["by"] for row in again.report["slices"]}


def test_the_floor_leaves_the_training_as_it_is(plain, decided):
    curves = [[row["val_loss"] for row in each.report["curves"]] for each in (plain, decided)]
    assert curves[0] == curves[1]


def test_the_report_compares_with_floors_and_the_previous_run(plain, decided):
    found = {each["base"]: each for each in decided.report["comparisons"]}
    assert set(found) == {
        "most frequent class",
        "TF-IDF + logistic regression",
        "frozen features + logistic regression",
        plain.workdir.name,
    }
    _, truth = split("test")
    previous = found[plain.workdir.name]
    accuracies = [each.report["metrics"]["accuracy"]["value"] for each in (plain, decided)]
    assert previous["accuracy"]["value"] == pytest.approx(accuracies[1] - accuracies[0])
    assert previous["examples"] == len(truth) and 0 <= previous["mcnemar"]["p"] <= 1
    assert [each["base"] for each in plain.report["comparisons"]] == list(found)[:2]


def test_a_decision_without_validation_data_is_refused(tmp_path):
    pairs = [(f"the film {n}", f"class_{n % 2}") for n in range(20)]
    data = memory(pairs, test=pairs[:4])
    for task in (TextClassification(calibrate=True), TextClassification(threshold=thresholds.f1())):
        with pytest.raises(ConfigError, match="settled on validation data"):
            api.train(
                task, tiny(), data, (STAGE,), workdir=tmp_path / "run", say=QUIET, plots=False
            )
        with pytest.raises(ConfigError, match="settled on validation data"):
            api.check(task, tiny(), data, (STAGE,), say=QUIET)


def test_a_threshold_for_a_label_without_validation_examples_is_refused(tmp_path):
    pairs = [(f"the film {n}", f"class_{n % 2}") for n in range(20)]
    data = memory(pairs, validation=[("one", "class_0"), ("two", "class_0")], test=pairs[:4])
    task = TextClassification(threshold=thresholds.f1())
    for verb in (api.train, api.check):
        with pytest.raises(ConfigError, match="validation split has no example of 'class_1'"):
            verb(task, tiny(), data, (STAGE,), say=QUIET, workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_a_later_stage_watches_is_checked_before_the_first(tmp_path):
    data = memory([(f"the film {n}", f"class_{n % 2}") for n in range(20)], validation_share=0.0)
    stages = (
        STAGE,
        tfft.Stage(
            "second", freeze_layers=1, early_stopping=tfft.EarlyStopping(monitor="val_accuracy")
        ),
    )
    for verb in (api.train, api.check):
        with pytest.raises(ConfigError, match="stage 'second' watches val_accuracy"):
            verb(TextClassification(), tiny(), data, stages, say=QUIET, workdir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_to_compare_with_is_looked_for_before_training(tmp_path):
    with pytest.raises(WorkdirError, match="holds no finished run"):
        api.train(
            TextClassification(),
            tiny(),
            synthetic(64),
            (STAGE,),
            workdir=tmp_path / "run",
            against=str(tmp_path),
            say=QUIET,
            plots=False,
        )
    assert Workdir(tmp_path / "run").read_json("run.json") is None


def test_a_task_without_a_decision_is_described_as_before():
    config = TextClassification(["a", "b"]).get_config()
    assert not {"calibrate", "threshold", "decision"} & set(config)
