"""The HTTP server on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from worker.config import Http
from worker.errors import ConfigError
from worker.web.app import make_app
from worker.web.live import LiveHub
from worker.web.view import View

BACKLOG = 128
STOP_S = 2
TICK_S = 1.0
MAX_CONNECTIONS = 600
"""A hundred browsers with six connections each; beyond, the server itself answers 503."""


ASK_S = 10.0
"""A connection that asks for nothing whole in so long is closed: it takes a place of others."""


class _Impatient(H11Protocol):
    """A connection that is closed where no request is complete in time."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._mind()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._mind()

    def on_response_complete(self) -> None:
        super().on_response_complete()  # the next request may have come with the last
        self._mind()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _mind(self) -> None:
        """Wait for a request, or no longer where one is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._patience is None:
            self._patience = self.loop.call_later(ASK_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class _Calm(uvicorn.Server):
    """A server that turns once a second, for the date in its answers, instead of ten times.

    That alone took 2 ms of CPU a second, a fiftieth of what a camera costs.
    """

    _ending: asyncio.Event
    _loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._ending, self._loop = asyncio.Event(), asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), TICK_S)

    def end(self) -> None:
        """Begin the end, from any thread."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._ending.set)


class HttpServer:
    """Serves the HTTP side of a worker from ``start`` to ``stop``."""

    def __init__(self, view: View, http: Http) -> None:
        self._socket = _listen(http)
        host, port = self._socket.getsockname()[:2]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._hub = LiveHub(view)
        config = uvicorn.Config(
            make_app(view, http, self._hub),
            http=_Impatient,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=STOP_S,
            h11_max_incomplete_event_size=16_384,
            limit_concurrency=MAX_CONNECTIONS,
            server_header=False,
        )
        self._server = _Calm(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="http", daemon=True
        )

    def start(self) -> None:
        """Begin to answer. Does not block."""
        self._thread.start()

    def alive(self) -> bool:
        """True while it answers."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Answer what is under way, then close. Idempotent."""
        self._hub.close()
        self._server.end()
        if self._thread.is_alive():
            self._thread.join(STOP_S + 1)
        self._socket.close()


def _listen(http: Http) -> socket.socket:
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((http.host, http.port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"http: {http.host}:{http.port} cannot be listened on ({error.strerror}); "
            "stop what uses it, or set http.port, in the demo --port (0 takes any free one)"
        ) from error
    listener.listen(BACKLOG)
    return listener
