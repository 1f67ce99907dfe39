"""SavedModels that use files, call Python, or hide it: refused before they are loaded."""

import json
import pathlib
import shutil

import pytest
import tensorflow as tf
from finished_runs import copy_of, reviews
from trainings import slow

from tfft.cli import main as cli
from tfft.errors import ExportError
from tfft.export import manifest, operations

INPUT = "--input=data/reviews.csv"
TEXT = tf.TensorSpec([None], tf.string, name="text")
WRITTEN = "written.txt"  # in the current folder


@pytest.fixture
def home(finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(copy_of(finished_run(reviews), tmp_path / "home"))
    return tmp_path / "home"


def write_file():
    tf.io.write_file(WRITTEN, "here")


def answers(text):
    """Returns the answers of a classifier with two labels."""
    half = tf.fill([tf.shape(text)[0], 2], 0.5)
    first = tf.zeros_like(half[:, 0], tf.int32)
    return {
        "probabilities": half,
        "label": tf.gather(tf.constant(["bad", "good"]), first),
        "label_id": first,
    }


class Hostile(tf.Module):
    """Answers like a classifier and does something beside it."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    @tf.function(input_signature=[TEXT])
    def serve(self, text):
        self.act()
        return answers(text)


class Initialized(tf.Module):
    """Acts when it is loaded: its table is filled from a file."""

    def __init__(self):
        super().__init__()
        pathlib.Path("words.txt").write_text("a\nb\n")
        start = tf.lookup.TextFileInitializer(
            "words.txt", tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, -1
        )
        self.table = tf.lookup.StaticHashTable(start, -1)

    @tf.function(input_signature=[TEXT])
    def serve(self, text):
        return {**answers(text), "words": self.table.lookup(text)}


def nested():
    @tf.function
    def innermost(number):
        write_file()
        return number + 1

    @tf.function
    def inner(number):
        return tf.while_loop(lambda n: n < 2, lambda n: (innermost(n),), [number])[0]

    tf.cond(tf.random.uniform([]) < 2, lambda: inner(0), lambda: 0)


ACTS = {
    "writes a file": (write_file, "WriteFile"),
    "reads a file": (lambda: tf.print(tf.io.read_file("run.gin")), "ReadFile"),
    "lists a folder": (lambda: tf.print(tf.io.matching_files("*")), "MatchingFiles"),
    "prints to a file": (lambda: tf.print("x", output_stream=f"file://{WRITTEN}"), "PrintV2"),
    "calls Python": (lambda: tf.py_function(lambda: 1, [], tf.int32), "EagerPyFunc"),
    "calls NumPy": (lambda: tf.numpy_function(lambda: 1, [], tf.int32), "PyFunc"),
    "nested": (nested, "WriteFile"),
    "saves": (lambda: tf.raw_ops.SaveV2(
        prefix=WRITTEN, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.ones(1)]
    ), "SaveV2"),
    "restores": (lambda: tf.raw_ops.RestoreV2(
        prefix="out/export/1/variables/variables", tensor_names=["a"], shape_and_slices=[""],
        dtypes=[tf.float32],
    ), "RestoreV2"),
    "a data set": (lambda: tf.data.TextLineDataset("run.gin").reduce(0, lambda n, _: n + 1),
                   "TextLineDataset"),
}  # fmt: skip


def forge(version, module):
    """Replaces the model of an export, with checksums that fit."""
    card = {k: v for k, v in manifest.read(version).items() if k != manifest.FILES}
    shutil.rmtree(version)
    tf.saved_model.save(module, str(version), signatures={"serving_default": module.serve})
    manifest.write(version, card)


def predict(*flags):
    words = ["predict", "--workdir=out/export", INPUT, "--output=p.jsonl", "--force", *flags]
    return cli.command(words)


QUICK = ("nested", "saves")


@pytest.mark.parametrize("act", [act if act in QUICK else slow(act) for act in ACTS])
def test_a_model_that_does_more_than_compute_is_refused(home, capsys, act):
    function, name = ACTS[act]
    forge(home / "out/export/1", Hostile(function))
    for verb in ("predict", "evaluate"):
        assert cli.command([verb, "--workdir=out/export", INPUT]) == 2
        error = capsys.readouterr().err
        assert "may do more than compute: it runs" in error and f"{name} in __inf" in error
        assert "--trust_export" in error and "docs/serving.md" in error
    assert not (home / WRITTEN).exists()


@pytest.mark.slow
def test_a_table_that_reads_a_file_when_it_is_loaded_is_refused(home):
    forge(home / "out/export/1", Initialized())
    found = operations.foreign_operations(home / "out/export/1/saved_model.pb")
    assert found.keys() == {"InitializeTableFromTextFileV2"}
    assert predict() == 2


@pytest.mark.slow
def test_trust_loads_it(home, capsys):
    """What the other tests refuse would have run."""
    forge(home / "out/export/1", Hostile(write_file))
    assert predict() == 2 and not (home / WRITTEN).exists()
    assert predict("--trust_export") == 0
    assert (home / WRITTEN).read_text() == "here"
    rows = [json.loads(line) for line in (home / "p.jsonl").read_text().splitlines()]
    assert len(rows) == 160 and rows[0]["probabilities"] == {"bad": 0.5, "good": 0.5}
    (home / WRITTEN).unlink()
    assert cli.command(["evaluate", "--workdir=out/export", INPUT, "--trust_export"]) == 0
    assert (home / WRITTEN).exists()


def test_trust_is_for_exports_alone_and_for_no_damage(home, capsys):
    assert cli.command(["predict", "--workdir=out", INPUT, "--trust_export"]) == 2
    assert "--trust_export is for exports, and out is none" in capsys.readouterr().err
    path = home / "out/export/1/fingerprint.pb"
    path.write_bytes(path.read_bytes()[:-1])
    assert predict("--trust_export") == 2
    assert "is damaged" in capsys.readouterr().err


def field(number, content):
    """Returns a field of bytes of a serialized message."""
    size, head = len(content), b""
    while size > 127:
        head, size = head + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + head + bytes([size]) + content


def node(operation, attribute=b""):
    return field(1, b"n") + field(2, operation) + field(5, attribute)


def function(name, *nodes):
    return field(1, field(1, name)) + b"".join(field(3, each) for each in nodes)


def model(functions=(), nodes=(), objects=(b"_generic_user_object",), graphs=1):
    """Returns a serialized SavedModel."""
    library = b"".join(field(1, each) for each in functions)
    graph = b"".join(field(1, each) for each in nodes) + field(2, library)
    listed = b"".join(field(1, field(4, field(1, each))) for each in objects)
    return field(2, field(2, graph) + (field(7, listed) if objects else b"")) * graphs


SAVE = node(b"SaveV2")
PLAIN = {
    "operations of a computation": model([function(b"f", node(b"MatMul"))], [node(b"NoOp")]),
    "what the graph saves with": model([function(b"save_1", SAVE)], [node(b"NoOp", b"save_1")]),
}
HIDDEN = {
    "in the graph itself": (model(nodes=[node(b"WriteFile")]), "runs WriteFile in the graph"),
    "in the second function": (
        model([function(b"f", node(b"Add")), function(b"g", node(b"PyFunc"))]),
        "runs PyFunc in g",
    ),
    "another operation first": (
        model([function(b"f", node(b"Add") + field(2, b"ReadFile"))]),
        "runs ReadFile in f",
    ),
    "a function of two names": (model([function(b"f") + field(1, field(1, b"g"))]), "has 2 names"),
    "a function named as an operation": (
        model([function(b"WriteFile", node(b"Add"))], [node(b"WriteFile")]),
        "runs WriteFile in the graph",
    ),
    "saves in the graph": (model(nodes=[SAVE]), "runs SaveV2 in the graph"),
    "saves, and nothing calls it": (model([function(b"save_1", SAVE)]), "runs SaveV2 in save_1"),
    "saves, and another function calls it": (
        model([function(b"save_1", SAVE), function(b"f", node(b"If", b"save_1"))],
              [node(b"NoOp", b"save_1")]),
        "runs SaveV2 in save_1",
    ),
    "saves, and an object calls it": (
        model([function(b"save_1", SAVE)], [node(b"NoOp", b"save_1")],
              [b"_generic_user_object", b"save_1"]),
        "save_1",
    ),
    "a Keras object": (model(objects=[b"_tf_keras_model"]), "runs _tf_keras_model in the objects"),
    "no objects": (model(objects=()), "it holds no objects"),
    "two graphs": (model(graphs=2), "it holds 2 graphs"),
    "no graph": (b"", "it holds 0 graphs"),
    "a group": (b"\x13\x14", "wire type 3"),
    "a length beyond the end": (b"\x12\xff\xff\xff\xff\xff\xff\xff\x7f", "longer than its message"),
    "an endless number": (b"\x12" + b"\xff" * 100, "more than 10 bytes"),
    "a tag beyond 32 bits": (b"\x8a\x80\x80\x80\x10\x00", "has the tag"),
    "a name that is no text": (model([function(b"\xff", SAVE)]), "damaged or foreign"),
    "random": (bytes(range(256)) * 9, "damaged or foreign"),
    "millions of parts": (
        field(2, field(2, field(1, b"") * 2_001) + field(7, b"")),
        "more than 2,000 parts",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_plain_models_are_allowed(tmp_path, name):
    path = tmp_path / "saved_model.pb"
    path.write_bytes(PLAIN[name])
    operations.refuse_foreign(path)


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_operations_and_bombs_are_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(operations, "MOST_PARTS", 2000)
    path, (content, message) = tmp_path / "saved_model.pb", HIDDEN[name]
    path.write_bytes(content)
    with pytest.raises(ExportError) as caught:
        operations.refuse_foreign(path)
    assert message in str(caught.value)


def test_a_file_beyond_the_limit_is_not_read(tmp_path):
    path = tmp_path / "saved_model.pb"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ExportError, match="cannot be read: it has more than 536,870,912 bytes"):
        operations.refuse_foreign(path)
