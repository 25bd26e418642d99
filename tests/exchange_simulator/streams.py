"""The websockets: three paths, who subscribed to what, and how long an event is on its way.

Its one law: a socket says only what its path carries. The wrong path, a stale listen key, a silenced route: connected, acknowledged, and
mute.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from exchange_simulator.door import reset
from exchange_simulator.records import Json

if TYPE_CHECKING:
    from exchange_simulator.simulator import Simulator

PUBLIC, MARKET, PRIVATE = "public", "market", "private"
OF_PUBLIC = ("bookticker", "depth", "rpidepth")
_written = json.JSONEncoder(separators=(",", ":")).encode
INCOMING_PER_SECOND, MOST_STREAMS = 10, 1024


def carried(route: str, stream: str) -> bool:
    """Does this path carry this stream?"""
    book = stream.partition("@")[2].lower().startswith(OF_PUBLIC)
    return book if route == PUBLIC else route == MARKET and not book


class Socket:
    """One websocket."""

    def __init__(self, sim: Simulator, request: web.Request, route: str) -> None:
        self.sim, self.request, self.route = sim, request, route
        self.ws = web.WebSocketResponse(heartbeat=sim.ping_s, max_msg_size=1 << 20, compress=False)
        self.streams: list[str] = []
        self.combined = "/stream" in request.path
        self.listen_key = request.query.get("listenKey", "")
        events = request.query.get("events", "")
        self.events = frozenset(events.split("/")) if events else None
        self.opened = sim.now()
        self.sent = 0
        self._heap: list[tuple[float, int, str]] = []
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self._arrivals: list[float] = []

    # --- sending ------------------------------------------------------------------------------------------------------

    def push(self, payload: Json, stream: str, delay_ms: int = 0) -> None:
        """Put an event on its way."""
        body: Json = {"stream": stream, "data": payload} if self.combined else payload
        self.post(_written(body), delay_ms)

    def post(self, text: str, delay_ms: int = 0) -> None:
        due = asyncio.get_running_loop().time() + (self.sim.rtt_ms / 2 + delay_ms) / 1000
        heapq.heappush(self._heap, (due, next(self._order), text))
        self._wake.set()

    async def write(self) -> None:
        """Send what is due, for as long as the socket lives."""
        loop = asyncio.get_running_loop()
        while True:
            if not self._heap:
                self._wake.clear()
                await self._wake.wait()
            wait = self._heap[0][0] - loop.time()
            if wait > 0:
                self._wake.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), wait)
                continue
            text = heapq.heappop(self._heap)[2]
            await self.sim.thaw()
            if self.route not in self.sim.faults.silent:
                await self.ws.send_str(text)
                self.sent += 1

    # --- receiving ----------------------------------------------------------------------------------------------------

    async def read(self) -> None:
        """Take subscriptions until the socket ends."""
        async for message in self.ws:
            if message.type != WSMsgType.TEXT:
                break
            if self._too_chatty():
                await self.ws.close(code=1008, message=b"Too many requests")
                return
            self._frame(message.data)

    def _too_chatty(self) -> bool:
        now = asyncio.get_running_loop().time()
        self._arrivals = [*(one for one in self._arrivals if now - one < 1.0), now]
        return len(self._arrivals) > INCOMING_PER_SECOND

    def _frame(self, text: str) -> None:
        try:
            frame = json.loads(text)
            method, number = frame["method"], frame.get("id")
        except (ValueError, KeyError, TypeError):
            self.post(json.dumps({"error": {"code": 2, "msg": "Invalid request: request is not valid JSON"}}))
            return
        result = None
        if method == "SUBSCRIBE":
            self.subscribe(frame.get("params", []))
        elif method == "UNSUBSCRIBE":
            self.streams = [one for one in self.streams if one not in frame.get("params", [])]
        elif method == "LIST_SUBSCRIPTIONS":
            result = list(self.streams)
        self.post(json.dumps({"result": result, "id": number}))

    def subscribe(self, streams: list[str]) -> None:
        """Whatever it is, it is taken down; whether it ever speaks is the path's matter."""
        self.streams.extend(one for one in streams if one and one not in self.streams)
        del self.streams[MOST_STREAMS:]

    def cut(self) -> None:
        """Tear it."""
        reset(self.request)


