"""The one kind of error that is a person's to mend: what, where, what would be right, what next."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


class UserError(Exception):
    """A mistake in a config, a flag or the data. The binary prints it and exits with status 2.

    Args:
      problem: what is wrong, one sentence or a few lines.
      set_in: where it was set: a file and line, a flag, a row.
      valid: what would be right.
      see: the next command to run.
    """

    def __init__(
        self,
        problem: str,
        *,
        set_in: str | None = None,
        valid: str | None = None,
        see: str | None = None,
    ):
        super().__init__(problem)
        self.problem, self.set_in, self.valid, self.see = problem, set_in, valid, see

    def __str__(self) -> str:
        rows = [("set in", self.set_in), ("valid", self.valid), ("see", self.see)]
        return "\n".join([self.problem, *(f"  {key:<7} {text}" for key, text in rows if text)])


class ConfigError(UserError):
    """A gin file, a binding or a flag that cannot be what was meant."""


class DataError(UserError):
    """Input that cannot be read, or that no run could learn from.

    Attributes:
      row: the number, from 0, of the one of several examples that cannot be read.
      answers: The answers that are wrong; `examples` adds the rows in which they stand.
    """

    row: int | None = None
    answers: Collection[str] = ()


class WeightsError(UserError):
    """Weights that are missing, pickled, torn or of another shape than their config."""


class DepthError(UserError):
    """A number of layers to freeze that the backbone does not have."""


class FreezeError(UserError):
    """A mask that matches nothing, trains nothing, or that training did not keep."""


class DivergenceError(UserError):
    """A loss that is NaN or infinite."""


class WorkdirError(UserError):
    """A workdir that is in use, read-only, full, or holds another run."""


class ExportError(UserError):
    """An export whose predictions differ from the model's."""


def refuse_unknown(found: Iterable[str], labels: Collection[str]) -> None:
    """Raises a DataError for the first label that is none of the task's."""
    wrong = next((label for label in found if label not in labels), None)
    if wrong is not None:
        raise DataError(f"the label {wrong!r} is none of the task's.", valid=near(wrong, labels))


def near(name: str, names: Iterable[str], count: int = 3) -> str:
    """Returns the nearest of `names` as text for an error, or all of a short list."""
    options = sorted(set(names))
    close = difflib.get_close_matches(name, options, count, cutoff=0.5)
    return ", ".join(close or options[:12]) or "(none)"
