"""The wire schema: what every event looks like in Redis, versioned, one model a type.

The producer is strict: a document that breaks its model is never sent. Consumers must not be:
within one number new optional fields may come, so the published JSON Schema lets fields pass
that it doesn't know. Anything else that changes raises the number in ``schema``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from worker.records import Label, UnknownReason

Stream = Literal["frames", "alerts", "compliance"]
EventType = Literal["frame", "track", "violation", "camera", "gap", "loss", "rule", "compliance"]
Phase = Literal["start", "update", "end"]

STREAM_OF: Mapping[EventType, Stream] = {
    "frame": "frames",
    "track": "alerts",
    "violation": "alerts",
    "camera": "alerts",
    "gap": "alerts",
    "loss": "alerts",
    "rule": "alerts",
    "compliance": "compliance",
}

_NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"

Name = Annotated[str, Field(pattern=_NAME)]
Instant = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        json_schema_extra={"format": "date-time"},
    ),
]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class Wire(BaseModel):
    """Part of a document: no unknown key, no NaN, no change afterwards."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,
    )


class Counts(Wire):
    """How many of each label."""

    without_mask: Count = Field(description="Without a mask.")
    with_mask: Count = Field(description="With a mask.")
    mask_worn_incorrectly: Count = Field(description="With a mask that leaves nose or mouth free.")
    unknown: Count = Field(description="Nothing is said about these, for a reason.")


class LabelSeconds(Wire):
    """Seconds spent under each label."""

    without_mask: Seconds = Field(description="Seconds without a mask.")
    with_mask: Seconds = Field(description="Seconds with a mask.")
    mask_worn_incorrectly: Seconds = Field(description="Seconds with a mask worn incorrectly.")
    unknown: Seconds = Field(description="Seconds in which nothing was said.")


class Probabilities(Wire):
    """What the classifier says of one crop; they sum to 1, up to rounding."""

    without_mask: Share = Field(description="Probability of no mask.")
    with_mask: Share = Field(description="Probability of a mask.")
    mask_worn_incorrectly: Share = Field(description="Probability of one worn incorrectly.")


class Model(Wire):
    """The classifier that was used."""

    name: str = Field(description="Its name, as in its card.")
    version: str = Field(description="Its version, as in its card.")
    digest: str = Field(description="SHA-256 of its weights, hexadecimal.")


class PublishedFace(Wire):
    """One face of a frame."""

    track_id: str | None = Field(description="`run_id-n`; null until the track is confirmed.")
    box: tuple[Seconds, Seconds, Seconds, Seconds] = Field(
        description="`[x, y, w, h]` in pixels of the source frame, cut at its edges."
    )
    detection_score: Share = Field(description="How sure the detector is that this is a face.")
    label: Label = Field(description="The decision on the track at this frame.")
    score: Share = Field(description="How sure the decision is.")
    reason: UnknownReason | None = Field(description="Why the label is `unknown`, else null.")
    probabilities: Probabilities | None = Field(
        description="What the classifier says of this very crop; null where it was not asked."
    )
    face_px: Seconds = Field(description="Size of the face: the shorter side of its box.")


class Event(Wire):
    """What every document begins with."""

    schema_: str = Field(
        alias="schema", description="Name and number of this schema, such as `maskwatch.frame/1`."
    )
    event_id: str = Field(
        description="`run_id:stream:camera_id:seq`; the same on every attempt to publish."
    )
    run_id: str = Field(description="One start of the worker; sorts by time.")
    worker_id: Name = Field(description="The worker, as configured.")
    camera_id: Name = Field(
        description="The camera, as configured; `all`: of no single one (rule, compliance)."
    )
    seq: Count = Field(
        description="Counts from 0 per run, camera and stream; a hole is an event that was lost."
    )


class FrameEvent(Event):
    """A frame that was taken up, and the faces in it."""

    schema_: Literal["maskwatch.frame/1"] = Field("maskwatch.frame/1", alias="schema")
    dropped_since_last: dict[Word, Count] = Field(
        description="Frames that were due since the last event and not analysed, by reason: "
        "`replaced`, `corrupt`, `expired`, `failed`."
    )
    captured_at: Instant = Field(description="When the frame arrived; UTC.")
    width: Count = Field(description="Width of the source frame in pixels.")
    height: Count = Field(description="Height of the source frame in pixels.")
    detection: Literal["ran", "unchanged"] = Field(
        description="`unchanged`: nothing moved, the faces are those held from before."
    )
    model: Model = Field(description="The classifier that was used.")
    counts: Counts = Field(description="Faces of this frame by label.")
    faces: tuple[PublishedFace, ...] = Field(description="Every face of this frame.")


