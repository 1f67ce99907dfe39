"""Each mistake that gin accepts without a word is refused, with the line and the remedy."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import types
from typing import Any, Literal

import pytest

from tfft.argument_checks.annotations import accepts, describe
from tfft.config import includes
from tfft.config import load as config
from tfft.config.bindings import Macro, Reference
from tfft.config.catalog import Configurable, configurables, of_objects
from tfft.errors import ConfigError, DataError, DepthError


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stand-in."""

    name: str = "stage"
    freeze_layers: int | Literal["all"] = 0
    freeze: tuple[str, ...] = ()
    epochs: int | None = 3
    learning_rate: float = 5e-5


class Task:
    def __init__(self, labels: list[str] | None = None, dropout: float = 0.1):
        self.labels, self.dropout = labels, dropout


class Wrap:
    def __init__(self, inner: Any = None):
        self.inner = inner


class Body:
    def __init__(self, preset, sequence_length):
        self.preset, self.sequence_length = preset, sequence_length


def keras_hub(preset: str, *, sequence_length: int = 128) -> Body:
    if sequence_length > 512:
        raise DepthError(f"sequence_length={sequence_length} is beyond the positions.")
    if preset == "broken":
        raise ZeroDivisionError("a fault of ours")
    return Body(preset, sequence_length)


def files(data: str, *, text: str | None = None) -> str:
    if data == "none.csv":
        raise DataError(f"there is no file {data}.")
    return f"{data}/{text}"


def train(
    task: Any,
    backbone: Any,
    source: Any,
    stages: Any = (),
    *,
    seed: int = 0,
    workdir: str | None = None,
    config_text: str | None = None,
    say: Any = None,
):
    """Only its signature is read."""


def _kinds() -> dict[str, Configurable]:
    kinds = {
        "Task": "task",
        "Wrap": "task",
        "keras_hub": "backbone",
        "files": "source",
        "Stage": "stage",
    }
    objects = {each.__name__: each for each in (train, Task, Wrap, keras_hub, files, Stage)}
    return {
        name: dataclasses.replace(entry, kind=kinds.get(name, "verb"))
        for name, entry in of_objects(objects).items()
    }


WHOLE = """\
train.task = @Task()
train.backbone = @keras_hub()
train.source = @files()
train.stages = (@head/Stage(), @Stage())
keras_hub.preset = "small"
files.data = %DATA
DATA = "reviews.csv"
EPOCHS = 4
Stage.epochs = %EPOCHS
head/Stage.freeze_layers = "all"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.gin").write_text(WHOLE)
    return tmp_path


def load(*files_, strict=True, allow=(), seed=None, **overrides):
    return config.load(
        list(files_ or ["run.gin"]),
        {name.replace("__", "."): value for name, value in overrides.items()},
        strict=strict,
        allow=allow,
        seed=seed,
        configurables=_kinds(),
    )


def refused(folder, extra="", *, replace=("", ""), file="run.gin", **overrides) -> str:
    """Returns the message for the whole config with a change."""
    (folder / file).write_text(WHOLE.replace(*replace) + extra)
    with pytest.raises(ConfigError) as caught:
        load(file, **overrides)
    return str(caught.value)


# The six mistakes that gin accepts without a word.


def test_typo_where_a_macro_is_used(folder):
    assert refused(folder, replace=("%EPOCHS", "%EPOHCS")) == (
        "%EPOHCS has no value, and Stage.epochs needs one.\n"
        "  set in  run.gin:9\n"
        "  valid   %EPOCHS, or set it with --gin.EPOHCS=VALUE\n"
        "  see     tfft show --gin_file=run.gin"
    )


def test_typo_where_a_macro_is_set(folder):
    assert refused(folder, "EPOCSH = 5\n") == (
        "nothing uses the macro EPOCSH.\n"
        "  set in  run.gin:11\n"
        "  valid   EPOCHS\n"
        "  see     tfft show --gin_file=run.gin"
    )


def test_typo_in_a_macro_on_the_command_line(folder):
    assert refused(folder, EPOCSH="5") == (
        "no config has a macro EPOCSH.\n"
        "  set in  --gin.EPOCSH=5\n"
        "  valid   EPOCHS\n"
        "  see     tfft show --gin_file=run.gin"
    )


def test_a_later_file_may_replace_what_used_a_macro(folder):
    """`quick/text.gin` with a recipe after it: the recipe's epochs, and the macro rests."""
    (folder / "run.gin").write_text(WHOLE)
    (folder / "recipe.gin").write_text("Stage.epochs = 7\n")
    assert "Stage.epochs = 7" in load("run.gin", "recipe.gin").text
    with pytest.raises(ConfigError, match="nothing uses the macro EPOCHS") as caught:
        load("run.gin", "recipe.gin", EPOCHS="5")
    assert caught.value.set_in == "--gin.EPOCHS=5"


