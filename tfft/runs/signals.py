"""Signals that stop a command or a run, within two seconds whatever it does."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

GRACE = 1.0  # seconds that a batch has to end, so that its checkpoint is written
LIMIT = 1.8  # seconds after which a command ends that cannot be interrupted
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a run is asked to stop.

    A signal raises KeyboardInterrupt at once, except within `deferred`.

    Attributes:
      number: The last signal; None before the first one.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.reacts = False  # whether KeyboardInterrupt is raised, or the deferred place reached
        self.repeated = 0  # signals that this class has sent itself
        self.handlers: dict[int, Any] = {}  # those before this one, by signal
        self.sockets: tuple[socket.socket, ...] = ()  # of `_watched`
        self._asked: threading.Event | None = None  # within `deferred`

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Lets a signal wait for the place where `is_set` is called, for `GRACE` seconds.

        Raises:
          KeyboardInterrupt: At the end, if that place was not reached.
        """
        before, asked, ended = self._asked, threading.Event(), threading.Event()
        self._asked = asked
        # Not started by the handler: the thread that it interrupts may hold the lock for that.
        waiter = threading.Thread(target=self._interrupt_later, args=(asked, ended))
        waiter.daemon = True
        waiter.start()
        try:
            yield
            if self.is_set():
                raise KeyboardInterrupt
        finally:
            self._asked = before
            ended.set()
            asked.set()
            waiter.join()

    def is_set(self) -> bool:
        """Returns True if a signal waits; the caller then takes the time that it needs."""
        if self.number is not None:
            self.reacts = True
        return self.number is not None

    def handle(self, number: int, frame: Any) -> None:
        """Handles a signal."""
        waits = self._asked if self.number is None else None
        self.number = number
        if waits is None:
            self.reacts = True
            raise KeyboardInterrupt
        waits.set()

    def _interrupt_later(self, asked: threading.Event, ended: threading.Event) -> None:
        asked.wait()
        if not ended.wait(GRACE) and not self.reacts and self.number is not None:
            self.repeated += 1
            _thread.interrupt_main(signal.Signals(self.number))


_active: Stop | None = None


@contextlib.contextmanager
def stoppable(end: Callable[[int], None] | None = None) -> Iterator[Stop]:
    """Makes SIGINT and SIGTERM stop what runs within; within another `stoppable` it is that one.

    Args:
      end: Called with the number of the signal in another thread, where a process does not react
        within `LIMIT` seconds, as in a long call of a library, or where a second signal arrives;
        then the process ends. None leaves such a process as it is: it may be a notebook.
    """
    global _active
    if threading.current_thread() is not threading.main_thread():
        yield Stop()
        return
    if _active is not None:
        yield _active
        return
    _active = stop = Stop()
    stop.handlers = {number: signal.signal(number, stop.handle) for number in SIGNALS}
    try:
        with _watched(stop, end) if end else contextlib.nullcontext():
            yield stop
    finally:
        _active = None
        _restore(stop.handlers)


def _restore(handlers: Mapping[int, Any]) -> None:
    """Sets handlers by signal."""
    for number, handler in handlers.items():
        # None stands for a handler that was not set from Python and cannot be set again.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _leave_in_child() -> None:
    """Lets signals act on a forked child as before `stoppable`; the parent must not get them.

    A pool of processes ends its workers with SIGTERM. They would also keep the sockets open that
    `_watched` waits for.
    """
    global _active
    stop, _active = _active, None
    if stop is not None:
        signal.set_wakeup_fd(-1)
        for each in stop.sockets:
            each.close()
        _restore(stop.handlers)


os.register_at_fork(after_in_child=_leave_in_child)


@contextlib.contextmanager
def _watched(stop: Stop, end: Callable[[int], None]) -> Iterator[None]:
    """Ends the process that does not react; a thread reads the signals as they arrive.

    Python's handlers run in the main thread, once it has returned from a call of a library.
    """
    arrives, sender = stop.sockets = socket.socketpair()
    sender.setblocking(False)
    before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        number = _next(arrives, None)
        if number is None:
            return
        limit = time.monotonic() + LIMIT
        while (second := _next(arrives, limit)) and stop.repeated:
            stop.repeated -= 1
        if second is None and stop.reacts:  # it unwinds, and may write a checkpoint
            second = _next(arrives, None)
        if not finished.is_set():
            end(second or number)
            os._exit(128 + (second or number))

    finished = threading.Event()
    thread = threading.Thread(target=watch, name="tfft-signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        signal.set_wakeup_fd(before, warn_on_full_buffer=False)
        sender.close()
        thread.join()
        arrives.close()


def _next(arrives: socket.socket, limit: float | None) -> int | None:
    """Returns the next signal that stops a command; None at a time and at the end.

    Args:
      limit: The time, of `time.monotonic`; None waits.
    """
    try:
        while True:
            arrives.settimeout(limit and max(limit - time.monotonic(), 1e-3))
            content = arrives.recv(1)
            if not content or content[0] in SIGNALS:
                return content[0] if content else None
    except TimeoutError:
        return None


def end_at_once(message: str) -> None:
    """Writes a message to standard error, past all that may be locked, and shows the cursor."""
    cursor = "\x1b[?25h" if sys.stderr is not None and sys.stderr.isatty() else ""
    with contextlib.suppress(OSError):
        os.write(2, f"{cursor}\n{message}\n".encode(errors="backslashreplace"))
