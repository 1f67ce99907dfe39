"""The command: one benchmark, or `all` of them, each in a process of its own."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import pkgutil
import statistics
import subprocess
import sys
import tempfile

import benchmarks
from benchmarks import harness

OTHERS = {
    "recipes",
    "checks",
    "harness",
    "sides",
    "gpu",
    "__main__",
    "scale_child",
    "startup_child",
}


def names() -> list[str]:
    """Returns the benchmarks: the files of this folder."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return [name for name in found if name not in OTHERS]


def main(arguments: list[str]) -> int:
    """Runs what is asked for; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", help=f"{', '.join(names())}, or all")
    parser.add_argument("--quick", action="store_true", help="smaller sizes")
    parser.add_argument("--pairs", type=int, default=5, help="at least 5 count")
    options = parser.parse_args(arguments)
    if options.name == "all":
        flags = ["--quick"] if options.quick else []
        codes = [
            subprocess.run(
                [sys.executable, "-m", "benchmarks", name, *flags], cwd=harness.FOLDER.parent
            ).returncode
            for name in names()
        ]
        return max(codes)
    if options.name not in names():
        nearest = difflib.get_close_matches(options.name, names(), 1) or names()
        print(
            f"there is no benchmark {options.name!r}; valid: {', '.join(nearest)}", file=sys.stderr
        )
        return 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with tempfile.TemporaryDirectory(prefix="tfft-bench-") as room:
        os.environ["TFFT_STORE"] = f"{room}/store"  # nothing of an earlier run is reused
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    module = importlib.import_module(f"benchmarks.{options.name}")
    print(f"{options.name}: {module.__doc__.splitlines()[0]}")
    outcome = module.run(options.quick, options.pairs)
    if outcome is None:  # an extra is missing, which was said
        return 0
    harness.write(options.name, module.REACH, outcome, options.quick)
    median = statistics.median(outcome.ratios)
    verdict = "reached" if median >= module.REACH else "NOT reached"
    print(f"{verdict}: {median:.3f}, to reach {module.REACH:g}")
    for fault in outcome.faults:
        print(f"does not count: {fault}")
    print(harness.last_line(options.name, outcome.ratios))
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
