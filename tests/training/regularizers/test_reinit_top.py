"""New weights for the top layers: which, of what distribution, once, and when not."""

import numpy as np
import pytest
from trainings import newest, same, stopped_after

import tfft
from tfft import api
from tfft.backbones.text.encoder_architectures import ARCHITECTURES
from tfft.backbones.text.tiny import tiny
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ConfigError
from tfft.layers.inspection import named_variables
from tfft.methods import bitfit
from tfft.reports.console import Console
from tfft.training.feature_cache.placement import FeatureCache
from tfft.training.freeze_proof import checksums
from tfft.training.regularizers import ReinitTop
from tfft.training.stage import GradualUnfreezing, Stage, begin_stage, chain

TASK = tfft.tasks.TextClassification(["a", "b"])
QUIET = Console(quiet=True)


def head_of(body):
    head = TASK.build_head(None)
    head.build((None, body.dim))
    return head


def renewed(body, stage, seed=0, number=0, stages=None):
    """Returns the names of the variables that got other values, and all values."""
    head = head_of(body)
    before = checksums(body, head)
    begin_stage(stages or [stage], number, body, head, seed, QUIET)
    after = checksums(body, head)
    values = {name: np.array(v) for name, v in named_variables(body, head).items()}
    return {name for name in after if after[name] != before[name]}, values


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "albert"])
def test_the_top_layers_alone_get_new_weights(architecture):
    body = tiny(architecture, layers=3, dim=32)
    for variable in named_variables(body).values():  # so that ones and zeros would be seen
        if len(variable.shape) == 1 and "seed" not in variable.path:
            variable.assign(np.full(variable.shape, 0.5))
    changed, values = renewed(body, Stage(regularizers=(ReinitTop(2),)))
    wanted = {n for n in values if n.startswith(("layer_1/", "layer_2/")) and "seed" not in n}
    assert changed == wanted
    for name in changed:
        kind = name.rsplit("/", 1)[1]
        if kind in ("beta", "bias"):
            assert not values[name].any()
        elif kind == "gamma":
            assert (values[name] == 1.0).all()
        else:  # truncated at two deviations of 0.02, so 0.0176 are left
            assert kind == "kernel" and abs(values[name].std() - 0.0176) < 0.003
            assert abs(values[name]).max() <= 0.0401


def test_scaled_initialisers_know_the_inputs_of_a_kernel_with_heads():
    import keras

    body = tiny(layers=1, dim=64)
    dense = body.groups[1].layers[0]._self_attention_layer._query_dense
    dense.kernel_initializer = keras.initializers.GlorotUniform()
    renewed(body, Stage(regularizers=(ReinitTop(1),)))
    limit = (6 / (64 + 64)) ** 0.5
    assert 0.95 * limit < np.abs(np.array(dense.kernel)).max() <= limit


def test_values_follow_from_the_seed():
    one, same, other = (
        renewed(tiny(), Stage(regularizers=(ReinitTop(1),)), seed)[1] for seed in (0, 0, 1)
    )
    kernels = [name for name in one if name.startswith("layer_1") and name.endswith("kernel")]
    assert len(kernels) == 6
    for name in kernels:
        assert np.array_equal(one[name], same[name])
        assert not np.array_equal(one[name], other[name])
    shapes = [one[name] for name in kernels if one[name].shape == (16, 2, 8)]
    assert not any(np.array_equal(a, b) for i, a in enumerate(shapes) for b in shapes[:i])


def test_the_pooler_belongs_to_the_top():
    changed, _ = renewed(tiny(pooling="pooler"), Stage(regularizers=(ReinitTop(1),)))
    assert {name.split("/")[0] for name in changed} == {"layer_1", "pooler"}


def test_layers_that_share_weights_are_renewed_together():
    with pytest.raises(ConfigError, match="share their weights") as caught:
        renewed(tiny("albert", layers=3), Stage(regularizers=(ReinitTop(1),)))
    assert caught.value.valid == "3, or no ReinitTop"
    changed, _ = renewed(tiny("albert", layers=3), Stage(regularizers=(ReinitTop(3),)))
    assert {name.split("/")[0] for name in changed} == {"layer_0"}


