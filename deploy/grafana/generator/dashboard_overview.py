"""The dashboard "overview": are we watching, and what do we see?"""

from __future__ import annotations

from layout import dashboard, label_variable, source_variable
from parts import (
    Json,
    Panel,
    Query,
    bands,
    lines,
    stat,
    table,
)
from queries import COLOURS, GOOD_ABOVE, GOOD_AT_0, LATE, SEES, of_camera

FIRING = 'ALERTS{alertname=~"Maskwatch.+"}'


def overview() -> Json:
    """Are we watching, and what do we see?"""
    return dashboard(
        "overview",
        "Are we watching? What is seen? What is wrong?",
        [
            source_variable(),
            label_variable("camera", "Camera", "maskwatch_camera_up", "camera"),
        ],
        {
            "Are we watching?": [*watching(), *what_is_wrong()],
            "What the cameras see": seen(),
        },
    )


def watching() -> list[Panel]:
    """The numbers at the top."""
    up, watched = "sum(maskwatch:cameras_up:sum)", "sum(maskwatch:cameras_watched:sum)"
    return [
        stat(
            "Coverage",
            "Share of the cameras that should be watched which give a picture. Those outside "
            "their hours do not count; those of a dead worker count for an hour, as blind.",
            f"{up} / {watched}",
            "percentunit",
            steps=GOOD_ABOVE,
            min=0,
            max=1,
        ),
        stat(
            "Blind cameras",
            "Cameras that should be watched and give no picture. The table below names them.",
            f"{watched} - {up}",
            steps=GOOD_AT_0,
        ),
        stat(
            "Alerts that fire",
            "Alerts of maskwatch that fire now. The table below names them.",
            'count(ALERTS{alertname=~"Maskwatch.+", alertstate="firing"}) or vector(0)',
            steps=GOOD_AT_0,
        ),
        stat(
            "Workers that answer",
            "Workers that Prometheus can ask.",
            'sum(up{job="maskwatch"})',
            steps=((None, "red"), (1, "green")),
        ),
        stat(
            "Latency, p95",
            "From the arrival of a frame to its event in Redis, over five minutes, on the slowest "
            "worker. Replays after an outage are left out.",
            "max(maskwatch:event_latency_seconds:p95_rate5m)",
            "s",
            steps=LATE,
        ),
        stat(
            "Events lost in 24 h",
            "Events that were given up and reached nobody.",
            "sum(increase(maskwatch_events_lost_total[24h]))",
            steps=GOOD_AT_0,
            decimals=0,
        ),
    ]


def what_is_wrong() -> list[Panel]:
    """Which cameras are blind and since when, and which alerts there are."""
    return [
        bands(
            "Cameras over time",
            "Green while the camera's stream is decoded.",
            Query(f"max by (camera) ({of_camera('camera_up')})", "{{camera}}"),
            SEES,
        ),
        table(
            "Blind cameras and why",
            "The reasons are explained in the operators' guide.",
            [Query(f"{of_camera('camera_blind')} == 1")],
            hidden=["instance"],
            width=8,
        ),
        table(
            "Alerts",
            "Alerts that fire, or will if it lasts (pending).",
            [Query(FIRING)],
            hidden=["instance"],
            width=16,
        ),
    ]


def seen() -> list[Panel]:
    """Faces, by label."""
    return [
        lines(
            "Faces in view",
            "Faces in the last frame of each camera, by decision.",
            [Query(f"sum by (label) ({of_camera('faces_visible')})", "{{label}}")],
            stacked="normal",
            colours=COLOURS,
        ),
        lines(
            "Faces in view, by camera",
            "Faces in the last frame, whatever their label.",
            [Query(f"sum by (camera) ({of_camera('faces_visible')})", "{{camera}}")],
        ),
    ]
