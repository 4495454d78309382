"""Can this view do the job, and what has to change? Pure: figures in, findings out.

A fault keeps the worker from its job here; advice makes it better or cheaper; a doubt says
that this probe could not show it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from worker.config import Camera, Deciding
from worker.errors import CameraError
from worker.probe.figures import FaceFigures, StreamFigures
from worker.probe.reading import About, Reading

Kind = Literal["fault", "doubt", "advice"]
Verdict = Literal["can", "cannot", "unproven"]

LEAST_FPS = 3.0
"""Below it, people who walk are somewhere else in the next frame."""

MOST_KEYFRAME_S = 4.0
MOST_FIRST_FRAME_S = 5.0
MOST_JITTER_MS = 250.0
MOST_GAP_S = 1.5
MOST_DRIFT = 0.02
SOME, MOST = 0.2, 0.5
"""Shares of the faces from which a defect is worth a word, and from which it is a fault."""

DAMAGE_WORTH_A_WORD, DAMAGE_FAULT = 0.002, 0.2
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

GOOD_CODECS = frozenset({"h264", "hevc"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or could be better, with its remedy.

    Attributes:
        topic: a bounded word for programs.
        text: a sentence: what was measured; what to change.
    """

    kind: Kind
    topic: str
    text: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What the worker asks of a view."""

    analyse_fps: float
    keyframes_only: bool
    min_face_px: int
    min_sharpness: float

    @classmethod
    def of(cls, camera: Camera, deciding: Deciding) -> Limits:
        """The limits in a configuration; of both bounds on faces the larger one holds."""
        return cls(
            camera.analyse_fps,
            camera.keyframes_only,
            max(camera.min_face_px, deciding.min_face_px),
            deciding.min_sharpness,
        )


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


def judge(
    reading: Reading, stream: StreamFigures | None, faces: FaceFigures, limits: Limits
) -> list[Finding]:
    """All that is to be said of a view, the worst first."""
    found: list[Finding] = []
    if reading.error is not None:
        found.append(_failure(reading.error))
    if reading.about is not None and stream is not None:
        found += _of_the_pace(reading, stream, limits)
        found += _of_the_stream(reading.about, stream)
    if faces.pictures:
        found += _of_faces(faces, stream, limits) if len(faces) else _of_none(faces)
    order = ("fault", "doubt", "advice")
    return sorted(found, key=lambda finding: order.index(finding.kind))


def verdict(findings: Sequence[Finding]) -> Verdict:
    """The findings in one word."""
    kinds = {finding.kind for finding in findings}
    return "cannot" if "fault" in kinds else "unproven" if "doubt" in kinds else "can"


def _failure(error: CameraError) -> Finding:
    return Finding("fault", error.reason, f"{error.reason}: {error}")


def _of_the_pace(reading: Reading, stream: StreamFigures, limits: Limits) -> Iterator[Finding]:
    """Frames and keyframes a second."""
    about = reading.about
    fps, announced = stream.fps, about.announced_fps if about else None
    wanted = limits.analyse_fps
    if fps < 0.9 * min(wanted, LEAST_FPS):
        yield Finding(
            "fault",
            "frame_rate",
            f"{fps:.1f} frames a second come, too few to follow people: set the stream to "
            f"{max(10.0, wanted):.0f} or more",
        )
    elif fps < 0.9 * wanted:
        yield Finding(
            "advice",
            "frame_rate",
            f"{fps:.1f} frames a second come, fewer than the {wanted:g} that are to be analysed: "
            "set the stream to more, or analyse_fps to less",
        )
    elif announced and fps < 0.8 * announced:
        yield Finding(
            "advice",
            "frame_rate",
            f"{fps:.1f} of the announced {announced:g} frames a second come: look for a slow "
            "shutter in the dark, or for a camera or network at its limit",
        )
    yield from _of_keyframes(stream, limits)
    first_s = reading.first_frame_s
    if first_s is not None and first_s > MOST_FIRST_FRAME_S:
        yield Finding(
            "advice",
            "first_frame",
            f"the first picture came after {first_s:.1f} s, and will after each interruption: "
            "set the keyframe interval to 1 or 2 s",
        )


def _of_keyframes(stream: StreamFigures, limits: Limits) -> Iterator[Finding]:
    if stream.keyframe_s <= MOST_KEYFRAME_S and not limits.keyframes_only:
        return
    at_least = "" if stream.keyframe_seen else "at least "
    told = f"keyframes lie {at_least}{stream.keyframe_s:.1f} s apart"
    remedy = "set the keyframe interval (GOP, I-frame interval) to 1 or 2 s"
    if limits.keyframes_only and stream.keyframe_s > 1.1 / min(limits.analyse_fps, LEAST_FPS):
        yield Finding(
            "fault" if stream.keyframe_s > MOST_KEYFRAME_S else "advice",
            "keyframes",
            f"{told}, and with keyframes_only nothing between them is seen: set "
            "keyframes_only = false, or the keyframe interval lower",
        )
    elif stream.keyframe_s > MOST_KEYFRAME_S:
        yield Finding(
            "advice",
            "keyframes",
            f"{told}, so after an interruption or a lost packet the camera is blind for long: "
            f"{remedy}, and switch smart codecs (H.264+, Zipstream) off",
        )


def _of_the_stream(about: About, stream: StreamFigures) -> Iterator[Finding]:
    """How it arrives, and what it is made of."""
    if stream.damaged > DAMAGE_WORTH_A_WORD:
        remedy = (
            'set rtsp_transport = "tcp"'
            if about.transport == "udp"
            else "check cable, switch and the load of the camera"
        )
        yield Finding(
            "fault" if stream.damaged > DAMAGE_FAULT else "advice",
            "damage",
            f"{stream.damaged:.1%} of the frames are damaged or build on damage: {remedy}",
        )
    if stream.jitter_ms > MOST_JITTER_MS or stream.longest_gap_s > MOST_GAP_S:
        yield Finding(
            "advice",
            "arrival",
            f"frames arrive unevenly (jitter {stream.jitter_ms:.0f} ms, longest gap "
            f"{stream.longest_gap_s:.1f} s): take a cable rather than radio, or a stream of "
            "fewer bits a second",
        )
    if stream.stamp_jumps or stream.stamps_missing > SOME or _drifts(stream):
        yield Finding(
            "advice",
            "clock",
            f"the stream's clock is wrong ({_clock_words(stream)}); the worker goes by the time "
            "of arrival: let the camera take its time from NTP",
        )
    if about.codec not in GOOD_CODECS:
        yield Finding(
            "advice",
            "codec",
            f"{about.codec} takes several times the network of H.264: set the camera to H.264 "
            "or H.265",
        )
    if about.reordered:
        yield Finding(
            "advice",
            "b_frames",
            "the stream has B-frames, which make every picture late: set the profile to "
            "baseline or main without B-frames",
        )


def _drifts(stream: StreamFigures) -> bool:
    """True where the stamps run away by more than jitter explains."""
    drift = abs(stream.drift or 0.0)
    return drift > MOST_DRIFT and drift * stream.seconds > 2 * stream.jitter_ms / 1000


def _clock_words(stream: StreamFigures) -> str:
    if stream.stamps_missing > SOME:
        return f"{stream.stamps_missing:.0%} of the frames have no stamp"
    if stream.stamp_jumps:
        return f"it jumped {stream.stamp_jumps} times"
    return f"it runs {abs(stream.drift or 0):.1%} {'fast' if (stream.drift or 0) > 0 else 'slow'}"


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


def _share(hits: Iterator[bool]) -> float:
    values = list(hits)
    return sum(values) / len(values) if values else 0.0
