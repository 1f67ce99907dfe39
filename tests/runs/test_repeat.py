"""Seeds and folds: the bits of a run alone, resuming, what is shared, and the warning."""

import collections
import dataclasses
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.cli import main as cli
from tfft.data import folds
from tfft.data.sources.base import MemorySource
from tfft.data.sources.memory import memory
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ConfigError, DataError, WorkdirError
from tfft.evaluation import run_comparison
from tfft.reports.console import Console
from tfft.runs import repeat, repeat_summary
from tfft.storage.workdir import Workdir
from tfft.tasks.evaluators.classification import ClassificationEvaluator
from tfft.training.early_stopping import EarlyStopping
from tfft.training.feature_cache import cache

STAGES = (
    tfft.Stage(
        "head",
        freeze_layers="all",
        epochs=2,
        learning_rate=1e-2,
        feature_cache=tfft.FeatureCache(where="memory"),
    ),
    tfft.Stage(
        "upper",
        freeze_layers=1,
        epochs=2,
        learning_rate=3e-3,
        feature_cache=tfft.FeatureCache(where="memory"),
    ),
)
QUIET = Console(quiet=True)


def train(folder, examples=128, **settings):
    settings = {"stages": STAGES, "say": QUIET} | settings
    task = tfft.tasks.TextClassification()
    return api.train(task, tiny(), synthetic(examples), workdir=folder, **settings, plots=False)


def best(folder):
    return load_file(folder / "best/weights.safetensors")


def same(one, two):
    assert one.keys() == two.keys() and one
    return all(np.array_equal(one[name], two[name]) for name in one)


@pytest.fixture(scope="module")
def filled():
    """Counts how often the features of each split and depth, and the floors, are computed."""
    counts, fill = collections.Counter(), cache.Features._fill
    evaluator = ClassificationEvaluator
    baselines = evaluator.baselines

    def fitting(self, *args):
        counts["floors"] += 1
        return baselines(self, *args)

    def counting(self, split, cut, *args):
        counts[split, cut.depth, cut.pooled] += 1
        fill(self, split, cut, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache.Features, "_fill", counting)
        patch.setattr(evaluator, "baselines", fitting)
        yield counts


@pytest.fixture(scope="module")
def plan(tmp_path_factory, filled):
    filled.clear()
    found = train(tmp_path_factory.mktemp("plan"), seed=3, seeds=2)
    return found, dict(filled)


@pytest.mark.slow
def test_each_run_of_a_plan_is_the_run_alone(plan, tmp_path):
    folder = plan[0].workdir.parent
    assert sorted(path.name for path in folder.glob("seed-*")) == ["seed-3", "seed-4"]
    train(tmp_path, seed=4)
    assert same(best(folder / "seed-4"), best(tmp_path))
    assert not same(best(folder / "seed-3"), best(folder / "seed-4"))


@pytest.mark.slow
def test_frozen_features_and_floors_are_computed_once(plan):
    # The first stage's pooled features by way of the second stage's depth.
    cuts = [(split, *cut) for split in ("train", "validation") for cut in ((1, False), (2, True))]
    assert plan[1] == dict.fromkeys([*cuts, "floors"], 1)


def newest(folder):
    return sorted((folder / "checkpoints").iterdir())[-1]


@pytest.mark.slow
@pytest.mark.parametrize("within", [False, True])
def test_a_stopped_plan_continues_to_the_same_bits(plan, tmp_path, within):
    """Stopped between two runs, and after the last checkpoint but one of the second run."""
    folder, again = plan[0].workdir.parent, tmp_path / "again"
    shutil.copytree(folder, again)
    (again / "report.json").unlink()
    if within:
        (again / "seed-4/report.json").unlink()
        newest(again / "seed-4").unlink()
    else:
        shutil.rmtree(again / "seed-4")
    found = train(again, seed=3, seeds=2)
    assert same(best(folder / "seed-4"), best(again / "seed-4"))
    assert same(load_file(newest(folder / "seed-4")), load_file(newest(again / "seed-4")))
    for key in ("figures", "gains", "best"):
        assert found.summary[key] == plan[0].summary[key]


def test_check_says_how_many_runs(capsys):
    task = tfft.tasks.TextClassification()
    api.check(task, tiny(), synthetic(64), STAGES[1:], seeds=5, say=Console())
    assert "each of 5 runs is as follows" in capsys.readouterr().err


