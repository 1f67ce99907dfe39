"""A stage: one mask, one optimizer, one schedule, made and compiled in a single action."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from tfft.argument_checks.validated import (
    COUNT,
    DISTINCT,
    FILLED,
    FRACTION,
    NON_NEGATIVE,
    Range,
    each,
    validated,
)
from tfft.errors import ConfigError
from tfft.methods.base import Method
from tfft.training import weight_averaging
from tfft.training.freezing import (
    check_patterns,
)
from tfft.training.regularizers.train_step import Additions

SHORT_STEPS = 16  # a step of the head alone is shorter than the call around it


@validated(
    **each("epochs steps batch_size batch_tokens accumulate lengths unfreeze_layers", COUNT),
    **each("cycles patience steps_per_execution", COUNT),
    **each("freeze_layers reinit_layers rates layer_decay warmup learning_rate", NON_NEGATIVE),
    **each("weight_decay l2_sp min_change r_drop mixup adversarial noise", NON_NEGATIVE),
    **each("dropout ema_momentum swa_start", FRACTION),
    **each("name optimizer monitor", FILLED),
    freeze=DISTINCT,
    wise_ft=Range(above=0, below=1),
    clip_norm=Range(above=0),
)
@dataclasses.dataclass(frozen=True)
class Stage:
    """One stretch of training.

    Args:
      name: shown in the report and the logs.
      freeze_layers: freezes the embeddings and the first N layers; "all" trains the head alone,
        0 trains everything.
      freeze: patterns of more to freeze, matched against a group's name ("layer_2") or a
        variable's ("layer_2/*/bias"), with the wildcards of `fnmatch`.
      method: trains few weights of the layers that are not frozen, or few new ones, beside the
        head: `bitfit()`, `norm_tuning()`, `lora()`, `adapters()`, `ia3()`.
      reinit_layers: gives the top K layers and the pooler new weights before the first stage that
        says so (Zhang et al. 2021, Revisiting few-sample BERT fine-tuning).
      dropout: the rate of the body's dropout layers, one number for all or numbers for patterns
        such as "layer_*/feedforward_dropout"; None leaves them as they are.
      epochs: how often the training split is seen; None when `steps` says how long.
      steps: the number of batches instead of epochs.
      batch_size: examples a batch.
      batch_tokens: tokens a batch, padding included, instead of a number of examples; the rate
        stays as it is and losses are reported per example.
      accumulate: how many batches make one step of the optimizer, as if they were one: each example
        has the same weight, and rate and warm-up count steps.
      oversample: repeats the examples of rarer classes until all classes are equally frequent.
      lengths: what batches are padded to; None chooses at most six lengths that waste the fewest
        tokens of these data. `(128,)` pads every batch to 128.
      learning_rate: the peak of the schedule.
      layer_decay: the rate of each layer as a share of the one above it, the head's being
        `learning_rate` (Clark et al. 2020, ELECTRA; 0.9 to 0.95 is usual for fine-tuning).
      rates: factors of the rate for patterns as in `freeze`, on top of `layer_decay`.
      unfreeze: "top_down" trains the head alone first, then unfreezes `unfreeze_layers` more from
        the top in each of a chain of stages, each of `epochs` or `steps`, until `freeze_layers` are
        left (Howard and Ruder 2018, ULMFiT).
      unfreeze_layers: how many at a time.
      schedule: how the rate goes on after the warm-up; "linear" and "cosine" end at zero,
        "restarts" is `cycles` cosines in a row (Loshchilov and Hutter 2017, SGDR).
      cycles: how many.
      warmup: steps (int) or share of all steps (float below 1) in which the rate rises from zero.
      weight_decay: decoupled decay of all weights but biases and norms.
      l2_sp: pulls the body's weights towards the pretrained ones instead: a step gives back
        rate x `l2_sp` of the distance; the head keeps `weight_decay` (Li et al. 2018, L2-SP).
      average: validates and keeps averages of the weights: "ema" a moving one over the steps
        (Polyak and Juditsky 1992), "swa" the mean over the ends of epochs (Izmailov et al. 2018).
      ema_momentum: the share of the old average after a step.
      swa_start: the share of the steps after which epochs count.
      wise_ft: mixes the pretrained body into the trained one when the stage ends: shares of the
        latter, of which validation takes the best, 1 included (Wortsman et al. 2022, WiSE-FT).
      optimizer: a name of `keras.optimizers`, in lower case.
      clip_norm: the largest global norm of a gradient, None for no limit.
      monitor: the figure that says which epoch is the best: "loss", "accuracy", or another of the
        task's metrics, with "val_" before it for the validation split. None takes the validation
        accuracy, then the loss.
      monitor_mode: "min" or "max" for a metric of a task of your own that does not declare whether
        a smaller or a larger value is better.
      patience: ends the stage when so many epochs in a row brought no better figure; the next stage
        starts from the best weights (early stopping: Prechelt 1998).
      min_change: what counts as better, for `patience`.
      r_drop: alpha of R-Drop (Liang et al. 2021): two passes with dropout that must agree; 0 is
        off. Twice the time.
      mixup: alpha of mixup of the pooled features (Zhang et al. 2018; Verma et al. 2019); 0 is off.
      adversarial: the length of the shift of what the trained part reads (FGM: Miyato et al. 2017);
        0 is off, 1 is usual. Twice the time.
      noise: alpha of noise on what the trained part reads (NEFTune: Jain et al. 2024); 0 is off.
      precision: the layers' dtype policy; weights stay in float32. "mixed_float16" scales the loss
        and skips a step that overflows (Micikevicius et al. 2018).
      xla: "auto" compiles on GPU and TPU, not on a CPU, where it gains nothing and compiles anew
        for each shape.
      features: "memory" and "disk" compute the frozen prefix once and train on its outputs, "disk"
        keeps them for other stages and runs; "auto" takes what is on disk, else memory, else disk,
        where that pays and fits; "off" computes the prefix at every step.
      half_features: stores them in float16; the report says what that changed.
      steps_per_execution: batches in one call of TensorFlow; progress, checkpoints and Ctrl-C wait
        for its end. "auto" takes 16 where the head alone is trained on stored features, whose steps
        are shorter than a call, else 1.
    """

    name: str = "stage"
    freeze_layers: int | Literal["all"] = 0
    freeze: tuple[str, ...] = ()
    method: Method | None = None
    dropout: float | Mapping[str, float] | None = None
    reinit_layers: int = 0
    epochs: int | None = 3
    steps: int | None = None
    batch_size: int = 32
    batch_tokens: int | None = None
    accumulate: int = 1
    oversample: bool = False
    lengths: tuple[int, ...] | None = None
    learning_rate: float = 5e-5
    layer_decay: float = 1.0
    rates: Mapping[str, float] | None = None
    unfreeze: Literal["top_down"] | None = None
    unfreeze_layers: int = 1
    schedule: Literal["constant", "linear", "cosine", "restarts"] = "linear"
    cycles: int = 1
    warmup: int | float = 0.1
    weight_decay: float = 0.01
    l2_sp: float = 0.0
    average: Literal["ema", "swa"] | None = None
    ema_momentum: float = 0.99
    swa_start: float = 0.5
    wise_ft: tuple[float, ...] = ()
    optimizer: str = "adamw"
    clip_norm: float | None = 1.0
    monitor: str | None = None
    monitor_mode: Literal["auto", "min", "max"] = "auto"
    patience: int | None = None
    min_change: float = 0.0
    r_drop: float = 0.0
    mixup: float = 0.0
    adversarial: float = 0.0
    noise: float = 0.0
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    xla: bool | Literal["auto"] = "auto"
    features: Literal["auto", "memory", "disk", "off"] = "auto"
    half_features: bool = False
    steps_per_execution: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None) and self.epochs != 3:
            raise ConfigError(
                f"Stage.epochs={self.epochs} and Stage.steps={self.steps} contradict each other.",
                valid="one of the two; the other None",
            )
        check_patterns(self.freeze, self.rates or ())
        weight_averaging.check_settings(self)

    def total_steps(self, steps_per_epoch: int) -> int:
        """Returns how many batches the stage trains on: whole groups of `accumulate`.

        Raises:
          ConfigError: there is no whole group.
        """
        total = self.steps if self.steps is not None else (self.epochs or 0) * steps_per_epoch
        if total < self.accumulate:
            raise ConfigError(
                f"stage {self.name!r} has {total} batches, and accumulate={self.accumulate} of "
                "them make one step.",
                set_in="Stage.accumulate",
                valid=f"1 to {total}",
            )
        return total - total % self.accumulate

    def additions(self, seed: int) -> Additions | None:
        """Returns what the stage's training step does beyond Keras' own; None for nothing."""
        some = self.r_drop or self.mixup or self.adversarial or self.noise
        if not some and self.accumulate == 1:
            return None
        return Additions(
            self.r_drop, self.mixup, self.adversarial, self.noise, self.accumulate > 1, seed
        )

    def warmup_steps(self, total: int) -> int:
        return self.warmup if isinstance(self.warmup, int) else round(self.warmup * total)


def chain(stages: Sequence[Stage], body: Any) -> tuple[Stage, ...]:
    """Returns the stages with those that unfreeze gradually written out, bottom layers last.

    Raises:
      ConfigError: a stage has nothing to unfreeze, or two give other layers new weights.
    """
    asked = {stage.reinit_layers for stage in stages if stage.reinit_layers}
    if len(asked) > 1:
        raise ConfigError(
            f"stages ask for reinit_layers={' and '.join(map(str, sorted(asked)))}.",
            valid="one number; the first stage that says so gives the weights",
        )
    back = [stage for stage in stages if stage.l2_sp or stage.wise_ft]
    if asked and back:
        raise ConfigError(
            f"stage {back[0].name!r} goes back to the pretrained weights (l2_sp or wise_ft), and "
            "reinit_layers replaces some of them.",
            valid="one of the two",
        )
    return tuple(part for stage in stages for part in _unfrozen(stage, body))


def _unfrozen(stage: Stage, body: Any) -> Iterator[Stage]:
    if stage.unfreeze is None:
        yield stage
        return
    if stage.freeze_layers == "all":
        raise ConfigError(
            f"stage {stage.name!r} unfreezes nothing: freeze_layers is where it ends.",
            set_in="Stage.freeze_layers",
            valid=f"0 to {body.depth - 1}",
        )
    if stage.reinit_layers:
        raise ConfigError(
            f"stage {stage.name!r} freezes the layers first that reinit_layers gives new weights.",
            valid="unfreeze=None, or reinit_layers=0",
        )
    last = int(stage.freeze_layers)
    depths = [*range(body.depth - stage.unfreeze_layers, last, -stage.unfreeze_layers), last]
    whole = dataclasses.replace(stage, unfreeze=None, wise_ft=())
    yield dataclasses.replace(whole, name=f"{stage.name} head", freeze_layers="all")
    for depth in depths[:-1]:
        yield dataclasses.replace(whole, name=f"{stage.name} from {depth}", freeze_layers=depth)
    mixed = stage.wise_ft  # once, at the end of the chain
    yield dataclasses.replace(
        whole, name=f"{stage.name} from {last}", freeze_layers=last, wise_ft=mixed
    )