class Streams:
    """All websockets."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.sockets: set[Socket] = set()
        self._closing: set[asyncio.Task[bool]] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """A websocket from its handshake to its end."""
        if self.sim.is_down:
            return reset(request)
        await self.sim.thaw()
        rule = self.sim.faults.meets("WS", request.path, dict(request.query), closing=False)
        if rule is not None:
            return reset(request) if rule.way.way in ("reset", "late") else web.Response(status=rule.status or rule.way.status or 400)
        first = request.path.strip("/").partition("/")[0]
        socket = Socket(self.sim, request, first if first in (PUBLIC, MARKET, PRIVATE) else PUBLIC)
        socket.subscribe(_asked_for(request))
        await socket.ws.prepare(request)
        self.sockets.add(socket)
        writer = asyncio.create_task(socket.write())
        try:
            await socket.read()
        finally:
            self.sockets.discard(socket)
            writer.cancel()
            with suppress(asyncio.CancelledError, ConnectionError, RuntimeError):
                await writer
        return socket.ws

    # --- saying -------------------------------------------------------------------------------------------------------

    def say(self, symbol: str, stream: str, shape: Callable[[], Json]) -> None:
        """A market event, to whoever subscribed to it on the right path; `shape` builds it where somebody did. `stream` is its plain
        name: a trailing speed is the client's."""
        start = f"{symbol.lower()}@{stream.lower()}"
        payload: Json | None = None
        for socket in self.sockets:
            for name in socket.streams:
                if _same(name.lower(), start) and carried(socket.route, name):
                    payload = shape() if payload is None else payload
                    socket.push(payload, name)

    def wanted(self, kind: str) -> set[tuple[str, str]]:
        """(symbol, stream) pairs of a kind that somebody subscribed to."""
        names = {name for socket in self.sockets for name in socket.streams if carried(socket.route, name)}
        pairs = (name.partition("@")[::2] for name in names)
        return {(symbol.partition("_")[0].upper(), stream) for symbol, stream in pairs if stream.startswith(kind)}

    def tell_owner(self, event: Json) -> None:
        """A user event, to the private sockets whose key still speaks; it may go wrong on the way."""
        sim = self.sim
        fate = sim.faults.fate(event)
        for socket in self._owners(event["e"]):
            for delay in fate.delays:
                socket.push(event, socket.listen_key, delay)

    def _owners(self, event: str) -> list[Socket]:
        now = self.sim.now()
        return [
            socket for socket in self.sockets
            if socket.route == PRIVATE and self.sim.keys.speaks(socket.listen_key, now)
            and (socket.events is None or event in socket.events)
        ]  # fmt: skip

    def cut(self, route: str = "*", politely: bool = False) -> int:
        """Tear the sockets of a path, or close them with a word; how many."""
        doomed = [socket for socket in self.sockets if route in ("*", socket.route)]
        for socket in doomed:
            if politely:
                self._closing.add(task := asyncio.create_task(socket.ws.close(code=1001, message=b"24 hours")))
                task.add_done_callback(self._closing.discard)
            else:
                socket.cut()
        return len(doomed)

    def shown(self) -> list[dict[str, Any]]:
        """What is connected."""
        return [{"route": one.route, "streams": one.streams, "listen_key": one.listen_key, "sent": one.sent} for one in self.sockets]


def _same(name: str, start: str) -> bool:
    """btcusdt@markPrice@1s is btcusdt@markPrice, btcusdt@depth5@100ms is btcusdt@depth5; btcusdt_perpetual@continuousKline_1m is the
    symbol's."""
    name = name.replace("_perpetual@", "@")
    return name == start or name.startswith(f"{start}@")


def _asked_for(request: web.Request) -> list[str]:
    """Streams in the address."""
    tail = request.path.partition("/ws/")[2]
    return [*tail.split("/"), *request.query.get("streams", "").split("/")]
