"""A socket that heals itself. One law: it is opened again for ever, and silence counts as broken.

"Connected" is not "healthy": a stream counts as well when it has spoken. Every connection is pinged, so that a hole in the network
is noticed where nothing is due; where something is due (`silence_s`), its absence is enough. Shortly before the exchange would
end a connection, its successor is open already. What a message means is none of its business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from .errors import Fault

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
PING_S, PONG_S, OPEN_S, LOOK_S = 10.0, 10.0, 10.0, 0.5
RENEW_S, RETRY_S, OVERLAP_S = 23 * 3600.0, 60.0, 1.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Stream:
    """One stream of messages. `address` is asked before each connection (and may fail like it); `hear` gets every text."""

    def __init__(
        self,
        name: str,
        address: Callable[[], Awaitable[str]],
        hear: Callable[[str], None],
        silence_s: float = 0.0,
        up: Callable[[], None] = lambda: None,
        down: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name, self.address, self.hear, self.silence_s, self.up, self.down = name, address, hear, silence_s, up, down
        self.opened = 0  # connections so far
        self.connected = False
        self.spoke: float | None = None  # monotonic seconds: the last message, ever
        self.alive: float | None = None  # the last message or pong
        self._since = 0.0
        self._socket: ClientConnection | None = None
        self._why = ""

    @property
    def healthy(self) -> bool:
        """It is connected, and has spoken since."""
        return self.connected and self.spoke is not None and self.spoke >= self._since

    @property
    def age_ms(self) -> int | None:
        return None if self.spoke is None else int((time.monotonic() - self.spoke) * 1000)

    @property
    def alive_ms(self) -> int | None:
        return None if self.alive is None else int((time.monotonic() - self.alive) * 1000)

    def restart(self, why: str) -> None:
        """Break the connection; it is opened again at once."""
        self._why = self._why or why
        if self._socket is not None:
            self._socket.transport.abort()

    async def run(self) -> None:
        """Until cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            why = await self._once()
            self.connected, self._socket, self._why = False, None, ""
            self.down(why)
            if time.monotonic() - began > LONGEST_PAUSE_S:
                pause = FIRST_PAUSE_S
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _once(self) -> str:
        """One connection from end to end, and why it ended."""
        try:
            socket: ClientConnection | None = await self._connect()
            while socket is not None:
                socket = await self._live(socket)
        except Fault as fault:
            return str(fault)
        except (OSError, TimeoutError, WebSocketException, ValueError) as error:
            return self._why or type(error).__name__  # its own text may hold the listen key
        return self._why or "closed"

    async def _connect(self) -> ClientConnection:
        address = await self.address()
        proxy: Any = None if urlsplit(address).hostname in LOOPBACK else True
        return await connect(
            address, proxy=proxy, compression=None, ping_interval=None, open_timeout=OPEN_S, close_timeout=1, max_queue=1024
        )

    async def _live(self, socket: ClientConnection) -> ClientConnection | None:
        """Read a connection to its end; its successor where it was to be renewed."""
        self._socket, self._since = socket, time.monotonic()
        fresh = not self.connected
        self.connected, self.opened, self.alive = True, self.opened + 1, self._since
        watch = asyncio.create_task(self._watch(socket))
        try:
            if fresh:
                self.up()
            await self._read(socket)
        except ConnectionClosed as error:
            self._why = self._why or f"closed ({error.rcvd.code if error.rcvd else 'no close frame'})"
        finally:
            watch.cancel()
            socket.transport.abort()
        successor = await asyncio.gather(watch, return_exceptions=True)
        return successor[0] if isinstance(successor[0], ClientConnection) else None

    async def _read(self, socket: ClientConnection) -> None:
        async for text in socket:
            self.spoke = self.alive = time.monotonic()
            self.hear(text if isinstance(text, str) else text.decode("utf-8", "replace"))

    async def _watch(self, socket: ClientConnection) -> ClientConnection | None:
        """Break a connection that is silent or does not answer; open the next one before this one's day is over."""
        pinged, pong = time.monotonic(), None
        while True:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            if self.silence_s and now - max(self._since, self.spoke or 0.0) > self.silence_s:
                break
            if pong is not None and pong.done():
                self.alive, pong = now, None
            if pong is not None and now - pinged > PONG_S:
                break
            if pong is None and now - pinged >= PING_S:
                pinged, pong = now, asyncio.ensure_future(await socket.ping())
            if now - self._since > RENEW_S and (successor := await self._renew(socket)):
                return successor
        self._why = self._why or ("no pong" if pong is not None else f"silent for {self.silence_s:g} s")
        socket.transport.abort()
        return None

    async def _renew(self, socket: ClientConnection) -> ClientConnection | None:
        """Both are heard for a moment: what is said twice is told once by whoever knows what it means. None = try again later."""
        try:
            successor = await self._connect()
        except (Fault, OSError, TimeoutError, WebSocketException, ValueError):
            self._since += RETRY_S
            return None
        try:
            await asyncio.sleep(OVERLAP_S)
        except asyncio.CancelledError:
            successor.transport.abort()
            raise
        socket.transport.abort()
        return successor