def test_typo_in_a_scope(folder):
    assert refused(folder, "haed/Stage.epochs = 5\n") == (
        "no reference has the scope 'haed'.\n"
        "  set in  run.gin:11\n"
        "  valid   head\n"
        "  see     tfft show --gin_file=run.gin"
    )


def test_scope_where_there_is_none(folder):
    message = refused(folder, "haed/keras_hub.preset = 'x'\n", replace=("head/", ""))
    assert "valid   no scope: there is none here" in message


def test_binding_of_something_that_is_not_reached(folder):
    message = refused(folder, replace=("train.task = @Task()", "Task.dropout = 0.2"))
    assert message == (
        "nothing uses Task.dropout: no reference leads from train to Task.\n"
        "  set in  run.gin:1\n"
        "  valid   remove it, or refer to @Task() from train\n"
        "  see     tfft show --gin_file=run.gin"
    )


def test_binding_that_every_scope_replaces(folder):
    (folder / "run.gin").write_text(
        WHOLE.replace(", @Stage()", ",").replace("head/Stage.f", "head/Stage.epochs = 1\nStage.f")
    )
    with pytest.raises(ConfigError) as caught:
        load()
    assert str(caught.value) == (
        "nothing uses Stage.epochs: every use of Stage sets its own or has another scope.\n"
        "  set in  run.gin:9\n"
        "  valid   remove it, or refer to @Stage() from train\n"
        "  see     tfft show --gin_file=run.gin"
    )


@pytest.mark.parametrize(
    ("name", "flag"),
    [("workdir", "--workdir=FOLDER"), ("strategy", "--strategy=NAME"), ("say", "leave it out")],
)
def test_argument_that_the_command_line_supplies(folder, name, flag):
    assert refused(folder, f"train.{name} = 'x'\n") == (
        f"train.{name} is given by the command line; a value in a config would be ignored.\n"
        "  set in  run.gin:11\n"
        f"  valid   {flag}\n"
        "  see     tfft show --gin_file=run.gin"
    )


@pytest.mark.parametrize(
    ("line", "shown", "valid"),
    [
        ("Task.dropout = 'high'", "'high'", "a number"),
        ("Task.labels = 'positive'", "'positive'", "a list of text in quotes, in brackets or None"),
        ("head/Stage.epochs = True", "True", "a whole number or None"),
        ("head/Stage.epochs = 2.0", "2.0", "a whole number or None"),
        ("head/Stage.freeze = ('a', 3)", "('a', 3)", "a list of text in quotes, in brackets"),
        ("files.text = 3", "3", "text in quotes or None"),
        ("files.text = @keras_hub()", "@keras_hub()", "text in quotes or None"),
    ],
)
def test_value_of_the_wrong_type(folder, line, shown, valid):
    key, _, _ = line.partition(" =")
    assert refused(folder, line + "\n") == (
        f"{key} = {shown} is of the wrong type.\n"
        "  set in  run.gin:11\n"
        f"  valid   {valid}\n"
        f"  see     tfft show {key.rpartition('.')[0].rpartition('/')[2]}"
    )


def test_choice_that_there_is_not(folder):
    message = refused(folder, replace=('"all"', '"most"'))
    assert message.startswith("head/Stage.freeze_layers = 'most' is of the wrong type.")
    assert 'valid   a whole number or "all"' in message


def test_wrong_type_through_a_macro_names_where_the_macro_is_set(folder):
    assert refused(folder, EPOCHS="three") == (
        "Stage.epochs = 'three', from %EPOCHS, is of the wrong type.\n"
        "  set in  --gin.EPOCHS=three\n"
        "  valid   a whole number or None\n"
        "  see     tfft show Stage"
    )


def test_wrong_kind_of_thing(folder):
    message = refused(folder, replace=("train.source = @files()", "train.source = @keras_hub()"))
    assert message == (
        "train.source = @keras_hub() is of the wrong type.\n"
        "  set in  run.gin:3\n"
        "  valid   a source: @files()\n"
        "  see     tfft show train"
    )


def test_missing_parentheses(folder):
    assert refused(folder, replace=("@keras_hub()", "@keras_hub")) == (
        "train.backbone = @keras_hub passes keras_hub itself, not what it makes.\n"
        "  set in  run.gin:2\n"
        "  valid   @keras_hub()\n"
        "  see     tfft show keras_hub"
    )


def test_missing_parentheses_in_a_list(folder):
    message = refused(folder, replace=("@head/Stage()", "@head/Stage"))
    assert "passes Stage itself, not what it makes." in message
    assert "valid   @head/Stage()\n" in message


# Names.


def test_unknown_configurable(folder):
    assert refused(folder, "Stag.epochs = 1\n") == (
        "nothing is called 'Stag'.\n  set in  run.gin:11\n  valid   Stage\n  see     tfft list"
    )


def test_unknown_reference(folder):
    message = refused(folder, replace=("@files()", "@file()"))
    assert message == (
        "nothing is called 'file'.\n  set in  run.gin:3\n  valid   files\n  see     tfft list"
    )


