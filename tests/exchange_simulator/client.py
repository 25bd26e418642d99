"""A plain signed client: how tests speak to the simulator.

Its one law: it believes nothing and hides nothing; status, body and headers come back as they were sent.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from hashlib import sha256
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from exchange_simulator.simulator import API_KEY, API_SECRET

PATIENCE_S = 5.0


class Reply(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]  #: names in lower case

    @property
    def code(self) -> int:
        """Of a refusal; 0 where it is none."""
        return int(self.body.get("code", 0)) if isinstance(self.body, dict) else 0


class Client:
    """`async with Client(sim.rest_url) as client: await client.post("/fapi/v1/order", symbol=...)`."""

    def __init__(self, url: str, key: str = API_KEY, secret: str = API_SECRET) -> None:
        self.url, self.key, self.secret = url, key, secret
        self.ahead_ms = 0  # how far this client's clock is ahead

    async def __aenter__(self) -> Client:
        self.session = aiohttp.ClientSession(trust_env=False)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.session.close()

    def signed(self, params: dict[str, Any]) -> str:
        """As the exchange wants it: signature last, over what comes before."""
        text = urlencode({**params, "timestamp": int(time.time() * 1000) + self.ahead_ms})
        return f"{text}&signature={hmac.new(self.secret.encode(), text.encode(), sha256).hexdigest()}"

    async def ask(self, method: str, path: str, text: str = "") -> Reply:
        """One request with the query given."""
        url = f"{self.url}{path}" + (f"?{text}" if text else "")
        async with self.session.request(method, URL(url, encoded=True), headers={"X-MBX-APIKEY": self.key}) as response:
            raw = await response.text()
            try:
                body: Any = json.loads(raw)
            except json.JSONDecodeError:
                body = raw
            return Reply(response.status, body, {name.lower(): value for name, value in response.headers.items()})

    async def public(self, path: str, **params: Any) -> Reply:
        return await self.ask("GET", path, urlencode(params))

    async def get(self, path: str, **params: Any) -> Reply:
        return await self.ask("GET", path, self.signed(params))

    async def post(self, path: str, **params: Any) -> Reply:
        return await self.ask("POST", path, self.signed(params))

    async def put(self, path: str, **params: Any) -> Reply:
        return await self.ask("PUT", path, self.signed(params))

    async def delete(self, path: str, **params: Any) -> Reply:
        return await self.ask("DELETE", path, self.signed(params))

    async def limit(self, leg: str, side: str, price: str, qty: str, name: str = "", **more: Any) -> Reply:
        """A limit order on BTCUSDT; post-only unless said otherwise."""
        known = {"symbol": "BTCUSDT", "positionSide": leg, "side": side, "type": "LIMIT", "timeInForce": "GTX", "price": price,
                 "quantity": qty, **({"newClientOrderId": name} if name else {})}  # fmt: skip
        return await self.post("/fapi/v1/order", **{**known, **more})

    async def market(self, leg: str, side: str, qty: str, **more: Any) -> Reply:
        """A market order on BTCUSDT."""
        known = {"symbol": "BTCUSDT", "positionSide": leg, "side": side, "type": "MARKET", "quantity": qty}
        return await self.post("/fapi/v1/order", **{**known, **more})

    async def stop(self, leg: str, trigger: str, name: str = "", **more: Any) -> Reply:
        """A closePosition stop on BTCUSDT, by the mark."""
        known = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "positionSide": leg, "side": "SELL" if leg == "LONG" else "BUY",
                 "type": "STOP_MARKET", "triggerPrice": trigger, "closePosition": "true", "workingType": "MARK_PRICE",
                 **({"clientAlgoId": name} if name else {})}  # fmt: skip
        return await self.post("/fapi/v1/algoOrder", **{**known, **more})

    async def listen(self, ws_url: str, events: str = "") -> Listener:
        """The user stream, under a new or the living key."""
        key = (await self.ask("POST", "/fapi/v1/listenKey")).body["listenKey"]
        return await self.connect(f"{ws_url}/private/ws?listenKey={key}" + (f"&events={events}" if events else ""))

    async def connect(self, url: str) -> Listener:
        return Listener(await self.session.ws_connect(url))


class Listener:
    """A websocket, read one message at a time."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def next(self, kind: str = "", patience_s: float = PATIENCE_S) -> Any:
        """The next message, or the next of a kind ("ORDER_TRADE_UPDATE", or "ORDER_TRADE_UPDATE/TRADE" by its `x`)."""
        async with asyncio.timeout(patience_s):
            while True:
                message = await self.ws.receive_json()
                event = message.get("data", message) if isinstance(message, dict) else {}
                if not kind or kind in _names(event):
                    return message

    async def silent(self, seconds: float = 0.15) -> bool:
        """Does it say nothing for so long?"""
        try:
            async with asyncio.timeout(seconds):
                await self.ws.receive()
        except TimeoutError:
            return True
        return False

    async def ended(self) -> bool:
        """Wait until it is over."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await self.ws.receive()
                if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.ERROR):
                    return True

    async def close(self) -> None:
        await self.ws.close()


def _names(event: dict[str, Any]) -> tuple[str, str]:
    """What an event is called: plainly, and with what happened to the order in it."""
    name, order = str(event.get("e", "")), event.get("o")
    inner = order if isinstance(order, dict) else {}
    return name, f"{name}/{inner.get('x', inner.get('X', ''))}"
