"""What the worker tells about itself: its health, the live page's state, the publisher's counts."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from worker.camera import CameraRun
from worker.config import Settings
from worker.inference.artifact import Artifact
from worker.metrics import Metrics
from worker.output.event import Event
from worker.output.publish import Publisher
from worker.records import Face, Image
from worker.web.app import Part


class Running(Protocol):
    """What this module needs to know of the service."""

    settings: Settings
    run_id: str
    metrics: Metrics

    @property
    def cameras(self) -> Mapping[str, CameraRun]:
        """The cameras by id."""

    def beating(self) -> bool:
        """True while the main thread turns."""

    def dead_threads(self) -> list[str]:
        """Names of stage threads that should run and do not."""


class PublishMetrics:
    """Counts what the publisher does (a ``PublishListener``)."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def created(self, event: Event) -> None:
        """An event was handed to the publisher."""
        self._metrics.events_created.labels(event.type).inc()

    def published(self, event: Event, latency_s: float | None) -> None:
        """Redis took an event; the latency is None for a replay."""
        self._metrics.events_published.labels(event.type).inc()
        if latency_s is not None and event.camera_id is not None and event.type == "frame":
            self._metrics.event_latency.labels(event.camera_id).observe(latency_s)

    def lost(self, kind: str, reason: str, count: int) -> None:
        """Events were given up."""
        self._metrics.events_lost.labels(kind, reason).inc(count)

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
        cameras = self._service.cameras.values()
        blind = [
            f"{run.camera_id}: {run.condition.reason or run.condition.state}"
            for run in cameras
            if run.condition.state in {"down", "connecting"}
        ]
        model = self._artifact
        return [
            Part("model", "ok", f"{model.name} {model.version} {model.digest[:12]}"),
            Part("device", "ok", self._device),
            Part("stages", "failed" if dead else "ok", ", ".join(dead)),
            Part("cameras", "degraded" if blind else "ok", ", ".join(blind)),
            Part(
                "redis",
                "ok" if self._publisher.connected else "degraded",
                f"{self._publisher.depth} events wait",
            ),
        ]

    def state(self) -> Mapping[str, Any]:
        """The document behind the live page."""
        return {
            "worker_id": self._service.settings.worker.identity,
            "run_id": self._service.run_id,
            "device": self._device,
            "redis_up": self._publisher.connected,
            "now": time.time(),
            "cameras": [
                {
                    "camera_id": run.camera_id,
                    "address": run.camera.address,
                    "state": run.condition.state,
                    "reason": run.condition.reason,
                    "since": run.condition.since,
                    "analysed": run.analysed,
                    "dropped": run.dropped,
                    "seen_at": run.seen.captured_at if run.seen else None,
                    "looked_at": run.looked.captured_at if run.looked else None,
                    "counts": run.seen.counts() if run.seen else {},
                }
                for run in self._service.cameras.values()
            ],
        }

    def last_look(self, camera: str) -> tuple[Image, Sequence[Face]] | None:
        """The frame last detected on, and its faces."""
        run = self._service.cameras.get(camera)
        if run is None or run.looked is None or run.looked.image is None:
            return None
        return run.looked.image, run.looked.faces

    def exposition(self) -> bytes:
        """The metrics."""
        return self._service.metrics.exposition()