def test_unknown_parameter(folder):
    assert refused(folder, "Stage.epoch = 1\n") == (
        "Stage has no parameter 'epoch'.\n"
        "  set in  run.gin:11\n"
        "  valid   epochs\n"
        "  see     tfft show Stage"
    )


@pytest.mark.parametrize("name", ["@singleton()", "@gin.singleton()", "@macro()"])
def test_gins_own_functions_are_not_offered(folder, name):
    assert "nothing is called" in refused(folder, f"Task.labels = {name}\n")


def test_same_name_twice_in_a_file(folder):
    assert refused(folder, "EPOCHS = 5\n") == (
        "EPOCHS is set twice in one file.\n"
        "  set in  run.gin:8 and run.gin:11\n"
        "  valid   one of the two lines"
    )


# Refusals of code.


def leave(module):
    return f"--allow_imports={module}, which runs its code; modules of tfft need no flag"


@pytest.mark.parametrize(
    ("line", "valid"),
    [
        ("import os", leave("os")),
        ("from os import system", leave("os")),
        ("import mine.deep as x", leave("mine")),
        ("import tfftx.run", leave("tfftx")),
        ("import tfft.api as x", "import tfft.api, under its own name"),
        ("from __gin__ import dynamic_registration", leave("__gin__")),
    ],
)
def test_import_is_refused_before_it_runs(folder, line, valid):
    (folder / "mine").mkdir()
    (folder / "mine/deep.py").write_text("raise SystemExit('executed')")
    assert refused(folder, line + "\n") == (
        f"{line!r} is refused: a config executes no code of others.\n"
        f"  set in  run.gin:11\n  valid   {valid}\n  see     tfft list"
    )
    assert str(folder) not in sys.path and "mine" not in sys.modules


def test_own_modules_may_be_imported_and_must_exist(folder):
    (folder / "run.gin").write_text("import tfft.tasks.text.text_classification\n" + WHOLE)
    assert load().settings
    message = refused(folder, "import tfft.nothing\n")
    assert message == (
        "there is no module tfft.nothing.\n  set in  run.gin:11\n  see     tfft list"
    )


@pytest.fixture
def own(folder, monkeypatch):
    """A function that writes a module of one's own; it can be imported in this test alone."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text, place=folder, name="mine"):
        place.mkdir(exist_ok=True)
        (place / f"{name}.py").write_text(text)

    yield write
    for name in ("mine", "yours", "my_tasks", "helpers_of_mine", "tests_stand_in"):
        sys.modules.pop(name, None)


MINE = """\
from typing import Callable

def has(text, words: tuple[str, ...] = ("not",)) -> bool:
    return any(word in text.split() for word in words)

class Own(Task):
    def __init__(self, scorer: Callable | None = None, depth: int = 1, **further):
        self.scorer, self.depth, self.further = scorer, depth, further

class Plain(Task):
    pass

def files(data: str):
    return f"my {data}"
