"""A run that was killed at any file operation ends with the same bits by the same command."""

import shutil
import signal

import file_operations
import pytest
from file_operations import EXPORT, GO, KILL, TRAIN, Recorder, make_home, results, run

PHASES = (TRAIN, EXPORT)
KILLED = {TRAIN: 12, EXPORT: 4}  # in `make test-all`, evenly spaced
TOGETHER = 10  # runs in one process


@pytest.fixture(scope="module", params=PHASES)
def phase(request, tmp_path_factory):
    """Returns a command, a folder to begin it in, its operations and what it ends with."""
    root = tmp_path_factory.mktemp("phase")
    begin = make_home(root / "begin")
    if request.param == EXPORT:
        assert run(begin).returncode == 0
    whole = root / "whole"
    home, recorder = shutil.copytree(begin, whole), Recorder()
    done = run(home, recorder, [request.param])
    assert done.returncode == 0, done.stderr
    assert file_operations.temporary_files(whole) == []
    return request.param, begin, recorder.seen, results(whole)


@pytest.mark.slow
def test_killed_by_a_signal(phase, tmp_path):
    command, begin, seen, expected = phase
    count = KILLED[command]
    for number in range(count):
        at = 1 + round(number * (len(seen) - 1) / (count - 1))
        home = shutil.copytree(begin, tmp_path / str(at))
        recorder = Recorder(at, KILL)
        done = run(home, recorder, [command])
        killed_at = (at, *recorder.seen[-1])
        assert done.returncode == -signal.SIGKILL, (killed_at, done.stderr)
        done = run(home, None, [command])
        problem = difference(home, done.stderr, str(done.returncode), expected)
        assert not problem, (killed_at, problem)
        shutil.rmtree(home)


@pytest.mark.extras
def test_every_state_that_a_kill_can_leave(phase, tmp_path):
    """The folder is copied at each operation while all threads wait, as SIGKILL would leave it."""
    command, begin, _, expected = phase
    home = shutil.copytree(begin, tmp_path / "home")
    states, count = {}, 0

    def keep(operation, path):
        nonlocal count
        count += 1
        if (state := file_operations.state(home)) not in states:
            states[state] = shutil.copytree(home, tmp_path / f"{count}"), operation, path
        return GO

    assert run(home, keep, [command]).returncode == 0
    print(f"{command}: {count} operations, {len(states)} states")
    homes = [folder for folder, *_ in states.values()]
    wrong = []
    for first in range(0, len(homes), TOGETHER):
        part = homes[first : first + TOGETHER]
        said = file_operations.run_again(part, command)
        assert len(said) == len(part)
        for folder, (text, status) in zip(part, said, strict=True):
            _, *killed_at = next(each for each in states.values() if each[0] == folder)
            if problem := difference(folder, text, status, expected):
                wrong.append((folder.name, *killed_at, problem))
            shutil.rmtree(folder)
        print(f"{first + len(part)} of {len(homes)}: {len(wrong)} wrong", *wrong, sep="\n  ")
    assert not wrong


def difference(home, text, status, expected):
    """Returns how the end of a run is not that of one that was never killed."""
    if status != "0" or "damaged" in text:
        return status, text[-900:]
    if left := file_operations.temporary_files(home):
        return left
    found = results(home)
    return [key for key in expected if found.get(key) != expected[key]]
