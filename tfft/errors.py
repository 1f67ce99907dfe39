"""The one kind of error that is a person's to mend: what, where, what would be right, what next."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

# The Python calls for the commands that need a config. The other commands need none and stay.
CALLS = {
    "check": "tfft.check(task, backbone, source, stages)",
    "train": "tfft.train(task, backbone, source, stages, workdir=FOLDER)",
    "evaluate": "tfft.api.evaluate(task, backbone, workdir, source=source)",
    "predict": "tfft.api.predict(task, backbone, workdir, input=FILE)",
    "export": "run.export(FOLDER), with the run that tfft.train returns",
}
LONGEST = 100  # characters of a name that an error looks through
MOST_WORK = 2_000_000  # pairs of characters that `near` compares
_FLAGS = r"(?: --[^\s,;]+)*"
_COMMAND = re.compile(rf"\btfft (?:({'|'.join(CALLS)})\b|show\b( [\w.]+)?){_FLAGS}")
_FLAG = re.compile(r"(?<![\w-])--(?:gin\.(?:\w+\.)*)?([A-Za-z]\w*)")


class UserError(Exception):
    """A mistake in a config, a flag or the data. The binary prints it and exits with status 2.

    `see`, `valid` and `set_in` are written for the command line. `str` names Python calls and
    arguments in place of commands and flags, unless the error came through a config or a command.

    Args:
      problem: what is wrong, one sentence or a few lines.
      set_in: where it was set: a file and line, a flag, a row.
      valid: what would be right.
      see: the next command to run.
      call: the next Python call, if `python_form` of `see` does not name the right one.
      answers: the wrong answers of a DataError; `examples` adds the rows in which they stand.

    Attributes:
      from_command: True if the arguments came from a config or a command line.
    """

    from_command = False

    def __init__(
        self,
        problem: str,
        *,
        set_in: str | None = None,
        valid: str | None = None,
        see: str | None = None,
        call: str | None = None,
        answers: Collection[str] = (),
    ):
        super().__init__(problem)
        self.problem, self.set_in, self.valid, self.see = problem, set_in, valid, see
        self.call, self.answers = call, frozenset(answers)

    def __str__(self) -> str:
        if self.from_command:
            rows = [("set in", self.set_in), ("valid", self.valid), ("see", self.see)]
        else:
            rows = [("set in", python_form(self.set_in)), ("valid", python_form(self.valid))]
            rows.append(("see", self.call or python_form(self.see)))
        return "\n".join([self.problem, *(f"  {key:<7} {text}" for key, text in rows if text)])


def python_form(text: str | None) -> str | None:
    """Returns a text with Python calls in place of commands, and arguments in place of flags.

    A macro has the name of the argument that it sets, in upper case: `--gin.TEXT=COLUMN` becomes
    `text=COLUMN`, and a reference `@keras_hub()` a call.
    """
    if text is None:
        return None
    text = _FLAG.sub(lambda flag: flag[1].lower(), _COMMAND.sub(_call_of, text))
    return re.sub(r"@([\w./]+\(\))", r"\1", text)


def _call_of(command: re.Match[str]) -> str:
    return CALLS[command[1]] if command[1] else f"help({(command[2] or 'tfft.train').strip()})"


class ConfigError(UserError):
    """A gin file, a binding or a flag that cannot be what was meant."""


class DataError(UserError):
    """Input that cannot be read, or that no run could learn from.

    Attributes:
      row: the number, from 0, of the one of several examples that cannot be read.
      skippable: True if the rows that it is about can be left out, and the others read.
    """

    row: int | None = None
    skippable = False


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
    """Raises a DataError if some labels are none of the task's."""
    wrong = sorted(set(found) - set(labels))
    if wrong:
        others = f", nor are {len(wrong) - 1:,} other labels" if len(wrong) > 1 else ""
        problem = f"the label {wrong[0]!r} is none of the task's{others}."
        raise DataError(problem, valid=near(wrong[0], labels), answers=wrong)


def near(name: str, names: Iterable[str], count: int = 3) -> str:
    """Returns the nearest of `names` as text for an error, or all of a short list.

    Of very many names it returns the first ones, and none that is very long.
    """
    options, name = sorted(each for each in set(names) if len(each) <= LONGEST), name[:LONGEST]
    work = len(name) * sum(map(len, options))
    close = difflib.get_close_matches(name, options, count, cutoff=0.5) if work < MOST_WORK else []
    return ", ".join(close or options[:12]) or "(none)"
