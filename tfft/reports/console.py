"""What a person sees: results on standard output, all else on standard error."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console as Rich
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from tfft.reports.printable import printable

LONGEST = 2_000  # characters of a line of an error
PLAIN_SECONDS = 5.0  # between two lines of progress where there is no terminal


class _Plain:
    """Progress as plain lines: done, rate and time left."""

    def __init__(self, console: Console, title: str, total: int):
        self.console, self.title, self.total, self.done = console, title, total, 0
        self.began = self.last = time.monotonic()

    def advance(self, count: int) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.last >= PLAIN_SECONDS:
            self.last = now
            rate = self.done / (now - self.began)
            left = (self.total - self.done) / rate if rate else 0
            self.console.info(
                f"{self.title}: {self.done:,} of {self.total:,}, {rate:,.0f}/s, {left:.0f} s left"
            )


class _Bar:
    """Progress as a bar with rate and time left."""

    def __init__(self, bars: Progress, title: str, total: int):
        self.bars, self.task = bars, bars.add_task(title, total=total, rate="")
        self.began, self.done = time.monotonic(), 0

    def advance(self, count: int) -> None:
        self.done += count
        rate = self.done / max(time.monotonic() - self.began, 1e-9)
        self.bars.update(self.task, advance=count, rate=f"{rate:,.0f}/s")


def print_error(text: str) -> None:
    """Writes an error or a traceback to standard error: no control characters, no endless line."""
    lines = (line if len(line) <= LONGEST else f"{line[:LONGEST]} ..." for line in text.split("\n"))
    print(printable("\n".join(lines)), file=sys.stderr)


class Console:
    """Writes tables, lines and progress.

    No text that it gets styles the terminal, controls it or changes the direction of writing.

    Args:
      quiet: shows results and warnings only.
    """

    def __init__(self, quiet: bool = False):
        self.quiet = quiet
        plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
        self._out = Rich(file=sys.stdout, soft_wrap=True, **plain)
        self._err = Rich(file=sys.stderr, soft_wrap=True, **plain)

    @property
    def interactive(self) -> bool:
        return self._err.is_terminal

    def result(self, text: str) -> None:
        self._out.print(printable(text))

    def info(self, text: str) -> None:
        if not self.quiet:
            self._err.print(printable(text))

    def warn(self, text: str) -> None:
        self._err.print(f"warning: {printable(text)}", style="yellow")

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        result: bool = False,
    ) -> None:
        """Shows a table: framed on a terminal, plain aligned lines elsewhere.

        Args:
          title: above it.
          columns: their heads.
          rows: cells of any type; a column of numbers is aligned to the right.
          result: whether it goes to standard output, also with `quiet`.
        """
        if self.quiet and not result:
            return
        console = self._out if result else self._err
        title, *columns = (printable(each, lines=False) for each in (title, *columns))
        cells = [[printable(str(cell), lines=False) for cell in row] for row in rows]
        right = [all(_is_number(row[place]) for row in cells) for place in range(len(columns))]
        if not console.is_terminal:
            lines = [title, *_aligned([list(columns), *cells], right)]
            console.print("\n".join(lines))
            return
        table = Table(title=title, title_justify="left", title_style="bold")
        for column, numbers in zip(columns, right, strict=True):
            table.add_column(column, justify="right" if numbers else "left", overflow="fold")
        for row in cells:
            table.add_row(*row)
        console.print(table)

    @contextlib.contextmanager
    def progress(self, title: str, total: int) -> Iterator[Any]:
        """Yields an object whose `advance(count)` moves the bar."""
        title = printable(title, lines=False)
        if self.quiet or not self.interactive:
            yield _Plain(self, title, total)
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._err, transient=True) as bars:
            yield _Bar(bars, title, total)


def _is_number(cell: str) -> bool:
    return bool(re.fullmatch(r"-?[\d,.]+ ?[%\w]{0,3}", cell)) or not cell


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """Returns lines whose columns stand two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if numbers else cell.ljust(width)
            for cell, width, numbers in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]
