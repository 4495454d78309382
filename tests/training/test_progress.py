"""What somebody sees who waits."""

from __future__ import annotations

import pytest

from training import progress as module
from training.progress import progress


def test_a_log_gets_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour's training in the background says how far it is; what is short says nothing."""
    clock = iter(range(0, 1_000, 4))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    with progress("steps") as told:
        for step in range(1, 21):
            told(step, 20)
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("steps ") and line.endswith("/20") for line in lines)
    assert len(lines) < 5
