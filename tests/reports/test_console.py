"""Results go to standard output, all else to standard error, and nothing is cut."""

from __future__ import annotations

from tfft.reports import console
from tfft.reports.console import Console


def test_results_and_the_rest_go_apart(capsys):
    say = Console()
    say.result("accuracy [0.9]")
    say.info("reading [b]")
    say.warn("short")
    shown = capsys.readouterr()
    assert shown.out == "accuracy [0.9]\n"
    assert shown.err == "reading [b]\nwarning: short\n"


def test_quiet_keeps_results_and_warnings(capsys):
    say = Console(quiet=True)
    say.info("no")
    say.table("No", ["a"], [["b"]])
    say.table("Yes", ["a"], [["b"]], result=True)
    say.warn("yes")
    with say.progress("no", 2) as bar:
        bar.advance(2)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("Yes\na\nb\n", "warning: yes\n")


def test_plain_tables_are_aligned_and_whole(capsys):
    wide = "x" * 300
    Console().table("T", ["name", "count"], [[wide, 1], ["a", "12,000"]], result=True)
    assert capsys.readouterr().out.splitlines() == [
        "T",
        f"name{' ' * 296}   count",
        f"{wide}       1",
        f"a{' ' * 299}  12,000",
    ]


def test_plain_progress_says_rate_and_time_left(capsys, monkeypatch):
    now = iter([0.0, 1.0, 6.0, 8.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(now))
    with Console().progress("encoding", 120) as bar:
        for _ in range(3):
            bar.advance(30)
    assert capsys.readouterr().err == "encoding: 60 of 120, 10/s, 6 s left\n"
