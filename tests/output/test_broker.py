"""Every fault of Redis has a bounded reason and a sentence without a secret."""

from __future__ import annotations

import socket

import pytest
import redis

from worker.config import Redis
from worker.errors import ConfigError
from worker.output.broker import BrokerFaultError, client, explain, is_about_one_key

SETTINGS = Redis(url="redis://worker:s3cret@venue:6380/0")


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (redis.AuthenticationError("invalid s3cret"), "unauthorised", "redis.password"),
        (
            redis.exceptions.AuthenticationWrongNumberOfArgsError("x"),
            "unauthorised",
            "redis.username",
        ),
        (redis.exceptions.NoPermissionError("no permissions"), "forbidden", "grant"),
        (redis.ReadOnlyError("x"), "read_only", "primary"),
        (redis.exceptions.OutOfMemoryError("x"), "out_of_memory", "maxmemory"),
        (redis.BusyLoadingError("x"), "loading", "loading"),
        (redis.TimeoutError("x"), "timeout", "within 2 s"),
        (TimeoutError(), "timeout", "within 2 s"),
        (redis.exceptions.InvalidResponse("HTTP"), "not_redis", "does not speak Redis"),
        (redis.ConnectionError("Connection closed by server."), "gone", "closed"),
        (redis.ConnectionError("Error 113 connecting to venue:6380."), "unreachable", "reached"),
        (socket.gaierror(-2, "Name or service not known"), "unreachable", "reached"),
        (ConnectionRefusedError(), "refused", "nothing listens"),
        (ConnectionResetError(), "gone", "ConnectionResetError"),
        (redis.ResponseError("MISCONF disk"), "error", "MISCONF disk"),
        (
            BrokerFaultError("unsupported", "Redis 5.0 is too old; 6.2 is needed"),
            "unsupported",
            "6.2",
        ),
    ],
)
def test_faults_in_words(error: Exception, reason: str, words: str) -> None:
    """Each fault says what, where and the remedy."""
    found, sentence = explain(error, SETTINGS)
    assert found == reason
    assert words in sentence
    assert "venue:6380" in sentence
    assert "s3cret" not in sentence


def test_the_command_is_left_out() -> None:
    """redis-py puts the whole command into its errors; the event in it stays out of the log."""
    error = redis.ResponseError(
        "Command # 1 (XADD key * event {...}) of pipeline caused error: ERR unknown"
    )
    assert explain(error, SETTINGS)[1].endswith("refused a command: ERR unknown")


def test_a_key_of_another_type_is_no_fault_of_the_server() -> None:
    """Only that one error concerns one key alone."""
    assert is_about_one_key(redis.ResponseError("WRONGTYPE Operation against a key"))
    assert not is_about_one_key(redis.ResponseError("ERR unknown"))
    assert not is_about_one_key(redis.ConnectionError("WRONGTYPE"))


def test_an_impossible_address_is_a_configuration_error() -> None:
    """What the client library cannot use is told without the password in it."""
    settings = Redis(url="redis://worker:s3cret@venue/0?socket_timeout=soon")
    with pytest.raises(ConfigError, match="redis://venue/0 cannot be used") as caught:
        client(settings, "test")
    assert "s3cret" not in str(caught.value)
