"""What people pass from Python in place of a source, and to `predict`: read or refused."""

import ast
import itertools
import pathlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfft
from tfft.backbones.image.tiny_image import tiny_image
from tfft.backbones.text.tiny import tiny
from tfft.data import python_examples
from tfft.data.as_source import as_source
from tfft.data.inputs import Number
from tfft.data.sources.memory import memory
from tfft.errors import DataError, UserError, python_form
from tfft.runs.run import Run
from tfft.tasks.image.image_classification import ImageClassification
from tfft.tasks.text.masked_lm import MaskedLM
from tfft.tasks.text.text_classification import TextClassification
from tfft.tasks.text.text_pair_classification import TextPairClassification

TEXTS = [f"text {n}" for n in range(60)]
LABELS = [f"class {n % 2}" for n in range(60)]
PAIRS = list(zip(TEXTS, LABELS, strict=True))
DATASET = tf.data.Dataset.from_tensor_slices((TEXTS, LABELS))


class Frame:
    """A data frame as far as it is looked at."""

    columns = ("text", "label")

    def __getitem__(self, name):
        return {"text": np.array(TEXTS, object), "label": np.array(LABELS)}[name]

    def to_dict(self):
        raise NotImplementedError


class Saved:
    """A data set of Hugging Face as far as it is looked at."""

    features = {"label": types.SimpleNamespace(names=["class 0", "class 1"])}

    def __iter__(self):
        return ({"text": text, "label": int(label[-1])} for text, label in PAIRS)


READ = {
    "pairs": lambda: PAIRS,
    "lists": lambda: [list(pair) for pair in PAIRS],
    "generator": lambda: (pair for pair in PAIRS),
    "dicts": lambda: [{"text": text, "label": label} for text, label in PAIRS],
    "Keras' elements": lambda: [({"text": text}, label) for text, label in PAIRS],
    "columns in a tuple": lambda: (TEXTS, LABELS),
    "arrays of objects": lambda: (np.array(TEXTS, object), np.array(LABELS, object)),
    "arrays of strings": lambda: (np.array(TEXTS), np.array(LABELS)),
    "arrays of bytes": lambda: (np.array(TEXTS, "S"), np.array(LABELS, "S")),
    "tensors": lambda: (tf.constant(TEXTS), tf.constant(LABELS)),
    "a list of tensors": lambda: [(tf.constant(t), tf.constant(y)) for t, y in PAIRS],
    "columns by name": lambda: {"text": TEXTS, "label": tuple(LABELS)},
    "Keras' columns": lambda: ({"text": np.array(TEXTS)}, np.array(LABELS)),
    "a data frame": Frame,
    "a data set with names": Saved,
    "a table of rows": lambda: np.array(PAIRS),
    "tf.data": lambda: DATASET,
    "tf.data of Keras' elements": lambda: DATASET.map(lambda text, label: ({"text": text}, label)),
    "tf.data that ends": lambda: DATASET.repeat().filter(lambda *_: True).take(60),
}


@pytest.mark.parametrize("kind", READ)
def test_the_same_examples_are_read_from_each_kind(kind):
    assert memory(READ[kind]()).fingerprint() == memory(PAIRS).fingerprint()
    assert (
        as_source(READ[kind](), TextClassification()).fingerprint() == memory(PAIRS).fingerprint()
    )


def test_arrow_tables_are_read():
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"text": TEXTS, "label": LABELS})
    assert memory(table).fingerprint() == memory(PAIRS).fingerprint()


@pytest.mark.parametrize("path", [str, pathlib.Path])
def test_a_path_is_a_file_of_one_s_own(path, tmp_path):
    lines = ["text,label", *(f"{text},{label}" for text, label in PAIRS)]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    source = as_source(path(tmp_path / "a.csv"), TextClassification())
    assert source.labels == ("class 0", "class 1")
    (tmp_path / "b.csv").write_text(
        "text_pair,text,label\n" + "\n".join(f"b,{x}" for x in lines[1:])
    )
    pair = as_source(path(tmp_path / "b.csv"), TextPairClassification())
    assert next(pair.rows("train"))[1] == "b"


def test_several_inputs_by_name_in_a_tuple_or_flat():
    task = TextPairClassification()
    flat = [(text, "other", label) for text, label in PAIRS]
    kinds = [
        flat,
        [((text, other), label) for text, other, label in flat],
        [({"text": text, "text_pair": other}, label) for text, other, label in flat],
        (TEXTS, ["other"] * 60, LABELS),
        ((TEXTS, ["other"] * 60), LABELS),
        ({"text_pair": ["other"] * 60, "text": TEXTS}, LABELS),
    ]
    assert len({as_source(kind, task).fingerprint() for kind in kinds}) == 1


def test_splits_by_name_and_texts_without_answers():
    source = as_source({"train": PAIRS, "test": PAIRS[:2]}, TextClassification())
    assert source.splits == ("train", "test")
    assert as_source(TEXTS, MaskedLM()).size("train") > 40


