"""The base class of sources: texts with answers, their splits, and notes for a person.

An answer is a string everywhere: a label, a number, or JSON of what a task asks for.
"""

from __future__ import annotations

import array
import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tfft.data.data_notes import data_notes
from tfft.data.splits import SEE, SPLITS, Rows, told
from tfft.errors import DataError
from tfft.preprocessing.media_files import content_hash

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Summary:
    """The results of one pass over a split.

    Attributes:
      size: the number of examples.
      labels: how many of each, by answer.
      first: the number, from 0, of the first example of each answer.
      empty: the numbers of the first examples with an input that has no visible character, and how
        many there are.
      digest: SHA-256 over inputs and answers in their order.
      texts: a hash of each example's inputs, the same within a process, int64 [n].
      codes: place of each example's answer in `labels`, int32 [n].
    """

    size: int
    labels: dict[str, int]
    first: dict[str, int]
    empty: tuple[list[int], int]
    digest: str
    texts: np.ndarray = dataclasses.field(repr=False, compare=False)
    codes: np.ndarray = dataclasses.field(repr=False, compare=False)


class Summarizer:
    """Makes a summary example by example, with little memory: 12 bytes an example.

    Args:
      most_labels: Number of different answers that are counted, the first ones; None for all.
    """

    def __init__(self, most_labels: int | None = None) -> None:
        self._most = most_labels
        self._size = self._empties = 0
        self._labels: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._empty: list[int] = []
        self._digest = hashlib.sha256()
        self._texts, self._codes = array.array("q"), array.array("i")

    def add(self, *example: str) -> None:
        """Counts one example: its inputs, then its answer."""
        label = example[-1]
        if any(not text or text.isspace() for text in example[:-1]):
            self._empties += 1
            if len(self._empty) < 3:
                self._empty.append(self._size)
        if label not in self._labels and len(self._labels) != self._most:
            self._labels[label], self._first[label] = 0, self._size
        if label in self._labels:
            self._labels[label] += 1
        # Lengths first: no text can be written so that two different splits hash alike.
        lengths = ",".join(str(len(part)) for part in example)
        self._digest.update(f"{lengths}:{''.join(example)}".encode())
        self._size += 1
        self._texts.append(hash(example[:-1]))
        self._codes.append(self._first.get(label, 0))

    def result(self) -> Summary:
        """Returns the summary of the examples so far."""
        empty, texts = (self._empty, self._empties), np.array(self._texts, np.int64)
        firsts = [*self._first.values()]  # ascending
        codes = np.searchsorted(firsts, np.array(self._codes, np.int64)).astype(np.int32)
        digest = self._digest.hexdigest()
        return Summary(self._size, self._labels, self._first, empty, digest, texts, codes)


def summarize(rows: Iterable[tuple[str, ...]]) -> Summary:
    """Returns the summary of a split, in one pass."""
    summarizer = Summarizer()
    for row in rows:
        summarizer.add(*row)
    return summarizer.result()


