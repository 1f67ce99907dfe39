"""What a run runs on: devices, strategy, versions, and the state of the process around it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import platform
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state
from tensorflow.python.framework import config as tensorflow_config

from tfft.reports.console import Console
from tfft.storage.subprocesses import git_commit
from tfft.training.execution import use_xla
from tfft.training.stage import Stage

PACKAGES = ("tensorflow", "keras", "keras-hub", "tensorflow-text", "numpy", "gin-config", "tfft")
KERAS_STATE = ("dtype_policy", "global_seed_generator")  # attributes of Keras' global state
ENVIRONMENT = ("MLFLOW_ALLOW_FILE_STORE",)  # variables that a verb may set


@contextlib.contextmanager
def preserve_process_state() -> Iterator[None]:
    """Restores the state of the process that a verb changes, also after an error or a stop.

    A verb may seed Python's and NumPy's generators and set operation determinism inside the block.
    TensorFlow's global seed is not changed.
    """
    deterministic = tensorflow_config.is_op_determinism_enabled()
    python_state, numpy_state = random.getstate(), np.random.get_state()
    variables = {name: os.environ.get(name) for name in ENVIRONMENT}
    try:
        with warnings.catch_warnings(), _default_keras_state():
            yield
    finally:
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        _set_determinism(deterministic)


@contextlib.contextmanager
def _default_keras_state() -> Iterator[None]:
    """Sets Keras' global state to that of a new process, and restores it at the end.

    The results of a run do not depend on what the process did before. The float type and the dtype
    policy are float32: `Execution.dtype_policy` sets the precision of a stage.
    """
    float_type, policy = keras.config.floatx(), global_state.get_global_attribute("dtype_policy")
    state = {name: global_state.get_global_attribute(name) for name in KERAS_STATE}
    if float_type != "float32" or policy is not None and policy.name != "float32":
        name = float_type if policy is None else policy.name
        Console().warn(
            f"Keras' global dtype policy {name} does not apply here: "
            "Execution.dtype_policy sets the precision of a stage"
        )
    for name in KERAS_STATE:
        _set_keras_state(name, None)
    keras.config.set_floatx("float32")
    try:
        yield
    finally:
        keras.config.set_floatx(float_type)
        for name, value in state.items():
            _set_keras_state(name, value)


def _set_keras_state(name: str, value: Any) -> None:
    """Sets an attribute of Keras' global state. None removes it, and Keras makes it when needed.

    Keras has no public function that removes the global dtype policy or seed generator.
    """
    if value is not None:
        global_state.set_global_attribute(name, value)
    elif global_state.get_global_attribute(name) is not None:
        delattr(global_state.GLOBAL_STATE_TRACKER, name)


def _set_determinism(enabled: bool) -> None:
    """Turns deterministic operations on or off.

    TensorFlow has no public function that turns them off. Left on without a seed, `ds.shuffle()`,
    `tf.random` and other random operations of the process would raise an error after a run.
    """
    if enabled:
        tf.config.experimental.enable_op_determinism()
    else:
        tensorflow_config.disable_op_determinism()


def make_deterministic(seed: int, stages: Sequence[Stage], say: Any) -> None:
    """Makes the same seed, config and data give the same numbers on one machine.

    Call it within `preserve_process_state`, which undoes it.

    Keras turns XLA off, with a warning, where TensorFlow's operations are made deterministic; so a
    run under XLA is repeatable only as far as the device's compiler makes it.

    TensorFlow's own seed stays as it is: nothing here draws from it, and setting it would empty the
    cache of operations, and with it free the SentencePiece model of a body that is built already.
    """
    random.seed(seed)
    np.random.seed(seed)
    xla = any(use_xla(stage.execution.jit_compile) for stage in stages)
    if xla:
        say.info(
            "XLA is on: TensorFlow's deterministic operations are off, for the two exclude "
            "each other"
        )
    _set_determinism(not xla)


def describe_machine() -> dict[str, Any]:
    """Returns versions and devices, and the git commit of the current folder when it has one."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {
        "versions": {"python": platform.python_version(), **versions},
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "git_commit": git_commit(pathlib.Path()),
    }


def first_machine(content: Mapping[str, Any] | None, say: Any) -> dict[str, Any]:
    """Returns the machine that a run was begun on, and warns if its versions were others.

    Args:
      content: Of the run's run.json; None for a new run.
      say: Gets the warning.
    """
    machine = describe_machine()
    versions, now = (content or {}).get("versions"), machine["versions"]
    if not isinstance(versions, dict):
        return machine
    changed = [f"{n} {versions[n]}, now {now[n]}" for n in now if versions.get(n, now[n]) != now[n]]
    if changed:
        say.warn(
            f"this run was begun with {'; '.join(changed)}: it may end with other numbers than a "
            "run under one set of versions"
        )
    return {
        name: content[name] if content and name in content else machine[name] for name in machine
    }
