"""Several tasks on one body, each with a head of its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import keras

from tfft.argument_checks.validated import NON_NEGATIVE, validated
from tfft.data.examples import Examples
from tfft.tasks.backbone_output import BackboneOutput
from tfft.tasks.base import Task, config_of
from tfft.tasks.calibrations.multi_task import JointCalibration
from tfft.tasks.evaluators.multi_task import MultiTaskEvaluator
from tfft.tasks.multi_task import data, parts, targets
from tfft.tasks.multi_task import model as together
from tfft.tasks.signatures.base import DEFAULT, ServingSignature
from tfft.tasks.signatures.multi_task import MultiTaskSignature
from tfft.tasks.targets.joint_answers import JointAnswers


@validated(weights=NON_NEGATIVE)
class MultiTask(Task):
    """Heads side by side on the body's pooled and tokens' outputs, trained together.

    An answer is an object in JSON with the answer of each task that the example is for, such as
    `{"topic": "sport", "names": [[0, 4, "person"]]}`; a text may have one of them or several.
    `mixture(sources, tasks=...)` makes such a source out of one for each task. Multi-task learning:
    Caruana, 1997; of texts with one pretrained body: Liu et al., 2019.

    Args:
      tasks: by name. They read the same inputs, a row an example; the first one's main metric is
        that of the whole.
      weights: of the tasks' losses; 1 for those that are left out.
    """

    name: ClassVar[str] = "multi_task"
    target: JointAnswers = JointAnswers()
    calibration: JointCalibration
    backbone_output = BackboneOutput("both")

    def __init__(self, tasks: Mapping[str, Task], weights: Mapping[str, float] | None = None):
        parts.check(tasks, weights or {})
        self._set_tasks(tasks)
        self.weights = {name: float((weights or {}).get(name, 1.0)) for name in tasks}
        self.inputs = next(iter(tasks.values())).inputs

    def _set_tasks(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = dict(tasks)
        self.target = JointAnswers.of({name: task.target for name, task in tasks.items()})
        self.calibration = JointCalibration(tasks)

    @property
    def tasks(self) -> dict[str, Task]:
        """The tasks by name, with the names of `target` and the values of `calibration`."""
        found = {}
        for name, each in self._tasks.items():
            task = copy.copy(each)
            task.target = self.target.targets[name]
            if task.calibration is not None:
                task.calibration = copy.copy(task.calibration)
                task.calibration.values = self.calibration.values.get(name, {})
            found[name] = task
        return found

    def with_training_answers(self, counts: Mapping[str, int]) -> Self:
        self.target.with_training_answers(counts)  # refuses a task without answers
        own = data.counts_by_task(self._tasks, counts)
        task = copy.copy(self)
        task._set_tasks(
            {
                name: each.with_training_answers(dict(sorted(own[name].items())))
                for name, each in self.tasks.items()
            }
        )
        return task

    def build_preprocessor(self, own: Any) -> Any:
        made = [task.build_preprocessor(own) for task in self._tasks.values()]
        return parts.preprocessor(made, own)

    def encode_targets(self, examples: Examples) -> dict[str, dict[str, Any]]:
        """Returns the targets of each task by its name, see `tfft.tasks.multi_task.targets`."""
        return targets.targets_of(data.shares(examples, self.tasks))

    def build_head(self, backbone: Any) -> together.Heads:
        """Returns the layer to the outputs of each task by its name."""
        return together.heads_on(backbone, self.tasks)

    def build_loss(self, head: Any) -> keras.losses.Loss:
        return together.SummedLoss(head, self.tasks, self.weights)

    def build_metrics(self) -> list[keras.metrics.Metric]:
        return together.metrics_of(self.tasks)

    def build_evaluator(self) -> MultiTaskEvaluator:
        return MultiTaskEvaluator(self.tasks, self.weights)

    def build_signatures(self) -> Mapping[str, ServingSignature]:
        return {DEFAULT: MultiTaskSignature(self, self.tasks)}

    def get_config(self) -> dict[str, Any]:
        tasks = {name: task.get_config() for name, task in self.tasks.items()}
        return config_of(self, tasks=tasks)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        from tfft.tasks import of_card

        tasks = {name: of_card(each, name) for name, each in config["tasks"].items()}
        found = cls(tasks, config["weights"])
        values = {n: t.calibration.values for n, t in tasks.items() if t.calibration is not None}
        found.calibration.values = values
        return found
