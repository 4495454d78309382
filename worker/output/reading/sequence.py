"""What came before: the numbers of each camera and stream, and the runs of each worker."""

from __future__ import annotations

from typing import Literal, TypeVar

from worker.output.reading.notices import NewRun
from worker.output.wire import Event, Stream

REMEMBERED = 20_000
"""Marks that are kept: one a run, camera and stream; far more than a venue has. 4 MB."""

REMEMBERED_RUNS = 8
RUN_TIME_CHARS = 7

Place = tuple[Stream, str, str]
K = TypeVar("K")
V = TypeVar("V")


class Marks:
    """Tells what is next from what was there before, in memory of a fixed size.

    Order is promised per camera and stream, so one number for each, the highest that came, says
    of any other whether it was there before. That holds for entries as the stream has them; one
    that is handed out again, on the way to this consumer or from a dead one, is lower by right.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._highest: dict[Place, int] = {}
        self._runs: dict[str, tuple[str, ...]] = {}

    def highest(self, place: Place) -> int | None:
        """The highest number that came of this stream, camera and run; None: none yet."""
        return self._highest.get(place)

    def place(self, place: Place, seq: int) -> Literal["next", "repeated", "jump"]:
        """Where a number stands: after the highest, not above it, or further on."""
        highest = self._highest.get(place, -1)
        if seq <= highest:
            return "repeated"
        return "next" if seq == highest + 1 else "jump"

    def note(self, place: Place, seq: int) -> None:
        """This number came."""
        highest = self._highest.pop(place, -1)
        self._keep(self._highest, place, max(seq, highest))

    def run(self, event: Event) -> NewRun | None:
        """Told once where the worker of this event was started anew.

        The name of a run begins with its second. One that began before the newest is no news:
        streams are read one after the other, and another one may be ahead.
        """
        known = self._runs.get(event.worker_id, ())
        if event.run_id in known:
            return None
        if known and event.run_id[:RUN_TIME_CHARS] < known[-1][:RUN_TIME_CHARS]:
            return None
        self._runs.pop(event.worker_id, None)
        self._keep(self._runs, event.worker_id, (*known, event.run_id)[-REMEMBERED_RUNS:])
        return NewRun(event.worker_id, event.run_id, known[-1]) if known else None

    def _keep(self, kept: dict[K, V], key: K, value: V) -> None:
        kept[key] = value
        if len(kept) > self._remembered:
            del kept[next(iter(kept))]
