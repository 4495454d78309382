"""Events leave encrypted, for a server that is who it says it is, as a user with few rights."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from output.rig import Rig
from programs import program
from service.redis_server import binary_of, client_of
from service.worker_process import free_port

from worker.errors import BrokerError
from worker.output.broker import COMMANDS
from worker.output.consume import Consumer
from worker.output.embedded import RedisServer
from worker.output.tail import follow

PASSWORD = "pa55 w@rd/%"


@dataclass(frozen=True)
class Encrypted:
    """A server with a certificate for 127.0.0.1, and two authorities, of which one signed it."""

    url: str
    authority: Path
    stranger: Path
    plain: RedisServer


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(
        [program("openssl", "openssl"), *arguments], cwd=folder, check=True, capture_output=True
    )


def authority(folder: Path, name: str) -> Path:
    openssl(
        folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign",
        "-keyout", f"{name}.key", "-out", f"{name}.pem",
    )  # fmt: skip
    return folder / f"{name}.pem"


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    folder = tmp_path_factory.mktemp("tls")
    signer, stranger = authority(folder, "signer"), authority(folder, "stranger")
    openssl(
        folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-subj", "/CN=redis", "-keyout", "server.key", "-out", "server.csr",
    )  # fmt: skip
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl(
        folder, "x509", "-req", "-in", "server.csr", "-CA", "signer.pem", "-CAkey", "signer.key",
        "-CAcreateserial", "-days", "2", "-extfile", "san", "-out", "server.pem",
    )  # fmt: skip
    port = free_port()
    options = [
        f"tls-port {port}",
        f"tls-cert-file {folder}/server.pem",
        f"tls-key-file {folder}/server.key",
        "tls-auth-clients no",
    ]
    server = RedisServer(binary_of("redis"), options=options)
    server.start()
    with client_of(server) as admin:
        rights = ["~maskwatch:*", "&maskwatch:*", *COMMANDS.split()]
        admin.execute_command("ACL", "SETUSER", "worker", "on", f">{PASSWORD}", *rights)
    yield Encrypted(f"rediss://127.0.0.1:{port}/0", signer, stranger, server)
    server.stop()


def test_events_arrive(encrypted: Encrypted, rig_for: Callable[..., Rig]) -> None:
    """With no more rights than the worker asks for, and its lease among them."""
    rig = rig_for(
        encrypted.url, ca_file=encrypted.authority, username="worker", password=PASSWORD
    ).start()
    rig.frames(3)
    rig.state()
    rig.drained()
    with client_of(encrypted.plain) as admin:
        assert admin.xlen("maskwatch:frames:hall") == 3


def test_events_are_read(encrypted: Encrypted, rig_for: Callable[..., Rig]) -> None:
    """By a consumer and by ``tail``, given the authority; both refuse a server of another."""
    with client_of(encrypted.plain) as admin:
        admin.execute_command("ACL", "SETUSER", "reader", "on", f">{PASSWORD}", "~*", "+@all")
    user, place = f"reader:{quote(PASSWORD, safe='')}", encrypted.url.removeprefix("rediss://")
    url, ended = f"rediss://{user}@{place}", threading.Event()
    told = follow(url, stop=ended, ca_file=encrypted.authority)
    first: list[dict[str, object]] = []
    thread = threading.Thread(target=lambda: first.append(next(told)), daemon=True)
    thread.start()
    options: dict[str, Any] = {
        "group": "g",
        "name": "one",
        "streams": ["frames"],
        "start": "oldest",
    }
    rig = rig_for(
        encrypted.url, ca_file=encrypted.authority, username="worker", password=PASSWORD
    ).start()
    while thread.is_alive():
        rig.frames(1)
        thread.join(0.2)
    assert first[0]["camera_id"] == "hall"
    with Consumer(url, ca_file=encrypted.authority, **options) as consumer:
        assert next(iter(consumer)).event.camera_id == "hall"
    with (
        pytest.raises(BrokerError, match="cannot be trusted"),
        Consumer(url, ca_file=encrypted.stranger, **options) as consumer,
    ):
        next(iter(consumer))


@pytest.mark.parametrize("ca", ["stranger", None])
def test_a_server_of_an_unknown_authority_gets_nothing(
    encrypted: Encrypted,
    rig_for: Callable[..., Rig],
    ca: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither events nor the password; the log says what to do."""
    rig = rig_for(
        encrypted.url,
        ca_file=getattr(encrypted, ca) if ca else None,
        username="worker",
        password=PASSWORD,
    ).start()
    rig.frames(1)
    rig.down("untrusted")
    assert rig.counts.sent == []
    assert "name the authority that signed its certificate in redis.ca_file" in caplog.text
    assert "pa55" not in caplog.text


def test_a_server_of_another_name_gets_nothing(
    encrypted: Encrypted, rig_for: Callable[..., Rig]
) -> None:
    """Its certificate is for an address, and it was asked for by a name."""
    url = encrypted.url.replace("127.0.0.1", "localhost")
    rig = rig_for(url, ca_file=encrypted.authority, username="worker", password=PASSWORD).start()
    rig.frames(1)
    rig.down("untrusted")
    assert rig.counts.sent == []
