"""docs/reference/events.md says what the code does."""

from __future__ import annotations

from output.regenerate import PAGE, page

from worker.output.broker import COMMANDS
from worker.output.reading import group
from worker.output.wire import EVENT_TYPES


def test_the_tables_are_current() -> None:
    """The generated parts are as tests/output/regenerate.py would write them."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


def test_every_type_has_its_section() -> None:
    """No event type goes undocumented."""
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"\n## {kind}: `maskwatch.{kind}/1`\n" in text for kind in EVENT_TYPES)


def test_the_rights_are_those_that_are_asked_for() -> None:
    """The page grants what the worker's own message names."""
    assert f"~maskwatch:* &maskwatch:* {COMMANDS}\n" in PAGE.read_text(encoding="utf-8")


def test_the_rights_of_a_consumer_suffice() -> None:
    """The page grants a consumer what its own message names."""
    assert f"~maskwatch:* &maskwatch:* {group.COMMANDS}\n" in PAGE.read_text(encoding="utf-8")