class Batches(keras.utils.PyDataset):
    """Batches of Keras."""

    def __len__(self):
        return 1

    def __getitem__(self, number):
        return np.array(TEXTS), np.array(LABELS)


REFUSED = [
    (None, "train.source must be a source or data. Received: source=None.", "a path"),
    (5, "memory() got int for train.", "a tuple (texts, labels)"),
    (memory, "train.source must be a source or data. Received: source=the function memory.", ""),
    (b"text", "memory() got bytes for train.", ""),
    ({"a", "b"}, "memory() got set for train.", ""),
    (["ab", "cd"], "an element has no text and label: ab", "memory((texts, labels))"),
    ([1, 2], "an element has no text and label: 1", ""),
    ([None], "an element has no text and label: None", ""),
    ([("a", "b", 1.0)], "an element has no text and label", ""),
    ({"text": TEXTS}, "an element has no text and label: ['text']", ""),
    ((TEXTS, LABELS[:-1]), "the columns of train have different lengths: 60 text, 59 label.", ""),
    (DATASET.batch(4), "the dataset is batched.", "dataset.unbatch()"),
    (DATASET.repeat(), "the dataset for train is repeated without end", "dataset.take(N)"),
    (
        DATASET.repeat().filter(lambda *_: True).shuffle(10).map(lambda *x: x),
        "the dataset for train is repeated without end",
        "Stage.epochs",
    ),
    (DATASET.batch(4).repeat().unbatch(), "the dataset for train is repeated without end", ""),
    (Batches(), "memory() got Batches for train.", "its examples rather than its batches"),
    ([("a", "x"), (None, "x")], "a text is 'None', a NoneType.", "a string"),
    ([("a", "x"), (1, "x")], "a text is '1', a int.", "a string"),
    ([("a", "x"), (float("nan"), "x")], "a text is 'nan', a float.", "a string"),
]


@pytest.mark.parametrize("data,problem,valid", REFUSED)
def test_what_is_unclear_is_refused(data, problem, valid):
    with pytest.raises(DataError) as caught:
        as_source(data, TextClassification())
    assert caught.value.problem.startswith(problem)
    assert valid in caught.value.valid and "--" not in str(caught.value)


def test_what_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr(python_examples, "MAX_EXAMPLES", 100)
    for endless in (
        itertools.cycle(PAIRS),
        tf.data.Dataset.from_generator(
            lambda: itertools.cycle(PAIRS), output_types=(tf.string, tf.string)
        ),
    ):
        with pytest.raises(DataError, match="has more than 100 examples"):
            memory(endless)
    assert memory(DATASET.repeat(1)).size("train")


@pytest.mark.parametrize(
    "label",
    [None, np.array([0, 1]), [0, 1], ["x"], ("x",), float("nan"), float("inf"), -np.inf, {}, ""],
    ids=str,
)
def test_a_label_that_is_none_names_its_example(label):
    with pytest.raises(DataError, match="an example has no label. Received: label=") as caught:
        memory([("a", "x"), ("b", label)])
    assert caught.value.set_in == "example 2 of train"
    with pytest.raises(DataError) as caught:
        memory((["a", "b"], np.eye(2)))
    assert "np.argmax" in caught.value.valid


def test_labels_of_other_types_are_read():
    given = [np.str_("x"), b"x", 1, 1.0, np.int64(1), np.float32(2), True, np.True_]
    names = ["x", "x", "1", "1", "1", "2", "true", "true"]
    rows = memory([(f"t{n}", y) for n, y in enumerate(given)], test=[("b", "x")]).rows("train")
    assert [label for _, label in rows] == names
    one = memory([("a", True), ("b", 0)], test=[("c", 1)], label_names=["no", "yes"])
    assert [label for _, label in one.rows("train")] == ["yes", "no"]
    with pytest.raises(DataError, match="label 'yse' has no name"):
        memory([("a", "yse")], label_names=["no", "yes"])
    with pytest.raises(DataError, match="Received: label=2.5") as caught:
        memory([("a", 1), ("b", 2.5)])
    assert "TextRegression" in caught.value.valid and "str(label)" in caught.value.valid


WRONG_ANSWERS = [None, float("nan"), [1.0, np.inf], object(), "", " "]


@pytest.mark.parametrize("answer", WRONG_ANSWERS, ids=range(len(WRONG_ANSWERS)))
def test_an_answer_that_is_none_names_its_example(answer):
    with pytest.raises(DataError, match="an example has no answer") as caught:
        memory([("a", 1.5), ("b", answer)], classes=False)
    assert caught.value.set_in == "example 2 of train"


