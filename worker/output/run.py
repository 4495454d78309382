"""The name of one start of the worker."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u


def new_run_id(now: float | None = None) -> str:
    """A name for this start of the worker: 7 digits of time, then 5 of chance, in base 32.

    Names sort by time, to the second, until the year 3058; two of the same second are equal
    once in 33 million.
    """
    seconds = int(time.time() if now is None else now)
    digits = [_ALPHABET[(seconds >> shift) & 31] for shift in range(30, -1, -5)]
    return "".join(digits + [secrets.choice(_ALPHABET) for _ in range(5)])
