"""The benchmarks' harness: what it prints, checks and writes. No benchmark is run here."""

import json
import re
import subprocess
import sys

import pytest

from benchmarks import harness
from benchmarks.__main__ import main, names

NAMES = {
    "end_to_end",
    "trainer",
    "features",
    "buckets",
    "convolution",
    "tokenizer",
    "matmul_share",
    "scale",
    "startup",
    "serve_length",
}


def test_every_name_is_there():
    assert set(names()) == NAMES


def test_the_last_line_has_median_and_range():
    line = harness.last_line("scale", [3.0, 1.0, 2.0, 10.0, 2.5])
    assert line == "scale ratio=2.500 low=1.000 high=10.000 pairs=5"


def test_pairs_alternate():
    order = []
    found = harness.interleave(
        lambda n: order.append("ours") or 1.0, lambda n: order.append("theirs") or 2.0, 3
    )
    assert found == [(1.0, 2.0)] * 3
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]


def test_winning_by_doing_less_is_a_fault(capsys):
    good, bad = [harness.Score(850, 1000)] * 5, [harness.Score(700, 1000)] * 5
    assert harness.accuracy_fault(good, good) is None
    assert harness.accuracy_fault(good, bad) is None
    assert "below" in harness.accuracy_fault(bad, good)
    assert harness.accuracy_fault([harness.Score(845, 1000)] * 5, good) is None
    assert "interval" in capsys.readouterr().out


def test_results_replace_the_row_of_their_name(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(harness, "RAW", tmp_path / "results")
    for name, ratios in (("scale", [1.0]), ("buckets", [3.0]), ("scale", [2.0, 4.0])):
        harness.write(name, 0.9, harness.Outcome(ratios), True)
    rows = re.findall(r"^\| (\w+) \| ([\d.]+)", harness.RESULTS.read_text(), re.M)
    assert rows == [("buckets", "3.00"), ("scale", "3.00")]
    raw = json.loads((tmp_path / "results" / "scale.json").read_text())
    assert raw["ratios"] == [2.0, 4.0] and raw["machine"]["versions"]["tensorflow"]


def test_an_unknown_name_is_refused(capsys):
    assert main(["end_to_ends"]) == 2
    assert "end_to_end" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif("TFFT_TEST_GPU" in __import__("os").environ, reason="there is a GPU")
def test_the_gpu_benchmark_says_that_there_is_none():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and "no GPU" in done.stderr
