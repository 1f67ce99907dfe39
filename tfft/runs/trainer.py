"""What one run holds while it works, and the stretch of it from texts to trained stages."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfft.data import decoded_rows, examples
from tfft.data.encoded_split import Encoded
from tfft.data.encoded_towers import EncodedTowers
from tfft.data.example_reader import ExampleReader
from tfft.data.folds import POOL
from tfft.data.splits import sample_rows
from tfft.errors import ConfigError, DivergenceError, WorkdirError
from tfft.layers.inspection import named_variables
from tfft.methods import attachment
from tfft.runs.phase_timer import Clock
from tfft.runs.repeat_member import RepeatMember
from tfft.runs.signals import Stop
from tfft.storage.cache_store import Store
from tfft.storage.workdir import Workdir
from tfft.tasks.base import TextGeneration
from tfft.training import checkpointing, early_stopping, loop
from tfft.training.batch_plan import without_effect
from tfft.training.callbacks import StageCallbacks
from tfft.training.execution import set_precision
from tfft.training.feature_cache.cache_keys import Cut
from tfft.training.feature_cache.placement import Decision
from tfft.training.feature_cache.tower_features import Cuts, TowerCut, TowerFeatures
from tfft.training.freeze_proof import checksums, prove_freeze
from tfft.training.freezing import adapt, frozen_depths, frozen_names
from tfft.training.prepare_stage import Prepared, prepare, pretrained_values
from tfft.training.split_encoder import SplitEncoder
from tfft.training.stage import Stage, begin_stage, check_stage_settings

DIVERGED = "diverged.json"  # the error of a run whose loss was not finite


@dataclasses.dataclass
class Trainer:
    """A task on a source through a body, and where its results go.

    Attributes:
      task: with its labels.
      backbone, head: the weights; the body as the task reads it.
      splits: the source's splits as token ids.
      seed: of batches and dropout.
      files: the workdir.
      say: the console.
      clock: seconds per phase.
      part: of a plan; None for a run of its own.
      callbacks: the person's own.
      pool: of a fold, the texts that it is taken from.
      streamed: whether the splits may be larger than memory.
    """

    task: Any
    backbone: Any
    head: keras.layers.Layer
    seed: int
    files: Workdir
    say: Any
    clock: Clock = dataclasses.field(default_factory=Clock)
    splits: dict[str, Any] = dataclasses.field(default_factory=dict)
    pretrained: dict[str, np.ndarray] | None = None  # where a stage goes back to it
    part: RepeatMember | None = None
    callbacks: Sequence[keras.callbacks.Callback] = ()
    pool: Any = None
    streamed: bool = False

    @functools.cached_property
    def store(self) -> Store:
        """What is kept on disk for other runs."""
        return Store(self.say)

    @functools.cached_property
    def learned(self) -> Encoded | EncodedTowers:
        """The training split as batches are made of it, see `TextGeneration.pack`."""
        length = self.backbone.preprocessor.sequence_length
        train = self.splits["train"]
        return self.task.pack(train, length) if isinstance(self.task, TextGeneration) else train

    @functools.cached_property
    def features(self) -> TowerFeatures:
        """The outputs of frozen layers."""
        splits = self.splits | {"train": self.learned} | ({POOL: self.pool} if self.pool else {})
        rows = {split: encoded.by_row() for split, encoded in splits.items()}
        shared = self.part.features if self.part else None
        return TowerFeatures(self.backbone, rows, self.store, self.say, shared)

    def encode(self, source: Any) -> None:
        """Reads every split once and says what there is and what is cut."""
        self.streamed = source.streamed
        with self.clock("encoding"):
            encoder = SplitEncoder(self.task, self.backbone, source, self.store, self.say)
            if self.part and self.part.pool:
                self.pool = encoder.encode(POOL)
                taken = self.part.pool.items()
                self.splits |= {split: self.pool.take(rows) for split, rows in taken}
            for split in source.splits:
                if split not in self.splits:
                    self.splits[split] = encoder.encode(split)
        if mixed := source.mixed("train"):
            train = dataclasses.replace(self.splits["train"], origins=mixed[0], rates=mixed[1])
            self.splits["train"] = train
        tables, lines = self.backbone.describe_splits(self.splits)
        for table in tables:
            self.say.table(*table)
        for line in lines:
            self.say.info(line)

    def sample_rows(self, split: str) -> np.ndarray | None:
        """Returns the examples that baselines read of a streamed split; None for all."""
        size, most = self.splits[split].size, examples.MAX_SAMPLE
        return sample_rows(size, most) if self.streamed and size > most else None

    def train(
        self, stages: Sequence[Stage], checkpoint_steps: int, stopped: Stop
    ) -> checkpointing.Position:
        """Trains what is left to train and returns the position at the end.

        Raises:
          DivergenceError: a loss is not finite, now or when the same run was trained before.
        """
        self._refuse_diverged()
        adapt(stages, self.backbone, self.seed)
        kept = self.trained_variables(stages)
        self.pretrained = pretrained_values(stages, kept)
        arrays, position = checkpointing.newest_position(self.files, len(stages), self.say)
        if arrays is not None:
            checkpointing.ensure_best(self.files, position, kept, self._best_state(), self.say)
            checkpointing.assign(kept, arrays)
            self._say_resumed(position, stages)
        while position.stage < len(stages):
            try:
                with decoded_rows.located_failures(self.splits.values()):
                    self._train_stage(stages, position, arrays, kept, checkpoint_steps, stopped)
            except DivergenceError as error:
                parts = ("problem", "set_in", "valid", "see", "call")
                self.files.write_json(DIVERGED, {name: getattr(error, name) for name in parts})
                raise
            arrays = None
        return position

    def _refuse_diverged(self) -> None:
        """Raises the error of an earlier training of this run that diverged."""
        try:
            if diverged := self.files.read_json(DIVERGED):
                raise DivergenceError(**diverged)
        except WorkdirError as error:
            self.say.warn(f"{error.problem} The training continues.")

    def _best_state(self) -> dict[str, Any]:
        """Returns what the best weights need beside their record to be restored."""
        labels, adapters = self.task.target.names or (), attachment.described(self.backbone)
        return {"labels": list(labels), "adapters": adapters}

    def _train_stage(
        self,
        stages: Sequence[Stage],
        position: checkpointing.Position,
        arrays: dict[str, np.ndarray] | None,
        kept: dict[str, Any],
        checkpoint_steps: int,
        stopped: Stop,
    ) -> None:
        stage, begins = stages[position.stage], position.epoch == position.step == 0
        if begins:
            begin_stage(stages, position.stage, self.backbone, self.head, self.seed, self.say)
        check_stage_settings(stage, self.task, self.backbone, "validation" in self.splits)
        schedule = loop.Schedule(self.learned, stage, (self.seed, position.stage))
        if position.epoch > schedule.epochs or position.step > schedule.steps_per_epoch:
            place = f"epoch {position.epoch + 1}, batch {position.step + 1} of {stage.name!r}"
            raise checkpointing.beyond_plan(self.files, place)
        cuts = self.cuts(stages[position.stage :])
        if position.reuse is None:
            decision = self.decide(stage, cuts, schedule)
            position.reuse = decision.kind
            self.say.info(f"frozen features: {decision.reason}")
        reuse = position.reuse != "off"
        prepared = self.prepare(stage, schedule.total_steps, reuse, position.stage)
        recorder = checkpointing.Recorder(
            prepared,
            position,
            kept,
            self.files,
            self._best_state(),
            self.say,
            checkpoint_steps,
            stopped,
            early_stopping.lower_is_better(stage.early_stopping, self.task),
            self._stage_callbacks(prepared, schedule),
        )
        if begins:
            loop.reseed(kept, (self.seed, position.stage))
            position.before = checksums(self.backbone, self.head)
        elif arrays is not None:
            recorder.restore(arrays)
        self.describe(prepared, schedule, only_stage=len(stages) == 1)
        read = [split for split in ("train", "validation") if split in self.splits]
        inputs = {split: self.inputs(stage, split, cuts, position.reuse or "off") for split in read}
        self.features.keep(cuts)
        if self.features.measured:
            self.say.info(_half_line(self.features.measured))
        with self.clock("training"):
            loop.fit_stage(recorder, schedule, inputs["train"], inputs.get("validation"))
        proof = prove_freeze(position.before or {}, prepared, self.backbone, self.head)
        self.say.info(_proof_line(stage, proof))
        position.proofs.append(
            {
                "name": stage.name,
                "groups": prepared.table,
                "trainable_share": prepared.trainable_share,
                "proof": proof,
                "wise_ft": recorder.mixed,
                "features": {"kept": position.reuse, **self.features.measured},
            }
        )
        position.stage, position.epoch, position.step = position.stage + 1, 0, 0
        position.reuse = position.before = None
        position.stopped, position.callbacks, recorder.callbacks = False, [], None
        recorder.checkpoint()
        self.files.finish()

    def _stage_callbacks(
        self, prepared: Prepared, schedule: loop.Schedule
    ) -> StageCallbacks | None:
        """Returns the person's callbacks after their `on_train_begin`; None for none."""
        if not self.callbacks:
            return None
        steps = schedule.steps_per_epoch
        found = StageCallbacks(self.callbacks, prepared.trained, schedule.epochs, steps)
        found.begin_stage()
        return found

    def cuts(self, stages: Sequence[Stage]) -> Cuts:
        """Returns the first stage's cut of each tower, and depths that later ones continue from.

        A later stage's depth counts when no stage before it trains anything below.
        """
        found = [
            {name: Cut(*cut) for name, cut in frozen_depths(each, self.backbone, self.head).items()}
            for each in stages
        ]
        # What the frozen layers give depends on the precision.
        policy = stages[0].execution.dtype_policy
        set_precision(self.backbone, self.head, policy)
        self.features.begin_stage(found)
        return {
            name: TowerCut(cut, _later_depths([each[name] for each in found], stages))
            for name, cut in found[0].items()
        }

    def decide(self, stage: Stage, cuts: Cuts, schedule: loop.Schedule) -> Decision:
        """Says where the stage's features are kept, and why."""
        random = None
        if self.task.augmentation is not None:
            random = f"{self.task.name} makes its inputs at random"
        elif getattr(self.backbone.preprocessor, "random", False):
            random = "the preprocessor makes its inputs at random"
        epochs = schedule.total_steps / schedule.steps_per_epoch
        return self.features.decide(stage, cuts, epochs, random)

    def prepare(self, stage: Stage, steps: int, reuse: bool, number: int = 0) -> Prepared:
        """Returns a stage that is ready to train.

        Raises:
          ConfigError: `Batching.padded_lengths` has a length that the backbone cannot read.
        """
        limit = getattr(self.backbone.preprocessor, "sequence_length", None)
        lengths = stage.batching.padded_lengths
        if lengths and limit and self.learned.windows is None and max(lengths) > limit:
            raise ConfigError(
                f"Batching.padded_lengths={lengths} has a length above the sequence length "
                f"{limit}.",
                valid=f"at most {limit}, or None",
            )
        seed, parts = self.seed * 1000 + number, (self.backbone, self.head, self.task)
        return prepare(stage, *parts, steps, reuse, seed, self.pretrained)

    def trained_variables(self, stages: Sequence[Stage]) -> dict[str, Any]:
        """Returns the variables that any stage may change, random states included, by name."""
        masks = [frozen_names(stage, self.backbone, self.head) for stage in stages]
        always = frozenset.intersection(*masks)
        variables = named_variables(self.backbone, self.head)
        return {name: value for name, value in variables.items() if name not in always}

    def inputs(self, stage: Stage, split: str, cuts: Cuts, kind: str) -> ExampleReader:
        """Returns what the stage's model reads of a split, computing frozen features if it does."""
        encoded = self.learned if split == "train" else self.splits[split]
        if kind == "off":
            change = self.task.augmentation if split == "train" else None
            return ExampleReader(encoded, augmentation=change)
        with self.clock("frozen features"):
            return self.features.inputs(split, encoded, cuts, kind, stage.feature_cache.half)

    def describe(
        self, prepared: Prepared, schedule: loop.Schedule, only_stage: bool = True
    ) -> None:
        """Says what is frozen, how batches are shaped, and which settings have no effect."""
        stage = prepared.stage
        rated = any("rate_factors" in row for row in prepared.table)
        self.say.table(
            f"Stage {stage.name!r}: {prepared.trainable_share:.2%} of the weights are trained",
            ["group", "parameters", "trained", *(["rate"] if rated else [])],
            [
                [
                    row["group"],
                    f"{row['parameters']:,}",
                    f"{row['trainable']:,}",
                    *([_rates(row, stage.learning_rate)] if rated else []),
                ]
                for row in prepared.table
            ],
        )
        xla = "on" if prepared.trained.jit_compile else "off"
        limit = self.backbone.preprocessor.sequence_length
        for line in schedule.describe(limit, f"XLA {xla}, {stage.execution.dtype_policy}"):
            self.say.info(line)
        trained = [row for row in prepared.table if row["trainable"]]
        smallest = {row["group"]: row.get("rate_factors", (1.0,))[0] for row in trained}
        steps = schedule.total_steps // stage.batching.gradient_accumulation_steps
        for message in without_effect(
            stage, steps, schedule.epochs, only_stage=only_stage, rate_factors=smallest
        ):
            self.say.warn(message)

    def _say_resumed(self, position: checkpointing.Position, stages: Sequence[Stage]) -> None:
        if position.stage == len(stages):
            self.say.info(f"training is complete in {self.files.path}: its weights are reused")
        else:
            self.say.info(
                f"continuing in {self.files.path}: stage {position.stage + 1}, "
                f"epoch {position.epoch + 1}, batch {position.step + 1}"
            )


