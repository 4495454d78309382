"""A Redis that asks for a password which nobody has set."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from output.rig import Rig
from service.redis_server import client_of

from worker.output.embedded import RedisServer


def test_a_password_that_is_missing_is_asked_for(
    own_redis: RedisServer, rig_for: Callable[..., Rig], caplog: pytest.LogCaptureFixture
) -> None:
    """The sentence says which key to set; the events wait for it."""
    caplog.set_level(logging.WARNING)
    own_redis.start()
    with client_of(own_redis) as admin:
        admin.config_set("requirepass", "s3cret")
        rig = rig_for(own_redis).start()
        rig.frames(3)
        rig.down("unauthorised")
        admin.config_set("requirepass", "")
        rig.drained()
    assert "asks for a password; set redis.password_file" in caplog.text
