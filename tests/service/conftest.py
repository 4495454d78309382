"""What the tests of a whole worker share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from service.worker_process import faces_clip

from worker.output.embedded import RedisServer, embedded_redis


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of faces that walk by."""
    return faces_clip(tmp_path_factory.mktemp("clip") / "faces.mp4", seconds=2)


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with embedded_redis() as server:
        yield server
