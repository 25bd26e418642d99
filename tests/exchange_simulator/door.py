"""The REST door: one request from the socket to its answer.

Its one law: the order of things is always the same (heard, banned, counted, broken, proven, done, answered) and a fault decides only what
becomes of the request and of its answer, never what the account does with it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from exchange_simulator import rest_account, rest_market, rest_trade
from exchange_simulator.faults import Rule
from exchange_simulator.limits import Slow
from exchange_simulator.params import Params
from exchange_simulator.refusals import Refused
from exchange_simulator.routes import ROUTES, Asks, Route

if TYPE_CHECKING:
    from exchange_simulator.simulator import Simulator

ROOMS = (rest_account, rest_market, rest_trade)  # imported for the rows they enter in the table
AHEAD_MS, MOST_RECV_WINDOW = 1_000, 60_000
CLOSING = {("LONG", "SELL"), ("SHORT", "BUY")}
RESET = struct.pack("ii", 1, 0)


@dataclass
class Seen:
    """A request that came in; `params` without the signature, `status` 0 where nothing was answered."""

    time: int
    method: str
    path: str
    params: dict[str, str]
    ip: str
    port: int
    status: int = 0
    code: int = 0  #: of a refusal


class Heard:
    """A request as it is dealt with."""

    def __init__(self, request: web.Request, body: str) -> None:
        self.request, self.body = request, body
        self.method, self.path = request.method, request.path
        self.query = request.raw_path.partition("?")[2]
        pairs = dict(parse_qsl(self.query, keep_blank_values=True) + parse_qsl(body, keep_blank_values=True))
        self.signature = pairs.pop("signature", "")
        self.params = Params(pairs)
        peer = request.transport.get_extra_info("peername") if request.transport else None
        self.ip: str = peer[0] if peer else ""
        self.port: int = peer[1] if peer else 0

    @property
    def closing(self) -> bool:
        """Does it cancel, reduce or close? Such are never shed."""
        where = (self.params.text("positionSide"), self.params.text("side"))
        return self.method == "DELETE" or where in CLOSING or self.params.text("closePosition").lower() == "true"

    def signed_text(self) -> str:
        """What was signed: query and body as sent, without the signature."""
        return _unsigned(self.query) + _unsigned(self.body)


def _unsigned(text: str) -> str:
    return "&".join(part for part in text.split("&") if not part.startswith("signature="))


async def serve(sim: Simulator, request: web.Request) -> web.StreamResponse:
    """Answer one REST request."""
    heard = Heard(request, (await request.read()).decode())
    seen = Seen(sim.now(), heard.method, heard.path, heard.params.raw, heard.ip, heard.port)
    sim.requests.append(seen)
    await sim.thaw()
    await asyncio.sleep(sim.rtt_ms / 2000)
    if sim.is_down:
        return reset(request)
    response = await _dealt_with(sim, heard, seen)
    await asyncio.sleep(sim.rtt_ms / 2000)
    await sim.thaw()
    torn = request.transport is None or request.transport.is_closing()
    seen.status = 0 if torn else response.status
    return response


async def _dealt_with(sim: Simulator, heard: Heard, seen: Seen) -> web.Response:
    row = ROUTES.get((heard.method, heard.path))
    try:
        sim.limits.check_ban(heard.ip, sim.now())
        if row is None:
            raise Refused(-5000, 404, path=heard.path, method=heard.method)
        sim.limits.count(heard.ip, sim.now(), row.weight(heard.params), *row.orders)
    except Refused as refused:
        return _refusal(sim, heard, row, refused, seen)
    rule = sim.faults.meets(heard.method, heard.path, heard.params.raw, heard.closing)
    if rule is None:
        return _done(sim, heard, row, seen)
    return await _broken(sim, heard, row, rule, seen)


def _done(sim: Simulator, heard: Heard, row: Route, seen: Seen) -> web.Response:
    try:
        prove(sim, heard, row)
        answer = row.handler(sim, heard.params)
    except Refused as refused:
        return _refusal(sim, heard, row, refused, seen)
    return _json(answer, 200, sim.limits.headers(heard.ip, sim.now(), row.tells_orders))


async def _broken(sim: Simulator, heard: Heard, row: Route, rule: Rule, seen: Seen) -> web.Response:
    kind = rule.way
    if kind.way == "late":
        sim.later(rule.ms / 1000, lambda: _done(sim, heard, row, seen))
        return reset(heard.request)
    await asyncio.sleep(rule.ms / 1000)
    response = _done(sim, heard, row, seen) if kind.executed else None
    await asyncio.sleep(rule.after_ms / 1000)
    if kind.way == "pass" and response is not None:
        return response
    if kind.way == "reset":
        return reset(heard.request)
    if kind.way == "hang":
        await sim.closed.wait()
        return reset(heard.request)
    if kind.way == "text":
        return web.Response(text=kind.text, status=rule.status or kind.status, content_type="text/html" if kind.text else "text/plain")
    refusal = rule.refusal()
    if kind.way == "ban":
        sim.limits.ban(heard.ip, sim.now(), rule.seconds)
        refusal = Slow(-1003, 418, rule.seconds, f"Way too many requests; IP({heard.ip}) banned until {sim.now() + rule.seconds * 1000}.")
    elif kind.way == "slow":
        refusal = Slow(refusal.code, refusal.status, rule.seconds, refusal.msg)
    return _refusal(sim, heard, row, refusal, seen)


def prove(sim: Simulator, heard: Heard, row: Route) -> None:
    """Key, signature and time."""
    if row.asks == Asks.NOTHING:
        return
    key = heard.request.headers.get("X-MBX-APIKEY", "")
    if not key or not key.isascii() or not key.isalnum():
        raise Refused(-2014)
    if key != sim.api_key:
        raise Refused(-2015)
    if row.asks == Asks.KEY:
        return
    sent = heard.params.whole("timestamp")
    window = heard.params.whole("recvWindow", 5_000)
    if window > MOST_RECV_WINDOW:
        raise Refused(-1131)
    if not heard.signature:
        raise Refused(-1102, name="signature")
    expected = hmac.new(sim.api_secret.encode(), heard.signed_text().encode(), sha256).hexdigest()
    if not hmac.compare_digest(expected, heard.signature):
        raise Refused(-1022)
    now = sim.now()
    if sent >= now + AHEAD_MS:
        raise Refused(-1021, msg=f"Timestamp for this request was {AHEAD_MS}ms ahead of the server's time.")
    if now - sent > window:
        raise Refused(-1021)


def _refusal(sim: Simulator, heard: Heard, row: Route | None, refused: Refused, seen: Seen) -> web.Response:
    seen.code = refused.code
    headers = sim.limits.headers(heard.ip, sim.now(), bool(row and row.tells_orders))
    if isinstance(refused, Slow):
        headers["Retry-After"] = str(refused.retry_after)
    return _json(refused.body(), refused.status, headers)


def _json(answer: Any, status: int, headers: dict[str, str]) -> web.Response:
    text = json.dumps(answer, separators=(",", ":"))
    return web.Response(text=text, status=status, content_type="application/json", headers=headers)


def reset(request: web.Request) -> web.Response:
    """Tear the connection as a broken network does: the client gets a reset, not an end."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        transport.abort()
    return web.Response()
