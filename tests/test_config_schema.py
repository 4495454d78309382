"""The JSON Schema of the configuration says what the worker takes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "docs/reference/configuration.schema.json").read_text("utf-8"))
EXAMPLE = (ROOT / "deploy/maskwatch.example.toml").read_text("utf-8")
CAMERA = {"hall": {"url": "rtsp://192.0.2.1/live"}}
valid = jsonschema.Draft202012Validator(SCHEMA).is_valid


def test_it_is_a_schema() -> None:
    """Of the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_example_follows_it() -> None:
    """The file that explains every key."""
    assert valid(tomllib.loads(EXAMPLE))


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"cameras": {"hall": {}}},
        {"cameras": CAMERA, "redis": {"url": "redis://127.0.0.1", "adress": 1}},
        {"cameras": CAMERA, "redis": {"timeout_s": "2"}},
        {"cameras": CAMERA, "http": {"port": 70_000}},
        {"cameras": CAMERA, "web": {}},
    ],
)
def test_what_the_worker_refuses_does_not_follow_it(wrong: dict[str, Any]) -> None:
    """A missing camera or address, an unknown key or section, a wrong type, a bound."""
    assert not valid(wrong)
