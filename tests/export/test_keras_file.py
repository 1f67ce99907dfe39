"""`.keras` files: the loaded model computes the same, alone, and what is refused."""

import io
import json
import pathlib
import re
import sys
import zipfile

import finished_runs
import forks
import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from trainings import slow

import tfft
from tfft import backbones
from tfft.backbones.image.image_backbone import draw_weights
from tfft.backbones.text.decoder_architectures import GENERATORS
from tfft.backbones.text.encoder_architectures import ARCHITECTURES
from tfft.backbones.text.tiny import tiny
from tfft.errors import ConfigError, ExportError
from tfft.evaluation import inference
from tfft.layers.inspection import inner
from tfft.layers.vocabulary_head import VocabularyHead
from tfft.methods import adapters, attachment, lora
from tfft.runs.restore import built_head, restore
from tfft.runs.run import Run
from tfft.storage.workdir import Workdir
from tfft.tasks.base import predict_fn
from tfft.tasks.image.image_classification import ImageClassification
from tfft.tasks.multi_task.multi_task import MultiTask
from tfft.tasks.text.causal_lm import CausalLM
from tfft.tasks.text.embedding import Embedding
from tfft.tasks.text.masked_lm import MaskedLM
from tfft.tasks.text.multi_label_classification import MultiLabelClassification
from tfft.tasks.text.multiple_choice import MultipleChoice
from tfft.tasks.text.question_answering import QuestionAnswering
from tfft.tasks.text.seq2seq import Seq2Seq
from tfft.tasks.text.text_classification import TextClassification
from tfft.tasks.text.text_pair_classification import TextPairClassification
from tfft.tasks.text.text_regression import TextRegression
from tfft.tasks.text.token_classification import TokenClassification
from tfft.training.execution import set_precision
from tfft.training.model import assemble

PAGE = pathlib.Path(__file__).parents[2] / "docs/serving.md"
LABELS = ["a", "b", "c"]
CHILD = """
import sys
import numpy as np
{import_line}
model = {load}(sys.argv[1])
with np.load(sys.argv[2]) as inputs:
    outputs = model({{name: inputs[name] for name in inputs.files}}, training=False)
np.save(sys.argv[3], outputs)
"""


def shake(model):
    """Moves every weight, so that no first value of a rebuilt model is right."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "float" in str(variable.dtype):
            value = np.asarray(variable, np.float32)
            noise = rng.normal(0.0, 0.05, value.shape)
            noise = np.abs(noise) if variable.name == "moving_variance" else noise
            variable.assign(value + noise)


def made(task, body, frozen=(), step=None):
    """Returns a body as a task reads it, and the model, its weights moved."""
    read = body.read_for(task)
    model = assemble(read, built_head(task, read), frozenset(frozen), step).full
    shake(model)
    return read, model


def batch_of(body, count=3, length=6):
    """Returns made inputs, with padding; in rows of an example where the body reads those."""
    rng = np.random.default_rng(1)
    shape = (count, length) if body.average is None else (count, 2, length)
    mask = (np.arange(length) < rng.integers(2, length + 1, (*shape[:-1], 1))).astype(np.int32)
    if body.average is not None:
        mask[-1, 1] = 0  # a row that the last example does not have
    found = {}
    for name, (own, dtype) in body.reads.items():
        if dtype == "uint8":
            found[name] = rng.integers(0, 256, (count, *own)).astype(dtype)
        elif name.endswith("padding_mask"):
            found[name] = mask
        else:
            most = 2 if name.endswith(("mask", "segment_ids")) else 20
            found[name] = (rng.integers(0 if most == 2 else 5, most, shape) * mask).astype(dtype)
    return found


def check(read, model, path):
    """Saves and loads a model, and compares both; returns the loaded one."""
    batch = batch_of(read)
    outputs = model(batch, training=False)
    model.save(path)
    loaded = tfft.load_model(path)
    again = loaded(batch, training=False)
    tf.nest.assert_same_structure(again, outputs)
    for one, other in zip(tf.nest.flatten(again), tf.nest.flatten(outputs), strict=True):
        expected = np.asarray(other, np.float32)
        assert np.isfinite(expected).all() and np.ptp(expected) > 0
        np.testing.assert_allclose(np.asarray(one, np.float32), expected, rtol=0, atol=1e-6)
    return loaded


def alone(model, read, folder, import_line, load):
    """Returns the difference of a model's outputs in a fresh process, which has its file alone."""
    room = folder / "room"
    room.mkdir()
    batch = batch_of(read)
    model.save(room / "m.keras")
    np.savez(room / "in.npz", **batch)
    code = CHILD.format(import_line=import_line, load=load)
    done = forks.run([sys.executable, "-c", code, "m.keras", "in.npz", "out.npy"], cwd=room)
    assert done.returncode == 0, done.stderr[-2000:]
    return np.abs(np.load(room / "out.npy") - model(batch, training=False)).max()


