"""Splits of data in memory: exact, stratified, in groups, and independent of the order of rows."""

import collections
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfft.data.sources.memory import memory
from tfft.data.splits import SPLITS, complete, ranks, stream_splits
from tfft.errors import DataError

SHARES = {"validation": 0.1, "test": 0.2}
LABELS = st.sampled_from(["a", "b", "c"])


def split(rows, shares=SHARES, **options):
    """Returns the rows of each split, given as tuples."""
    columns = tuple(map(list, zip(*rows, strict=True)))
    made, _ = complete("data", {"train": columns}, shares, **options)
    return {name: list(zip(*part, strict=True)) for name, part in made.items()}


def attempt(rows, *args, **options):
    """Returns the splits, or None if the rows cannot be split."""
    try:
        return split(rows, *args, **options)
    except DataError as error:
        assert "too small to be split" in error.problem
        return None


def where(made, column):
    """Returns the splits in which each value of a column is."""
    found = collections.defaultdict(set)
    for name, rows in made.items():
        for row in rows:
            found[row[column]].add(name)
    return found


@st.composite
def tables(draw):
    """Draws rows of text, label and group, with repeated texts and groups."""
    texts, groups = st.integers(0, 30).map(str), st.sampled_from(["", *"uvwxyz"])
    return draw(st.lists(st.tuples(texts, LABELS, groups), min_size=1, max_size=80))


@given(tables(), st.booleans(), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=3 * settings.default.max_examples)
def test_any_split_covers_each_row_once_and_separates_no_unit(rows, classes, grouped, random):
    options = {"classes": classes, "group": 2 if grouped else None}
    made = attempt(rows, **options)
    shuffled = random.sample(rows, len(rows))
    again = attempt(shuffled, **options)
    assert (made is None) == (again is None)
    if made is None:
        return
    assert set(made) == set(SPLITS) and all(made.values())
    assert sorted(sum(made.values(), [])) == sorted(rows)
    assert all(len(splits) == 1 for splits in where(made, 0).values())
    if grouped:
        groups = where(made, 2)
        groups.pop("", None)
        assert all(len(splits) == 1 for splits in groups.values())
    assert {n: sorted(part) for n, part in made.items()} == {
        n: sorted(part) for n, part in again.items()
    }
    if classes:
        assert {row[1] for row in made["train"]} == {row[1] for row in rows}


@given(st.lists(st.integers(1, 60), min_size=2, max_size=8), st.sampled_from([0.1, 0.25, 0.4]))
@settings(max_examples=2 * settings.default.max_examples)
def test_singletons_are_split_exactly_and_each_frequent_label_is_everywhere(counts, share):
    rows = [
        (f"{label} {n}", f"l{label}") for label, count in enumerate(counts) for n in range(count)
    ]
    made = attempt(rows, {"validation": share, "test": share})
    if made is None:
        assert max(counts) < 3
        return
    found = {name: collections.Counter(label for _, label in part) for name, part in made.items()}
    frequent = [f"l{label}" for label, count in enumerate(counts) if count >= 3]
    for name in SPLITS:
        assert set(frequent) <= set(found[name])
    least = sum(count >= 3 for count in counts)  # each of them needs a row
    most = sum(max(count - 2, 0) for count in counts)  # what is left for one split
    target = max(1, round(share * len(rows)))
    if least <= target <= most / 2:
        assert len(made["test"]) == len(made["validation"]) == target
    if least * 4 <= target:
        for label in frequent:
            wanted = share * sum(found[name][label] for name in SPLITS)
            assert abs(found["test"][label] - wanted) <= 2


@given(st.integers(3, 300), st.floats(0.01, 0.45), st.floats(0.01, 0.45))
def test_answers_that_are_no_labels_are_split_exactly(count, validation, test):
    made = split(
        [(f"text {n}", f"{n}") for n in range(count)],
        {"validation": validation, "test": test},
        classes=False,
    )
    held = max(1, min(round(test * count), count - 2))
    assert len(made["test"]) == held
    assert len(made["validation"]) == max(1, min(round(validation * count), count - 1 - held))


@pytest.mark.slow
@given(st.lists(st.tuples(LABELS, st.integers(1, 4)), min_size=9, max_size=40))
@settings(max_examples=2 * settings.default.max_examples)
def test_repeated_texts_with_one_label_leave_every_label_everywhere(texts):
    rows = [(f"text {n}", label) for n, (label, times) in enumerate(texts) for _ in range(times)]
    units = collections.Counter(label for label, _ in texts)
    made = attempt(rows)
    assert made is not None or max(units.values()) < 3
    for label, count in units.items():
        if count >= 3:
            assert all(label in {row[1] for row in made[name]} for name in SPLITS)


