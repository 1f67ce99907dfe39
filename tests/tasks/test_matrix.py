"""Every task with every kind of body: it trains a step and answers. The docs print this matrix."""

import importlib
import pathlib
import re

import numpy as np
import pytest
from trainings import slow

from tfft.backbones.text.decoder_architectures import ALL
from tfft.backbones.text.generative_backbones import kind_of
from tfft.backbones.text.tiny import tiny
from tfft.baselines import base
from tfft.config.catalog import configurables
from tfft.data import examples
from tfft.evaluation import inference
from tfft.reports.console import Console
from tfft.runs import environment
from tfft.runs.restore import built_head
from tfft.tasks import encoding
from tfft.tasks.base import modality_of, predict_fn, serving_signature
from tfft.testing.task_case import TaskCase
from tfft.training import loop
from tfft.training.prepare_stage import prepare
from tfft.training.schedules import Linear
from tfft.training.stage import Stage

PAGE = pathlib.Path(__file__).parents[2] / "docs/tasks.md"


def case(name):
    """Returns the test case of a task: it has one, with the task and a source."""
    module = importlib.import_module(f"test_{name}")  # pytest has put this folder on the path
    return next(
        value()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, TaskCase) and value is not TaskCase
    )


FILES = (
    pathlib.Path(entry.where.partition(":")[0]).stem
    for entry in configurables().values()
    if entry.kind == "task"
)
ALIKE = ("distilbert", "electra", "roberta", "xlm_roberta")  # in what a task sees of the backbone
NAMES = sorted(name for name in FILES if modality_of(case(name).make_task()) == "text")


def fits(name, kind):
    """Says whether a kind of body gives what a task reads."""
    return case(name).make_task().backbone_output.kind in kind_of(ALL[kind]).offers


def cell(name, kind):
    """Returns a cell. Those of `make test` are text classification on each kind of body.

    Each task has a `TaskCase` on one kind of body beside them.
    """
    quick = name == "text_classification" and kind not in ALIKE
    return (pytest.param if quick else slow)(name, kind)


@pytest.mark.usefixtures("restored_state")
@pytest.mark.matrix
@pytest.mark.parametrize(
    ("name", "kind"), [cell(name, kind) for name in NAMES for kind in ALL if fits(name, kind)]
)
def test_a_task_trains_and_answers_on_a_body(name, kind):
    stage = Stage(
        freeze_layers=2 if kind == "albert" else 1,
        epochs=1,
        batch_size=8,
        schedule=Linear(warmup=0),
    )
    environment.make_deterministic(0, [stage], Console(quiet=True))
    made = case(name)
    source = made.make_source()
    task = made.make_task().with_training_answers(source.label_counts("train"))
    body = tiny(kind).read_for(task)
    columns, answers = examples.read(source, "train")
    columns = tuple(column[:16] for column in columns)
    given = encoding.encoded(task, body.preprocessor, columns, answers[:16])
    prepared = prepare(stage, body, built_head(task, body), task, 4)
    data = loop.ExampleReader(given.encoded)
    plan = loop.plan_epoch(given.encoded.sizes, [int(given.encoded.sizes.max())], 8)
    history = prepared.trained.fit(data.dataset(plan), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    signature = serving_signature(task)
    served, inputs = signature.task, signature.split_inputs(columns)
    asked = encoding.encoded(served, body.read_for(served).preprocessor, inputs)
    outputs = inference.predict(predict_fn(served, prepared.split.full), asked.encoded)
    found = signature.format_predictions(asked, outputs)
    assert len(found) == len(inputs[0]) and all(map(made.named, found))


@pytest.mark.parametrize("name", NAMES)
def test_each_floor_has_a_name_that_a_person_reads(name):
    made = case(name)
    source = made.make_source()
    task = made.make_task().with_training_answers(source.label_counts("train"))
    own = made.make_body().read_for(task).preprocessor
    given = [
        encoding.encoded(task, own, *examples.read(source, split)) for split in ("train", "test")
    ]
    floors = task.build_evaluator().baselines(*given)
    parts = {part for key in floors for part in key.split(" + ")}
    assert parts and parts <= base.NAMES.keys()


def test_the_docs_print_the_matrix():
    text = PAGE.read_text("utf-8").partition("## Backbones")[2]
    [head, *rows] = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if re.match(r"\| ?\w", line) and line.count("|") > 3
    ]
    classes = {name.replace("_", ""): name for name in NAMES}
    assert sorted(head[1:]) == sorted(ALL)
    assert sorted(classes[row[0].lower()] for row in rows) == NAMES
    for name, *cells in rows:
        expected = [fits(classes[name.lower()], kind) for kind in head[1:]]
        assert [cell == "yes" for cell in cells] == expected
