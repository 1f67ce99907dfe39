"""TensorBoard and MLflow that cannot write, and a run that is continued under other versions."""

import json
import sys
import types

import file_operations
import pytest

from tfft.runs import environment, trackers
from tfft.storage.format_versions import WORKDIR
from tfft.storage.workdir import Workdir
from tfft.training.tensorboard import TensorBoard

RECORD = {"step": 8, "loss": 0.5, "epoch": 1}
REPORT = {"split": "test", "metrics": {"accuracy": {"value": 0.9}}}


class Say:
    """Keeps warnings."""

    def __init__(self):
        self.lines = []

    def warn(self, text):
        self.lines.append(text)


def test_a_folder_that_tensorboard_cannot_write_is_one_warning(tmp_path):
    (tmp_path / "tensorboard").write_text("in the way")
    say = Say()
    log = TensorBoard(tmp_path / "tensorboard", say.warn)
    for _ in "12":
        log.write(RECORD)
    log.close()
    assert len(say.lines) == 1 and "training goes on" in say.lines[0]
    assert str(tmp_path / "tensorboard") in say.lines[0]


class Client:
    """Stands in for MLflow's client, whose server stops answering after the start."""

    def __init__(self, tracking_uri):
        self.asked = 0

    def get_experiment_by_name(self, name):
        return types.SimpleNamespace(experiment_id="1")

    def create_run(self, experiment, run_name):
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r"))

    def get_run(self, run_id):
        return types.SimpleNamespace(info=types.SimpleNamespace(artifact_uri="mlflow-artifacts:/1"))

    def log_param(self, *values):
        pass

    def get_metric_history(self, *names):
        return []

    def log_batch(self, *values):
        self.asked += 1
        raise ConnectionError("Connection refused")

    log_metric = log_batch


def test_an_mlflow_server_that_goes_away_is_one_warning(tmp_path, monkeypatch):
    exceptions = types.SimpleNamespace(MlflowException=type("MlflowException", (Exception,), {}))
    entities = types.SimpleNamespace(Metric=lambda *values: values)
    modules = {"mlflow": types.SimpleNamespace(MlflowClient=Client), "mlflow.entities": entities}
    for name, module in {**modules, "mlflow.exceptions": exceptions}.items():
        monkeypatch.setitem(sys.modules, name, module)
    files, say = Workdir(tmp_path), Say()
    files.write_json("run.json", {"format": WORKDIR, "identity": {}})
    log = trackers.begin("http://localhost:1", files, say)
    files.write_records([RECORD])
    files.write_records([RECORD])
    log.records([RECORD, {**RECORD, "step": 16}])
    assert log.client.asked == 3  # a record that was not logged is tried again, before all others
    log.finish(REPORT)
    assert len(say.lines) == 1 and "goes on without it: Connection refused" in say.lines[0]
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == RECORD
    (tmp_path / "mlflow.json").write_text("{}")
    trackers.begin("http://localhost:1", files, say)
    assert "mlflow.json is damaged" in say.lines[1] and "a new one of MLflow" in say.lines[1]


def test_the_versions_of_the_first_start_stay(monkeypatch):
    say = Say()
    first = environment.first_machine(None, say)
    assert {"python", "tfft", "tensorflow", "keras", "keras-hub", "tensorflow-text", "numpy"} <= {
        *first["versions"]
    }
    old = {**first["versions"], "keras": "3.0.1", "numpy": "1.26.0"}
    del old["tfft"]  # which earlier versions did not record
    kept = environment.first_machine({"versions": old, "devices": ["a"], "identity": {}}, say)
    assert kept == {**first, "versions": old, "devices": ["a"]}
    (line,) = say.lines
    now = first["versions"]
    assert f"keras 3.0.1, now {now['keras']}; numpy 1.26.0, now {now['numpy']}" in line


@pytest.mark.slow
def test_a_run_ends_without_tensorboard_and_says_what_it_was_begun_with(tmp_path):
    home = file_operations.make_home(tmp_path / "home")
    (home / "out").mkdir()
    (home / "out" / "tensorboard").write_text("in the way")
    done = file_operations.run(home)
    assert done.returncode == 0 and "TensorBoard's log cannot be written" in done.stderr
    files = Workdir(home / "out")
    run = files.read_json("run.json")
    run["versions"]["numpy"] = "0.1"
    files.write_json("run.json", run)
    (home / "out" / "manifest.json").unlink()
    again = file_operations.run(home)
    assert again.returncode == 0 and "this run was begun with numpy 0.1, now" in again.stderr
    assert Workdir(home / "out").read_json("run.json")["versions"]["numpy"] == "0.1"
