"""A million rows on disk train at the memory of ten thousand.

By hand, for the figures of each format: `python tests/data/test_larger_than_memory.py FOLDER`.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import shard_files

MOST_MB = 300  # of memory that a million rows may take beside ten thousand
WORDS = ("a", "and", "but", "film", "for", "in", "is", "it", "movie", "of", "plot", "the", "to")
CHILD = """
import json, resource, sys, time
import tfft
from tfft.backbones.text.tiny import tiny
from tfft.data.sources.shards import shards

began = time.monotonic()
source = shards(sys.argv[1])
opened = time.monotonic() - began
stage = tfft.Stage(epochs=None, steps=1000, batch_size=32)
run = tfft.train(
    tfft.tasks.TextClassification(), tiny(), source, stage, workdir=sys.argv[2], plots=False
)
found = {
    "index": opened,
    **run.report["seconds"],
    "train rows": source.size("train"),
    "all": time.monotonic() - began,
    "steps": run.report["curves"][-1]["step"],
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}
print(json.dumps(found))
"""


def rows(count):
    """Yields short texts of two labels."""
    rng = random.Random(0)
    for number in range(count):
        label = rng.choice(("good", "bad"))
        yield " ".join([*rng.choices(WORDS, k=rng.randint(3, 9)), label, str(number)]), label


def trained(folder, kind, count, run="run"):
    """Writes rows if they are not there, trains on them in a new process; returns its figures."""
    path = folder / f"{count}.{kind}"
    if not path.exists():
        settings = {"row_group_size": 100_000} if kind == "parquet" else {}
        shard_files.write(path, rows(count), **settings)
    environment = {
        **os.environ,
        "TFFT_STORE": str(folder / f"store-{kind}"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [sys.executable, "-c", CHILD, str(path), str(folder / f"{run}-{count}-{kind}")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_million_rows_take_the_memory_of_ten_thousand(tmp_path):
    few, many = (trained(tmp_path, "jsonl", count) for count in (10_000, 1_000_000))
    assert many["steps"] == few["steps"] == 1000
    assert many["peak_mb"] - few["peak_mb"] <= MOST_MB, (few, many)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    for kind in sys.argv[2:] or shard_files.FORMATS:
        for count, run in ((10_000, "first"), (1_000_000, "first"), (1_000_000, "second")):
            began = time.monotonic()
            found = trained(folder, kind, count, run)
            figures = {name: round(value, 1) for name, value in found.items()}
            print(kind, count, run, f"{time.monotonic() - began:.0f} s", figures, flush=True)
