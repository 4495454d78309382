"""Can this view do the job? Pure: figures in, findings and a verdict out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from worker.errors import CameraError
from worker.probe.face_findings import face_findings
from worker.probe.figures import FaceFigures, StreamFigures
from worker.probe.finding import Finding, Limits
from worker.probe.reading import Reading
from worker.probe.stream_findings import stream_findings

Verdict = Literal["can", "cannot", "unproven"]


def judge(
    reading: Reading, stream: StreamFigures | None, faces: FaceFigures, limits: Limits
) -> list[Finding]:
    """All that is to be said of a view, the worst first."""
    found: list[Finding] = []
    if reading.error is not None:
        found.append(_failure(reading.error))
    if reading.about is not None and stream is not None:
        found += stream_findings(reading.about, reading, stream, limits)
    if faces.pictures:
        found += face_findings(faces, stream, limits)
    order = ("fault", "doubt", "advice")
    return sorted(found, key=lambda finding: order.index(finding.kind))


def verdict(findings: Sequence[Finding]) -> Verdict:
    """The findings in one word."""
    kinds = {finding.kind for finding in findings}
    return "cannot" if "fault" in kinds else "unproven" if "doubt" in kinds else "can"


def _failure(error: CameraError) -> Finding:
    return Finding("fault", error.reason, f"{error.reason}: {error}")
