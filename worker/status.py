"""What the worker tells about itself: its health, the live page's state, the publisher's counts."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from worker import __version__
from worker.camera import CameraRun
from worker.config import CameraDefaults, Settings
from worker.inference.artifact import Artifact
from worker.metrics import Metrics
from worker.output.disk.spool_file import FaultReason
from worker.output.event import Event
from worker.output.publish import Publisher
from worker.reload import LiveConfiguration
from worker.rulebook import Rulebook
from worker.web.view import Look, Part
from worker.zone_status import zones_hour, zones_now

SHOWN_SETTINGS = frozenset(CameraDefaults.model_fields) | {"realtime", "loop"}
"""Settings of a camera that anybody who sees the page may see: a list of what may, so that a
secret that is added later does not get out."""


class Running(Protocol):
    """What this module needs to know of the service."""

    settings: Settings
    run_id: str
    metrics: Metrics
    rules: Rulebook
    configuration: LiveConfiguration

    @property
    def cameras(self) -> Mapping[str, CameraRun]:
        """The cameras by id."""

    def beating(self) -> bool:
        """True while the main thread turns."""

    def dead_threads(self) -> list[str]:
        """Names of stage threads that should run and do not."""


class PublishMetrics:
    """Counts what the publisher does (a ``PublishListener``)."""

    def __init__(self, metrics: Metrics, service: Running) -> None:
        self._metrics = metrics
        self._service = service

    def created(self, event: Event) -> None:
        """An event was handed to the publisher."""
        self._metrics.events_created.labels(event.type).inc()
        run = self._service.cameras.get(event.camera_id)
        if run is not None:
            run.history.event(event)

    def published(self, event: Event, latency_s: float | None) -> None:
        """Redis took an event; the latency is None for a replay."""
        self._metrics.events_published.labels(event.type).inc()
        if latency_s is not None and event.type == "frame":
            run = self._service.cameras.get(event.camera_id)
            if run is not None:  # else it was removed, and its series with it
                self._metrics.event_latency.labels(event.camera_id).observe(latency_s)
                run.history.published(latency_s)

    def lost(self, kind: str, reason: str, count: int) -> None:
        """Events were given up."""
        self._metrics.events_lost.labels(kind, reason).inc(count)

    def recovered(self, kind: str, count: int) -> None:
        """Events of an earlier run were found on disk."""
        self._metrics.events_recovered.labels(kind).inc(count)

    def replayed(self, kind: str) -> None:
        """Redis took an event that had lain on disk."""
        self._metrics.events_replayed.labels(kind).inc()

    def disk(self, up: bool, reason: FaultReason | None) -> None:
        """The disk came or went."""
        self._metrics.spool_up.set(up)
        if reason is not None:
            self._metrics.spool_faults.labels(reason).inc()

    def broker(self, up: bool, reason: str) -> None:  # noqa: ARG002
        """Redis came or went."""
        self._metrics.redis_up.set(up)


class WorkerView:
    """What the HTTP side may know of a running service (a ``View``)."""

    def __init__(
        self, service: Running, publisher: Publisher, artifact: Artifact, device: str
    ) -> None:
        self._service = service
        self._publisher = publisher
        self._artifact = artifact
        self._device = device

    def alive(self) -> bool:
        """True while the main loop turns."""
        return self._service.beating()

    def parts(self) -> Sequence[Part]:
        """Models, device and threads decide on readiness; cameras and Redis only degrade."""
        dead = self._service.dead_threads()
        fault = self._service.configuration.fault
        cameras = self._service.cameras.values()
        blind = [
            f"{run.camera_id}: {run.condition.reason or run.condition.state}"
            for run in cameras
            if run.condition.blind
        ]
        model = self._artifact
        return [
            Part("model", "ok", f"{model.name} {model.version} {model.digest[:12]}"),
            Part("device", "ok", self._device),
            Part("stages", "failed" if dead else "ok", ", ".join(dead)),
            Part("cameras", "degraded" if blind else "ok", ", ".join(blind)),
            Part("configuration", "degraded" if fault else "ok", fault),
            Part(
                "redis",
                "ok" if self._publisher.connected else "degraded",
                f"{self._publisher.spooled} events wait on disk, {self._publisher.depth} in memory",
            ),
            Part(
                "disk",
                "degraded" if self._publisher.disk_fault else "ok",
                self._publisher.disk_fault,
            ),
        ]

    def state(self) -> Mapping[str, Any]:
        """The worker and each camera as they are now."""
        return {
            "worker_id": self._service.settings.worker.identity,
            "run_id": self._service.run_id,
            "version": __version__,
            "device": self._device,
            "alive": self._service.beating(),
            "failed": self._service.dead_threads(),
            "redis_up": self._publisher.connected,
            "waiting": self._publisher.depth + self._publisher.spooled,
            "faces": self._service.settings.http.faces,
            "now": time.time(),
            "cameras": [_now(run) for run in self._service.cameras.values()],
            "zones": zones_now(
                self._service.rules, self._service.run_id, time.monotonic(), time.time()
            ),
        }

    def hours(self) -> Mapping[str, Any]:
        """The last hour of each camera, minute by minute, and of each zone, period by period."""
        cameras = self._service.cameras
        return {
            "now": time.time(),
            "cameras": {camera_id: run.history.hour() for camera_id, run in cameras.items()},
            "zones": zones_hour(self._service.rules),
        }

    def knows(self, camera_id: str) -> bool:
        """True where there is such a camera."""
        return camera_id in self._service.cameras

    def camera(self, camera_id: str) -> Mapping[str, Any] | None:
        """One camera with its configuration, its changes and its newest events."""
        run = self._service.cameras.get(camera_id)
        if run is None:
            return None
        return {
            "camera_id": camera_id,
            "address": run.camera.address,
            "detail": run.condition.detail,
            "configuration": run.camera.model_dump(mode="json", include=set(SHOWN_SETTINGS)),
            "hour": run.history.hour(),
            "changes": run.history.changes(),
            "events": [json.loads(document) for document in run.history.documents()],
        }

    def last_look(self, camera_id: str) -> Look | None:
        """The frame last detected on, and its faces."""
        run = self._service.cameras.get(camera_id)
        seen = run.looked if run else None
        if seen is None or seen.picture is None:
            return None
        return Look(seen.captured_at, seen.picture, seen.faces)

    def exposition(self) -> bytes:
        """The metrics."""
        return self._service.metrics.exposition()


def _now(run: CameraRun) -> Mapping[str, Any]:
    """A camera as it is now."""
    seen, looked, condition = run.seen, run.looked, run.condition
    return {
        "camera_id": run.camera_id,
        "address": run.camera.address,
        "state": condition.state,
        "reason": condition.reason,
        "since": condition.since,
        "fps": round(run.history.fps(), 2),
        "fps_wanted": run.camera.analyse_fps,
        "latency_s": run.history.latency_s(),
        "analysed": run.analysed,
        "dropped": run.dropped,
        "seen_at": seen.captured_at if seen else None,
        "looked_at": looked.captured_at if looked else None,
        "counts": seen.counts() if seen else {},
    }
