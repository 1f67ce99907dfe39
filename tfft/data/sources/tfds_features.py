"""Which features of a TensorFlow Datasets builder hold the text and the label."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tfft.errors import DataError, near

UNKNOWN = "\0"  # begins what `Features.pick` returns for a number without a name


@dataclasses.dataclass(frozen=True)
class Features:
    """Where a builder keeps its texts and labels.

    Attributes:
      text, label: features' names.
      names: of the labels by their number; None for labels that are no ClassLabel.
    """

    text: str
    label: str
    names: tuple[str, ...] | None

    @classmethod
    def find(cls, builder: Any, text: str | None, label: str | None) -> Features:
        """Returns the features as named, else the supervised keys, else the only ones that fit."""
        import tensorflow as tf
        import tensorflow_datasets as catalogue

        features = builder.info.features
        kinds = {"text": catalogue.features.Text, "label": catalogue.features.ClassLabel}
        found = {"text": text, "label": label}
        for place, (kind, wanted) in enumerate(found.items()):
            found[kind] = wanted or _feature(builder, place, kind, kinds[kind])
            _refuse_unknown(builder, kind, found[kind])
        _refuse_shape(builder, "text", found["text"], lambda dtype: dtype == tf.string)
        _refuse_shape(
            builder,
            "label",
            found["label"],
            lambda dtype: dtype in (tf.string, tf.bool) or dtype.is_integer,
        )
        labels = features[found["label"]]
        names = None
        if isinstance(labels, kinds["label"]) and labels.num_classes:
            names = tuple(labels.int2str(number) for number in range(labels.num_classes))
        return cls(found["text"], found["label"], names)  # type: ignore[arg-type]

    def pick(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Returns {"text", "label"} of an example; the label is "" when it has none."""
        import tensorflow as tf

        label = row[self.label]
        if label.dtype == tf.string or label.dtype == tf.bool:
            name = label if label.dtype == tf.string else tf.strings.as_string(label)
        else:
            # -1 has the name "": some sets mark a label that they keep secret by it.
            name = tf.strings.as_string(label)
            known = label >= -1
            if self.names is None:
                name = tf.where(label == -1, "", name)
            else:
                count = tf.cast(len(self.names), label.dtype)
                known &= label < count
                place = tf.clip_by_value(label, -1, count - 1) + 1
                name = tf.where(known, tf.gather(tf.constant(["", *self.names]), place), name)
            name = tf.where(known, name, UNKNOWN + name)
        return {"text": row[self.text], "label": name}


def _feature(builder: Any, place: int, kind: str, wanted: type) -> str:
    keys = builder.info.supervised_keys
    if keys and len(keys) >= 2 and isinstance(keys[place], str):
        return keys[place]
    features = builder.info.features
    hits = [name for name, feature in features.items() if isinstance(feature, wanted)]
    if len(hits) != 1:
        raise DataError(
            f"{builder.info.full_name} has {len(hits)} features that could be the {kind}. "
            f"Its features: {', '.join(features)}.",
            valid=f"--gin.{kind.upper()}=FEATURE, or tfds(..., {kind}=FEATURE)",
            see="tfft list",
        )
    return hits[0]


def _refuse_unknown(builder: Any, kind: str, name: Any) -> None:
    if name not in builder.info.features:
        raise DataError(
            f"{builder.info.full_name} has no feature {name!r}.",
            set_in=f"{kind}={name}",
            valid=near(str(name), builder.info.features, 12),
            see="tfft list",
        )


def _refuse_shape(builder: Any, kind: str, name: Any, fits: Any) -> None:
    info = builder.info.features[name].get_tensor_info()
    if getattr(info, "shape", None) != () or not fits(info.tf_dtype):
        raise DataError(
            f"feature {name!r} of {builder.info.full_name} is no single {kind}: {info}.",
            set_in=f"{kind}={name}",
            valid="one string" if kind == "text" else "one string, integer or ClassLabel",
            see="tfft list",
        )
