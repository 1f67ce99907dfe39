"""A SavedModel that takes raw strings, compared with the model in memory before it counts."""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.errors import ExportError
from tfft.preprocess.text import TEXTS
from tfft.workdir import write_atomic

TOLERANCE = 1e-5

# What a server does: load and call, with nothing of this library imported.
_RELOAD = """
import json, sys
import numpy as np, tensorflow as tf, tensorflow_text
served = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
texts = json.load(open(sys.argv[2]))
rows = [served(text=tf.constant(texts[i:i + 32])) for i in range(0, len(texts), 32)]
np.save(sys.argv[3], np.concatenate([row[sys.argv[4]].numpy() for row in rows]))
assert not any(name.split(".")[0] == "tfft" for name in sys.modules)
"""


class Served(tf.Module):
    """What is exported: the preprocessor, the model and the names of its answers.

    Args:
      model: from token_ids and padding_mask, int32 [b t], or [b n t] for texts in windows.
      preprocessor: from strings to the model's inputs.
      answer: from the model's outputs to a dict of named tensors.
      names: of the outputs, in their order.
    """

    def __init__(
        self,
        model: Any,
        preprocessor: Any,
        answer: Callable[[Any], dict[str, Any]],
        names: Sequence[str] = (),
    ):
        super().__init__()
        self.model, self.preprocessor, self._answer = model, preprocessor, answer
        self._names = list(names)
        shape = [None] * (3 if getattr(preprocessor, "windowed", False) else 2)
        spec = [tf.TensorSpec(shape, tf.int32, name=n) for n in ("token_ids", "padding_mask")]
        self.token_ids = tf.function(self._from_ids, input_signature=spec, autograph=False)

    @tf.function(input_signature=[], autograph=False)
    def labels(self):
        """Returns the class names in the order of the probabilities: string [n]."""
        return tf.constant(self._names, tf.string)

    @tf.function(input_signature=TEXTS, autograph=False)
    def text(self, text):
        """From raw strings [b]."""
        return self._answer(self.model(dict(self.preprocessor(text)), training=False))

    def _from_ids(self, token_ids: Any, padding_mask: Any) -> Any:
        """From token ids and their mask, [b t]; [b n t] for texts in windows."""
        inputs = {"token_ids": token_ids, "padding_mask": padding_mask}
        return self._answer(self.model(inputs, training=False))


def export(
    folder: pathlib.Path,
    served: Served,
    card: dict[str, Any],
    texts: Sequence[str],
    expected: np.ndarray,
    output: str = "probabilities",
) -> tuple[pathlib.Path, float]:
    """Writes the next version below `folder`, once a fresh process agrees with `expected`.

    Args:
      folder: holds numbered versions, as TensorFlow Serving expects them.
      served: what to export.
      card: JSON-able, written into the version as `tfft.json`.
      texts: raw inputs of the comparison.
      expected: the model's outputs for them, [n c].
      output: the name of the answer that is compared.

    Returns:
      The version's folder and the largest absolute difference.

    Raises:
      ExportError: the difference is above 1e-5; nothing is left behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    aside = pathlib.Path(tempfile.mkdtemp(dir=folder, prefix=".export-"))
    try:
        signatures = {"serving_default": served.text, "token_ids": served.token_ids}
        tf.saved_model.save(served, str(aside), signatures=signatures)
        write_atomic(aside / "tfft.json", json.dumps(card, indent=1, ensure_ascii=False))
        found = _fresh_process(aside, texts, output)
        difference = float(np.abs(found - expected).max()) if len(texts) else 0.0
        if not difference <= TOLERANCE:
            raise ExportError(
                f"the exported model differs from the model in memory by {difference:.2g}; "
                "the export was removed.",
                valid=f"at most {TOLERANCE:g} on the raw texts of the held-out split",
            )
        versions = [int(path.name) for path in folder.iterdir() if path.name.isdigit()]
        target = folder / str(max(versions, default=0) + 1)
        aside.chmod(0o755)
        aside.rename(target)
        return target, difference
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _fresh_process(path: pathlib.Path, texts: Sequence[str], output: str) -> np.ndarray:
    """Returns the exported model's outputs, computed by a process that knows only TensorFlow."""
    with tempfile.TemporaryDirectory() as room:
        given, result = pathlib.Path(room, "texts.json"), pathlib.Path(room, "out.npy")
        given.write_text(json.dumps(list(texts)))
        command = [
            sys.executable,
            "-c",
            _RELOAD,
            str(path.resolve()),
            str(given),
            str(result),
            output,
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=room)
        if done.returncode:
            raise ExportError(
                "the exported model could not be loaded in a fresh process; it was removed.\n"
                + done.stderr.strip()[-800:]
            )
        return np.load(result)


def newest_version(folder: pathlib.Path) -> pathlib.Path:
    """Returns a SavedModel's folder: `folder` itself or its highest numbered version.

    Raises:
      ExportError: there is none.
    """
    if (folder / "saved_model.pb").exists():
        return folder
    inside = [path for path in folder.glob("*/saved_model.pb") if path.parent.name.isdigit()]
    if not inside:
        raise ExportError(f"{folder} holds no exported model.", see="tfft export --workdir=FOLDER")
    return max((path.parent for path in inside), key=lambda path: int(path.name))


def run_export(folder: str, texts: Sequence[str], say: Any) -> tuple[list[str], np.ndarray]:
    """Returns an export's label names and its probabilities for texts, in their order."""
    import tensorflow_text  # noqa: F401 - registers the operations of the tokeniser

    version = newest_version(pathlib.Path(folder))
    labels = json.loads((version / "tfft.json").read_text())["task"]["labels"]
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    order = np.argsort([len(text) for text in texts])
    outputs = np.empty((len(texts), len(labels)), np.float32)
    with say.progress("predicting", len(texts)) as progress:
        for rows in np.array_split(order, max(1, len(order) // 64)):
            answer = served(text=tf.constant([texts[row] for row in rows]))
            outputs[rows] = answer["probabilities"].numpy()
            progress.advance(len(rows))
    return labels, outputs
