"""From a TOML file and the environment to ``Settings``, or to one error that tells all faults.

file ─► text ─► values ─┐
                        ├─► merged ─► Settings          (config.py checks)
MASKWATCH_… variables ──┘       └──► ConfigError        (a line for each fault)
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from worker.config import Settings
from worker.config_faults import PREFIX, Fault, Places, field_at, syntax_fault, unknown_variable
from worker.errors import ConfigError
from worker.toml_lines import Key, line_numbers

MAX_FILE_BYTES = 1_000_000
EXAMPLE = "deploy/maskwatch.example.toml"
JSON_EXAMPLES = '["rtsp", "file"], [[0.1, 0.2], …] or {"hall": [[0.1, 0.2], …]}'


@dataclass(slots=True)
class Environment:
    """What the variables set: values as a file would nest them, and which variable set each."""

    values: dict[str, Any] = field(default_factory=dict)
    variables: dict[Key, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def load(path: Path | None, env: Mapping[str, str]) -> Settings:
    """Read, merge and check the configuration.

    Args:
        path: the TOML file; none where the environment says all.
        env: the environment; its ``MASKWATCH_`` variables win over the file.

    Raises:
        ConfigError: names every fault, each on a line of its own; never a secret.
    """
    name = str(path) if path else "configuration"
    text = _read(path) if path else ""
    values = _parse(name, text)
    environment = read_environment(env)
    faults = list(environment.faults)
    merged = _merged(values, environment.values)
    settings = None
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        place = Places(name, line_numbers(text), environment.variables)
        faults += [
            place.fault(details, merged)
            for details in error.errors(include_url=False)
            if not _inherited(details, values, environment.values)
        ]
    if settings is None or faults:
        raise ConfigError("\n".join(str(fault) for fault in sorted(faults)))
    return settings


def read_environment(env: Mapping[str, str]) -> Environment:
    """The settings among the variables, ``MASKWATCH_SECTION__KEY`` or ``…CAMERAS__ID__KEY``."""
    found = Environment()
    for variable in sorted(env):
        if not variable.upper().startswith(PREFIX):
            continue
        key = tuple(variable[len(PREFIX) :].lower().split("__"))
        known = field_at(key)
        if known is None:
            found.faults.append(Fault(0, variable, "", unknown_variable(variable, key)))
            continue
        value: Any = env[variable]
        if re.search(r"\b(list|dict)\[", str(known.annotation)):
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                text = f"must be JSON, for example {JSON_EXAMPLES}"
                found.faults.append(Fault(0, variable, ".".join(key), text))
                continue
        section = found.values
        for part in key[:-1]:
            section = section.setdefault(part, {})
        section[key[-1]] = value
        found.variables[key] = variable
    return found


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        text = f"there is no such file; correct the path, or start from {EXAMPLE}"
        raise ConfigError(f"{path}: {text}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a directory; name the TOML file in it") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "the path holds a null byte"
        raise ConfigError(
            f"{path}: cannot be read ({why}); correct the path or its rights"
        ) from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_FILE_BYTES} bytes; is it the right file?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: is not UTF-8 text; save it as UTF-8") from None


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{name}: nests too deep; no key needs more than three levels") from None
    except ValueError as error:
        raise ConfigError(str(syntax_fault(name, text, str(error)))) from None


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below``; a table that the file gets wrong stays, to be told."""
    merged = dict(below)
    for key, value in above.items():
        present = merged.get(key)
        if isinstance(value, dict) and key in merged:
            merged[key] = _merged(present, value) if isinstance(present, dict) else present
        else:
            merged[key] = value
    return merged


def _inherited(details: ErrorDetails, *layers: Mapping[str, Any]) -> bool:
    """True for a camera's fault that [defaults] has: it is told there, once."""
    match details["loc"]:
        case ("cameras", camera, key, *_) if key != "[key]" and details["type"] != "missing":
            own = [layer.get("cameras", {}) for layer in layers]
            tables = [cameras.get(camera) for cameras in own if isinstance(cameras, dict)]
            present = any(isinstance(table, dict) and key in table for table in tables)
            defaults = [layer.get("defaults", {}) for layer in layers]
            default = any(isinstance(table, dict) and key in table for table in defaults)
            return default and not present
    return False
