"""What is wrong with the faces that a view shows, and what to change. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from worker.probe.figures import FaceFigures, StreamFigures
from worker.probe.finding import Finding, Kind, Limits

SOME, MOST = 0.2, 0.5
"""Shares of the faces from which a defect is worth a word, and from which it is a fault."""

DARK_LEVEL, BRIGHT_LEVEL = 35.0, 225.0
"""Mean luma of a face out of 255. In good light dark skin has 50 and more."""

DARK_VIEW, BRIGHT_VIEW = 30.0, 235.0
BACKLIT_VIEW = 90.0
"""Mean luma of a picture in which dark faces are backlit rather than at night."""

LEAST_DETAIL = 1.5
"""Detail of a picture, in levels, that only a covered or unfocused lens stays under."""

SOFT = 16.0
"""Detail of a face, in levels. Of 970 faces from 20 px on, annotated in photographs, 99 in 100
have 16 and more, so what the classifier says of softer ones was hardly ever measured."""

FEW_FACES = 5
WANTED_PX = 48.0
"""Size from which a face counts in full for a decision (``worker/output/decide.py``)."""

PLENTY = 6.0
"""So many times the smallest face: a smaller stream would do."""


@dataclass(frozen=True, slots=True)
class FaceShares:
    """Shares of the faces that are of no use, or of little. Blur and light: of the large enough.

    Attributes:
        blurred: under the worker's own limit, so that they stay unknown.
        soft: under ``SOFT``, the blurred ones included.
    """

    too_small: float
    blurred: float
    soft: float
    too_dark: float
    too_bright: float


def face_shares(faces: FaceFigures, limits: Limits) -> FaceShares:
    """How many of the faces seen are of no use, and why."""
    fit = [px >= limits.min_face_px for px in faces.sizes_px]
    sharp = [value for value, is_fit in zip(faces.sharpness, fit, strict=True) if is_fit]
    levels = [value for value, is_fit in zip(faces.levels, fit, strict=True) if is_fit]
    return FaceShares(
        too_small=_share(not is_fit for is_fit in fit),
        blurred=_share(value < limits.min_sharpness for value in sharp),
        soft=_share(value < max(SOFT, limits.min_sharpness) for value in sharp),
        too_dark=_share(value < DARK_LEVEL for value in levels),
        too_bright=_share(value > BRIGHT_LEVEL for value in levels),
    )


def face_findings(
    faces: FaceFigures, stream: StreamFigures | None, limits: Limits
) -> Iterator[Finding]:
    """All that is to be said of what the pictures show."""
    if len(faces):
        yield from _of_faces(faces, stream, limits)
    else:
        yield from _of_none(faces)


def _of_none(faces: FaceFigures) -> Iterator[Finding]:
    """Nobody was seen: since nobody was there, or since nobody could be?"""
    if faces.level < DARK_VIEW:
        yield Finding(
            "fault",
            "dark",
            f"the picture is dark (mean level {faces.level:.0f} of 255), no face was found: more "
            "light, or the camera's infrared",
        )
    elif faces.level > BRIGHT_VIEW:
        yield Finding(
            "fault",
            "bright",
            f"the picture is washed out (mean level {faces.level:.0f} of 255), no face was "
            "found: lower the exposure, turn the camera from the light",
        )
    elif faces.detail < LEAST_DETAIL:
        yield Finding(
            "fault",
            "detail",
            f"the picture shows hardly any detail ({faces.detail:.1f} levels), no face was "
            "found: focus, clean or uncover the lens",
        )
    else:
        yield Finding(
            "doubt",
            "no_faces",
            "no face was seen, so nothing is shown: probe again while somebody walks through "
            "the view, to where people are farthest away; if somebody did, look with --picture "
            "whether they are blurred, turned away or seen from too high up",
        )


def _of_faces(
    faces: FaceFigures, stream: StreamFigures | None, limits: Limits
) -> Iterator[Finding]:
    shares = face_shares(faces, limits)
    if len(faces) < FEW_FACES:
        yield Finding(
            "doubt",
            "few_faces",
            f"a face was seen only {len(faces)} times: probe again while people are in the view",
        )
    if shares.too_small > SOME:
        yield Finding(_kind(shares.too_small), "too_small", _too_small(faces, shares, limits))
    elif faces.size_at(0.1) > PLENTY * limits.min_face_px:
        times = min(4.0, faces.size_at(0.1) / (2.0 * limits.min_face_px))
        yield Finding(
            "advice",
            "substream",
            f"9 of 10 faces are wider than {faces.size_at(0.1):.0f} px: a substream of "
            f"1/{times:.0f} of the width would do and cost far less",
        )
    if shares.soft > SOME:
        bits = f" ({stream.bit_rate / 1e6:.1f} Mbit/s now)" if stream else ""
        yield Finding(
            _kind(shares.soft),
            "blurred",
            f"{shares.soft:.0%} of the faces are blurred, {shares.blurred:.0%} beyond use: set "
            "the shutter to 1/100 s or shorter, with more light; focus and clean the lens; a "
            f"higher bit rate{bits}",
        )
    yield from _of_light(faces, shares)


def _too_small(faces: FaceFigures, shares: FaceShares, limits: Limits) -> str:
    median = faces.size_at(0.5)
    zoom = max(1.2, WANTED_PX / max(1.0, median))
    return (
        f"{shares.too_small:.0%} of the faces are narrower than {limits.min_face_px} px, half of "
        f"all than {median:.0f}: zoom in {zoom:.1f} times, mount the camera nearer or lower, or "
        "take its larger stream; a smaller min_face_px finds some of them, at a price"
    )


def _of_light(faces: FaceFigures, shares: FaceShares) -> Iterator[Finding]:
    if shares.too_dark > SOME and faces.level > BACKLIT_VIEW:
        yield Finding(
            _kind(shares.too_dark),
            "backlit",
            f"{shares.too_dark:.0%} of the faces are dark before a bright view: turn the camera "
            "away from windows and doors, or switch its wide dynamic range (WDR) on",
        )
    elif shares.too_dark > SOME:
        yield Finding(
            _kind(shares.too_dark),
            "dark",
            f"{shares.too_dark:.0%} of the faces are too dark: more light where people face "
            "the camera",
        )
    if shares.too_bright > SOME:
        yield Finding(
            _kind(shares.too_bright),
            "bright",
            f"{shares.too_bright:.0%} of the faces are washed out: lower the exposure, or keep "
            "lamps and sun off them",
        )


def _kind(share: float) -> Kind:
    return "fault" if share > MOST else "advice"


def _share(hits: Iterable[bool]) -> float:
    values = list(hits)
    return sum(values) / len(values) if values else 0.0
