"""Aggregates of records against their definitions, and against examples that are repeated."""

import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from tfft.errors import UserError
from tfft.metrics import aggregates
from tfft.metrics.classification.class_metrics import classification_metrics
from tfft.metrics.confidence_intervals import corrected, drawn_weights
from tfft.metrics.image.boxes import IOU_THRESHOLDS, iou, match_detections
from tfft.metrics.record_aggregates import RECORDS, collect, ragged, scatter

CLASSES = 3


def make_images(count, seed, most=4, classes=CLASSES):
    """Returns boxes, scores and labels of detections, and true boxes and labels, of each image.

    Coordinates are whole numbers, so that widths are exact in every format.
    """
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        corner = rng.integers(0, 60, (rng.integers(0, most + 1), 2))
        true = np.hstack([corner, corner + rng.integers(8, 40, corner.shape)]).astype(float)
        true_labels = rng.integers(0, classes, len(true))
        rows = np.repeat(np.arange(len(true)), rng.integers(0, 3, len(true)))
        boxes = true[rows] + rng.integers(-3, 4, (len(rows), 4))
        labels = np.where(rng.random(len(rows)) < 0.9, true_labels[rows], 0)
        images.append((boxes, rng.random(len(rows)), labels, true, true_labels))
    return images


def terms_of(images, classes=CLASSES):
    return collect([match_detections(*image, classes) for image in images])


def take(terms, rows):
    return {key: np.asarray(column)[rows] for key, column in terms.items()}


def matches(image, number, threshold):
    """Returns score and success of each detection of a class, in the order of the scores."""
    boxes, scores, labels, true, true_labels = image
    own, free = np.flatnonzero(labels == number), set(np.flatnonzero(true_labels == number))
    found = []
    for row in own[np.argsort(-scores[own], kind="stable")]:
        overlap = {place: iou(boxes[[row]], true[[place]])[0, 0] for place in sorted(free)}
        overlap = {place: size for place, size in overlap.items() if size >= threshold}
        if overlap:
            free.remove(max(overlap, key=lambda place: (overlap[place], place)))
        found.append((scores[row], bool(overlap)))
    return found


def average_precision(images, number, threshold):
    count = sum((image[4] == number).sum() for image in images)
    pairs = [pair for image in images for pair in matches(image, number, threshold)]
    right = np.array([hit for _, hit in sorted(pairs, key=lambda pair: -pair[0])], float)
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    recall = right.cumsum() / count
    levels = np.linspace(0, 1, 101)
    return np.mean([precision[recall >= level].max(initial=0.0) for level in levels])


def mean_average_precision(images, thresholds=IOU_THRESHOLDS):
    present = np.unique(np.concatenate([image[4] for image in images]))
    return np.mean([average_precision(images, c, t) for c in present for t in thresholds])


@pytest.mark.parametrize("seed", range(5))
def test_mean_average_precision_is_that_of_its_definition(seed):
    images = make_images(8, seed)
    terms = terms_of(images)
    found = aggregates.value("mean_average_precision", terms)
    assert found == pytest.approx(mean_average_precision(images), abs=1e-12) and 0 < found < 1
    found = aggregates.value("average_precision_50", terms)
    assert found == pytest.approx(mean_average_precision(images, [0.5]), abs=1e-12)


