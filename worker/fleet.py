"""The cameras of a worker: they come, are tended while they run, change, and go."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping

from worker.camera import CameraRun
from worker.config import Settings
from worker.config_changes import Changes
from worker.faces.detect import Detector, open_detector
from worker.faces.track import Tracker
from worker.inference.artifact import Artifact
from worker.metrics import Metrics
from worker.output.decide import Decider
from worker.output.event import EventMaker
from worker.pipeline import CameraPipeline
from worker.rulebook import Rulebook

log = logging.getLogger(__name__)

CHANGE_WAIT_S = 2.0
"""Longest wait for the old connection of a camera that changes: many cameras allow few viewers.

A connection that is silent ends only with its time-out, and who mends an address won't wait."""


class Fleet:
    """All cameras that are configured now, and those that are on their way out.

    Used by the main thread, but for ``runs``, which is replaced whole, so that any thread may
    read it. The number of an event, a track or a violation is never given twice, whatever
    comes and goes.

    Args:
        settings: the configuration in force.
        artifact: the classifier, for how crops are cut and when a label is taken.
        maker, rules, metrics: the worker's own.
        on_ready: see ``CameraRun``.
        on_gone: told of each camera that is no more.

    Raises:
        ConfigError: a detector cannot be had.

    Attributes:
        runs: the cameras by id, also those that leave, until their last frame is through.
    """

    def __init__(
        self,
        settings: Settings,
        artifact: Artifact,
        *,
        maker: EventMaker,
        rules: Rulebook,
        metrics: Metrics,
        on_ready: Callable[[CameraRun], None],
        on_gone: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._artifact = artifact
        self._maker = maker
        self._rules = rules
        self._metrics = metrics
        self._on_ready = on_ready
        self._on_gone = on_gone
        self._numbers = itertools.count(1)
        self._detectors: dict[int, Detector] = {}
        self._leaving: dict[str, float] = {}
        self._lingering: list[CameraRun] = []
        self.open_detectors(settings)
        self.runs: Mapping[str, CameraRun] = {name: self._run_of(name) for name in settings.cameras}

    # -- change

    def open_detectors(self, settings: Settings) -> None:
        """Open what these settings need beyond what is open; takes a moment each.

        Raises:
            ConfigError: one of them cannot be had; the fleet is as before.
        """
        for size in {camera.min_face_px for camera in settings.cameras.values()}:
            if size not in self._detectors:
                detector = self._detectors[size] = open_detector(
                    settings.detection.detector,
                    min_face_px=size,
                    min_score=settings.detection.min_score,
                    device=settings.inference.device,
                )
                self._metrics.model_info.labels(
                    "detector", detector.name, detector.version, detector.digest, detector.device
                ).set(1)

    def change(self, changes: Changes, now_s: float) -> None:
        """Touch the cameras that came, went or changed, and no other. Does not block.

        What leaves is through soon, and is succeeded by what its id means then; see ``tend``.
        """
        self._settings = settings = changes.settings
        for camera_id in (*changes.removed, *changes.changed):
            self.runs[camera_id].retire()
            wait_s = CHANGE_WAIT_S if camera_id in settings.cameras else 0.0
            self._leaving[camera_id] = now_s + wait_s
        for camera_id in changes.added:
            if camera_id not in self._leaving:
                self._begin(camera_id)
        wanted = {camera.min_face_px for camera in settings.cameras.values()}
        self._detectors = {size: self._detectors[size] for size in wanted}

    def tend(self, now_s: float) -> None:
        """Let go of what has left, and let what comes after it begin."""
        for camera_id, until_s in tuple(self._leaving.items()):
            run = self.runs[camera_id]
            if not run.idle() or (run.lingers() and now_s < until_s):
                continue
            run.leave()
            del self._leaving[camera_id]
            self._lingering.append(run)
            if camera_id in self._settings.cameras:
                self._begin(camera_id)
            else:
                self.runs = {name: run for name, run in self.runs.items() if name != camera_id}
                self._metrics.add_camera(camera_id).remove()
                self._on_gone(camera_id)
                log.info("camera %s: no longer watched", camera_id)
        self._lingering = [run for run in self._lingering if run.lingers()]

    def hanging(self, now_s: float) -> int:
        """Capture threads that hang in a library and were given up."""
        left = sum(run.hung(now_s) for run in self._lingering)
        return left + sum(run.hanging() for run in (*self.runs.values(), *self._lingering))

    def _begin(self, camera_id: str) -> None:
        run = self._run_of(camera_id, self.runs.get(camera_id))
        self.runs = {**self.runs, camera_id: run}
        run.start()

    # -- assembly

    def _run_of(self, camera_id: str, before: CameraRun | None = None) -> CameraRun:
        """A camera as it is configured now; the page goes on with the history of the one before."""
        settings, artifact = self._settings, self._artifact
        camera = settings.cameras[camera_id]
        pipeline = CameraPipeline(
            camera,
            self._detectors[camera.min_face_px],
            Tracker(self._numbers, **settings.tracking.model_dump()),
            Decider(settings.deciding, artifact.threshold),
            self._maker,
            rule=artifact.rule,
            rules=self._rules.of(camera_id),
            observe=self._observe_stage,
        )
        return CameraRun(
            camera_id,
            camera,
            pipeline,
            self._maker,
            compliance=self._rules.compliance,
            metrics=self._metrics.add_camera(camera_id),
            on_ready=self._on_ready,
            history=before.history if before else None,
        )

    def _observe_stage(self, stage: str, seconds: float) -> None:
        self._metrics.stage_duration.labels(stage).observe(seconds)
