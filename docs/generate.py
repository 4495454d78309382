"""Writes the pages of docs/reference that follow from the code: `python docs/generate.py`.

A test holds the pages against what this would write.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer.main
from click import Argument, Command, Context, Parameter

import training.cli
import worker.cli
from worker.config import Camera, CameraDefaults, Settings
from worker.config_faults import PREFIX, section_at
from worker.errors import CAMERA_REASONS
from worker.metrics import (
    DROPS,
    EVENT_TYPES,
    KINDS,
    LABELS,
    LOSSES,
    RELOADS,
    SPOOL_FAULTS,
    STAGES,
    STATES,
    UNKNOWNS,
    Metrics,
)
from worker.section import PATTERN_MEANS, Section
from worker.venue import EVERYWHERE

REFERENCE = Path(__file__).parent / "reference"
GENERATED = "<!-- Written by docs/generate.py: change the code, then run it. -->\n\n"


def configuration() -> str:
    """Every section and key, with bounds and defaults."""
    lines = [
        "# Configuration",
        "",
        GENERATED.strip(),
        "",
        "One TOML file, given by `--config`. `maskwatch check --config FILE` tells every fault in",
        "it, each with its line, and connects to nothing. Every key in its place:",
        "[deploy/maskwatch.example.toml](../../deploy/maskwatch.example.toml).",
        "",
        f"- A key may also come from the environment, which wins over the file: `{PREFIX}`, the",
        f"  section, `__`, the key, as in `{PREFIX}REDIS__URL` or",
        f"  `{PREFIX}CAMERAS__ENTRANCE__ANALYSE_FPS`. Lists come as JSON. A variable with that",
        "  prefix that names no key is an error.",
        "- A secret may lie in a file of its own, which `…_file` names, for example under",
        "  `/run/secrets`; it is read at the start.",
        "- Unknown keys are errors. Paths are relative to the folder the worker is started in.",
        "- An editor that knows JSON Schema completes and checks keys as you type: its schema is",
        "  [configuration.schema.json](configuration.schema.json). Faults across several keys are",
        "  told by `maskwatch check` alone.",
        "",
    ]
    for name in Settings.model_fields:
        of_any_name = section_at((name, "name"))
        if name == "cameras":
            lines += ["## [cameras.ID]", ""]
            lines += ["One table for each camera; there is at least one. The id is"]
            lines += [f"{next(iter(PATTERN_MEANS.values()))}.", ""]
            lines += ["Every key of `[defaults]`, which it overrides, and:", ""]
            lines += key_table(Camera, skip=set(CameraDefaults.model_fields))
        else:
            section = of_any_name or section_at((name,)) or Section
            header = f"[{name}.NAME]" if of_any_name else f"[{name}]"
            lines += [f"## {header}", "", (section.__doc__ or "").strip(), ""]
            lines += key_table(section, skip=set())
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def configuration_schema() -> str:
    """JSON Schema of the file, for editors and other programs."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:maskwatch:configuration",
        **Settings.model_json_schema(),
        "title": "maskwatch.toml",
    }
    return json.dumps(schema, indent=2) + "\n"


def key_table(section: type[Section], skip: set[str]) -> Iterator[str]:
    """One row a key."""
    yield "| key | takes | default | |"
    yield "|---|---|---|---|"
    properties = section.model_json_schema()["properties"]
    fields = section.model_fields.items()
    for name, field in sorted(fields, key=lambda item: not item[1].is_required()):
        if name in skip:
            continue
        default = "required" if field.is_required() else shown(field.get_default())
        yield f"| `{name}` | {takes(properties[name])} | {default} | {field.description} |"


def shown(default: object) -> str:
    """A default as TOML has it."""
    if default is None:
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        return "`" + str(default).replace("'", '"') + "`"
    return f'`"{default}"`' if isinstance(default, str) else f"`{default}`"


def takes(schema: Mapping[str, Any]) -> str:
    """What a key takes, in words."""
    if "anyOf" in schema:
        (schema,) = [kind for kind in schema["anyOf"] if kind.get("type") != "null"]
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "pattern" in schema:
        return PATTERN_MEANS[schema["pattern"]]
    if schema["type"] == "object":
        return "a table of " + takes(next(iter(schema["patternProperties"].values())))
    if schema["type"] == "array":
        return f"list of {takes(schema['items'])}" if "items" in schema else "`[x, y]`"
    words = {"string": "text", "number": "number", "integer": "whole number"}
    kind = "path" if schema.get("format") == "path" else words.get(schema["type"], "")
    if schema["type"] == "boolean":
        return "`true` or `false`"
    bounds = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to"}
    told = [f"{word} {schema[key]:.10g}" for key, word in bounds.items() if key in schema]
    return f"{kind} {' '.join(told)}".strip()


