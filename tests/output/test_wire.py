"""The published schemas are current, and open to what later versions add."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import worker.output
from worker.output.wire import EVENT_TYPES, MODELS, STREAM_OF, EventType, json_schema, schema_file

SCHEMAS = Path(worker.output.__file__).parent / "schema"
DOCUMENTS = Path(__file__).parent / "documents"
CAME_LATER: dict[EventType, set[str]] = {"loss": {"of_run_id"}}


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_schema_files_are_current(kind: EventType) -> None:
    """The file in the package is what the model says (tests/output/regenerate.py writes it)."""
    written = json.loads((SCHEMAS / schema_file(kind)).read_text())
    assert written == json_schema(kind)


@pytest.mark.parametrize("path", sorted(DOCUMENTS.glob("*.json")), ids=lambda path: path.stem)
def test_old_documents_stay_valid(path: Path) -> None:
    """Every document that was ever published still follows its schema and its model."""
    document = json.loads(path.read_text())
    kind = document["schema"].removeprefix("maskwatch.").partition("/")[0]
    jsonschema.Draft202012Validator(json_schema(kind)).validate(document)
    assert MODELS[kind].model_validate(document).model_dump(by_alias=True, mode="json") == document


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_consumers_let_new_fields_pass(kind: EventType) -> None:
    """A document with a field of tomorrow passes today's schema."""
    document = json.loads((DOCUMENTS / f"{kind}-1.json").read_text())
    document["of_tomorrow"] = {"anything": 1}
    jsonschema.Draft202012Validator(json_schema(kind)).validate(document)


def test_every_type_has_a_stream_and_a_model() -> None:
    """No type is without a place to go."""
    assert set(EVENT_TYPES) == set(STREAM_OF) == set(MODELS)


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_field_is_always_there(kind: EventType) -> None:
    """Consumers need not ask whether a field is there, but for those that came later."""
    schema = json_schema(kind)
    assert set(schema["required"]) | CAME_LATER.get(kind, set()) == set(schema["properties"])
