"""Several tasks on one backbone, each with a head of its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import keras

from tfft.argument_checks.validated import NON_NEGATIVE, validated
from tfft.data.examples import Examples
from tfft.tasks.backbone_output import BackboneOutput
from tfft.tasks.base import Task, config_of, with_calibration
from tfft.tasks.calibrations.multi_task import JointCalibration
from tfft.tasks.evaluators.multi_task import MultiTaskEvaluator
from tfft.tasks.multi_task import data, parts
from tfft.tasks.multi_task import model as together
from tfft.tasks.signatures.base import DEFAULT, Signatures
from tfft.tasks.signatures.multi_task import MultiTaskSignature
from tfft.tasks.targets.base import Counts
from tfft.tasks.targets.joint_answers import JointAnswers


@validated(weights=NON_NEGATIVE)
class MultiTask(Task):
    """Heads side by side on the backbone's pooled and tokens' outputs, trained together.

    An answer is an object in JSON with the answer of each task that the example is for, such as
    `{"topic": "sport", "names": [[0, 4, "person"]]}`; a text may have one of them or several.
    `mixture(sources, tasks=...)` makes such a source out of one for each task. Multi-task learning:
    Caruana, 1997; of texts with one pretrained backbone: Liu et al., 2019.

    Args:
      tasks: by name. They read the same inputs, a row an example; the first one's main metric is
        that of the joint task.
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
        result = {}
        for name, each in self._tasks.items():
            task = copy.copy(each)
            task.target = self.target.targets[name]
            result[name] = with_calibration(task, self.calibration.values.get(name, {}), None)
        return result

    def with_training_answers(self, counts: Counts) -> Self:
        self.target.with_training_answers(counts)  # refuses a task without answers
        own = data.counts_by_task(self._tasks, counts)
        task = copy.copy(self)
        counts_of = {name: data.sorted_counts(own[name]) for name in own}
        pairs = self.tasks.items()
        task._set_tasks({n: each.with_training_answers(counts_of[n]) for n, each in pairs})
        return task

    def build_preprocessor(self, own: Any) -> Any:
        return parts.preprocessor([t.build_preprocessor(own) for t in self._tasks.values()], own)

    def encode_targets(self, examples: Examples) -> dict[str, dict[str, Any]]:
        """Returns the targets of each task by its name, see `Share.encoded_targets`."""
        shares = data.shares(examples, self.tasks)
        return {name: share.encoded_targets() for name, share in shares.items()}

    def build_head(self, backbone: Any) -> together.Heads:
        """Returns the layer to the outputs of each task by its name."""
        heads = {name: task.build_head(backbone) for name, task in self.tasks.items()}
        kinds = {name: task.backbone_output.kind for name, task in self.tasks.items()}
        return together.Heads(heads, [name for name in kinds if kinds[name] == "tokens"])

    def build_loss(self, head: Any) -> keras.losses.Loss:
        return together.SummedLoss(head, self.tasks, self.weights)

    def build_metrics(self) -> list[keras.metrics.Metric]:
        pairs = ((n, each) for n, task in self.tasks.items() for each in task.build_metrics())
        return [together.PartMetric(*pair) for pair in pairs]

    def build_evaluator(self) -> MultiTaskEvaluator:
        return MultiTaskEvaluator(self.tasks, self.weights)

    def build_signatures(self) -> Signatures:
        return {DEFAULT: MultiTaskSignature(self, self.tasks)}

    def get_config(self) -> dict[str, Any]:
        return config_of(self, tasks={n: task.get_config() for n, task in self.tasks.items()})

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        from tfft.tasks import of_card

        tasks = {name: of_card(each, name) for name, each in config["tasks"].items()}
        result = cls(tasks, config["weights"])
        values = {n: t.calibration.values for n, t in tasks.items() if t.calibration is not None}
        result.calibration.values = values
        return result
