"""What a fault is: how it is done, and by what it must be known."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from service.chaos.rig import Rig

Cell = Literal["start", "middle", "twice", "2s", "60s"]
Part = Literal["camera", "redis", "disk", "worker"]
Inflict = Callable[[Rig], AbstractContextManager[None]]

CELLS: tuple[Cell, ...] = ("start", "middle", "twice", "2s", "60s")
RUNNING: tuple[Cell, ...] = ("middle", "twice", "2s", "60s")

NEVER_S = 1e9
"""Shows after this: what it changes may be too little to be told."""


@dataclass(frozen=True, slots=True)
class Metric:
    """Series any of which shows a fault: it falls to 0, or it rises."""

    series: tuple[str, ...]
    does: Literal["falls to 0", "rises"]

    def __str__(self) -> str:
        """For the page: its name, and its labels where there is only one."""
        name = self.series[0] if len(self.series) == 1 else self.series[0].partition("{")[0]
        return f"`{name}` {self.does}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, and what is to be seen of it.

    Attributes:
        part: what fails.
        does: what happens, as a sentence without its full stop.
        inflict: does it on entry, undoes it on exit.
        consumer, operator, worker: what each of them sees or does.
        cap_s: longest pause between two of the worker's attempts, after which it is back.
        alert: which one fires, if it lasts.
        log: pattern of the line that tells of it.
        metric: what shows it.
        event: fields of the event that tells of it; a set holds any of several values.
        shows_after_s: a shorter one may pass unseen, and has to leave no trace then.
        rest_s: all has to be well for so long before, so that no back-off is left from earlier.
        spares: cameras that it has nothing to do with: no event may say that they were blind.
        loses: reason of the losses that are right here; none are otherwise.
        cells: when it can happen.
        new_life: it ends the process, so another run goes on.
    """

    name: str
    part: Part
    does: str
    inflict: Inflict
    consumer: str
    operator: str
    worker: str
    cap_s: float
    alert: str | None = None
    log: str | None = None
    metric: Metric | None = None
    event: dict[str, Any] | None = None
    shows_after_s: float = 0.0
    rest_s: float = 0.0
    spares: tuple[str, ...] = ()
    loses: str | None = None
    cells: tuple[Cell, ...] = CELLS
    new_life: bool = False


def until(condition: Callable[[], bool], deadline_s: float = 30.0) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: it does not come.
    """
    ends_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > ends_s:
            raise TimeoutError(f"not true after {deadline_s:g} s")
        time.sleep(0.05)


@contextlib.contextmanager
def repeatedly(work: Callable[[], object], every_s: float) -> Iterator[None]:
    """Do something again and again, on a thread."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(every_s):
            work()

    thread = threading.Thread(target=loop, name="repeatedly", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(5)
