"""Wrong arguments of every public name: generated from the annotations, refused as UserError."""

import ast
import collections.abc
import inspect
import math
import os
import pathlib
import re
import sys
import types
import typing

import keras
import numpy as np
import pytest

import tfft
from tfft.argument_checks.annotations import resolve
from tfft.argument_checks.renamed_arguments import RENAMED
from tfft.argument_checks.validated import Range, constraints_of, validated
from tfft.backbones.base import Backbone
from tfft.backbones.text.tiny import tiny
from tfft.config import load
from tfft.config.catalog import configurables
from tfft.data.sources.base import Source
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ConfigError, UserError
from tfft.tasks.base import Task
from tfft.tasks.text.text_classification import TextClassification
from tfft.training.averaging import EMA
from tfft.training.batching import Batching
from tfft.training.execution import Execution
from tfft.training.optimizers import AdamW
from tfft.training.regularizers import Mixup, RDrop
from tfft.training.stage import Stage

VALUES = [
    *(None, "", "no such thing", b"bytes", True, -1, 0, 2.5, 10**400),
    *(math.nan, math.inf, -math.inf, [], ["a", "a"], ["a", ""], [1, 2, 3], [None], [math.nan]),
    *({}, {"a": "b"}, {0: 1.0}, {"a": math.nan}, {"a": -1.0}, object(), int, len),
]


class Reached(UserError):
    """The arguments were accepted."""


class Stop(Backbone):
    """A backbone that ends a verb as soon as it has checked its arguments."""

    def read_for(self, task):
        raise Reached("accepted")


KNOWN = configurables()


def public():
    """Returns all that a person calls, by name: found, not listed."""
    found = {name: entry.load() for name, entry in KNOWN.items()}
    names = [name for name in tfft._NAMES if callable(getattr(tfft, name))]
    found |= {name: getattr(tfft, name) for name in names}
    found["Run.export"], found["Run.save"] = tfft.Run.export, tfft.Run.save
    return {
        name: target
        for name, target in found.items()
        if not (isinstance(target, type) and issubclass(target, BaseException))
    }


PUBLIC = public()


def function_of(target):
    return target.__init__ if isinstance(target, type) else target


def parameters_of(target):
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = inspect.signature(function_of(target)).parameters.values()
    return {p.name: p for p in parameters if p.kind not in several and p.name != "self"}


def hints_of(target):
    function = inspect.unwrap(function_of(target))
    return typing.get_type_hints(function)


CELLS = [(name, parameter) for name in PUBLIC for parameter in parameters_of(PUBLIC[name])]


BODY, DATA, MODEL = tiny(), synthetic(64), keras.Model()


def example_of(kind):
    """Returns a valid value of a type, which leads to no file and no preset."""
    made = {str: "nothing-here", int: 2, float: 0.5, bool: False, Stage: Stage(), typing.Any: None}
    made |= {Task: TextClassification(["a", "b"]), keras.Model: MODEL}
    if kind in made:
        return made[kind]
    if kind is Backbone:
        return BODY
    if kind is Source:
        return DATA
    origin, members = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return members[0]
    if origin in (typing.Union, types.UnionType):
        return None if type(None) in members else example_of(members[0])
    if origin is collections.abc.Callable:
        return len
    if origin is tuple:
        return tuple(example_of(each) for each in members if each is not ...)
    if origin is collections.abc.Sequence:
        pair = [example_of(members[0]), example_of(members[0])]
        return ["nothing-here", "nor-here"] if members[0] is str else pair
    if origin is collections.abc.Mapping:
        return {"a": example_of(members[1]), "b": example_of(members[1])}
    return pathlib.Path("nothing-here")


def fits(kind, value):
    """Returns True if a value is of a type; a bool is no number, and a number is finite."""
    origin, members = typing.get_origin(kind), typing.get_args(kind)
    if kind in (typing.Any, type(None), None):
        return kind is typing.Any or value is None
    if kind in (int, float):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if kind is int or not isinstance(value, float):
            return whole and abs(value) < 2**63
        return math.isfinite(value)
    if origin is typing.Literal:
        return any(value == each and type(value) is type(each) for each in members)
    if origin in (typing.Union, types.UnionType):
        return any(fits(each, value) for each in members)
    if origin is tuple and ... not in members:
        same = isinstance(value, list | tuple) and len(value) == len(members)
        return same and all(map(fits, members, value))
    if origin in (tuple, collections.abc.Sequence):
        return isinstance(value, list | tuple) and all(fits(members[0], each) for each in value)
    if origin is collections.abc.Mapping:
        parts = value.items() if isinstance(value, dict) else ()
        inside = all(fits(members[0], key) and fits(members[1], each) for key, each in parts)
        return isinstance(value, dict) and inside
    if origin is collections.abc.Callable:
        return callable(value)
    return isinstance(value, origin or kind)


def numbers_in(value):
    parts = value.values() if isinstance(value, dict) else value
    parts = parts if isinstance(value, dict | list) else [value]
    return [each for each in parts if isinstance(each, int | float)]


