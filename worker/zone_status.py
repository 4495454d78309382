"""What the live page tells of zones: where they are, who broke a rule, how many wear a mask.

``zones_now`` goes into the document of ``WorkerView.state`` as ``zones``, a list with one entry
for each zone, the built-in ``all`` first:

    {"zone": "till",
     "polygons": {"hall": [[0.1, 0.2], [0.9, 0.2], [0.9, 1.0]]},   shares of width and height;
                                                                   empty for "all"
     "cameras": ["hall"],                  those that see it
     "anchor": "face", "min_dwell_s": 1.0,                         None for "all"
     "limit": 0.9, "low": true,            limit None: no rule; low: the rule is broken
     "low_since": 1795520000.0,            None while it is kept
     "present": {summary},                 the period that is going on, as it stands
     "last": {summary},                    None until a period is over
     "violations": [{violation}, …]}       open now, the newest first; those of the whole view
                                           stand in "all"

``zones_hour`` goes into ``WorkerView.hours`` as ``zones``: by the name of the zone, the summaries
of the last 60 periods, the oldest first. A summary:

    {"from": 1795520000.0, "to": 1795520060.0, "duration_s": 60.0,
     "persons": {"without_mask": 1, "with_mask": 6, "mask_worn_incorrectly": 1, "unknown": 2},
     "rate": 0.75,                         None where too few persons were judged
     "denominator": 8,                     persons judged: all but the unknown
     "blind_s": 12.5, "blind": {"hall": 12.5}, "coverage": 0.79}

A violation: ``{"violation_id", "kind", "camera_id", "track_id", "started_at", "score"}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from worker.output.event import PeriodSummary
from worker.records import LABELS
from worker.rulebook import Open, Rulebook
from worker.venue import EVERYWHERE


def zones_now(book: Rulebook, run_id: str, now_s: float, now: float) -> list[dict[str, Any]]:
    """Every zone as it is now; see the module for the shape."""
    found = book.open_violations()
    return [
        {**_zone(book, name, now_s, now), "violations": _violations(run_id, name, found)}
        for name in (EVERYWHERE, *book.zones)
    ]


def zones_hour(book: Rulebook) -> dict[str, list[dict[str, Any]]]:
    """The last summaries of every zone, the oldest first."""
    return {
        name: [_summary(period) for period in book.compliance.recent(name)]
        for name in (EVERYWHERE, *book.zones)
    }


def _zone(book: Rulebook, name: str, now_s: float, now: float) -> dict[str, Any]:
    zone = book.zones.get(name)
    recent = book.compliance.recent(name)
    present = book.compliance.now(name, now_s, now)
    broken = book.limits.broken(name)
    return {
        "zone": name,
        "polygons": zone.cameras if zone else {},
        "cameras": list(present.cameras),
        "anchor": zone.anchor if zone else None,
        "min_dwell_s": zone.min_dwell_s if zone else None,
        "limit": book.limits.limit(name),
        "low": broken is not None,
        "low_since": broken.started_at if broken else None,
        "present": _summary(present),
        "last": _summary(recent[-1]) if recent else None,
    }


def _summary(summary: PeriodSummary) -> dict[str, Any]:
    return {
        "from": summary.start,
        "to": summary.end,
        "duration_s": round(summary.duration_s, 3),
        "persons": {label: summary.persons.get(label, 0) for label in LABELS},
        "rate": summary.rate,
        "denominator": summary.judged,
        "blind_s": round(summary.blind_s, 3),
        "blind": {camera: round(s, 3) for camera, s in summary.blind.items()},
        "coverage": round(summary.coverage, 4),
    }


def _violations(run_id: str, zone: str, found: Iterable[Open]) -> list[dict[str, Any]]:
    return [
        {
            "violation_id": f"{run_id}-v{violation.number}",
            "kind": violation.kind,
            "camera_id": camera_id,
            "track_id": f"{run_id}-{violation.track}",
            "started_at": violation.started_at,
            "score": round(violation.score, 4),
        }
        for camera_id, violation in found
        if violation.zone == zone
    ]
