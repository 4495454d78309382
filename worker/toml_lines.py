"""On which line of a TOML text each key stands; ``tomllib`` does not tell."""

from __future__ import annotations

import re
import tomllib

Key = tuple[str, ...]
"""The way to a value: names of tables, then the name of the key."""

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
    | (?P<long>\"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5})
    | (?P<name>"(?:\\.|[^"\\\n])*" | '[^'\n]*' | [^\s\[\]{}=,.\#"']+)
    | (?P<newline>\n)
    | (?P<mark>[\[\]{}=,.])""",
    re.VERBOSE | re.DOTALL,
)


def line_numbers(text: str) -> dict[Key, int]:
    """The line, from 1, at which each table and key is first named; arrays are not entered.

    Meant for text that ``tomllib`` takes; of any other it finds what it can.
    """
    scanner = _Scanner()
    for match in _TOKEN.finditer(text):
        scanner.take(str(match.lastgroup), match[0])
    return scanner.found


class _Scanner:
    """Knows whether a key or a value is due, and which tables and arrays are open."""

    def __init__(self) -> None:
        self.found: dict[Key, int] = {}
        self._line = 1
        self._table: Key = ()
        self._inline: list[Key] = []
        self._names: Key = ()
        self._array_depth = 0
        self._in_value = False

    def take(self, kind: str, text: str) -> None:
        """Take up the next token."""
        if kind == "newline":
            self._line += 1
            if not self._inline and not self._array_depth:
                self._next_key()
        elif kind == "mark":
            self._mark(text)
        elif kind == "name" and not self._in_value:
            self._names = (*self._names, _unquoted(text))
        self._line += text.count("\n") if kind == "long" else 0

    def _mark(self, mark: str) -> None:
        if self._array_depth:
            self._array_depth += (mark in "[{") - (mark in "]}")
        elif mark == "}" and self._inline:
            self._inline.pop()
            self._in_value = True
        elif self._in_value:
            self._mark_in_value(mark)
        elif mark == "=":
            self._note((*self._base(), *self._names))
            self._in_value = True
        elif mark == "]" and self._names:
            self._table = self._names
            self._note(self._table)
            self._names = ()

    def _mark_in_value(self, mark: str) -> None:
        if mark == "[":
            self._array_depth = 1
        elif mark == "{":
            self._inline.append((*self._base(), *self._names))
            self._next_key()
        elif mark == "," and self._inline:
            self._next_key()

    def _base(self) -> Key:
        return self._inline[-1] if self._inline else self._table

    def _next_key(self) -> None:
        self._names, self._in_value = (), False

    def _note(self, key: Key) -> None:
        for end in range(1, len(key) + 1):
            self.found.setdefault(key[:end], self._line)


def _unquoted(name: str) -> str:
    if name[0] not in "\"'":
        return name
    try:
        return next(iter(tomllib.loads(f"{name}=0")))
    except ValueError:
        return name[1:-1]
