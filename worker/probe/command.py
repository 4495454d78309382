"""What ``maskwatch probe`` does between its options and its end: camera after camera."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from worker.capture.picture import silence_ffmpeg
from worker.config import Camera, Deciding, Detection, Settings
from worker.credentials import public_address
from worker.errors import ConfigError
from worker.faces.detect import Detector, open_detector
from worker.inference import artifact
from worker.inference.align import CropRule
from worker.models import default_classifier
from worker.probe.figures import face_figures, stream_figures
from worker.probe.finding import Limits
from worker.probe.looking import look_at, search_px
from worker.probe.picture import write_picture
from worker.probe.reading import read
from worker.probe.report import Probed, as_json, lines
from worker.probe.verdict import judge


@dataclass(frozen=True, slots=True)
class Plan:
    """What is probed, and by which limits.

    Attributes:
        cameras: by name.
        deciding: the worker's limits on faces.
        detection: which detector looks for them.
        model: the classifier, whose crop rule decides what is sharp; default: the one shipped.
    """

    cameras: Mapping[str, Camera]
    deciding: Deciding = field(default_factory=Deciding)
    detection: Detection = field(default_factory=Detection)
    model: Path | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    """How long is watched, and what is handed out."""

    seconds: float = 10.0
    picture: Path | None = None
    clear: bool = False
    as_json: bool = False


def plan_for_url(url: str, **options: Any) -> Plan:
    """The plan for an address on the command line, with the defaults of a configuration.

    Raises:
        ConfigError: the address or an option is wrong; never shows a password.
    """
    try:
        camera = Camera(url=url, **options)
    except ValidationError as error:
        texts = [str(fault["msg"]).removeprefix("Value error, ") for fault in error.errors()]
        raise ConfigError(f"{_shown(url)}: {'; '.join(texts)}") from None
    return Plan({"camera": camera})


def plan_for_settings(settings: Settings, camera_id: str | None) -> Plan:
    """The plan for one camera of a configuration, or for all of them.

    Raises:
        ConfigError: there is no such camera.
    """
    cameras = settings.cameras
    if camera_id is not None:
        if camera_id not in cameras:
            raise ConfigError(
                f"--camera {camera_id}: there is no such camera; there are {', '.join(cameras)}"
            )
        cameras = {camera_id: cameras[camera_id]}
    return Plan(cameras, settings.deciding, settings.detection, settings.inference.model)


def probe_all(plan: Plan, wishes: Wishes, say: Callable[[str], None]) -> bool:
    """Probe each camera of the plan and say what was found; True where all can do the job.

    Raises:
        ConfigError: a model is missing.
        WorkError: a picture cannot be written.
    """
    silence_ffmpeg()
    rule = artifact.load(plan.model or default_classifier(), kind="classifier").rule
    detectors = {
        size: open_detector(
            plan.detection.detector, min_face_px=size, min_score=plan.detection.min_score
        )
        for size in {search_px(camera) for camera in plan.cameras.values()}
    }
    all_can = True
    for name, camera in plan.cameras.items():
        probed = _probe(name, camera, plan, wishes, (detectors[search_px(camera)], rule))
        all_can &= probed.verdict == "can"
        if wishes.as_json:
            say(json.dumps(as_json(probed)))
        else:
            say("\n".join(lines(probed)))
    return all_can


def _probe(
    name: str, camera: Camera, plan: Plan, wishes: Wishes, eyes: tuple[Detector, CropRule]
) -> Probed:
    """One camera: read it, look for faces, judge; pictures are let go of at the end."""
    reading = read(camera, wishes.seconds)
    stream = stream_figures(reading)
    detector, rule = eyes
    looks = list(look_at(reading.pictures, detector, rule, camera))
    faces = face_figures(looks)
    limits = Limits.of(camera, plan.deciding)
    if wishes.picture is not None and looks:
        path = wishes.picture
        if len(plan.cameras) > 1:
            path = path.with_name(f"{path.stem}-{name}{path.suffix}")
        write_picture(path, looks, limits, clear=wishes.clear)
    findings = judge(reading, stream, faces, limits)
    return Probed(name, camera.address, reading, stream, faces, limits, findings)


def _shown(url: str) -> str:
    """The address without its secrets, as far as it can be read at all."""
    try:
        return public_address(url)
    except ValueError:
        return "URL"
