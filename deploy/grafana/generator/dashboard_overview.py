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
from queries import COLOURS, GOOD_ABOVE, GOOD_AT_0, LATE, STATES, of_camera, state

ZONE = 'zone=~"$zone"'
FIRING = 'ALERTS{alertname=~"Maskwatch.+"}'


def overview() -> Json:
    """Are we watching, and what do we see?"""
    return dashboard(
        "overview",
        "Are we watching? What is seen? What is wrong?",
        [
            source_variable(),
            label_variable("camera", "Camera", "maskwatch_camera_up", "camera"),
            label_variable("zone", "Zone", "maskwatch_compliance_judged_persons", "zone"),
        ],
        {
            "Are we watching?": [*watching(), *what_is_wrong()],
            "Compliance": compliance(),
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
            "Up: decoded. Off: outside its hours. Ended: a file. All else is blindness.",
            Query(state(), "{{camera}}"),
            STATES,
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


def compliance() -> list[Panel]:
    """Rates, and what they rest on."""
    return [
        table(
            "Zones in the last hour",
            "A rate, beside what makes it worth something: how many were judged, how many stayed "
            "unknown, how long cameras were blind. A person counts once a period. Under 20 "
            "judged there is no rate. The zone all holds every camera.",
            [
                Query(
                    f"sum by (zone) (maskwatch:compliance_judged:increase1h{{{ZONE}}})",
                    column="judged",
                ),
                Query(
                    f"avg by (zone) (maskwatch:compliance:ratio_increase1h{{{ZONE}}})",
                    column="rate",
                ),
                Query(
                    f"sum by (zone) "
                    f'(maskwatch:compliance_persons:increase1h{{label="unknown", {ZONE}}})',
                    column="unknown",
                ),
                Query(
                    f"sum by (zone) (maskwatch:compliance_blind_seconds:increase1h{{{ZONE}}})",
                    column="cameras blind",
                ),
                Query(
                    f"sum by (zone) (maskwatch_violations_active{{{ZONE}}})",
                    column="violations open",
                ),
                Query(f"max by (zone) (maskwatch_compliance_low{{{ZONE}}})", column="limit"),
            ],
            units={"rate": "percentunit", "cameras blind": "s"},
            words={"limit": {"0": ("kept", "green"), "1": ("below", "red")}},
        ),
        lines(
            "Share with a mask in the last period",
            "Of the persons judged. No line where these were too few to say.",
            [Query(f"maskwatch_compliance_rate{{{ZONE}}}", "{{zone}}")],
            "percentunit",
            max=1,
        ),
        lines(
            "Persons judged in the last period",
            "What the rate is a share of: with, without and incorrectly, but not unknown.",
            [Query(f"maskwatch_compliance_judged_persons{{{ZONE}}}", "{{zone}}")],
        ),
        lines(
            "Violations begun in an hour",
            "By zone and kind; looking back an hour at each moment.",
            [
                Query(
                    f"sum by (zone, kind) (increase(maskwatch_violations_total{{{ZONE}}}[1h]))",
                    "{{zone}} {{kind}}",
                )
            ],
        ),
        lines(
            "Persons in an hour, by label",
            "Looking back an hour at each moment. A person counts once a period.",
            [
                Query(
                    f"sum by (zone, label) (maskwatch:compliance_persons:increase1h{{{ZONE}}})",
                    "{{zone}} {{label}}",
                )
            ],
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
