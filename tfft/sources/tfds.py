"""Any TensorFlow Datasets builder."""

from __future__ import annotations

from typing import Any

from tfft.errors import DataError, near
from tfft.sources import Rows, Source, split_by_hash


def tfds(
    name: Any,
    *,
    text: str | None = None,
    label: str | None = None,
    data_dir: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
) -> Source:
    """Returns a source of a builder's own splits.

    Args:
      name: a builder's name with its config ("glue/sst2"), or a builder.
      text, label: features; by default the supervised keys, else the only Text and ClassLabel.
      data_dir: where TensorFlow Datasets keeps its data.
      validation_share, test_share: taken from the training split by a hash of the text, for a
        split that the builder lacks or that has no labels.
    """
    import tensorflow_datasets as catalogue

    builder = catalogue.builder(name, data_dir=data_dir) if isinstance(name, str) else name
    builder.download_and_prepare()
    features = builder.info.features
    text = text or _feature(builder, 0, catalogue.features.Text, "text")
    label = label or _feature(builder, 1, catalogue.features.ClassLabel, "label")
    for column in (text, label):
        if column not in features:
            raise DataError(f"{name} has no feature {column!r}.", valid=near(column, features, 12))
    to_name = getattr(features[label], "int2str", str)
    rows, notes = {}, [f"features: text {text!r}, label {label!r}"]
    for split in ("train", "validation", "test"):
        if split in builder.info.splits:
            found, missing = _rows(builder.as_dataset(split=split), text, label, to_name)
            if found[0]:
                rows[split] = found
            if missing:
                notes.append(f"{missing:,} examples of {split} have no label and are left out")
    lacking = {"validation": validation_share, "test": test_share}
    lacking = {split: share for split, share in lacking.items() if split not in rows}
    if lacking and "train" in rows:
        shares = (lacking.get("validation", 0.0), lacking.get("test", 0.0))
        rows = {**rows, **split_by_hash(*rows["train"], *shares)}
        notes.append(f"{' and '.join(lacking)} taken from train by a hash of the text")
    ordered = {split: rows[split] for split in ("train", "validation", "test") if split in rows}
    return Source(str(builder.info.full_name), ordered, notes)


def _feature(builder: Any, place: int, kind: type, word: str) -> str:
    keys = builder.info.supervised_keys
    if keys:
        return keys[place]
    hits = [name for name, feature in builder.info.features.items() if isinstance(feature, kind)]
    if len(hits) != 1:
        raise DataError(
            f"{builder.name} has {len(hits)} features that could be the {word}.",
            valid=f"tfds({builder.name!r}, {word}=...) with one of {', '.join(builder.info.features)}",
        )
    return hits[0]


def _rows(dataset: Any, text: str, label: str, to_name: Any) -> tuple[Rows, int]:
    texts, labels, missing = [], [], 0
    for example in dataset.as_numpy_iterator():
        value = example[label]
        if not isinstance(value, bytes) and int(value) < 0:
            missing += 1
            continue
        texts.append(example[text].decode())
        labels.append(value.decode() if isinstance(value, bytes) else to_name(int(value)))
    return (texts, labels), missing