def test_the_summary_is_mean_and_spread(plan):
    found = plan[0].summary
    folder = plan[0].workdir.parent
    opened = [run_comparison.open_run(folder / name) for name in ("seed-3", "seed-4")]
    values = [each.report["metrics"]["accuracy"]["value"] for each in opened]
    assert found["figures"]["accuracy"]["values"] == values
    assert found["figures"]["accuracy"]["value"] == pytest.approx(np.mean(values))
    assert found["figures"]["accuracy"]["sd"] == pytest.approx(np.std(values, ddof=1))
    assert {"val_loss", "val_accuracy"} <= set(found["validation"])
    assert [gain["over"] for gain in found["gains"]][0] == "most frequent class"
    assert (folder / "report.html").exists() and plan[0].workdir.name == found["best"]
    assert len(run_comparison.open_run(folder).kept) == 2
    texts = ["the film is mark1", "mark0 of the plot"]
    assert np.array_equal(plan[0].outputs(texts), plan[0].outputs(texts))


def test_a_plan_is_compared_with_a_named_run(plan):
    folder = plan[0].workdir.parent
    names = ["seed-3", "seed-4"]
    content = repeat_summary.summarize_plan("seeds", names, Workdir(folder), folder / "seed-3")
    [found] = content["comparisons"]
    values = content["figures"]["accuracy"]["values"]
    assert found["accuracy"]["value"] == pytest.approx(np.mean(values) - values[0])
    assert found["base"] == "seed-3" and found["other"] == "this plan"
    small = abs(found["accuracy"]["value"]) < content["figures"]["accuracy"]["sd"]
    assert bool(found["warning"]) == small
    assert plan[0].summary["comparisons"] == []


def test_the_best_run_is_the_one_returned(plan):
    folder = plan[0].workdir.parent
    reports = {n: run_comparison.open_run(folder / n).report for n in ("seed-3", "seed-4")}
    key = {n: (r["best"]["val_accuracy"], -r["best"]["val_loss"]) for n, r in reports.items()}
    assert plan[0].summary["best"] == max(key, key=lambda name: key[name])
    texts = [text for text, _ in synthetic(128).rows("test")]
    kept = run_comparison.open_run(plan[0].workdir).kept[0]
    assert np.allclose(plan[0].outputs(texts), kept.probabilities["model"], atol=1e-6)


@pytest.mark.parametrize(
    ("watched", "best"),
    [(None, "a"), ("val_loss", "b"), ("val_macro_f1", "c"), ("loss", "d"), ("accuracy", "c")],
)
def test_the_best_run_is_that_of_the_monitored_figure(watched, best):
    """Accuracies and F1: more is better; losses: less. Each figure has a best run of its own."""
    names = ("val_accuracy", "val_loss", "val_macro_f1", "loss", "accuracy")
    rows = {
        "a": (0.9, 0.5, 0.3, 0.5, 0.3),
        "b": (0.8, 0.1, 0.2, 0.4, 0.4),
        "c": (0.7, 0.4, 0.8, 0.3, 0.9),
        "d": (0.6, 0.3, 0.1, 0.2, 0.2),
    }
    reports = {name: {"best": dict(zip(names, row, strict=True))} for name, row in rows.items()}
    assert repeat_summary._best(reports, watched) == best


def test_without_validation_the_first_run_is_taken_unless_something_is_watched():
    reports = {name: {"best": {"loss": loss}} for name, loss in (("a", 0.5), ("b", 0.1))}
    assert (
        repeat_summary._best(reports, None) == "a" and repeat_summary._best(reports, "loss") == "b"
    )


@pytest.mark.slow
def test_a_plan_tells_what_its_last_stage_watches(tmp_path):
    stages = (
        STAGES[0],
        dataclasses.replace(STAGES[1], early_stopping=EarlyStopping(monitor="loss")),
    )
    found = train(tmp_path, stages=stages, seeds=2)
    content = found.summary
    watched = {row["name"]: row["watched"] for row in content["runs"]}
    for name, value in watched.items():
        assert value == run_comparison.open_run(tmp_path / name).report["best"]["loss"]
    assert content["best"] == found.workdir.name == min(watched, key=lambda name: watched[name])
    [columns] = [columns for title, columns, _ in repeat_summary.tables(content) if title == "Runs"]
    assert content["monitor"] == "loss" and "monitor: loss" in columns


def test_another_plan_is_refused_in_the_same_folder(plan):
    folder = plan[0].workdir.parent
    with pytest.raises(WorkdirError, match="plan: there"):
        train(folder, seed=3, seeds=3)
    with pytest.raises(WorkdirError, match="plan: there"):
        train(folder, seed=3)


@pytest.mark.parametrize("numbers", [{"seeds": 2, "folds": 2}, {"seeds": 0}, {"folds": -1}])
def test_a_plan_that_is_none_is_refused(numbers, tmp_path):
    with pytest.raises(ConfigError, match="make no plan|must be 1 or more"):
        train(tmp_path, **numbers)


