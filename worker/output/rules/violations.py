"""Decisions over time to violations: what is told of a person in a zone, from start to end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from worker.output.event import ViolationSummary
from worker.output.rules.zones import Inside
from worker.output.wire import Phase
from worker.records import Decision, Face
from worker.venue import ViolationKind, Violations

EndReason = Literal[
    "complied", "changed", "unknown", "left_zone", "gone", "camera_down", "stopped", "ended"
]
"""Why a violation ended: the person put its mask right, is now in violation of the other kind,
could not be judged any more, left the zone, or its track ended, for the last four reasons."""


@dataclass(frozen=True, slots=True)
class Change:
    """A violation begins, goes on or ends; ``end_reason`` only at its end."""

    phase: Phase
    violation: ViolationSummary
    end_reason: EndReason | None = None


@dataclass(slots=True)
class _Suspicion:
    """A track in a zone under a decision that may become a violation, or is one."""

    kind: ViolationKind
    since_s: float
    started_at: float
    score: float
    kept_s: float
    told_s: float = 0.0
    number: int | None = None

    def leave_out(self, unseen_s: float) -> None:
        """Count on as if so many seconds had not been; of an open one they lie within it."""
        self.kept_s += unseen_s
        if self.number is None:
            self.since_s += unseen_s
            self.started_at += unseen_s

    def summary(self, track: int, zone: str, now_s: float) -> ViolationSummary:
        """The violation as it stands."""
        return ViolationSummary(
            number=self.number or 0,
            track=track,
            kind=self.kind,
            started_at=self.started_at,
            duration_s=max(0.0, now_s - self.since_s),
            score=self.score,
            zone=zone,
        )


@dataclass(slots=True)
class _Person:
    """A track in a zone: what is open, and until when each kind cools down."""

    open: _Suspicion | None = None
    judged_s: float = math.inf
    cool_until_s: dict[ViolationKind, float] = field(default_factory=dict)


class ViolationWatch:
    """The violations of one camera.

    One begins when a track in a zone is decided to be of its kind with ``enter_score`` for
    ``enter_s`` on end; a single frame of another decision starts the time anew, and ``unknown``
    never begins one. It goes on while the decision stays with ``leave_score``, and ends when it
    did not for ``leave_s``, when the track leaves the zone, or when it ends. Time in which the
    face was looked for and not seen counts neither way.

    Args:
        rules: the section ``[violations]``.
        zones: where violations are told of.
        numbers: source of violation numbers; one for all cameras of a worker, never repeating.

    Attributes:
        active: those that are open now; replaced at each change, so that any thread may read it.
    """

    def __init__(self, rules: Violations, zones: Iterable[str], numbers: Iterator[int]) -> None:
        self.active: tuple[ViolationSummary, ...] = ()
        self._rules = rules
        self._zones = frozenset(zones)
        self._numbers = numbers
        self._persons: dict[tuple[int, str], _Person] = {}
        self._watched_s = -math.inf

    def watch(
        self, faces: Sequence[Face], inside: Inside, now_s: float, now: float
    ) -> list[Change]:
        """What a frame changes.

        Args:
            faces: those of the frame.
            inside: the zones in which each track counts.
            now_s: monotonic clock of the frame.
            now: wall clock of the frame, seconds since the epoch.
        """
        changes: list[Change] = []
        for face in faces:
            number = face.track.number
            present = inside.get(number, frozenset()) & self._zones
            for zone in sorted(self._left(number, present)):
                changes += self._end((number, zone), "left_zone", now_s)
            for zone in sorted(present):
                changes += self._judge((number, zone), face.decision, now_s, now)
        self._watched_s = now_s
        if changes:
            self._show(now_s)
        return changes

    def end(self, numbers: Iterable[int], reason: EndReason, now_s: float) -> list[Change]:
        """The tracks ended, for ``reason``: so do their violations, and nothing of them is kept."""
        gone = set(numbers)
        changes: list[Change] = []
        for key in [key for key in self._persons if key[0] in gone]:
            changes += self._end(key, reason, now_s)
            del self._persons[key]
        if changes:
            self._show(now_s)
        return changes

    def _judge(
        self, key: tuple[int, str], decision: Decision, now_s: float, now: float
    ) -> list[Change]:
        person = self._persons.setdefault(key, _Person())
        changes: list[Change] = []
        if person.open is not None:
            person.open.leave_out(max(0.0, self._watched_s - person.judged_s))
            changes += self._go_on(key, person.open, decision, now_s)
        if person.open is None:
            self._suspect(person, decision, now_s, now)
        person.judged_s = now_s
        opened = person.open
        if opened and opened.number is None and now_s - opened.since_s >= self._rules.enter_s:
            opened.number = next(self._numbers)
            opened.told_s = now_s
            changes.append(Change("start", opened.summary(*key, now_s)))
        return changes

    def _suspect(self, person: _Person, decision: Decision, now_s: float, now: float) -> None:
        for kind in self._rules.kinds:
            sure = decision.label == kind and decision.score >= self._rules.enter_score
            if sure and now_s >= person.cool_until_s.get(kind, now_s):
                person.open = _Suspicion(kind, now_s, now, decision.score, now_s)

    def _go_on(
        self, key: tuple[int, str], opened: _Suspicion, decision: Decision, now_s: float
    ) -> list[Change]:
        least = self._rules.leave_score if opened.number else self._rules.enter_score
        if decision.label == opened.kind and decision.score >= least:
            opened.kept_s = now_s
            opened.score = max(opened.score, decision.score)
            if opened.number and now_s - opened.told_s >= self._rules.update_s:
                opened.told_s = now_s
                return [Change("update", opened.summary(*key, now_s))]
        elif opened.number is None:
            self._persons[key].open = None
        elif now_s - opened.kept_s >= self._rules.leave_s:
            return self._end(key, _why(decision, opened.kind), now_s)
        return []

    def _left(self, number: int, present: frozenset[str]) -> list[str]:
        return [zone for zone in self._zones - present if (number, zone) in self._persons]

    def _end(self, key: tuple[int, str], reason: EndReason, now_s: float) -> list[Change]:
        person = self._persons[key]
        opened, person.open = person.open, None
        if opened is None or opened.number is None:
            return []
        person.cool_until_s[opened.kind] = now_s + self._rules.cool_down_s
        return [Change("end", opened.summary(*key, now_s), reason)]

    def _show(self, now_s: float) -> None:
        self.active = tuple(
            person.open.summary(*key, now_s)
            for key, person in self._persons.items()
            if person.open is not None and person.open.number is not None
        )


def _why(decision: Decision, kind: ViolationKind) -> EndReason:
    """What a decision that no longer keeps a violation open says of the person."""
    ends: Mapping[str, EndReason] = {"with_mask": "complied", "unknown": "unknown", kind: "unknown"}
    return ends.get(decision.label, "changed")
