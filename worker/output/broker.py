"""A connection to Redis (or Valkey), and its faults in words."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any, Literal

import redis
import redis.asyncio.retry
from pydantic import ValidationError
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.config import Redis as RedisSettings
from worker.errors import BrokerError, ConfigError

FaultReason = Literal[
    "refused",
    "unreachable",
    "timeout",
    "gone",
    "unauthorised",
    "forbidden",
    "read_only",
    "out_of_memory",
    "loading",
    "held",
    "untrusted",
    "not_redis",
    "unsupported",
    "error",
]
"""Why Redis takes nothing; the same word in log, metric and readiness."""

OLDEST = (6, 2)
"""``XADD … MINID`` came with Redis 6.2."""

COMMANDS = (
    "+xadd +xtrim +publish +hset +hget +get +set +expire +watch +unwatch +multi +exec +time +info "
    "+ping +client +evalsha +script|load"
)

FAULTS = (redis.RedisError, OSError, BrokerError)
"""What talking to Redis may raise; the loop that owns recovery catches these."""


class BrokerFaultError(BrokerError):
    """Redis does not take what is sent, for a bounded ``reason``."""

    def __init__(self, reason: FaultReason, detail: str) -> None:
        super().__init__(detail)
        self.reason: FaultReason = reason


def settings_of(
    url: str,
    prefix: str = "maskwatch",
    timeout_s: float = 2.0,
    ca_file: str | Path | None = None,
) -> RedisSettings:
    """Settings for those who only have an address.

    Raises:
        ConfigError: one of them cannot be used.
    """
    try:
        authorities = Path(ca_file) if ca_file else None
        return RedisSettings(url=url, prefix=prefix, timeout_s=timeout_s, ca_file=authorities)
    except ValidationError as error:  # its text may hold the address with its password
        fault = error.errors(include_url=False, include_input=False)[0]
        said = fault["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{fault['loc'][0]}: {said}") from None


def client(settings: RedisSettings, name: str) -> redis.Redis:
    """A client that never retries by itself and never waits longer than its timeout.

    Nothing is sent until the first command.

    Raises:
        ConfigError: the address cannot be used.
    """
    try:
        made = redis.Redis.from_url(
            settings.secret_url(), retry=Retry(NoBackoff(), 0), **_options(settings, name)
        )
        made.connection_pool.make_connection()  # not opened; an option that is none shows here
    except (ValueError, TypeError):
        raise _unusable(settings) from None
    return made


def async_client(settings: RedisSettings, name: str) -> redis.asyncio.Redis:
    """The same for those who await.

    Raises:
        ConfigError: the address cannot be used.
    """
    try:
        made = redis.asyncio.Redis.from_url(
            settings.secret_url(),
            retry=redis.asyncio.retry.Retry(NoBackoff(), 0),
            **_options(settings, name),
        )
        made.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (ValueError, TypeError):
        raise _unusable(settings) from None
    return made


def _options(settings: RedisSettings, name: str) -> dict[str, Any]:
    authorities = {"ssl_ca_certs": str(settings.ca_file)} if settings.ca_file else {}
    return {
        **authorities,
        "socket_timeout": settings.timeout_s,
        "socket_connect_timeout": settings.timeout_s,
        "health_check_interval": 15,
        "client_name": name,
        "protocol": 2,  # replies have one shape with every server and version of the client
    }


def _unusable(settings: RedisSettings) -> ConfigError:
    """Raise it from nothing: the cause's text may hold the address with its password."""
    return ConfigError(
        f"redis.url: the address {settings.address} cannot be used; "
        "write redis://host:port/database"
    )


def server_time_s(connection: redis.Redis) -> float:
    """The server's clock, seconds since the epoch: the one that entry ids are made of."""
    seconds, micros = connection.execute_command("TIME")  # type: ignore[no-untyped-call]
    return int(seconds) + int(micros) / 1e6


