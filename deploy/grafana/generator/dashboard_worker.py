"""The dashboard "worker": what waits, how long things take, what it costs."""

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
from queries import CAMERA, GOOD_AT_0, LATE, TAKES, WORKER, quantile, rate


def worker() -> Json:
    """The process: what waits, how long things take, what it costs."""
    return dashboard(
        "worker",
        "Does the worker keep up, and does what it makes arrive?",
        [
            source_variable(),
            label_variable("worker", "Worker", "maskwatch_build_info", "instance"),
            label_variable("camera", "Camera", "maskwatch_camera_up", "camera"),
        ],
        {
            "At a glance": worker_now(),
            "Stages and device": stages(),
            "Redis": delivery(),
            "Process": process(),
        },
    )


def worker_now() -> list[Panel]:
    """The numbers at the top."""
    return [
        stat(
            "Runs for",
            "Time since the start; the youngest worker.",
            f'time() - max(process_start_time_seconds{{job="maskwatch", {WORKER}}})',
            "s",
        ),
        stat(
            "Frames analysed a second",
            "Of the cameras that are chosen.",
            rate("frames_analysed_total", "", f"{CAMERA}, {WORKER}"),
        ),
        stat(
            "Dropped, of the frames due",
            "Over five minutes, on the worker that drops most.",
            f"max(maskwatch:frames_dropped:ratio_rate5m{{{WORKER}}})",
            "percentunit",
            steps=((None, "green"), (0.05, "orange"), (0.2, "red")),
        ),
        stat(
            "Redis",
            "Whether Redis takes events; the worker that fares worst.",
            f"min(maskwatch_redis_up{{{WORKER}}})",
            words=TAKES,
        ),
        stat(
            "Room taken by events that wait",
            "On disk, of what the configuration allows; the fullest worker.",
            f"max(maskwatch_spool_bytes{{{WORKER}}} / maskwatch_spool_limit_bytes{{{WORKER}}})",
            "percentunit",
            steps=((None, "green"), (0.1, "orange"), (0.5, "red")),
        ),
        stat(
            "Batches that failed in 1 h",
            "Batches that the device failed on; their faces have no label.",
            f"sum(increase(maskwatch_device_errors_total{{{WORKER}}}[1h]))",
            steps=GOOD_AT_0,
            decimals=0,
        ),
    ]


def stages() -> list[Panel]:
    """Queues, batches, times."""
    return [
        lines(
            "What waits before a stage",
            "Cameras before detect, crops before classify, events before publish.",
            [Query(f"sum by (stage) (maskwatch_queue_depth{{{WORKER}}})", "{{stage}}")],
        ),
        lines(
            "Crops a batch",
            "Larger batches use a GPU better; batches of one mean that few faces are in view.",
            [
                Query(
                    f"{rate('batch_size_sum', '', WORKER)} / "
                    f"{rate('batch_size_count', '', WORKER)}",
                    "mean",
                ),
                Query(quantile(0.95, "batch_size", "", WORKER), "p95"),
            ],
        ),
        lines(
            "Time in a stage, mean",
            "A call of the stage: a frame, or for classify a batch.",
            [
                Query(
                    f"{rate('stage_duration_seconds_sum', 'stage', WORKER)} / "
                    f"{rate('stage_duration_seconds_count', 'stage', WORKER)}",
                    "{{stage}}",
                )
            ],
            "s",
        ),
        lines(
            "Time in a stage, p95",
            "Over five minutes; the slowest worker.",
            [
                Query(
                    f"max by (stage) (maskwatch:stage_duration_seconds:p95_rate5m{{{WORKER}}})",
                    "{{stage}}",
                )
            ],
            "s",
        ),
        lines(
            "Threads' time by stage",
            "Seconds a second that a stage is at work: 1 is a thread that does nothing else.",
            [Query(rate("stage_duration_seconds_sum", "stage", WORKER), "{{stage}}")],
            stacked="normal",
        ),
        lines(
            "Latency",
            "From the arrival of a frame to its event in Redis; replays are left out.",
            [
                Query(
                    quantile(share, "event_latency_seconds", "", f"{CAMERA}, {WORKER}"),
                    name,
                )
                for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
            ],
            "s",
            steps=LATE,
        ),
        table(
            "Devices",
            "Where each model runs.",
            [Query(f"maskwatch_model_info{{{WORKER}}}")],
            hidden=["digest"],
            width=12,
        ),
        lines(
            "Batches that failed, a minute",
            "By the stage that the device worked for.",
            [
                Query(
                    f"60 * {rate('device_errors_total', 'instance, stage', WORKER)}",
                    "{{instance}} {{stage}}",
                )
            ],
        ),
    ]


def delivery() -> list[Panel]:
    """Events on their way."""
    return [
        bands(
            "Redis over time",
            "Green while Redis takes events.",
            Query(f"maskwatch_redis_up{{{WORKER}}}", "{{instance}}"),
            TAKES,
            width=12,
        ),
        lines(
            "Events that wait",
            "In memory, and spooled on disk.",
            [
                Query(
                    f'sum by (instance) (maskwatch_queue_depth{{stage="publish", {WORKER}}})',
                    "{{instance}} in memory",
                ),
                Query(
                    f"sum by (instance) (maskwatch_events_spooled{{{WORKER}}})",
                    "{{instance}} on disk",
                ),
            ],
        ),
        bands(
            "Disk over time",
            "Green while the disk takes events.",
            Query(f"maskwatch_spool_up{{{WORKER}}}", "{{instance}}"),
            TAKES,
            width=12,
        ),
        lines(
            "Events a second",
            "What is made is published, waits, or is lost; nothing else.",
            [
                Query(rate("events_created_total", "type", WORKER), "{{type}} made"),
                Query(rate("events_published_total", "", WORKER), "published"),
                Query(rate("events_replayed_total", "", WORKER), "of these, after a wait on disk"),
            ],
        ),
        lines(
            "Events lost a second",
            "By type and reason. Each loss is told to the consumers too, by an event.",
            [Query(rate("events_lost_total", "type, reason", WORKER), "{{type}} {{reason}}")],
        ),
    ]


def process() -> list[Panel]:
    """What the worker takes of its machine."""
    chosen = f'job="maskwatch", {WORKER}'
    return [
        lines(
            "Cores in use",
            "CPU seconds a second.",
            [
                Query(
                    f"rate(process_cpu_seconds_total{{{chosen}}}[$__rate_interval])", "{{instance}}"
                )
            ],
            width=8,
        ),
        lines(
            "Memory",
            "Resident; it should be flat after the first minutes.",
            [Query(f"process_resident_memory_bytes{{{chosen}}}", "{{instance}}")],
            "bytes",
            width=8,
        ),
        lines(
            "Open files",
            "Descriptors, sockets among them; they should be flat.",
            [Query(f"process_open_fds{{{chosen}}}", "{{instance}}")],
            width=8,
        ),
    ]
