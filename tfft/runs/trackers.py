"""A run's figures in MLflow, beside TensorBoard's."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfft.errors import ConfigError, WorkdirError
from tfft.storage.workdir import Workdir

# Folders, files and servers of this machine; of other spellings of these only a flag is accepted.
LOCAL = re.compile(
    r"[^:]*|(file|sqlite):///.*|https?://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?(/[\w./-]*)?"
)
EXPERIMENT = "tfft"  # where MLFLOW_EXPERIMENT_NAME says nothing else
STATE = "mlflow.json"


def is_local(uri: str) -> bool:
    """Returns True for an MLflow tracking URI, or a folder, that is surely on this machine."""
    return LOCAL.fullmatch(uri) is not None


class Off:
    """Logs nothing."""

    def finish(self, report: Mapping[str, Any]) -> None:
        pass


class Mlflow:
    """Logs the records of epochs as they are written, and the report at the end.

    A run that is continued goes on in the same MLflow run: its id is kept in the workdir.

    Args:
      uri: a tracking URI, or a folder.
      files: the run's workdir.
      say: gets a warning where MLflow fails later on.

    Raises:
      ConfigError: MLflow is not installed, or `uri` is none of its stores.
    """

    def __init__(self, uri: str, files: Workdir, say: Any):
        try:
            from mlflow import MlflowClient
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise ConfigError(
                "train.mlflow needs MLflow, which is not installed.",
                set_in="train.mlflow",
                valid="pip install 'tfft[mlflow]'; or train.mlflow = None",
            ) from error
        address = uri
        if ":" not in uri:
            address = pathlib.Path(uri).resolve().as_uri()
            # MLflow asks for this since folders get no new features of it any more.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self.files, self.say = files, say
        self.failed = False  # whether something could not be logged
        try:
            self.client = MlflowClient(tracking_uri=address)
            self.run_id = self._continued(address) or self._begun(address)
            stored = self.client.get_run(self.run_id).info.artifact_uri
        except (MlflowException, OSError) as error:
            raise ConfigError(
                f"MLflow refuses {uri!r}: {error}",
                set_in="train.mlflow",
                valid='a folder such as "mlruns", or http://HOST:PORT',
            ) from error
        # A folder or database that somebody else made can name another place for the reports.
        if address.startswith(("file:", "sqlite:")) and not is_local(stored):
            raise ConfigError(
                f"the experiment in {uri!r} keeps its files at {stored!r}, outside this machine.",
                set_in="train.mlflow",
                valid="another folder, or another experiment: MLFLOW_EXPERIMENT_NAME=NAME",
            )
        files.write_json(STATE, {"uri": address, "run_id": self.run_id})
        history = self.client.get_metric_history(self.run_id, "seconds")
        self.logged = {metric.step for metric in history}
        files.watchers.append(self.records)

    def _continued(self, address: str) -> str | None:
        try:
            state = self.files.read_json(STATE)
        except WorkdirError as error:
            self.say.warn(f"{error.problem} The run is logged as a new one of MLflow.")
            return None
        if state is None or state["uri"] != address:
            return None
        self.client.update_run(state["run_id"], "RUNNING")
        return state["run_id"]

    def _begun(self, address: str) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = self.client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self.client.create_experiment(name)
        path = self.files.path
        run_id = self.client.create_run(experiment, run_name=path.name).info.run_id
        identity = (self.files.read_json("run.json") or {}).get("identity", {})
        for key in ("data", "weights", "seed"):
            self.client.log_param(run_id, key, identity.get(key))
        return run_id

    @contextlib.contextmanager
    def _tolerated(self) -> Iterator[None]:
        """Warns, once, where MLflow fails; the run goes on, and later records are tried."""
        try:
            yield
        except Exception as error:  # of any kind: of the network, the server, the disk
            reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
            if not self.failed:
                self.say.warn(f"MLflow does not log this run, which goes on without it: {reason}")
            self.failed = True

    def records(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Logs the numbers of the epochs that were not logged before."""
        from mlflow.entities import Metric

        for record in records:
            if record["step"] in self.logged:
                continue
            now = int(time.time() * 1000)
            metrics = [
                Metric(name, float(value), now, record["step"])
                for name, value in record.items()
                if isinstance(value, int | float) and name != "step"
            ]
            with self._tolerated():
                self.client.log_batch(self.run_id, metrics)
                self.logged.add(record["step"])
            if record["step"] not in self.logged:
                return  # the client of a server that is gone takes minutes for each attempt

    def finish(self, report: Mapping[str, Any]) -> None:
        """Logs the held-out figures and the files of the report; ends MLflow's run."""
        with self._tolerated():
            for name, entry in report["metrics"].items():
                if isinstance(entry, dict) and entry.get("value") is not None:
                    self.client.log_metric(self.run_id, f"{report['split']}_{name}", entry["value"])
            for name in ("config.gin", "report.json", "report.html"):
                if (self.files.path / name).exists():
                    self.client.log_artifact(self.run_id, str(self.files.path / name))
            self.client.set_terminated(self.run_id)


def begin(uri: str | None, files: Workdir, say: Any) -> Off | Mlflow:
    """Returns where a run is logged beside TensorBoard.

    Args:
      uri: an MLflow tracking URI or a folder; None logs nothing.
      files: the run's workdir.
      say: gets a warning where MLflow fails later on.
    """
    return Off() if uri is None else Mlflow(uri, files, say)