def metrics() -> str:
    """Every metric with its type, labels and meaning."""
    lines = [
        "# Metrics",
        "",
        GENERATED.strip(),
        "",
        "`GET /metrics`, in the text format of Prometheus. Units are base units; counters end in",
        "`_total` and start at 0 with the worker; a histogram has `_bucket`, `_sum` and `_count`.",
        "A camera's series exist from the start. No label holds an address, a track or a frame.",
        "",
        "| metric | type | labels | |",
        "|---|---|---|---|",
    ]
    registry = Metrics().registry
    ours = [family for family in registry.collect() if family.name.startswith("maskwatch_")]
    labels = {
        collector._name: collector._labelnames
        for collector in registry._collector_to_names
        if hasattr(collector, "_labelnames")
    }
    for family in ours:
        name = family.name + ("_total" if family.type == "counter" else "")
        told = ", ".join(f"`{label}`" for label in labels[family.name])
        lines.append(f"| `{name}` | {family.type} | {told} | {family.documentation} |")
    lines += [
        "",
        "Also the usual `process_*` and `python_info` of the Prometheus client.",
        "",
        "## Values of the labels",
        "",
        f"- `label`: {words(LABELS)}.",
        f"- `stage` of `maskwatch_stage_duration_seconds`: {words(STAGES)};",
        "  of `maskwatch_queue_depth`: `detect`, `classify`, `publish`; of",
        "  `maskwatch_queue_limit`: `publish`; of `maskwatch_device_errors_total`: `classify`.",
        f"- `state`: {words(STATES)}.",
        f"- `type`: {words(EVENT_TYPES)}.",
        f"- `zone`: the zones of the configuration and `{EVERYWHERE}`; `kind`: {words(KINDS)}.",
        f"- `result` of `maskwatch_config_reloads_total`: {words(RELOADS)}.",
        f"- `reason` of `maskwatch_frames_dropped_total`: {words(DROPS)}; of",
        f"  `maskwatch_events_lost_total`: {words(LOSSES)}; of",
        f"  `maskwatch_spool_faults_total`: {words(SPOOL_FAULTS)}; of",
        f"  `maskwatch_faces_unknown_total`: {words(UNKNOWNS)}; of `maskwatch_camera_blind` and",
        f"  `maskwatch_camera_reconnects_total`: {words(CAMERA_REASONS)}.",
        "",
        "## Identities",
        "",
        "`maskwatch_events_created_total` plus `maskwatch_events_recovered_total` equals",
        "`maskwatch_events_published_total`, plus `maskwatch_events_lost_total`, plus what waits",
        'in memory (`maskwatch_queue_depth{stage="publish"}`) and on disk',
        "(`maskwatch_events_spooled`).",
        "A scrape may catch an event between two of them.",
    ]
    return "\n".join(lines) + "\n"


def words(values: tuple[str, ...]) -> str:
    """Values in code, with commas."""
    return ", ".join(f"`{value}`" for value in values)


def command_line() -> str:
    """Both command lines, with every command and option."""
    lines = [
        "# Command line",
        "",
        GENERATED.strip(),
        "",
        "Exit codes: 0 done, 1 failed at work, 2 wrong usage or configuration, 130 interrupted.",
        "An error is one sentence for each fault; `--debug` before the command shows the traceback",
        "as well.",
    ]
    for name, app in (("maskwatch", worker.cli.app), ("maskwatch-train", training.cli.app)):
        group = typer.main.get_group(app)
        lines += ["", f"## {name}", "", *paragraph(group.help)]
        for command_name, command in group.commands.items():
            lines += ["", f"### {name} {command_name}", "", *paragraph(command.help)]
            lines += list(options(f"{name} {command_name}", command))
    return "\n".join(lines) + "\n"


def options(name: str, command: Command) -> Iterator[str]:
    """Usage, and a row for each argument and option."""
    context = Context(command, info_name=name)
    yield ""
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"`{name} {re.sub(r'[{](.*?)[}]', lambda match: match[1].upper(), pieces)}`"
    shown_parameters = [p for p in command.params if not getattr(p, "hidden", False)]
    if shown_parameters:
        yield ""
        yield "| | default | |"
        yield "|---|---|---|"
    for parameter in shown_parameters:
        yield row(parameter)


def row(parameter: Parameter) -> str:
    """One argument or option."""
    if isinstance(parameter, Argument):
        spelt = f"`{(parameter.name or '').upper()}`"
    else:
        spelt = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    default = parameter.default
    plain = default is not None and not callable(default) and default is not False
    told = "required" if parameter.required else f"`{default}`" if plain else ""
    return f"| {spelt} | {told} | {' '.join((getattr(parameter, 'help', '') or '').split())} |"


def paragraph(text: str | None) -> list[str]:
    """Help as it was written, its lines joined where a paragraph goes on."""
    return (text or "").strip().splitlines()


PAGES: Mapping[str, Callable[[], str]] = {
    "configuration.md": configuration,
    "configuration.schema.json": configuration_schema,
    "metrics.md": metrics,
    "cli.md": command_line,
}

if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for page, write in PAGES.items():
        (REFERENCE / page).write_text(write(), encoding="utf-8")
