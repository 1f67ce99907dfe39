"""Every config for own data with every recipe: the same macros reach the stages of both."""

import re

import pytest

from tfft.config import includes
from tfft.config import load as config
from tfft.config.catalog import configurables
from tfft.errors import ConfigError

QUICK = sorted(path.stem for path in (includes.packaged() / "quick").glob("*.gin"))
RECIPES = sorted(path.stem for path in (includes.packaged() / "recipes").glob("*.gin"))
VALUES = {"EPOCHS": "5", "BATCH_SIZE": "7", "LEARNING_RATE": "0.0125", "FREEZE_LAYERS": "1"}
NEEDED = {"DATA": "data.csv", "TAGGED": "tags.conll"}
# Tasks without one label an example have no weights by class.
WEIGHED = ("images", "multi_task", "pairs", "text")
KNOWN = configurables()


def load_config(files, overrides=None, **options):
    """Loads configs with what the package offers, which is read once for all tests."""
    return config.load(files, overrides, configurables=KNOWN, **options)


def load(quick, recipe, **macros):
    text = (includes.packaged() / f"quick/{quick}.gin").read_text()
    needed = {name: value for name, value in NEEDED.items() if f"%{name}" in text}
    if "quick/text.gin" in text:  # included
        needed["DATA"] = NEEDED["DATA"]
    return load_config([f"quick/{quick}.gin", f"recipes/{recipe}.gin"], {**needed, **macros})


def stage_values(found, parameter):
    """Returns the values of a parameter of all stages that the run makes."""
    pattern = rf"^(?:\w+/)?Stage\.{parameter} = (.*)$"
    return re.findall(pattern, found.text, re.MULTILINE)


@pytest.mark.matrix
@pytest.mark.parametrize("quick", QUICK)
@pytest.mark.parametrize("recipe", RECIPES)
def test_each_recipe_takes_the_macros_of_each_quick_config(quick, recipe):
    if recipe == "imbalanced" and quick not in WEIGHED:
        with pytest.raises(ConfigError) as caught:
            load(quick, recipe, **VALUES)
        assert "does not inherit from Classification" in caught.value.problem
        assert "recipes/imbalanced.gin" in caught.value.set_in
        assert "TextClassification" in caught.value.valid
        return
    found = load(quick, recipe, **VALUES)
    for macro, value in VALUES.items():
        reached = stage_values(found, macro.lower())
        assert value in reached
        others = set(reached) - {value}
        if recipe == "head_then_unfreeze":
            head = {"EPOCHS": "2", "LEARNING_RATE": "0.001", "FREEZE_LAYERS": "'all'"}
            assert others <= {head.get(macro)}
        else:
            assert not others


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_defaults_of_its_own_and_names_its_macros(recipe):
    text = (includes.packaged() / f"recipes/{recipe}.gin").read_text()
    header = text.partition("\n\n")[0]
    macros = re.findall(r"^([A-Z_]+) = ", text, re.MULTILINE)
    assert set(VALUES) <= set(macros)
    assert all(name in header.partition("# macros")[2] for name in macros)
    alone = load_config(["quick/text.gin", f"recipes/{recipe}.gin"], {"DATA": "a.csv"})
    assert all(f"%{name}" not in alone.text for name in macros)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_has_the_usual_schedule_and_decay_but_for_what_it_sets(recipe):
    text = load("text", recipe).text
    scopes = ["head/", "unfrozen/"] if recipe == "head_then_unfreeze" else [""]
    decay = 0.0 if recipe in ("bitfit", "ia3") else 0.01
    layer_decay = {"layerwise": 0.9, "small_data": 0.95}.get(recipe, 1.0)
    for scope in scopes:
        assert f"{scope}Stage.schedule = @{scope}Linear()\n" in text
        assert f"{scope}Linear.warmup = 0.1\n" in text
        assert f"{scope}AdamW.weight_decay = {decay}\n" in text
        assert f"{scope}AdamW.layer_decay = {layer_decay}\n" in text


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_part_of_a_stage_is_set_directly(recipe):
    found = load("text", recipe, **{"Batching.oversample": "True", "AdamW.global_clipnorm": "None"})
    assert "Batching.oversample = True\n" in found.text
    assert "Batching.oversample = False\n" not in found.text
    assert "AdamW.global_clipnorm = None\n" in found.text


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_stage_is_still_set_directly(recipe):
    name = "unfrozen/Stage.epochs" if recipe == "head_then_unfreeze" else "Stage.epochs"
    found = load("text", recipe, **{name: "9"})
    assert "9" in stage_values(found, "epochs")


def test_the_head_of_two_stages_has_macros_of_its_own():
    found = load("text", "head_then_unfreeze", HEAD_EPOCHS="4", HEAD_LEARNING_RATE="0.5")
    assert stage_values(found, "epochs") == ["4", "2"]
    assert stage_values(found, "learning_rate") == ["0.5", "5e-05"]


@pytest.mark.parametrize("recipe, value", [("lora", "('*/output',)"), ("adapters", "('*/x',)")])
def test_the_layers_that_a_method_changes_are_a_macro(recipe, value):
    assert f"{recipe}.targets = {value}" in load("answer_with_text", recipe, TARGETS=value).text


@pytest.mark.parametrize("quick", WEIGHED)
def test_rare_classes_count_for_the_task_of_the_quick_config(quick):
    text = load(quick, "imbalanced").text
    task = {"pairs": "TextPairClassification", "images": "ImageClassification"}.get(quick)
    assert f"{task or 'TextClassification'}.class_weights = 'balanced'" in text
    assert "Classification.metrics = ('accuracy', 'macro_f1')" in text


def test_a_macro_that_a_line_replaced_names_the_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.gin").write_text('include "quick/text.gin"\n\nStage.epochs = 7\n')
    with pytest.raises(ConfigError) as caught:
        load_config(["own.gin"], {"DATA": "a.csv", "EPOCHS": "5"})
    assert caught.value.problem == (
        "nothing uses the macro EPOCHS: own.gin:3 sets Stage.epochs = 7 directly."
    )
    assert caught.value.set_in == "--gin.EPOCHS=5"
