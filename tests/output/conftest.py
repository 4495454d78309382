"""The servers and the publisher that tests of this folder use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from output.rig import Rig
from service.redis_server import _shared_server, own_redis, shared_redis

from worker.output.embedded import RedisServer

__all__ = ["_shared_server", "own_redis", "shared_redis"]


@pytest.fixture
def rig_for() -> Iterator[Callable[..., Rig]]:
    """Makes publishers, each with its maker and its thread; all are closed at the end."""
    rigs: list[Rig] = []

    def make(server: RedisServer | str, **settings: Any) -> Rig:
        rigs.append(Rig(server if isinstance(server, str) else server.url, **settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close(0.0)
