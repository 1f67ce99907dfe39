"""The devices that a stage is trained on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfft.errors import ConfigError


@contextlib.contextmanager
def scope(strategy: str, console: Any) -> Iterator[None]:
    """Enters a distribution strategy by name; the backbone must be built inside.

    Raises:
      ConfigError: there is no such strategy, or no such device.
    """
    if strategy == "auto":
        gpus = tf.config.list_logical_devices("GPU")
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
    console.info(f"strategy {strategy} on {chosen.num_replicas_in_sync} replicas")
    with chosen.scope():
        yield
