"""From the splits of a source to the inputs and targets of a model: encoded once, then stored."""

from __future__ import annotations

import functools
from importlib import metadata
from typing import Any

from tfft.data import decoded_rows, encoded_arrays, examples
from tfft.data.encoded_split import Encoded
from tfft.data.encoded_towers import EncodedTowers, encode, pack, unpack
from tfft.errors import ConfigError, WorkdirError
from tfft.storage.cache_store import Store
from tfft.tasks.base import Task, encode_training_examples

FORMAT = 3  # a change makes all stored inputs new


class SplitEncoder:
    """Encodes the splits of one source for a task and a backbone.

    Args:
      task: with the answers of the training split.
      backbone: as the task reads it.
      source: of the examples.
      store: keeps the encoded inputs.
      console: gets progress and warnings.
    """

    def __init__(self, task: Task, backbone: Any, source: Any, store: Store, console: Any):
        self._task, self._backbone, self._source = task, backbone, source
        self._store, self._console = store, console

    def encode(self, split: str) -> Encoded | EncodedTowers:
        """Returns the inputs of a split, from the store when it has them, and the targets."""
        source, preprocessor = self._source, self._backbone.preprocessor
        key = {
            "format": FORMAT,
            "tensorflow-text": metadata.version("tensorflow-text"),
            "preprocessor": preprocessor.fingerprint(),
            "data": source.summaries[split].digest,
        }
        if source.streamed:
            return self._streamed(split, key)
        own = examples.of_split(source, split, self._inputs(split, key))
        with examples.located(source.places):
            own = encode_training_examples(self._task, own, preprocessor)
        for line in self._task.build_evaluator().data_warnings(own):
            self._console.warn(f"{split}: {line}")
        return own.encoded

    def _inputs(self, split: str, key: dict[str, Any]) -> Encoded | EncodedTowers:
        source, preprocessor, console = self._source, self._backbone.preprocessor, self._console
        size = source.size(split)
        on_demand = decoded_rows.on_demand(
            size,
            lambda: examples.columns(source, split),
            preprocessor,
            source.decode,
            key["data"],
            lambda line: console.info(f"{split}: {line}"),
        )
        content = None if on_demand else self._store.load("tokens", key)
        if content is not None:
            what = self._backbone.modality
            console.info(f"encoding {split}: {size:,} {what}s found in the store")
            return unpack(content, preprocessor)
        with console.progress(f"encoding {split}", size) as progress:
            read = examples.batches(source, split, preprocessor.batch)
            inputs = encode(read, preprocessor, progress.advance, on_demand)
        if on_demand:
            return inputs
        try:
            self._store.save("tokens", key, pack(inputs), f"{split} of {source.name}")
        except WorkdirError as error:
            console.warn(f"what is encoded is not kept for other runs: {error.problem}")
        return inputs

    def _streamed(self, split: str, key: dict[str, Any]) -> Encoded:
        """Returns the rows of a split that may be larger than memory, as arrays on disk."""
        source, read = self._source, self._backbone.preprocessor
        if "" not in self._backbone.towers:
            raise ConfigError(
                f"{source.name} streams examples, and a backbone of several towers reads them from "
                "memory.",
                set_in="train.source",
                valid="files(), images() or memory()",
            )
        targets = functools.partial(encode_training_examples, self._task, preprocessor=read)
        with self._console.progress(f"encoding {split}", source.size(split)) as progress:
            store = (self._store, key, progress.advance)
            tokens = encoded_arrays.encode_to_arrays(source, split, read, *store)
        with examples.located(source.places):
            encoded = encoded_arrays.with_targets(source, split, tokens, targets, self._store)
        sample = examples.of_split(source, split, encoded)
        for line in self._task.build_evaluator().data_warnings(sample):
            self._console.warn(f"{split}, {len(sample):,} of {encoded.size:,} examples: {line}")
        return encoded
