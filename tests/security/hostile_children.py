"""Runs a function on hostile input in a child process, so that a crash or a hang is seen."""

import multiprocessing
import resource
import signal
import time
import traceback
from typing import NamedTuple

from tfft.errors import UserError

SECONDS, MEBIBYTES = 6, 500  # three times the 2 seconds of an idle machine, for others are busy


class Outcome(NamedTuple):
    """What became of a call.

    Attributes:
      kind: "value", "error" (a UserError), "traceback" (another one), "crash" or "hang".
      detail: The value's repr, the error's text, the traceback or the signal.
      seconds: That the call took.
      mebibytes: Of memory that it added at its peak.
    """

    kind: str
    detail: str
    seconds: float = 0.0
    mebibytes: float = 0.0

    @property
    def within_limits(self):
        return self.seconds <= SECONDS and self.mebibytes <= MEBIBYTES


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _child(pipe, call, arguments):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    before, start = _peak(), time.process_time()
    try:
        kind, detail = "value", repr(call(*arguments))[:2000]
    except UserError as error:
        kind, detail = "error", str(error)
    except BaseException:
        kind, detail = "traceback", traceback.format_exc()[-3000:]
    pipe.send(Outcome(kind, detail, time.process_time() - start, _peak() - before))


def call(function, *arguments, patience=30):
    """Returns the outcome of a call in a fork of this process.

    Args:
      patience: Seconds after which the child is ended.
    """
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(there, function, arguments))
    child.start()
    there.close()
    try:
        outcome = here.recv() if here.poll(patience) else Outcome("hang", f"{patience} seconds")
    except EOFError:
        child.join()
        outcome = Outcome("crash", signal.Signals(-child.exitcode).name if child.exitcode else "")
    child.kill()
    child.join()
    return outcome


def refused(function, *arguments, names=()):
    """Asserts that a call ends in a UserError within the limits; returns the error's text.

    Args:
      names: Strings that the error has to hold, such as the file and the row.
    """
    outcome = call(function, *arguments)
    assert outcome.kind == "error", outcome
    assert outcome.within_limits, outcome
    for name in map(str, names):
        assert name in outcome.detail, outcome
    return outcome.detail
