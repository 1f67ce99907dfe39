"""Fresh processes without the seconds that TensorFlow takes to be imported.

Each is the fork of a process that has imported some modules and done nothing else, so it knows
nothing of the tests and of those that ran before it.
"""

import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

TENSORFLOW = ("tensorflow", "tensorflow_text")
TFFT = ("tfft.api",)
SERVER = """
import atexit, importlib, json, os, runpy, sys, traceback

def execute(words):
    first, *rest = words
    safe = first == "-P"
    if safe:
        first, *rest = rest
    if first == "-m":
        sys.argv, sys.path[0] = rest, os.getcwd()
        if safe:
            del sys.path[0]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
        if safe:
            del sys.path[0]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv, sys.path[0] = words, os.path.dirname(os.path.abspath(first))
        runpy.run_path(first, run_name="__main__")

def child(asked):
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    for number, name in enumerate((os.devnull, asked["out"], asked["err"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
    try:
        execute(asked["words"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

for name in sys.argv[1:]:
    importlib.import_module(name)
for line in sys.stdin:
    number = os.fork()
    if not number:
        child(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]), flush=True)
"""


@functools.cache
def _server(modules, preload):
    root = str(pathlib.Path(__file__).parent.parent)
    more = {"LD_PRELOAD": preload} if preload else {}
    return subprocess.Popen(
        [sys.executable, "-c", SERVER, *modules],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root, "TF_CPP_MIN_LOG_LEVEL": "3", **more},
    )


def run(command, cwd=None, modules=TFFT, preload=None, **given):
    """Does what `subprocess.run` does with a command of this Python, its output captured.

    Args:
      command: this Python, perhaps `-P`, then `-m NAME`, `-c CODE` or a file, then arguments.
      modules: what is imported already.
      preload: a library that is loaded before all others.
      given: of `subprocess.run`; `env` is heeded.
    """
    program, *words = command
    assert program == sys.executable
    server = _server(modules, preload)
    with tempfile.TemporaryDirectory() as room:
        out, err = pathlib.Path(room, "out"), pathlib.Path(room, "err")
        asked = {"words": words, "cwd": str(cwd or os.getcwd()), "out": str(out), "err": str(err)}
        asked["env"] = dict(given.get("env") or os.environ)
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())
