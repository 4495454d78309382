"""Entries of a stream become typed events, or a notice that says why not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from worker.output.reading.notices import UnknownSchema, Unreadable
from worker.output.wire import (
    MODELS,
    STREAM_OF,
    CameraEvent,
    ComplianceEvent,
    Event,
    FrameEvent,
    GapEvent,
    LossEvent,
    RuleEvent,
    Stream,
    TrackEvent,
    ViolationEvent,
)

AnyEvent = (
    FrameEvent
    | TrackEvent
    | ViolationEvent
    | CameraEvent
    | GapEvent
    | LossEvent
    | RuleEvent
    | ComplianceEvent
)

READABLE: Mapping[str, type[Event]] = {
    model.model_fields["schema_"].default: model for model in MODELS.values()
}
"""The model of each schema that can be read, by the name that documents give."""

STREAM_OF_MODEL: Mapping[type[Event], Stream] = {
    model: STREAM_OF[kind] for kind, model in MODELS.items()
}
"""The stream in which events of a model are numbered."""

_OURS = re.compile(r"maskwatch\.[a-z_]{1,40}/[0-9]{1,9}")
_SCHEMA = re.compile(rb'\A\s*\{\s*"schema"\s*:\s*"([^"\\]{1,64})"')


def read_entry(
    key: str, entry_id: str, fields: Mapping[bytes, bytes]
) -> Event | Unreadable | UnknownSchema:
    """The event of an entry; fields that a later version added are let pass."""
    document = fields.get(b"event")
    if document is None:
        return Unreadable(key, entry_id, b"", "it has no field event")
    named = _SCHEMA.match(document)  # as the worker writes it; else it is parsed twice
    model = READABLE.get(named[1].decode(errors="replace")) if named else None
    if model is not None:
        try:
            return model.model_validate_json(document, extra="ignore")
        except ValidationError as error:
            return Unreadable(key, entry_id, document, _fault(error))
    return _read_slowly(key, entry_id, document)


def _read_slowly(key: str, entry_id: str, document: bytes) -> Event | Unreadable | UnknownSchema:
    """The same for what does not begin with a schema that we know."""
    try:
        parsed: Any = json.loads(document)
    except (ValueError, RecursionError):
        return Unreadable(key, entry_id, document, "its document is not JSON")
    schema = parsed.get("schema") if isinstance(parsed, dict) else None
    if not isinstance(schema, str) or not _OURS.fullmatch(schema):
        return Unreadable(key, entry_id, document, "its document names no schema of maskwatch")
    model = READABLE.get(schema)
    if model is None:
        return UnknownSchema(key, entry_id, schema, document, _head(document))
    try:
        return model.model_validate_json(document, extra="ignore")
    except ValidationError as error:
        return Unreadable(key, entry_id, document, _fault(error))


def _head(document: bytes) -> Event | None:
    try:
        return Event.model_validate_json(document, extra="ignore")
    except ValidationError:
        return None


def _fault(error: ValidationError) -> str:
    """The first fault, by field and rule; what stands there may be anything, and is left out."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in fault["loc"])[:100]
    if not where:
        return "its document is not JSON"
    return f"{where} breaks its schema ({fault['type']})"
