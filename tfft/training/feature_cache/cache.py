"""The outputs of frozen layers, computed once: whether that pays, where they are kept, and how.

A frozen prefix in inference mode is a fixed function of what it reads. What it gives is named by
all that it depends on (weights, depth, tokens, precision), so a shallower output of the same
weights can be continued from, in the next stage or in another run.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import psutil
import tensorflow as tf

from tfft.data.encoded_split import Encoded, Ragged
from tfft.data.example_reader import ExampleReader
from tfft.data.folds import POOL
from tfft.data.length_buckets import bucket_lengths, plan_epoch
from tfft.errors import ConfigError
from tfft.storage.array_file import Entry, Kept
from tfft.storage.cache_store import Store, told
from tfft.training.feature_cache import half_precision
from tfft.training.feature_cache.cache_keys import Cut, Hashes
from tfft.training.feature_cache.placement import Decision, gain

PART_BYTES = 2**26
BATCH = 64
STREAMED = 2**28  # bytes of features above which those of a streamed source are kept on disk


class Features:
    """The outputs of a body's frozen layers over the splits of one job.

    Args:
      body: a Backbone.
      splits: by name, as token ids; of a fold, the pool that they are taken from beside them.
      store: for what is kept on disk.
      say: the console.
      shared: features in memory that the runs of a plan share, by key; None for a run of its own.
    """

    def __init__(
        self,
        body: Any,
        splits: Mapping[str, Encoded],
        store: Store,
        say: Any,
        shared: dict[str, Any] | None = None,
    ):
        self.body, self.splits, self.store, self.say = body, splits, store, say
        self._hashes = Hashes(body, splits)
        self._memory: dict[str, tuple[Ragged, list[dict[str, Any]]]] = (
            {} if shared is None else shared
        )
        self._lasting: set[str] | None = set() if shared is None else None
        self._calls: dict[tuple[int | None, Cut], Callable[[Any], Any]] = {}
        self._rounded: dict[str, list[dict[str, Any]]] = {}

    def decide(
        self, stage: Any, cut: Cut, epochs: float, random: str | None = None, taken: int = 0
    ) -> Decision:
        """Says where a stage's features are kept, if at all, and why.

        Args:
          stage: with its `feature_cache`.
          cut: where its prefix ends.
          epochs: how often the training split is seen.
          random: why an input is not the same each time it is seen; None when it is.
          taken: bytes of memory that other features will take.

        Raises:
          ConfigError: "memory" or "disk" is asked for and cannot be.
        """
        if stage.feature_cache.where == "off":
            return Decision("off", 'computed at every step: FeatureCache.where="off"')
        why = "nothing at the bottom is frozen" if cut.depth is None else random
        if why is None:
            found = self._found(cut, stage.feature_cache.half)
            decision = self._place(stage, cut, epochs, found, taken)
            if found or decision.kind == "off" or self._is_fixed(cut):
                return decision
            why = "the frozen layers give other outputs for the same input"
        if stage.feature_cache.where != "auto":
            raise ConfigError(
                f'FeatureCache.where="{stage.feature_cache.where}" cannot be: {why}.',
                valid='FeatureCache.where = "auto" or "off"; or Stage.freeze_layers = 1 or more',
                see="docs/features.md",
            )
        return Decision("off", f"computed at every step: {why}")

    def _place(
        self, stage: Any, cut: Cut, epochs: float, found: str | None, taken: int
    ) -> Decision:
        size = self.size(cut, stage.feature_cache.half)
        memory = max(0, psutil.virtual_memory().available - taken)
        layers, depth, disk = self.body.depth, cut.depth or 0, self.store.free_disk()
        costs = (
            f"saves {depth} of {layers} layers, {told(size)}, expected gain "
            f"{gain(layers, layers - depth, epochs):.1f} over {epochs:.3g} epochs; "
            f"{told(memory)} memory, {told(disk)} disk free"
        )
        where = f"found {'in memory' if found == 'memory' else 'on disk'}, nothing is computed"
        if stage.feature_cache.where != "auto":
            needed = size if stage.feature_cache.where == "memory" else 0
            asked = (
                f'"{stage.feature_cache.where}" as asked{", " + where if found else ""}: {costs}'
            )
            return Decision(stage.feature_cache.where, asked, needed)
        if found:
            return Decision(found, f"{where}: {costs}")
        if not depth and not cut.pooled:
            return Decision("off", "computed at every step: nothing but the embeddings is frozen")
        if epochs <= 1:
            return Decision("off", "computed at every step: the stage has one epoch only")
        fits = size <= min(disk / 2, self.store.limit)
        if fits and size > STREAMED and self._is_streamed():
            return Decision("disk", f"kept on disk, as the token ids are: {costs}")
        if size <= memory / 2:
            return Decision("memory", f"kept in memory: {costs}", size)
        if fits:
            return Decision("disk", f"kept on disk, too large for half the memory: {costs}")
        return Decision(
            "off",
            f"computed at every step, too large for half of the free memory and disk and the "
            f"store's {told(self.store.limit)}: {costs}",
        )

    def _is_streamed(self) -> bool:
        tokens = [self.splits[split].tokens for split in self._read()]
        return any(isinstance(getattr(each, "values", None), np.memmap) for each in tokens)

    def size(self, cut: Cut, half: bool = False) -> int:
        """Returns the bytes of the features of all splits that training reads."""
        return sum(self._bytes(split, cut, half) for split in self._read())

    def _bytes(self, split: str, cut: Cut, half: bool) -> int:
        dtype = np.dtype(np.float16) if half else self._dtype()
        return int(self._offsets(split, cut.pooled)[-1]) * self._values(cut) * dtype.itemsize

    def _shape(self, cut: Cut) -> tuple[int, ...]:
        """Returns the shape of one stored value: of a token [d], of an image all that it has."""
        shape = self.body.shape_at(cut.depth or 0, cut.pooled)
        return tuple(size for size in shape if size is not None)

    def _values(self, cut: Cut) -> int:
        return math.prod(self._shape(cut))

    def get(self, split: str, cut: Cut, kind: str, half: bool, via: Sequence[int] = ()) -> Ragged:
        """Returns the features of a split, computing what is not there yet.

        Args:
          split: its name.
          cut: the depth of the features, and whether they are pooled.
          kind: "memory" or "disk".
          half: store them in float16.
          via: shallower depths that a later stage needs; they are computed on the way and kept.
        """
        chosen = self.splits[split].tokens.chosen  # of the pool's rows: texts, or windows
        held = split if chosen is None else POOL
        for depth in sorted(via):
            if self._has_room(held, (Cut(depth), cut), kind, half):
                self._get(held, Cut(depth), kind, half)
            else:
                self.say.info(
                    f"{split}: no room for layer {depth} beside layer {cut.depth}; the later stage "
                    "that needs it computes it again"
                )
        features, parts = self._get(held, cut, kind, half)
        self._rounded[held] = parts if half else []
        return features if chosen is None else features.take(chosen)

    @property
    def measured(self) -> dict[str, float]:
        """What half precision changed in this stage's features of all splits; else empty."""
        parts = [part for split in self._rounded.values() for part in split]
        return half_precision.measured(parts) if parts else {}

    def begin_stage(self, cuts: Sequence[Cut]) -> None:
        """Takes the weights as they are now, and forgets what no stage can continue from.

        Args:
          cuts: of this stage and of the later ones.
        """
        self._hashes.forget_weights()
        self._calls.clear()  # the precision may be another
        self._rounded.clear()
        if (
            self._lasting is None
        ):  # what the next run of the plan begins with; pooled rows are small
            pooled = self._names(
                [Cut(self.body.depth, True)], [*self._read(), *({"test"} & self.splits.keys())]
            )
            self._lasting = self._names(cuts, self._read()) | pooled
        below = [Cut(depth) for cut in cuts for depth in range((cut.depth or 0) + 1)]
        self.keep([*cuts, *below])

    def keep(self, cuts: Sequence[Cut]) -> None:
        """Forgets what is in memory for other cuts than these."""
        if self._memory:
            wanted = self._names(cuts, self._read()) | (self._lasting or set())
            for name in self._memory.keys() - wanted:
                del self._memory[name]

    def _names(self, cuts: Sequence[Cut], splits: Sequence[str]) -> set[str]:
        return {
            self._name(split, cut, half)
            for cut in set(cuts)
            if cut.depth is not None
            for split in splits
            for half in (False, True)
        }

    def _has_room(self, split: str, cuts: Sequence[Cut], kind: str, half: bool) -> bool:
        """Says whether what is not there yet of these cuts fits, all of it at a time."""
        if kind == "memory":
            cuts = [cut for cut in cuts if self._name(split, cut, half) not in self._memory]
            most = psutil.virtual_memory().available // 2
        else:
            cuts = [cut for cut in cuts if not self._is_there(split, cut, half)]
            most = min(self.store.free_disk() // 2, self.store.limit)
        return sum(self._bytes(split, cut, half) for cut in cuts) <= most

    def _get(
        self, split: str, cut: Cut, kind: str, half: bool
    ) -> tuple[Ragged, list[dict[str, Any]]]:
        """Returns features and the parts they were made in."""
        name, offsets = self._name(split, cut, half), self._offsets(split, cut.pooled)
        if name in self._memory:
            return self._memory[name]
        key, shape = self._key(split, cut, half), (int(offsets[-1]), *self._shape(cut))
        dtype = np.dtype(np.float16) if half else self._dtype()
        if kind == "disk":
            title = f"{split}, {self.body.title} {'pooled' if cut.pooled else f'depth {cut.depth}'}"
            entry = self.store.open("features", key, shape, dtype, title)
            if not entry.complete:
                with entry.filling(self.say.info):
                    self._fill(split, cut, half, offsets, entry)
            return Ragged(entry.values, offsets), list(entry.parts.values())
        found = self.store.find("features", key)
        if found is not None and found.complete:
            kept = Kept(np.array(found.values), found.parts)
            found.release()
        else:
            kept = Kept(np.empty(shape, dtype), {})
            self._fill(split, cut, half, offsets, kept)
        self._memory[name] = Ragged(kept.values, offsets), list(kept.parts.values())
        return self._memory[name]

    def _fill(
        self, split: str, cut: Cut, half: bool, offsets: np.ndarray, to: Entry | Kept
    ) -> None:
        """Computes the parts that `to` lacks, from the deepest features that can be continued."""
        encoded = dataclasses.replace(self.splits[split], targets=None, decoder=None)
        below, depth = self._below(split, cut)
        inputs = ExampleReader(encoded, below)
        call = self._stretch(depth, cut)
        shapes = bucket_lengths(encoded.tokens.lengths)
        parts = list(_parts(offsets, self._values(cut) * to.values.dtype.itemsize))
        todo = [(a, b) for a, b in parts if not to.has(int(offsets[a]), int(offsets[b]))]
        rows = sum(b - a for a, b in todo)
        if len(todo) < len(parts):
            done = encoded.size - rows
            self.say.info(
                f"frozen features: {done:,} of {encoded.size:,} {self.body.modality}s are there "
                "already"
            )
        whole = "the tokens" if encoded.padded else f"the {self.body.modality}s"
        start = whole if depth is None else f"stored layer {depth}"
        with self.say.progress(f"frozen features, {split}, from {start}", rows) as progress:
            for begin, end in todo:
                span = (begin, end)
                out = self._compute(call, cut, inputs, span, shapes, offsets, progress.advance)
                with np.errstate(over="ignore"):  # `change` refuses what overflows
                    rounded = out.astype(to.values.dtype)
                change = half_precision.change(out, rounded) if half else {}
                to.write(int(offsets[begin]), rounded, **change)

    def _compute(
        self,
        call: Callable[[Any], Any],
        cut: Cut,
        inputs: ExampleReader,
        span: tuple[int, int],
        shapes: Sequence[int],
        offsets: np.ndarray,
        advance: Callable[[int], None],
    ) -> np.ndarray:
        """Returns the features of the texts from span[0] to before span[1], end to end."""
        begin, end = span
        lengths = inputs.encoded.tokens.lengths[begin:end]
        plan = [
            dataclasses.replace(batch, rows=batch.rows + begin)
            for batch in plan_epoch(lengths, shapes, BATCH)
        ]
        first, last = int(offsets[begin]), int(offsets[end])
        out = np.empty((last - first, *self._shape(cut)), self._dtype())
        one = cut.pooled or not inputs.encoded.padded  # value a row
        for batch, element in zip(plan, inputs.dataset(plan), strict=True):
            found = call(element).numpy()
            if one:
                out[batch.rows - begin] = found
            for place, row in enumerate(() if one else batch.rows):
                a, b = int(offsets[row]) - first, int(offsets[row + 1]) - first
                out[a:b] = found[place, : b - a]
            advance(len(batch.rows))
        return out

    def _stretch(self, start: int | None, cut: Cut) -> Callable[[Any], Any]:
        """Returns the computation from depth `start` (None: from the inputs) to the cut."""
        body, stop = self.body, cut.depth or 0
        if (start, cut) in self._calls:
            return self._calls[start, cut]
        # One graph for all lengths: one made for the first batch's would round otherwise, and a
        # resumed run begins with another batch.
        beside = getattr(body, "beside", ())
        read = {
            name: tf.TensorSpec([None, *shape], dtype)
            for name, (shape, dtype) in body.reads.items()
            if (start is None and name not in beside) or name == "padding_mask"
        }
        if start is not None:
            read["hidden"] = tf.TensorSpec([None, *body.shape_at(start)], body.compute_dtype)

        @tf.function(input_signature=[read], autograph=False)
        def call(batch: Any) -> Any:
            mask = batch.get("padding_mask")
            hidden = body.embed(batch, training=False) if start is None else batch["hidden"]
            hidden = tf.cast(hidden, body.compute_dtype)
            modes = [False] * (stop - (start or 0))
            hidden = body.layers(start or 0, hidden, mask, modes, cut.pooled)
            return body.pool(hidden, mask, training=False) if cut.pooled else hidden

        self._calls[start, cut] = call
        return call

    def _below(self, split: str, cut: Cut) -> tuple[Ragged | None, int | None]:
        """Returns the deepest full-precision features below a cut that are there, and where."""
        top = cut.depth or 0
        for depth in range(top if cut.pooled else top - 1, -1, -1):
            lower = Cut(depth)
            name = self._name(split, lower, False)
            if name in self._memory:
                return self._memory[name][0], depth
            entry = self.store.find("features", self._key(split, lower, False))
            if entry is not None and entry.complete:
                return Ragged(entry.values, self._offsets(split, False)), depth
        return None, None

    def _is_fixed(self, cut: Cut) -> bool:
        """Computes one batch twice and compares the bits."""
        encoded = dataclasses.replace(self.splits["train"], targets=None, decoder=None)
        rows = np.arange(min(8, encoded.size))
        longest = int(encoded.tokens.lengths[rows].max())
        plan = plan_epoch(encoded.tokens.lengths[rows], [longest], len(rows))
        batch, call = ExampleReader(encoded).batch(plan[0]), self._stretch(None, cut)
        one, two = (call({k: tf.constant(v) for k, v in batch.items()}).numpy() for _ in "12")
        return one.tobytes() == two.tobytes()

    def _found(self, cut: Cut, half: bool) -> str | None:
        """Says where the features of all splits that training reads are: memory, disk or None."""
        if all(self._name(split, cut, half) in self._memory for split in self._read()):
            return "memory"
        return "disk" if all(self._is_there(split, cut, half) for split in self._read()) else None

    def _is_there(self, split: str, cut: Cut, half: bool) -> bool:
        if self._name(split, cut, half) in self._memory:
            return True
        entry = self.store.find("features", self._key(split, cut, half))
        return entry is not None and entry.complete

    def _read(self) -> list[str]:
        read = [name for name in ("train", "validation") if name in self.splits]
        return [POOL] if POOL in self.splits else read

    def _offsets(self, split: str, pooled: bool) -> np.ndarray:
        encoded = self.splits[split]
        return np.arange(encoded.size + 1) if pooled else encoded.tokens.offsets

    def _dtype(self) -> np.dtype:
        return tf.as_dtype(self.body.compute_dtype).as_numpy_dtype(0).dtype

    def _name(self, split: str, cut: Cut, half: bool) -> str:
        return self.store.path("features", self._key(split, cut, half)).name

    def _key(self, split: str, cut: Cut, half: bool) -> dict[str, Any]:
        return self._hashes.key(split, cut, half)


def _parts(offsets: np.ndarray, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Yields stretches of whole texts, each of at most 64 MiB or one text."""
    most, begin = max(1, PART_BYTES // row_bytes), 0
    while begin < len(offsets) - 1:
        end = int(np.searchsorted(offsets, offsets[begin] + most, side="right")) - 1
        end = max(begin + 1, min(end, len(offsets) - 1))
        yield begin, end
        begin = end
