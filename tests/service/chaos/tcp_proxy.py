"""A TCP proxy that does to a connection what networks do: cut, delay, throttle, fall silent."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from dataclasses import dataclass
from typing import Self

CHUNK = 1 << 16
STEP_S = 0.05
HOST = "127.0.0.1"
RESET = struct.pack("ii", 1, 0)  # linger on, for no time: closing sends RST


@dataclass(slots=True)
class Network:
    """How the network behaves; changed while connections live, it holds for them, too.

    Attributes:
        refuse: new connections are reset at once.
        silent: nothing passes, in neither direction, and nobody is told.
        deaf: what the server answers is swallowed, and its connection cut.
        half_closed: the server's side of a connection is closed, the client's stays open.
        delay_s: each piece waits for so long.
        bytes_per_s: no more than this passes in each direction; 0: as much as there is.
        garble: share of the server's bytes that arrive changed.
    """

    refuse: bool = False
    silent: bool = False
    deaf: bool = False
    half_closed: bool = False
    delay_s: float = 0.0
    bytes_per_s: int = 0
    garble: float = 0.0


class TcpProxy:
    """Passes bytes between any number of clients and one port on loopback, as ``network`` says.

    Attributes:
        port: where it listens.
        target: the port behind it; another one holds for connections to come.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.network = Network()
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._chance = random.Random(self.port)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def heal(self) -> None:
        """Behave again. Connections that were made meanwhile go on as if nothing had been."""
        self.network = Network()

    def cut(self) -> None:
        """Reset every connection there is."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in list(self._writers):
            _reset(writer)

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(asyncio.start_server(self._serve, sock=self._listener))
        loop.run_forever()
        server.close()
        self._cut()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.network.refuse:
            _reset(writer)
            return
        try:
            behind, ahead = await asyncio.open_connection(HOST, self.target)
        except OSError:
            _reset(writer)
            return
        self._writers |= {writer, ahead}
        try:
            with contextlib.suppress(asyncio.CancelledError):  # the end of the proxy
                await asyncio.gather(
                    self._pump(reader, ahead, from_server=False),
                    self._pump(behind, writer, from_server=True),
                )
        finally:
            self._writers -= {writer, ahead}
            for end in (writer, ahead):
                end.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, from_server: bool
    ) -> None:
        """Pass on what comes, until either end is gone."""
        with contextlib.suppress(OSError):
            while data := await source.read(self._piece()):
                await self._hold_back(len(data))
                if from_server and self.network.deaf:
                    _reset(sink)
                    return
                if from_server and self.network.half_closed:
                    break
                sink.write(self._garbled(data) if from_server else data)
                await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()

    def _piece(self) -> int:
        rate = self.network.bytes_per_s
        return max(1, int(rate * STEP_S)) if rate else CHUNK

    async def _hold_back(self, size: int) -> None:
        """Wait for as long as the network asks for now; it may be healed meanwhile."""
        await asyncio.sleep(self.network.delay_s)
        passed = 0.0
        while (rate := self.network.bytes_per_s) and passed < size:
            await asyncio.sleep(STEP_S)
            passed += rate * STEP_S
        while self.network.silent:
            await asyncio.sleep(STEP_S)

    def _garbled(self, data: bytes) -> bytes:
        if not self.network.garble:
            return data
        chance = self._chance
        changed = bytearray(data)
        for _ in range(round(len(data) * self.network.garble)):
            changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(changed)


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection without a farewell."""
    end = writer.get_extra_info("socket")
    if end is not None:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