def test_rare_labels_are_in_training_first():
    rows = [(f"text {n}", "xy"[n % 2]) for n in range(4000)]
    rare = {"one": 1, "two": 2, "three": 3, "twelve": 12}
    rows += [(f"{label} {n}", label) for label, count in rare.items() for n in range(count)]
    made = split(rows)
    labels = {name: collections.Counter(label for _, label in part) for name, part in made.items()}
    assert [labels[name]["one"] for name in SPLITS] == [1, 0, 0]
    assert [labels[name]["two"] for name in SPLITS] == [1, 0, 1]
    assert [labels[name]["three"] for name in SPLITS] == [1, 1, 1]
    assert [labels[name]["twelve"] for name in SPLITS] == [9, 1, 2]
    assert (len(made["validation"]), len(made["test"])) == (402, 804)


def test_a_label_with_two_texts_is_in_the_test_split():
    counts = {"x": 200, "y": 201, "two": 2, "three": 3, "one": 1}
    rows = [(f"{label} {n}", label) for label, count in counts.items() for n in range(count)]
    made = split(rows, {"validation": 0.1, "test": 0.1})
    labels = {name: collections.Counter(label for _, label in part) for name, part in made.items()}
    assert [labels[name]["two"] for name in SPLITS] == [1, 0, 1]
    assert (len(made["validation"]), len(made["test"])) == (41, 41)
    # Where the test split has no room for all of them, they are spread.
    rows = [(f"text {n}", f"label {n // 2}") for n in range(200)]
    assert [len(split(rows)[name]) for name in SPLITS] == [140, 20, 40]


def test_groups_are_stratified_by_label_and_size():
    rows = [(f"text {n}", "xy"[n % 2], f"g{n % 40}") for n in range(400)]
    rows += [(f"more {n}", "z", f"g{n}") for n in range(6)]
    made = split(rows, {"validation": 0.1, "test": 0.1}, group=2)
    for name in ("validation", "test"):
        labels = collections.Counter(label for _, label, _ in made[name])
        assert labels["x"] == labels["y"] == 20 and labels["z"] in (1, 2)


def test_lists_of_labels_are_stratified_too():
    rows = [
        (f"text {n}", json.dumps([f"label {n % 7}", *(["rare"] if n % 100 == 0 else [])]))
        for n in range(600)
    ]
    made = split(rows, classes=False)
    assert [len(made[name]) for name in SPLITS] == [420, 60, 120]
    for name in SPLITS:
        found = collections.Counter(each for _, labels in made[name] for each in json.loads(labels))
        assert found["rare"] >= 1
        shares = [found[f"label {k}"] / len(made[name]) for k in range(7)]
        assert max(shares) - min(shares) < 0.05


@pytest.mark.parametrize("mark", [", ", ";", "|"])
def test_labels_between_separators_are_stratified_too(mark):
    rows = [(f"text {n}", mark.join([f"l{n % 5}", *(["z"] if n % 3 else [])])) for n in range(200)]
    rows += [(f"rare {n}", mark.join(["l1", "rare"])) for n in range(3)]
    made = split([*rows, ("once", f"l2{mark}odd")], classes=False)
    labels = {name: {label for _, label in part} for name, part in made.items()}
    assert all(any("rare" in label for label in labels[name]) for name in SPLITS)
    assert any("odd" in label for label in labels["train"])


def test_scores_in_steps_are_stratified_and_others_are_not():
    steps = split([(f"text {n}", str(n % 5)) for n in range(200)], classes=False)
    assert collections.Counter(y for _, y in steps["test"]) == {str(n): 8 for n in range(5)}
    columns = [f"text {n}" for n in range(200)], [f"{n / 3:.2f}" for n in range(200)]
    assert "stratified" not in complete("d", {"train": columns}, SHARES, classes=False)[1][0]


