"""Write what is generated from the wire models: run it after a change of ``wire.py``.

    python tests/output/regenerate.py

It writes the schema files and the tables of docs/reference/events.md. The documents of a new
schema number are written too; those of an old one stay, for they were published.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "events.md"
BEGIN, END = "<!-- begin {0} -->", "<!-- end {0} -->"


def tables(kind: Any, example: bytes) -> str:
    """The section of one type: its fields, those of its parts, and an example."""
    from worker.output.wire import json_schema

    schema = json_schema(kind)
    parts = [schema, *schema.get("$defs", {}).values()]
    lines = []
    for part in parts:
        fields = [f for f in part["properties"].items() if part is not schema or f[0] not in HEAD]
        title = "Field" if part is schema else f"Field of {part['title']}"
        lines += [f"| {title} | Type | Meaning |", "|---|---|---|"]
        lines += [f"| `{name}` | {_type(spec)} | {_meaning(spec)} |" for name, spec in fields]
        lines.append("")
    return "\n".join([*lines, "```json", _pretty(json.loads(example)), "```"])


HEAD = ("schema", "event_id", "run_id", "worker_id", "camera_id", "seq")


def head() -> str:
    """The fields that every event begins with."""
    from worker.output.wire import Event

    properties = Event.model_json_schema(by_alias=True)["properties"]
    rows = [f"| `{n}` | {_type(properties[n])} | {_meaning(properties[n])} |" for n in HEAD]
    return "\n".join(["| Field | Type | Meaning |", "|---|---|---|", *rows])


def page(text: str) -> str:
    """The page with every generated part as it should be now."""
    from output.test_event import examples

    parts = {"head": head(), **{k: tables(k, e.document) for k, e in examples().items()}}
    for name, part in parts.items():
        before, _, rest = text.partition(BEGIN.format(name))
        old, _, after = rest.partition(END.format(name))
        assert old or after, f"{PAGE.name} has no place for {name}"
        text = f"{before}{BEGIN.format(name)}\n{part}\n{END.format(name)}{after}"
    return text


def _pretty(document: dict[str, Any]) -> str:
    """The document with a line for each field, and for each entry of a list of objects."""
    fields = []
    for name, value in document.items():
        text = json.dumps(value)
        if isinstance(value, list) and value:
            text = "[\n    " + ",\n    ".join(json.dumps(item) for item in value) + "\n  ]"
        fields.append(f"  {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}"


def _type(spec: dict[str, Any]) -> str:
    if "anyOf" in spec:
        return " or ".join(_type(option) for option in spec["anyOf"])
    if "$ref" in spec:
        return str(spec["$ref"]).rpartition("/")[2]
    if "const" in spec:
        return f"`{spec['const']}`"
    if "enum" in spec:
        return ", ".join(f"`{word}`" for word in spec["enum"])
    kind = str(spec["type"])
    if kind == "array":
        items = spec.get("items") or spec["prefixItems"][0]
        return f"array of {_type(items)}"
    if kind == "object":
        [value] = spec["patternProperties"].values()
        return f"object of {_type(value)}"
    return "time" if spec.get("format") == "date-time" else kind


def _meaning(spec: dict[str, Any]) -> str:
    return str(spec.get("description", "")).replace("\n", " ").replace("|", "\\|")


def main() -> None:
    """Write it all."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from output.test_event import DOCUMENTS, examples

    from worker.output.wire import schema_file, write_schemas

    write_schemas(ROOT / "worker" / "output" / "schema")
    DOCUMENTS.mkdir(exist_ok=True)
    for kind, event in examples().items():
        path = DOCUMENTS / schema_file(kind)
        if not path.exists():
            path.write_bytes(event.document + b"\n")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