def layers_with_a_body(model):
    layers = model._flatten_layers(include_self=False)
    found = {layer.name: getattr(layer, "_body", getattr(layer, "body", None)) for layer in layers}
    return {name: body for name, body in found.items() if body is not None}


def sizes_in(path):
    """Returns the number of values of each array in a file."""
    sizes = []

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            sizes.append(item.size)

    with zipfile.ZipFile(path) as archive:
        h5py.File(io.BytesIO(archive.read("model.weights.h5"))).visititems(visit)
    return sizes


# The same outputs ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("import_line", "load"),
    [
        ("import tfft", "tfft.load_model"),
        slow("import keras, tfft.export.keras_file", "keras.models.load_model"),
    ],
)
def test_a_fresh_process_needs_the_file_alone(tmp_path, import_line, load):
    preset = tmp_path / "preset"
    one = tiny(pooling="pooler")
    one.model.save_to_preset(str(preset))
    backbones.text.tiny.hub_tokenizer("bert").save_to_preset(str(preset))
    body = backbones.keras_hub(str(preset), sequence_length=16, pooling="pooler")
    read, model = made(TextClassification(LABELS), body)
    for path in sorted(preset.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    preset.rmdir()
    assert alone(model, read, tmp_path, import_line, load) <= 1e-6


def test_the_layers_share_one_backbone_and_its_weights_are_stored_once(tmp_path):
    read, model = made(MaskedLM(), tiny())
    loaded = check(read, model, tmp_path / "m.keras")
    bodies = layers_with_a_body(loaded)
    assert set(bodies) == {"embeddings", "upper", "head"}
    assert len(set(map(id, bodies.values()))) == 1
    assert len(loaded.weights) == len(model.weights)
    own = {id(variable) for variable in bodies["head"].model.weights}
    assert {id(v) for layer in loaded.layers[:-1] for v in layer.weights} <= own
    assert sum(sizes_in(tmp_path / "m.keras")) == sum(
        int(np.prod(weight.shape)) for weight in model.weights
    )
    vectors = np.random.default_rng(0).normal(size=(4, 16)).astype("float32")
    scores = [inner(one, VocabularyHead).scores(vectors) for one in (model, loaded)]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)


def test_an_image_model(tmp_path):
    read, model = made(ImageClassification(LABELS), backbones.tiny_image())
    loaded = check(read, model, tmp_path / "m.keras")
    body = next(iter(layers_with_a_body(loaded).values()))
    assert [group.name for group in body.groups] == [group.name for group in read.groups]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "pooling"),
    [
        (kind, pooling)
        for kind in ARCHITECTURES
        for pooling in ("mean", "cls", "max", "pooler")
        if pooling != "pooler" or ARCHITECTURES[kind].pooler
    ],
)
def test_every_encoder(tmp_path, kind, pooling):
    read, model = made(TextClassification(LABELS), tiny(kind, pooling=pooling))
    check(read, model, tmp_path / "m.keras")