def validate(
    name: str,
    summaries: Mapping[str, Summary],
    where: Callable[[str, int], str] | None = None,
    see: str = SEE,
    classes: bool = True,
) -> None:
    """Refuses data that no run could learn from or be judged on.

    Args:
      name: of the source.
      summaries: by split.
      where: from a split and the number of an example, from 0, to its place for a person.
      see: the next command.
      classes: whether the answers are labels.

    Raises:
      DataError: no training examples, empty texts, and of labels one class only, or one that only
        an evaluation split has.
    """
    where = where or (lambda split, number: f"example {number + 1:,} of the {split} split")
    for split in ("train", *summaries):
        if split not in summaries or not summaries[split].size:
            raise DataError(
                f"{name} has no examples in its {split} split.",
                valid="two examples or more" + (", of two labels" if classes else ""),
                see=see,
            )
    for split, summary in summaries.items():
        numbers, count = summary.empty
        if count:
            raise DataError(
                f"{count:,} {'text is' if count == 1 else 'texts are'} empty in the {split} split "
                f"of {name}.",
                set_in=", ".join(where(split, number) for number in numbers),
                valid="a text in every row; take out the rows that have none",
                see=see,
            )
    known = summaries["train"].labels
    if classes and len(known) < 2:
        raise DataError(
            f"{name} has one class only: all {summaries['train'].size:,} training examples are "
            f"labelled {next(iter(known))!r}.",
            valid="two labels or more in the training split; is it the right column?",
            see=see,
        )
    for split, summary in summaries.items() if classes else ():
        if unseen := sorted(set(summary.labels) - set(known)):
            count = sum(summary.labels[label] for label in unseen)
            raise DataError(
                f"{told(unseen)}: {count:,} examples of the {split} split of {name} have a label "
                "that the training split does not have.",
                set_in=where(split, summary.first[unseen[0]]),
                valid=told(sorted(known), 12),
                see=see,
            )


