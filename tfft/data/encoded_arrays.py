"""A streamed split as token ids on disk: encoded chunk by chunk and read through memory maps."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tfft.data.encoded_split import Encoded, Ragged, arrays_of, encode, of_arrays
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
            for name in OFFSETS:
                if name in arrays:
                    arrays[name] = _continued(arrays[name], ends, name)
            for name, values in arrays.items():
                writer.append(name, values)
            first += len(chunk)

    found = find_arrays(store, "tokens", key)
    if found is not None:
        size, what = source.size(split), source.modality
        store.say.info(f"encoding {split}: {size:,} {what}s found in the store")
    arrays, _ = found or write_arrays(store, "tokens", key, f"{split} of {source.name}", fill)
    # What has a number for each example is read often, and is in memory.
    mapped = [name for name in arrays if name == "values" or name.startswith("extra/")]
    held = {name: np.array(values) for name, values in arrays.items() if name not in mapped}
    return of_arrays({name: arrays[name] for name in mapped} | held, preprocessor)


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
    names = _ragged_names(made, before)
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
                rows = _ragged(part, name)
                values = list(rows.rows())
                writer.append(name, np.concatenate(values))
                offsets = np.concatenate([[0], np.cumsum(rows.lengths)]).astype(np.int64)
                writer.append(f"{name}/offsets", _continued(offsets, ends, name))
            if isinstance(part.targets, np.ndarray):
                fixed.append(part.targets)
            release(tokens.tokens.values)

    arrays, _ = write_arrays(store, "tokens", None, f"targets of {split} of {source.name}", fill)
    new = {
        name: dataclasses.replace(
            _ragged(made, name),
            values=arrays[name],
            offsets=np.array(arrays[f"{name}/offsets"]),
            chosen=None,
        )
        for name in names
    }
    extra = {n: new[f"extra/{n}"] if f"extra/{n}" in new else tokens.extra[n] for n in made.extra}
    return dataclasses.replace(
        made,
        tokens=new.get("tokens", tokens.tokens),
        targets=np.concatenate(fixed) if fixed else new.get("targets"),
        full_lengths=np.concatenate(full),
        windows=tokens.windows,
        extra=extra,
        decoder=new.get("decoder", tokens.decoder),
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


def _ragged(encoded: Encoded, name: str) -> Ragged:
    place, _, extra = name.partition("/")
    return encoded.extra[extra] if extra else getattr(encoded, place)


def _ragged_names(made: Encoded, part: Encoded) -> list[str]:
    """Returns the names of the ragged values that the targets have added or changed."""
    names = [name for name in RAGGED if isinstance(getattr(made, name), Ragged)]
    names += [f"extra/{name}" for name in made.extra]
    return [name for name in names if not _same(made, part, name)]


def _same(made: Encoded, part: Encoded, name: str) -> bool:
    place, _, extra = name.partition("/")
    before = part.extra.get(extra) if extra else getattr(part, place)
    return isinstance(before, Ragged) and before.values is _ragged(made, name).values


def _continued(offsets: np.ndarray, ends: dict[str, int], name: str) -> np.ndarray:
    """Returns offsets that go on where those of the chunk before ended, the first chunk with 0."""
    shifted = offsets + ends.get(name, 0)
    begin = int(name in ends)
    ends[name] = int(shifted[-1])
    return shifted[begin:]