@pytest.mark.slow
@pytest.mark.parametrize("kind", GENERATORS)
def test_every_backbone_that_writes(tmp_path, kind):
    task = CausalLM() if GENERATORS[kind].sides is None else Seq2Seq()
    read, model = made(task, tiny(kind))
    loaded = check(read, model, tmp_path / "m.keras")
    assert len(set(map(id, layers_with_a_body(loaded).values()))) == 1


TASKS = {
    "several_labels": lambda: MultiLabelClassification(LABELS),
    "pairs": lambda: TextPairClassification(LABELS),
    "choice": MultipleChoice,
    "answers": QuestionAnswering,
    "tagging": lambda: TokenClassification(["PER", "LOC"]),
    "vectors": lambda: Embedding(projection=4, dims=(2,)),
    "numbers": lambda: TextRegression().with_training_answers({"1": 1, "2": 3, "5": 1}),
    "several_tasks": lambda: MultiTask(
        {"topic": TextClassification(LABELS), "names": TokenClassification(["PER", "LOC"])}
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_every_task(tmp_path, name):
    read, model = made(TASKS[name](), tiny())
    loaded = check(read, model, tmp_path / "m.keras")
    if name == "several_tasks":
        heads = inner(loaded, type(model.get_layer("head")))
        assert heads.names == ["topic", "names"] and loaded.output.keys() == {"topic", "names"}


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [(), ("embeddings", "layer_0"), "all"])
@pytest.mark.parametrize("average", ["features", "probabilities"])
def test_long_texts_in_windows(tmp_path, average, frozen):
    body = tiny(long_texts="windows", window_average=average, sequence_length=16, window_overlap=4)
    names = [group.name for group in body.groups] if frozen == "all" else frozen
    check(*made(TextClassification(LABELS), body, names), tmp_path / "m.keras")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "way"),
    [(k, way) for k in ("bert", "gpt2", "t5") for way in ("loaded", "trained")]
    + [("image", "trained")],  # image backbones are loaded in float32
)
def test_mixed_precision(tmp_path, kind, way):
    """The policy of a backbone, and that which a stage sets at its layers."""
    given = {"dtype": "mixed_bfloat16"} if way == "loaded" else {}
    if kind == "image":
        task, body = ImageClassification(LABELS), backbones.tiny_image()
    else:
        task = {"bert": TextClassification(LABELS), "gpt2": CausalLM(), "t5": Seq2Seq()}[kind]
        body = tiny(kind, **given)
    if way == "trained":
        set_precision(body, None, "mixed_bfloat16")
    read, model = made(task, body)
    loaded = check(read, model, tmp_path / "m.keras")
    body = next(iter(layers_with_a_body(loaded).values()))
    assert body.compute_dtype == read.compute_dtype == "bfloat16"
    assert {v.dtype for v in loaded.weights} == {v.dtype for v in model.weights}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert", "xlm_roberta", "albert"])
def test_the_activation_and_the_epsilon_of_published_weights(tmp_path, kind, monkeypatch):
    monkeypatch.syspath_prepend("tests/backbones")
    monkeypatch.syspath_prepend("tests/reference")
    import test_keras_hub

    body = backbones.keras_hub(str(test_keras_hub.make(tmp_path, kind)), sequence_length=16)
    loaded = check(*made(TextClassification(LABELS), body), tmp_path / "m.keras")
    again = next(iter(layers_with_a_body(loaded).values()))
    for layers in zip(*(one.model._flatten_layers() for one in (body, again)), strict=True):
        for name in ("activation", "epsilon"):
            one, other = (getattr(layer, name, None) for layer in layers)
            assert one is other or one == other or one.__name__ == other.__name__ == "<lambda>"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["VGG16", "ResNet50", "MobileNetV2", "EfficientNetB0"])
