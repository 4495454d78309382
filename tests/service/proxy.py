"""A TCP proxy that can lose the answers of the server behind it."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Self


class Proxy:
    """Passes bytes both ways between any number of clients and one port on loopback."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._swallow = threading.Event()
        self._ended = threading.Event()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._servers: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join(5)

    def swallow_answers(self) -> None:
        """The next answer is lost, and its connection with it; after that all is well again."""
        self._swallow.set()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector, self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._ended.is_set():
                for key, _ in selector.select(0.05):
                    self._serve(selector, key.fileobj)  # type: ignore[arg-type]
            for end in list(self._peers):
                end.close()

    def _serve(self, selector: selectors.BaseSelector, ready: socket.socket) -> None:
        if ready is self._listener:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._target))
            self._peers |= {client: server, server: client}
            self._servers.add(server)
            selector.register(client, selectors.EVENT_READ)
            selector.register(server, selectors.EVENT_READ)
        elif ready in self._peers:
            data = b""
            with contextlib.suppress(OSError):
                data = ready.recv(1 << 20)
            if data and ready in self._servers and self._swallow.is_set():
                self._swallow.clear()
                data = b""
            if data:
                self._peers[ready].sendall(data)
            else:
                self._part(selector, ready)

    def _part(self, selector: selectors.BaseSelector, end: socket.socket) -> None:
        for one in (end, self._peers[end]):
            selector.unregister(one)
            del self._peers[one]
            self._servers.discard(one)
            one.close()
