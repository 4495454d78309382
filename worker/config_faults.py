"""What is wrong with a configuration, where it stands, and what would be right: in sentences.

A fault reads ``maskwatch.toml:12: cameras.hall.analyse_fps: must be greater than 0; got 0``; one
in the environment names the variable in place of file and line.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from worker.config import NO_CAMERAS, Camera, Settings
from worker.credentials import scrub
from worker.section import PATTERN_MEANS, Section
from worker.toml_lines import Key, line_numbers
from worker.venue import NO_CAMERA, Zone

PREFIX = "MASKWATCH_"
MAX_ECHO = 60

_KUBERNETES = re.compile(r"(SERVICE_HOST|SERVICE_PORT\w*|PORT|PORT_\d+_\w+)$")
"""Variables that Kubernetes makes of a Service of this name."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong; sorts by place."""

    line: int
    where: str
    key: str
    text: str

    def __str__(self) -> str:
        place = f"{self.where}:{self.line}" if self.line else self.where
        sentence = ": ".join(part for part in (place, self.key, self.text) if part)
        return scrub(" ".join(sentence.split()))


@dataclass(frozen=True, slots=True)
class Places:
    """Where each key was set."""

    name: str
    lines: Mapping[Key, int]
    variables: Mapping[Key, str]

    def fault(self, details: ErrorDetails, values: Mapping[str, Any]) -> Fault:
        """A fault that pydantic found, at the place where its cause stands."""
        loc = details["loc"]
        bad_name = loc[-1:] == ("[key]",) and details["type"] == "string_pattern_mismatch"
        loc = loc[:-1] if bad_name else loc
        where, line = self._place(tuple(str(part) for part in loc))
        text = _describe(details, loc, bad_name=bad_name, values=values)
        return Fault(line, where, _spelt(loc), text)

    def _place(self, key: Key) -> tuple[str, int]:
        """The nearest thing that was written down, from the key outwards."""
        for end in range(len(key), 0, -1):
            part = key[:end]
            if part in self.variables:
                return self.variables[part], 0
            if part in self.lines:
                return self.name, self.lines[part]
            for variable, name in sorted(self.variables.items()):
                if variable[:end] == part:
                    return name, 0
        return self.name, 0


def syntax_fault(name: str, text: str, message: str) -> Fault:
    """What ``tomllib`` found, in the words of somebody who edits the file."""
    place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    line = int(place[1] or text.count("\n") + 1) if place else 0
    problem = message[: place.start()] if place else message
    twice = re.match(r"Cannot declare \((.*)\) twice", problem)
    if twice:
        names = tuple(re.findall(r"'([^']*)'", twice[1]))
        first = line_numbers(text).get(names, 0)
        what = f"camera {names[1]!r}" if names[:1] == ("cameras",) and names[1:] else "the table"
        problem = f"{what} is declared a second time, first at line {first}; rename or merge them"
        return Fault(line, name, ".".join(names), problem)
    remedies = {
        "Cannot overwrite a value": "this key is set a second time; keep one of them",
        "Invalid value": "the value cannot be read; text stands in quotes, true and false in "
        "lower case",
        "Expected newline or end of document after a statement": "something follows the value; "
        "text stands in quotes, comments start with #",
    }
    return Fault(line, name, "", remedies.get(problem, f"not valid TOML: {problem}"))


def _describe(
    details: ErrorDetails, loc: tuple[str | int, ...], *, bad_name: bool, values: Mapping[str, Any]
) -> str:
    """What is wrong and what would be right."""
    kind, context = details["type"], details.get("ctx", {})
    known = field_at(tuple(str(part) for part in loc))
    if bad_name:
        fit = re.sub(r"[^a-z0-9_-]+", "-", str(loc[-1]).lower()).strip("-_")[:63]
        example = f", for example {fit}" if fit else ""
        what = "zone's name" if loc[0] == "zones" and len(loc) == 2 else "camera id"
        return f"this {what} cannot be used; take {PATTERN_MEANS[context['pattern']]}{example}"
    if kind in {"tuple_type", "too_long", "missing"} and isinstance(loc[-1], int):
        return "a point is [x, y], two numbers from 0 to 1"
    if kind == "extra_forbidden":
        return _unknown_key(loc)
    if kind == "missing":
        return _missing(loc, values)
    if kind in {"model_type", "dict_type", "model_attributes_type"}:
        return f"must be a table: write [{_spelt(loc)}] with its keys on lines below it"
    if kind == "string_pattern_mismatch":
        text = f"must be {PATTERN_MEANS[context['pattern']]}"
    elif kind in {"path_type", "string_type"}:
        text = "must be text, in quotes"
    else:
        text = re.sub(r"^(Value error, |\w+ should )", _as_demand, details["msg"])
    return text + _echo(details, known)