def test_folds_hold_out_each_text_once_in_the_same_shares():
    texts = [f"text {number // 2 if number < 40 else number}" for number in range(200)]
    labels = ["rare" if number % 10 == 9 or number < 40 else "usual" for number in range(200)]
    found = folds.fold_numbers((texts, labels), 4, 0)
    held = np.concatenate([fold["validation"] for fold in found])
    assert sorted(held) == list(range(200))
    for fold in found:
        parts = [{texts[row] for row in fold[split]} for split in ("train", "validation")]
        assert not parts[0] & parts[1] and len(fold["train"]) + len(fold["validation"]) == 200
        rare = len({texts[row] for row in fold["validation"] if labels[row] == "rare"})
        assert rare in (9, 10)  # 36 of them
    again = folds.fold_numbers((texts, labels), 4, 0)
    assert all(np.array_equal(a["train"], b["train"]) for a, b in zip(found, again, strict=True))
    with pytest.raises(DataError, match="10 folds cannot be made of 9 examples with 9 different"):
        folds.fold_numbers((list("abcdefghi"), list("aaaaaabbb")), 10, 0)


def test_folds_train_on_every_label_however_rare():
    texts = [f"text {number}" for number in range(60)]
    labels = ["one", "two", "two", *("xy"[number % 2] for number in range(57))]
    found = folds.fold_numbers((texts, labels), 5, 0)
    for fold in found:
        assert {labels[row] for row in fold["train"]} == {"one", "two", "x", "y"}
        assert len(fold["validation"]) in (11, 12)
    held = [labels[row] for fold in found for row in fold["validation"]]
    assert collections.Counter(held) == {"two": 2, "x": 29, "y": 28}


@pytest.mark.parametrize("classes", [True, False])
def test_folds_keep_groups_and_equal_texts_together(classes):
    texts = [f"text {number % 90}" for number in range(120)]  # 30 with both labels
    labels = ["xy"[number % 2] if number < 90 else "x" for number in range(120)]
    groups = [f"group {number % 90 // 6}" if number % 7 else "" for number in range(120)]
    for given in (groups, None):
        found = folds.fold_numbers((texts, labels), 4, 0, classes, given)
        assert sorted(np.concatenate([fold["validation"] for fold in found])) == list(range(120))
        for fold in found:
            train, held = fold["train"], fold["validation"]
            assert not {texts[row] for row in train} & {texts[row] for row in held}
            if given:
                assert not {given[row] for row in train} & {given[row] for row in held} - {""}
            share = np.mean([labels[row] == "x" for row in held])
            assert len(held) in range(20, 41) and (0.4 < share < 0.8 or not classes)
    with pytest.raises(DataError, match="120 examples with 90 different texts in 15 groups"):
        folds.fold_numbers((texts, labels), 91, 0, classes, groups)
    everything = ["all"] * 120
    with pytest.raises(DataError, match="2 folds cannot be made of .* in 1 groups"):
        folds.fold_numbers((texts, labels), 2, 0, classes, everything)


def test_a_plan_keeps_the_groups_of_its_source():
    rows = [{"text": f"t{n}", "label": "xy"[n % 2], "page": f"p{n // 8}"} for n in range(200)]
    source = memory(rows, group="page", test_share=0.0)
    made = []
    plan = repeat.RepeatPlan(0, 1, 3)
    for _, _, data in repeat._parts(plan, source):
        pages = [set(data.columns(split)["page"]) for split in ("train", "validation")]
        assert not pages[0] & pages[1]
        made.append(pages[1])
    assert set.union(*made) == {row["page"] for row in rows}


@pytest.mark.slow
def test_folds_share_features_and_agree_with_a_run_on_the_same_data(tmp_path, filled):
    filled.clear()
    stage = tfft.Stage(
        freeze_layers=1,
        epochs=2,
        learning_rate=3e-3,
        feature_cache=tfft.FeatureCache(where="memory"),
    )
    found = train(tmp_path / "folds", folds=3, stages=(stage,), feature_floor=True)
    assert filled.pop("floors") == 3  # each on training data of its own
    assert filled == {("pool", 1, False): 1, ("pool", 2, True): 1, ("test", 2, True): 1}
    reports = [run_comparison.open_run(tmp_path / f"folds/fold-{n}").report for n in range(3)]
    sizes = [[one["truncation"][s]["texts"] for s in ("train", "validation")] for one in reports]
    assert {sum(pair) for pair in sizes} == {160} and min(pair[1] for pair in sizes) >= 53
    assert {one["truncation"]["test"]["texts"] for one in reports} == {32}
    assert found.summary["plan"] == "folds" and len(found.summary["runs"]) == 3
    # The second fold's data in a source of its own, nothing shared and nothing stored.
    source = synthetic(128)
    pool = folds.lists(source, ["train", "validation"])
    numbers = folds.fold_numbers(pool, 3, 0)[1]
    alone = api.train(
        tfft.tasks.TextClassification(),
        tiny(),
        folds.FoldSource(source, pool, numbers),
        (
            tfft.Stage(
                freeze_layers=1,
                epochs=2,
                learning_rate=3e-3,
                feature_cache=tfft.FeatureCache(where="off"),
            ),
        ),
        workdir=tmp_path / "alone",
        say=QUIET,
        plots=False,
    )
    losses = [[row["val_loss"] for row in one["curves"]] for one in (reports[1], alone.report)]
    assert np.allclose(*losses, atol=1e-5)


