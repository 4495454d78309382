"""From figures to a verdict: each defect has its word, its weight and its remedy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from probe.views import arrivals, faces, findings, reading

from worker.errors import CameraError
from worker.probe.figures import face_figures
from worker.probe.reading import Reading
from worker.probe.verdict import verdict


def told(*found: Any) -> list[tuple[str, str]]:
    return [(finding.kind, finding.topic) for finding in found]


def test_a_good_view() -> None:
    """Where nothing is wrong, nothing is said."""
    assert findings() == []
    assert verdict([]) == "can"


@pytest.mark.parametrize(
    ("seen", "kind", "topic", "remedy"),
    [
        (faces(px=14), "fault", "too_small", "zoom in 3.4 times"),
        (faces(sharpness=1.0), "fault", "blurred", "shutter"),
        (faces(sharpness=8.0), "fault", "blurred", "shutter"),
        (faces(level=20, view=25), "fault", "dark", "more light"),
        (faces(level=20, view=150), "fault", "backlit", "WDR"),
        (faces(level=240), "fault", "bright", "exposure"),
        (faces(px=200), "advice", "substream", "1/3 of the width"),
        (faces(3), "doubt", "few_faces", "probe again"),
        (faces(0), "doubt", "no_faces", "probe again"),
        (faces(0, view=12), "fault", "dark", "more light"),
        (faces(0, view=250), "fault", "bright", "exposure"),
        (faces(0, detail=0.6), "fault", "detail", "focus"),
    ],
)
def test_faces(seen: Any, kind: str, topic: str, remedy: str) -> None:
    """What is wrong with the faces, and what to change."""
    (finding,) = findings(seen=seen)
    assert (finding.kind, finding.topic) == (kind, topic)
    assert remedy in finding.text


def test_some_small_faces_are_advice() -> None:
    """Who is far away is small in every hall; a third of the faces is worth a word."""
    seen = faces(30)
    seen = replace(seen, sizes_px=[50.0] * 20 + [12.0] * 10)
    (finding,) = findings(seen=seen)
    assert (finding.kind, finding.topic) == ("advice", "too_small")


def test_small_is_what_the_configuration_says() -> None:
    """The camera's own limit counts."""
    assert told(*findings(seen=faces(px=30), min_face_px=40)) == [("fault", "too_small")]
    assert findings(seen=faces(px=14), min_face_px=12) == []


@pytest.mark.parametrize(
    ("read", "kind", "topic", "remedy"),
    [
        (reading(arrivals(fps=2, gop=4), announced_fps=2), "fault", "frame_rate", "10 or more"),
        (reading(arrivals(fps=4, gop=4), announced_fps=4), "advice", "frame_rate", "analyse_fps"),
        (reading(arrivals(fps=12)), "advice", "frame_rate", "slow shutter"),
        (reading(arrivals(gop=300)), "advice", "keyframes", "at least 10.0 s apart"),
        (reading(arrivals(gop=120)), "advice", "keyframes", "4.8 s apart"),
        (reading(arrivals(jitter_s=0.4)), "advice", "arrival", "cable"),
        (reading(arrivals(stamp_rate=1.25)), "advice", "clock", "25.0% fast"),
        (reading(codec="mjpeg"), "advice", "codec", "H.264"),
        (reading(reordered=True), "advice", "b_frames", "baseline"),
    ],
)
def test_streams(read: Reading, kind: str, topic: str, remedy: str) -> None:
    """What is wrong with the stream, and what to change."""
    (finding,) = findings(read)
    assert (finding.kind, finding.topic) == (kind, topic)
    assert remedy in finding.text


@pytest.mark.parametrize(
    ("transport", "remedy"), [("udp", 'rtsp_transport = "tcp"'), ("tcp", "cable")]
)
def test_damage(transport: str, remedy: str) -> None:
    """Lost packets: TCP instead of UDP, and under TCP the network itself."""
    frames = arrivals()
    frames[100:110] = [replace(frame, sound=False) for frame in frames[100:110]]
    (finding,) = findings(reading(frames, transport=transport))
    assert (finding.kind, finding.topic) == ("advice", "damage")
    assert remedy in finding.text


def test_frames_that_never_came() -> None:
    """Over UDP a hole between stamps is loss; over TCP a camera that leaves frames out."""
    frames = [frame for number, frame in enumerate(arrivals()) if number % 20 != 7]
    (finding,) = findings(reading(frames, transport="udp"))
    assert (finding.kind, finding.topic) == ("advice", "damage")
    assert "of the frames never came" in finding.text
    assert findings(reading(frames)) == []


def test_mostly_damage_is_a_fault() -> None:
    """A stream of which a third is smeared shows nothing."""
    frames = [replace(frame, sound=n % 3 > 0) for n, frame in enumerate(arrivals())]
    assert told(*findings(reading(frames))) == [("fault", "damage")]


def test_keyframes_only_needs_keyframes() -> None:
    """With `keyframes_only` a long interval is a fault, and a second is no defect."""
    long = reading(arrivals(gop=150))
    assert told(*findings(long, keyframes_only=True)) == [("fault", "keyframes")]
    assert findings(reading(arrivals(gop=8)), keyframes_only=True) == []


def test_a_late_first_picture() -> None:
    """Who waits for the first picture waits after each interruption."""
    (finding,) = findings(replace(reading(), first_frame_s=9.0))
    assert (finding.kind, finding.topic) == ("advice", "first_frame")


def test_a_camera_that_cannot_be_opened() -> None:
    """The reason's word and its sentence are all there is to say."""
    read = Reading(error=CameraError("unauthorised", "rtsp://192.0.2.1/x cannot be opened"))
    (finding,) = findings(read, face_figures([]))
    assert finding.topic == "unauthorised"
    assert finding.text == "unauthorised: rtsp://192.0.2.1/x cannot be opened"
    assert verdict([finding]) == "cannot"


def test_the_worst_comes_first() -> None:
    """One fault outweighs doubt and advice."""
    found = findings(reading(codec="mjpeg"), faces(3, px=10))
    assert [finding.kind for finding in found] == ["fault", "doubt", "advice"]
    assert verdict(found) == "cannot"
    assert verdict(found[1:]) == "unproven"
    assert verdict(found[2:]) == "can"
