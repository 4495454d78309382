"""Persons of all cameras, counted up by zone and period, with what makes their rate a number.

A rate is only as good as the persons and the time behind it, so a summary never comes without
its denominator, its unknowns and its blind seconds; and a rate over too few persons is none.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from worker.output.event import PeriodSummary
from worker.output.rules.zones import Inside
from worker.records import CameraState, ClassName, Face, Label

KEPT_SUMMARIES = 60
"""Summaries of each zone that the live page can look back on: an hour of minutes."""

SEEING: frozenset[CameraState] = frozenset({"up", "off", "ended"})
"""States that are no blindness: outside its hours, or after its end, a camera misses nobody."""


@dataclass(slots=True)
class _Watch:
    """One camera: since when it is blind, and its blind seconds of this period."""

    blind_since_s: float | None
    blind_s: float = 0.0


@dataclass(slots=True)
class _Zone:
    """The persons of one zone in this period; those whose track ended are only counted.

    ``late`` is when it came, wall and monotonic clock, where that was after the period's start.
    """

    cameras: tuple[str, ...]
    present: dict[int, Label] = field(default_factory=dict)
    ended: Counter[Label] = field(default_factory=Counter)
    late: tuple[float, float] | None = None
    recent: deque[PeriodSummary] = field(default_factory=lambda: deque(maxlen=KEPT_SUMMARIES))

    def persons(self) -> Counter[Label]:
        """Persons by the label that was decided last; unknown where none was."""
        return self.ended + Counter(self.present.values())


class Compliance:
    """Counts the persons of all cameras by zone and period; any thread may call it.

    A person is a confirmed track. It counts once a period in each zone it is in, under the
    label that was decided last, whatever stood before; as unknown only if nothing was decided
    all period. Who stays for several periods counts in each.

    Args:
        zones: the cameras of each zone.
        period_s: length of a period; periods begin at whole multiples of it.
        min_persons: persons judged from which a period has a rate.
        now_s: monotonic clock.
        now: wall clock, seconds since the epoch.
    """

    def __init__(
        self,
        zones: Mapping[str, Sequence[str]],
        *,
        period_s: int,
        min_persons: int,
        now_s: float,
        now: float,
    ) -> None:
        self._zones = {name: _Zone(tuple(cameras)) for name, cameras in zones.items()}
        self._watches = {name: _Watch(now_s) for zone in zones.values() for name in zone}
        self._period_s = period_s
        self._min_persons = min_persons
        self._start, self._start_s = now, now_s
        self._lock = threading.Lock()

    def saw(self, faces: Sequence[Face], inside: Inside) -> None:
        """Take up the decisions of one frame, each in the zones in which its track counts."""
        with self._lock:
            for face in faces:
                for name in inside.get(face.track.number, ()):
                    if name not in self._zones:
                        continue  # it went while this frame was on its way
                    present = self._zones[name].present
                    if face.decision.label != "unknown" or face.track.number not in present:
                        present[face.track.number] = face.decision.label

    def ended(self, numbers: Iterable[int]) -> None:
        """These tracks won't come back: only their count is kept."""
        with self._lock:
            for number in numbers:
                for zone in self._zones.values():
                    label = zone.present.pop(number, None)
                    if label is not None:
                        zone.ended[label] += 1

    def camera(self, camera_id: str, state: CameraState, now_s: float) -> None:
        """A camera's state is this from then on; blindness before this period does not count."""
        with self._lock:
            watch = self._watches[camera_id]
            if state in SEEING and watch.blind_since_s is not None:
                watch.blind_s += max(0.0, now_s - watch.blind_since_s)
                watch.blind_since_s = None
            elif state not in SEEING and watch.blind_since_s is None:
                watch.blind_since_s = max(now_s, self._start_s)

    def tick(self, now_s: float, now: float) -> list[PeriodSummary]:
        """The summaries of a period that is over; none while it lasts. Call it every second.

        A wall clock that was set ends the period at once: its summary tells how long it was by
        the monotonic clock.
        """
        with self._lock:
            end = self._end()
            if self._start <= now < end:
                return []
            whole = end <= now < end + self._period_s
            summaries = self._close(now_s, end if now >= end else self._start)
            self._start = end if whole else now
            return summaries

    def flush(self, now_s: float, now: float) -> list[PeriodSummary]:
        """The summaries of the period that is cut short by the end of the worker."""
        with self._lock:
            summaries = self._close(now_s, max(self._start, min(now, self._end())))
            self._start = now
            return summaries

    def change(
        self, zones: Mapping[str, Sequence[str]], now_s: float, now: float
    ) -> list[PeriodSummary]:
        """These are the zones and their cameras from now on; what goes on goes on.

        A new camera is blind until it says otherwise; one that is no more leaves its persons to
        the period, and takes its blind seconds with it.

        Returns:
            The summaries of zones that are no more, whose period is cut short.
        """
        with self._lock:
            blind, end = self._blind(now_s), max(self._start, min(now, self._end()))
            gone = [name for name in self._zones if name not in zones]
            summaries = [self._summary(name, blind, now_s, end) for name in gone]
            kept = {name: zone for name, zone in self._zones.items() if name in zones}
            for name, cameras in zones.items():
                zone = kept.setdefault(name, _Zone((), late=(now, now_s)))
                zone.cameras = tuple(cameras)
            self._zones = kept
            for camera in itertools.chain.from_iterable(zones.values()):
                self._watches.setdefault(camera, _Watch(now_s))
            return summaries

    def recent(self, zone: str) -> list[PeriodSummary]:
        """The last summaries of a zone, the oldest first."""
        with self._lock:
            return list(self._zones[zone].recent) if zone in self._zones else []

    def now(self, zone: str, now_s: float, now: float) -> PeriodSummary:
        """The period that is going on, as it stands."""
        with self._lock:
            return self._summary(zone, self._blind(now_s), now_s, now)

    def _end(self) -> float:
        """The next whole multiple of the period."""
        return (self._start // self._period_s + 1) * self._period_s

    def _close(self, now_s: float, end: float) -> list[PeriodSummary]:
        blind = self._blind(now_s)
        summaries = [self._summary(name, blind, now_s, end) for name in self._zones]
        for summary in summaries:
            zone = self._zones[summary.zone]
            zone.recent.append(summary)
            zone.present.clear()
            zone.ended.clear()
            zone.late = None
        for watch in self._watches.values():
            watch.blind_s = 0.0
            if watch.blind_since_s is not None:
                watch.blind_since_s = now_s
        self._start_s = now_s
        return summaries

    def _blind(self, now_s: float) -> dict[str, float]:
        """Blind seconds of this period by camera; those without any are left out."""
        seconds = {
            name: watch.blind_s
            + (0.0 if watch.blind_since_s is None else now_s - watch.blind_since_s)
            for name, watch in self._watches.items()
        }
        return {name: s for name, s in seconds.items() if s > 0}

    def _summary(
        self, name: str, blind: Mapping[str, float], now_s: float, end: float
    ) -> PeriodSummary:
        zone = self._zones.get(name) or _Zone(())
        persons = zone.persons()
        start, start_s = zone.late or (self._start, self._start_s)
        judged = persons.total() - persons["unknown"]
        masked: ClassName = "with_mask"
        return PeriodSummary(
            zone=name,
            start=start,
            end=max(start, end),
            duration_s=now_s - start_s,
            cameras=zone.cameras,
            persons=persons,
            rate=persons[masked] / judged if judged >= self._min_persons else None,
            blind={camera: blind[camera] for camera in zone.cameras if camera in blind},
        )
