"""Nothing leaves the worker but what it is made to publish."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = "import worker.inference.engine, worker.faces.detect"


def test_onnxruntime_does_not_report_home(tmp_path: Path) -> None:
    """Its telemetry would give this machine a name, on disk, at the mere import."""
    environment = {key: value for key, value in os.environ.items() if key != "CI"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, env=environment, cwd=Path(__file__).parents[1]
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
