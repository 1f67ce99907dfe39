"""A streamed split as token ids on disk: encoded chunk by chunk and read through memory maps."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tfft.data.encoded_split import Encoded, Ragged, arrays_of, encode, of_arrays, offsets_of
from tfft.data.examples import Examples, lazy_examples
from tfft.errors import ConfigError
from tfft.storage.array_file import release
from tfft.storage.array_folder import ArrayWriter, find_arrays, write_arrays

CHUNK = 8192  # examples that are held as texts at a time
RAGGED = ("tokens", "targets", "decoder")
OFFSETS = ("offsets", "windows")  # arrays whose numbers go on from chunk to chunk


def encode_to_arrays(
    source: Any,
    split: str,
    preprocessor: Any,
    store: Any,
    key: Mapping[str, Any],
    advance: Callable[[int], None],
) -> Encoded:
    """Returns the tokens of a streamed split, from the store when it has them.

    Args:
      source: With `rows`.
      preprocessor: As in `encode`.
      store: Keeps the arrays under the key.
      advance: Called with the number of examples done.

    Raises:
      DataError: An example cannot be read.
    """
    key = {**key, "arrays": True}

    def fill(writer: ArrayWriter) -> None:
        ends: dict[str, int] = {}
        rows, first = source.rows(split), 0
        while chunk := list(itertools.islice(rows, CHUNK)):
            columns = list(zip(*chunk, strict=True))[:-1]
            starts = range(0, len(chunk), preprocessor.batch)
            batches = (tuple(list(c[i : i + preprocessor.batch]) for c in columns) for i in starts)
            arrays = arrays_of(encode(batches, preprocessor, advance, first))
            for name, values in arrays.items():
                writer.append(name, _continued(values, ends, name) if name in OFFSETS else values)
            first += len(chunk)

    stored = find_arrays(store, "tokens", key)
    if stored is not None:
        size, kind = source.size(split), source.modality
        store.say.info(f"encoding {split}: {size:,} {kind}s found in the store")
    arrays, _ = stored or write_arrays(store, "tokens", key, f"{split} of {source.name}", fill)
    # Arrays with a number for each example are read often, and are in memory.
    mapped = [name for name in arrays if name == "values" or name.startswith("extra/")]
    in_memory = {name: np.array(values) for name, values in arrays.items() if name not in mapped}
    return of_arrays({name: arrays[name] for name in mapped} | in_memory, preprocessor)


def with_targets(
    source: Any,
    split: str,
    tokens: Encoded,
    encode_targets: Callable[[Examples], Examples],
    store: Any,
) -> Encoded:
    """Returns a streamed split with its targets, made chunk by chunk.

    Targets of a fixed shape are in memory. Ragged ones, and tokens that contain the answers, are in
    temporary files.

    Args:
      tokens: Of the split, without targets.
      encode_targets: Returns examples with their targets, `encode_training_examples` of a task.
      store: Its folder has room for the files.
    """
    before, made = next(_parts(source, split, tokens, encode_targets))
    if made.targets is None:
        return tokens
    if isinstance(made.targets, Mapping):
        raise ConfigError(
            f"{source.name} streams examples, and this task has several targets for each, which "
            "are made in memory.",
            set_in="train.source",
            valid="files() or memory()",
        )
    old, new = _ragged(before), _ragged(made)
    names = [n for n, rows in new.items() if n not in old or old[n].values is not rows.values]
    fixed: list[Any] = []
    full: list[np.ndarray] = []
    if not names:
        fixed = [part.targets for _, part in _parts(source, split, tokens, encode_targets)]
        return dataclasses.replace(tokens, targets=np.concatenate(fixed))

    def fill(writer: ArrayWriter) -> None:
        ends: dict[str, int] = {}
        fixed.clear()
        full.clear()
        for _, part in _parts(source, split, tokens, encode_targets):
            full.append(part.full_lengths)
            for name in names:
                rows = _ragged(part)[name]
                writer.append(name, np.concatenate(list(rows.rows())))
                offsets = _continued(offsets_of(rows.lengths), ends, name)
                writer.append(f"{name}/offsets", offsets)
            if isinstance(part.targets, np.ndarray):
                fixed.append(part.targets)
            release(tokens.tokens.values)

    arrays, _ = write_arrays(store, "tokens", None, f"targets of {split} of {source.name}", fill)
    rows = _ragged(tokens)
    for name in names:
        offsets = np.array(arrays[f"{name}/offsets"])
        rows[name] = dataclasses.replace(
            new[name], values=arrays[name], offsets=offsets, chosen=None
        )
    return dataclasses.replace(
        made,
        tokens=rows.get("tokens", tokens.tokens),
        targets=np.concatenate(fixed) if fixed else rows.get("targets"),
        full_lengths=np.concatenate(full),
        windows=tokens.windows,
        extra={name: rows[f"extra/{name}"] for name in made.extra},
        decoder=rows.get("decoder"),
    )


def _parts(
    source: Any, split: str, tokens: Encoded, encode_targets: Callable[[Examples], Examples]
) -> Iterator[tuple[Encoded, Encoded]]:
    """Yields the tokens of some examples at a time, without and with their targets."""
    rows = None if source.classes else source.rows(split)
    for begin in range(0, tokens.size, CHUNK):
        numbers = np.arange(begin, min(begin + CHUNK, tokens.size))
        part = tokens.take(numbers)
        if rows is None:  # the summary has the answers
            examples = lazy_examples(source, split, numbers, part)
        else:
            *inputs, answers = zip(*itertools.islice(rows, len(numbers)), strict=True)
            examples = Examples(tuple(inputs), list(answers), None, part)
        yield part, encode_targets(examples).encoded


def _ragged(encoded: Encoded) -> dict[str, Ragged]:
    """Returns the values of a split that are rows of different lengths, by name."""
    own = {name: getattr(encoded, name) for name in RAGGED}
    extra = {f"extra/{name}": rows for name, rows in encoded.extra.items()}
    return {name: rows for name, rows in own.items() if isinstance(rows, Ragged)} | extra


def _continued(offsets: np.ndarray, ends: dict[str, int], name: str) -> np.ndarray:
    """Returns offsets that go on where those of the chunk before ended, the first chunk with 0."""
    shifted = offsets + ends.get(name, 0)
    begin = int(name in ends)
    ends[name] = int(shifted[-1])
    return shifted[begin:]
