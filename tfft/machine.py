"""What a run runs on: devices, strategy, versions, and whether its operations are repeatable."""

from __future__ import annotations

import contextlib
import pathlib
import random
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.errors import ConfigError
from tfft.processes import git_commit
from tfft.stage import Stage, use_xla

PACKAGES = ("tensorflow", "keras", "keras-hub", "tensorflow-text", "numpy", "gin-config")


def make_deterministic(seed: int, stages: Sequence[Stage], say: Any) -> None:
    """Makes the same seed, config and data give the same numbers on one machine.

    Keras turns XLA off, with a warning, where TensorFlow's operations are made deterministic; so a
    run under XLA is repeatable only as far as the device's compiler makes it.

    TensorFlow's own seed stays as it is: nothing here draws from it, and setting it would empty the
    cache of operations, and with it free the SentencePiece model of a body that is built already.
    """
    random.seed(seed)
    np.random.seed(seed)
    if any(use_xla(stage.xla) for stage in stages):
        say.info(
            "XLA is on: TensorFlow's deterministic operations are off, for the two exclude "
            "each other"
        )
    else:
        tf.config.experimental.enable_op_determinism()


def describe_machine() -> dict[str, Any]:
    """Returns versions and devices, and the git commit of the current folder when it has one."""
    return {
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "git_commit": git_commit(pathlib.Path.cwd()),
    }


@contextlib.contextmanager
def scope(strategy: str, say: Any) -> Iterator[None]:
    """Enters a distribution strategy by name; the body must be built inside.

    Raises:
      ConfigError: there is no such strategy, or no such device.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if strategy == "auto":
        strategy = "mirrored" if len(gpus) > 1 else "default"
    if strategy == "default":
        yield
        return
    if strategy == "mirrored":
        chosen: Any = tf.distribute.MirroredStrategy()
    elif strategy == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
            chosen = tf.distribute.TPUStrategy(resolver)
        except (ValueError, tf.errors.NotFoundError) as error:
            raise ConfigError(
                "no TPU was found.", set_in="--strategy", valid="auto, default, mirrored"
            ) from error
    else:
        raise ConfigError(
            f"--strategy={strategy} does not exist.",
            set_in="--strategy",
            valid="auto, default, mirrored, tpu (several machines are planned)",
        )
    say.info(f"strategy {strategy} on {chosen.num_replicas_in_sync} replicas")
    with chosen.scope():
        yield