class TrackEvent(Event):
    """A person's confirmed track begins or ends."""

    schema_: Literal["maskwatch.track/1"] = Field("maskwatch.track/1", alias="schema")
    occurred_at: Instant = Field(description="When this was found; UTC.")
    phase: Literal["start", "end"] = Field(description="Each track has one of either.")
    track_id: str = Field(description="`run_id-n`, as in the frame events.")
    started_at: Instant = Field(description="When the track was first seen.")
    ended_at: Instant | None = Field(description="Null while it lasts.")
    duration_s: Seconds = Field(description="From the first look to this event.")
    label: Label = Field(description="The decision as it stands at this event.")
    score: Share = Field(description="How sure the decision is.")
    reason: UnknownReason | None = Field(description="Why the label is `unknown`, else null.")
    frames: Counts = Field(description="Frames of this track by the label they were given.")
    seconds: LabelSeconds = Field(description="Seconds of this track by label.")
    end_reason: Word | None = Field(
        description="Null while it lasts; `gone`, `camera_down`, `ended`: a file was played to its "
        "end, `stopped` or `restarted`."
    )


class ViolationEvent(Event):
    """Somebody is seen without a mask, or with one worn incorrectly, for long enough."""

    schema_: Literal["maskwatch.violation/1"] = Field("maskwatch.violation/1", alias="schema")
    occurred_at: Instant = Field(description="When this was found; UTC.")
    phase: Phase = Field(description="One `start`, any number of `update`, one `end`.")
    violation_id: str = Field(description="`run_id-vN`; the same from start to end.")
    kind: Literal["without_mask", "mask_worn_incorrectly"] = Field(description="What is wrong.")
    track_id: str = Field(description="Whose it is, as in the frame events.")
    zone: Name = Field(description="The zone that the person is in; `all`: everywhere.")
    started_at: Instant = Field(description="When it began.")
    ended_at: Instant | None = Field(description="Null while it lasts.")
    duration_s: Seconds = Field(description="From its begin to this event.")
    score: Share = Field(description="The highest score of its kind so far.")
    end_reason: Word | None = Field(
        description="Null while it lasts; `complied`: the mask is right; `changed`: it is another "
        "kind now; `unknown`: no decision any more; `left_zone`; `gone`: the track ended; "
        "`camera_down`; `ended`: a file was played to its end; `stopped`; `restarted`."
    )


class CameraEvent(Event):
    """A camera begins or ceases to see."""

    schema_: Literal["maskwatch.camera/1"] = Field("maskwatch.camera/1", alias="schema")
    occurred_at: Instant = Field(description="When this was found; UTC.")
    state: Literal["up", "down", "off", "ended"] = Field(
        description="`off`: outside its active hours; `ended`: a file that was played to its end."
    )
    reason: Word | None = Field(
        description="Why it is blind: `refused`, `unauthorised`, `not_found`, `timeout`, "
        "`stalled`, `undecodable`, `covered`, `ended`, `unreachable`, `unsupported`; with `up` a "
        "warning: `frozen`, which is blind too, or `clock`; else null."
    )
    since: Instant = Field(
        description="When this state began; of one that is blind, the last good frame before."
    )


class GapEvent(Event):
    """A time in which a camera was not watched."""

    schema_: Literal["maskwatch.gap/1"] = Field("maskwatch.gap/1", alias="schema")
    occurred_at: Instant = Field(description="When this was found; UTC.")
    from_: Instant = Field(alias="from", description="When watching ceased.")
    to: Instant = Field(description="When it went on.")
    duration_s: Seconds = Field(description="From `from` to `to`.")
    reason: Word = Field(
        description="A reason of the camera event; `stopped`: no worker was running; `killed`: "
        "the same, and the last one had not stopped in order."
    )


class LossEvent(Event):
    """Events were made that nobody will ever read."""

    schema_: Literal["maskwatch.loss/1"] = Field("maskwatch.loss/1", alias="schema")
    occurred_at: Instant = Field(description="When the loss was told.")
    stream: Stream = Field(description="The stream that misses them.")
    first_seq: Count = Field(description="First `seq` that was lost.")
    last_seq: Count = Field(description="Last `seq` that was lost.")
    count: Annotated[int, Field(ge=1)] = Field(
        description="How many; fewer than the range holds where events in between got through."
    )
    reason: Word = Field(
        description="`spool_full`: Redis was away for longer than there was room on disk; "
        "`queue_full`: the disk did not take them either; `rejected`: Redis refused this event, "
        "for example since its key holds something else."
    )
    of_run_id: str | None = Field(
        None,
        exclude_if=lambda run_id: run_id is None,
        description="The run that made them; left out where it is this one. (Added later: a "
        "document of an older worker never has it.)",
    )