def test_mean_average_precision_is_that_of_pycocotools():
    coco, cocoeval = (pytest.importorskip(f"pycocotools.{name}") for name in ("coco", "cocoeval"))
    images = make_images(60, 0, most=12)
    truth, detections = coco.COCO(), []
    truth.dataset = {"images": [{"id": n} for n in range(len(images))], "annotations": []}
    truth.dataset["categories"] = [{"id": number, "name": str(number)} for number in range(CLASSES)]
    for number, (boxes, scores, labels, true, true_labels) in enumerate(images):
        for box, label in zip(true, true_labels, strict=True):
            left, top, width, height = *box[:2], *(box[2:] - box[:2])
            row = {"image_id": number, "category_id": int(label), "iscrowd": 0}
            row |= {"bbox": [left, top, width, height], "area": width * height}
            truth.dataset["annotations"].append(
                {**row, "id": len(truth.dataset["annotations"]) + 1}
            )
        for box, score, label in zip(boxes, scores, labels, strict=True):
            row = {"image_id": number, "category_id": int(label), "score": float(score)}
            detections.append({**row, "bbox": [*box[:2], *(box[2:] - box[:2])]})
    truth.createIndex()
    judge = cocoeval.COCOeval(truth, truth.loadRes(detections), "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    for place, name in enumerate(("mean_average_precision", "average_precision_50")):
        found = aggregates.value(name, terms_of(images))
        assert found == pytest.approx(judge.stats[place], abs=1e-9)


def scored(count, classes, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, max(classes, 2), count)
    if not classes:
        return {"score": label + rng.normal(size=count), "label": label}
    score = np.eye(classes)[label] + np.round(rng.normal(size=(count, classes)), 1)
    return {"score": score, "label": label}


def cases(count=14, seed=0):
    boxes = terms_of(make_images(count, seed))
    return {
        "roc_auc": scored(count, 0, seed),
        "average_precision": scored(count, 3, seed),
        "mean_average_precision": boxes,
        "average_precision_50": boxes,
    }


def test_every_aggregate_is_among_the_cases():
    assert set(cases()) == set(RECORDS)


@pytest.mark.parametrize("name", RECORDS)
def test_weights_are_repeated_examples(name):
    terms = cases()[name]
    weights = np.random.default_rng(1).integers(0, 4, (40, 14)).astype(float)
    found = aggregates.prepare(name, terms).draws(weights)
    for row, value in zip(weights.astype(int), found, strict=True):
        expected = aggregates.value(name, take(terms, np.repeat(np.arange(14), row)))
        assert value == pytest.approx(np.nan if expected is None else expected, nan_ok=True)


def literal(name, terms, seed=0):
    """Returns the metric of examples that are repeated as the resamples have them."""
    weights = drawn_weights(np.random.default_rng(seed), 14, 1000).astype(int)
    found = [aggregates.value(name, take(terms, np.repeat(np.arange(14), row))) for row in weights]
    return np.array(found, float)


@pytest.mark.parametrize("name", ["average_precision", "average_precision_50"])
def test_intervals_and_differences_are_those_of_repeated_examples(name):
    terms, other = cases()[name], cases(seed=1)[name]
    value, draws = aggregates.value(name, terms), literal(name, terms)
    expected = corrected(value, draws)
    assert aggregates.interval(name, terms) == pytest.approx(expected)
    assert expected["low"] < value < expected["high"]
    gain = aggregates.value(name, other) - value
    found = aggregates.difference(name, terms, other)
    assert found == pytest.approx(corrected(gain, literal(name, other) - draws))
    assert aggregates.difference(name, terms, terms) == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_a_better_detector_of_the_same_images_is_surely_better():
    images = make_images(60, 2)
    worse = [(boxes + 4.0, *rest) for boxes, *rest in images]
    found = aggregates.difference("mean_average_precision", terms_of(worse), terms_of(images))
    assert 0 < found["low"] < found["value"] < found["high"]


def test_areas_are_those_of_scikit_learn():
    terms = scored(60, 0)
    found = aggregates.value("roc_auc", terms)
    assert found == pytest.approx(roc_auc_score(terms["label"], terms["score"]))
    found = aggregates.value("average_precision", terms)
    assert found == pytest.approx(average_precision_score(terms["label"], terms["score"]))


def test_areas_and_their_intervals_are_those_of_classification():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 200)
    scores = np.exp(np.eye(3)[truth] + rng.normal(size=(200, 3)))
    scores /= scores.sum(1, keepdims=True)
    expected = classification_metrics(truth, scores, ["a", "b", "c"])
    for name in ("roc_auc", "average_precision"):
        found = aggregates.interval(name, {"score": scores, "label": truth})
        assert found == pytest.approx(expected[name], abs=1e-12)


def test_records_and_columns_share_resamples(monkeypatch):
    monkeypatch.setattr(aggregates, "FEW_KINDS", 0)
    columns = ("mean", {"score": np.random.default_rng(0).random(14)})
    alone = {name: (name, terms) for name, terms in cases().items()}
    found = aggregates.figures({"columns": columns, **alone})
    assert found["columns"] == aggregates.interval(*columns)
    for name, terms in alone.items():
        assert found[name] == aggregates.interval(*terms)


