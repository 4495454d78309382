"""docs/design/threats.md: what it says holds a threat is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/design/threats.md"
ROWS = [row for row in PAGE.read_text().splitlines() if re.match(r"\| (?!threat )\w", row)]
HOLDERS = sorted(set(re.findall(r"`((?:tests|worker)/[\w/]+\.py(?:::\w+)?)`", PAGE.read_text())))


@pytest.mark.parametrize("row", ROWS)
def test_a_threat_names_what_holds_it(row: str) -> None:
    """In its last column, by a test or a file."""
    assert re.search(r"`(tests|worker)/[^`]+`[^|]*\|$", row)


@pytest.mark.parametrize("holder", HOLDERS)
def test_what_holds_a_threat_is_there(holder: str) -> None:
    """The file, and the test in it."""
    file, _, name = holder.partition("::")
    assert (ROOT / file).is_file()
    assert not name or f"def {name}(" in (ROOT / file).read_text()
