"""Which code the files and the names of TensorFlow Datasets may have imported."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from tfft.errors import DataError

# The modules of TensorFlow Datasets' own feature classes.
OWN = "tensorflow_datasets.core.features"


@contextlib.contextmanager
def refuse_foreign_code(name: str, trusted: bool | Sequence[str]) -> Iterator[None]:
    """Refuses, while a builder is made, what would import or download code for it.

    `features.json` and `dataset_info.json` name classes of features, and TensorFlow Datasets
    imports their modules. It has no setting that prevents this.

    Args:
      name: of the builder.
      trusted: True for all code; else the modules and packages that may be imported.

    Raises:
      DataError: the name has a namespace, or a file names a class of a module that is not trusted.
    """
    from tensorflow_datasets.core import naming
    from tensorflow_datasets.core.features.feature import FeatureConnector

    if trusted is True:
        yield
        return
    if naming.parse_builder_name_kwargs(name)[0].namespace:
        raise DataError(
            f"the builder {name!r} has a namespace: its code would be downloaded and run.",
            set_in="tfds.name",
            valid="a builder without a namespace; or --trust_data, which runs that code",
            see="tfft list",
        )
    modules = (OWN, *(trusted or ()))
    refused: list[str] = []
    original = FeatureConnector.__dict__["cls_from_name"]

    def checked(cls: Any, feature: str) -> Any:
        module = str(feature).rpartition(".")[0]
        known = feature in FeatureConnector._registered_features
        if not known and not any(f"{module}.".startswith(f"{each}.") for each in modules):
            refused.append(str(feature))
            raise ValueError(f"the feature {feature!r} is not trusted")
        return original.__func__(cls, feature)

    FeatureConnector.cls_from_name = classmethod(checked)
    try:
        yield
    except Exception as error:
        if not refused:
            raise
        top = refused[0].partition(".")[0]
        raise DataError(
            f"the files of {name} name the class {refused[0]!r}, whose module would be imported.",
            set_in="tfds.data_dir",
            valid=f"TensorFlow Datasets' own features; or --allow_imports={top} or --trust_data, "
            "which run that code",
        ) from error
    finally:
        FeatureConnector.cls_from_name = original
