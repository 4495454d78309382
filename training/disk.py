"""Faults of the disk as sentences: one place for all that the trainer writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.errors import WorkError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Writes in this block end in a sentence where the disk does not take them.

    Args:
        path: what is written, for the sentence.

    Raises:
        WorkError: the disk is full, read-only, or the place is no place.
    """
    try:
        yield
    except OSError as error:
        raise WorkError(
            f"{path} cannot be written ({error.strerror or error}); free space, or name another "
            "place"
        ) from error
