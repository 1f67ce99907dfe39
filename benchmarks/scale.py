"""The rate on 1,000,000 generated short rows over the rate on 10,000, features on disk.

Head only on a body of 2 layers and 128 features (the size of BERT-tiny) with random weights, 2
epochs; encoding, filling and training count, each side in a process of its own. Memory is the
process' peak, disk what the store holds at the end.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from benchmarks.harness import FOLDER, Outcome, interleave

REACH = 0.9
MOST_GIB = 3.0


def run(quick: bool, pairs: int) -> Outcome:
    """Returns seconds a row of the small side over those of the large one."""
    large = 100_000 if quick else 1_000_000
    found: dict[int, list[dict]] = {large: [], 10_000: []}

    def side(rows: int) -> float:
        with tempfile.TemporaryDirectory() as room:
            command = [sys.executable, "-m", "benchmarks.scale_child", str(rows), room]
            environment = {**os.environ, "TFFT_STORE": f"{room}/store"}
            done = subprocess.run(
                command, capture_output=True, text=True, env=environment, cwd=FOLDER.parent
            )
            if done.returncode:
                raise SystemExit(done.stderr[-1500:])
            seen = json.loads(done.stdout.splitlines()[-1])
            store = pathlib.Path(room, "store").rglob("*")
            seen["disk_gib"] = sum(p.stat().st_size for p in store if p.is_file()) / 2**30
        found[rows].append(seen)
        return seen["seconds"] / rows

    costs = interleave(lambda _: side(large), lambda _: side(10_000), pairs)
    peak = max(seen["peak_gib"] for seen in found[large])
    for seen in found[large]:
        print(
            f"  {large:,} rows: {2 * large / seen['seconds']:,.0f} rows/s, peak memory "
            f"{seen['peak_gib']:.2f} GiB, disk {seen['disk_gib']:.2f} GiB, {seen['parts']}"
        )
    for seen in found[10_000]:
        print(f"  10,000 rows: {20_000 / seen['seconds']:,.0f} rows/s, {seen['parts']}")
    faults = [f"peak memory {peak:.2f} GiB"] if peak > MOST_GIB else []
    few, many = (
        sum(seen["right"] / seen["total"] for seen in found[n]) / pairs for n in sorted(found)
    )
    print(f"accuracy: {many:.3f} with {large:,} rows, {few:.3f} with 10,000; chance is 0.5")
    if many < few - 0.03 or few < 0.6:
        faults.append(f"accuracy {many:.2f} of the large side, {few:.2f} of the small one")
    details = {str(rows): seen for rows, seen in found.items()}
    return Outcome([b / a for a, b in costs], faults, details)
