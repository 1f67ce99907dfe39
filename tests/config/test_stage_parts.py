"""The objects that a stage is made of: bound without a reference, in scopes, and of their kind."""

from __future__ import annotations

import re
import sys

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
SCHEDULES = "@Constant(), @Cosine(), @CosineRestarts(), @KerasSchedule(), @Linear()"
REGULARIZERS = "a list in brackets, each a regularizer: " + (
    "@AdversarialStep(), @Dropout(), @L2SP(), @Mixup(), @NoisyEmbeddings(), @RDrop(), @ReinitTop()"
)
KNOWN = configurables()


def load_config(files, overrides=None, **options):
    """Loads configs with what the package offers, which is read once for all tests."""
    return config.load(files, overrides, configurables=KNOWN, **options)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def load(folder):
    """Returns a function that loads the run with further lines and flags."""

    def loaded(extra="", allow=(), **overrides):
        (folder / "run.gin").write_text(RUN + extra)
        flags = {name.replace("__", "."): value for name, value in overrides.items()}
        return load_config(["run.gin"], flags, allow=allow)

    return loaded


@pytest.fixture
def refused(load):
    """Returns a function that returns the error's text for the run with further lines."""

    def message(extra="", allow=(), **overrides) -> str:
        with pytest.raises(ConfigError) as caught:
            load(extra, allow, **overrides)
        return str(caught.value)

    return message


def values(found, name):
    """Returns the settings of a parameter with their origins."""
    return {
        each.name: (each.value, each.where) for each in found.settings if each.name.endswith(name)
    }


# A parameter whose default is a call of a configurable counts as bound to it.


@pytest.mark.parametrize("flag", [False, True])
def test_a_part_is_set_without_a_reference_to_it(load, flag):
    line = "Batching.oversample = True\n"
    found = load(Batching__oversample="True") if flag else load(line)
    where = "--gin.Batching.oversample=True" if flag else "run.gin:5"
    assert found.notes == ()
    assert values(found, "train.stages") == {"train.stages": ("(@Stage(),)", "default")}
    assert values(found, ".batching") == {"Stage.batching": ("@Batching()", "default")}
    assert values(found, ".oversample") == {"Batching.oversample": ("True", where)}
    assert values(found, ".max_size") == {"Batching.max_size": ("None", "default")}
    (stage,) = found.kwargs(only=("stages",))["stages"]
    assert stage.batching.oversample is True


def test_the_text_that_repeats_the_run_has_the_parts_and_loads_to_the_same(load, folder):
    found = load("Batching.oversample = True\nAdamW.layer_decay = 0.9\n")
    for line in (
        "train.stages = (@Stage(),)",
        "Stage.schedule = @Linear()",
        "Stage.optimizer = @AdamW()",
        "Stage.batching = @Batching()",
        "Stage.regularizers = ()",
        "Stage.averaging = ()",
        "Stage.early_stopping = @EarlyStopping()",
        "Stage.feature_cache = @FeatureCache()",
        "Stage.execution = @Execution()",
        "Linear.warmup = 0.1",
        "AdamW.layer_decay = 0.9",
        "Batching.oversample = True",
        "EarlyStopping.patience = None",
        "FeatureCache.where = 'auto'",
        "Execution.jit_compile = 'auto'",
    ):
        assert f"\n{line}\n" in found.text
    (folder / "again.gin").write_text(found.text)
    again = load_config(["again.gin"])
    assert again.text == found.text and again.notes == ()
    assert not [each for each in again.settings if each.file == "default"]
    stages = [each.kwargs(only=("stages",))["stages"] for each in (found, again)]
    assert stages[0] == stages[1]


def test_parts_stand_in_the_order_of_the_signature(load):
    found = load("Stage.regularizers = (@RDrop(),)\nRDrop.alpha = 1.0\n")
    blocks = [block.partition(".")[0] for block in found.text.split("\n\n")]
    parts = ["Linear", "AdamW", "Batching", "RDrop", "EarlyStopping", "FeatureCache", "Execution"]
    assert blocks[-len(parts) - 1 :] == ["Stage", *parts]


def test_a_part_that_is_named_replaces_the_default(load):
    found = load("Stage.schedule = @Cosine()\nCosine.warmup = 5\n")
    assert "Linear" not in found.text and "Cosine.warmup = 5\n" in found.text
    (stage,) = found.kwargs(only=("stages",))["stages"]
    assert type(stage.schedule).__name__ == "Cosine" and stage.schedule.warmup == 5


def test_the_stage_of_gradual_unfreezing_is_bound_without_a_reference(load):
    found = load("train.stages = (@GradualUnfreezing(),)\nEarlyStopping.patience = 2\n")
    assert "GradualUnfreezing.stage = @Stage()\n" in found.text
    (stage,) = found.kwargs(only=("stages",))["stages"]
    assert stage.stage.early_stopping.patience == 2