class Source:
    """Texts with answers, in splits. Subclasses say how to walk through a split.

    Attributes:
      modality: what an example is, "text" or "image"; a task says the same.
      decode: when files of examples are decoded: once, into memory; each time they are read; or
        "auto" for the first if that takes at most a quarter of the free memory.
      file_inputs: places of the inputs whose values say where a file is; fingerprints are those of
        the content of the files.
      streamed: Whether the splits may be larger than memory, so that they are encoded to disk and
        reports read samples of them.

    Args:
      name: for a person.
      splits: "train", and "validation" and "test" where there are.
      notes: lines for a person: where columns were found, what was dropped, how it was split.
      inputs: names of an example's inputs.
      classes: whether the answers are labels, of which an example has one.
    """

    modality = "text"
    decode: Literal["auto", "memory", "on_demand"] = "auto"
    streamed = False
    file_inputs: tuple[int, ...] = ()
    schema: Mapping[str, Any] | None = None  # of the training file, see `Table.schema`

    def __init__(
        self,
        name: str,
        splits: Sequence[str],
        notes: Sequence[str] = (),
        inputs: Sequence[str] = ("text",),
        classes: bool = True,
    ):
        self.name, self.notes = name, tuple(notes)
        self.splits = tuple(split for split in SPLITS if split in splits)
        self.inputs, self.classes = tuple(inputs), classes

    def rows(self, split: str) -> Iterator[tuple[str, ...]]:
        """Yields the inputs and the answer of each example, in the order of `dataset`."""
        raise NotImplementedError

    def dataset(self, split: str) -> tf.data.Dataset:
        """Returns a dataset of the inputs by name and "label", scalar strings, in one order."""
        raise NotImplementedError

    def read(self, split: str, rows: np.ndarray) -> tuple[list[str], ...]:
        """Returns the inputs and the answers of some examples, a list each.

        Args:
          rows: Numbers of the examples, ascending, int [n].
        """
        chosen = itertools.compress(self.rows(split), np.bincount(rows).tolist())
        return tuple(map(list, zip(*chosen, strict=True)))

    def columns(self, split: str) -> Mapping[str, Sequence[str]]:
        """Returns further columns by name, a value for each example: the report's slices."""
        return {}

    def groups(self, split: str) -> Sequence[str] | None:
        """Returns a value for each example; those of the same one must not be separated.

        None if there are no groups.
        """
        return None

    def mixed(self, split: str) -> Any:
        """Returns where each example is from, int32 [n], and the share of each origin in an epoch.

        None where there is one origin, whose examples are each seen once.
        """
        return None

    def places(self, answers: Collection[str]) -> list[str]:
        """Returns where the examples with one of these answers are, for an error."""
        return [
            f"example {number:,} of the {split} split"
            for split in self.splits
            for number, row in enumerate(self.rows(split), 1)
            if row[-1] in answers
        ]

    def identified(self, row: tuple[str, ...]) -> tuple[str, ...]:
        """Returns a row with what its inputs are where they are named: a file's hash for its path.

        Fingerprints follow from it.
        """
        if not self.file_inputs:
            return row
        return tuple(
            content_hash(value) if place in self.file_inputs else value
            for place, value in enumerate(row)
        )

    def identify_files(self, places: Sequence[int]) -> None:
        """Takes some inputs as files, whose contents decide fingerprints in place of paths."""
        if tuple(places) != self.file_inputs and not self.streamed:
            self.file_inputs = tuple(places)
            self.__dict__.pop("summaries", None)

    @functools.cached_property
    def summaries(self) -> dict[str, Summary]:
        """The summary of each split; made by one pass, when it is first read."""
        return {split: summarize(map(self.identified, self.rows(split))) for split in self.splits}

    @property
    def labels(self) -> tuple[str, ...]:
        """The distinct answers of the training split, sorted."""
        return tuple(sorted(self.summaries["train"].labels))

    def size(self, split: str) -> int:
        """Returns the number of examples of a split."""
        return self._summary(split).size

    def label_counts(self, split: str) -> dict[str, int]:
        """Returns how many examples of each answer a split holds, the answers sorted."""
        return dict(sorted(self._summary(split).labels.items()))

    def fingerprint(self) -> str:
        """Returns a SHA-256 over the splits, their inputs, answers and columns, in their order."""
        parts = [f"{split}:{summary.digest}" for split, summary in self.summaries.items()]
        for split in self.splits:
            for name, values in self.columns(split).items():
                digest = summarize(zip(values, [""] * len(values), strict=True)).digest
                parts.append(f"{split}.{name}:{digest}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def add_data_notes(self) -> None:
        """Adds what `data_notes` finds to the notes."""
        known = self.notes
        new = [n for n in data_notes(self) if not any(each.endswith(n) for each in known)]
        self.notes = (*known, *new)

    def _summary(self, split: str) -> Summary:
        if split not in self.summaries:
            raise DataError(f"{self.name} has no split {split!r}.", valid=", ".join(self.summaries))
        return self.summaries[split]


class MemorySource(Source):
    """A source whose inputs and answers are lists.

    Args:
      name, notes, inputs, classes: as in `Source`.
      rows: inputs, answers and the further columns by split.
      where, see: as in `validate`.
      columns: names of the further columns.
      groups: a value for each example by split; None for no groups.

    Raises:
      DataError: no run could learn from it (see `validate`).
    """

    def __init__(
        self,
        name: str,
        rows: Mapping[str, Rows],
        notes: Sequence[str] = (),
        where: Callable[[str, int], str] | None = None,
        see: str = SEE,
        columns: Sequence[str] = (),
        inputs: Sequence[str] = ("text",),
        classes: bool = True,
        groups: Mapping[str, Sequence[str]] | None = None,
    ):
        super().__init__(name, tuple(rows), notes, inputs, classes)
        self._columns, self._groups = tuple(columns), groups
        self._rows = {split: rows[split] for split in self.splits}
        validate(name, self.summaries, where, see, classes)
        self.add_data_notes()

    def rows(self, split: str) -> Iterator[tuple[str, ...]]:
        return zip(*self._rows[split][: len(self.inputs) + 1], strict=True)

    def columns(self, split: str) -> Mapping[str, Sequence[str]]:
        self._summary(split)
        further = self._rows[split][len(self.inputs) + 1 :]
        return dict(zip(self._columns, further, strict=True))

    def groups(self, split: str) -> Sequence[str] | None:
        return None if self._groups is None else self._groups[split]

    def dataset(self, split: str) -> tf.data.Dataset:
        import tensorflow as tf

        self._summary(split)
        named = zip((*self.inputs, "label"), self._rows[split], strict=False)
        columns = {name: tf.constant(list(values)) for name, values in named}
        return tf.data.Dataset.from_tensor_slices(columns)
