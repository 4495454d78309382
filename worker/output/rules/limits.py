"""Does a zone keep its limit? Summaries over time to a rule that is broken, and kept again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from worker.output.event import PeriodSummary, RuleSummary
from worker.venue import Compliance, Zone

UNJUDGED_PERIODS = 15
"""Periods without a rate, one after the other, after which a broken rule is let go."""

EndReason = Literal["recovered", "unjudged", "stopped"]


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule is broken from now on, or no more; ``end_reason`` only at its end."""

    phase: Literal["start", "end"]
    rule: RuleSummary
    end_reason: EndReason | None = None


@dataclass(slots=True)
class _Run:
    """Periods on end that speak for a change, and whether the rule is broken."""

    number: int | None = None
    started_at: float = 0.0
    lasted_s: float = 0.0
    against: int = 0
    unjudged: int = 0


class Limits:
    """The limits of all zones.

    A rule is broken when the rate was under the limit in ``limit_periods`` periods with a rate,
    one after the other, and kept again when it was at least ``limit_margin`` above (but at most
    at 1) in as many. A period without a rate says nothing, either way; too many of them end it.

    Args:
        rules: the section ``[compliance]``.
        zones: those that are configured; each may have a limit of its own.
        numbers: source of rule numbers, never repeating.
    """

    def __init__(
        self, rules: Compliance, zones: Mapping[str, Zone], numbers: Iterator[int]
    ) -> None:
        self._rules = rules
        self._own = _limits_of(zones)
        self._zones = frozenset(zones)
        self._numbers = numbers
        self._runs: dict[str, _Run] = {}
        self._broken: dict[str, RuleSummary] = {}

    def limit(self, zone: str) -> float | None:
        """The rate that a zone should keep, if any."""
        return self._own.get(zone, self._rules.limit)

    def change(self, zones: Mapping[str, Zone]) -> list[RuleChange]:
        """These are the zones from now on; what was broken ends where nothing asks for it."""
        gone = self._zones - zones.keys()
        self._zones = frozenset(zones)
        self._own = _limits_of(zones)
        for zone in gone:
            if zone not in self._broken:
                self._runs.pop(zone, None)
        return [
            self._end(rule, "stopped")
            for zone, rule in tuple(self._broken.items())
            if zone in gone or self.limit(zone) is None
        ]

    def broken(self, zone: str) -> RuleSummary | None:
        """The broken rule of a zone, as of its last period."""
        return self._broken.get(zone)

    def judge(self, period: PeriodSummary) -> RuleChange | None:
        """What the next period of a zone changes."""
        limit = self.limit(period.zone)
        if limit is None:
            return None
        run = self._runs.setdefault(period.zone, _Run())
        run.lasted_s += period.duration_s
        if run.number is None:
            return self._may_break(run, period, limit)
        return self._may_end(run, self._note(run, run.number, period, limit))

    def stop(self) -> list[RuleChange]:
        """End what is broken, since nobody counts any more."""
        changes = [RuleChange("end", rule, "stopped") for rule in self._broken.values()]
        self._broken.clear()
        self._runs.clear()
        return changes

    def _may_break(self, run: _Run, period: PeriodSummary, limit: float) -> RuleChange | None:
        if period.rate is None:
            return None
        if period.rate >= limit:
            run.against = 0
            return None
        if run.against == 0:
            run.started_at, run.lasted_s = period.start, period.duration_s
        run.against += 1
        if run.against < self._rules.limit_periods:
            return None
        run.number, run.against, run.unjudged = next(self._numbers), 0, 0
        return RuleChange("start", self._note(run, run.number, period, limit))

    def _note(self, run: _Run, number: int, period: PeriodSummary, limit: float) -> RuleSummary:
        rule = RuleSummary(number, limit, run.started_at, run.lasted_s, period)
        self._broken[period.zone] = rule
        return rule

    def _may_end(self, run: _Run, rule: RuleSummary) -> RuleChange | None:
        rate = rule.period.rate
        if rate is None:
            run.unjudged += 1
            return self._end(rule, "unjudged") if run.unjudged >= UNJUDGED_PERIODS else None
        run.unjudged = 0
        enough = min(1.0, round(rule.limit + self._rules.limit_margin, 6))  # 0.9 + 0.05 > 0.95
        good = rate >= enough
        run.against = run.against + 1 if good else 0
        return self._end(rule, "recovered") if run.against >= self._rules.limit_periods else None

    def _end(self, rule: RuleSummary, reason: EndReason) -> RuleChange:
        del self._broken[rule.period.zone]
        del self._runs[rule.period.zone]
        return RuleChange("end", rule, reason)


def _limits_of(zones: Mapping[str, Zone]) -> dict[str, float]:
    return {name: zone.limit for name, zone in zones.items() if zone.limit is not None}