def _later_depths(cuts: Sequence[Cut], stages: Sequence[Stage]) -> tuple[int, ...]:
    """Returns the depths below the first of a tower's cuts that later stages continue from."""
    policy, found, least = stages[0].execution.dtype_policy, set(), cuts[0].depth or 0
    for stage, cut in zip(stages[1:], cuts[1:], strict=True):
        if cut.depth is None:
            break
        below = cut.depth < least or cuts[0].pooled and cut.depth == least
        same = stage.execution.dtype_policy == policy
        if below and same and not cut.pooled and stage.feature_cache.where != "off":
            found.add(cut.depth)
        least = min(least, cut.depth)
    return tuple(sorted(found))


def _rates(row: dict[str, Any], learning_rate: float) -> str:
    """Returns the peak rates of a group: one, or the smallest and the largest."""
    factors = sorted(set(row.get("rate_factors", ())))
    return " to ".join(f"{factor * learning_rate:.3g}" for factor in factors)


def _half_line(measured: dict[str, float]) -> str:
    return (
        f"frozen features in float16: they differ by at most {measured['largest_difference']:.1e}, "
        f"by {measured['relative_rms_difference']:.1e} of their root mean square"
    )


def _proof_line(stage: Stage, proof: dict[str, Any]) -> str:
    rest = proof["cannot_move"]
    return (
        f"freeze proof of {stage.name!r}: {proof['frozen_bit_identical']} frozen variables are "
        f"bit-identical, {proof['trainable_moved']} trained ones moved"
        + (f", {len(rest)} key biases cannot (softmax ignores them)" if rest else "")
    )
