"""A stage: one mask, one optimizer, one schedule, made and compiled in a single action."""

from __future__ import annotations

import dataclasses
import fnmatch
import hashlib
import math
from typing import Any, Literal

import keras
import tensorflow as tf

from tfft.errors import ConfigError, DepthError, FreezeError, near
from tfft.model import Split, assemble, is_seed, named_variables, prefix_depth
from tfft.optimizer import AdamW

# The softmax over keys does not change when one constant is added to every score, so the gradient
# of a key bias is zero and only rounding can move it.
INVARIANT = ("*/key/bias", "*key_dense/bias")
SHORT_STEPS = 16  # a step of the head alone is shorter than the call around it


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stretch of training.

    Args:
      name: shown in the report and the logs.
      freeze_layers: freezes the embeddings and the first N layers; "all" trains the head alone,
        0 trains everything.
      freeze: patterns of more to freeze, matched against a group's name ("layer_2") or a
        variable's ("layer_2/*/bias"), with the wildcards of `fnmatch`.
      epochs: how often the training split is seen; None when `steps` says how long.
      steps: the number of batches instead of epochs.
      batch_size: examples a batch.
      batch_tokens: tokens a batch, padding included, instead of a number of examples; the rate
        stays as it is and losses are reported per example.
      lengths: what batches are padded to; None chooses at most six lengths that waste the fewest
        tokens of these data. `(128,)` pads every batch to 128.
      learning_rate: the peak of the schedule.
      schedule: how the rate goes on after the warm-up; "linear" and "cosine" end at zero.
      warmup: steps (int) or share of all steps (float below 1) in which the rate rises from zero.
      weight_decay: decoupled decay of all weights but biases and norms.
      optimizer: a name of `keras.optimizers`, in lower case.
      clip_norm: the largest global norm of a gradient, None for no limit.
      precision: the layers' dtype policy; weights stay in float32.
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
    epochs: int | None = 3
    steps: int | None = None
    batch_size: int = 32
    batch_tokens: int | None = None
    lengths: tuple[int, ...] | None = None
    learning_rate: float = 5e-5
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup: int | float = 0.1
    weight_decay: float = 0.01
    optimizer: str = "adamw"
    clip_norm: float | None = 1.0
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    xla: bool | Literal["auto"] = "auto"
    features: Literal["auto", "memory", "disk", "off"] = "auto"
    half_features: bool = False
    steps_per_execution: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        limits = [("batch_size", 1), ("batch_tokens", 1), ("learning_rate", 0), ("weight_decay", 0)]
        for field, least in [*limits, ("steps_per_execution", 1)]:
            if getattr(self, field) not in (None, "auto") and getattr(self, field) < least:
                raise ConfigError(
                    f"Stage.{field}={getattr(self, field)} is too small.",
                    valid=f"{least} or more",
                )
        if (self.epochs is None) == (self.steps is None) and self.epochs != 3:
            raise ConfigError(
                f"Stage.epochs={self.epochs} and Stage.steps={self.steps} contradict each other.",
                valid="one of the two; the other None",
            )

    def total_steps(self, steps_per_epoch: int) -> int:
        """Returns how many batches the stage trains on."""
        return self.steps if self.steps is not None else (self.epochs or 0) * steps_per_epoch

    def warmup_steps(self, total: int) -> int:
        return self.warmup if isinstance(self.warmup, int) else round(self.warmup * total)


