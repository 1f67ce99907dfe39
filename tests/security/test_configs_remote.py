"""A config from elsewhere sends nothing to another machine."""

import sys
import types

import pytest

from tfft.cli import main as cli
from tfft.config.catalog import configurables
from tfft.errors import ConfigError
from tfft.reports.console import Console
from tfft.runs import trackers
from tfft.storage.workdir import Workdir

KNOWN = configurables()
CONFIG = """\
train.task = @TextClassification()
train.backbone = @tiny()
train.source = @files()
files.data = "reviews.csv"
train.stages = (@Stage(),)
"""
LOCAL = ("mlruns", "/home/me/mlruns", "file:///home/me/mlruns", "sqlite:///a.db", "a b/c")
LOCAL += (
    "http://localhost:5000",
    "http://127.0.0.1:5000/x",
    "https://[::1]:5000",
    "http://localhost",
)
REMOTE = (
    "http://evil.example",
    "https://10.0.0.1",
    "http://localhost.evil.example",
    "databricks://x",
)
REMOTE += (
    "http://127.0.0.1@evil.example",
    "http://evil.example\\@127.0.0.1",
    "http://127.0.0.1.evil.io",
)
REMOTE += (
    "file://evil.example/share",
    "sqlite://evil.example/x",
    "mysql://root@evil.example/db",
    "s3://x",
)
REMOTE += (
    "http://localhost\n.evil.example",
    "http://localhost:5000@evil.example",
    "uc:x",
    "http:evil.io",
)
REMOTE += (
    "http://0x7f000001",
    "HTTP://evil.example",
    "http://localhost:80/../@evil.example",
    "x:y",
)


@pytest.mark.parametrize("uri", LOCAL)
def test_this_machine_needs_no_flag(uri):
    assert trackers.is_local(uri)


@pytest.mark.parametrize("uri", REMOTE)
def test_another_machine_does(uri):
    assert not trackers.is_local(uri)


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """The calls of the verbs, which do nothing, in a folder with a config."""
    monkeypatch.chdir(tmp_path)
    found = []
    verbs = types.SimpleNamespace(
        check=lambda **given: found.append("check"), train=lambda **given: found.append("train")
    )
    monkeypatch.setattr(cli, "_library", lambda say: verbs)
    machine = types.ModuleType("tfft.training.distribution")
    machine.scope = lambda strategy, say: cli.contextlib.nullcontext()
    monkeypatch.setitem(sys.modules, "tfft.training.distribution", machine)
    monkeypatch.setattr("tfft.training.distribution", machine, raising=False)
    monkeypatch.setattr(cli.load.Config, "kwargs", lambda self, only=None: {})
    monkeypatch.setattr(cli.load, "offered", lambda: dict(KNOWN))  # read once
    return found


@pytest.mark.parametrize("text", ["train.mlflow = '{}'\n", "M = '{}'\ntrain.mlflow = %M\n"])
def test_a_file_cannot_name_another_machine(calls, tmp_path, capsys, text):
    address = "http://evil.example:5000"
    (tmp_path / "run.gin").write_text(CONFIG + text.format(address))
    (tmp_path / "plain.gin").write_text(CONFIG)
    flags = ["--workdir=out", "--gin_file=run.gin"]
    for verb in ("train", "check"):
        assert cli.command([verb, *flags]) == 2
        shown = capsys.readouterr().err
        assert "is an address outside this machine" in shown and "set in  run.gin:" in shown
        assert f"--gin.train.mlflow={address}" in shown
    assert calls == []
    assert cli.command(["train", *flags, f"--gin.train.mlflow={address}"]) == 0
    assert (
        cli.command(["train", *flags[:1], "--gin_file=plain.gin", f"--gin.train.mlflow={address}"])
        == 0
    )
    (tmp_path / "run.gin").write_text(CONFIG + text.format("mlruns"))
    assert cli.command(["train", *flags]) == 0
    assert calls == ["train"] * 3


@pytest.fixture
def mlflow(monkeypatch):
    """A stand-in for MLflow, whose runs keep their files at `stored`."""
    stored = {}
    run = types.SimpleNamespace(info=types.SimpleNamespace(run_id="1", artifact_uri=""))

    class MlflowClient:
        def __init__(self, tracking_uri):
            run.info.artifact_uri = stored["at"]

        def get_experiment_by_name(self, name):
            return types.SimpleNamespace(experiment_id="0")

        def create_run(self, *args, **more):
            return run

        def get_run(self, run_id):
            return run

        def update_run(self, *args):
            pass

        def log_param(self, *args):
            pass

        def get_metric_history(self, *args):
            return []

    module = types.ModuleType("mlflow")
    module.MlflowClient = MlflowClient
    module.exceptions = types.ModuleType("mlflow.exceptions")
    module.exceptions.MlflowException = type("MlflowException", (Exception,), {})
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", module.exceptions)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return stored


@pytest.mark.parametrize("uri", ["mlruns", "sqlite:///mlflow.db"])
def test_a_local_store_with_a_remote_place_for_files_is_refused(mlflow, tmp_path, monkeypatch, uri):
    monkeypatch.chdir(tmp_path)
    for place in ("s3://evil/x", "http://evil.example/x", "file://evil.example/x"):
        mlflow["at"] = place
        with pytest.raises(ConfigError, match="outside this machine"):
            trackers.begin(uri, Workdir(tmp_path / "run"), Console(quiet=True))
    for place in (str(tmp_path / "mlruns/0/1/artifacts"), f"file://{tmp_path}/mlruns", "./mlruns"):
        mlflow["at"] = place
        trackers.begin(uri, Workdir(tmp_path / "run"), Console(quiet=True))
    mlflow["at"] = "s3://own/x"  # a server of this machine decides itself
    trackers.begin("http://localhost:5000", Workdir(tmp_path / "other"), Console(quiet=True))
