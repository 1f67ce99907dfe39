"""Every task: its export gives the metrics of its run on the same file, or says why it cannot."""

import json

import numpy as np
import pytest
import tensorflow as tf
import test_image_classification as images
from test_matrix import NAMES, case, fits

from tfft import api
from tfft.backbones.text.decoder_architectures import ALL
from tfft.backbones.text.tiny import tiny
from tfft.data import examples
from tfft.data.inputs import names_of
from tfft.errors import ExportError
from tfft.export.operations import foreign_operations
from tfft.export.saved_model import Served
from tfft.reports.console import Console
from tfft.runs import exported
from tfft.runs.restore import built_head
from tfft.tasks.base import serving_signature
from tfft.training.model import assemble
from tfft.training.schedules import Linear
from tfft.training.stage import Stage

QUIET = Console(quiet=True)
REFUSED = {"masked_lm"}
QUICK = ("text_classification",)
CELLS = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
    for name in [*NAMES, "image_classification"]
]


def made_case(name):
    return images.TestImageClassification() if name == "image_classification" else case(name)


def write(source, inputs, split, path):
    """Writes a split as a file with a column for each input and one for the answer."""
    columns, answers = examples.read(source, split)
    names = (*inputs, "label")
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, answers, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def equal(one, other):
    """Says whether two metrics are the same, numbers up to rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, atol=1e-4, rtol=1e-4))
    return one == other


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_an_export_is_evaluated_as_its_run(tmp_path, name):
    made = made_case(name)
    source, task, body = made.make_source(), made.make_task(), made.make_body()
    stage = Stage(freeze_layers=1, epochs=2, learning_rate=1e-2, schedule=Linear(warmup=0))
    found = api.train(task, body, source, [stage], workdir=tmp_path / "out", say=QUIET, plots=False)
    folder = str(found.export(say=QUIET).parent)
    file = write(source, names_of(task.inputs), "test", tmp_path / "new.jsonl")
    if name in REFUSED:
        with pytest.raises(ExportError, match=f"an export of {name} cannot be evaluated: it "):
            exported.evaluate_export(folder, input=file, say=QUIET)
        return
    ours = api.evaluate(
        made.make_task(), made.make_body(), str(tmp_path / "out"), input=file, say=QUIET
    )
    theirs = exported.evaluate_export(folder, input=file, say=QUIET)
    left_out = {key for key in ours["metrics"] if key not in theirs["metrics"]}
    metrics = task.build_evaluator().metrics
    assert left_out <= {metric.key for metric in metrics if metric.not_served}
    kept = {key: value for key, value in ours["metrics"].items() if key not in left_out}
    found = theirs["metrics"]
    if left_out:  # metrics are resampled together: without some, intervals are other draws
        kept, found = ({k: {"value": v["value"]} for k, v in m.items()} for m in (kept, found))
    assert kept and equal(kept, found)
    values = [kept[metric.key]["value"] for metric in metrics if metric.key in kept]
    assert any(value for value in values)


def pairs():
    """Yields each task with one backbone, some of them with all."""
    for name in NAMES:
        kinds = [kind for kind in ALL if fits(name, kind)]
        every = name in ("text_classification", "causal_lm", "seq2seq")
        yield from ((name, kind) for kind in (kinds if every else kinds[:1]))


@pytest.mark.slow
@pytest.mark.usefixtures("restored_state")
@pytest.mark.parametrize(("name", "kind"), pairs())
def test_exports_of_tasks_have_allowed_operations(tmp_path, name, kind):
    made = case(name)
    counts = made.make_source().label_counts("train")
    task = made.make_task().with_training_answers(counts)
    body = tiny(kind).read_for(task)
    model = assemble(body, built_head(task, body), frozenset()).full
    signature = serving_signature(task)
    served = Served(model, body.read_for(signature.task).preprocessor, signature)
    functions = {"serving_default": served.text, "token_ids": served.given}
    tf.saved_model.save(served, str(tmp_path / "1"), signatures=functions)
    assert foreign_operations(tmp_path / "1" / "saved_model.pb") == {}
