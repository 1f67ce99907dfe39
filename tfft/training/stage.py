"""A stage: one mask, one optimizer, one schedule, made and compiled in a single action."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from tfft.argument_checks.validated import COUNT, DISTINCT, FILLED, NON_NEGATIVE, each, validated
from tfft.errors import ConfigError
from tfft.methods.base import Method
from tfft.training import early_stopping
from tfft.training.averaging.base import Averaging
from tfft.training.batching import Batching
from tfft.training.early_stopping import EarlyStopping
from tfft.training.execution import Execution
from tfft.training.feature_cache.placement import FeatureCache
from tfft.training.optimizers.adamw import AdamW
from tfft.training.optimizers.base import Optimizer
from tfft.training.regularizers.base import Regularizer, acts_in_step
from tfft.training.regularizers.reinit_top import ReinitTop
from tfft.training.schedules.base import Schedule
from tfft.training.schedules.linear import Linear


@validated(
    **each("epochs steps batch_size", COUNT),
    **each("freeze_layers learning_rate", NON_NEGATIVE),
    name=FILLED,
    freeze=DISTINCT,
)
@dataclasses.dataclass(frozen=True)
class Stage:
    """One period of training.

    Args:
      name: shown in the report and the logs.
      freeze_layers: freezes the embeddings and the first N layers; "all" trains the head alone,
        0 trains everything. Of a backbone of several towers a dict by their names, such as
        {"image": 10, "text": "all"}, in which a tower that is left out is not frozen.
      freeze: patterns of more to freeze, matched against a group's name ("layer_2") or a
        variable's ("layer_2/*/bias"), with the wildcards of `fnmatch`.
      method: trains few weights of the layers that are not frozen, or few new ones, beside the
        head: `bitfit()`, `norm_tuning()`, `lora()`, `adapters()`, `ia3()`.
      epochs: how often the training split is seen; None when `steps` says how long.
      steps: the number of batches instead of epochs.
      batch_size: examples a batch.
      learning_rate: the peak of the schedule.
      schedule: how the learning rate goes on: `Linear()`, `Cosine()`, `CosineRestarts()`,
        `Constant()`, `KerasSchedule()`.
      optimizer: `AdamW()`, or `KerasOptimizer()` for another one of Keras.
      batching: how examples become batches.
      regularizers: `Dropout()`, `L2SP()`, `Mixup()`, `NoisyEmbeddings()`, `AdversarialStep()`,
        `RDrop()`, `ReinitTop()`.
      averaging: averages of the weights that are validated and kept: `EMA()` or `SWA()`, and
        `WiseFT()`.
      early_stopping: which epoch is the best, and when the stage ends early.
      feature_cache: whether the outputs of frozen layers are computed once.
      execution: precision, XLA, and batches in one call.
    """

    name: str = "stage"
    freeze_layers: int | Literal["all"] | Mapping[str, int | Literal["all"]] = 0
    freeze: tuple[str, ...] = ()
    method: Method | None = None
    epochs: int | None = 3
    steps: int | None = None
    batch_size: int = 32
    learning_rate: float = 5e-5
    schedule: Schedule = Linear()
    optimizer: Optimizer = AdamW()
    batching: Batching = Batching()
    regularizers: tuple[Regularizer, ...] = ()
    averaging: tuple[Averaging, ...] = ()
    early_stopping: EarlyStopping = EarlyStopping()
    feature_cache: FeatureCache = FeatureCache()
    execution: Execution = Execution()

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None) and self.epochs != 3:
            raise ConfigError(
                f"Stage.epochs={self.epochs} and Stage.steps={self.steps} contradict each other.",
                valid="one of the two; the other None",
            )
        multipliers = self.optimizer.learning_rate_multipliers or ()
        if both := [pattern for pattern in multipliers if pattern in self.freeze]:
            raise ConfigError(
                f"learning_rate_multipliers has a factor for {both[0]!r}, which Stage.freeze "
                "freezes.",
                valid="the pattern in one of the two",
            )
        for field in ("regularizers", "averaging"):
            names = [type(one).__name__ for one in getattr(self, field)]
            if twice := [name for name in names if names.count(name) > 1]:
                valid = f"one {twice[0]} for a stage"
                raise ConfigError(f"Stage.{field} has {twice[0]} twice.", valid=valid)
        if sum(not one.needs_pretrained for one in self.averaging) > 1:
            raise ConfigError(
                "Stage.averaging has EMA and SWA: a stage keeps one average.",
                set_in="Stage.averaging",
                valid="one of the two",
            )

    def total_steps(self, steps_per_epoch: int) -> int:
        """Returns how many batches the stage trains on: whole groups that make one step.

        Raises:
          ConfigError: there is no whole group.
        """
        total = self.steps if self.steps is not None else (self.epochs or 0) * steps_per_epoch
        size = self.batching.gradient_accumulation_steps
        if total < size:
            raise ConfigError(
                f"stage {self.name!r} has {total} batches, and "
                f"gradient_accumulation_steps={size} of them make one step.",
                set_in="Batching.gradient_accumulation_steps",
                valid=f"1 to {total}",
            )
        return total - total % size


def check_stage_settings(stage: Stage, task: Any, backbone: Any, has_validation: bool) -> None:
    """Refuses settings that do not fit the task, the backbone or the data.

    Raises:
      ConfigError: what a part of the stage needs and there is not.
    """
    stage.batching.check(stage, task)
    check_regularizers(stage, task, backbone)
    for average in stage.averaging:
        if average.needs_validation and not has_validation:
            raise ConfigError(
                f"{type(average).__name__} of stage {stage.name!r} chooses on validation data: "
                "there are none.",
                set_in="Stage.averaging",
                valid="a source with a validation split; or Stage.averaging = ()",
            )
    early_stopping.check(stage, task, has_validation)


def check_regularizers(stage: Stage, task: Any, backbone: Any) -> None:
    """Refuses regularizers that do not fit the task or the backbone.

    Raises:
      ConfigError: says which.
    """
    for regularizer in stage.regularizers:
        if "" not in backbone.towers and acts_in_step(regularizer):
            raise ConfigError(
                f"{type(regularizer).__name__} of stage {stage.name!r} changes what a backbone of "
                f"one tower gives, and this one has the towers {', '.join(backbone.towers)}.",
                set_in="Stage.regularizers",
                valid="Dropout() and L2SP(), or a backbone without named towers",
            )
        regularizer.check(stage, task, backbone)


@validated(layers=COUNT)
@dataclasses.dataclass(frozen=True)
class GradualUnfreezing:
    """Stands for several stages that unfreeze a backbone from the top.

    The first trains the head alone; each further one unfreezes more layers, until the stage's
    `freeze_layers` are left (Howard and Ruder 2018, ULMFiT).

    Args:
      stage: what all of them have in common; each is as long as it.
      layers: how many each stage unfreezes.
    """

    stage: Stage = Stage()
    layers: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.stage.freeze_layers, Mapping | str):
            problem = "unfreezes nothing: freeze_layers is where it ends."
            if self.stage.freeze_layers != "all":
                problem = (
                    "has freeze_layers by tower, and GradualUnfreezing unfreezes a backbone of one."
                )
            raise ConfigError(
                f"stage {self.stage.name!r} {problem}",
                set_in="Stage.freeze_layers",
                valid="0, or the number of layers that stay frozen",
            )
        if reinitialized_layers(self.stage):
            raise ConfigError(
                f"stage {self.stage.name!r} freezes the layers first that ReinitTop gives new "
                "weights.",
                set_in="Stage.regularizers",
                valid="a Stage without GradualUnfreezing, or no ReinitTop",
            )

    def stages(self, depth: int) -> Iterator[Stage]:
        """Yields the stages for a backbone of `depth` layers."""
        stage, last = self.stage, self.stage.freeze_layers
        assert isinstance(last, int)
        averages = tuple(one for one in stage.averaging if not one.needs_pretrained)
        base = dataclasses.replace(stage, averaging=averages)
        yield dataclasses.replace(base, name=f"{stage.name} head", freeze_layers="all")
        for layers in range(depth - self.layers, last, -self.layers):
            name = f"{stage.name} from {layers}"
            yield dataclasses.replace(base, name=name, freeze_layers=layers)
        yield dataclasses.replace(stage, name=f"{stage.name} from {last}", freeze_layers=last)


def chain(
    stages: Stage | GradualUnfreezing | Sequence[Stage | GradualUnfreezing], backbone: Any
) -> tuple[Stage, ...]:
    """Returns the stages of a run, those of `GradualUnfreezing` one by one.

    Raises:
      ConfigError: two give other layers new weights, or one goes back to replaced weights.
    """
    chained: list[Stage] = []
    for one in (stages,) if isinstance(stages, Stage | GradualUnfreezing) else stages:
        if isinstance(one, Stage):
            chained.append(one)
        elif "" in backbone.towers:
            chained += one.stages(backbone.depth)
        else:
            raise ConfigError(
                "GradualUnfreezing unfreezes a backbone of one tower, and this one has the towers "
                f"{', '.join(backbone.towers)}.",
                set_in="train.stages",
                valid="a Stage for each step, with freeze_layers by tower",
            )
    layers = {reinitialized_layers(stage) for stage in chained} - {0}
    if len(layers) > 1:
        raise ConfigError(
            f"stages have ReinitTop.layers={' and '.join(map(str, sorted(layers)))}.",
            valid="one number; the first stage that has it gives the weights",
        )
    returning = [stage.name for stage in chained if needs_pretrained(stage)]
    if layers and returning:
        raise ConfigError(
            f"stage {returning[0]!r} goes back to the pretrained weights (L2SP or WiseFT), and "
            "ReinitTop replaces some of them.",
            valid="one of the two",
        )
    return tuple(chained)


def begin_stage(
    stages: Sequence[Stage], number: int, backbone: Any, head: Any, seed: int, console: Any
) -> None:
    """Lets the regularizers of stage `number` change weights; not when a run is resumed."""
    for regularizer in stages[number].regularizers:
        regularizer.begin_stage(stages, number, backbone, head, seed, console)


def needs_pretrained(stage: Stage) -> bool:
    """Returns True if a stage reads the pretrained weights while it trains."""
    parts: list[Any] = [*stage.regularizers, *stage.averaging]
    return any(part.needs_pretrained for part in parts)


def refuse_own_loop(stage: Stage) -> None:
    """Refuses averages that only the loop of `tfft.train` computes.

    Raises:
      ConfigError: says which.
    """
    for average in stage.averaging:
        if average.needs_train_loop:
            raise ConfigError(
                "tfft.build gives a model for a loop of your own; "
                f"{type(average).__name__} is computed by the loop of tfft.train.",
                valid="EMA(), which Keras' fit puts into the model when it ends; or tfft.train",
            )


def reinitialized_layers(stage: Stage) -> int:
    """Returns how many layers from the top a stage gives new weights."""
    return sum(one.layers for one in stage.regularizers if isinstance(one, ReinitTop))