def test_groups_that_share_a_text_stay_together():
    rows = [(f"text {n}", "xy"[n % 2], f"g{n % 30}") for n in range(300)]
    rows += [("shared", "x", "g1"), ("shared", "x", "g2")]
    made = split(rows, group=2)
    groups = where(made, 2)
    assert groups["g1"] == groups["g2"]
    assert all(len(splits) == 1 for splits in groups.values())
    assert {len(made[name]) // 10 for name in SPLITS} == {21, 3, 6}


def test_own_splits_that_share_a_group_are_said():
    rows = [{"text": f"t{n}", "label": "xy"[n % 2], "page": f"p{n % 9}"} for n in range(60)]
    test = [{"text": f"v{n}", "label": "xy"[n % 2], "page": f"p{n + 8}"} for n in range(4)]
    source = memory(rows, test=test, group="page")
    assert source.notes == ("train and test share 1 value of 'page': 'p8'",)
    assert source.columns("test")["page"] == source.groups("test") == ["p8", "p9", "p10", "p11"]


def test_data_that_a_plain_hash_has_split_are_split_again():
    def plain(text):
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64

    texts = [f"a text with number {n}" for n in range(600)]
    rows = [(text, "xy"[n % 2]) for n, text in enumerate(texts) if plain(text) > 0.3]
    made = split(rows)
    assert len(made["test"]) == round(0.2 * len(rows))
    splits = stream_splits([text for text, _ in rows], 0.1, 0.2)
    shares = np.bincount(splits, minlength=3) / len(rows)
    assert np.allclose(shares, [0.7, 0.1, 0.2], atol=0.05)


def test_ranks_are_fixed():
    # A run that is continued on another machine or by a later version has the same splits.
    assert ranks(["a text", "é"]).tolist() == [
        [11884546180060871253, 15266305131966310279],
        [13768517688349920629, 18035706443181133312],
    ]


@pytest.mark.parametrize(
    "rows, options, counts",
    [
        ([("a", "x"), ("b", "y")], {}, "2 rows with 2 distinct inputs, and 2 labels"),
        ([("a", "x"), ("b", "y"), ("c", "z")], {}, "3 rows with 3 distinct inputs, and 3 labels"),
        ([("same", "x")] * 50 + [("b", "x")], {}, "51 rows with 2 distinct inputs"),
        (
            [(f"t{n}", "xy"[n % 2], f"g{n % 2}") for n in range(50)],
            {"group": 2, "group_name": "page"},
            "50 rows with 50 distinct inputs in 2 groups",
        ),
        (
            [(f"t{n % 9}", "xy"[n % 2], f"g{n % 7}") for n in range(63)],
            {"group": 2, "group_name": "page"},
            "63 rows with 9 distinct inputs in 7 groups",
        ),
    ],
)
def test_what_cannot_be_split_is_refused_with_the_counts(rows, options, counts):
    with pytest.raises(DataError) as caught:
        split(rows, **options)
    assert caught.value.problem.startswith("data is too small to be split into train, validation")
    assert counts in caught.value.problem
    assert "--gin.VALIDATION=FILE --gin.TEST=FILE" in caught.value.valid


# What the notes say of the data.


def test_equal_texts_with_different_labels_are_counted_with_an_example():
    rows = [(f"text {n}", "xy"[n % 2]) for n in range(60)]
    rows += [("text 4", "y"), ("text 5", "x"), ("text 5", "y")]
    notes = memory(rows).notes
    assert any(
        note.startswith("2 texts are in 5 rows with different labels, such as 'text ")
        and note.endswith("with 'x', 'y'")
        for note in notes
    ), notes
    assert len(memory(rows[:60]).notes) == 1
    own = memory(rows[:60], test=[("text 100", "x"), ("text 7", "x"), ("text 101", "y")])
    [note] = own.notes
    assert note == "1 text is in 2 rows with different labels, such as 'text 7' with 'x', 'y'"


def test_labels_that_differ_only_in_case_or_spaces_are_named():
    labels = ["spam", "Spam", "ham", "not spam", "Not  spam"]
    rows = [(f"text {n}", labels[n % 5]) for n in range(60)]
    assert memory(rows).notes[-1] == (
        "labels that differ only in case, spaces or how a number is written are different labels: "
        "'Not  spam' (12), 'not spam' (12); 'Spam' (12), 'spam' (12)"
    )
    lists = [(text, json.dumps([label, "other"])) for text, label in rows]
    assert "'Spam' (12), 'spam' (12)" in memory(lists, classes=False).notes[-1]
    numbers = [(text, f"{n}") for n, (text, _) in enumerate(rows)]
    assert len(memory(numbers, classes=False).notes) == 1


def test_labels_without_an_example_are_named_for_every_split():
    rows = [(f"text {n}", "xy"[n % 2]) for n in range(60)] + [
        ("a", "odd"),
        ("b", "two"),
        ("c", "two"),
    ]
    made, notes = memory(rows), memory(rows).notes
    assert "the test split has no example of 'odd' (1 in train): support 0 in its figures" in notes
    assert any(
        "validation split has no example of 'odd' (1 in train), 'two' (1" in n for n in notes
    )
    assert made.label_counts("train")["odd"] == 1
    own = memory(rows, test=[("d", "x")])
    assert any(
        "the test split has no example of 'odd' (1 in train), 'two' (2" in n for n in own.notes
    )


def test_labels_that_differ_only_in_how_a_number_is_written_are_named():
    rows = [(f"t{n}", label) for n, label in enumerate(["2.5", "2.50", "01", "1", "x", "-0.5"] * 5)]
    (note,) = [note for note in memory(rows).notes if "how a number is written" in note]
    assert "'01' (5), '1' (5)" in note and "'2.5' (5), '2.50' (5)" in note and "-0.5" not in note


def test_columns_of_indicators_are_stratified():
    answers = [{"plot": int(n % 2), "cast": int(n % 10 == 0)} for n in range(100)]
    rows = [(f"t{n}", answer) for n, answer in enumerate(answers)]
    source = memory(rows, classes=False)
    assert any("stratified" in note for note in source.notes)
    cast = [sum('"cast": 1' in answer for _, answer in source.rows(split)) for split in SPLITS]
    assert cast == [8, 1, 1]
