"""How tasks are found: each by the name of its file, whatever other folders hold."""

import importlib

import tfft
from tfft import tasks
from tfft.tasks.base import Task


def declared():
    """Yields each task of the package, with the module that declares it."""
    for module in tasks.modules().values():
        for value in vars(importlib.import_module(module)).values():
            own = isinstance(value, type) and value.__module__ == module
            if own and issubclass(value, Task) and vars(value).get("name"):
                yield module, value


def test_every_task_is_found_by_its_class_and_by_its_name():
    found = list(declared())
    assert len(found) >= 13
    for module, task in found:
        assert getattr(tfft.tasks, task.__name__) is task
        assert tasks.modules()[task.name] == module


def test_evaluators_and_signatures_are_no_tasks():
    assert not [name for name in tasks.modules().values() if ".evaluators." in name]
