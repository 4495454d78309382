"""What a probe found, as lines for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from worker.probe.face_findings import face_shares
from worker.probe.figures import FaceFigures, StreamFigures
from worker.probe.finding import Finding, Limits
from worker.probe.reading import Reading
from worker.probe.verdict import Verdict, verdict

BAR = 30
WORDS: dict[Verdict, str] = {
    "can": "this view can do the job",
    "cannot": "this view cannot do the job as it is",
    "unproven": "not shown that this view can do the job",
}


@dataclass(frozen=True, slots=True)
class Probed:
    """All that is known of one camera's view."""

    name: str
    address: str
    reading: Reading
    stream: StreamFigures | None
    faces: FaceFigures
    limits: Limits
    findings: Sequence[Finding]

    @property
    def verdict(self) -> Verdict:
        """The findings in one word."""
        return verdict(self.findings)


def lines(probed: Probed) -> Iterator[str]:
    """The report as people read it."""
    yield f"{probed.name}: {probed.address}"
    for title, text in _rows(probed):
        yield f"  {title:<9} {text}"
    if len(probed.faces):
        yield from _histogram(probed)
    said = WORDS[probed.verdict] if probed.reading.arrivals else "it showed no picture"
    yield f"  {'verdict':<9} {said}"
    for finding in probed.findings:
        yield f"  {finding.kind:<9} {finding.text}"


def as_json(probed: Probed) -> dict[str, Any]:
    """The same for programs; numbers in base units, sizes in pixels."""
    reading, faces = probed.reading, probed.faces
    error = reading.error
    found: dict[str, Any] = {
        "camera": probed.name,
        "address": probed.address,
        "verdict": probed.verdict,
        "findings": [asdict(finding) for finding in probed.findings],
        "error": {"reason": error.reason, "text": str(error)} if error else None,
        "limits": asdict(probed.limits),
        "stream": None,
        "faces": None,
    }
    if reading.about is not None:
        figures = asdict(probed.stream) if probed.stream else {}
        found["stream"] = {
            **asdict(reading.about), "first_frame_s": reading.first_frame_s, **figures
        }  # fmt: skip
    if faces.pictures:
        bars = [{"from_px": a, "below_px": b, "faces": n} for a, b, n in faces.histogram()]
        found["faces"] = {
            "pictures": faces.pictures,
            "seen": len(faces),
            "most_at_once": faces.most,
            "histogram": bars,
            "median_px": faces.size_at(0.5) if len(faces) else None,
            "shares": asdict(face_shares(faces, probed.limits)),
            "picture_level": faces.level,
            "picture_detail": faces.detail,
        }
    return {key: _rounded(value) for key, value in found.items()}


def _rows(probed: Probed) -> Iterator[tuple[str, str]]:
    about, stream, faces = probed.reading.about, probed.stream, probed.faces
    if about is not None:
        profile = f" {about.profile}" if about.profile else ""
        yield (
            "video",
            f"{about.codec}{profile}, {about.width}x{about.height}, over {about.transport}",
        )
    if about is not None and stream is not None:
        announced = f" ({about.announced_fps:g} announced)" if about.announced_fps else ""
        at_least = "" if stream.keyframe_seen else "at least "
        yield (
            "pace",
            f"{stream.fps:.1f} frames/s{announced}, a keyframe every {at_least}"
            f"{stream.keyframe_s:.1f} s, {stream.bit_rate / 1e6:.2f} Mbit/s",
        )
        yield (
            "arrival",
            f"first picture after {probed.reading.first_frame_s or 0:.2f} s, jitter "
            f"{stream.jitter_ms:.0f} ms, longest gap {stream.longest_gap_s:.2f} s, damaged "
            f"{stream.damaged:.1%}, lost {stream.lost:.1%}",
        )
        yield "clock", _clock(stream)
    if faces.pictures:
        yield "faces", _faces(probed)


def _clock(stream: StreamFigures) -> str:
    drift = "drift unknown" if stream.drift is None else f"drift {stream.drift:+.2%}"
    missing = f", {stream.stamps_missing:.0%} without stamp" if stream.stamps_missing else ""
    return f"{drift}, jumps {stream.stamp_jumps}{missing}"


def _faces(probed: Probed) -> str:
    faces = probed.faces
    if not len(faces):
        return f"none in {faces.pictures} pictures, mean level {faces.level:.0f} of 255"
    shares = face_shares(faces, probed.limits)
    return (
        f"{len(faces)} in {faces.pictures} pictures, up to {faces.most} at once; under "
        f"{probed.limits.min_face_px} px {shares.too_small:.0%}, blurred {shares.soft:.0%}, "
        f"too dark {shares.too_dark:.0%}, too bright {shares.too_bright:.0%}"
    )


def _histogram(probed: Probed) -> Iterator[str]:
    """One line a bar, from the first to the last that holds a face."""
    bars = probed.faces.histogram()
    most = max(count for _, _, count in bars)
    held = [place for place, (_, _, count) in enumerate(bars) if count]
    for low, high, count in bars[held[0] : held[-1] + 1]:
        bound = f"{low}-{high - 1} px" if high else f"{low}+ px"
        yield f"  {'':<9} {bound:>10} {'#' * round(BAR * count / most):<{BAR}} {count}"


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
