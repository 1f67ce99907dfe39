"""Seconds of `import tensorflow`, over seconds from start to the first training step.

`tfft train` with quick/text.gin on a CSV of 500 short texts, MiniLM-L6, 4 of 6 layers frozen; every
run in a process of its own, with an empty store. The texts are few because start-up is what does
not grow with them: encoding and the frozen layers' outputs come before the first step too, about
2 ms a text.
"""

from __future__ import annotations

import csv
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from benchmarks.harness import Outcome, interleave
from tfft.data.sources.demo.movie_reviews import movie_reviews

REACH = 0.35
FIRST_STEP = """
import os, sys
from tfft.cli.main import command
def stop(*ignored, **also):
    print("first step", flush=True)
    os._exit(0)
import threading
def watch():
    import time
    name = "tfft.training.loop"
    while name not in sys.modules or not hasattr(sys.modules[name], "reseed"):
        time.sleep(0.01)
    sys.modules[name].Recorder.on_train_batch_end = stop
threading.Thread(target=watch, daemon=True).start()
sys.exit(command(sys.argv[1:]) or 3)
"""


def run(quick: bool, pairs: int) -> Outcome:
    """Returns the import's seconds over those to the first step."""
    with tempfile.TemporaryDirectory() as room:
        source = movie_reviews()
        # Of all its splits: `files` splits them anew.
        rows = [row for split in source.splits for row in source.rows(split)]
        rows = random.Random(0).sample(rows, 500)
        data = pathlib.Path(room, "reviews.csv")
        with open(data, "w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])

        def first_step(number: int) -> float:
            words = [
                "train",
                "--gin_file=quick/text.gin",
                f"--gin.DATA={data}",
                f"--workdir={room}/run-{number}",
                "--quiet",
            ]
            store = {**os.environ, "TFFT_STORE": f"{room}/store-{number}"}
            return _seconds([sys.executable, "-P", "-c", FIRST_STEP, *words], store, "first step")

        def imported(number: int) -> float:
            return _seconds([sys.executable, "-P", "-c", "import tensorflow"], dict(os.environ), "")

        imported(0)
        found = interleave(first_step, imported, pairs)
    for mine, other in found:
        print(f"  import {other:.2f} s, first step after {mine:.2f} s")
    return Outcome([b / a for a, b in found], [], {"seconds": found})


def _seconds(command: list[str], environment: dict[str, str], expected: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if done.returncode or expected not in done.stdout:
        raise SystemExit(f"{command[:3]} ended with {done.returncode}: {done.stderr[-800:]}")
    return seconds
