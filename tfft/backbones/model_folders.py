"""What a model folder holds, checked before anything is built from it."""

from __future__ import annotations

import errno
import os
import pathlib
from typing import Any

from tfft.errors import WeightsError, near
from tfft.storage.foreign_files import local_path, parse_json, read_regular, refuse_special

# torch.load and pickle.load run code that the file brings along.
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
MOST_BYTES = 2**26  # of a config or a vocabulary
MOST_CONTAINERS = 2_000_000  # lists and objects of a JSON file
PATTERNS = ("*", "assets/*", "assets/*/*")  # where the files of a model are
VOCABULARIES = (".txt", ".model", ".spm")
CONFIGS = (
    *("config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor.json", "vocab.json"),
    *("image_converter.json", "metadata.json", "model.weights.json"),
    *("model.safetensors.index.json", "preprocessor_config.json", "special_tokens_map.json"),
)
HUB_WEIGHTS = ("model.weights.h5", "model.weights.json")
SAFE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Returns a JSON object from a file.

    Raises:
      WeightsError: the file is missing, torn, or holds something else.
    """
    try:
        content = parse_json(read_regular(path, MOST_BYTES), MOST_CONTAINERS)
    except FileNotFoundError:
        raise WeightsError(
            f"{path.parent} has no {path.name}.",
            valid="a folder in KerasHub's layout, or in Transformers' with config.json, "
            "model.safetensors and the vocabulary",
        ) from None
    except (ValueError, OSError) as error:
        raise WeightsError(
            f"{path} cannot be read as JSON: {getattr(error, 'strerror', None) or error}",
            valid="the whole file as it was published; copy or download it again",
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds no JSON object but a {type(content).__name__}.")
    return content


def read_text(path: pathlib.Path) -> str:
    """Returns the text of a vocabulary file.

    Raises:
      WeightsError: It cannot be read, is too large, or is not UTF-8.
    """
    try:
        return read_regular(path, MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WeightsError(
            f"{path} cannot be read: {reason}.", valid="a vocabulary in UTF-8"
        ) from error


def find(preset: str) -> pathlib.Path:
    """Returns the folder that a path names.

    Raises:
      WeightsError: it does not exist; names that come close are shown.
    """
    folder = local_path(preset, WeightsError)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise WeightsError(
            f"{preset} is a file; weights are read from a folder.", valid=str(folder.parent)
        )
    above = folder.parent
    while not above.is_dir():
        above = above.parent
    siblings = [child.name for child in above.iterdir() if child.is_dir()]
    raise WeightsError(
        f"there is no folder {preset}.",
        valid=f"in {above}: {near(folder.name, siblings)}",
        see="tfft list",
    )


def layout(folder: pathlib.Path) -> str:
    """Says whether a folder is in the layout of "hub" (KerasHub) or "transformers".

    Raises:
      WeightsError: it is neither, or its only weights are pickled.
    """
    config = read_json(folder / "config.json")
    is_hub = "class_name" in config and "config" in config
    expected = HUB_WEIGHTS if is_hub else SAFE_WEIGHTS
    if any((folder / name).exists() for name in expected):
        return "hub" if is_hub else "transformers"
    pickled = sorted(p.name for p in folder.iterdir() if p.suffix in PICKLED)
    if pickled:
        raise WeightsError(
            f"{folder} holds its weights only as {', '.join(pickled)}. Files of this kind are "
            "Python pickles: reading one runs the code in it, so they are not read.",
            valid="model.safetensors; where you trust the file, load it once with Transformers "
            "and write it again with save_pretrained(folder, safe_serialization=True)",
        )
    raise WeightsError(
        f"{folder} has a config.json but no weights that can be read.",
        valid=" or ".join((*HUB_WEIGHTS, *SAFE_WEIGHTS)),
    )


def check_files(folder: pathlib.Path) -> None:
    """Checks the files of a folder before anything is built from them.

    Raises:
      WeightsError: One is a pipe, a socket or a device, is too large, or is JSON that is damaged or
        nested too deeply.
    """
    for path in (each for pattern in PATTERNS for each in sorted(folder.glob(pattern))):
        if path.is_dir() or _leads_nowhere(path):
            continue
        try:
            refuse_special(path)
            if path.suffix in VOCABULARIES and path.stat().st_size > MOST_BYTES:
                raise OSError(errno.EFBIG, f"it has more than {MOST_BYTES:,} bytes")
        except OSError as error:
            raise WeightsError(
                f"{path} cannot be read: {error.strerror}.", valid="the files of a model alone"
            ) from error
        if path.name in CONFIGS:
            read_json(path)


def _leads_nowhere(path: pathlib.Path) -> bool:
    """Returns True for a link to a file that is not there, such as the lock of an editor."""
    return path.is_symlink() and not os.path.exists(path)


def notes(folder: pathlib.Path) -> tuple[str, ...]:
    """Returns lines for a person about how the weights came to be."""
    marks = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
    if any((folder / name).exists() for name in marks):
        return ("these weights were tuned for sentence similarity before",)
    return ()