def test_what_cannot_be_is_refused():
    body = tiny(layers=2)
    with pytest.raises(ConfigError, match="ReinitTop.layers=3, but this backbone has 2 layers"):
        renewed(body, Stage(regularizers=(ReinitTop(3),)))
    for stage in (
        Stage(regularizers=(ReinitTop(2),), freeze_layers=1),
        Stage(regularizers=(ReinitTop(1),), freeze_layers="all"),
        Stage(regularizers=(ReinitTop(1),), method=bitfit()),
        Stage(regularizers=(ReinitTop(1),), freeze=("layer_1/*/bias",)),
    ):
        with pytest.raises(ConfigError, match="does not train them, the first layer_"):
            renewed(body, stage)
    with pytest.raises(ConfigError, match="ReinitTop.layers must be 1 or more"):
        ReinitTop(0)
    with pytest.raises(ConfigError, match="ReinitTop.layers=1 and 2"):
        chain([Stage(regularizers=(ReinitTop(1),)), Stage(regularizers=(ReinitTop(2),))], body)
    with pytest.raises(ConfigError, match="freezes the layers first"):
        chain([GradualUnfreezing(Stage(regularizers=(ReinitTop(1),)))], body)
    assert renewed(body, Stage(regularizers=(ReinitTop(1),), freeze_layers=1))[0]


def test_the_first_stage_that_says_so_does_it():
    stages = [
        Stage("a"),
        Stage("b", regularizers=(ReinitTop(1),)),
        Stage("c", regularizers=(ReinitTop(1),)),
    ]
    changed = [bool(renewed(tiny(), stages[n], number=n, stages=stages)[0]) for n in range(3)]
    assert changed == [False, True, False]


STAGES = (
    Stage("head", freeze_layers="all", epochs=1, learning_rate=1e-2),
    Stage("new", freeze_layers=1, regularizers=(ReinitTop(1),), epochs=2, learning_rate=3e-3),
    Stage("rest", freeze_layers="all", regularizers=(ReinitTop(1),), epochs=2, learning_rate=3e-3),
)


def train(folder, stages=STAGES):
    task = tfft.tasks.TextClassification()
    settings = {"workdir": folder, "say": QUIET, "checkpoint_steps": 2}
    return api.train(task, tiny(), synthetic(128), stages, **settings, plots=False)


@pytest.mark.slow
@pytest.mark.parametrize("at", [4, 7, 13])
def test_a_stopped_run_does_it_once(tmp_path, at):
    train(tmp_path / "whole")
    with stopped_after(at):
        train(tmp_path / "stopped")
    train(tmp_path / "stopped")
    assert same(newest(tmp_path / "whole"), newest(tmp_path / "stopped"))


@pytest.mark.slow
def test_stored_features_are_of_the_new_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TFFT_STORE", str(tmp_path / "store"))
    found = []
    for features in ("memory", "off"):
        stages = [
            Stage(
                "new",
                freeze_layers=1,
                regularizers=(ReinitTop(1),),
                epochs=2,
                feature_cache=FeatureCache(where=features),
            ),
            Stage(
                "rest", freeze_layers="all", epochs=2, feature_cache=FeatureCache(where=features)
            ),
        ]
        texts = [f"the film mark{n % 2} is it" for n in range(9)]
        found.append(train(tmp_path / features, stages).outputs(texts))
    np.testing.assert_allclose(*found, atol=1e-4)


def test_a_model_for_a_loop_of_one_s_own_has_them_too():
    bodies = [tiny(), tiny()]
    tfft.build(TASK, bodies[0], Stage(regularizers=(ReinitTop(1),)))
    tfft.build(TASK, bodies[1], Stage())
    one, two = (np.array(b.groups[2].layers[0]._feedforward_output_dense.kernel) for b in bodies)
    assert one.std() < 0.05 < two.std()
