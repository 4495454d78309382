"""Classifications over time to the state of a track: a label, or unknown with its reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from worker.config import Deciding
from worker.records import CLASSES, Classification, ClassName, Decision, Label, Track, UnknownReason

FULL_WEIGHT_PX = 48.0
"""Width from which a crop counts in full; a smaller one counts by its share of that area."""

UNDECIDED = Decision("unknown", 0.0, "undecided")

LEAST_EVIDENCE = 0.1
"""Weight below which nothing is said: a crop of 20 px has more, of 12 px it takes two or three."""

SETTLED_SHARE = 0.9
"""Share of the evidence from which a label is settled."""

SETTLED_EVIDENCE = 1.0
"""Weight of evidence from which a label is settled: a large crop's, or eight of 20 px."""

RECHECK_S = 0.5
"""Settled faces are classified this often: by so much later a change begins to be noticed. All of
a camera's at once, since a batch of one costs nearly what three do."""

MAX_SPARED = 12
"""And at least after so many frames: a file may be decoded faster than it was recorded."""


@dataclass(frozen=True, slots=True)
class History:
    """The decisions on a track so far: the last one, and frames and seconds under each label."""

    decision: Decision
    frames: Mapping[Label, int]
    seconds: Mapping[Label, float]


@dataclass(slots=True)
class _Evidence:
    """What is known about one track."""

    updated_s: float
    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(CLASSES)))
    asked_s: float = -np.inf
    agreed: bool = False
    spared: int = 0
    label: ClassName | None = None
    decision: Decision = UNDECIDED
    frames: Counter[Label] = field(default_factory=Counter)
    seconds: defaultdict[Label, float] = field(default_factory=lambda: defaultdict(float))


class Decider:
    """The decisions on the faces of one camera.

    Probabilities are summed over time, weighted by the face's size and the detector's score
    and forgotten exponentially. A label is taken when its share reaches ``enter`` and kept
    until its share falls under ``leave``, so that it does not flicker. A face whose label is
    settled need not be classified in each frame (``is_settled``): the next classification that
    says the same counts for those that were spared, one that says another for itself alone.

    Args:
        rules: the section ``[deciding]``.
        threshold: the model's own: the probability of ``with_mask`` from which it may be
            said, since calling a bare face masked is the mistake that costs most.
    """

    def __init__(self, rules: Deciding, threshold: float) -> None:
        self._rules = rules
        self._enter = np.full(len(CLASSES), rules.enter)
        self._enter[CLASSES.index("with_mask")] = max(rules.enter, threshold)
        self._evidence: dict[int, _Evidence] = {}

    def hinders(self, track: Track, sharpness: float | None = None) -> UnknownReason | None:
        """Why this crop should not be classified, if anything speaks against it."""
        if track.box.face_px < self._rules.min_face_px:
            return "too_small"
        if sharpness is not None and sharpness < self._rules.min_sharpness:
            return "blurred"
        return None

    def is_settled(self, number: int, now_s: float) -> bool:
        """True where one more classification would hardly change what is known of a track."""
        evidence = self._evidence.get(number)
        if evidence is None or evidence.label is None or not evidence.agreed:
            return False
        left = self._left(now_s - evidence.updated_s)
        return (
            now_s // RECHECK_S == evidence.asked_s // RECHECK_S
            and evidence.spared < MAX_SPARED
            and evidence.decision.score >= SETTLED_SHARE
            and left * float(evidence.weights.sum()) >= SETTLED_EVIDENCE
        )

    def decide(
        self,
        track: Track,
        classification: Classification | None,
        hindrance: UnknownReason | None,
        now_s: float,
    ) -> Decision:
        """The state of a track at this frame.

        Args:
            track: as the tracker gave it.
            classification: of this frame's crop, where there was one.
            hindrance: why there was none.
            now_s: monotonic clock of the frame.
        """
        evidence = self._evidence.setdefault(track.number, _Evidence(now_s))
        spared = classification is None and self.is_settled(track.number, now_s)
        evidence.seconds[evidence.decision.label] += now_s - evidence.updated_s
        if track.seen:  # where nothing moved, what is known does not age
            evidence.weights *= self._left(now_s - evidence.updated_s)
        evidence.updated_s = now_s
        if classification is not None:
            weight = track.score * min(1.0, track.box.face_px / FULL_WEIGHT_PX) ** 2
            said = CLASSES[int(np.argmax(classification.probabilities))]
            evidence.agreed = said == evidence.label
            looks = 1 + evidence.spared if evidence.agreed else 1
            evidence.weights += looks * weight * np.array(classification.probabilities)
            evidence.asked_s, evidence.spared = now_s, 0
        elif spared and track.seen:
            evidence.spared += 1
        evidence.decision = self._state(evidence, hindrance or "undecided")
        evidence.frames[evidence.decision.label] += 1
        return evidence.decision

    def history(self, number: int) -> History:
        """What was decided on a track until now."""
        evidence = self._evidence.get(number)
        if evidence is None:
            return History(UNDECIDED, {}, {})
        return History(evidence.decision, evidence.frames, evidence.seconds)

    def forget(self, numbers: Iterable[int]) -> None:
        """Drop what is known of tracks that ended."""
        for number in numbers:
            self._evidence.pop(number, None)

    def _left(self, passed_s: float) -> float:
        """What share of evidence is left after that time."""
        return float(np.exp(-passed_s / self._rules.memory_s))

    def _state(self, evidence: _Evidence, reason: UnknownReason) -> Decision:
        total = float(evidence.weights.sum())
        if total < LEAST_EVIDENCE:
            evidence.label = None
            return Decision("unknown", 0.0, reason)
        shares = evidence.weights / total
        best = int(shares.argmax())
        if shares[best] >= self._enter[best]:
            evidence.label = CLASSES[best]
        elif evidence.label is not None:
            held = CLASSES.index(evidence.label)
            if shares[held] < self._rules.leave:
                evidence.label = None
        if evidence.label is None:
            return Decision("unknown", float(shares[best]), "undecided")
        return Decision(evidence.label, float(shares[CLASSES.index(evidence.label)]))
