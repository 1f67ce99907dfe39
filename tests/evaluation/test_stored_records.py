"""Records on their way through a run: stored, read back, compared, sliced, by truncation."""

import types

import numpy as np
import pytest

from tfft.baselines.base import Floor
from tfft.data import truncation
from tfft.data.examples import Examples
from tfft.evaluation import run_comparison, stored_predictions
from tfft.evaluation.slices import slice_rows
from tfft.evaluation.stored_predictions import MODEL, load
from tfft.metrics import aggregates
from tfft.metrics.image.boxes import match_detections
from tfft.metrics.record_aggregates import collect
from tfft.storage import manifest
from tfft.storage.workdir import Workdir
from tfft.tasks.evaluators.base import Evaluator, reported
from tfft.tasks.multi_task.data import Share

COUNT, CLASSES = 60, 3
RNG = np.random.default_rng(4)
CORNERS = RNG.integers(0, 50, (COUNT, 4, 2))
TRUE = np.concatenate([CORNERS, CORNERS + RNG.integers(10, 30, (COUNT, 4, 2))], axis=2)
LABELS = RNG.integers(0, CLASSES, (COUNT, 4))
NAME = "mean_average_precision"


class DetectionEvaluator(Evaluator):
    """Outputs are boxes, scores and labels of each image."""

    metrics = reported({NAME: "mAP", "average_precision_50": "AP50"})
    aggregate = NAME

    def terms(self, examples, outputs):
        pairs = zip(outputs, examples.targets, strict=True)
        terms = collect([match_detections(*found, *true, CLASSES) for found, true in pairs])
        return {metric.key: (metric.key, terms) for metric in self.metrics}


TASK = types.SimpleNamespace(
    build_evaluator=DetectionEvaluator, target=types.SimpleNamespace(are_classes=False)
)


def examples_of(rows):
    names = [f"image {row}" for row in rows]
    return Examples((names,), names, [(TRUE[row], LABELS[row]) for row in rows])


def detected(rows, noise, seed=0):
    """Returns boxes that are off by about `noise` pixels, of some of the true ones."""
    rng = np.random.default_rng(seed)
    jitter, scores = rng.normal(size=TRUE.shape), rng.random((COUNT, 4))
    known = rng.random((COUNT, 4)) < 0.8
    boxes = TRUE + noise * jitter
    return [(boxes[r][known[r]], scores[r][known[r]], LABELS[r][known[r]]) for r in rows]


def make_run(folder, noise, rows=range(COUNT), seed=0):
    """Writes what a run leaves of its outputs, and a report."""
    files = Workdir(folder)
    floors = {"coarse": Floor(detected(rows, 6.0))}
    outputs = detected(rows, noise, seed)
    kept = stored_predictions.keep(files, TASK, TASK, "test", examples_of(rows), outputs, floors)
    files.write_json("report.json", {"schema": stored_predictions.SCHEMA, "main": NAME})
    manifest.write(files)
    return kept


def test_records_are_stored_and_read_back(tmp_path):
    kept = make_run(tmp_path, 1.0)
    found = load(Workdir(tmp_path))
    assert (found.main, found.measure) == (NAME, NAME)
    assert list(found.sums) == [MODEL, "coarse"]
    for name, terms in kept.sums.items():
        assert found.sums[name].keys() == terms.keys()
        for key, records in terms.items():
            assert len(found.sums[name][key]) == COUNT
            for one, other in zip(found.sums[name][key], records, strict=True):
                assert one.dtype == other.dtype
                np.testing.assert_array_equal(one, other)
        assert aggregates.interval(NAME, found.sums[name]) == aggregates.interval(NAME, terms)


def test_an_evaluator_of_records_needs_its_terms_alone():
    rows = range(COUNT)
    found = DetectionEvaluator().evaluate(examples_of(rows), detected(rows, 1.0))
    for figure in found.values():
        assert 0 < figure["low"] < figure["value"] < figure["high"] < 1


def test_a_model_is_compared_with_its_floor(tmp_path):
    kept = make_run(tmp_path, 1.0)
    [found] = run_comparison.comparisons(kept, None, None)
    expected = aggregates.difference(NAME, kept.sums["coarse"], kept.sums[MODEL])
    assert found[NAME] == expected and expected["low"] > 0 and found["examples"] == COUNT


def test_runs_are_compared_on_the_examples_that_they_share(tmp_path):
    one = make_run(tmp_path / "one", 2.0, range(50))
    two = make_run(tmp_path / "two", 1.0, range(10, COUNT), seed=1)
    bases = [run_comparison.open_run(tmp_path / name).answers for name in ("one", "two")]
    found = run_comparison.difference(*bases)
    assert (found["examples"], found["left_out"]) == (40, 20)
    parts = [
        {key: column[rows] for key, column in kept.sums[MODEL].items()}
        for kept, rows in ((one, slice(10, 50)), (two, slice(40)))
    ]
    assert found[NAME] == aggregates.difference(NAME, *parts)


def test_runs_of_a_plan_are_compared_by_their_means(tmp_path):
    plans = {}
    for noise in (1.0, 2.0):
        kept = [make_run(tmp_path / f"{noise}-{seed}", noise, seed=seed) for seed in range(3)]
        plans[noise] = (
            run_comparison.answers(f"{noise}", kept),
            np.mean([aggregates.value(NAME, each.sums[MODEL]) for each in kept]),
        )
    found = run_comparison.difference(plans[2.0][0], plans[1.0][0])[NAME]
    assert found["value"] == pytest.approx(plans[1.0][1] - plans[2.0][1])
    assert 0 < found["low"] < found["value"] < found["high"]


def test_folds_are_compared_by_their_means(tmp_path):
    halves = range(30), range(30, COUNT)
    kept = [make_run(tmp_path / f"{rows[0]}", 1.0, rows) for rows in halves]
    whole = make_run(tmp_path / "whole", 2.0)
    folds = run_comparison.answers("folds", kept)
    found = run_comparison.difference(run_comparison.answers("whole", [whole]), folds)
    means = np.mean([aggregates.value(NAME, each.sums[MODEL]) for each in kept])
    value = means - aggregates.value(NAME, whole.sums[MODEL])
    assert found[NAME]["value"] == pytest.approx(value) and found["examples"] == COUNT


def test_slices_and_truncation_take_records():
    noisy = np.arange(COUNT) % 2 == 0
    rows = range(COUNT)
    fine, coarse = detected(rows, 1.0), detected(rows, 6.0)
    outputs = [coarse[row] if noisy[row] else fine[row] for row in rows]
    terms = DetectionEvaluator().main_terms(examples_of(rows), outputs)
    part = {key: column[noisy] for key, column in terms.items()}
    first, last = slice_rows({"noisy": noisy.astype(str)}, NAME, terms)
    assert (first["value"], first["stands"], last["stands"]) == ("True", "below", "above")
    assert first["figure"] == aggregates.interval(NAME, part)
    cut = truncation.on_cut(types.SimpleNamespace(cut=noisy, windows=None), NAME, terms)
    assert cut["cut"] == {**first["figure"], "texts": 30}


def test_records_of_one_task_among_several():
    rows = np.arange(5, 45)
    terms = DetectionEvaluator().main_terms(examples_of(rows), detected(rows, 1.0))
    found = Share(None, rows, COUNT, None).scattered(terms)
    assert all(len(column) == COUNT for column in found.values())
    assert aggregates.value(NAME, found) == aggregates.value(NAME, terms)
