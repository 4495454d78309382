"""The dashboard "models": what judges, and how it judges."""

from __future__ import annotations

from layout import dashboard, label_variable, source_variable
from parts import Json, Panel, Query, bars, lines, table
from queries import COLOURS, of_camera, quantile, rate


def models() -> Json:
    """What judges, and how it judges."""
    return dashboard(
        "models",
        "Which models run, and is what they say plausible?",
        [
            source_variable(),
            label_variable("camera", "Camera", "maskwatch_camera_up", "camera"),
        ],
        {
            "What runs": [
                table(
                    "Models",
                    "Name, version and digest of each model: the same everywhere, but for a "
                    "roll-out. A camera's events name the classifier as well.",
                    [Query("maskwatch_model_info")],
                    width=16,
                    height=6,
                ),
                table(
                    "Versions of the worker",
                    "How many workers run which version.",
                    [Query("count by (version) (maskwatch_build_info)", column="workers")],
                    width=8,
                    height=6,
                ),
            ],
            "What they say": judgements(),
            "How sure they are, and how fast": sureness(),
        },
    )


def judgements() -> list[Panel]:
    """Labels and abstentions."""
    return [
        lines(
            "Label mix",
            "Shares of the labels, of all faces in frame events. A sudden change of the mix that "
            "the venue does not explain points to the camera or the model.",
            [Query(rate("faces_total", "label"), "{{label}}")],
            stacked="percent",
            colours=COLOURS,
        ),
        lines(
            "Share unknown, by camera",
            "Faces without a label, of all faces in frame events.",
            [
                Query(
                    f"{rate('faces_unknown_total')} / ({rate('faces_total')} > 0)",
                    "{{camera}}",
                )
            ],
            "percentunit",
            max=1,
        ),
        lines(
            "Why faces are unknown",
            "Shares of the reasons.",
            [Query(rate("faces_unknown_total", "reason"), "{{reason}}")],
            stacked="percent",
        ),
        bars(
            "Faces by camera and label in 1 h",
            "Faces in frame events: who stays in view counts with every frame.",
            Query(
                f"sum by (camera, label) (increase({of_camera('faces_total')}[1h]))",
                "{{camera}} {{label}}",
            ),
        ),
    ]


def sureness() -> list[Panel]:
    """Scores and times of the models."""
    return [
        bars(
            "Detection scores in 1 h",
            "How many faces the detector was how sure of, by the upper end of the score. Of all "
            "cameras. Many low ones: the view is hard, or the threshold is low.",
            Query(
                "sum by (le) (increase(maskwatch_detection_score_bucket[1h]))",
                "{{le}}",
                buckets=True,
            ),
        ),
        lines(
            "Detection score over time",
            "Of all cameras: half of the faces, and nine in ten, are above.",
            [
                Query(quantile(0.5, "detection_score", "", ""), "median"),
                Query(quantile(0.1, "detection_score", "", ""), "p10"),
            ],
            max=1,
        ),
        lines(
            "Time of a batch and of a look for faces",
            "The classifier for a batch, the detector for a frame; all workers.",
            [
                Query(
                    quantile(0.5, "stage_duration_seconds", "stage", 'stage=~"detect|classify"'),
                    "{{stage}} p50",
                ),
                Query(
                    quantile(0.95, "stage_duration_seconds", "stage", 'stage=~"detect|classify"'),
                    "{{stage}} p95",
                ),
            ],
            "s",
        ),
        lines(
            "Faces classified a second",
            "Crops that went through the classifier; all workers.",
            [Query(rate("batch_size_sum", "", ""), "crops")],
        ),
    ]
