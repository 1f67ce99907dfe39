"""A model as a `.keras` file, which loads without the run's folder and without the preset.

Importing this module registers the classes of such a file with Keras, so that
`keras.models.load_model` reads it too.
"""

from __future__ import annotations

import os
import pathlib
import zipfile
from typing import Any

import keras

# Each of these modules registers classes or functions with Keras.
import tfft.backbones.image.image_backbone
import tfft.backbones.image.normalization
import tfft.backbones.text.generative_backbones
import tfft.backbones.text.text_backbone
import tfft.backbones.text.transformers_weights
import tfft.backbones.text.unpadded_encoder
import tfft.layers.heads
import tfft.layers.instances
import tfft.layers.text_generation
import tfft.layers.vocabulary_head
import tfft.losses.contrastive
import tfft.tasks.multi_task.model
import tfft.training.model
import tfft.training.regularizers.base  # noqa: F401
from tfft.argument_checks.validated import FILLED, validated
from tfft.backbones.splitting import Prefix
from tfft.errors import ExportError
from tfft.storage.atomic_write import explained
from tfft.storage.unfinished_folders import unfinished_folder

SUFFIX = ".keras"
AGAIN = 'a new file: run.save("model.keras"), with the run that tfft.train returns'


def save(model: keras.Model, path: str | os.PathLike[str]) -> pathlib.Path:
    """Writes a model so that no reader sees half of the file; returns its path.

    Args:
      model: as `tfft.training.model.assemble` builds it.
      path: ends in ".keras"; an existing file is replaced.

    Raises:
      ExportError: the path ends otherwise.
      ConfigError: the backbone has adapters, or is of a kind that a file cannot hold.
      WorkdirError: the file cannot be written.
    """
    target = _path(path)
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished_folder(target.parent, ".save-") as room:
            aside = room / "model.keras"
            model.save(aside)
            os.replace(aside, target)
    return target


@validated(path=FILLED)
def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """Returns the model of a `.keras` file that `run.save` or `run.model.save` wrote.

    The file holds the backbone, the head and their weights, and no code: Keras' safe mode is on.
    It needs neither the run's folder nor the preset. The model reads what the preprocessor of the
    backbone makes of raw inputs, and the file does not hold the preprocessor. The model is not
    compiled.

    Args:
      path: the file.

    Returns:
      A `keras.Model` from the backbone's inputs, such as token_ids and padding_mask, int32 [b t],
      or pixels, uint8 [b h w c], to the task's output, such as probabilities, float32 [b n].

    Raises:
      ExportError: there is no such file; it is damaged; tfft did not write it; or it holds a
        Lambda layer or another object that safe loading refuses.
    """
    file = _path(path)
    if not file.is_file():
        raise ExportError(f"{file} is not a file.", set_in=str(file), valid=AGAIN)
    try:
        _check_archive(file)
        model = keras.models.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # of any kind, as what a damaged file holds
        raise ExportError(
            f"{file} cannot be loaded: {_reason(error)}", set_in=str(file), valid=AGAIN
        ) from error
    if not any(isinstance(layer, Prefix) for layer in model._flatten_layers()):
        raise ExportError(
            f"{file} holds a model that tfft did not build.",
            set_in=str(file),
            valid=f"a file of run.save; keras.models.load_model({file.name!r}) reads others",
        )
    return model


def _path(path: str | os.PathLike[str]) -> pathlib.Path:
    file = pathlib.Path(path)
    if file.suffix != SUFFIX:
        raise ExportError(
            f"the name of the file must end in {SUFFIX}. Received: path={str(path)!r}",
            valid=f"{file.stem or 'model'}{SUFFIX}",
        )
    return file


def _check_archive(file: pathlib.Path) -> None:
    """Raises BadZipFile if the checksum of a part is wrong; Keras may read it nevertheless.

    Keras does not compress, so parts that are larger than the file are a bomb.
    """
    with zipfile.ZipFile(file) as archive:
        size = sum(part.file_size for part in archive.infolist())
        if size > file.stat().st_size:
            raise zipfile.BadZipFile(f"its parts unpack to {size:,} bytes, more than the file has")
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged} is damaged")


def _reason(error: BaseException) -> str:
    """Returns the first error of a chain in one line; Keras adds whole configs to later ones."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    text: Any = error.args[0] if isinstance(error, KeyError) and error.args else error
    return str(text).strip().partition("\n")[0][:300] or type(error).__name__
