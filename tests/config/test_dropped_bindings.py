"""Bindings that a later file or flag leaves without a use: dropped with a note, or an error."""

from __future__ import annotations

import pytest

from tfft.config import load as config
from tfft.config.catalog import configurables
from tfft.errors import ConfigError

RUN = """\
train.task = @TextClassification()
train.backbone = @tiny()
train.source = @files()
files.data = "reviews.csv"
"""
OTHER = 'Stage.optimizer = @KerasOptimizer()\nKerasOptimizer.name = "sgd"\n'
KNOWN = configurables()


def load_config(files, overrides=None, **options):
    """Loads configs with what the package offers, which is read once for all tests."""
    return config.load(files, overrides, configurables=KNOWN, **options)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Returns a function that loads the run, continued by the first text, and later files."""
    monkeypatch.chdir(tmp_path)

    def loaded(first, *later, strict=True, **overrides):
        (tmp_path / "run.gin").write_text(RUN + first)
        names = ["run.gin"]
        for text in later:
            name = text if text.endswith(".gin") else f"later_{len(names)}.gin"
            names.append(name)
            if name != text:
                (tmp_path / name).write_text(text)
        flags = {name.replace("__", "."): value for name, value in overrides.items()}
        return load_config(names, flags, strict=strict)

    return loaded


def note(binding, line, why):
    return f"{binding} (run.gin:{line}) is dropped: {why}"


@pytest.mark.parametrize(
    ("first", "line"),
    [
        ("AdamW.weight_decay = 0.1\n", 5),
        ("Stage.optimizer = @AdamW()\nAdamW.weight_decay = 0.1\n", 6),
        ("train.stages = (@head/Stage(),)\nhead/Stage.optimizer = @AdamW()\n"
         "AdamW.weight_decay = 0.1\n", 7),
    ],
)  # fmt: skip
def test_a_later_file_makes_a_binding_unreachable(load, first, line):
    scope = "head/" * ("head/" in first)
    found = load(first, scope + OTHER)
    now = f"{scope}Stage.optimizer = @KerasOptimizer() (later_1.gin:1)"
    assert found.notes == (
        note("AdamW.weight_decay = 0.1", line, f"nothing uses AdamW with {now}"),
    )
    assert "AdamW" not in found.text
    assert not [each for each in found.settings if each.name.startswith("AdamW")]


def test_a_flag_makes_a_binding_unreachable(load):
    flags = {"Stage__optimizer": "@KerasOptimizer()", "KerasOptimizer__name": "sgd"}
    found = load("AdamW.weight_decay = 0.1\nAdamW.layer_decay = 0.9\n", **flags)
    why = "nothing uses AdamW with --gin.Stage.optimizer=@KerasOptimizer()"
    assert found.notes == (
        note("AdamW.weight_decay = 0.1", 5, why),
        note("AdamW.layer_decay = 0.9", 6, why),
    )


def test_an_included_file_is_an_earlier_one(load, tmp_path):
    (tmp_path / "base.gin").write_text("AdamW.weight_decay = 0.1\ntrain.stages = (@Stage(),)\n")
    (found,) = load(f'include "base.gin"\n{OTHER}').notes
    assert found == (
        "AdamW.weight_decay = 0.1 (base.gin:1) is dropped: nothing uses AdamW with "
        "Stage.optimizer = @KerasOptimizer() (run.gin:6)"
    )


def test_one_of_several_regularizers_is_taken_out(load):
    first = "Stage.regularizers = (@RDrop(), @L2SP())\nRDrop.alpha = 0.1\nL2SP.strength = 3.0\n"
    found = load(first, "Stage.regularizers = (@L2SP(),)\n")
    now = "Stage.regularizers = (@L2SP(),) (later_1.gin:1)"
    assert found.notes == (note("RDrop.alpha = 0.1", 6, f"nothing uses RDrop with {now}"),)
    assert "L2SP.strength = 3.0\n" in found.text


def test_the_settings_of_another_task_are_dropped(load):
    first = "TextClassification.dropout = 0.3\nClassification.class_weights = 'balanced'\n"
    found = load(first, "train.task = @TextRegression()\n")
    now = "train.task = @TextRegression() (later_1.gin:1)"
    assert found.notes == (
        note("TextClassification.dropout = 0.3", 5, f"nothing uses TextClassification with {now}"),
        note(
            "Classification.class_weights = 'balanced'",
            6,
            f"nothing uses Classification with {now}",
        ),
    )


def test_a_binding_that_every_scope_replaces_later_is_dropped(load):
    first = "train.stages = (@head/Stage(), @up/Stage())\nStage.epochs = 1\n"
    found = load(first, "head/Stage.epochs = 2\nup/Stage.epochs = 3\n")
    why = "every use of Stage sets its own or has another scope"
    assert found.notes == (note("Stage.epochs = 1", 6, why),)


def test_a_long_value_is_cut_in_a_note(load):
    rates = dict.fromkeys((f"layer_{number}/*" for number in range(9)), 0.5)
    (found,) = load(f"AdamW.learning_rate_multipliers = {rates}\n", OTHER).notes
    assert len(found) < 250 and " ... (run.gin:5) is dropped" in found


def test_what_is_dropped_by_one_file_and_used_again_by_the_next_stays(load):
    found = load("AdamW.weight_decay = 0.1\n", OTHER, "Stage.optimizer = @AdamW()\n")
    assert "\nAdamW.weight_decay = 0.1\n" in found.text
    (kept,) = found.notes
    assert kept.startswith("KerasOptimizer.name = 'sgd' (later_1.gin:2) is dropped: ")


@pytest.mark.parametrize(
    ("first", "later", "flags", "where"),
    [
        ("AdamW.weight_decay = 0.1\n" + OTHER, (), {}, "run.gin:5"),
        (OTHER, ("AdamW.weight_decay = 0.1\n",), {}, "later_1.gin:1"),
        (OTHER, (), {"AdamW__weight_decay": "0.1"}, "--gin.AdamW.weight_decay=0.1"),
        ("RDrop.alpha = 1.0\n", ("Stage.epochs = 1\n",), {}, "run.gin:5"),
    ],
)
def test_a_binding_that_nothing_ever_used_stays_an_error(load, first, later, flags, where):
    with pytest.raises(ConfigError, match="nothing uses .*: no reference leads from") as caught:
        load(first, *later, **flags)
    assert caught.value.set_in == where


def test_a_circle_is_the_error_and_not_what_it_hides(load):
    circle = (
        "train.stages = (@GradualUnfreezing(),)\nGradualUnfreezing.stage = @GradualUnfreezing()\n"
    )
    with pytest.raises(ConfigError, match="is part of its own arguments") as caught:
        load("AdamW.weight_decay = 0.1\n", circle)
    assert caught.value.set_in == "later_1.gin:2"


def test_a_macro_of_what_was_dropped_may_rest_and_is_no_flag(load):
    first = "DECAY = 0.1\nAdamW.weight_decay = %DECAY\n"
    assert len(load(first, OTHER).notes) == 1
    with pytest.raises(ConfigError) as caught:
        load(first, OTHER, DECAY="0.2")
    assert caught.value.problem == (
        "nothing uses the macro DECAY: AdamW.weight_decay, which read it, is dropped."
    )
    assert (caught.value.set_in, caught.value.valid) == ("--gin.DECAY=0.2", "remove it")


# Stages of a later file.


def test_the_parts_of_replaced_stages_are_dropped_with_them(load):
    first = "train.stages = (@Stage(),)\nBatching.oversample = True\nStage.epochs = 9\n"
    found = load(first + "AdamW.weight_decay = 0.1\n", "recipes/full.gin")
    assert found.notes == (
        "recipes/full.gin has its own stages: Batching.oversample = True (run.gin:6) and "
        "AdamW.weight_decay = 0.1 (run.gin:8) are dropped",
    )
    assert "Batching.oversample = False\n" in found.text
    assert "AdamW.weight_decay = 0.01\n" in found.text


def test_many_dropped_settings_are_counted(load):
    first = "train.stages = (@Stage(),)\nBatching.oversample = True\n"
    first += "".join(f"EarlyStopping.{line}\n" for line in ("patience = 1", "min_delta = 0.1"))
    first += "".join(f"AdamW.{line}\n" for line in ("weight_decay = 0.1", "layer_decay = 0.9"))
    (found,) = load(first + "Linear.warmup = 0\n", "recipes/full.gin").notes
    assert found.endswith("AdamW.weight_decay = 0.1 (run.gin:9) and 2 more are dropped")


def test_stages_whose_settings_are_all_set_again_need_no_note(load):
    flags = {"DATA": "reviews.csv"}
    found = load_config(["quick/text.gin", "recipes/small_data.gin"], flags)
    assert found.notes == () and "L2SP.strength = 50.0\n" in found.text


def test_settings_of_files_without_stages_hold_for_those_of_a_later_file(load):
    found = load("Batching.oversample = True\n", "recipes/full.gin")
    assert found.notes == ()
    assert "Batching.oversample = True\n" in found.text
    assert "Stage.name = 'full'\n" in found.text
