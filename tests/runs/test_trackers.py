"""MLflow: a local file store gets the records once, also of a run that was continued."""

import builtins
import json

import pytest

from tfft.errors import ConfigError
from tfft.reports.console import Console
from tfft.runs import trackers
from tfft.storage.format_versions import WORKDIR
from tfft.storage.workdir import Workdir

QUIET = Console(quiet=True)
RECORDS = [
    {"stage": "s", "epoch": n, "step": 8 * n, "loss": 1.0 / n, "seconds": 0.5} for n in (1, 2, 3)
]
REPORT = {"split": "test", "metrics": {"accuracy": {"value": 0.9}, "confusion_matrix": [[1]]}}


def test_without_mlflow_it_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "mlflow":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="which is not installed") as caught:
        trackers.begin("mlruns", Workdir(tmp_path), QUIET)
    assert "tfft[mlflow]" in caught.value.valid
    trackers.begin(None, Workdir(tmp_path), QUIET).finish(REPORT)
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_logged_once_though_it_was_stopped(tmp_path, monkeypatch):
    mlflow = pytest.importorskip(
        "mlflow", reason="mlflow is not installed: pip install -e .[mlflow]"
    )
    monkeypatch.chdir(tmp_path)
    identity = {"data": "d", "weights": "w", "seed": 7}
    for records in (RECORDS[:2], RECORDS):
        files = Workdir(tmp_path / "run")
        files.write_json("run.json", {"format": WORKDIR, "identity": identity})
        log = trackers.begin("mlruns", files, QUIET)
        files.write_records(records)
    files.write("report.html", "<html>")
    log.finish(REPORT)
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())
    run_id = json.loads((tmp_path / "run/mlflow.json").read_text())["run_id"]
    history = client.get_metric_history(run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(8, 1.0), (16, 0.5), (24, 1 / 3)]
    found = client.get_run(run_id)
    assert found.data.params == {"data": "d", "weights": "w", "seed": "7"}
    assert found.data.metrics["test_accuracy"] == 0.9
    assert found.info.status == "FINISHED" and found.info.run_name == "run"
    assert [file.path for file in client.list_artifacts(run_id)] == ["report.html"]
    experiment = client.get_experiment_by_name(trackers.EXPERIMENT)
    assert len(client.search_runs([experiment.experiment_id])) == 1