def _as_demand(match: re.Match[str]) -> str:
    return "must " if match[0].endswith("should ") else ""


def _echo(details: ErrorDetails, known: FieldInfo | None) -> str:
    """The value that was given, unless it may hold a secret."""
    value = details["input"]
    told = details["type"] not in {"value_error", "fault"} and isinstance(value, str | int | float)
    if not told or known is None or known.repr is False or SecretStr in _types(known):
        return ""
    shown = json.dumps(value, ensure_ascii=False)
    return f"; got {shown[:MAX_ECHO]}{'…' if len(shown) > MAX_ECHO else ''}"


def _types(known: FieldInfo) -> Iterable[Any]:
    return (known.annotation, *getattr(known.annotation, "__args__", ()))


def _missing(loc: tuple[str | int, ...], values: Mapping[str, Any]) -> str:
    if loc == ("cameras",):
        return NO_CAMERAS
    if loc[0] == "zones":
        return f"is missing; {NO_CAMERA}"
    text = f'is missing; add {loc[-1]} = "…"'
    others = [name for name in values.get("cameras", {}) if name != loc[1]]
    return text + _suggestion(str(loc[1]), others, "or was camera {} meant?")


def _unknown_key(loc: tuple[str | int, ...]) -> str:
    section = section_at(tuple(str(part) for part in loc[:-1]))
    names = list(section.model_fields) if section else []
    suggestion = _suggestion(str(loc[-1]), names, "did you mean {}?")
    if suggestion:
        return f"unknown key{suggestion}"
    homes = [
        name
        for name in Settings.model_fields
        if (home := section_at((name,))) and loc[-1] in home.model_fields
    ]
    if homes:
        return f"unknown key; it belongs into [{homes[0]}]"
    return f"unknown key; known here are {', '.join(names)}"


def unknown_variable(variable: str, key: Key) -> str:
    """What to say of a variable with our prefix that sets nothing."""
    if "__" not in variable and _KUBERNETES.search(variable):
        return (
            f"names no key; Kubernetes sets it for a Service named {PREFIX[:-1].lower()}: "
            "set enableServiceLinks to false in the pod"
        )
    names = [
        PREFIX + "__".join((*path, name)).upper()
        for path in [*((section,) for section in Settings.model_fields), (*key[:2],)]
        if (home := section_at(path))
        for name in home.model_fields
    ]
    suggestion = _suggestion(variable.upper(), names, "did you mean {}?")
    return (
        f"names no key{suggestion or f'; {PREFIX} stands before SECTION__KEY, see the reference'}"
    )


def _suggestion(word: str, choices: Iterable[str], sentence: str) -> str:
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.7)
    return "; " + sentence.format(close[0]) if close else ""


def section_at(path: Key) -> type[Section] | None:
    """The section whose keys stand below this path."""
    match path:
        case ():
            return Settings
        case ("cameras", _):
            return Camera
        case ("zones", _):
            return Zone
        case (name,) if name in Settings.model_fields:
            annotation = Settings.model_fields[name].annotation
            if isinstance(annotation, type) and issubclass(annotation, Section):
                return annotation
    return None


def field_at(path: Key) -> FieldInfo | None:
    """The key at this path; below a list, the list."""
    depth = 3 if path[:1] in {("cameras",), ("zones",)} else 2
    section = section_at(path[: depth - 1]) if len(path) >= depth else None
    return section.model_fields.get(path[depth - 1]) if section else None


def _spelt(loc: Iterable[str | int]) -> str:
    """A key as TOML writes it, with places in lists in brackets."""
    spelt = ""
    for part in loc:
        if isinstance(part, int):
            spelt += f"[{part}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", part)
            spelt += "." * bool(spelt) + (part if bare else json.dumps(part, ensure_ascii=False))
    return spelt