def test_images_in_memory():
    pixels = np.random.default_rng(0).integers(0, 255, (200, 8, 8, 3)).astype("uint8")
    labels = [f"class {n % 2}" for n in range(200)]
    task = ImageClassification()
    source = as_source((pixels, labels), task)
    assert source.modality == "image" and source.labels == ("class 0", "class 1")
    assert as_source((pixels[..., 0], labels), task).size("train") > 100
    for wrong in (pixels / 255.0, pixels[:, 0, 0, 0]):
        with pytest.raises(DataError, match="an image is"):
            as_source((wrong, labels), task)


@pytest.fixture(scope="module")
def run():
    task, body = TextClassification(["a", "b"]), tiny()
    return Run(tfft.build(task, body), task, body, pathlib.Path("out"), ())


def test_predictions_of_what_people_pass(run):
    wanted = run.predict(["a text", "one"])
    for texts in (
        ("a text", "one"),
        np.array(["a text", "one"]),
        np.array(["a text", "one"], object),
        np.array([b"a text", b"one"]),
        tf.constant(["a text", "one"]),
        (text for text in ["a text", "one"]),
        {"text": ["a text", "one"]},
        tf.data.Dataset.from_tensor_slices(["a text", "one"]),
    ):
        assert run.predict(texts) == wanted
    assert run.predict("a text") == run.predict(np.str_("a text")) == run.predict(["a text"])
    assert run.outputs("a text").shape == (1, 2)


@pytest.mark.parametrize(
    "inputs,problem",
    [
        ([], "text_classification reads 1 inputs (text). Received: 0."),
        ([["a"], ["b"]], "text_classification reads 1 inputs (text). Received: 2."),
        ([{"other": ["a"]}], "text_classification reads 1 inputs (text). Received: 0."),
        ([Frame], "text must be a list of texts. Received: text=the class Frame."),
        ([None], "text must be a list of texts. Received: text=None."),
        ([5], "text must be a list of texts. Received: text=5."),
        ([{"a"}], "text must be a list of texts."),
        ([[]], "there are no texts."),
        ([np.array([])], "there are no texts."),
        ([[None]], "a text is 'None', a NoneType."),
        ([["a", 5]], "a text is '5', a int."),
        ([[["a"]]], "a text is \"['a']\", a list."),
        ([[b"\xff"]], "a text is not UTF-8"),
    ],
)
def test_predictions_of_nothing_clear_are_refused(run, inputs, problem):
    with pytest.raises(UserError) as caught:
        run.predict(*inputs)
    assert caught.value.problem.startswith(problem) and caught.value.valid


def test_predictions_of_images():
    task, body = ImageClassification(["a", "b"]), tiny_image()
    run = Run(tfft.build(task, body), task, body, pathlib.Path("out"), ())
    pixels = np.zeros((2, 12, 12, 3), "uint8")
    assert len(run.predict(pixels)) == len(run.predict(list(pixels))) == 2
    with pytest.raises(DataError, match="one array, .* a single image"):
        run.predict(pixels[0])


def test_one_stage_needs_no_list():
    with pytest.raises(UserError, match="depth|freeze_layers"):
        tfft.train(TextClassification(), tiny(), PAIRS, tfft.Stage(freeze_layers=99), plots=False)


@pytest.mark.parametrize(
    "text,python",
    [
        ("tfft check --gin_file=FILE", "tfft.check(task, backbone, source, stages)"),
        ("tfft show squad", "help(squad)"),
        ("tfft show --gin_file=FILE", "help(tfft.train)"),
        ("--gin.TEXT=COLUMN with one of them", "text=COLUMN with one of them"),
        ("--gin.files.test=FILE", "test=FILE"),
        ("tfft fetch minilm_l6", "tfft fetch minilm_l6"),
        ("my--file.csv:3", "my--file.csv:3"),
        ('{"topic": @TextClassification()}', '{"topic": TextClassification()}'),
        (None, None),
    ],
)
def test_errors_name_calls_in_place_of_commands(text, python):
    assert python_form(text) == python
    error = UserError("wrong.", see=text)
    assert (python or "wrong.") in str(error)
    error.from_command = True
    assert (text or "wrong.") in str(error)


@pytest.mark.parametrize("value", [10**400, True, "1e400", "seven", None])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(DataError, match="^a number is .*\n  set in  example 1\n  valid   a finite"):
        Number("price").read(value, "example 1")


def test_no_error_of_the_package_advises_a_flag_to_python():
    """Texts of `see`, `valid` and `set_in` in the source, as Python prints them."""
    package = pathlib.Path(tfft.__file__).parent
    for path in package.rglob("*.py"):
        folder = path.relative_to(package).parts[0]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if folder in ("cli", "config") or not isinstance(node, ast.keyword):
                continue
            if node.arg in ("see", "valid", "set_in", "call"):
                texts = [n.value for n in ast.walk(node.value) if isinstance(n, ast.Constant)]
                for text in (each for each in texts if isinstance(each, str)):
                    shown = python_form(text)
                    assert "--" not in shown and "tfft check" not in shown, f"{path.name}: {text}"
