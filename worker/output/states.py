"""The last known state of every camera, as the hashes in Redis show it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from worker.output.event import Event, rfc3339
from worker.records import CLASSES, CameraStatus

VALID_S = 15.0
"""Time after which a camera that was not heard of counts as blind: three heartbeats."""

KEEP_S = 86_400
"""Time after which the hash of a camera that is no more goes."""

REFRESH_S = 0.5
"""A hash is written at most this often, but at once when the camera's state changes."""


@dataclass(slots=True)
class _Camera:
    status: CameraStatus | None = None
    fps: float | None = None
    frame: Event | None = None
    first_frame_at: float | None = None
    heard_at: float = 0.0
    written_s: float = -REFRESH_S
    changed: bool = False
    urgent: bool = False
    gone: bool = False


class CameraStates:
    """What is known of each camera; any thread may tell, one thread writes it out.

    A state is valid from the moment it was told, not from that of its writing: a worker that
    hangs lets its cameras become blind, however well Redis works.
    """

    def __init__(
        self,
        *,
        worker_id: str,
        run_id: str,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._worker_id = worker_id
        self._run_id = run_id
        self._monotonic = monotonic
        self._wall = wall
        self._lock = threading.Lock()
        self._cameras: dict[str, _Camera] = {}

    def tell(self, status: CameraStatus, fps: float | None = None) -> None:
        """What a camera is doing; also the heartbeat that keeps its state valid."""
        with self._lock:
            camera = self._cameras.setdefault(status.camera_id, _Camera())
            news = camera.status
            camera.urgent |= news is None or (news.state, news.reason) != (
                status.state,
                status.reason,
            )
            camera.status, camera.fps = status, fps
            camera.gone = False
            self._heard(camera)

    def forget(self, camera_id: str) -> None:
        """There is no such camera any more: its hash goes."""
        with self._lock:
            if camera_id in self._cameras:
                self._cameras[camera_id] = _Camera(changed=True, urgent=True, gone=True)

    def saw(self, event: Event) -> None:
        """A frame event was made: the newest one shows in the hash."""
        with self._lock:
            camera = self._cameras.setdefault(event.camera_id, _Camera())
            camera.frame = event
            if camera.first_frame_at is None:
                camera.first_frame_at = event.captured_at
            self._heard(camera)

    def due(self) -> dict[str, dict[str, str]]:
        """The fields of every hash that is to be written now, by camera; none: it is to go."""
        now_s = self._monotonic()
        with self._lock:
            return {
                camera_id: self._written(camera, now_s)
                for camera_id, camera in self._cameras.items()
                if camera.changed and (camera.urgent or now_s - camera.written_s >= REFRESH_S)
            }

    def write_again(self) -> None:
        """What was due last may not have arrived: all of it is due again."""
        with self._lock:
            for camera in self._cameras.values():
                camera.changed = camera.urgent = True

    def expire(self) -> None:
        """Nobody will tell any more: every camera counts as blind from now on."""
        with self._lock:
            for camera in self._cameras.values():
                if camera.gone:
                    continue
                camera.heard_at = self._wall() - VALID_S
                camera.changed = camera.urgent = True

    def cameras(self) -> list[str]:
        """The cameras that were ever told of."""
        with self._lock:
            return list(self._cameras)

    def first_frame(self, camera_id: str) -> float | None:
        """When the first frame of a camera was captured; None: none was yet."""
        with self._lock:
            camera = self._cameras.get(camera_id)
            return camera.first_frame_at if camera else None

    def _heard(self, camera: _Camera) -> None:
        camera.heard_at = self._wall()
        camera.changed = True

    def _written(self, camera: _Camera, now_s: float) -> dict[str, str]:
        camera.written_s, camera.changed, camera.urgent = now_s, False, False
        if camera.gone:
            return {}
        status, frame = camera.status, camera.frame
        counts = json.loads(frame.document)["counts"] if frame else {}
        return {
            "state": status.state if status else "up",
            "reason": (status.reason or "") if status else "",
            "since": rfc3339(status.since) if status else "",
            "last_frame_at": rfc3339(frame.captured_at) if frame else "",
            "fps": "" if camera.fps is None else f"{camera.fps:.2f}",
            **{label: str(counts.get(label, 0)) for label in (*CLASSES, "unknown")},
            "seq": str(frame.seq) if frame else "",
            "run_id": self._run_id,
            "worker_id": self._worker_id,
            "valid_until": rfc3339(camera.heard_at + VALID_S),
        }
