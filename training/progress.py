"""Progress: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Told = Callable[[int, int], None]
"""Told how many are done, and how many there are."""

LINE_S = 30.0
"""Seconds between two lines where there is no terminal: a log of an hour has 120 of them."""


@contextmanager
def progress(what: str) -> Iterator[Told]:
    """A bar on standard error while the block runs; lines, if that is no terminal.

    Args:
        what: is counted.
    """
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    told_s = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def told(done: int, of: int) -> None:
            nonlocal told_s
            bar.update(task, completed=done, total=of)
            if bar.disable and time.monotonic() - told_s >= LINE_S:
                told_s = time.monotonic()
                console.print(f"{what} {done}/{of}", highlight=False)

        yield told
