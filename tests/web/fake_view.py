"""A worker as the HTTP side sees it, with states that a test scripts."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from worker.records import Box, Decision, Face, Image, Track
from worker.web.view import Look, Part

LABELS = ("without_mask", "with_mask", "mask_worn_incorrectly", "unknown")


def scene(seed: int = 0, width: int = 640, height: int = 360) -> Image:
    """A plain synthetic picture: bands and blocks of colour."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(60, 220, (6, 10, 3), np.uint8)
    return np.ascontiguousarray(np.kron(blocks, np.ones((height // 6, width // 10, 1), np.uint8)))


def face(number: int, label: Any, x: float, y: float = 140.0, size: float = 60.0) -> Face:
    reason = "undecided" if label == "unknown" else None
    box = Box(x, y, x + size, y + size)
    track = Track(number, box, 0.9, 5, True, True, time.time())
    return Face(track, Decision(label, 0.9, reason), None)


def hour(seed: int = 0, *, blind: Sequence[int] = ()) -> dict[str, Any]:
    """An hour of faces that come and go; some minutes were not watched."""
    frames = [0 if minute in blind else 290 for minute in range(60)]
    faces = {
        label: [
            round(max(0.0, base + base * math.sin((minute + seed * 7) / (5 + n))), 2)
            if frames[minute]
            else 0
            for minute in range(60)
        ]
        for n, (label, base) in enumerate(zip(LABELS, (0.6, 2.5, 0.4, 0.3), strict=True))
    }
    return {"frames": frames, "faces": faces}


def camera(camera_id: str, state: str = "up", reason: str | None = None, **more: Any) -> Any:
    """An entry of the state document."""
    up = state == "up"
    return {
        "camera_id": camera_id,
        "address": f"rtsp://192.0.2.10/{camera_id}",
        "state": state,
        "reason": reason,
        "since": time.time() - 754,
        "fps": 4.9 if up else 0.0,
        "fps_wanted": 5.0,
        "latency_s": 0.112 if up else None,
        "analysed": 3_712,
        "dropped": 4,
        "seen_at": time.time() if up else None,
        "looked_at": time.time() if up else None,
        "counts": dict(zip(LABELS, (1, 3, 0, 1), strict=True)) if up else {},
        **more,
    }


def summary(seed: int = 0, *, rate: float | None = 0.75, blind_s: float = 0.0) -> dict[str, Any]:
    """A period of a zone."""
    start = time.time() // 60 * 60 - 60 * (seed + 1)
    persons = dict(zip(LABELS, (1, 6, 1, 2), strict=True)) if rate is not None else {}
    return {
        "from": start,
        "to": start + 60,
        "duration_s": 60.0,
        "persons": {**dict.fromkeys(LABELS, 0), **persons},
        "rate": rate,
        "denominator": 8 if rate is not None else 0,
        "blind_s": blind_s,
        "blind": {"hall": blind_s} if blind_s else {},
        "coverage": round(1 - blind_s / 60, 4),
    }


def zone(name: str, polygons: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An entry of ``zones`` in the state document."""
    polygons = polygons or {}
    return {
        "zone": name,
        "polygons": polygons,
        "cameras": list(polygons) or ["hall"],
        "anchor": "face",
        "min_dwell_s": 1.0,
        "limit": None,
        "low": False,
        "low_since": None,
        "present": summary(-1),
        "last": summary(),
        "violations": [],
        **more,
    }


def violation(number: int, camera_id: str, kind: str = "without_mask") -> dict[str, Any]:
    """A violation that is open."""
    return {
        "violation_id": f"1hvqm2z-abcde-v{number}",
        "kind": kind,
        "camera_id": camera_id,
        "track_id": f"1hvqm2z-abcde-{number}",
        "started_at": time.time() - 12,
        "score": 0.93,
    }


class FakeView:
    """A worker whose state a test sets; counts what it is asked for."""

    def __init__(self, *cameras: Any, parts: Sequence[Part] = ()) -> None:
        self.cameras = list(cameras)
        self.given = parts or (Part("model", "ok"), Part("redis", "ok"))
        self.turning = True
        self.worker: dict[str, Any] = {}
        self.details: dict[str, Any] = {}
        self.zones = [zone("all")]
        self.asked = {"state": 0, "hours": 0, "camera": 0}
        self.looks: dict[str, Look] = {}

    def alive(self) -> bool:
        return self.turning

    def parts(self) -> Sequence[Part]:
        return self.given

    def state(self) -> Mapping[str, Any]:
        self.asked["state"] += 1
        return {
            "worker_id": "test",
            "run_id": "1hvqm2z-abcde",
            "version": "0",
            "device": "cpu",
            "alive": self.turning,
            "failed": [],
            "redis_up": True,
            "waiting": 0,
            "faces": "pixelated",
            "now": time.time(),
            "cameras": self.cameras,
            "zones": self.zones,
            **self.worker,
        }

    def hours(self) -> Mapping[str, Any]:
        self.asked["hours"] += 1
        return {
            "now": time.time(),
            "cameras": {c["camera_id"]: hour(n) for n, c in enumerate(self.cameras)},
            "zones": {
                z["zone"]: [
                    summary(n, rate=None if n % 11 == 5 else 0.6 + (n * 7 % 40) / 100)
                    for n in range(40, -1, -1)
                ]
                for z in self.zones
            },
        }

    def knows(self, camera_id: str) -> bool:
        return any(c["camera_id"] == camera_id for c in self.cameras)

    def camera(self, camera_id: str) -> Mapping[str, Any] | None:
        self.asked["camera"] += 1
        if not self.knows(camera_id):
            return None
        return {
            "camera_id": camera_id,
            "address": f"rtsp://192.0.2.10/{camera_id}",
            "detail": "",
            "configuration": {"analyse_fps": 5.0, "motion": True, "active_hours": None},
            "hour": hour(blind=(20, 21, 22)),
            "changes": [],
            "events": [],
            **self.details,
        }

    def last_look(self, camera_id: str) -> Look | None:
        return self.looks.get(camera_id)

    def exposition(self) -> bytes:
        return b"maskwatch_camera_up 1\n"