@keras.saving.register_keras_serializable("tfft")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then a constant rate, a line or half a cosine down to zero.

    The first step has rate `peak / warmup`, not zero, so that no step is lost.
    """

    def __init__(self, peak: float, total: int, warmup: int = 0, shape: str = "linear"):
        self.peak, self.total, self.warmup, self.shape = peak, total, warmup, shape

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        rising = (step + 1.0) / max(self.warmup, 1)
        done = (step - self.warmup) / max(self.total - self.warmup, 1)
        done = keras.ops.clip(done, 0.0, 1.0)
        falling = {
            "constant": keras.ops.ones_like(done),
            "linear": 1.0 - done,
            "cosine": 0.5 * (1.0 + keras.ops.cos(math.pi * done)),
        }[self.shape]
        return self.peak * keras.ops.where(step < self.warmup, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "total": self.total,
            "warmup": self.warmup,
            "shape": self.shape,
        }


def frozen_names(stage: Stage, body: Any, head: Any) -> frozenset[str]:
    """Returns the names of the variables that the stage does not train.

    Raises:
      DepthError: `freeze_layers` is not a depth of this body.
      FreezeError: a pattern matches nothing, or nothing is left to train.
    """
    _unfreeze(body, head)
    variables = {n: v for n, v in named_variables(body, head).items() if not is_seed(n)}
    names = list(variables)
    groups = _frozen_groups(stage.freeze_layers, body)
    frozen = {name for name in names if name.split("/")[0] in groups}
    for pattern in stage.freeze:
        hits = {n for n in names if fnmatch.fnmatch(n, pattern) or _inside(n, pattern)}
        if not hits:
            raise FreezeError(
                f"the pattern {pattern!r} in Stage.freeze matches no group and no variable.",
                valid=f"for example {near(pattern, _prefixes(names))}",
                see="tfft check --gin_file=FILE",
            )
        frozen |= hits
    if not any(variables[name].trainable for name in names if name not in frozen):
        raise FreezeError(
            f"stage {stage.name!r} trains nothing: every weight is frozen.",
            valid='at most freeze_layers="all", which trains the head',
        )
    return frozenset(frozen)


def _frozen_groups(freeze_layers: int | str, body: Any) -> set[str]:
    names = [group.name for group in body.groups]
    if freeze_layers == "all":
        return set(names)
    whole = isinstance(freeze_layers, int) and not isinstance(freeze_layers, bool)
    if not whole or not 0 <= int(freeze_layers) <= body.depth:
        raise DepthError(
            f"freeze_layers={freeze_layers!r}, but this backbone has {body.depth} layers.",
            valid=f'0 to {body.depth}, or "all"',
            see="tfft check --gin_file=FILE",
        )
    if freeze_layers == 0:
        return set()
    check = getattr(body, "check_depth", None)
    if check is not None:
        check(int(freeze_layers))
    return set(names[: int(freeze_layers) + 1])


def _inside(name: str, pattern: str) -> bool:
    """Says whether a pattern without a wildcard for what follows names a part above `name`."""
    parts = name.split("/")
    heads = ("/".join(parts[:count]) for count in range(1, len(parts)))
    return any(fnmatch.fnmatch(head, pattern) for head in heads)


def _prefixes(names: list[str]) -> set[str]:
    return {name.split("/")[0] for name in names} | set(names)


def _layers(body: Any, head: Any) -> list[Any]:
    return [*(layer for group in body.groups for layer in group.layers), head]


def _unfreeze(body: Any, head: Any) -> None:
    for layer in _layers(body, head):
        layer.trainable = True


def frozen_depth(stage: Stage, body: Any, head: Any) -> tuple[int | None, bool]:
    """Returns how many layers the stage's frozen prefix holds, and whether all is frozen.

    None when nothing at the bottom is frozen.
    """
    still = set_trainable(body, head, frozen_names(stage, body, head))
    return prefix_depth(body, still), len(still) == len(body.groups)


def set_trainable(body: Any, head: Any, frozen: frozenset[str]) -> frozenset[str]:
    """Sets the mask on every variable; returns the groups of which nothing is trained."""
    _unfreeze(body, head)
    variables = {n: v for n, v in named_variables(body, head).items() if not is_seed(n)}
    still = set()
    for group in body.groups:
        own = [name for name in variables if name.split("/")[0] == group.name]
        if own and all(name in frozen for name in own):
            still.add(group.name)
            for layer in group.layers:
                layer.trainable = False
    # After the layers: setting a layer's `trainable` sets it on all its variables.
    for name, variable in variables.items():
        if name in frozen:
            variable.trainable = False
    # A group whose weights all belong to a lower one (shared layers) is frozen with it.
    owners = {id(v): name.split("/")[0] for name, v in variables.items()}
    for group in body.groups:
        weights = [v for layer in group.layers for v in layer.weights]
        if all(owners.get(id(v)) in still for v in weights):
            still.add(group.name)
    return frozenset(still)


def make_optimizer(stage: Stage, total_steps: int) -> Any:
    """Returns the optimizer with its schedule; biases and norms are not decayed.

    Raises:
      ConfigError: Keras has no optimizer of that name.
    """
    known = {
        name.lower(): member
        for name, member in vars(keras.optimizers).items()
        if isinstance(member, type)
        and issubclass(member, keras.optimizers.Optimizer)
        and name not in ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
    } | {"adamw": AdamW}
    if stage.optimizer.lower() not in known:
        raise ConfigError(
            f"Stage.optimizer={stage.optimizer!r} is no optimizer of Keras.",
            valid=near(stage.optimizer, known, 5),
        )
    return known[stage.optimizer.lower()](
        learning_rate=WarmupDecay(
            stage.learning_rate, total_steps, stage.warmup_steps(total_steps), stage.schedule
        ),
        weight_decay=stage.weight_decay or None,
        global_clipnorm=stage.clip_norm,
    )


def set_precision(body: Any, head: Any, precision: str) -> None:
    """Gives all layers of the body the dtype policy; the head's output stays float32."""
    policy = keras.DTypePolicy(precision)
    for group in body.groups:
        for layer in group.layers:
            for inner in layer._flatten_layers():
                inner.dtype_policy = policy


