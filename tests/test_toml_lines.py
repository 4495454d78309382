"""The lines at which keys stand in a TOML text."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.toml_lines import Key, line_numbers

EVERYTHING = '''\
# [comment]
title = "# not a comment"
[cameras.hall]   # x = 1
url = 'a = [b]'
region = [
  [0, 0],  # y = 2
  [1, 0], { no = "key" },
]
note = """
[no]
table = 1
"""
"quoted.key" = { a.b = 1, list = [ {c = 3} ], "c d" = 3, e = {} }
after = 1979-05-27T07:32:00
[ "odd . name" . 'x' ]
y.z = 1
[[many]]
k = 1
'''


def test_every_kind_of_key_has_its_line() -> None:
    """Tables, dotted, quoted and inline keys; nothing from strings, arrays and comments."""
    assert line_numbers(EVERYTHING) == {
        ("title",): 2,
        ("cameras",): 3,
        ("cameras", "hall"): 3,
        ("cameras", "hall", "url"): 4,
        ("cameras", "hall", "region"): 5,
        ("cameras", "hall", "note"): 9,
        ("cameras", "hall", "quoted.key"): 13,
        ("cameras", "hall", "quoted.key", "a"): 13,
        ("cameras", "hall", "quoted.key", "a", "b"): 13,
        ("cameras", "hall", "quoted.key", "list"): 13,
        ("cameras", "hall", "quoted.key", "c d"): 13,
        ("cameras", "hall", "quoted.key", "e"): 13,
        ("cameras", "hall", "after"): 14,
        ("odd . name",): 15,
        ("odd . name", "x"): 15,
        ("odd . name", "x", "y"): 16,
        ("odd . name", "x", "y", "z"): 16,
        ("many",): 17,
        ("many", "k"): 18,
    }


def test_an_array_of_several_lines_may_stand_in_an_inline_table() -> None:
    """The only way in which an inline table may have several lines."""
    assert line_numbers("x = {a = [\n1], b = 2}") == {("x",): 1, ("x", "a"): 1, ("x", "b"): 2}


def test_line_ends_of_windows_count_once() -> None:
    """CR LF is one line end, as for ``tomllib``."""
    assert line_numbers("a = 1\r\n\r\nb = 2\r\n") == {("a",): 1, ("b",): 3}


KEYS = st.text("abc._- #'\"=[]{}\\é", max_size=6)
VALUES = st.sampled_from(
    ["1", "true", '"a # b"', "'c = [d'", '"""\nx = 1\n[y]\n"""', "[1, [2, {z = 3}], # c\n]", "1e5"]
)


def quoted(name: str) -> str:
    return '"' + "".join(f"\\u{ord(c):04x}" for c in name) + '"'


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4), st.booleans())
def test_what_is_found_is_what_tomllib_reads(
    tables: dict[str, dict[str, str]], inline: bool
) -> None:
    """Any names, as tables or dotted keys: each at the line at which it was written."""
    lines: list[str] = []
    expected: dict[Key, int] = {}
    for table, entries in tables.items():
        expected[(table,)] = "\n".join([*lines, ""]).count("\n") + 1
        if inline and entries:
            for key, value in entries.items():
                expected[(table, key)] = "\n".join([*lines, ""]).count("\n") + 1
                lines.append(f"{quoted(table)} . {quoted(key)} = {value}  # end")
            continue
        if inline:
            lines.append(f"{quoted(table)} = {{ }}")
            continue
        lines.append(f"[ {quoted(table)} ] # {table.encode().hex()}")
        for key, value in entries.items():
            expected[(table, key)] = "\n".join([*lines, ""]).count("\n") + 1
            lines.append(f"{quoted(key)} = {value}")
    text = "\n".join(lines)
    assert line_numbers(text) == expected
    assert set(_paths(tomllib.loads(text))) == set(expected)


def _paths(tree: dict[str, Any], above: Key = ()) -> list[Key]:
    paths: list[Key] = []
    for name, value in tree.items():
        paths.append((*above, name))
        if isinstance(value, dict):
            paths += _paths(value, (*above, name))
    return paths
