"""Any TensorFlow Datasets builder, streamed: no split is held in memory."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfft.argument_checks.validated import FILLED, FRACTION, shown, validated
from tfft.data.sources.base import Source, Summarizer, Summary, summarize, validate
from tfft.data.sources.tfds_features import UNKNOWN, Features
from tfft.data.sources.tfds_trust import refuse_foreign_code
from tfft.data.sources.tfds_values import of_dataset, values
from tfft.data.splits import (
    MAX_HELD_OUT,
    SPLIT_NAMES,
    SPLITS,
    check_shares,
    sample_note,
    sample_rows,
    stream_note,
    stream_splits,
)
from tfft.errors import DataError, near

if TYPE_CHECKING:
    import tensorflow as tf

BATCH = 1024


@validated(
    text=FILLED, label=FILLED, data_dir=FILLED, validation_share=FRACTION, test_share=FRACTION
)
def tfds(
    name: Any,
    *,
    text: str | Sequence[str] | None = None,
    label: str | None = None,
    data_dir: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    classes: bool = True,
    group: str | None = None,
    trust_data: bool | Sequence[str] = False,
) -> Source:
    """Returns a source of a builder's own splits; labels are read by their names.

    One pass over the data counts labels and finds what is broken; training reads them again. For
    a task of several inputs, of answers that are no labels, or with `group`, all is read into
    memory, where splits are exact and stratified by label.

    Args:
      name: a builder's name, with its config ("glue/sst2"); or a builder; or a `tf.data.Dataset`,
        which is read into memory.
      text, label: features; by default the supervised keys, else the only Text and ClassLabel. A
        task of several inputs takes the names of theirs, in its order: `("question", "context")`.
      data_dir: where TensorFlow Datasets keeps its data.
      validation_share, test_share: of the training split, for a split that the builder lacks or
        that has no labels; 0 for no such split. The splits of data that are not in memory follow
        from a salted hash of the text, and the shares are approximate.
      classes: whether the answers are labels. False takes any: numbers, lists and dicts, which a
        task reads as JSON; features of words and of their tags, such as "tokens" and "ner_tags",
        become a text with spans.
      group: a feature whose equal values stay in the same split, such as the document that an
        example is from.
      trust_data: whether code that the data name may be imported: feature classes that are not
        TensorFlow Datasets' own, and builders of a namespace, `"namespace:name"`, which are
        downloaded. A list names the modules and packages that may be.

    Raises:
      DataError: no such builder or feature, data that cannot be downloaded or that name code which
        is not trusted, or data that no run could learn from.
    """
    check_shares(validation_share, test_share)
    named = isinstance(name, str) and bool(name)
    if not named and not hasattr(name, "info") and not hasattr(name, "element_spec"):
        raise DataError(
            f"tfds.name must be a builder or its name. Received: name={shown(name)}.",
            set_in="tfds.name",
            valid='such as "ag_news_subset", tfds.builder(NAME), or a tf.data.Dataset',
            see="tfft list",
        )
    if hasattr(name, "element_spec"):
        shares: Any = {"validation_share": validation_share, "test_share": test_share}
        return of_dataset(
            name, text or "text", label or "label", group=group, classes=classes, **shares
        )
    builder = _builder(name, data_dir, trust_data) if isinstance(name, str) else name
    if not classes or group or not isinstance(text, str | None):
        if text is None or label is None:
            raise DataError(
                "tfds needs the names of the features.",
                set_in="tfds.text, tfds.label",
                valid=f"some of {', '.join(builder.info.features)}",
                see="tfft list",
            )
        _prepare(builder)
        shares = {"validation": validation_share, "test": test_share}
        return values(builder, _origins(builder), text, label, classes, shares, group)
    features = Features.find(builder, text, label)
    _prepare(builder)
    return BuilderSource(builder, features, validation_share, test_share)


def _builder(name: str, data_dir: str | None, trusted: bool | Sequence[str]) -> Any:
    import tensorflow_datasets as catalogue

    try:
        with refuse_foreign_code(name, trusted):
            return catalogue.builder(name, data_dir=data_dir)
    except catalogue.core.DatasetNotFoundError as error:
        names = catalogue.list_builders(with_community_datasets=False)
        raise DataError(
            f"TensorFlow Datasets has no builder {name!r}.",
            valid=near(name.partition("/")[0], names),
            see="tfft list",
        ) from error
    except (ValueError, AssertionError) as error:  # a config or a version that is not there
        raise DataError(
            f"the builder {name!r} cannot be made: {str(error).splitlines()[0][:200]}",
            valid="NAME, NAME/CONFIG or NAME/CONFIG:VERSION",
            see="tfft list",
        ) from error


def _prepare(builder: Any) -> None:
    try:
        builder.download_and_prepare()
    except OSError as error:
        raise DataError(
            f"{builder.info.full_name} cannot be downloaded or written: {str(error)[:300]}",
            set_in=str(builder.data_path),
            valid="a network and a folder that you may write to, or data_dir= with the prepared "
            "data",
            see="tfft list",
        ) from error


class BuilderSource(Source):
    """Reads a builder's splits again for every pass.

    Of a validation or test split of more than `MAX_HELD_OUT` examples a random sample is read.

    Args:
      builder: prepared.
      features: where texts and labels are.
      validation_share, test_share: for a split that the builder lacks.
    """

    streamed = True

    def __init__(
        self, builder: Any, features: Features, validation_share: float, test_share: float
    ):
        self._builder, self._features = builder, features
        self._origin = _origins(builder)
        self._train_only: set[str] = set()  # labels that the hash would keep out of training
        name = str(builder.info.full_name)
        notes = [f"{name}: text in feature {features.text!r}, label in {features.label!r}"]
        unused = [split for split in builder.info.splits if split not in self._origin.values()]
        if not builder.info.splits:
            notes.append("the builder does not say which splits it has: only train is read")
        if unused:
            notes.append(f"splits that are not read: {', '.join(unused)}")
        shares = {"validation": validation_share, "test": test_share}
        summaries = self._scan(shares, notes)
        super().__init__(name, tuple(summaries), notes)
        self.summaries = {split: summaries[split] for split in self.splits}
        self._kept: dict[str, np.ndarray] = {}  # numbers of the rows of a split that is a sample
        self._take_samples()
        validate(name, self.summaries, see="tfft list")
        self.add_data_notes()

    def dataset(self, split: str) -> tf.data.Dataset:
        import tensorflow as tf

        self._summary(split)
        dataset = self._read(self._origin.get(split, self._origin["train"]))
        dataset = dataset.filter(lambda row: row["label"] != "")
        taken = self._lacking if split == "train" or split not in self._origin else {}
        if taken:
            shares = (taken.get("validation", 0.0), taken.get("test", 0.0))

            def chosen(rows: dict[str, Any]) -> dict[str, Any]:
                keep = tf.numpy_function(
                    lambda *columns: self._splits_of(columns, shares) == SPLITS.index(split),
                    [rows["text"], rows["label"]],
                    tf.bool,
                )
                keep.set_shape([None])
                return {name: tf.boolean_mask(part, keep) for name, part in rows.items()}

            dataset = dataset.batch(BATCH).map(chosen).unbatch()
        if split in self._kept:
            rows = self._kept[split]
            mask = tf.constant(np.bincount(rows) > 0)
            dataset = dataset.take(len(mask)).enumerate()
            dataset = dataset.filter(lambda number, row: tf.gather(mask, number))
            dataset = dataset.map(lambda number, row: row)
            return dataset.apply(tf.data.experimental.assert_cardinality(len(rows)))
        return dataset.apply(tf.data.experimental.assert_cardinality(self.size(split)))

    def rows(self, split: str) -> Iterator[tuple[str, str]]:
        return _decoded(self.dataset(split))

    def _take_samples(self) -> None:
        for split in self.splits:
            size = self.size(split)
            if split != "train" and size > MAX_HELD_OUT:
                self._kept[split] = sample_rows(size, MAX_HELD_OUT)
                self.summaries[split] = summarize(self.rows(split))
                self.notes = (*self.notes, sample_note(split, MAX_HELD_OUT, size))

    def _read(self, origin: str) -> tf.data.Dataset:
        try:
            dataset = self._builder.as_dataset(split=origin, shuffle_files=False)
        except KeyError as error:
            raise DataError(
                f"{self._builder.info.full_name} has no prepared split {origin!r}.",
                set_in=str(self._builder.data_path),
                valid="the folder that TensorFlow Datasets prepared",
                see="tfft list",
            ) from error
        return dataset.map(self._features.pick)

    def _splits_of(
        self, columns: Sequence[Sequence[bytes]], shares: tuple[float, float]
    ) -> np.ndarray:
        """Returns the number in `SPLITS` of each training example, given texts and labels."""
        texts, labels = columns
        splits = stream_splits([text.decode() for text in texts], *shares)
        if self._train_only:
            rare = [label.decode() in self._train_only for label in labels]
            splits[np.array(rare)] = SPLITS.index("train")
        return splits

    def _labelled(self, origin: str) -> Iterator[tuple[str, str]]:
        """Yields texts and labels; raises a DataError for a number that has no name."""
        for number, (text, label) in enumerate(_decoded(self._read(origin)), 1):
            self._refuse_unnamed(label, number, origin)
            yield text, label

    def _refuse_unnamed(self, label: str, number: int, origin: str) -> None:
        names = self._features.names
        if label.startswith(UNKNOWN):
            raise DataError(
                f"the label {label.removeprefix(UNKNOWN)} has no name.",
                set_in=f"example {number:,} of {origin}",
                valid=(f"0 to {len(names) - 1}" if names else "0 or more") + ", or -1 for no label",
                see="tfft list",
            )

    def _scan(self, shares: Mapping[str, float], notes: list[str]) -> dict[str, Summary]:
        """Goes over every split once, the training split last: which ones lack is known then."""
        found: dict[str, Summary] = {}
        held: dict[int, str] = {}  # hash of a text and the evaluation split that has it
        for split in ("validation", "test"):
            if split in self._origin:
                summary = self._scan_evaluation(split, held, notes)
                if summary is None:
                    del self._origin[split]
                else:
                    found[split] = summary
        self._lacking = {
            split: share for split, share in shares.items() if split not in found and share
        }
        return found | self._scan_train(held, notes)

    def _scan_evaluation(
        self, split: str, held: dict[int, str], notes: list[str]
    ) -> Summary | None:
        summarizer, unlabelled = Summarizer(), 0
        for text, label in self._labelled(self._origin[split]):
            if label:
                summarizer.add(text, label)
                held[hash(text)] = split
            else:
                unlabelled += 1
        summary = summarizer.result()
        if unlabelled:
            notes.append(f"{unlabelled:,} examples of {split} have no label and are left out")
        return None if unlabelled and not summary.size else summary

    def _scan_train(self, held: Mapping[int, str], notes: list[str]) -> dict[str, Summary]:
        found, unlabelled, overlap = self._count_train(held)
        known = {label for each in found.values() for label in each.labels}
        self._train_only = known - found["train"].labels.keys()
        if self._train_only:
            found, unlabelled, overlap = self._count_train(held)
        if unlabelled:
            notes.append(f"{unlabelled:,} examples of train have no label and are left out")
        for split, count in sorted(overlap.items()):
            notes.append(
                f"{count:,} training texts are also in {split}: kept, as the builder has them"
            )
        if self._lacking:
            self._refuse_empty(found)
            notes.append(stream_note(self._lacking))
        return found

    def _count_train(
        self, held: Mapping[int, str]
    ) -> tuple[dict[str, Summary], int, collections.Counter[str]]:
        """Returns what the parts of the training split hold, in one pass."""
        parts = {split: Summarizer() for split in ("train", *self._lacking)}
        shares = (self._lacking.get("validation", 0.0), self._lacking.get("test", 0.0))
        number, unlabelled, overlap = 0, 0, collections.Counter[str]()
        for batch in self._read(self._origin["train"]).batch(BATCH).as_numpy_iterator():
            splits = self._splits_of((batch["text"], batch["label"]), shares)
            for *row, split in zip(batch["text"], batch["label"], splits, strict=True):
                number += 1
                text, label = (value.decode() for value in row)
                self._refuse_unnamed(label, number, self._origin["train"])
                if not label:
                    unlabelled += 1
                    continue
                parts[SPLITS[split]].add(text, label)
                if hash(text) in held:
                    overlap[held[hash(text)]] += 1
        return {split: part.result() for split, part in parts.items()}, unlabelled, overlap

    def _refuse_empty(self, found: Mapping[str, Summary]) -> None:
        for split in found:
            if not found[split].size:
                total = sum(summary.size for summary in found.values())
                raise DataError(
                    f"{self._builder.info.full_name} is too small to be split by a hash of the "
                    f"text: of its {total:,} examples the {split} split would have none.",
                    valid="a share of 0 for that split, or the examples in memory: "
                    "tfft.sources.memory",
                    see="tfft list",
                )


def _origins(builder: Any) -> dict[str, str]:
    """Returns the builder's own name of each split that it has.

    A mocked builder has data for every name and lists none.
    """
    if not builder.info.splits:
        return {"train": "train"}
    found = {
        split: next((name for name in names if name in builder.info.splits), None)
        for split, names in SPLIT_NAMES.items()
    }
    if found["train"] is None:
        raise DataError(
            f"{builder.info.full_name} has no training split.",
            valid=f"a builder with a split train; this one has {', '.join(builder.info.splits)}",
            see="tfft list",
        )
    return {split: name for split, name in found.items() if name is not None}


def _decoded(dataset: Any) -> Iterator[tuple[str, str]]:
    for batch in dataset.batch(BATCH).as_numpy_iterator():
        for text, label in zip(batch["text"], batch["label"], strict=True):
            yield text.decode(), label.decode()
