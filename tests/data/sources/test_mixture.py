"""Mixtures: how often each source's examples are seen, what is left as it is, and a run."""

import numpy as np
import pytest

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.data.encoded_split import Encoded, Ragged
from tfft.data.folds import FoldSource, fold_numbers, lists
from tfft.data.sources.memory import memory
from tfft.data.sources.mixture import mixture
from tfft.errors import ConfigError, DataError
from tfft.reports.console import Console
from tfft.training.batch_plan import Schedule
from tfft.training.batching import Batching
from tfft.training.stage import Stage

QUIET = Console(quiet=True)


def part(name, count, held=10):
    rows = [
        (f"{name} {'good' if i % 2 else 'bad'} {i}", ["no", "yes"][i % 2]) for i in range(count)
    ]
    ends = [
        (f"{name} film {'good' if i % 2 else 'bad'} {i}", ["no", "yes"][i % 2]) for i in range(held)
    ]
    return memory(rows, ends, ends)


def seen(source, **stage):
    """Returns how often each training example is seen in an epoch."""
    size = source.size("train")
    offsets = np.arange(size + 1) * 3
    origins, rates = source.mixed("train")
    data = Encoded(
        Ragged(np.ones(3 * size, np.int32), offsets),
        np.zeros(size, np.int32),
        np.full(size, 3),
        0,
        origins=origins,
        rates=rates,
    )
    schedule = Schedule(data, Stage(epochs=2, batch_size=8, **stage), (0, 0))
    rows = [np.concatenate([b.rows for b in schedule.plan(epoch)]) for epoch in range(2)]
    counts = [np.bincount(each, minlength=size) for each in rows]
    assert counts[0].tolist() == counts[1].tolist()
    return counts[0], schedule


def test_by_size_each_example_is_seen_once():
    source = mixture([part("a", 60), part("b", 20)], names=["a", "b"])
    counts, _ = seen(source)
    assert counts.tolist() == [1] * 80
    assert source.splits == ("train", "validation", "test") and source.size("test") == 20
    assert list(source.rows("train"))[60][0] == "b bad 0"
    assert source.columns("test")["source"] == ["a"] * 10 + ["b"] * 10
    assert "b: 20 training examples, 25.0% of those of an epoch" in source.notes
    assert [row["text"].decode() for row in source.dataset("train").as_numpy_iterator()] == [
        text for text, _ in source.rows("train")
    ]


def test_by_numbers_and_temperature():
    sources = [part("a", 60), part("b", 20)]
    counts, schedule = seen(mixture(sources, rates=[1, 1], names=["a", "b"]))
    assert counts[:60].tolist() == [1] * 60 and counts[60:].tolist() == [3] * 20
    assert schedule.describe(3, "")[1] == "mixture: 120 examples an epoch of 80"
    few, _ = seen(mixture(sources, rates=[1, 3], names=["a", "b"]))
    assert few[:60].sum() * 3 == few[60:].sum() and few.min() >= 1
    # 60 and 20 to the power of a half are as 1.73 to 1.
    root, _ = seen(mixture(sources, temperature=2, names=["a", "b"]))
    assert root[:60].sum() == 60 and root[60:].sum() == round(60 / 3**0.5)


def test_sources_that_do_not_go_together():
    rows = [("x", "y", "1")] * 2
    other = memory(rows, rows, inputs=("one", "two"), classes=False)
    with pytest.raises(ConfigError, match="different inputs or answers"):
        mixture([part("a", 30), other], names=["a", "b"])
    with pytest.raises(ConfigError, match="named memory, memory"):
        mixture([part("a", 30), part("b", 30)])
    with pytest.raises(ConfigError, match="for 2 sources"):
        mixture([part("a", 30), part("b", 30)], names=["a", "b"], rates=[1])
    with pytest.raises(ConfigError, match="rates must be above 0"):
        mixture([part("a", 30), part("b", 30)], names=["a", "b"], rates=[1, 0])
    with pytest.raises(ConfigError, match="rates of a mixture would be others"):
        twice = mixture([part("a", 30), part("b", 30)], names=["a", "b"])
        seen(twice, batching=Batching(oversample=True))


def held(*splits, **settings):
    """Returns a source of texts with their answers and a year."""
    rows = [
        [{"text": text, "label": "yn"[i % 2], "year": f"19{i}", **settings} for i, text in part]
        for part in (list(enumerate(split.split())) for split in splits)
    ]
    return memory(*rows, columns=["year", *settings])


def test_what_another_source_holds_out_is_dropped():
    one = held("a b c d e f", "g h", "i j")
    two = held("g k l m j n", "o i", "p q")
    source = mixture([one, two], names=["one", "two"])
    assert [text for text, _ in source.rows("train")] == [*"abcdef", *"klmn"]
    assert [text for text, _ in source.rows("validation")] == ["g", "h", "o"]
    assert [text for text, _ in source.rows("test")] == [*"ijpq"]
    assert source.notes[:2] == (
        "two: 2 rows of train dropped: they are also in validation or test of another source",
        "two: 1 rows of validation dropped: they are also in test of another source",
    )
    assert "two: 4 training examples, 40.0% of those of an epoch" in source.notes
    for split in source.splits:
        rows = [
            (row["text"].decode(), row["label"].decode())
            for row in source.dataset(split).as_numpy_iterator()
        ]
        assert rows == list(source.rows(split))
        assert all(len(each) == len(rows) for each in source.columns(split).values())
    assert source.columns("train")["year"][6:] == ["191", "192", "193", "195"]
    assert source.mixed("train")[0].tolist() == [0] * 6 + [1] * 4
    with pytest.raises(DataError, match="every training example of two is also held out"):
        mixture([one, held("g h", "x y", "z w")], names=["one", "two"])


def test_columns_that_a_mixture_does_not_have_are_told():
    one, two = held("a b", "c d", "e f", source="web"), held("g h", "i j", "k l", shop="old")
    source = mixture([one, two], names=["one", "two"])
    assert set(source.columns("test")) == {"year", "source"}
    assert source.columns("test")["source"] == ["one", "one", "two", "two"]
    assert source.notes[:2] == (
        "one: the names of the sources take the place of its 'source'",
        "two: 'shop' left out, which not every source has",
    )


def test_folds_keep_the_rates():
    source = mixture([part("a", 40), part("b", 20)], rates=[1, 1], names=["a", "b"])
    pool = lists(source, ["train", "validation"])
    numbers = fold_numbers(pool, 2, 0)[0]
    fold = FoldSource(source, pool, numbers)
    origins, rates = fold.mixed("train")
    assert rates.tolist() == [0.5, 0.5]
    texts = [text for text, _ in fold.rows("train")]
    assert ["ab"[number] for number in origins] == [text[0] for text in texts]
    assert fold.mixed("test") is None


@pytest.mark.slow
def test_a_run_reports_on_each_source(tmp_path):
    source = mixture([part("a", 60, 40), part("b", 20, 40)], rates=[1, 1], names=["old", "new"])
    task, stage = tfft.tasks.TextClassification(), Stage(epochs=1, batch_size=16)
    found = tfft.train(task, tiny(), source, [stage], workdir=tmp_path, say=QUIET, plots=False)
    rows = {row["value"]: row for row in found.report["slices"] if row["by"] == "source"}
    assert {name: row["texts"] for name, row in rows.items()} == {"old": 40, "new": 40}
    assert found.report["curves"][0]["step"] == 8  # 120 examples in batches of 16
