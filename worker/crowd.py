"""People as a camera sees them: they come, walk through the view with or without a mask, and go."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from worker.output.event import TrackSummary
from worker.records import CLASSES, Box, ClassName, Decision, Face, Label, Track

WIDTH, HEIGHT = 1280, 720
"""Pixels of the view."""

SHARES: dict[ClassName, float] = {
    "without_mask": 0.17,
    "with_mask": 0.75,
    "mask_worn_incorrectly": 0.08,
}
CHANGES_MIND = 0.1
"""Share of people who put their mask on, or take it off, on the way."""

STAY_S = (3.0, 20.0)
LOOKS_BEFORE_DECISION = 3
TOO_SMALL_PX = 20.0
BLURRED = 0.02
"""Share of looks in which a face is blurred."""

NOT_YET = Decision("unknown", 0.0, "undecided")


@dataclass(slots=True)
class _Person:
    """Somebody on a straight way through the view, who comes nearer or goes away."""

    number: int
    entered_s: float
    leaves_s: float
    started_at: float
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    wears: ClassName
    changes_s: float
    looks: int = 0
    seen_s: float = 0.0
    decision: Decision = NOT_YET
    frames: Counter[Label] = field(default_factory=Counter)
    seconds: defaultdict[Label, float] = field(default_factory=lambda: defaultdict(float))

    def summary(self, now_s: float) -> TrackSummary:
        """The track as it stands."""
        duration_s = max(0.0, now_s - self.entered_s)
        return TrackSummary(
            self.number, self.started_at, duration_s, self.decision, self.frames, self.seconds
        )


@dataclass(frozen=True, slots=True)
class View:
    """What one frame shows, and whose tracks it confirmed or ended."""

    faces: tuple[Face, ...]
    began: tuple[TrackSummary, ...]
    ended: tuple[TrackSummary, ...]


class Crowd:
    """The people before one camera; the same seed shows the same people.

    Args:
        seed: of chance.
        numbers: track numbers, unique over all cameras of a worker.
        people: how many there are on average.
    """

    def __init__(self, seed: str, numbers: Iterator[int], people: float = 1.5) -> None:
        self._random = random.Random(seed)  # noqa: S311 (no secret)
        self._numbers = numbers
        self._every_s = sum(STAY_S) / 2 / people
        self._next_s = -STAY_S[1]  # so that some are there already
        self._people: list[_Person] = []

    def step(self, now_s: float, now: float) -> View:
        """The view at a moment; moments come in order.

        Args:
            now_s: seconds since the simulation began.
            now: wall clock, seconds since the epoch.
        """
        while self._next_s <= now_s:
            self._people.append(self._arrival(self._next_s, now))
            self._next_s += self._random.expovariate(1 / self._every_s)
        gone = [person for person in self._people if person.leaves_s <= now_s]
        if gone:
            self._people = [person for person in self._people if person.leaves_s > now_s]
        faces = tuple(self._look(person, now_s) for person in self._people)
        began = tuple(p.summary(now_s) for p in self._people if p.looks == 2)
        return View(faces, began, tuple(p.summary(now_s) for p in gone if p.looks >= 2))

    def leave(self, now_s: float) -> tuple[TrackSummary, ...]:
        """The view goes dark: every track ends."""
        gone, self._people = self._people, []
        return tuple(person.summary(now_s) for person in gone if person.looks >= 2)

    def _arrival(self, now_s: float, now: float) -> _Person:
        chance = self._random
        stays_s = chance.uniform(*STAY_S)
        left, right = chance.uniform(-20, 300), chance.uniform(900, WIDTH)
        y, far, near = chance.uniform(40, 500), chance.uniform(14, 40), chance.uniform(40, 120)
        ends = [(left, y, far), (right, y + chance.uniform(-30, 30), near)]
        chance.shuffle(ends)
        changes = chance.random() < CHANGES_MIND
        return _Person(
            next(self._numbers),
            now_s,
            now_s + stays_s,
            now,
            ends[0],
            ends[1],
            wears=chance.choices(CLASSES, [SHARES[name] for name in CLASSES])[0],
            changes_s=now_s + stays_s * (chance.uniform(0.3, 0.7) if changes else 2),
        )

    def _look(self, person: _Person, now_s: float) -> Face:
        chance = self._random
        if now_s >= person.changes_s:
            person.wears = "without_mask" if person.wears == "with_mask" else "with_mask"
            person.changes_s = person.leaves_s
        way = (now_s - person.entered_s) / (person.leaves_s - person.entered_s)
        (x1, y1, size1), (x2, y2, size2) = person.start, person.end
        x, y, size = x1 + (x2 - x1) * way, y1 + (y2 - y1) * way, size1 + (size2 - size1) * way
        person.looks += 1
        person.decision = decision = self._decide(person, size)
        person.frames[decision.label] += 1
        person.seconds[decision.label] += now_s - (person.seen_s or now_s)
        person.seen_s = now_s
        box = Box(x, y, x + size, y + 1.25 * size)
        score = 0.6 + 0.39 * chance.random()
        confirmed = person.looks >= 2
        track = Track(person.number, box, score, person.looks, confirmed, True, person.started_at)
        return Face(track, decision, self._probabilities(person, decision))

    def _decide(self, person: _Person, size: float) -> Decision:
        if size < TOO_SMALL_PX:
            return Decision("unknown", 0.0, "too_small")
        if person.looks < LOOKS_BEFORE_DECISION:
            return NOT_YET
        if self._random.random() < BLURRED:
            return Decision("unknown", 0.0, "blurred")
        return Decision(person.wears, 0.76 + 0.23 * self._random.random())

    def _probabilities(
        self, person: _Person, decision: Decision
    ) -> tuple[float, float, float] | None:
        if decision.reason is not None and decision is not NOT_YET:
            return None
        sure = decision.score or 0.5
        rest = (1 - sure) / 2
        if person.wears == "with_mask":
            return rest, sure, rest
        return (sure, rest, rest) if person.wears == "without_mask" else (rest, rest, sure)
