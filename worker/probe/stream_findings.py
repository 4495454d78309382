"""What is wrong with how a stream arrives, and what to change. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from worker.probe.figures import StreamFigures
from worker.probe.finding import Finding, Limits
from worker.probe.reading import About, Reading

LEAST_FPS = 3.0
"""Below it, people who walk are somewhere else in the next frame."""

MOST_KEYFRAME_S = 4.0
MOST_FIRST_FRAME_S = 5.0
MOST_JITTER_MS = 250.0
MOST_GAP_S = 1.5
MOST_DRIFT = 0.02
MOST_UNSTAMPED = 0.2
DAMAGE_WORTH_A_WORD, DAMAGE_FAULT = 0.002, 0.2
LOST_WORTH_A_WORD = 0.01

GOOD_CODECS = frozenset({"h264", "hevc"})


def stream_findings(
    about: About, reading: Reading, stream: StreamFigures, limits: Limits
) -> Iterator[Finding]:
    """All that is to be said of a stream."""
    yield from _of_the_pace(about, reading, stream, limits)
    yield from _of_damage(about, stream)
    yield from _of_the_arrival(about, stream)


def _of_the_pace(
    about: About, reading: Reading, stream: StreamFigures, limits: Limits
) -> Iterator[Finding]:
    """Frames and keyframes a second."""
    fps, announced = stream.fps, about.announced_fps
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


def _of_the_arrival(about: About, stream: StreamFigures) -> Iterator[Finding]:
    """How it arrives, and what it is made of."""
    if stream.jitter_ms > MOST_JITTER_MS or stream.longest_gap_s > MOST_GAP_S:
        yield Finding(
            "advice",
            "arrival",
            f"frames arrive unevenly (jitter {stream.jitter_ms:.0f} ms, longest gap "
            f"{stream.longest_gap_s:.1f} s): take a cable rather than radio, or a stream of "
            "fewer bits a second",
        )
    if stream.stamp_jumps or stream.stamps_missing > MOST_UNSTAMPED or _drifts(stream):
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


def _of_damage(about: About, stream: StreamFigures) -> Iterator[Finding]:
    """Packets that were lost: over UDP whole frames, and what builds on them is smeared."""
    over_udp = about.transport == "udp"
    if stream.damaged > DAMAGE_WORTH_A_WORD:
        remedy = "check cable, switch and the load of the camera"
        yield Finding(
            "fault" if stream.damaged > DAMAGE_FAULT else "advice",
            "damage",
            f"{stream.damaged:.1%} of the frames are damaged or build on damage: "
            + ('set rtsp_transport = "tcp"' if over_udp else remedy),
        )
    elif over_udp and stream.lost > LOST_WORTH_A_WORD:
        yield Finding(
            "advice",
            "damage",
            f"{stream.lost:.1%} of the frames never came, and those after them may be smeared: "
            'set rtsp_transport = "tcp"',
        )


def _drifts(stream: StreamFigures) -> bool:
    """True where the stamps run away by more than jitter explains."""
    drift = abs(stream.drift or 0.0)
    return drift > MOST_DRIFT and drift * stream.seconds > 2 * stream.jitter_ms / 1000


def _clock_words(stream: StreamFigures) -> str:
    if stream.stamps_missing > MOST_UNSTAMPED:
        return f"{stream.stamps_missing:.0%} of the frames have no stamp"
    if stream.stamp_jumps:
        return f"it jumped {stream.stamp_jumps} times"
    return f"it runs {abs(stream.drift or 0):.1%} {'fast' if (stream.drift or 0) > 0 else 'slow'}"
