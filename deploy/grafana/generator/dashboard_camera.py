"""The dashboard "camera": one camera, or some beside each other."""

from __future__ import annotations

from layout import dashboard, label_variable, source_variable
from parts import (
    Json,
    Panel,
    Query,
    bands,
    lines,
    table,
)
from queries import CAMERA, COLOURS, LATE, STATES, of_camera, quantile, rate, state


def camera() -> Json:
    """One camera, or some beside each other."""
    return dashboard(
        "camera",
        "Does the camera see, how well, and what?",
        [
            source_variable(),
            label_variable("camera", "Camera", "maskwatch_camera_up", "camera"),
        ],
        {
            "At a glance": [cameras_now(), camera_states(), camera_reasons()],
            "Frames": frames(),
            "Faces": faces(),
        },
    )


def cameras_now() -> Panel:
    """One row a camera."""
    return table(
        "Cameras",
        "A camera is blind when it is down or connecting, or when its last frame is old.",
        [
            Query(state(), column="state"),
            Query(
                f"time() - max by (camera) "
                f"({of_camera('camera_last_frame_timestamp_seconds')} > 0)",
                column="last frame",
            ),
            Query(
                f"min by (camera) (maskwatch:camera_still:seconds{{{CAMERA}}})",
                column="last motion",
            ),
            Query(rate("frames_received_total"), column="received/s"),
            Query(rate("frames_analysed_total"), column="analysed/s"),
            Query(rate("frames_dropped_total"), column="dropped/s"),
            Query(
                f"sum by (camera) (increase({of_camera('camera_reconnects_total')}[1h]))",
                column="reconnects in 1 h",
            ),
        ],
        units={"last frame": "s", "last motion": "s"},
        words={"state": STATES},
    )


def camera_states() -> Panel:
    """What the camera was doing."""
    return bands(
        "State",
        "Up: decoded. Off: outside its hours. Ended: a file. All else is blindness.",
        Query(state(), "{{camera}}"),
        STATES,
        width=12,
    )


def camera_reasons() -> Panel:
    """Why the camera was down."""
    return bands(
        "Why it is blind",
        "The reason of each time that the camera was down.",
        Query(
            f"max by (camera, reason) ({of_camera('camera_blind')} == 1)", "{{camera}} {{reason}}"
        ),
        {"1": ("is", "red")},
        width=12,
    )


def frames() -> list[Panel]:
    """What comes, what is taken, what is left."""
    return [
        lines(
            "Frames a second",
            "Received: decoded, due or not. Unchanged: nothing moved, so nothing was looked for.",
            [
                Query(rate("frames_received_total"), "{{camera}} received"),
                Query(rate("frames_analysed_total"), "{{camera}} analysed"),
                Query(rate("frames_unchanged_total"), "{{camera}} unchanged"),
            ],
        ),
        lines(
            "Frames that were due and not analysed, a second",
            "Replaced, expired: too much to do. Corrupt: damaged on the way. Failed: see the log.",
            [Query(rate("frames_dropped_total", "camera, reason"), "{{camera}} {{reason}}")],
        ),
        lines(
            "Age of the last frame",
            "Time since the arrival of the last frame that was analysed.",
            [
                Query(
                    f"time() - max by (camera) "
                    f"({of_camera('camera_last_frame_timestamp_seconds')} > 0)",
                    "{{camera}}",
                )
            ],
            "s",
        ),
        lines(
            "Nothing has moved for",
            "Grows while the picture stands still: frozen, covered, or an empty room.",
            [Query(f"maskwatch:camera_still:seconds{{{CAMERA}}}", "{{camera}}")],
            "s",
        ),
        lines(
            "Reconnects an hour, by reason",
            "Attempts to connect again, and why the last connection ended.",
            [
                Query(
                    f"sum by (camera, reason) "
                    f"(increase({of_camera('camera_reconnects_total')}[1h])) > 0",
                    "{{camera}} {{reason}}",
                )
            ],
        ),
        lines(
            "Latency",
            "From the arrival of a frame to its event in Redis; replays are left out.",
            [
                Query(quantile(share, "event_latency_seconds", "camera"), f"{{{{camera}}}} {name}")
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
            ],
            "s",
            steps=LATE,
        ),
    ]


def faces() -> list[Panel]:
    """What the camera sees."""
    return [
        lines(
            "Faces in view",
            "Faces in the last frame, by decision.",
            [Query(f"sum by (label) ({of_camera('faces_visible')})", "{{label}}")],
            stacked="normal",
            colours=COLOURS,
        ),
        lines(
            "Faces a second, by label",
            "Faces in frame events. Who stays in view counts with every frame: these are no "
            "persons.",
            [Query(rate("faces_total", "label"), "{{label}}")],
            colours=COLOURS,
        ),
        lines(
            "Faces without a label a second, by why",
            "Too small: zoom in or mount lower. Blurred: shutter, focus, lens. Undecided: the "
            "evidence is mixed or too little.",
            [Query(rate("faces_unknown_total", "camera, reason"), "{{camera}} {{reason}}")],
        ),
        lines(
            "Share blurred or undecided, of the faces large enough",
            "Over half an hour. High for a dirty lens, a lost focus, or too little light.",
            [Query(f"maskwatch:faces_unclear:ratio_rate30m{{{CAMERA}}}", "{{camera}}")],
            "percentunit",
            steps=((None, "green"), (0.6, "red")),
            max=1,
        ),
    ]
