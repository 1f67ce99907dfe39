"""The verbs on a tiny body: resuming to the bit, the report's files, predictions and exports."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import forks
import numpy as np
import pytest
from finished_runs import STAGES, two_stages
from finished_runs import train_synthetic as train
from trainings import newest, same

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ExportError, WorkdirError
from tfft.export import exported_model, saved_model
from tfft.reports.console import Console
from tfft.runs import exported
from tfft.tasks.base import serving_signature

SCRIPT = """
import sys, tfft
from tfft.data.sources.synthetic import synthetic
stages = (
    tfft.Stage("head", freeze_layers="all", epochs=1, learning_rate=1e-2),
    tfft.Stage("upper", freeze_layers=1, epochs=3, learning_rate=3e-3),
)
tfft.train(tfft.tasks.TextClassification(), tfft.backbones.tiny(), synthetic(256), stages,
           workdir=sys.argv[1], checkpoint_steps=2)
"""


@pytest.fixture(scope="module")
def trained(finished_run, tmp_path_factory):
    """The run of two stages, opened from a copy of its folder."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    return train(shutil.copytree(finished_run(two_stages), folder))


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def kill(folder, steps):
    """Starts the run in a process that is killed once it has a checkpoint at `steps` or later."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        with contextlib.suppress(IndexError, FileNotFoundError):
            if int(newest(folder).stem.split("-")[1]) >= steps:
                process.kill()
                break
        time.sleep(0.002)
    return process.wait()


def test_a_killed_run_continues_to_the_same_bits(finished_run, tmp_path, capsys):
    whole, killed = finished_run(two_stages), tmp_path / "killed"
    # 8 batches an epoch: step 18 is in the second epoch of the second stage.
    assert kill(killed, 18) == -signal.SIGKILL and not (killed / "report.json").exists()
    train(killed, checkpoint_steps=2, say=Console())
    said = capsys.readouterr().err
    assert "continuing in" in said and "stage 2, epoch" in said
    assert newest(whole).name == newest(killed).name
    assert same(newest(whole), newest(killed))
    assert same(*(folder / "best/weights.safetensors" for folder in (whole, killed)))
    curves = [lines(folder / "metrics.jsonl") for folder in (whole, killed)]
    for one, two in zip(*curves, strict=True):
        assert {**one, "seconds": 0} == {**two, "seconds": 0}


def test_several_steps_in_one_execution_train_and_count_alike(tmp_path):
    """Eight batches an epoch in executions of three: the last one of an epoch is not full."""
    ends = []
    for steps in (1, 3):
        stage = tfft.Stage(
            "head",
            freeze_layers="all",
            epochs=2,
            learning_rate=1e-2,
            execution=tfft.Execution(steps_per_execution=steps),
        )
        folder = tmp_path / str(steps)
        train(folder, stages=(stage,), checkpoint_steps=2)
        records = lines(folder / "metrics.jsonl")
        ends.append((newest(folder), [{**one, "seconds": 0} for one in records]))
    assert ends[0][0].name == ends[1][0].name and ends[0][1][-1]["step"] == 16
    assert same(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]


@pytest.mark.slow
@pytest.mark.parametrize("freeze_layers", [1, "all"])
def test_a_body_pooled_by_its_first_token_trains_and_predicts(tmp_path, freeze_layers):
    task, body = tfft.tasks.TextClassification(), tiny(pooling="pooler")
    stage = tfft.Stage(freeze_layers=freeze_layers, epochs=2, learning_rate=3e-3)
    found = api.train(
        task, body, synthetic(256), (stage,), workdir=tmp_path, say=Console(quiet=True), plots=False
    )
    losses = [record["loss"] for record in lines(tmp_path / "metrics.jsonl")]
    assert losses[-1] < losses[0]
    texts = ["the film is mark1", "mark0 of the plot and of the long story"]
    body.packed = False
    np.testing.assert_allclose(found.outputs(texts), found.outputs(texts[::-1])[::-1], atol=1e-6)


@pytest.mark.slow
def test_gradual_unfreezing_trains_stage_after_stage(tmp_path):
    stage = tfft.GradualUnfreezing(
        tfft.Stage(
            "up", epochs=1, learning_rate=3e-3, optimizer=tfft.optimizers.AdamW(layer_decay=0.8)
        )
    )
    found = train(tmp_path / "run", stages=(stage,))
    depths = [f"up from {depth}" for depth in range(found.backbone.depth - 1, -1, -1)]
    assert [one["name"] for one in found.report["stages"]] == ["up head", *depths]
    last = {row["group"]: row for row in found.report["stages"][-1]["groups"]}
    assert last["head"]["rate_factors"] == [1.0, 1.0]
    assert last["embeddings"]["rate_factors"][0] == pytest.approx(0.8 ** (found.backbone.depth + 1))


def test_the_workdir_holds_what_it_should(trained):
    names = {path.name for path in trained.workdir.iterdir()}
    assert {"run.json", "metrics.jsonl", "checkpoints", "best", "report.json"} <= names
    assert {"report.html", "report.md", "tensorboard"} <= names
    assert "train.plots = False" in (trained.workdir / "report.html").read_text()
    found = json.loads((trained.workdir / "report.json").read_text())
    assert set(found["floors"]) == {"majority", "tfidf_logistic_regression"}
    assert {"training", "encoding", "evaluation"} <= set(found["seconds"])
    described = json.loads((trained.workdir / "run.json").read_text())
    expected = {"format", "versions", "devices", "git_commit", "identity", "folder", "data"}
    expected.add("integrity")
    assert set(described) == expected
    assert {"config", "data", "weights", "seed"} == set(described["identity"])


def test_the_same_call_again_reuses_the_run(trained, capsys):
    again = train(trained.workdir, say=Console())
    assert "training is complete" in capsys.readouterr().err
    texts = ["the film is mark1", "mark0 of the plot"]
    assert np.array_equal(again.outputs(texts), trained.outputs(texts))


def test_slices_asked_for_later_remake_the_report(tmp_path):
    source = synthetic(256)
    texts = [text for text, _ in source.rows("test")]
    stage = tfft.Stage("head", freeze_layers="all", epochs=1, learning_rate=1e-2)
    first = train(tmp_path, stages=(stage,))
    assert {row["by"] for row in first.report["slices"]} == {"class", "length", "cut"}
    slices = {"film": r"\bfilm\b", "words": lambda text: "many" if len(text) > 60 else "few"}
    again = train(tmp_path, stages=(stage,), slices=slices)
    counts = {(row["by"], row["value"]): row["texts"] for row in again.report["slices"]}
    film = sum("film" in text.split() for text in texts)
    assert counts["film", "yes"] == film and counts["film", "no"] == len(texts) - film
    assert counts["words", "many"] + counts["words", "few"] == len(texts)
    assert again.report["metrics"] == first.report["metrics"]
    once_more = train(tmp_path, stages=(stage,), slices=slices)
    assert once_more.report == again.report


def test_a_broken_slice_is_found_before_training(tmp_path):
    with pytest.raises(tfft.UserError, match="no regular expression"):
        train(tmp_path / "run", slices={"odd": "("})
    assert not (tmp_path / "run").exists()


def test_another_seed_or_stage_is_refused(trained):
    with pytest.raises(WorkdirError, match="seed: there 0, now 1"):
        train(trained.workdir, seed=1)
    with pytest.raises(WorkdirError, match="config differs"):
        train(trained.workdir, stages=STAGES[:1])


def test_a_body_with_sentence_pieces_that_was_used_before_is_trained(tmp_path):
    body = tiny("xlm_roberta")
    body.preprocessor(["a film"])
    task, stage = tfft.tasks.TextClassification(), tfft.Stage(freeze_layers=1, epochs=1)
    found = api.train(
        task, body, synthetic(64), [stage], workdir=tmp_path, say=Console(quiet=True), plots=False
    )
    assert found.report["curves"]


@pytest.mark.slow
def test_features_from_memory_give_the_result_of_none(tmp_path):
    runs = []
    for features in ("memory", "off"):
        stage = tfft.Stage(
            freeze_layers=1,
            epochs=2,
            learning_rate=3e-3,
            feature_cache=tfft.FeatureCache(where=features),
        )
        runs.append(train(tmp_path / features, stages=[stage]))
    losses = [[row["loss"] for row in each.report["curves"]] for each in runs]
    assert np.allclose(*losses, atol=1e-5)
    texts = [f"the film mark{n % 2} is it" for n in range(9)]
    assert np.allclose(runs[0].outputs(texts), runs[1].outputs(texts), atol=1e-4)


def test_predictions_have_names_and_keep_the_order(trained):
    texts = ["mark1", "mark0 the film and a plot with it", "the"]
    rows = trained.predict(texts)
    assert all(set(row["probabilities"]) == {"class_0", "class_1"} for row in rows)
    for text, row in zip(texts, rows, strict=True):
        [alone] = trained.predict([text])
        assert alone["label"] == row["label"]
        assert np.isclose(
            alone["probabilities"]["class_0"], row["probabilities"]["class_0"], atol=1e-5
        )


def test_predict_writes_lines_and_does_not_overwrite(trained, tmp_path):
    (tmp_path / "new.csv").write_text("text\nmark1\nmark0 the film\n")
    settings = dict(input=str(tmp_path / "new.csv"), output=str(tmp_path / "out.jsonl"))
    say = Console(quiet=True)
    task = tfft.tasks.TextClassification()
    assert api.predict(task, tiny(), str(trained.workdir), say=say, **settings) == 2
    rows = lines(tmp_path / "out.jsonl")
    assert len(rows) == 2 and set(rows[0]) == {"row", "input", "label", "probabilities"}
    assert [row["row"] for row in rows] == [1, 2]
    with pytest.raises(WorkdirError, match="exists"):
        api.predict(task, tiny(), str(trained.workdir), say=say, **settings)
    api.predict(task, tiny(), str(trained.workdir), say=say, force=True, **settings)


@pytest.mark.slow
def test_the_export_takes_raw_text_and_agrees(trained, tmp_path):
    version = trained.export(tmp_path / "export", say=Console(quiet=True))
    assert version.name == "1" and trained.export(tmp_path / "export").name == "2"
    inputs, labels = (["mark1", "mark0 film"],), ["class_0", "class_1"]
    answers = exported_model.run_export(str(tmp_path / "export"), inputs, Console())
    assert np.allclose(
        np.stack(answers["probabilities"]), trained.outputs(["mark1", "mark0 film"]), atol=1e-5
    )
    import tensorflow as tf

    loaded = tf.saved_model.load(str(version))
    answer = loaded.signatures["serving_default"](text=tf.constant(["mark1", ""]))
    assert set(answer) == {"probabilities", "label", "label_id"}
    assert answer["label"].numpy()[0].decode() == labels[int(answer["label_id"][0])]
    ids = loaded.signatures["token_ids"](
        token_ids=tf.constant([[2, 5, 3]]), padding_mask=tf.constant([[1, 1, 1]])
    )
    assert ids["probabilities"].shape == (1, 2)


def test_an_export_that_differs_is_removed(trained, tmp_path):
    signature = serving_signature(trained.task)
    served = saved_model.Served(trained.model, trained.backbone.preprocessor, signature)
    inputs = (trained.held_out[0][:4],)
    wrong = (trained.outputs(*inputs) + 1e-3).tolist()

    def differ(answers):
        return saved_model.difference(wrong, np.stack(answers["probabilities"]).tolist())

    with pytest.raises(ExportError, match="differs from the model in memory by 0.001"):
        saved_model.export(tmp_path, served, {}, inputs, differ)
    assert list(tmp_path.iterdir()) == []


def test_an_exported_model_predicts_and_evaluates_files(trained, tmp_path, capsys):
    trained.export(tmp_path / "export", say=Console(quiet=True))
    (tmp_path / "new.csv").write_text("text,label\nmark1,class_1\nmark0 the film,class_0\n")
    folder, given = str(tmp_path / "export"), str(tmp_path / "new.csv")
    capsys.readouterr()
    assert exported.predict_export(folder, input=given, say=Console(quiet=True)) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[0])["label"] in ("class_0", "class_1")
    found = exported.evaluate_export(folder, input=given, say=Console(quiet=True))
    assert sum(map(sum, found["metrics"]["confusion_matrix"])) == 2


def test_evaluate_reports_the_held_out_split_as_the_run_did(trained):
    found = api.evaluate(
        tfft.tasks.TextClassification(),
        tiny(),
        str(trained.workdir),
        source=lambda: synthetic(256),
        say=Console(quiet=True),
    )
    assert found["metrics"]["confusion_matrix"] == trained.report["metrics"]["confusion_matrix"]
    assert found["slices"] == trained.report["slices"]


def test_evaluate_slices_a_new_file(trained, tmp_path, capsys):
    rows = [
        f"{'a film' if n % 3 else 'no'} mark{n % 2},class_{n % 2},{1990 + n % 4}" for n in range(24)
    ]
    (tmp_path / "new.csv").write_text("\n".join(["text,label,year", *rows]) + "\n")
    found = api.evaluate(
        tfft.tasks.TextClassification(),
        tiny(),
        str(trained.workdir),
        input=str(tmp_path / "new.csv"),
        columns=("year", "place"),
        slices={"film": r"\bfilm\b", "second": lambda text: text.endswith("1")},
        say=Console(quiet=True),
    )
    counts = {(row["by"], row["value"]): row["texts"] for row in found["slices"]}
    assert all(counts["year", str(year)] == 6 for year in range(1990, 1994))
    assert (counts["film", "yes"], counts["film", "no"]) == (16, 8)
    assert counts["second", "yes"] == counts["class", "class_1"] == 12
    shown = capsys.readouterr()
    assert "Slices (the worst" in shown.out
    assert "new.csv has no column 'place': there are no slices by it" in shown.err


def test_check_ends_ready_and_trains_one_step(capsys):
    api.check(tfft.tasks.TextClassification(), tiny(), synthetic(256), STAGES, say=Console())
    out = capsys.readouterr().out
    assert out.strip().endswith("ready") and "s an epoch" in out


def test_an_empty_workdir_has_nothing_to_predict_with(tmp_path):
    (tmp_path / "new.csv").write_text("text\na\n")
    with pytest.raises(WorkdirError, match="holds no trained weights"):
        api.predict(
            tfft.tasks.TextClassification(), tiny(), str(tmp_path), input=str(tmp_path / "new.csv")
        )


def test_build_gives_a_model_for_a_loop_of_one_s_own():
    model = tfft.build(
        tfft.tasks.TextClassification(["a", "b"]), tiny(), tfft.Stage(freeze_layers=1)
    )
    assert model.compiled and model.optimizer is not None
    with pytest.raises(tfft.UserError, match="needs to know the labels"):
        tfft.build(tfft.tasks.TextClassification(), tiny())


CONFIG = r"""
train.task = @TextClassification()
train.backbone = @tiny()
train.source = @synthetic()
synthetic.examples = 128
train.stages = (@Stage(),)
train.plots = False
Stage.freeze_layers = 1
Stage.epochs = 1
Stage.learning_rate = 1e-3
train.slices = {"film": r"\bfilm\b"}
"""


OWN = """
from tfft.tasks.text.text_classification import TextClassification

