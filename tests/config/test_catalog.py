"""What a config can name, found in the source."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest

from tfft.config.catalog import (
    CLASSES,
    FOLDERS,
    NAMED,
    PACKAGE,
    Parameter,
    configurables,
    of_objects,
)
from tfft.tasks.base import Task

KNOWN = configurables()


@pytest.mark.parametrize(
    ("default", "names"),
    [
        ("Linear()", ("Linear",)),
        ("(Stage(),)", ("Stage",)),
        ("(RDrop(), L2SP())", ("RDrop", "L2SP")),
        (None, ()),
        ("()", ()),
        ("None", ()),
        ("3", ()),
        ("Linear", ()),
        ("Linear(warmup=0)", ()),
        ("Linear(0)", ()),
        ("(Stage(), None)", ()),
        ("schedules.Linear()", ()),
        ("[Stage()]", ()),
        ("<object object at 0x7f>", ()),
    ],
)
def test_a_default_that_calls_something_is_made_by_it(default, names):
    assert Parameter("x", None, default).made_by == names


def test_a_default_that_is_an_object_is_made_by_nothing():
    def own(inner=KNOWN):
        """Its signature is read from the function, as that of an inherited constructor."""

    inner = of_objects({"own": own})["own"].parameters["inner"]
    assert (inner.made_by, inner.literal) == ((), ())


def loaded(path, name):
    """Returns a class of a file."""
    module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("folder", [each for each, made in FOLDERS.items() if made in CLASSES])
def test_each_class_of_a_folder_is_offered_as_its_kind(folder):
    """The class that a file is named for, but for the base class and what is no such thing."""
    kind = FOLDERS[folder].lower()
    found = {name for name, entry in KNOWN.items() if entry.kind == kind}
    files = [path for path in (PACKAGE / folder).rglob("[!_]*.py") if path.stem != "base"]
    named = {
        node.name: path
        for path in files
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name.lower() == path.stem.replace("_", "")
    }
    if folder == "tasks":  # what a task is made of is in the same folder
        named = {n: path for n, path in named.items() if issubclass(loaded(path, n), Task)}
    bases = {name for name, entry in KNOWN.items() if entry.kind == "base"}
    strangers = {"FusedAdamW", "AveragedWeights", "NormStatistics", "TrainingStep"}
    assert found == named.keys() - bases - strangers
    assert found


@pytest.mark.parametrize("folder", ["schedules", "optimizers", "regularizers", "averaging"])
def test_a_folder_exports_what_a_config_can_name(folder):
    package = importlib.import_module(f"tfft.training.{folder}")
    kind = FOLDERS[f"training/{folder}"].lower()
    assert set(package.__all__) == {name for name, entry in KNOWN.items() if entry.kind == kind}


def test_the_parts_of_a_stage_have_kinds_of_their_own():
    """`Stage.batching` takes what is annotated, matched by the lower-case name of the class."""
    for name, (_, kind) in NAMED.items():
        assert KNOWN[name].kind == kind
    for parameter in KNOWN["Stage"].parameters.values():
        for name in parameter.made_by:
            kind = KNOWN[name].kind
            assert kind == (parameter.annotation or "").lower()


PARTS = [name for name, entry in KNOWN.items() if entry.where.startswith("tfft/training/")]


@pytest.mark.parametrize("name", PARTS)
def test_the_parameters_that_are_read_are_those_of_the_constructor(name):
    entry = KNOWN[name]
    assert list(entry.parameters) == list(inspect.signature(entry.load()).parameters)
    assert set(entry.meanings()) == set(entry.parameters)
