"""A verb leaves the process as it was before: after its end, after an error and after a stop."""

import csv
import json
import locale
import logging
import os
import random
import shutil
import signal
import sys
import threading
import warnings

import gin
import keras
import matplotlib
import numpy as np
import pytest
import sklearn
import tensorflow as tf
from absl import logging as absl_logging
from finished_runs import two_stages
from keras.src.backend.common import global_state
from tensorflow.python.eager import context
from tensorflow.python.framework import config as tensorflow_config
from tensorflow.python.ops import summary_ops_v2
from trainings import newest, same, slow

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.config import load
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ConfigError
from tfft.reports.console import Console
from tfft.runs import exported

QUIET = Console(quiet=True)
STAGE = tfft.Stage(freeze_layers=1, epochs=1, learning_rate=3e-3)


def process_state():
    """Returns a copy of the global state that a library call could change."""
    eager, generator = context.context(), global_state.get_global_attribute("global_seed_generator")
    files = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    return {
        "determinism": tensorflow_config.is_op_determinism_enabled(),
        "tensorflow seed": (eager._seed, "_rng" in vars(eager) and eager._rng.getstate()),
        "python": random.getstate(),
        "numpy": [str(part) for part in np.random.get_state()],
        "numpy errors": np.geterr(),
        "keras seed": generator and (id(generator), np.array(generator.state).tolist()),
        "policy": keras.config.dtype_policy().name,
        "float type": keras.config.floatx(),
        "image format": keras.config.image_data_format(),
        "custom objects": sorted(keras.saving.get_custom_objects()),
        "tensorflow": (
            tf.config.threading.get_inter_op_parallelism_threads(),
            tf.config.threading.get_intra_op_parallelism_threads(),
            tf.config.optimizer.get_jit(),
            tf.config.optimizer.get_experimental_options(),
            tf.config.functions_run_eagerly(),
            tf.config.get_soft_device_placement(),
        ),
        "summary writer": summary_ops_v2._summary_state.writer,
        "summary step": summary_ops_v2._summary_state.step,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "path": list(sys.path),
        "warnings": list(warnings.filters),
        "logging": (
            logging.root.level,
            logging.root.handlers[:],
            absl_logging.get_verbosity(),
            tf.get_logger().level,
        ),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "matplotlib": (matplotlib.get_backend(), dict(matplotlib.rcParams)),
        "csv": csv.field_size_limit(),
        "locale": locale.setlocale(locale.LC_ALL),
        "gin": (gin.config_str(), gin.config.config_is_locked()),
        "sklearn": sklearn.get_config(),
        "threads": sorted(t.name for t in threading.enumerate() if "tfft" in t.name),
        "files": sorted(f for f in files if os.path.isfile(f) and "site-packages" not in f),
        "recursion": sys.getrecursionlimit(),
    }


class Breaking(Console):
    """Does something when the first epoch of a training has ended."""

    def __init__(self, action):
        super().__init__(quiet=True)
        self.action = action

    def info(self, text):
        if "epoch 1:" in text:
            self.action()


def fail():
    raise ZeroDivisionError("a fault of a callback")


def body():
    """Returns a backbone with the same weights each time."""
    state, policy = random.getstate(), keras.config.dtype_policy()
    random.seed(0)
    keras.config.set_dtype_policy("float32")
    backbone = tiny(layers=2)
    keras.config.set_dtype_policy(policy)
    random.setstate(state)
    return backbone


def train(folder=None, say=QUIET, **settings):
    arguments = {"stages": [STAGE], "workdir": folder, "say": say, **settings}
    task = tfft.tasks.TextClassification(labels=["class_0", "class_1"])
    return api.train(task, body(), synthetic(64), **arguments, plots=False)


