"""One backbone that several runs train, and a check before them."""

import numpy as np
import pytest
from trainings import slow

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.errors import UserError
from tfft.layers.inspection import named_variables
from tfft.reports.console import Console
from tfft.runs import initial_weights

PAIRS = [(f"a {word} film {n}", word) for n in range(40) for word in ("fine", "dull")]
FLIPPED = [(text, "dull" if label == "fine" else "fine") for text, label in PAIRS]
STAGE = tfft.Stage(epochs=1, batch_size=8, learning_rate=1e-2, freeze_layers=1)
TEXTS = ["a fine film", "a dull film"]


QUIET = Console(quiet=True)


class Listener(Console):
    """Keeps warnings."""

    def __init__(self):
        super().__init__(quiet=True)
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)


def train(body, data=PAIRS, stage=STAGE, say=None, **settings):
    task = tfft.tasks.TextClassification()
    return tfft.train(task, body, data, stage, say=say or QUIET, **settings, plots=False)


def weights(body):
    return {name: np.array(variable) for name, variable in named_variables(body).items()}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n]) for n in one)


def test_a_backbone_whose_lowest_group_has_no_layer():
    body = tfft.backbones.keras_applications("VGG16", image_size=32)
    assert not body.groups[0].layers
    before, say = weights(body), Listener()
    initial_weights.start_run(body, [STAGE], say, keep=True)
    body.groups[-2].layers[0].variables[0].assign_add([1.0])
    initial_weights.start_run(body, [STAGE], say, keep=True)
    assert same(weights(body), before) and len(say.warnings) == 1


@pytest.mark.parametrize(
    "first",
    [slow(STAGE), slow(tfft.Stage(epochs=1, batch_size=8, method=tfft.methods.lora(rank=2)))],
    ids=["plain", "lora"],
)
def test_a_second_run_starts_from_the_weights_that_were_loaded(first):
    body, say = tiny(), Listener()
    earlier = train(body, FLIPPED, first)
    before = earlier.outputs(TEXTS)
    again = train(body, say=say)
    assert any("starts from the weights that it was loaded with" in line for line in say.warnings)
    assert np.array_equal(again.outputs(TEXTS), train(tiny()).outputs(TEXTS))
    with pytest.raises(UserError, match="no longer in memory") as caught:
        earlier.predict(TEXTS)
    assert "load" in caught.value.valid and not np.array_equal(before, again.outputs(TEXTS))


def test_the_same_call_with_the_same_folder_continues(tmp_path):
    body = tiny()
    first = train(body, workdir=tmp_path / "run")
    outputs = first.outputs(TEXTS)
    assert np.array_equal(train(body, workdir=tmp_path / "run").outputs(TEXTS), outputs)
    assert np.array_equal(first.outputs(TEXTS), outputs)  # the weights are those of that folder


@pytest.mark.parametrize("method", [None, tfft.methods.lora(rank=2)], ids=["plain", "lora"])
def test_a_check_leaves_the_backbone_as_it_was(method):
    body = tiny()
    before = weights(body)
    stage = tfft.Stage(epochs=1, batch_size=8, method=method)
    tfft.check(tfft.tasks.TextClassification(), body, PAIRS, stage, say=QUIET)
    assert same(before, weights(body))


@pytest.mark.slow
def test_a_check_after_a_run_leaves_the_run_as_it_was(tmp_path):
    body = tiny()
    run = train(body, workdir=tmp_path / "run")
    outputs = run.outputs(TEXTS)
    settings = {"say": QUIET, "workdir": tmp_path / "run"}  # not refused as another run
    tfft.check(tfft.tasks.TextClassification(), body, PAIRS, STAGE, **settings)
    assert np.array_equal(run.outputs(TEXTS), outputs)


def test_weights_that_were_not_kept_are_refused(tmp_path):
    run = train(tiny(), workdir=tmp_path / "run")
    body, task = tiny(), tfft.tasks.TextClassification()
    (tmp_path / "new.csv").write_text("text\na fine film\n")
    output = str(tmp_path / "predictions.jsonl")
    settings = {"input": str(tmp_path / "new.csv"), "output": output, "say": QUIET}
    tfft.api.predict(task, body, str(run.workdir), **settings)
    with pytest.raises(UserError, match="has the weights of another run"):
        train(body)


def test_a_call_that_is_refused_leaves_an_earlier_run_as_it_was():
    body = tiny()
    run = train(body)
    outputs = run.outputs(TEXTS)
    with pytest.raises(UserError, match="one class only"):
        train(body, [("a film", "fine"), ("a film again", "fine"), ("a third film", "fine")])
    assert np.array_equal(run.outputs(TEXTS), outputs)