def test_examples_that_are_not_there_add_nothing():
    count, rows = 20, np.arange(3, 17)
    weights = np.random.default_rng(0).integers(0, 3, (5, count)).astype(float)
    for name, terms in cases().items():
        spread = {"there": np.isin(np.arange(count), rows).astype(float)}
        for key, column in terms.items():
            if column.dtype == object:
                spread[key] = scatter(column, rows, count)
            else:
                spread[key] = np.zeros((count, *column.shape[1:]))
                spread[key][rows] = column
        found = aggregates.prepare(name, spread)
        own = aggregates.prepare(name, terms)
        assert found.value == own.value
        np.testing.assert_array_equal(found.draws(weights), own.draws(weights[:, rows]))
        assert "low" in aggregates.interval(name, spread)
        nothing = {**spread, "there": np.zeros(count)}
        assert aggregates.interval(name, nothing) == {"value": None}


def test_what_is_undefined_is_none_and_no_detection_is_zero():
    nothing = np.zeros((0, 4)), np.zeros(0), np.zeros(0, int)
    true = np.array([[0.0, 0.0, 9.0, 9.0]]), np.array([1])
    without = terms_of([(*nothing, np.zeros((0, 4)), np.zeros(0, int))] * 3)
    missed = terms_of([(*nothing, *true)] * 3)
    for name in ("mean_average_precision", "average_precision_50"):
        assert aggregates.interval(name, without) == {"value": None}
        assert aggregates.interval(name, missed) == {"value": 0.0, "low": 0.0, "high": 0.0}
        assert aggregates.difference(name, without, missed) == {"value": None}
    alike = {"score": np.arange(4.0), "label": np.ones(4)}
    assert aggregates.interval("roc_auc", alike) == {"value": None}
    none = {"score": np.zeros(0), "label": np.zeros(0)}
    assert aggregates.interval("roc_auc", none) == {"value": None}


def test_scores_that_are_not_finite_are_refused():
    terms = terms_of(make_images(5, 0))
    row = next(row for row, score in enumerate(terms["score"]) if len(score))
    terms["score"][row] = np.full(len(terms["score"][row]), np.nan)
    with pytest.raises(UserError, match="figures of 1 of 5 examples are not finite"):
        aggregates.value("mean_average_precision", terms)


def test_runs_count_alike_each_on_the_examples_that_it_evaluated():
    one, two = (cases(seed=seed)["mean_average_precision"] for seed in (0, 1))
    entries = [aggregates.by_example("mean_average_precision", terms) for terms in (one, two)]
    both = [dict(enumerate(pair)) for pair in zip(*entries, strict=True)]
    values = [aggregates.value("mean_average_precision", terms) for terms in (one, two)]
    found = aggregates.over_runs("mean_average_precision", both)
    assert found.value == pytest.approx(np.mean(values))
    halves = [{int(row >= 7): entries[int(row >= 7)][row]} for row in range(14)]
    parts = take(one, slice(7)), take(two, slice(7, 14))
    values = [aggregates.value("mean_average_precision", terms) for terms in parts]
    found = aggregates.over_runs("mean_average_precision", halves)
    assert found.value == pytest.approx(np.mean(values))
    assert set(aggregates.paired(found, found)) == {"value", "low", "high"}


def test_arrays_of_equal_lengths_stay_records():
    found = ragged([np.zeros(2), np.ones(2)])
    assert found.dtype == object and found.shape == (2,)


def test_300_images_take_seconds():
    """Processor time, which does not grow with what else the machine does."""
    rng = np.random.default_rng(0)
    records = [
        {
            "score": rng.random(20),
            "label": rng.integers(0, 10, 20),
            "matched": rng.random((20, 1)) < np.linspace(0.8, 0.3, 10),
            "true": np.full(10, 2),
        }
        for _ in range(300)
    ]
    began = time.process_time()
    found = aggregates.interval("mean_average_precision", collect(records))
    assert found["low"] < found["value"] < found["high"]
    assert time.process_time() - began < 10