def call(name, changed):
    """Calls a public name with valid arguments, of which some are changed."""
    target, hints = PUBLIC[name], hints_of(PUBLIC[name])
    arguments = {
        parameter.name: example_of(hints.get(parameter.name, typing.Any))
        for parameter in parameters_of(target).values()
        if parameter.default is parameter.empty
    }
    if name in ("train", "check", "build"):
        arguments["backbone"] = Stop()
    return target(**{**arguments, **changed})


@pytest.fixture(autouse=True)
def nothing_is_built(monkeypatch, tmp_path):
    """Backbones are built, and data sets are looked up, only where the test asks for it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFFT_HOME", str(tmp_path))

    def accepted(*args, **kwargs):
        raise Reached("accepted")

    first = {"text.tiny": "_preprocessor", "image.tiny_image": "_unit"}
    second = {"text.keras_hub": "resolve_preset", "image.keras_hub_images": "_folder"}
    for module, function in {**first, **second}.items():
        monkeypatch.setattr(sys.modules[f"tfft.backbones.{module}"], function, accepted)
    monkeypatch.setattr(keras.applications, "VGG16", accepted)
    monkeypatch.setattr(sys.modules["tfft.data.sources.tfds"], "_builder", accepted)


@pytest.mark.parametrize("name,parameter", CELLS)
def test_a_wrong_value_is_refused_or_accepted_as_its_annotation_says(name, parameter):
    target = PUBLIC[name]
    kind = hints_of(target).get(parameter, typing.Any)
    if isinstance(target, types.FunctionType) and "self" in inspect.signature(target).parameters:
        pytest.skip("a method: its arguments are checked in a test of their own")
    for value in VALUES:
        try:
            call(name, {parameter: value})
        except Reached:
            refusal = None
        except UserError as error:
            refusal = error
        else:
            refusal = None
        if not fits(kind, value):
            assert refusal is not None, f"{name}({parameter}={value!r}) is accepted"
            assert re.match(rf"{name}\.{parameter} must be .*Received: ", refusal.problem)
            assert refusal.valid
        elif refusal is None and numbers_in(value):
            constraint = constraints_of(target).get(parameter, Range())
            assert kind is typing.Any or constraint.is_met(value)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_checks_its_arguments(name):
    """A new configurable needs `@validated()`, and a constraint for each number."""
    target = PUBLIC[name]
    constraints = constraints_of(target)
    assert constraints is not None, f"{name} lacks @validated()"
    for parameter, hint in hints_of(target).items():
        is_number = any(each in (int, float) for each in (hint, *typing.get_args(hint)))
        if is_number and parameter in parameters_of(target):
            assert parameter in constraints, f"{name}.{parameter} has no constraint: ANY for none"


@pytest.mark.parametrize("name", PUBLIC)
def test_the_types_of_annotations_are_known_when_they_are_checked(name):
    target = inspect.unwrap(function_of(PUBLIC[name]))
    scope = vars(sys.modules[target.__module__])
    for annotation in map(inspect.formatannotation, target.__annotations__.values()):
        for node in ast.walk(ast.parse(annotation.strip("'"), mode="eval")):
            if isinstance(node, ast.Name):
                assert resolve(node, scope) is not None, f"{name}: {node.id} is known to mypy alone"


@pytest.mark.parametrize("name", ["Stage", "Batching", "AdamW", "RDrop", "keras_hub", "train"])
def test_unknown_arguments_name_the_nearest(name):
    wrong = next(iter(parameters_of(PUBLIC[name]))) + "s"
    with pytest.raises(ConfigError) as caught:
        PUBLIC[name](**{wrong: 1})
    assert wrong in caught.value.problem and wrong[:-1] in caught.value.valid


@pytest.mark.parametrize(
    "made,problem,valid",
    [
        (
            lambda: Stage(epochs=1.5),
            "Stage.epochs must be a whole number or None. Received: epochs=1.5.",
            "a whole number or None: 1 or more",
        ),
        (
            lambda: Stage(epochs=0),
            "Stage.epochs must be 1 or more. Received: epochs=0.",
            "a whole number or None: 1 or more",
        ),
        (
            lambda: Execution(dtype_policy="float64"),
            'Execution.dtype_policy must be "float32", "mixed_bfloat16", "mixed_float16". '
            "Received: dtype_policy='float64'.",
            '"float32", "mixed_bfloat16", "mixed_float16"',
        ),
        (
            lambda: Stage(schedule="linear"),
            "Stage.schedule must be a Schedule. Received: schedule='linear'.",
            "a Schedule",
        ),
        (
            lambda: Stage(optimizer=EMA()),
            "Stage.optimizer must be an Optimizer. Received: optimizer=an object of the class EMA.",
            "an Optimizer",
        ),
        (
            lambda: Stage(regularizers=(EMA(),)),
            "Stage.regularizers must be a list, each a Regularizer. Received: regularizers=(",
            "a list, each a Regularizer",
        ),
        (
            lambda: Stage(regularizers=RDrop(1.0)),
            "Stage.regularizers must be a list, each a Regularizer. Received: regularizers=an "
            "object of the class RDrop.",
            "a list, each a Regularizer",
        ),
        (
            lambda: Stage(accumulate=2),
            "Stage has no argument 'accumulate'.",
            "Batching.gradient_accumulation_steps",
        ),
        (
            lambda: Mixup(alpha=0),
            "Mixup.alpha must be above 0. Received: alpha=0.",
            "a number: above 0",
        ),
        (
            lambda: Stage(learning_rate="1e-3"),
            "Stage.learning_rate must be a number. Received: learning_rate='1e-3'.",
            "a number: 0 or more",
        ),
        (
            lambda: TextClassification(dropout=2.0),
            "TextClassification.dropout must be 0 to below 1. Received: dropout=2.0.",
            "a number: 0 to below 1",
        ),
        (
            lambda: TextClassification(labels=["a", "a"]),
            "TextClassification.labels must be 1 or more names, each of them once and none empty. "
            "Received: labels=['a', 'a'].",
            None,
        ),
        (
            lambda: TextClassification(labels="abc"),
            "TextClassification.labels must be a list",
            None,
        ),
        (
            lambda: TextClassification(class_weights={0: 1.0, 1: 5.0}),
            "TextClassification.class_weights must be",
            None,
        ),
        (lambda: tfft.train(TextClassification, Stop(), []), "train.task must be a Task", None),
        (
            lambda: tfft.train(TextClassification(), Stop(), [], stages=[]),
            "train.stages must be not empty. Received: stages=[].",
            None,
        ),
        (
            lambda: tfft.train(TextClassification(), Stop(), [], seed=-1),
            "train.seed must be 0 to 2147483647. Received: seed=-1.",
            None,
        ),
        (
            lambda: tfft.check(TextClassification(), Stop(), [], epochs=3),
            "check has no argument 'epochs'.",
            None,
        ),
        (
            lambda: Stage(
                freeze=("layer_0",), optimizer=AdamW(learning_rate_multipliers={"layer_0": 0.5})
            ),
            "learning_rate_multipliers has a factor for 'layer_0', which Stage.freeze freezes.",
            "the pattern in one of the two",
        ),
    ],
)
def test_errors_say_what_was_received_and_what_is_valid(made, problem, valid):
    with pytest.raises(ConfigError) as caught:
        made()
    assert caught.value.problem.startswith(problem)
    assert caught.value.valid == valid if valid else caught.value.valid
    assert "--" not in str(caught.value)


def test_the_error_of_an_old_name_is_written_for_python():
    with pytest.raises(ConfigError) as caught:
        Stage(r_drop=1.0)
    assert str(caught.value) == (
        "Stage has no argument 'r_drop'.\n"
        "  valid   RDrop.alpha, with Stage.regularizers = (RDrop(),)"
    )


@pytest.mark.parametrize("old", RENAMED["Stage"])
def test_the_new_place_of_an_old_name_exists(old):
    """Its words with a dot are parameters, and those after an @ are configurables."""
    place = RENAMED["Stage"][old]
    named = re.findall(r"\b([A-Za-z]\w*)\.(\w+)", place)
    assert named and old not in KNOWN["Stage"].parameters
    assert all(parameter in KNOWN[owner].parameters for owner, parameter in named)
    assert set(re.findall(r"@(\w+)\(\)", place)) <= KNOWN.keys()


def test_values_of_numpy_and_paths_become_plain_ones():
    stage = Stage(
        epochs=np.int64(2),
        learning_rate=np.float32(0.5),
        batching=Batching(padded_lengths=np.array([8, 16])),
    )
    assert (stage.epochs, stage.learning_rate) == (2, 0.5)
    assert stage.batching.padded_lengths == [8, 16]
    assert type(stage.epochs) is int and type(stage.learning_rate) is float
    assert TextClassification(np.array(["b", "a"])).target.names == ("b", "a")
    assert TextClassification({"b": 1, "a": 2}.keys() and ["b", "a"]).target.names == ("b", "a")

    @validated()
    def opened(data: str, other: "str | os.PathLike[str]" = "") -> list:
        return [data, other]

    assert opened(pathlib.Path("a"), pathlib.Path("b")) == ["a", pathlib.Path("b")]


def test_a_checked_name_keeps_its_signature():
    assert list(inspect.signature(Stage).parameters)[:3] == ["name", "freeze_layers", "freeze"]
    assert inspect.signature(tiny).parameters["dim"].default == 16
    assert TextClassification(["a", "b"]).get_config()["dropout"] == 0.1


def test_a_config_s_value_out_of_range_names_its_flag():
    overrides = {"DATA": "reviews.csv", "TextClassification.dropout": "2.0"}
    found = load.load(["quick/text.gin"], overrides)
    with pytest.raises(ConfigError) as caught:
        found.kwargs(only=("task",))
    assert str(caught.value) == (
        "TextClassification.dropout must be 0 to below 1. Received: dropout=2.0.\n"
        "  set in  --gin.TextClassification.dropout=2.0\n"
        "  valid   a number: 0 to below 1"
    )
