"""The operations that are allowed: those of all exports, and none that reaches out."""

import pathlib
import re

import tensorflow_text  # noqa: F401 - registers operations
from finished_runs import reviews
from tensorflow.core.framework import op_def_pb2
from tensorflow.python.client import pywrap_tf_session

from tfft.export.allowed_operations import OPERATIONS
from tfft.export.operations import foreign_operations

# Parts of names of operations that use files, connections, other processes, Python or other code.
REACHING = re.compile(
    "File|Read(?!VariableOp)|Write|Save|Restore|Checkpoint|Py|Dataset|Iterator|Summary|Print|Debug"
    "|Remote|Rpc|Send|Recv|Collective|Tpu|TPU|Custom|Proto|Immutable|Load|Dump|Queue|Stage|Session"
)
TENSORS = {"TensorArrayReadV3", "TensorArrayWriteV3", "RngReadAndSkip", "DisableCopyOnRead"}


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
