"""Two hundred corrupt clips: each ends, or is refused with a reason, and the next one plays."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, get_args

from capture.mutate import ALL, Mutator

from worker.errors import CameraReason

TESTS = Path(__file__).parents[1]
CLIPS = int(os.environ.get("MASKWATCH_CORRUPT_CLIPS", str(ALL)))
PATIENCE_S = 60.0
GROWTH_MB = 64


def played(first: int, last: int) -> tuple[list[dict[str, Any]], str]:
    """What a process of its own says of these clips, up to a crash or a hang."""
    process = subprocess.Popen(
        [sys.executable, "-m", "capture.mutate", str(first), str(last)],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    words: list[str] = []

    def read() -> None:
        assert process.stdout
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    def listen() -> None:
        assert process.stderr
        words.append(process.stderr.read())

    threads = [threading.Thread(target=work) for work in (read, listen)]
    for thread in threads:
        thread.start()
    told: list[dict[str, Any]] = []
    try:
        while line := lines.get(timeout=PATIENCE_S):
            told.append(json.loads(line))
    except queue.Empty:
        words.append("it hangs")
    finally:
        process.kill()
        for thread in threads:
            thread.join(10)
        code = process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()
    return told, f"exit code {code}: {''.join(words)[-2_000:]}"


def test_every_corrupt_clip_ends_or_has_a_reason() -> None:
    """No crash, no hang, no fault that nobody foresaw, and no memory that stays."""
    told, words = played(0, CLIPS)
    assert [line["number"] for line in told] == [*range(CLIPS), -1], (told[-1:], words)
    ends = {"ended", *(f"{s}: {r}" for s in ("ended", "down") for r in get_args(CameraReason))}
    assert {line["end"] for line in told} <= ends
    assert "unforeseen" not in words
    assert (told[-1]["end"], told[-1]["frames"]) == ("ended", 25)
    assert told[-1]["peak_mb"] - told[0]["peak_mb"] < GROWTH_MB


def test_a_number_is_a_clip(tmp_path: Path) -> None:
    """What failed once can be looked at again."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one, two = Mutator(tmp_path / "one"), Mutator(tmp_path / "two")
    for number in (0, 1, 5, 37, 199):
        assert one.variant(number) == two.variant(number)
