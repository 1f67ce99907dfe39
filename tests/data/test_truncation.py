"""The ledger of cut texts, against counts made by hand."""

import math
import types

import numpy as np
import pytest

from tfft.data import truncation
from tfft.preprocessing.instances import Windows

FULL = np.array([10, 30, 20, 50, 16])
TARGETS = np.array([0, 1, 1, 0, 2])


def part(kept, counts=None, targets=TARGETS, full=FULL):
    windows = None
    if counts is not None:
        windows = Windows(np.concatenate([[0], np.cumsum(counts)]), np.array(kept), 16)
    return types.SimpleNamespace(
        full_lengths=np.array(full),
        cut=np.array(full) - np.array(kept),
        targets=targets,
        windows=windows,
    )


def test_texts_and_tokens_are_counted_by_class():
    found = truncation.ledger({"train": part(np.minimum(FULL, 16))}, ["a", "b", "c", "d"])
    assert found["splits"]["train"] == {
        "a": {"texts": 2, "cut_texts": 1, "tokens": 60, "cut_tokens": 34},
        "b": {"texts": 2, "cut_texts": 2, "tokens": 50, "cut_tokens": 18},
        "c": {"texts": 1, "cut_texts": 0, "tokens": 16, "cut_tokens": 0},
        "d": {"texts": 0, "cut_texts": 0, "tokens": 0, "cut_tokens": 0},
    }
    windows = truncation.ledger(
        {"test": part([10, 30, 20, 36, 16], [1, 2, 2, 3, 1])}, ["a", "b", "c"]
    )
    assert windows["splits"]["test"]["a"] == {
        "texts": 2,
        "cut_texts": 1,
        "tokens": 60,
        "cut_tokens": 14,
        "windows": 4,
    }


def wilson(hits, count, z=1.959963984540054):
    centre = (hits + z * z / 2) / (count + z * z)
    half = z / (count + z * z) * math.sqrt(hits * (count - hits) / count + z * z / 4)
    return centre - half, centre + half


def test_the_figure_is_that_of_each_kind_of_text():
    right = np.array([True, False, True, True, True])
    found = truncation.on_cut(part([10, 30, 20, 36, 16], [1, 2, 2, 3, 1]), "mean", {"score": right})
    assert {name: (row["value"], row["texts"]) for name, row in found.items()} == {
        "whole": (1.0, 2),
        "windows": (0.5, 2),
        "cut": (1.0, 1),
    }
    assert (found["windows"]["low"], found["windows"]["high"]) == pytest.approx(wilson(1, 2))
    assert set(truncation.on_cut(part(FULL), "mean", {"score": right})) == {"whole"}
    sums = {"loss": np.arange(5.0), "tokens": np.ones(5)}
    found = truncation.on_cut(part(np.minimum(FULL, 20)), "exp_ratio", sums)
    assert found["whole"]["value"] == pytest.approx(np.exp(6 / 3)) and found["cut"]["texts"] == 2


def test_tables_are_shown_where_something_is_cut():
    cut = part(np.minimum(FULL, 16))
    content = truncation.ledger({"train": cut}, ["a", "b", "c"])
    content["figure"] = truncation.on_cut(cut, "mean", {"score": np.ones(5)})
    classes, kinds = truncation.tables(content, "accuracy")
    assert classes[:2] == (
        "Cut, by class",
        ["split", "class", "texts", "texts cut", "tokens", "tokens cut"],
    )
    assert kinds[0] == "Accuracy by how much was read"
    assert classes[2] == [
        ["train", "a", "2", "1 (50%)", "60", "34 (57%)"],
        ["train", "b", "2", "2 (100%)", "50", "18 (36%)"],
    ]
    assert [row[:2] for row in kinds[2]] == [["read whole, at once", "2"], ["cut", "3"]]
    whole = truncation.ledger({"train": part(FULL)}, ["a", "b", "c"])
    whole["figure"] = truncation.on_cut(part(FULL), "mean", {"score": np.ones(5)})
    assert truncation.tables(whole, "accuracy") == [] and truncation.tables({}, "accuracy") == []


def test_without_classes_a_split_has_one_row():
    content = truncation.ledger({"train": part(np.minimum(FULL, 16), targets=None)}, ())
    row = {"texts": 5, "cut_texts": 3, "tokens": 126, "cut_tokens": 52}
    assert content == {"splits": {"train": {"all": row}}}
    [(title, columns, rows)] = truncation.tables(content, "error")
    assert title == "Cut" and columns == ["split", "texts", "texts cut", "tokens", "tokens cut"]
    assert rows == [["train", "5", "3 (60%)", "126", "52 (41%)"]]


def test_the_cost_of_a_remedy_is_the_formula():
    full = np.array([10, 100, 34])
    # A window of 16 tokens has room for 14, and the next begins 10 further on.
    counts = [1, 10, 3]
    assert [1 + math.ceil(max(0, length - 16) / 10) for length in full] == counts

    def cost(lengths):
        return sum(length * (12 * 64 + 2 * length * 8) for length in lengths)

    now = cost([10, 16, 16])
    found = truncation.remedies(full, 16, 8, 64)
    by_name = {one.setting: one for one in found}
    windows = by_name['long_texts="windows", most_windows=10']
    assert windows.cost == pytest.approx(cost([10] + [16] * 13) / now) and windows.cut == 0
    longer = by_name["sequence_length=64"]
    assert longer.cost == pytest.approx(cost([10, 64, 34]) / now)
    assert longer.cut == pytest.approx(36 / 144)
    assert found == sorted(found, key=lambda one: one.cost)


def test_a_hint_names_the_remedy_only_where_many_are_cut():
    full, limit = np.full(100, 10), 16
    full[:9] = 100
    few = part(np.minimum(full, limit), full=full)
    assert (
        truncation.hint(few, limit, 8, 512) is None and truncation.notes(few, limit, 8, 512) == []
    )
    full[9] = 100
    many = part(np.minimum(full, limit), full=full)
    [said] = truncation.notes(many, limit, 8, 512)
    assert said.startswith("10% of the training texts are cut, 44% of all tokens. Read more with ")
    assert 'long_texts="windows"' in said and "times the computation" in said
    [said] = truncation.notes(many, limit, 8, 512, windows=False)
    assert "windows" not in said and "sequence_length=" in said
    [said] = truncation.notes(many, limit, 8, limit, windows=False)
    assert said.endswith("Shorter texts, such as sentences, would be read whole")
    windows = part(np.minimum(full, 36), np.where(full > 16, 3, 1), full=full)
    lines = truncation.notes(windows, limit, 8, 512)
    assert lines[0] == (
        "long texts in windows of 16 tokens: 10 of the 100 training texts have several, "
        "at most 3; 120 windows in all"
    )
    assert "A larger most_windows reads more" in lines[1]