def has_negation(text, words=("not", "no")):
    return any(word in text.split() for word in words)

class OwnTask(TextClassification):
    name = "own_task"
"""
OWN_CONFIG = (
    "import my_tasks\n"
    + CONFIG.replace("@TextClassification()", "@my_tasks.OwnTask()").replace(
        'r"\\bfilm\\b"', '@my_tasks.has_negation, "even": @my_tasks.has_negation'
    )
    + 'OwnTask.dropout = 0.2\nhas_negation.words = ("film",)\n'
)


def test_own_tasks_and_slices_from_the_command_line(tmp_path):
    (tmp_path / "own.gin").write_text(OWN_CONFIG)
    (tmp_path / "my_tasks.py").write_text(OWN)
    refused = command(tmp_path, "train", "--gin_file=own.gin", "--workdir=one")
    assert refused.returncode == 2 and "--allow_imports=my_tasks" in refused.stderr
    allow = "--allow_imports=my_tasks"
    trained = command(tmp_path, "train", "--gin_file=own.gin", "--workdir=one", allow)
    assert trained.returncode == 0, trained.stderr
    found = json.loads((tmp_path / "one/report.json").read_text())
    assert found["task"] == "own_task" and allow in found["command"]
    assert {row["value"] for row in found["slices"] if row["by"] == "film"} == {"yes", "no"}
    (tmp_path / "more.csv").write_text("text,label\nmark1 film,class_1\nmark0 plot,class_0\n")
    words = ("evaluate", "--workdir=one", "--input=more.csv")
    assert "'import my_tasks' is refused" in command(tmp_path, *words).stderr
    evaluated = command(tmp_path, *words, allow)
    assert evaluated.returncode == 0, evaluated.stderr
    assert re.search(r"^film +yes +1 ", evaluated.stdout, re.MULTILINE)
    again = command(tmp_path, "train", "--gin_file=one/config.gin", "--workdir=one", allow)
    assert again.returncode == 0, again.stderr
    shown = command(tmp_path, "show", "OwnTask", "--gin_file=own.gin", allow)
    assert re.search(r"^dropout +0.1 ", shown.stdout, re.MULTILINE), shown.stderr
    assert re.search(r"^my_tasks.OwnTask.dropout +0.2 ", shown.stdout, re.MULTILINE)


def command(folder, *words):
    """Runs the binary as a person does."""
    return forks.run([sys.executable, "-m", "tfft", *words], folder)


def test_the_config_in_the_workdir_repeats_the_run_to_the_bit(tmp_path):
    (tmp_path / "own.gin").write_text(CONFIG)
    first = command(tmp_path, "train", "--gin_file=own.gin", "--workdir=one", "--seed=7")
    assert first.returncode == 0, first.stderr
    again = command(tmp_path, "train", "--gin_file=one/config.gin", "--workdir=two")
    assert again.returncode == 0, again.stderr
    assert same(newest(tmp_path / "one"), newest(tmp_path / "two"))
    sliced = json.loads((tmp_path / "two/report.json").read_text())["slices"]
    assert {row["value"] for row in sliced if row["by"] == "film"} == {"yes", "no"}
    assert (tmp_path / "one/config.gin").read_text() == (tmp_path / "two/config.gin").read_text()
    (tmp_path / "more.csv").write_text("text,label\nmark1 film,class_1\nmark0 plot,class_0\n")
    found = command(tmp_path, "evaluate", "--workdir=one", "--input=more.csv")
    assert found.returncode == 0 and "accuracy" in found.stdout, found.stderr
    assert re.search(r"^film +yes +1 ", found.stdout, re.MULTILINE)
    (tmp_path / "odd.csv").write_text("text,label\nmark1 film,class_9\nmark0 film,class_0\n")
    odd = command(tmp_path, "evaluate", "--workdir=one", "--input=odd.csv")
    assert odd.returncode == 2 and "Traceback" not in odd.stderr
    assert "the label 'class_9' was not in the training data" in odd.stderr
    other = command(tmp_path, "train", "--gin_file=own.gin", "--workdir=one", "--seed=8")
    assert other.returncode == 2 and "holds another run" in other.stderr