def greet(connection: redis.Redis) -> str:
    """Connect, and return what the server says it is, as far as it may be asked.

    Raises:
        BrokerFaultError: it is too old.
        redis.RedisError, OSError: as ``explain`` has them.
    """
    connection.execute_command("PING")  # type: ignore[no-untyped-call]
    with contextlib.suppress(redis.exceptions.NoPermissionError):
        about: dict[str, Any] = connection.info("server")
        version = str(about.get("redis_version", ""))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if numbers and numbers < OLDEST:
            raise BrokerFaultError("unsupported", f"Redis {version} is too old; 6.2 is needed")
        return f"{about.get('server_name', 'redis')} {about.get('valkey_version', version)}"
    return "redis"


def is_about_one_key(error: Exception) -> bool:
    """True where the server is well and one key alone cannot take what is sent to it."""
    return isinstance(error, redis.ResponseError) and "WRONGTYPE" in str(error)


def explain(
    error: Exception, settings: RedisSettings, commands: str = COMMANDS
) -> tuple[FaultReason, str]:
    """The bounded reason, and a sentence: what, where, remedy. No secret is in it.

    Args:
        error: one of ``FAULTS``.
        settings: where the Redis is.
        commands: what must be granted, should something be forbidden.
    """
    where = f"Redis at {settings.address}"
    if isinstance(error, BrokerFaultError):
        return error.reason, f"{where}: {error}"
    match error:
        case redis.AuthenticationError():
            return "unauthorised", _login(where, settings)
        case redis.ResponseError():
            return _refusal(error, where, f"~{settings.prefix}:* &{settings.prefix}:* {commands}")
        case redis.TimeoutError() | TimeoutError():
            return "timeout", f"{where} did not answer within {settings.timeout_s:g} s"
        case redis.exceptions.InvalidResponse():
            return "not_redis", f"what answers at {settings.address} does not speak Redis"
        case _:
            return _broken_connection(error, where)


def _login(where: str, settings: RedisSettings) -> str:
    if settings.password is None and "@" not in settings.url:
        return (
            f"{where} asks for a password; set redis.password_file, and redis.username where it "
            "has users"
        )
    return (
        f"{where} does not accept the user or the password; check redis.username and redis.password"
    )


def _refusal(error: redis.ResponseError, where: str, rights: str) -> tuple[FaultReason, str]:
    said = _said(error)
    match error:
        case redis.exceptions.AuthenticationWrongNumberOfArgsError():
            return "unauthorised", f"{where} does not know users; leave out redis.username"
        case redis.exceptions.NoPermissionError():
            return "forbidden", (
                f"{where} forbids this user what is needed ({said}); grant it {rights}"
            )
        case redis.ReadOnlyError():
            return "read_only", f"{where} is a read-only replica; name the primary in redis.url"
        case redis.exceptions.OutOfMemoryError():
            return "out_of_memory", (
                f"{where} is out of memory; raise its maxmemory or lower redis.frames_keep_s"
            )
        case _:
            return "error", f"{where} refused a command: {said}"


def _broken_connection(error: Exception, where: str) -> tuple[FaultReason, str]:
    said = _said(error)
    if isinstance(error, redis.BusyLoadingError):
        return "loading", f"{where} is still loading its data"
    cause = error.__cause__ or error.__context__ or error
    if isinstance(cause, ConnectionRefusedError | FileNotFoundError):
        return "refused", f"nothing listens for {where}; start it, or correct redis.url"
    if isinstance(cause, ssl.SSLError):
        return "untrusted", (
            f"{where} cannot be trusted ({said}); name the authority that signed its certificate "
            "in redis.ca_file, and the host as the certificate does in redis.url"
        )
    if isinstance(cause, socket.gaierror) or "connecting to" in said:
        return "unreachable", f"{where} cannot be reached ({said})"
    return "gone", f"{where} closed the connection ({said})"


def _said(error: Exception) -> str:
    """The server's words. redis-py puts the whole command before them, an event and all."""
    return str(error).rpartition("caused error: ")[2].strip()[:200] or type(error).__name__