class RuleEvent(Event):
    """Too few persons of a zone wear a mask, for several periods; or it is over."""

    schema_: Literal["maskwatch.rule/1"] = Field("maskwatch.rule/1", alias="schema")
    occurred_at: Instant = Field(description="When this was found; UTC.")
    phase: Literal["start", "end"] = Field(description="Each has one of either.")
    rule: Word = Field(description="Which rule; `compliance_low` is the only one.")
    rule_id: str = Field(description="`run_id-rN`; the same at start and end.")
    zone: Name = Field(description="The zone; `all`: every camera of this worker.")
    limit: Share = Field(description="The rate that should be kept.")
    rate: Share | None = Field(
        description="Rate of the last period; null at an end after periods without one."
    )
    denominator: Count = Field(description="Persons judged in that period.")
    unknown: Count = Field(description="Persons of that period of whom nothing is said.")
    started_at: Instant = Field(description="Begin of the first period below the limit.")
    ended_at: Instant | None = Field(description="Null while it lasts.")
    duration_s: Seconds = Field(description="From its begin to this event.")
    end_reason: Word | None = Field(
        description="Null while it lasts; `recovered`, `unjudged`: no period had a rate for too "
        "long, `stopped` or `restarted`."
    )


class Persons(Counts):
    """Persons of a period, each counted once under the label that was decided for the track."""

    seen: Count = Field(description="All of them together.")


class ComplianceEvent(Event):
    """What a zone looked like over a period, on all of its cameras together."""

    schema_: Literal["maskwatch.compliance/1"] = Field("maskwatch.compliance/1", alias="schema")
    occurred_at: Instant = Field(description="When this was found; UTC.")
    zone: Name = Field(description="As configured; `all`: every camera of this worker.")
    cameras: tuple[Name, ...] = Field(description="The cameras that see the zone.")
    from_: Instant = Field(alias="from", description="Begin of the period.")
    to: Instant = Field(description="End of the period, exclusive.")
    duration_s: Seconds = Field(
        description="Its length by a clock that nobody sets: less than from `from` to `to` where "
        "the clock was put forward, more where it was put back."
    )
    persons: Persons = Field(description="Persons seen, each counted once.")
    rate: Share | None = Field(
        description="Persons with a mask, of those judged; null where too few were judged "
        "(`compliance.min_persons`)."
    )
    denominator: Count = Field(description="Persons judged: all seen but the unknown.")
    blind_s: Seconds = Field(
        description="Seconds in which its cameras were blind, added up; hours in which a camera "
        "is off don't count."
    )
    blind: dict[Name, Seconds] = Field(description="The same by camera; only those that were.")
    coverage: Share = Field(
        description="Share of its cameras' time in which they were not blind; 1: all was seen."
    )


MODELS: Mapping[EventType, type[Event]] = {
    "frame": FrameEvent,
    "track": TrackEvent,
    "violation": ViolationEvent,
    "camera": CameraEvent,
    "gap": GapEvent,
    "loss": LossEvent,
    "rule": RuleEvent,
    "compliance": ComplianceEvent,
}

EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)


def _open(node: Any) -> Any:
    """The schema without its refusal of unknown fields: consumers must let them pass."""
    if isinstance(node, dict):
        closed = node.get("additionalProperties") is False
        return {
            k: _open(v) for k, v in node.items() if not (k == "additionalProperties" and closed)
        }
    if isinstance(node, list):
        return [_open(item) for item in node]
    return node


def json_schema(kind: EventType) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of one event type, as consumers should use it."""
    schema = MODELS[kind].model_json_schema(by_alias=True, mode="serialization")
    number = schema["properties"]["schema"]["const"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{number.replace('/', ':')}",
        **_open(schema),
    }


def schema_file(kind: EventType) -> str:
    """The name of a type's schema file, with its number: ``frame-1.json``."""
    name: str = MODELS[kind].model_fields["schema_"].default
    return name.removeprefix("maskwatch.").replace("/", "-") + ".json"


def write_schemas(folder: Path) -> list[Path]:
    """Write the schema of every type into ``folder``; older numbers that lie there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in EVENT_TYPES:
        path = folder / schema_file(kind)
        path.write_text(json.dumps(json_schema(kind), indent=2) + "\n", encoding="utf-8")
        written.append(path)
    return written