@pytest.fixture(scope="module")
def trained(finished_run, tmp_path_factory):
    """Returns the folder of a run with an export, and a labelled file."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    shutil.copytree(finished_run(two_stages), folder)
    texts, labels = zip(*synthetic(64).rows("test"), strict=True)
    with open(folder / "new.csv", "w") as file:
        csv.writer(file).writerows([("text", "label"), *zip(texts, labels, strict=True)])
    return folder


def parts(**settings):
    task = tfft.tasks.TextClassification(labels=["class_0", "class_1"])
    return {"task": task, "backbone": body(), "say": QUIET, **settings}


def stopped(folder):
    stop = Breaking(lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        train(folder, stop, stages=[tfft.Stage(freeze_layers=1, epochs=2)])


def broken(folder):
    with pytest.raises(ZeroDivisionError):
        train(folder, Breaking(fail))


def refused(folder):
    with pytest.raises(ConfigError):
        train(
            folder,
            stages=[
                tfft.Stage(
                    freeze_layers=1, early_stopping=tfft.EarlyStopping(monitor="val_nothing")
                )
            ],
        )


VERBS = {
    "train": lambda folder, trained: train(folder),
    "seeds": lambda folder, trained: train(folder, seeds=2),
    "stop": lambda folder, trained: stopped(folder),
    "error": lambda folder, trained: broken(folder),
    "refusal": lambda folder, trained: refused(folder),
    "check": lambda folder, trained: api.check(source=synthetic(64), stages=[STAGE], **parts()),
    "evaluate": lambda folder, trained: api.evaluate(
        workdir=trained, input=str(trained / "new.csv"), **parts()
    ),
    "predict": lambda folder, trained: api.predict(
        workdir=trained, input=str(trained / "new.csv"), output=str(folder / "out"), **parts()
    ),
    "export": lambda folder, trained: api.export(workdir=trained, source=synthetic(64), **parts()),
    "predict_export": lambda folder, trained: exported.predict_export(
        str(trained / "export"),
        input=str(trained / "new.csv"),
        output=str(folder / "out"),
        say=QUIET,
    ),
    "evaluate_export": lambda folder, trained: exported.evaluate_export(
        str(trained / "export"), input=str(trained / "new.csv"), say=QUIET
    ),
}


SLOW = ("seeds", "stop", "check", "evaluate", "evaluate_export", "export")


@pytest.fixture
def of_a_user():
    """Gives the process settings of a user's own, and takes them back."""
    policy, handler = keras.config.dtype_policy(), signal.getsignal(signal.SIGINT)
    filters, eager = list(warnings.filters), context.context()
    seed = eager._seed
    keras.config.set_dtype_policy("mixed_bfloat16")
    signal.signal(signal.SIGINT, lambda *_: None)
    warnings.filterwarnings("ignore", "nothing")
    eager._seed, eager._rng = 7, random.Random(7)
    keras.random.uniform((2,))
    tf.config.experimental.enable_op_determinism()
    yield
    tensorflow_config.disable_op_determinism()
    keras.config.set_dtype_policy(policy)
    signal.signal(signal.SIGINT, handler)
    warnings.filters[:] = filters
    eager._seed = seed
    del eager._rng


@pytest.mark.parametrize("verb", [slow(v) if v in SLOW else v for v in VERBS])
def test_a_verb_leaves_the_process_as_it_was(verb, tmp_path, trained):
    before = process_state()
    VERBS[verb](tmp_path, trained)
    assert process_state() == before
    assert not before["determinism"]


@pytest.mark.parametrize("verb", ["train", slow("error"), slow("predict")])
def test_a_verb_leaves_settings_of_a_user(verb, tmp_path, trained, of_a_user):
    before = process_state()
    VERBS[verb](tmp_path, trained)
    assert process_state() == before


def test_build_changes_nothing_but_the_random_numbers_that_its_weights_take():
    """As every Keras layer, the head of `build` draws its weights from Python's generator."""
    before = process_state()
    heads = []
    for _ in range(2):
        random.setstate(before["python"])
        settings = {"task": parts()["task"], "backbone": body()}
        heads.append(api.build(stage=STAGE, **settings).get_weights()[-2])
    np.testing.assert_array_equal(*heads)
    assert {**process_state(), "python": None} == {**before, "python": None}


@pytest.mark.slow
def test_random_operations_work_after_a_run(tmp_path):
    found = train(tmp_path)
    list(tf.data.Dataset.range(8).shuffle(8))
    tf.random.uniform([2])
    own = keras.Sequential([keras.layers.Dense(4), keras.layers.Dropout(0.5)])
    own.compile("sgd", "mse")
    own.fit(np.ones((8, 4)), np.ones((8, 4)), verbose=0)
    found.model.compile("sgd", "sparse_categorical_crossentropy")
    inputs = found.backbone.preprocessor(["the film", "a plot"])
    data = tf.data.Dataset.from_tensors((inputs, np.array([0, 1]))).repeat(2).shuffle(2)
    found.model.fit(data, verbose=0)
    assert found.predict(["the film"])


def test_a_run_does_not_depend_on_what_the_process_did_before(tmp_path, of_a_user):
    """The second run of the same call gives the same bits, also under other settings of Keras."""
    train(tmp_path / "one")
    random.seed(5)
    np.random.seed(5)
    tensorflow_config.disable_op_determinism()
    keras.config.set_dtype_policy("float32")
    train(tmp_path / "two")
    assert same(newest(tmp_path / "one"), newest(tmp_path / "two"))
    records = [
        {**json.loads((tmp_path / name / "metrics.jsonl").read_text()), "seconds": 0}
        for name in ("one", "two")
    ]
    assert records[0] == records[1]


def test_reading_a_config_keeps_the_gin_configuration_of_the_process(tmp_path):
    own = gin.external_configurable(lambda size=1: size, "own_function", module="of_a_user")
    gin.parse_config("of_a_user.own_function.size = 3")
    before = gin.config_str()
    (tmp_path / "run.gin").write_text("include 'quick/text.gin'\nDATA = 'none.csv'\n")
    try:
        found = load.load([str(tmp_path / "run.gin")])
        found.kwargs(only=("task",))
        assert own() == 3 and gin.config_str() == before
    finally:
        gin.clear_config()