"""
LATE = "from tests_stand_in import Task\n"


@pytest.fixture
def mine(own):
    """A module with a task, whose base is the stand-in, and a config that uses it."""
    sys.modules["tests_stand_in"] = types.SimpleNamespace(Task=Task)
    own(LATE + MINE)
    return "import mine\n" + WHOLE.replace("@Task()", "@mine.Own()")


def test_own_tasks_and_functions_work_without_a_decorator(folder, mine):
    extra = "Own.scorer = @mine.has\nhas.words = ('no', 'not')\nOwn.dropout = 0.5\n"
    (folder / "run.gin").write_text(mine + extra)
    found = load(allow=("mine",))
    assert "mine" not in sys.modules
    task = found.kwargs()["task"]
    assert (type(task).__name__, task.depth, task.further["dropout"]) == ("Own", 1, 0.5)
    assert task.scorer("say no") and task.scorer("do not") and not task.scorer("yes")
    # The text has the import and the flag, and repeats the run with them alone.
    assert "--gin_file=THIS_FILE --allow_imports=mine --workdir" in found.text
    assert "\nimport mine\n" in found.text and "mine.has.words = ('no', 'not')" in found.text
    (folder / "again.gin").write_text(found.text)
    again = load("again.gin", allow=("mine",))
    assert again.text == found.text
    assert again.kwargs(only=["task"])["task"].scorer("no")
    with pytest.raises(ConfigError, match="'import mine' is refused"):
        load("again.gin")


def test_a_function_is_passed_as_it_is(folder, mine):
    (folder / "run.gin").write_text(mine + "Own.scorer = @has\n")
    found = load(allow=("mine",))
    assert found.kwargs()["task"].scorer is sys.modules["mine"].has
    assert "has.words" not in found.text


def test_a_function_may_be_called_and_passed(folder, mine, own):
    own(LATE + MINE + "def maker(text='x', inner=None): return inner, text\n")
    extra = "Wrap.inner = [@mine.Own(), @maker()]\nOwn.scorer = @maker\nmaker.inner = @Plain()\n"
    (folder / "run.gin").write_text(mine.replace("@mine.Own()", "@Wrap()") + extra)
    found = load(allow=("mine",))
    (folder / "again.gin").write_text(found.text)
    for each in (found, load("again.gin", allow=("mine",))):
        task, (inner, text) = each.kwargs()["task"].inner
        assert type(inner).__name__ == "Plain" and text == "x"
    inner, text = found.kwargs()["task"].inner[0].scorer("y")
    assert type(inner).__name__ == "Plain" and text == "y"


def refused_text(allow):
    with pytest.raises(ConfigError) as caught:
        load(allow=allow)
    return str(caught.value)


def test_a_bare_name_is_the_package_s_first(folder, mine):
    (folder / "run.gin").write_text(mine + "Own.dropout = 0.2\n")
    assert load(allow=("mine",)).kwargs()["source"] == "reviews.csv/None"
    text = mine.replace("@files()", "@mine.files()").replace("files.data", "mine.files.data")
    (folder / "run.gin").write_text(text)
    assert load(allow=("mine",)).kwargs()["source"] == "my reviews.csv"
    # Gin keeps what it registered: a load without the module is as it ever was.
    (folder / "run.gin").write_text(WHOLE)
    assert load().kwargs()["source"] == "reviews.csv/None"


def test_flags_reach_one_s_own(folder, mine):
    (folder / "run.gin").write_text(mine)
    settings = {"Own.depth": "3", "mine.Own.dropout": "0.3", "train.backbone": "@keras_hub()"}
    task = load(allow=("mine",), **settings).kwargs()["task"]
    assert (task.depth, task.further["dropout"]) == (3, 0.3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "Own.depht = 2",
            "mine.Own has no parameter 'depht'.\n  set in  run.gin:12\n  valid   depth",
        ),
        ("Own.depth = 'two'", "mine.Own.depth = 'two' is of the wrong type"),
        ("Own.dropout = 'much'", "mine.Own.dropout = 'much' is of the wrong type"),
        ("Plain.dropout = 0.2", "nothing uses mine.Plain.dropout: no reference leads from train"),
        ("Own.scorer = @mine.hass", "nothing is called 'mine.hass'"),
        ("Own.scorer = @hass", "nothing is called 'hass'.\n  set in  run.gin:12\n  valid   has"),
        ("Own.labels = @mine.has", "passes mine.has itself, not what it makes"),
        ("Own.scorer = @mine.has()", "mine.has.text is not set, and it has no default"),
        ("train.backbone = @mine.Plain()", "train.backbone is set twice"),
        ("x/Own.depth = 2", "no reference has the scope 'x'"),
    ],
)
def test_the_strict_checks_hold_for_one_s_own(folder, mine, line, message):
    (folder / "run.gin").write_text(mine + line + "\n")
    assert message in refused_text(("mine",)).replace("mine.train", "train")


def test_a_task_in_the_place_of_a_backbone_is_refused(folder, mine):
    (folder / "run.gin").write_text(mine.replace("@keras_hub()", "@mine.Plain()"))
    assert "train.backbone = @mine.Plain() is of the wrong type" in refused_text(("mine",))


def test_see_leads_to_one_s_own_file(folder, mine):
    (folder / "run.gin").write_text(mine + "Own.depth = 'two'\n")
    assert f"see     {folder / 'mine.py'}:7" in refused_text(("mine",))


def test_the_name_of_two_things_is_told(folder, mine, own):
    own("def has(text: str) -> str: return text\n", name="yours")
    (folder / "run.gin").write_text("import yours\n" + mine + "Own.scorer = @has\n")
    message = refused_text(("mine", "yours"))
    assert "'has' is 2 things.\n  set in  run.gin:13\n  valid   yours.has or mine.has" in message


def test_a_module_that_a_path_names_is_found_and_finds_its_neighbours(folder, own):
    own(
        "from helpers_of_mine import WORD\ndef Other(depth: int = 1): return WORD * depth\n",
        folder / "deep",
    )
    own("WORD = 'a'\n", folder / "deep", "helpers_of_mine")
    text = "import mine\n" + WHOLE.replace("@files()", "@mine.Other()")
    text = text.replace("files.data = %DATA", "Other.depth = 3").replace('DATA = "reviews.csv"', "")
    (folder / "deep/run.gin").write_text(text)
    assert load("deep/run.gin", allow=("deep/mine.py",)).kwargs()["source"] == "aaa"


def test_a_module_that_is_not_there_or_no_python_is_told(folder, own):
    (folder / "run.gin").write_text("import mine\n" + WHOLE)
    assert refused_text(("mine",)) == (
        "there is no module mine.\n  set in  run.gin:1\n"
        "  valid   mine.py in this folder, or --allow_imports=FOLDER/mine.py\n"
        "  see     tfft list"
    )
    own("def has(text:\n")
    assert "mine is no Python: " in refused_text(("mine",))
    (folder / "run.gin").write_text("import sys\n" + WHOLE)
    assert "there is no module sys" in refused_text(("sys",))


def test_allowed_module_is_read_and_not_executed(folder, own):
    own("1 / 0\ndef Other(depth: int = 1): pass\n")
    text = WHOLE.replace("keras_hub.preset = ", "keras_hub.preset = 'x'\nOther.depth = ")
    (folder / "run.gin").write_text("import mine\n" + text)
    assert "mine.Other.depth = 'small' is of the wrong type" in refused_text(("mine",))
    assert "mine" not in sys.modules


# Files.


def test_missing_config(folder):
    with pytest.raises(ConfigError) as caught:
        load("quick/txt.gin")
    assert str(caught.value).startswith(
        "there is no config 'quick/txt.gin'.\n"
        "  set in  --gin_file=quick/txt.gin\n"
        "  valid   quick/text.gin"
    )
    assert caught.value.see == "tfft list"


def test_missing_include(folder):
    message = refused(folder, 'include "models/minilm.gin"\n')
    assert message.startswith(
        "there is no config 'models/minilm.gin'.\n"
        "  set in  run.gin:11\n"
        "  valid   models/minilm_l6.gin"
    )


def test_include_cycle(folder):
    (folder / "other.gin").write_text('include "run.gin"\n')
    assert refused(folder, 'include "other.gin"\n') == (
        "configs include each other: run.gin -> other.gin -> run.gin.\n  set in  other.gin:1"
    )


def test_include_is_found_beside_its_own_file(folder, monkeypatch):
    (folder / "deep").mkdir()
    (folder / "deep" / "base.gin").write_text(WHOLE)
    (folder / "deep" / "top.gin").write_text('include "base.gin"\nEPOCHS = 7\n')
    assert {s.name: s for s in load("deep/top.gin").settings}["Stage.epochs"] == config.Setting(
        "Stage.epochs", "7", "deep/top.gin", 2, "EPOCHS"
    )


def test_packaged_config_is_found_from_any_folder(folder):
    found = config.load(["results/movie_reviews.gin"])
    assert found.value("keras_hub.preset") == "minilm_l6"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Task.dropout 0.5", "Couldn't parse statement, expected ':' or '='."),
        ("Task.dropout = high", "high is no value"),
        ("files.data = 'reviews.csv", "Unable to parse value."),
        ("Task.dropout = 0.5 0.6", "Expected newline."),
    ],
)
def test_line_that_cannot_be_read(folder, line, reason):
    assert refused(folder, line + "\n") == (
        f"this line cannot be read: {line}\n"
        f"  {reason}\n"
        "  set in  run.gin:11\n"
        '  valid   NAME = VALUE, where text stands in quotes: files.data = "reviews.csv"'
    )


def test_open_bracket_to_the_end(folder):
    assert "EOF in multi-line statement" in refused(folder, "Task.labels = ['a',\n")


def test_config_that_is_not_utf8(folder):
    (folder / "run.gin").write_bytes(WHOLE.encode() + b"# caf\xe9\n")
    with pytest.raises(ConfigError) as caught:
        load()
    assert str(caught.value) == (
        "the config is not UTF-8.\n  set in  run.gin:11\n  valid   a text in UTF-8"
    )


SECRET = "hunter2"
FOREIGN = {
    "passwd": f"root:{SECRET}:0:0:root:/root:/bin/bash\n",
    "key": f"-----BEGIN KEY-----\n{SECRET}=\n",
    "json": f'{{"password": "{SECRET}"}}',
    "yaml": f"password: {SECRET}\n",
    "yaml tree": f"database:\n  password: {SECRET}\n",
    "ini": f"[section]\npassword = {SECRET}\n",
    "csv": f"name,password\nme,{SECRET}\n",
    "html": f"<p>{SECRET}</p>",
    "shell": f"#!/bin/sh\nlogin --password {SECRET}\n",
    "null": f"\0\0{SECRET}\0",
    "text": f"{SECRET} is the word\n",
    "digits": f"({'1' * 5000}, '{SECRET}')",
    "deep": "[" * 5000 + SECRET,
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("name", ["other.txt", "other", "other.gin"])
def test_a_file_that_is_no_config_is_not_quoted(folder, kind, name):
    (folder / name).write_text(FOREIGN[kind])
    (folder / "run.gin").write_text(f'include "{name}"\n')
    for file, where in ((name, f"--gin_file={name}"), ("run.gin", "run.gin:1")):
        with pytest.raises(ConfigError, match="is not a gin config") as caught:
            load(file)
        assert SECRET not in str(caught.value) and where in str(caught.value)
        assert name in str(caught.value)


def test_a_link_to_another_file_is_not_quoted(folder):
    (folder / "other").write_text(FOREIGN["passwd"])
    (folder / "link.gin").symlink_to("other")
    with pytest.raises(ConfigError, match="is not a gin config") as caught:
        load("link.gin")
    assert SECRET not in str(caught.value)


def test_a_gin_file_without_the_suffix_is_not_read(folder):
    (folder / "run.gin").rename(folder / "run.txt")
    with pytest.raises(ConfigError, match="its name does not end in .gin"):
        load("run.txt")


def test_a_statement_that_python_cannot_hold_is_an_error_with_its_line(folder):
    assert "set in  run.gin:11" in refused(folder, f"Task.dropout = {'1' * 5000}\n")
    assert "this line cannot be read" in refused(folder, f"Task.dropout = {'(' * 5000}\n")
    with pytest.raises(ConfigError):
        load(Task__dropout="1" * 5000)


def test_what_is_no_file_is_named(folder, monkeypatch):
    (folder / "sub").mkdir()
    (folder / "sub" / "a.gin").write_text("")
    with pytest.raises(ConfigError) as caught:
        load("sub")
    assert str(caught.value) == (
        "sub is a folder, not a gin config.\n  set in  --gin_file=sub\n"
        "  valid   sub/a.gin\n  see     tfft list"
    )
    os.mkfifo(folder / "pipe.gin")
    with pytest.raises(ConfigError, match="pipe.gin is no regular file"):
        load("pipe.gin")
    with open(folder / "huge.gin", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(ConfigError, match="it has 1,099,511,627,776 bytes"):
        load("huge.gin")
    for name in ("", "x" * 300 + ".gin", "null\0.gin", "nothing/there.gin", "."):
        with pytest.raises(ConfigError):
            load(name)


def test_a_file_that_may_not_be_read_is_an_error(folder, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "read_bytes", denied)
    with pytest.raises(ConfigError, match="'run.gin' cannot be read: Permission denied"):
        load()


@pytest.mark.parametrize("content", [b"caf\xe9 = 1\n", b"a = 1\0", b"root:x:0:0:hunter2\n"])
def test_a_module_that_is_no_python_is_an_error(folder, content, monkeypatch):
    (folder / "mine.py").write_bytes(content)
    (folder / "run.gin").write_text("import mine\n")
    with pytest.raises(ConfigError, match="mine is no Python") as caught:
        config.load(["run.gin"], allow=["mine"])
    assert SECRET not in str(caught.value)


# Composition.


def test_later_files_and_flags_win(folder):
    (folder / "more.gin").write_text("EPOCHS = 9\nTask.dropout = 0\n")
    found = load("run.gin", "more.gin", Task__dropout="0.5")
    shown = {s.name: (s.value, s.where) for s in found.settings}
    assert shown["Stage.epochs"] == ("9", "more.gin:1")
    assert shown["Task.dropout"] == ("0.5", "--gin.Task.dropout=0.5")
    assert shown["keras_hub.sequence_length"] == ("128", "default")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("reviews.csv", "reviews.csv"),
        ("'quoted.csv'", "quoted.csv"),
        ("2024", "2024"),
        ("my file.csv", "my file.csv"),
        ("/data/a-b.csv", "/data/a-b.csv"),
        ("@home.csv", "@home.csv"),
    ],
)
def test_bare_word_is_text_where_text_is_expected(folder, text, value):
    assert load(DATA=text).value("files.data") == value


def test_flag_takes_none_and_numbers_and_choices(folder):
    found = load(EPOCHS="None", files__text="None", **{"head/Stage.freeze_layers": "2"})
    assert found.value("Stage.epochs") is None
    assert found.value("files.text") is None
    assert found.value("head/Stage.freeze_layers") == 2
    assert load(Stage__freeze_layers="all").value("Stage.freeze_layers") == "all"


def test_required_macro(folder):
    assert refused(folder, replace=('DATA = "reviews.csv"\n', "")) == (
        "%DATA has no value, and files.data needs one.\n"
        "  set in  run.gin:6\n"
        "  valid   set it with --gin.DATA=VALUE\n"
        "  see     tfft show --gin_file=run.gin"
    )
    assert load(DATA="x.csv").value("files.data") == "x.csv"


def test_required_argument(folder):
    assert refused(folder, replace=("train.task = @Task()\n", "")) == (
        "train.task is not set, and it has no default.\n"
        "  valid   train.task = @Task(), or another task: Wrap\n"
        "  see     tfft list"
    )


def test_macro_that_leads_back_to_itself(folder):
    assert refused(folder, "A = %B\nB = %A\nTask.dropout = %A\n") == (
        "a macro leads back to itself: %A -> %B -> %A.\n  set in  run.gin:11"
    )


def test_reference_that_leads_back_to_itself(folder):
    (folder / "run.gin").write_text(WHOLE.replace("@Task()", "@Wrap()") + "Wrap.inner = @Wrap()\n")
    with pytest.raises(ConfigError) as caught:
        load()
    assert str(caught.value) == "@Wrap() is part of its own arguments.\n  set in  run.gin:11"


def test_reference_without_a_scope_is_called_in_its_callers(folder):
    text = WHOLE.replace("@Task()", "@a/b/Wrap()")
    text += "Wrap.inner = (@Task(), @c/Task())\na/Task.dropout = 0.5\nTask.labels = ['x']\n"
    (folder / "run.gin").write_text(text)
    found = load()
    first, second = found.kwargs()["task"].inner
    assert (first.dropout, first.labels) == (0.5, ["x"])
    assert (second.dropout, second.labels) == (0.1, ["x"])
    assert "a/b/Wrap.inner = (@a/b/Task(), @c/Task())\n" in found.text


def test_seed_flag_wins_with_a_line(folder):
    (folder / "run.gin").write_text(WHOLE + "train.seed = 3\n")
    found = load(seed=5)
    assert found.notes == ("--seed=5 replaces train.seed = 3 of run.gin:11",)
    assert found.kwargs()["seed"] == 5
    assert "train.seed = 5" in found.text


def test_show_lists_mistakes_instead_of_raising(folder):
    (folder / "run.gin").write_text(WHOLE.replace("DATA =", "DAAT =") + "Stage.epoch = 1\n")
    found = load(strict=False)
    problems = [mistake.problem for mistake in found.mistakes]
    assert problems[0] == "Stage has no parameter 'epoch'."
    assert "nothing uses the macro DAAT." in problems
    assert config.Setting("Stage.epoch", "1", "run.gin", 11) in found.settings


# Objects.


def test_objects_are_made_with_their_arguments(folder):
    made = load().kwargs()
    assert made["backbone"].preset == "small"
    assert made["source"] == "reviews.csv/None"
    assert [stage.freeze_layers for stage in made["stages"]] == ["all", 0]
    assert [stage.epochs for stage in made["stages"]] == [4, 4]
    assert isinstance(made["stages"][0], Stage)
    assert sorted(made) == ["backbone", "seed", "source", "stages", "task"]


def test_only_the_wanted_objects_are_made(folder):
    made = load(DATA="none.csv").kwargs(only=("task", "backbone"))
    assert sorted(made) == ["backbone", "task"]


def test_an_error_of_a_constructor_gains_its_line(folder):
    with pytest.raises(DataError) as caught:
        load(DATA="none.csv").kwargs()
    assert str(caught.value) == "there is no file none.csv.\n  set in  --gin.DATA=none.csv"
    (folder / "run.gin").write_text(WHOLE + "keras_hub.sequence_length = 1000\n")
    with pytest.raises(DepthError) as caught:
        load().kwargs()
    assert caught.value.set_in == "run.gin:11"


def test_an_error_of_the_run_gains_its_line_and_file(folder):
    error = DepthError("freeze_layers='all', but", see="tfft check --gin_file=FILE")
    load().explain(error)
    assert (error.set_in, error.see) == ("run.gin:10", "tfft check --gin_file=run.gin")
    vague = load().explain(DataError("the file is torn."))
    assert vague.set_in is None


def test_an_unforeseen_error_keeps_its_class_and_text(folder):
    with pytest.raises(ZeroDivisionError) as caught:
        load(keras_hub__preset="broken").kwargs()
    assert str(caught.value) == "a fault of ours"


def test_loads_do_not_leak_into_each_other(folder):
    first, second = load(EPOCHS="1"), load(EPOCHS="2")
    assert second.kwargs()["stages"][1].epochs == 2
    assert first.kwargs()["stages"][1].epochs == 1


# The text that repeats the run.


def test_text_is_whole_and_stable(folder):
    found = load()
    assert found.text == (
        "# The whole config of a run: every object with all its arguments. The same run again:\n"
        "#   tfft train --gin_file=THIS_FILE --workdir=FOLDER\n"
        "\n"
        "train.task = @Task()\n"
        "train.backbone = @keras_hub()\n"
        "train.source = @files()\n"
        "train.stages = (@head/Stage(), @Stage())\n"
        "train.seed = 0\n"
        "\n"
        "Task.labels = None\n"
        "Task.dropout = 0.1\n"
        "\n"
        "keras_hub.preset = 'small'\n"
        "keras_hub.sequence_length = 128\n"
        "\n"
        "files.data = 'reviews.csv'\n"
        "files.text = None\n"
        "\n"
        "head/Stage.name = 'stage'\n"
        "head/Stage.freeze_layers = 'all'\n"
        "head/Stage.freeze = ()\n"
        "head/Stage.epochs = 4\n"
        "head/Stage.learning_rate = 5e-05\n"
        "\n"
        "Stage.name = 'stage'\n"
        "Stage.freeze_layers = 0\n"
        "Stage.freeze = ()\n"
        "Stage.epochs = 4\n"
        "Stage.learning_rate = 5e-05\n"
    )
    (folder / "again.gin").write_text(found.text)
    again = load("again.gin")
    assert again.text == found.text
    assert again.kwargs()["stages"] == found.kwargs()["stages"]


def test_text_keeps_odd_values(folder):
    labels = ["it's", 'a "quote"', "new\nline", "ünïcode", "x" * 90]
    (folder / "run.gin").write_text(WHOLE + f"Task.labels = {labels!r}\n")
    (folder / "again.gin").write_text(load().text)
    assert load("again.gin").kwargs()["task"].labels == labels


# What is offered.


def test_offers_what_is_named_as_its_file():
    known = configurables()
    assert known["TextClassification"].kind == "task"
    assert known["keras_hub"].kind == "backbone"
    assert known["files"].kind == "source"
    assert "Crossentropy" not in known and "presets" not in known
    assert known["Stage"].parameters["epochs"].literal == (3,)
    assert "freezes the embeddings" in known["Stage"].meanings()["freeze_layers"]


@pytest.mark.parametrize("path", sorted(includes.packaged().rglob("*.gin")), ids=lambda p: p.name)
def test_packaged_configs_hold(path):
    found = config.load([str(path)], strict=False)
    assert not found.mistakes
    header = path.read_text().split("\n\n")[0]
    words = ("what", "command", "needs", "measured")
    for word in (*words, "when") if path.parent.name == "recipes" else words:
        assert f"# {word}" in header
    if path.parent.name == "results":
        assert not found.missing
    if path.parent.name == "quick":
        lacking = {re.search(r"--gin\.(\w+)=VALUE", each.valid)[1] for each in found.missing}
        assert "DATA" in lacking and all(f"--gin.{name}=" in header for name in lacking)


def test_loading_a_config_does_not_import_tensorflow():
    code = (
        "import sys; from tfft.config import load; load.load(['results/movie_reviews.gin']);"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Annotations.


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        ("int", [1, -3], [True, 1.0, "1", None, Reference("f")]),
        ("float", [1, 0.5], [True, "0.5", float("inf")]),
        ("Optional[str]", ["a", None], [1]),
        ("Union[int, 'str']", [1, "a"], [None]),
        ("Literal['a', 1, True]", ["a", 1, True], ["b", 1.0, False]),
        ("tuple[int, str]", [(1, "a")], [(1,), ("a", 1)]),
        ("tuple[int, ...]", [(), [1, 2]], [(1, "a"), 1]),
        ("Sequence[Stage]", [(Reference("Stage"),)], [(3,), Reference("Stage")]),
        ("dict[str, int]", [{"a": 1}], [{"a": "b"}, []]),
        ("collections.abc.Mapping", [{}], [()]),
        ("str | os.PathLike[str]", ["a", Reference("path")], [1]),
        ("Any", [1, None, Reference("f")], []),
        (None, [1, None], []),
    ],
)
def test_annotations(annotation, good, bad):
    assert all(accepts(annotation, value) for value in [*good, Macro("UNSET")])
    assert not any(accepts(annotation, value) for value in bad)


def test_annotations_in_words():
    assert describe("int | Literal['all', 2]") == 'a whole number or "all", 2'
    text = "a list in brackets, each a Stage, as @name() or None"
    assert describe("Sequence[Stage] | None") == text
    assert describe("Sequence[Stage] | None", python=True) == "a list, each a Stage or None"
    assert describe("tuple[int, ...]") == "a list in brackets, each a whole number"
    assert describe("list[str]") == "a list of text in quotes, in brackets"
    assert describe("Optimizer") == "an Optimizer, as @name()"
    assert describe("Any") == "any value"


def test_stages_of_a_later_file_replace_the_earlier_ones_whole(folder):
    """Nothing of the first recipe's stage stays on in the second, and its scopes may differ."""
    (folder / "run.gin").write_text(WHOLE + "Stage.learning_rate = 0.5\n")
    (folder / "two.gin").write_text(
        "train.stages = (@one/Stage(), @two/Stage())\n"
        'one/Stage.freeze_layers = "all"\ntwo/Stage.freeze_layers = 2\n'
    )
    found = load("run.gin", "two.gin")
    assert "learning_rate = 0.5" not in found.text
    assert "two/Stage.freeze_layers = 2" in found.text
    assert found.notes == (
        "two.gin has its own stages: Stage.epochs = %EPOCHS (run.gin:9) and "
        "Stage.learning_rate = 0.5 (run.gin:11) are dropped",
    )
    with pytest.raises(ConfigError, match="nothing uses the macro EPOCHS"):
        load("run.gin", "two.gin", EPOCHS="5")


@pytest.mark.parametrize("path", sorted((includes.packaged() / "recipes").glob("*.gin")), ids=str)
def test_every_recipe_follows_own_data(path):
    found = config.load(["quick/text.gin", f"recipes/{path.name}"], {"DATA": "a.csv"})
    assert not found.mistakes and not found.missing


def test_the_documented_module_and_config_hold(folder, own):
    page = (includes.packaged().parent / "docs/config.md").read_text("utf-8")
    [module] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    [text] = re.findall(r"```\n(import my_tasks.*?)```", page, re.DOTALL)
    own(module, name="my_tasks")
    (folder / "own.gin").write_text(text)
    found = config.load(["own.gin"], {"DATA": "a.csv"}, allow=["my_tasks"])
    assert "train.task = @my_tasks.MyTask()" in found.text
    assert "my_tasks.MyTask.dropout = 0.2" in found.text
    assert found.kwargs(only=["slices"])["slices"]["negated"]("this is not it")