def dated(*splits):
    """Returns a source with a further column."""
    source, rows = synthetic(96), {}
    for split in splits:
        texts, labels = zip(*source.rows(split), strict=True)
        rows[split] = texts, labels, [str(1990 + len(text) % 3) for text in texts]
    return MemorySource("dated", rows, columns=["year"])


@pytest.mark.slow
@pytest.mark.parametrize("splits", [("train", "validation", "test"), ("train", "validation")])
def test_columns_and_slices_go_with_the_folds(tmp_path, splits):
    stage = tfft.Stage(freeze_layers="all", epochs=1, learning_rate=1e-2)

    def sliced(**slices):
        task, source = tfft.tasks.TextClassification(), dated(*splits)
        settings = {"folds": 3, "slices": slices, "workdir": tmp_path, "say": QUIET}
        api.train(task, tiny(), source, (stage,), **settings, plots=False)
        return source, [run_comparison.open_run(tmp_path / f"fold-{n}").report for n in range(3)]

    source, reports = sliced(film=r"\bfilm\b", even=lambda text: len(text) % 2 == 0)
    pool = folds.lists(source, ["train", "validation"])
    numbers = folds.fold_numbers(pool, 3, 0)
    for fold, content in enumerate(reports):
        texts = [pool[0][row] for row in numbers[fold]["validation"]]
        if "test" in splits:
            texts = folds.lists(source, ["test"])[0]
        wanted = {
            "year": collections.Counter(str(1990 + len(text) % 3) for text in texts),
            "film": collections.Counter("yes" if " film " in f" {t} " else "no" for t in texts),
            "even": collections.Counter("no" if len(text) % 2 else "yes" for text in texts),
        }
        told = collections.defaultdict(dict)
        for row in content["slices"]:
            told[row["by"]][row["value"]] = row["texts"]
        assert {name: told[name] for name in wanted} == wanted
    # Other slices remake the reports of complete runs, and train nothing.
    written = [
        path.stat().st_mtime_ns for path in sorted(tmp_path.glob("*/best/weights.safetensors"))
    ]
    for content in sliced(long=lambda text: len(text) > 60)[1]:
        asked = {row["by"] for row in content["slices"]} - {"class", "length", "cut"}
        assert asked == {"year", "long"}
    again = [
        path.stat().st_mtime_ns for path in sorted(tmp_path.glob("*/best/weights.safetensors"))
    ]
    assert len(written) == 3 and again == written


def gained(gains):
    floor, model = {"accuracy": {"value": 0.8}}, [{"value": 0.8 + gain} for gain in gains]
    every = [{"metrics": {"accuracy": one}, "floors": {"majority": floor}} for one in model]
    return repeat_summary._gain("majority", every, "accuracy")


def test_a_gain_smaller_than_the_spread_is_warned_of():
    found = gained([0.03, -0.02, 0.01])
    assert found["value"] == pytest.approx(0.02 / 3) and found["sd"] == pytest.approx(0.0251661)
    assert "+0.007 is smaller than the spread over the runs, 0.025" in found["warning"]
    assert gained([0.03, 0.02, 0.04])["warning"] is None


def test_a_verb_on_a_plan_names_its_runs(tmp_path, capsys):
    for name in ("", "seed-0", "seed-1"):
        (tmp_path / "out" / name).mkdir(exist_ok=True, parents=True)
        (tmp_path / "out" / name / "config.gin").write_text("train.seeds = 2\n")
    assert cli.command(["predict", f"--workdir={tmp_path / 'out'}", "--input=x.csv"]) == 2
    told = capsys.readouterr().err
    assert "holds a plan of 2 runs" in told and f"--workdir={tmp_path / 'out/seed-0'}" in told


@pytest.mark.slow
def test_each_run_of_a_plan_makes_its_own_adapters(tmp_path):
    stage = tfft.Stage("lora", method=tfft.methods.lora(), epochs=1, learning_rate=3e-3)
    train(tmp_path / "plan", stages=(stage,), seed=3, seeds=2)
    for seed in (3, 4):
        train(tmp_path / f"alone-{seed}", stages=(stage,), seed=seed)
        assert same(best(tmp_path / f"plan/seed-{seed}"), best(tmp_path / f"alone-{seed}"))
