"""The operations that are allowed: those of all exports, and none that reaches out."""

import pathlib
import re

import pytest
import tensorflow as tf
import tensorflow_text  # noqa: F401 - registers operations
from finished_runs import reviews
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session
from test_matrix import NAMES, case, fits

from tfft.backbones.text.decoder_architectures import ALL
from tfft.backbones.text.tiny import tiny
from tfft.export.allowed_operations import OPERATIONS
from tfft.export.operations import foreign_operations
from tfft.export.saved_model import Served
from tfft.runs.restore import built_head
from tfft.tasks.base import serving_signature
from tfft.training.model import assemble

# Parts of names of operations that use files, connections, other processes, Python or other code.
REACHING = re.compile(
    "File|Read(?!VariableOp)|Write|Save|Restore|Checkpoint|Py|Dataset|Iterator|Summary|Print|Debug"
    "|Remote|Rpc|Send|Recv|Collective|Tpu|TPU|Custom|Proto|Immutable|Load|Dump|Queue|Stage|Session"
)
TENSORS = {"TensorArrayReadV3", "TensorArrayWriteV3", "RngReadAndSkip", "DisableCopyOnRead"}
PARTIAL = {"OptionalFromValue"}


def registered():
    found = op_def_pb2.OpList()
    found.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {operation.name: operation for operation in found.op}


def test_allowed_operations_exist_and_reach_nothing():
    known = registered()
    assert sorted(OPERATIONS - known.keys()) == []
    assert sorted(name for name in OPERATIONS - TENSORS if REACHING.search(name)) == []
    inputs = {
        part.name
        for name in OPERATIONS
        for part in (*known[name].attr, *known[name].input_arg)
        if re.search("file|path|address|url|descriptor_source", part.name)
    }
    assert inputs == set()


def test_an_export_has_allowed_operations_and_no_path_of_the_machine(finished_run):
    [path] = (finished_run(reviews) / "out/export").glob("*/saved_model.pb")
    assert foreign_operations(path) == {}
    root = str(pathlib.Path(__file__).parents[2]).encode()
    for file in path.parent.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        for hint in (
            root,
            b"site-packages",
            b".py\n",
            b"/home/",
            str(pathlib.Path.home()).encode(),
        ):
            assert hint not in content, (file, hint)


def pairs():
    """Yields each task with a backbone of its own, and text classification and others on all."""
    for name in NAMES:
        kinds = [kind for kind in ALL if fits(name, kind)]
        every = name in ("text_classification", "causal_lm", "seq2seq", "question_answering")
        yield from ((name, kind) for kind in (kinds if every else kinds[:1]))


@pytest.mark.slow
@pytest.mark.usefixtures("restored_state")
@pytest.mark.parametrize(("name", "kind"), pairs())
def test_exports_of_tasks_have_allowed_operations(tmp_path, name, kind):
    made = case(name)
    counts = made.make_source().label_counts("train")
    task = made.make_task().with_training_answers(counts)
    body = tiny(kind).read_for(task)
    model = assemble(body, built_head(task, body), frozenset()).full
    signature = serving_signature(task)
    served = Served(model, body.read_for(signature.task).preprocessor, signature)
    functions = {"serving_default": served.text, "token_ids": served.given}
    tf.saved_model.save(served, str(tmp_path / "1"), signatures=functions)
    assert foreign_operations(tmp_path / "1" / "saved_model.pb") == {}