def test_a_class_variable_is_no_parameter(load, refused):
    found = load("Stage.regularizers = (@L2SP(),)\nL2SP.strength = 2.0\n")
    assert "needs_pretrained" not in found.text and ".shape" not in found.text
    assert "Linear has no parameter 'shape'." in refused("Linear.shape = 'cosine'\n")


# Scopes.

TWO = "train.stages = (@head/Stage(), @up/Stage())\n"


def test_a_scope_reaches_the_parts_of_its_stage_alone(load, folder):
    found = load(TWO + "head/Batching.oversample = True\nAdamW.weight_decay = 0.5\n")
    assert values(found, ".oversample") == {
        "head/Batching.oversample": ("True", "run.gin:6"),
        "up/Batching.oversample": ("False", "default"),
    }
    assert values(found, ".weight_decay") == {
        "head/AdamW.weight_decay": ("0.5", "run.gin:7"),
        "up/AdamW.weight_decay": ("0.5", "run.gin:7"),
    }
    first, second = found.kwargs(only=("stages",))["stages"]
    assert (first.batching.oversample, second.batching.oversample) == (True, False)
    assert (first.optimizer.weight_decay, second.optimizer.weight_decay) == (0.5, 0.5)
    assert "head/Stage.batching = @head/Batching()\n" in found.text
    (folder / "again.gin").write_text(found.text)
    again = load_config(["again.gin"])
    assert again.text == found.text
    assert list(again.kwargs(only=("stages",))["stages"]) == [first, second]


def test_a_scope_reaches_the_parts_within_gradual_unfreezing(load):
    found = load(
        "train.stages = (@slow/GradualUnfreezing(), @Stage())\nslow/EarlyStopping.patience = 3\n"
    )
    first, second = found.kwargs(only=("stages",))["stages"]
    assert first.stage.early_stopping.patience == 3
    assert second.early_stopping.patience is None


def test_a_scope_that_no_stage_has_is_refused(refused):
    assert "no reference has the scope 'haed'." in refused(TWO + "haed/Batching.oversample = True")


# Arguments of earlier versions.


@pytest.mark.parametrize(
    ("old", "place"),
    [
        ("accumulate", "Batching.gradient_accumulation_steps"),
        ("r_drop", "RDrop.alpha, with Stage.regularizers = (@RDrop(),)"),
        ("average", "Stage.averaging = (@EMA(),) or (@SWA(),)"),
        ("unfreeze", "train.stages = (@GradualUnfreezing(),)"),
    ],
)
def test_an_old_name_is_refused_with_its_new_place(refused, old, place):
    text = "Stage has no parameter '{}'.\n  set in  {}\n  valid   {}\n  see     tfft show Stage"
    assert refused(f"Stage.{old} = 2\n") == text.format(old, "run.gin:5", place)
    flag = {f"Stage__{old}": "2"}
    assert refused(**flag) == text.format(old, f"--gin.Stage.{old}=2", place)
    scoped = refused(f"{TWO}head/Stage.{old} = 2\n")
    assert scoped == text.format(old, "run.gin:6", place)


# Kinds.


@pytest.mark.parametrize(
    ("line", "valid"),
    [
        ("Stage.schedule = @AdamW()", f"a schedule: {SCHEDULES}"),
        ("Stage.schedule = 'linear'", f"a schedule: {SCHEDULES}"),
        ("Stage.schedule = None", f"a schedule: {SCHEDULES}"),
        ("Stage.optimizer = @Cosine()", "an optimizer: @AdamW(), @KerasOptimizer()"),
        ("Stage.optimizer = 'sgd'", "an optimizer: @AdamW(), @KerasOptimizer()"),
        (
            "Stage.regularizers = (@EMA(),)",
            REGULARIZERS,
        ),
        (
            "Stage.regularizers = 'r_drop'",
            REGULARIZERS,
        ),
        ("Stage.regularizers = @RDrop()", "(@RDrop(),)"),
        (
            "Stage.averaging = (@EMA(), @RDrop())",
            "a list in brackets, each an average: @EMA(), @SWA(), @WiseFT()",
        ),
        ("Stage.batching = @Execution()", "@Batching()"),
        ("Stage.batching = 16", "@Batching()"),
        (
            "Stage.method = @AdamW()",
            "a method: @adapters(), @bitfit(), @ia3(), @lora(), @norm_tuning() or None",
        ),
        ("train.stages = (@AdamW(),)", "a stage: @Stage(), @GradualUnfreezing()"),
    ],
)
def test_an_object_of_another_kind_is_refused(refused, line, valid):
    owner = line.partition(".")[0]
    assert refused(line + "\n") == (
        f"{line} is of the wrong type.\n"
        "  set in  run.gin:5\n"
        f"  valid   {valid}\n"
        f"  see     tfft show {owner}"
    )


def test_a_flag_with_an_old_value_names_the_schedules(refused):
    message = refused(Stage__schedule="linear")
    assert message.startswith("Stage.schedule = 'linear' is of the wrong type.\n")
    assert f"  valid   a schedule: {SCHEDULES}\n" in message


