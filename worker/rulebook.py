"""The rules of a venue over all cameras: their periods, their events and their metrics."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import NamedTuple

from worker.config import Settings
from worker.metrics import Metrics
from worker.output.event import EventMaker, PeriodSummary, ViolationSummary
from worker.output.rules.compliance import Compliance
from worker.output.rules.limits import Limits, RuleChange
from worker.output.rules.violations import Change, ViolationWatch
from worker.output.rules.zones import Zones
from worker.pipeline import Rules
from worker.venue import EVERYWHERE


class Open(NamedTuple):
    """A violation that is open, and where."""

    camera_id: str
    violation: ViolationSummary


class Rulebook:
    """Zones, violations, compliance and limits of one worker.

    Args:
        settings: with all cameras and zones.
        maker: makes the events of periods and limits.
        metrics: gets the children of every zone.
        now_s: monotonic clock.
        now: wall clock, seconds since the epoch.
    """

    def __init__(
        self, settings: Settings, maker: EventMaker, metrics: Metrics, now_s: float, now: float
    ) -> None:
        self.zones = settings.zones
        cameras = _cameras_by_zone(settings)
        self.compliance = Compliance(
            cameras,
            period_s=settings.compliance.period_s,
            min_persons=settings.compliance.min_persons,
            now_s=now_s,
            now=now,
        )
        self.limits = Limits(settings.compliance, settings.zones, itertools.count(1))
        self._settings = settings
        self._maker = maker
        self._all_metrics = metrics
        self._metrics = {name: metrics.add_zone(name, ids) for name, ids in cameras.items()}
        self._numbers = itertools.count(1)
        self._watches: dict[str, ViolationWatch] = {}

    def change(self, settings: Settings, now_s: float, now: float) -> None:
        """These are the cameras and zones from now on; what they have in common goes on."""
        cameras = _cameras_by_zone(settings)
        self._settings = settings
        self.zones = settings.zones
        self._watches = {name: w for name, w in self._watches.items() if name in settings.cameras}
        self._tell(self.compliance.change(cameras, now_s, now))
        for change in self.limits.change(settings.zones):
            self._tell_limit(change)
        for name in self._metrics.keys() - cameras.keys():
            self._metrics.pop(name).remove()
        for name, ids in cameras.items():
            if name in self._metrics:
                self._metrics[name].change(ids)
            else:
                self._metrics[name] = self._all_metrics.add_zone(name, ids)

    def of(self, camera_id: str) -> Rules:
        """What one camera's pipeline needs; call it at each start of a camera."""
        settings = self._settings
        watch = ViolationWatch(settings.violations, settings.violation_zones, self._numbers)
        self._watches = {**self._watches, camera_id: watch}  # any thread may be reading it
        return Rules(Zones(camera_id, settings.zones), watch, self.compliance, self._count)

    def open_violations(self) -> list[Open]:
        """Those of all cameras, the newest first."""
        found = [Open(camera, v) for camera, w in self._watches.items() for v in w.active]
        return sorted(found, key=lambda open_one: -open_one.violation.started_at)

    def tick(self, now_s: float, now: float) -> None:
        """Tell of a period that is over, if one is. Call it every second or oftener."""
        self._tell(self.compliance.tick(now_s, now))

    def stop(self, now_s: float, now: float) -> None:
        """Tell of the period that is cut short, and end what is open."""
        self._tell(self.compliance.flush(now_s, now))
        for change in self.limits.stop():
            self._tell_limit(change)

    def _tell(self, periods: Iterable[PeriodSummary]) -> None:
        for period in periods:
            self._maker.compliance(period)
            self._metrics[period.zone].period(period)
            change = self.limits.judge(period)
            if change is not None:
                self._tell_limit(change)

    def _tell_limit(self, change: RuleChange) -> None:
        self._maker.rule(change.phase, change.rule, end_reason=change.end_reason)
        self._metrics[change.rule.period.zone].low.set(change.phase == "start")

    def _count(self, change: Change) -> None:
        metrics, kind = self._metrics.get(change.violation.zone), change.violation.kind
        if metrics is None:
            return  # the zone went while the frame was on its way
        number = change.violation.number
        if change.phase == "end":
            if number in metrics.open:  # not, where the zone went and came back meanwhile
                metrics.open.discard(number)
                metrics.active[kind].dec()
        elif number not in metrics.open:
            metrics.open.add(number)
            metrics.active[kind].inc()
        if change.phase == "start":
            metrics.violations[kind].inc()


def _cameras_by_zone(settings: Settings) -> dict[str, list[str]]:
    cameras = {EVERYWHERE: list(settings.cameras)}
    return cameras | {name: list(zone.cameras) for name, zone in settings.zones.items()}