def test_models_of_keras_applications(tmp_path, name):
    body = backbones.keras_applications(name, image_size=32)
    read, model = made(ImageClassification(LABELS), body)
    loaded = check(read, model, tmp_path / "m.keras")
    body = next(iter(layers_with_a_body(loaded).values()))
    assert [(block.name, block.shape) for block in body.blocks] == [
        (block.name, block.shape) for block in read.blocks
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_image_models_of_keras_hub(tmp_path, kind, monkeypatch):
    monkeypatch.syspath_prepend("tests/backbones")
    import test_image_backbones

    hub = test_image_backbones.hub_body(kind)
    draw_weights(hub, 0)
    hub.save_to_preset(str(tmp_path))
    size = {"image_size": 16} if kind == "resnet" else {}
    given = {"scale": (0.01, 0.02, 0.03), "offset": -1.0, "pooling": "max"}
    body = backbones.keras_hub_images(str(tmp_path), **size, **given)
    check(*made(ImageClassification(LABELS), body), tmp_path / "m.keras")


@pytest.mark.slow
def test_a_model_with_a_frozen_prefix_and_regularizers_is_saved_without_its_stage(tmp_path):
    task = TextClassification(LABELS)
    stage = tfft.Stage(
        freeze_layers=1,
        regularizers=(tfft.regularizers.NoisyEmbeddings(5.0), tfft.regularizers.Mixup(0.4)),
    )
    read = tiny().read_for(task)
    model = tfft.build(task, tiny(), stage)
    assert model.compiled and "tail" in [layer.name for layer in model.layers]
    loaded = check(read, model, tmp_path / "m.keras")
    assert not loaded.compiled
    assert not keras.models.load_model(tmp_path / "m.keras").compiled
    batch = batch_of(read)
    loaded.compile("sgd", "sparse_categorical_crossentropy")
    before = loaded.evaluate(batch, np.array([0, 1, 2]), verbose=0)
    loaded.fit(batch, np.array([0, 1, 2]), epochs=5, verbose=0)
    assert loaded.evaluate(batch, np.array([0, 1, 2]), verbose=0) < before


@pytest.mark.slow
def test_a_loaded_model_is_not_frozen(tmp_path):
    task, stage = ImageClassification(LABELS), tfft.Stage(freeze_layers="all")
    tfft.build(task, backbones.tiny_image(), stage).save(tmp_path / "m.keras")
    loaded = tfft.load_model(tmp_path / "m.keras")
    still = {variable.name for variable in loaded.non_trainable_weights}
    assert still == {"moving_mean", "moving_variance"}


@pytest.mark.slow
def test_a_run_is_saved_and_loaded_alone(tmp_path, finished_run):
    folder = finished_runs.copy_of(finished_run(finished_runs.reviews), tmp_path / "home") / "out"
    task = TextClassification()
    read = tiny().read_for(task)
    task, _, model = restore(task, read, Workdir(folder))
    run = Run(model, task, read, folder, ())
    inputs = {name: np.array(v) for name, v in read.preprocessor(["a film mark1", "it"]).items()}
    run.save(tmp_path / "run.keras")
    found = tfft.load_model(tmp_path / "run.keras")(inputs)
    np.testing.assert_allclose(found, run.outputs(["a film mark1", "it"]), atol=1e-6)


@pytest.mark.slow
def test_a_loaded_model_writes_once_it_has_the_preprocessor(tmp_path):
    task = CausalLM(max_new_tokens=3)
    read, model = made(task, tiny("llama"))
    loaded = check(read, model, tmp_path / "m.keras")
    with pytest.raises(ConfigError, match="has no preprocessor: a .keras file holds none"):
        predict_fn(task, loaded)
    inner(loaded, type(model.get_layer("head"))).body.preprocessor = read.preprocessor
    batch = {name: np.array(v) for name, v in read.preprocessor(["good film", "the plot"]).items()}
    calls = [inference.forward(predict_fn(task, one)) for one in (model, loaded)]
    one, other = (call(batch)["text"].numpy().tolist() for call in calls)
    assert one == other


@pytest.mark.slow
def test_the_block_of_the_page_runs(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S)
    [block] = [each for each in blocks if "tfft.load_model" in each]
    monkeypatch.chdir(tmp_path)
    kinds = [("fine", "good"), ("dull", "bad")]
    rows = [f"a {word} film {n},{label}" for n in range(40) for word, label in kinds]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    names: dict = {}
    exec(block, names)
    outputs = names["run"].outputs(names["texts"])
    np.testing.assert_allclose(names["probabilities"], outputs, rtol=0, atol=1e-6)


# What a file does not hold ------------------------------------------------------------------------


def test_a_loaded_backbone_has_no_preprocessor(tmp_path):
    task = TextClassification(LABELS)
    loaded = check(*made(task, tiny()), tmp_path / "m.keras")
    body = next(iter(layers_with_a_body(loaded).values()))
    assert body.preprocessor is None and body.title == "tiny bert"
    for needs_one in (lambda: body.read_for(task), body.config, lambda: body.reads):
        with pytest.raises(ConfigError, match="has no preprocessor: a .keras file holds none"):
            needs_one()


@pytest.mark.parametrize("method", [lora(rank=2), adapters(size=4)], ids=["merges", "does not"])
def test_adapters_are_merged_or_refused(tmp_path, method):
    task, body = TextClassification(LABELS), tiny()
    attachment.attach(method.adds, body, 0)
    read, model = made(task, body)
    plain = np.array(model.layers[2].weights[0])
    path, batch = tmp_path / "m.keras", batch_of(read)
    path.write_bytes(b"what was there")
    with pytest.raises(ConfigError, match="a .keras file holds no adapters"):
        model.save(path)
    run = Run(model, task, read, tmp_path, ())
    if not method.adds.merges:
        with pytest.raises(ConfigError, match="those of kind 'adapter' cannot be merged") as caught:
            run.save(path)
        assert "run.export(FOLDER)" in caught.value.valid
        assert path.read_bytes() == b"what was there" and list(tmp_path.iterdir()) == [path]
        return
    expected = model(batch, training=False).numpy()
    assert run.save(str(path)) == path and list(tmp_path.iterdir()) == [path]
    loaded = tfft.load_model(path)
    np.testing.assert_allclose(loaded(batch, training=False), expected, atol=1e-6)
    np.testing.assert_array_equal(model(batch, training=False), expected)
    np.testing.assert_array_equal(model.layers[2].weights[0], plain)
    assert attachment.parts(body)
    attachment.detach(body)
    assert np.abs(model(batch, training=False) - expected).max() > 1e-4


def test_a_function_of_python_is_refused(tmp_path):
    body = backbones.tiny_image()
    body.normalise = lambda pixels: pixels / 255
    _, model = made(ImageClassification(LABELS), body)
    with pytest.raises(ConfigError, match="cannot hold the function that normalizes pixels"):
        model.save(tmp_path / "m.keras")
    assert not (tmp_path / "m.keras").exists()


# Damage -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The content of a good file."""
    path = tmp_path_factory.mktemp("file") / "m.keras"
    made(TextClassification(LABELS), tiny(layers=1, dim=8))[1].save(path)
    return path.read_bytes()


def repacked(content, change):
    """Returns a file whose parts a function has changed."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(target, "w") as archive,
    ):
        parts = {name: source.read(name) for name in source.namelist()}
        for name, data in change(parts).items():
            archive.writestr(name, data)
    return target.getvalue()


def flipped(content):
    """Returns a file with one wrong byte in the middle of its weights."""
    place = content.index(b"\x89HDF") + len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def without_weights(parts):
    room = io.BytesIO()
    h5py.File(room, "w").close()
    return {**parts, "model.weights.h5": room.getvalue()}


def compressed(content):
    """Returns a file with a part of zeros that are compressed."""
    target = io.BytesIO(content)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.h5", bytes(2**24))
    return target.getvalue()


def absurd_header(content):
    """Returns a file whose directory states that a part has almost 4 GiB."""
    place = content.rindex(b"PK\x01\x02") + 24  # the size of the last part
    return content[:place] + b"\xf0\xff\xff\xff" + content[place + 4 :]


def absurd_size(parts):
    config = json.loads(parts["config.json"])
    text = json.dumps(config).replace('"hidden_dim": 8', f'"hidden_dim": {10**13}')
    return {**parts, "config.json": text}


def renamed_class(parts):
    config = parts["config.json"].decode().replace("tfft>TextBackbone", "tfft>Unknown")
    return {**parts, "config.json": config}


def unknown_architecture(parts):
    config = parts["config.json"].decode().replace('"architecture": "bert"', '"architecture": "b"')
    return {**parts, "config.json": config}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: content[: len(content) // 2], "not a zip file"),
        (lambda content: b"", "not a zip file"),
        (flipped, "is damaged"),
        (compressed, "more than the file has"),
        (absurd_header, "more than the file has"),
        (lambda content: repacked(content, lambda p: {**p, "config.json": b"[" * 10**5}), "recurs"),
        (lambda content: repacked(content, absurd_size), "."),
        (lambda content: repacked(content, lambda parts: {"a.txt": b"a"}), "config.json"),
        (lambda content: repacked(content, lambda p: {**p, "config.json": b"[]"}), "."),
        (lambda content: repacked(content, lambda p: {**p, "config.json": b"{"}), "Expecting"),
        (lambda content: repacked(content, without_weights), "."),
        (lambda content: repacked(content, renamed_class), "TextBackbone"),
        (lambda content: repacked(content, unknown_architecture), "'b' is not known"),
    ],
    ids=lambda each: getattr(each, "__name__", str(each))[:12],
)
def test_a_damaged_file_is_refused(tmp_path, file, damage, reason):
    path = tmp_path / "m.keras"
    path.write_bytes(damage(file))
    with pytest.raises(ExportError, match="cannot be loaded: ") as caught:
        tfft.load_model(path)
    assert reason in caught.value.problem and len(caught.value.problem) < 500
    assert "\n" not in caught.value.problem and "run.save" in caught.value.valid


def test_a_lambda_in_a_file_is_refused(tmp_path, file):
    path, proof = tmp_path / "m.keras", tmp_path / "proof"
    inputs = keras.Input((2,))
    code = f"lambda x: (open({str(proof)!r}, 'w').close(), x)[1]"
    foreign = keras.Model(inputs, keras.layers.Lambda(eval(code), output_shape=(2,))(inputs))
    layer = keras.saving.serialize_keras_object(foreign.layers[1])
    proof.unlink(missing_ok=True)

    def with_lambda(parts):
        config = json.loads(parts["config.json"])
        head = next(each for each in config["config"]["layers"] if each["name"] == "head")
        head["config"]["layers"].append(layer)
        return {**parts, "config.json": json.dumps(config)}

    path.write_bytes(repacked(file, with_lambda))
    with pytest.raises(ExportError, match="[Ll]ambda"):
        tfft.load_model(path)
    assert not proof.exists()


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ExportError, match="is not a file"):
        tfft.load_model(tmp_path / "nothing.keras")
    with pytest.raises(ExportError, match="must end in .keras"):
        tfft.load_model(tmp_path / "model.h5")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(ExportError, match="holds a model that tfft did not build"):
        tfft.load_model(tmp_path / "other.keras")
    run = Run(keras.Model(), TextClassification(LABELS), tiny(), tmp_path, ())
    with pytest.raises(ExportError, match="must end in .keras"):
        run.save(tmp_path / "model.h5")