def use_xla(choice: bool | str) -> bool:
    """Says whether a step is compiled with XLA: on for GPU and TPU when `choice` is "auto"."""
    if choice == "auto":
        return bool(tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"))
    return bool(choice)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A stage ready to train.

    Attributes:
      split: the model, and its prefix and tail.
      trained: the model whose `fit` is called: the tail when features are reused.
      frozen: names of the variables that stay as they are.
      table: a row a group: name, layers, parameters, trainable parameters.
    """

    stage: Stage
    split: Split
    trained: Any
    frozen: frozenset[str]
    table: list[dict[str, Any]]


def prepare(
    stage: Stage, body: Any, head: Any, task: Any, total_steps: int, reuse: bool = False
) -> Prepared:
    """Sets the mask, makes a new optimizer and compiles: one action.

    Args:
      stage: what to train and how.
      body: a Backbone.
      head: the task's head, from [b d].
      task: gives the loss and the metrics.
      total_steps: the length of the schedule, in batches.
      reuse: train the tail on stored features rather than the whole model.
    """
    if not head.built:
        head.build((None, body.dim))
    frozen = frozen_names(stage, body, head)
    set_precision(body, head, stage.precision)
    body.packed = not use_xla(stage.xla)
    still = set_trainable(body, head, frozen)
    split = assemble(body, head, still)
    optimizer = make_optimizer(stage, total_steps)
    trained: Any = split.tail if reuse and split.tail is not None else split.full
    head_alone = trained is split.tail and len(still) == len(body.groups)
    steps: Any = stage.steps_per_execution
    if steps == "auto":
        steps = SHORT_STEPS if head_alone else 1
    for model in [split.full, *([split.tail] if trained is split.tail else [])]:
        model.compile(
            optimizer=optimizer,
            loss=task.loss(),
            metrics=task.metrics(),
            jit_compile=use_xla(stage.xla),
            steps_per_execution=steps,
        )
    own: Any = trained.optimizer
    inner: Any = getattr(own, "inner_optimizer", own)
    kept = [v for v in trained.trainable_variables if _undecayed(v)]
    inner.exclude_from_weight_decay(var_list=kept)
    own.build(trained.trainable_variables)
    return Prepared(stage, split, trained, frozen, freeze_table(body, head, frozen))


def _undecayed(variable: Any) -> bool:
    """Says whether a variable is a bias or belongs to a norm."""
    return variable.name in ("bias", "gamma", "beta", "scale") or len(variable.shape) < 2


def freeze_table(body: Any, head: Any, frozen: frozenset[str]) -> list[dict[str, Any]]:
    """Returns parameter counts per group, bottom to top, the head last."""
    rows: dict[str, dict[str, Any]] = {}
    for name, variable in named_variables(body, head).items():
        if is_seed(name):
            continue
        group = name.split("/")[0]
        row = rows.setdefault(group, {"group": group, "parameters": 0, "trainable": 0})
        size = math.prod(variable.shape)
        row["parameters"] += size
        row["trainable"] += size if name not in frozen and variable.trainable else 0
    return list(rows.values())


def checksums(body: Any, head: Any) -> dict[str, str]:
    """Returns a SHA-256 of each variable, norm statistics included, random seeds not."""
    return {
        name: hashlib.sha256(variable.numpy().tobytes()).hexdigest()
        for name, variable in named_variables(body, head).items()
        if not is_seed(name)
    }


def prove_freeze(
    before: dict[str, str], prepared: Prepared, body: Any, head: Any
) -> dict[str, Any]:
    """Compares all variables with their checksums from before the stage.

    Returns:
      Counts: how many frozen variables are bit-identical, how many trained ones moved, and which
      could not move because the model does not depend on them.

    Raises:
      FreezeError: a frozen variable changed, or a trainable one did not.
    """
    after = checksums(body, head)
    changed = {name for name in after if after[name] != before[name]}
    variables = named_variables(body, head)
    trainable = {n for n in after if n not in prepared.frozen and variables[n].trainable}
    broken = sorted(changed & prepared.frozen)
    still = sorted(trainable - changed)
    invariant = [n for n in still if any(fnmatch.fnmatch(n, pattern) for pattern in INVARIANT)]
    unmoved = [name for name in still if name not in invariant]
    if broken or unmoved:
        kind = "frozen but changed" if broken else "trainable but did not move"
        names = ", ".join((broken or unmoved)[:5])
        raise FreezeError(
            f"the freeze proof of stage {prepared.stage.name!r} failed: "
            f"{len(broken or unmoved)} variables are {kind}: {names}.",
            valid="a learning rate large enough to move float32 weights, and no assignment by hand",
        )
    return {
        "frozen_bit_identical": len(prepared.frozen),
        "trainable_moved": len(trainable) - len(invariant),
        "cannot_move": invariant,
    }
