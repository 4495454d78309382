"""The proxy does to real connections what it is told to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from service.chaos.tcp_proxy import Network, TcpProxy

RESET = r"reset|abort"


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that sends back what it gets; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def talk(end: socket.socket) -> None:
        with end, contextlib.suppress(OSError):
            while data := end.recv(4096):
                end.sendall(data)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                end, _ = listener.accept()
                threading.Thread(target=talk, args=(end,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@contextlib.contextmanager
def client(proxy: TcpProxy) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as end:
        yield end


def answer(end: socket.socket, size: int, wait_s: float = 5.0) -> bytes:
    """So many bytes, or what came before the time was over or the connection closed."""
    ends_s, got = time.monotonic() + wait_s, b""
    with contextlib.suppress(TimeoutError):
        while len(got) < size and (left_s := ends_s - time.monotonic()) > 0:
            end.settimeout(left_s)
            data = end.recv(size - len(got))
            if not data:
                break
            got += data
    return got


def test_passes_bytes_both_ways(echo: int) -> None:
    """As if it were not there."""
    with TcpProxy(echo) as proxy, client(proxy) as end:
        end.sendall(b"x" * 100_000)
        assert answer(end, 100_000) == b"x" * 100_000


def test_cuts_with_a_reset(echo: int) -> None:
    """Both ends see it at once; new connections are well."""
    with TcpProxy(echo) as proxy:
        with client(proxy) as end:
            end.sendall(b"1")
            assert answer(end, 1) == b"1"
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                answer(end, 1)
        with client(proxy) as end:
            end.sendall(b"2")
            assert answer(end, 1) == b"2"


def test_refuses(echo: int) -> None:
    """New connections are reset."""
    with TcpProxy(echo) as proxy:
        proxy.network = Network(refuse=True)
        with pytest.raises(OSError, match=RESET), client(proxy) as end:
            answer(end, 1)


def test_nobody_behind_it() -> None:
    """Where the server is gone, connections are reset."""
    with (
        TcpProxy(1) as proxy,
        pytest.raises(OSError, match=RESET),
        client(proxy) as end,
    ):
        answer(end, 1)


def test_silent_and_well_again(echo: int) -> None:
    """Nothing passes for as long, and nothing is lost."""
    with TcpProxy(echo) as proxy, client(proxy) as end:
        proxy.network = Network(silent=True)
        end.sendall(b"hello")
        assert answer(end, 5, 0.3) == b""
        proxy.heal()
        assert answer(end, 5) == b"hello"


def test_deaf_swallows_the_answer(echo: int) -> None:
    """What was sent arrives, its answer does not, and the connection is reset."""
    with TcpProxy(echo) as proxy, client(proxy) as end:
        proxy.network = Network(deaf=True)
        end.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            answer(end, 5)


def test_half_closed_ends_one_direction(echo: int) -> None:
    """The client reads the end, and may still write."""
    with TcpProxy(echo) as proxy, client(proxy) as end:
        proxy.network = Network(half_closed=True)
        end.sendall(b"hello")
        assert answer(end, 5) == b""
        end.sendall(b"more")


def test_throttles(echo: int) -> None:
    """In 0.3 s at 100 bytes a second no 1,000 bytes come."""
    with TcpProxy(echo) as proxy, client(proxy) as end:
        proxy.network = Network(bytes_per_s=100)
        end.sendall(b"x" * 1_000)
        assert len(answer(end, 1_000, 0.3)) < 1_000
        proxy.heal()
        assert answer(end, 900)


def test_garbles(echo: int) -> None:
    """As many bytes come, and some are others."""
    with TcpProxy(echo) as proxy, client(proxy) as end:
        proxy.network = Network(garble=0.1)
        end.sendall(b"x" * 1_000)
        got = answer(end, 1_000)
        assert len(got) == 1_000
        assert got != b"x" * 1_000
