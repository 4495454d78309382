"""Every metric of the worker, in one place. Names and labels are a contract with dashboards."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Protocol, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from worker import __version__
from worker.errors import CAMERA_REASONS, CameraReason
from worker.output.disk.spool_file import FaultReason
from worker.output.event import PeriodSummary
from worker.output.losses import LossReason
from worker.output.wire import EVENT_TYPES
from worker.records import LABELS, CameraState, DropReason, UnknownReason
from worker.venue import ViolationKind

LATENCY_BUCKETS_S = (0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 1, 2.5, 5, 10)
STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)
SCORE_BUCKETS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1)
STAGES = ("motion", "detect", "track", "align", "classify", "decide", "rules", "event")
DROPS: tuple[DropReason, ...] = get_args(DropReason)
LOSSES: tuple[LossReason, ...] = get_args(LossReason)
STATES: tuple[CameraState, ...] = get_args(CameraState)
UNKNOWNS: tuple[UnknownReason, ...] = get_args(UnknownReason)
KINDS: tuple[ViolationKind, ...] = get_args(ViolationKind)
RELOADS = ("applied", "refused")
SPOOL_FAULTS: tuple[FaultReason, ...] = get_args(FaultReason)


class Waiting(Protocol):
    """Who knows how many events are on disk."""

    @property
    def spooled(self) -> int:
        """So many."""


class Disk(Protocol):
    """Who knows what they take there."""

    used_bytes: int
    limit_bytes: int


class Metrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"maskwatch_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"maskwatch_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"maskwatch_{name}", text, labels, registry=registry, buckets=buckets)

        self.frames_received = counter(
            "frames_received", "Frames decoded, due for analysis or not.", "camera"
        )
        self.frames_dropped = counter(
            "frames_dropped", "Frames that were due and not analysed.", "camera", "reason"
        )
        self.frames_analysed = counter("frames_analysed", "Frames with an event.", "camera")
        self.frames_unchanged = counter(
            "frames_unchanged", "Analysed frames in which nothing moved.", "camera"
        )
        self.camera_up = gauge("camera_up", "1 while the camera's stream is decoded.", "camera")
        self.camera_state = gauge(
            "camera_state", "1 for the state that the camera is in, else 0.", "camera", "state"
        )
        self.camera_blind = gauge(
            "camera_blind", "1 for why the camera is blind or in doubt, else 0.", "camera", "reason"
        )
        self.camera_reconnects = counter(
            "camera_reconnects", "Attempts to connect again.", "camera", "reason"
        )
        self.camera_last_frame = gauge(
            "camera_last_frame_timestamp_seconds", "When the last frame arrived.", "camera"
        )
        self.camera_last_motion = gauge(
            "camera_last_motion_timestamp_seconds",
            "When something last moved; 0 where motion is not looked for.",
            "camera",
        )
        self.faces = counter("faces", "Faces in frame events, by decision.", "camera", "label")
        self.faces_unknown = counter(
            "faces_unknown", "Faces in frame events without a label, by why.", "camera", "reason"
        )
        self.faces_visible = gauge(
            "faces_visible", "Faces in the last frame event, by decision.", "camera", "label"
        )
        self.stage_duration = histogram(
            "stage_duration_seconds", "Time in a stage, per call.", "stage", buckets=STAGE_BUCKETS_S
        )
        self.batch_size = histogram("batch_size", "Crops a batch.", buckets=BATCH_BUCKETS)
        self.device_errors = counter(
            "device_errors",
            "Batches that the device failed on; their faces have no label.",
            "stage",
        )
        self.detection_score = histogram(
            "detection_score", "How sure the detector is of a face.", buckets=SCORE_BUCKETS
        )
        self.event_latency = histogram(
            "event_latency_seconds",
            "From the arrival of a frame to its event in Redis; replays are left out.",
            "camera",
            buckets=LATENCY_BUCKETS_S,
        )
        self.violations = counter("violations", "Violations begun.", "zone", "kind")
        self.violations_active = gauge("violations_active", "Violations open.", "zone", "kind")
        self.compliance_persons = counter(
            "compliance_persons",
            "Persons in a zone, added up at the end of each period, each once a period.",
            "zone",
            "label",
        )
        self.compliance_rate = gauge(
            "compliance_rate",
            "Persons with a mask of those judged in the last period; NaN where these were too few.",
            "zone",
        )
        self.compliance_judged = gauge(
            "compliance_judged_persons", "Persons judged in the last period.", "zone"
        )
        self.compliance_blind = counter(
            "compliance_blind_seconds",
            "Seconds in which a camera of the zone was blind, added up at the end of each period.",
            "zone",
            "camera",
        )
        self.compliance_low = gauge(
            "compliance_low", "1 while the rate of the zone is below its limit.", "zone"
        )
        self.events_created = counter("events_created", "Events made.", "type")
        self.events_published = counter("events_published", "Events that Redis took.", "type")
        self.events_lost = counter("events_lost", "Events given up.", "type", "reason")
        self.events_spooled = gauge("events_spooled", "Events that wait on disk.")
        self.events_recovered = counter(
            "events_recovered", "Events that earlier runs had left on disk.", "type"
        )
        self.events_replayed = counter(
            "events_replayed", "Events that Redis took after they had lain on disk.", "type"
        )
        self.spool_up = gauge("spool_up", "1 while the disk takes events.")
        self.spool_faults = counter(
            "spool_faults", "How often the disk ceased to take events, by why.", "reason"
        )
        self.spool_bytes = gauge("spool_bytes", "What events on disk take.")
        self.spool_limit = gauge("spool_limit_bytes", "What they may take.")
        self.queue_depth = gauge("queue_depth", "What waits before a stage.", "stage")
        self.queue_limit = gauge("queue_limit", "What may wait before a stage.", "stage")
        self.redis_up = gauge("redis_up", "1 while Redis takes events.")
        self.config_reloads = counter(
            "config_reloads", "Configurations that were read again, by what came of it.", "result"
        )
        self.config_in_force = gauge(
            "config_last_reload_successful",
            "0 while the last configuration that was read again is refused, else 1.",
        )
        self.config_waiting = gauge(
            "config_restart_needed", "Keys whose new value waits for a restart."
        )
        self.build_info = gauge("build_info", "The version that runs.", "version")
        self.model_info = gauge(
            "model_info", "The models that run.", "kind", "name", "version", "digest", "device"
        )
        self._begin()

    def add_camera(self, camera: str) -> CameraMetrics:
        """The children of one camera, made at 0 so that rates start with the first event."""
        return CameraMetrics(self, camera)

    def add_zone(self, zone: str, cameras: Iterable[str]) -> ZoneMetrics:
        """The children of one zone, made at 0."""
        return ZoneMetrics(self, zone, cameras)

    def watch_depth(self, stage: str, depth: Callable[[], float]) -> None:
        """Read the depth of a queue at scrape time."""
        self.queue_depth.labels(stage).set_function(depth)

    def watch_spool(self, waiting: Waiting, disk: Disk) -> None:
        """Read what the spool holds at scrape time."""
        self.events_spooled.set_function(lambda: waiting.spooled)
        self.spool_bytes.set_function(lambda: disk.used_bytes)
        self.spool_limit.set(disk.limit_bytes)

    def exposition(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)

    def _begin(self) -> None:
        """Make the children whose labels are known, so that the first increase is one."""
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.build_info.labels(__version__).set(1)
        for kind in EVENT_TYPES:
            self.events_created.labels(kind)
            self.events_published.labels(kind)
            self.events_recovered.labels(kind)
            self.events_replayed.labels(kind)
            for reason in LOSSES:
                self.events_lost.labels(kind, reason)
        for fault in SPOOL_FAULTS:
            self.spool_faults.labels(fault)
        self.device_errors.labels("classify")
        self.config_in_force.set(1)
        for result in RELOADS:
            self.config_reloads.labels(result)


class ZoneMetrics:
    """The metrics of one zone, their labels looked up once."""

    def __init__(self, metrics: Metrics, zone: str, cameras: Iterable[str]) -> None:
        self._metrics = metrics
        self._zone = zone
        self.violations = {k: metrics.violations.labels(zone, k) for k in KINDS}
        self.active = {k: metrics.violations_active.labels(zone, k) for k in KINDS}
        self.open: set[int] = set()
        """Numbers of the violations that ``active`` counts."""
        self.persons = {name: metrics.compliance_persons.labels(zone, name) for name in LABELS}
        self.judged = metrics.compliance_judged.labels(zone)
        self.rate = metrics.compliance_rate.labels(zone)
        self.rate.set(math.nan)
        self.low = metrics.compliance_low.labels(zone)
        self.blind = {c: metrics.compliance_blind.labels(zone, c) for c in cameras}

    def change(self, cameras: Iterable[str]) -> None:
        """These cameras see the zone from now on."""
        blind = {c: self._metrics.compliance_blind.labels(self._zone, c) for c in cameras}
        for camera in self.blind.keys() - blind.keys():
            self._metrics.compliance_blind.remove(self._zone, camera)
        self.blind = blind

    def remove(self) -> None:
        """Take the zone out of the exposition."""
        m = self._metrics
        for metric in (
            m.violations,
            m.violations_active,
            m.compliance_persons,
            m.compliance_judged,
            m.compliance_rate,
            m.compliance_low,
            m.compliance_blind,
        ):
            metric.remove_by_labels({"zone": self._zone})

    def period(self, period: PeriodSummary) -> None:
        """Count up a period that is over."""
        for label, count in period.persons.items():
            self.persons[label].inc(count)
        self.judged.set(period.judged)
        self.rate.set(math.nan if period.rate is None else period.rate)
        for camera, seconds in period.blind.items():
            self.blind[camera].inc(seconds)


class CameraMetrics:
    """The metrics of one camera, their labels looked up once."""

    def __init__(self, metrics: Metrics, camera: str) -> None:
        self._metrics = metrics
        self._camera = camera
        self.received = metrics.frames_received.labels(camera)
        self.analysed = metrics.frames_analysed.labels(camera)
        self.unchanged = metrics.frames_unchanged.labels(camera)
        self.up = metrics.camera_up.labels(camera)
        self.last_frame = metrics.camera_last_frame.labels(camera)
        self.last_motion = metrics.camera_last_motion.labels(camera)
        self.latency = metrics.event_latency.labels(camera)
        self.dropped = {r: metrics.frames_dropped.labels(camera, r) for r in DROPS}
        self.reconnects = {r: metrics.camera_reconnects.labels(camera, r) for r in CAMERA_REASONS}
        self.unknown = {r: metrics.faces_unknown.labels(camera, r) for r in UNKNOWNS}
        self.score = metrics.detection_score
        self._states = {s: metrics.camera_state.labels(camera, s) for s in STATES}
        self._reasons = {r: metrics.camera_blind.labels(camera, r) for r in CAMERA_REASONS}
        self.faces = {name: metrics.faces.labels(camera, name) for name in LABELS}
        self.visible = {name: metrics.faces_visible.labels(camera, name) for name in LABELS}

    def tell(self, state: CameraState, reason: CameraReason | None) -> None:
        """Show the camera's state, and why it is down if it is."""
        self.up.set(state == "up")
        for known, of_state in self._states.items():
            of_state.set(known == state)
        for known_reason, of_reason in self._reasons.items():
            of_reason.set(known_reason == reason)
        if state != "up":
            self.nobody()  # is seen by a camera that does not see

    def nobody(self) -> None:
        """Nobody is visible."""
        for visible in self.visible.values():
            visible.set(0)

    def remove(self) -> None:
        """Take the camera out of the exposition."""
        m = self._metrics
        for metric in (
            m.frames_received,
            m.frames_analysed,
            m.frames_unchanged,
            m.camera_up,
            m.camera_last_frame,
            m.camera_last_motion,
            m.event_latency,
        ):
            metric.remove(self._camera)
        for metric in (
            m.frames_dropped,
            m.camera_state,
            m.camera_blind,
            m.camera_reconnects,
            m.faces,
            m.faces_unknown,
            m.faces_visible,
        ):
            metric.remove_by_labels({"camera": self._camera})
