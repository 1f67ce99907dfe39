"""SIGINT and SIGTERM: in Python code, in a long call of a library, twice, and during a batch."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from tfft.runs import signals

CHILD = """
import ctypes, multiprocessing, os, signal, sys, time
from tfft.runs import signals

def forked_children():
    if not os.fork():
        os.closerange(0, 3)
        time.sleep(8)
        os._exit(0)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        print(pool.map(abs, [-1]), flush=True)
    time.sleep(2.2)

def call_of_a_library():
    mutex = ctypes.create_string_buffer(64)
    ctypes.CDLL(None).pthread_mutex_lock(mutex)
    ctypes.CDLL(None).pthread_mutex_lock(mutex)  # for ever, and no signal ends it

def python_code():
    while True:
        time.sleep(0.01)

def last_checkpoint():
    try:
        python_code()
    finally:
        time.sleep(3)
        print("written", flush=True)

def batch_that_ends():
    with stop.deferred():
        while not stop.is_set():
            time.sleep(0.01)
        last_checkpoint_of_batch()

def last_checkpoint_of_batch():
    time.sleep(3)
    print("written", flush=True)
    raise KeyboardInterrupt

def batch_that_does_not_end():
    with stop.deferred():
        python_code()

try:
    with signals.stoppable(lambda number: signals.end_at_once(f"ended by {number}")) as stop:
        print("ready", flush=True)
        globals()[sys.argv[1]]()
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(128 + stop.number)
"""
CASES = {  # what a process says, and the seconds that it takes at least and at most
    "python_code": ("interrupted", 0, 0.8),
    "call_of_a_library": ("ended by", 1.5, 2.5),
    "last_checkpoint": ("written\ninterrupted", 3, 4),
    "batch_that_ends": ("written\ninterrupted", 3, 4),
    "batch_that_does_not_end": ("interrupted", 0.9, 1.6),
}


def start(case):
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, case],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    return process


@pytest.mark.parametrize(
    ("case", "number"),
    [
        ("python_code", signal.SIGINT),
        ("python_code", signal.SIGTERM),
        ("call_of_a_library", signal.SIGTERM),
        ("batch_that_does_not_end", signal.SIGINT),
        pytest.param("call_of_a_library", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("batch_that_does_not_end", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("last_checkpoint", signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param("batch_that_ends", signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_signal_acts_within_two_seconds(case, number):
    said, least, most = CASES[case]
    process = start(case)
    began = time.monotonic()
    process.send_signal(number)
    text = process.communicate(timeout=20)[0]
    assert least <= time.monotonic() - began <= most + 1  # of a busy machine
    assert process.returncode == 128 + number
    assert said in text and "Traceback" not in text


@pytest.mark.parametrize("case", ["call_of_a_library", "last_checkpoint"])
def test_a_second_signal_ends_a_process_at_once(case):
    process = start(case)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    text = process.communicate(timeout=20)[0]
    assert time.monotonic() - began < 1
    assert process.returncode == 128 + signal.SIGTERM
    assert "written" not in text and "Traceback" not in text


def test_forked_children_neither_stop_a_process_nor_keep_it():
    """A pool ends its children with SIGTERM; another child goes on after the process."""
    process = start("forked_children")
    began = time.monotonic()
    assert process.communicate(timeout=20)[0] == "[1]\n"
    assert process.returncode == 0 and time.monotonic() - began < 7


def test_handlers_are_restored_and_nested_ones_are_one():
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    threads = threading.active_count()
    with signals.stoppable(print) as outer, signals.stoppable() as inner:
        assert outer is inner
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before
    assert threading.active_count() == threads and signal.set_wakeup_fd(-1) == -1


def test_a_signal_after_the_last_batch_is_not_lost():
    with pytest.raises(KeyboardInterrupt), signals.stoppable() as stop, stop.deferred():
        signal.raise_signal(signal.SIGINT)


def test_in_another_thread_no_handler_is_set():
    found = []

    def work():
        with signals.stoppable(print) as stop:
            found.append((stop.is_set(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    with signals.stoppable() as stop:
        stop.number = signal.SIGINT
        thread.start()
        thread.join()
        assert found == [(False, signal.getsignal(signal.SIGTERM))]
