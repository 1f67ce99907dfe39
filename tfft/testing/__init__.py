"""Test cases for a task of your own.

`from tfft.testing import TaskCase`
"""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "TaskCase":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tfft.testing.task_case import TaskCase

    return TaskCase