def test_the_name_of_a_kind_names_its_classes(refused):
    message = refused("Stage.schedule = @Schedule()\n")
    assert message.startswith("nothing is called 'Schedule'.\n")
    assert f"  valid   a schedule: {SCHEDULES}\n" in message


# Bindings of parts that no stage has.


@pytest.mark.parametrize(
    ("lines", "line", "used"),
    [
        ("RDrop.alpha = 1.0\n", "run.gin:5", "Stage.regularizers = (@RDrop(),)"),
        (
            "Stage.regularizers = (@L2SP(),)\nL2SP.strength = 1.0\nRDrop.alpha = 1.0\n",
            "run.gin:7",
            "Stage.regularizers = (@L2SP(), @RDrop())",
        ),
        ("EMA.momentum = 0.9\n", "run.gin:5", "Stage.averaging = (@EMA(),)"),
        ("lora.rank = 2\n", "run.gin:5", "Stage.method = @lora()"),
        ("Cosine.warmup = 0\n", "run.gin:5", "Stage.schedule = @Cosine()"),
        (
            f"{TWO}CosineRestarts.cycles = 3\n",
            "run.gin:6",
            "head/Stage.schedule = @CosineRestarts()",
        ),
    ],
)
def test_a_part_that_no_stage_has_names_where_it_belongs(refused, lines, line, used):
    message = refused(lines)
    assert re.match(r"nothing uses (\w+)\.\w+: no reference leads from train to \1\.\n", message)
    assert f"  set in  {line}\n  valid   remove it, or {used}\n" in message


# A person's own.

MINE = """\
import dataclasses

from tfft.training.regularizers import Dropout
from tfft.training.regularizers.base import Regularizer


@dataclasses.dataclass(frozen=True)
class Smooth(Regularizer):
    '''Makes something smooth.'''

    rate: float = 0.5

    def on_pooled(self, step, pooled):
        return pooled * self.rate


class Plain(Regularizer):
    pass


class More(Dropout):
    pass


def made(rate: float = 1.0) -> Regularizer:
    return Smooth(rate)
"""


@pytest.fixture
def mine(folder, monkeypatch):
    """Writes a module of one's own; returns the line that imports it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (folder / "my_regularizers.py").write_text(MINE)
    yield "import my_regularizers\n"
    sys.modules.pop("my_regularizers", None)


def test_one_s_own_regularizer_is_used_as_the_package_s(mine, load, folder):
    allow = ("my_regularizers",)
    lines = "Stage.regularizers = (@my_regularizers.Smooth(), @RDrop())\n"
    found = load(f"{mine}{lines}Smooth.rate = 0.25\nRDrop.alpha = 1.0\n", allow)
    assert "my_regularizers.Smooth.rate = 0.25\n" in found.text
    (folder / "again.gin").write_text(found.text)
    again = load_config(["again.gin"], allow=allow)
    assert again.text == found.text
    (stage,) = again.kwargs(only=("stages",))["stages"]
    smooth, r_drop = stage.regularizers
    assert (type(smooth).__name__, smooth.rate, r_drop.alpha) == ("Smooth", 0.25, 1.0)


@pytest.mark.parametrize(
    ("name", "lines"),
    [("Plain", ""), ("More", "More.rate = 0.25\n"), ("made", "made.rate = 0.25\n")],
)
def test_other_forms_of_one_s_own_regularizer(mine, load, name, lines):
    extra = f"{mine}Stage.regularizers = (@my_regularizers.{name}(),)\n{lines}"
    (stage,) = load(extra, ("my_regularizers",)).kwargs(only=("stages",))["stages"]
    (made,) = stage.regularizers
    assert not lines or made.rate == 0.25


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "Stage.schedule = @my_regularizers.Smooth()",
            f"is of the wrong type.\n  set in  run.gin:6\n  valid   a schedule: {SCHEDULES}\n",
        ),
        (
            "Smooth.rate = 0.5",
            "valid   remove it, or Stage.regularizers = (@my_regularizers.Smooth(),)\n",
        ),
        (
            "Stage.regularizers = @my_regularizers.Smooth()",
            "valid   (@my_regularizers.Smooth(),)\n",
        ),
    ],
)
def test_one_s_own_regularizer_has_its_place(mine, refused, lines, message):
    assert message in refused(f"{mine}{lines}\n", ("my_regularizers",))


def test_a_class_that_is_no_regularizer_is_refused_when_it_is_made(mine, load, folder):
    (folder / "my_regularizers.py").write_text("class Other:\n    pass\n")
    found = load(f"{mine}Stage.regularizers = (@my_regularizers.Other(),)\n", ("my_regularizers",))
    with pytest.raises(ConfigError) as caught:
        found.kwargs(only=("stages",))
    assert caught.value.problem.startswith(
        "Stage.regularizers must be a list, each a Regularizer. Received: "
    )
    assert caught.value.set_in == "run.gin:6"
