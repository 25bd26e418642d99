"""The one door for requests: python-binance's client, pointed anywhere, counted, and with every failure turned into a `Fault`.

One law: nothing leaves here while a ban lasts, and no text that comes out of here holds a key, a query or a signature.
It sends a request once; only a wrong clock, which is a proven refusal, makes it send the same request a second time.
"""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from hedgegridd.errors import ExchangeError
from hedgegridd.model import Trouble

from .budget import Budget, Cost
from .clock import Clock, mono_ms
from .errors import BANNED_CODE, BUG, NEVER_SENT, NO_ANSWER, NOT_JSON, OVER_BUDGET, Act, Fault, banned_until, fault_in
from .tempo import Tempo

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of names that the library takes from websockets
    from binance.async_client import AsyncClient

REST, WS, WS_API = "https://fapi.binance.com", "wss://fstream.binance.com", "wss://ws-fapi.binance.com/ws-fapi/v1"
TEST_REST, TEST_WS = "https://testnet.binancefuture.com", "wss://fstream.binancefuture.com"
TEST_WS_API = "wss://testnet.binancefuture.com/ws-fapi/v1"
READ, ORDER = aiohttp.ClientTimeout(total=10), aiohttp.ClientTimeout(total=5)
CONNECTIONS, KEPT_S = 64, 75
WARM_EACH, WARM_BESIDE, MOST_WARM = 6, 10, 48  # what a flatten of a symbol asks for at once; what else may; others stay free
SAMPLES, LEAP_MS = 3, 2_000
FORM = "application/x-www-form-urlencoded"


class Call(NamedTuple):
    """An endpoint: how it is asked and what it costs. `keyed` = the key alone, no signature."""

    method: str
    path: str
    cost: Cost
    signed: bool = True
    version: int = 1
    timeout: aiohttp.ClientTimeout = READ


TIME, INFO = Call("get", "time", Cost(1), False), Call("get", "exchangeInfo", Cost(1), False)
KLINES, FUNDING_INFO = Call("get", "klines", Cost(10), False), Call("get", "fundingInfo", Cost(1), False)
PREMIUM = Call("get", "premiumIndex", Cost(1), False)
PLACE, PLACE_BATCH = Call("post", "order", Cost(0, 1, 1), timeout=ORDER), Call("post", "batchOrders", Cost(5, 5, 1), timeout=ORDER)
AMEND, FIND = Call("put", "order", Cost(0, 1, 1), timeout=ORDER), Call("get", "order", Cost(1))
CANCEL, CANCEL_BATCH = Call("delete", "order", Cost(1), timeout=ORDER), Call("delete", "batchOrders", Cost(1), timeout=ORDER)
CANCEL_ALL, OPEN = Call("delete", "allOpenOrders", Cost(1), timeout=ORDER), Call("get", "openOrders", Cost(1))
OPEN_EVERYWHERE, OPEN_ALGOS_EVERYWHERE = Call("get", "openOrders", Cost(40)), Call("get", "openAlgoOrders", Cost(40))
PLACE_ALGO, CANCEL_ALGO = Call("post", "algoOrder", Cost(0, 1, 1), timeout=ORDER), Call("delete", "algoOrder", Cost(1), timeout=ORDER)
FIND_ALGO, OPEN_ALGOS = Call("get", "algoOrder", Cost(1)), Call("get", "openAlgoOrders", Cost(1))
POSITIONS, BALANCE = Call("get", "positionRisk", Cost(5), version=3), Call("get", "balance", Cost(5), version=3)
ALL_ALGOS = Call("get", "allAlgoOrders", Cost(5))
TRADES, INCOME = Call("get", "userTrades", Cost(5)), Call("get", "income", Cost(30))
COUNTDOWN = Call("post", "countdownCancelAll", Cost(10), timeout=ORDER)
NEW_KEY, KEEP_KEY = Call("post", "listenKey", Cost(1), False), Call("put", "listenKey", Cost(1), False)
ACCOUNT, MODE = Call("get", "account", Cost(5), version=2), Call("get", "positionSide/dual", Cost(30))
SET_MODE, SET_ASSETS_MODE = Call("post", "positionSide/dual", Cost(1)), Call("post", "multiAssetsMargin", Cost(1))
ASSETS_MODE, SYMBOL_CONFIG = Call("get", "multiAssetsMargin", Cost(30)), Call("get", "symbolConfig", Cost(5))
SET_LEVERAGE, SET_MARGIN = Call("post", "leverage", Cost(1)), Call("post", "marginType", Cost(1))
COMMISSION, BRACKETS = Call("get", "commissionRate", Cost(20)), Call("get", "leverageBracket", Cost(1))


class Reply(NamedTuple):
    """One answer as it came; the client's own `response` is whichever came last."""

    status: int
    headers: dict[str, str]
    text: str


class Urls(NamedTuple):
    rest: str
    ws: str
    ws_api: str


def urls_of(settings: Any) -> Urls:
    """Where the settings point: a host is enough, and the path that python-binance knows it by does no harm."""
    test = bool(settings.testnet)
    rest = (settings.rest_url or (TEST_REST if test else REST)).rstrip("/")
    ws = (settings.ws_url or (TEST_WS if test else WS)).rstrip("/")
    for tail in ("/v1", "/fapi"):
        rest = rest.removesuffix(tail)
    for tail in ("/ws", "/stream", "/public", "/market", "/private"):
        ws = ws.removesuffix(tail)
    return Urls(rest, ws, settings.ws_api_url or (f"{ws}/ws-fapi/v1" if settings.rest_url else TEST_WS_API if test else WS_API))


class Client(AsyncClient):  # type: ignore[misc]  # the library has no types
    """python-binance's client with every address its own, its requests written out here, and its answers handed on as they are."""

    REQUEST_TIMEOUT = READ

    def __init__(self, urls: Urls, key: str, secret: str, recv_window_ms: int) -> None:
        self.FUTURES_URL, self.FUTURES_DATA_URL = f"{urls.rest}/fapi", f"{urls.rest}/futures/data"
        self.API_URL, self.WS_FUTURES_URL, self.FSTREAM_URL = f"{urls.rest}/api", urls.ws_api, f"{urls.ws}/"
        self.WS_API_URL, self.REQUEST_RECVWINDOW = urls.ws_api, recv_window_ms
        pem = secret if "PRIVATE KEY" in secret else None
        try:
            super().__init__(key or None, None if pem else secret or None, private_key=pem)
        except (ValueError, IndexError, TypeError):
            raise ExchangeError("api_secret looks like a private key but cannot be read as one") from None

    def _init_session(self) -> aiohttp.ClientSession:
        pool = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEPT_S, ttl_dns_cache=300)
        return aiohttp.ClientSession(connector=pool, headers={**self._get_headers(), "Content-Type": FORM}, timeout=READ)

    async def send(self, call: Call, params: dict[str, Any], time: int) -> Reply:
        """Ask once, at this time of the exchange's. What was signed is what leaves, as it is: the library would have it made into a form
        once more, which costs as much as all the rest of a request, and a flatten sends a dozen in one breath. Nor does it go where an
        answer points: another host would be handed the key, and the order a second time."""
        text = urlencode({**params, "timestamp": time, "recvWindow": self.REQUEST_RECVWINDOW} if call.signed else params)
        if call.signed:
            text += f"&signature={self.encode_uri_component(self._sign(text))}"
        url, in_address = self._create_futures_api_uri(call.path, call.version), call.method == "get" or call.path == "batchOrders"
        address = URL(f"{url}?{text}" if in_address and text else url, encoded=True)
        data = None if in_address else text.encode()
        async with self.session.request(call.method, address, data=data, timeout=call.timeout, allow_redirects=False) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status, headers, await response.text(errors="replace"))

    def _sign(self, text: str) -> str:
        """By whatever kind of key the account has."""
        sign = self._hmac_signature if self.PRIVATE_KEY is None else self._rsa_signature if self._is_rsa else self._ed25519_signature
        return str(sign(text))


def translate(error: BaseException) -> Fault:
    """Whatever aiohttp or a socket raised, by the name of its kind only: its own text may hold the query."""
    kind = type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Fault(0, NEVER_SENT, f"no connection ({kind})")
    if isinstance(error, aiohttp.ContentTypeError | ValueError):
        return Fault(0, NOT_JSON, f"the answer is not JSON ({kind})")
    if isinstance(error, TimeoutError):
        return Fault(0, NO_ANSWER, "no answer in time")
    return Fault(0, NO_ANSWER, f"the answer was lost ({kind})")


class Wire:
    """Requests by table, with the account's budget and the exchange's time. `trouble` is told what an answer means for trading."""

    def __init__(self, settings: Any, trouble: Callable[[Trouble], None]) -> None:
        self.urls = urls_of(settings)
        self.clock, self.budget, self.tempo, self.trouble = Clock(), Budget(), Tempo(), trouble
        self.hold_until = 0  # what is not urgent waits until then
        self._secrets = [secret for secret in (settings.api_key, settings.api_secret) if len(secret) >= 4]  # anything shorter is no secret
        self.client = Client(self.urls, settings.api_key, settings.api_secret, settings.recv_window_ms)
        self._told_until: dict[str, int] = {}
        self._sync: asyncio.Task[None] | None = None

    # --- asking -------------------------------------------------------------------------------------------------------

    async def ask(
        self, call: Call, params: dict[str, Any] | None = None, urgent: bool = False, still: Callable[[], bool] = lambda: True
    ) -> Any:
        """The decoded answer; raises Fault. `still`: is it wanted, where a wrong clock makes it leave a second time?"""
        try:
            return await self._ask(call, params or {}, urgent)
        except Fault as fault:
            if fault.act is not Act.CLOCK or not call.signed:
                raise
            refused = fault
        await self.resync()
        if not still():
            raise refused
        return await self._ask(call, params or {}, urgent)

    async def _ask(self, call: Call, params: dict[str, Any], urgent: bool) -> Any:
        self._stop_at_limits(call, urgent)
        ticket, begun = self.budget.begin(call.cost, self.clock.now()), self.tempo.begin(mono_ms())
        reply = None
        try:
            reply = await self.client.send(call, params, self.clock.now())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise translate(error) from None
        finally:
            self.budget.end(ticket, reply.headers if reply else {}, self.clock.now())
            self.tempo.end(begun, reply.status if reply else 0, mono_ms())
        try:
            return self.decoded(reply)
        except Fault as fault:
            if call.method != "get" or fault.meaning is not BUG:  # a question not understood spoils no order: whoever asked sees to it
                self.complain(fault, str(params.get("symbol", "")), ticket.time)
            raise

    def stop_if_banned(self) -> None:
        """Raises Fault while a ban lasts: no connection is opened either."""
        now = self.clock.now()
        if now < self.budget.banned_until:
            raise Fault(418, BANNED_CODE, f"banned until {self.budget.banned_until}", self.budget.banned_until - now)

    def _stop_at_limits(self, call: Call, urgent: bool) -> None:
        self.stop_if_banned()
        now = self.clock.now()
        if not urgent and now < self.hold_until:
            raise Fault(429, BANNED_CODE, f"asked to wait until {self.hold_until}", self.hold_until - now)
        if not self.budget.may(call.cost, urgent, now):
            until = self.budget.room_at(call.cost, now)
            raise Fault(0, OVER_BUDGET, f"no room in the request budget before {until}", max(0, until - now))

    def decoded(self, reply: Reply) -> Any:
        """What an answer says; raises Fault for one that says no, or nothing that can be read. An empty one is {}."""
        after = reply.headers.get("retry-after", "")
        after_ms = int(float(after) * 1000) if after.replace(".", "", 1).isdigit() else 0
        text = self._clean(reply.text)  # before anything of it is cut: half a key would not be known again
        try:
            said = json.loads(text) if text else {}
        except ValueError:
            said = None
        if 200 <= reply.status < 300:
            if said is None:
                raise Fault(reply.status, NOT_JSON, "the answer is not JSON")
            fault = fault_in(reply.status, said, after_ms)
        elif isinstance(said, dict) and "code" in said:
            fault = fault_in(reply.status, said, after_ms) or Fault(reply.status, 0, self._clean(said.get("msg")), after_ms)
        else:
            words = " ".join(text[:200].split()) if said is None and "<" not in text[:200] else "no reason given"
            fault = Fault(reply.status, 0, words, after_ms)
        if fault is not None:
            raise Fault(fault.status, fault.code, self._clean(fault.text), fault.retry_after_ms)
        return said

    def _clean(self, text: Any) -> str:
        told = str(text)
        for secret in self._secrets:
            told = told.replace(secret, "***")
        return told

    # --- what an error means for everybody ----------------------------------------------------------------------------

    def complain(self, fault: Fault, symbol: str = "", began: int | None = None) -> None:
        """Tell the trouble of a refusal, and keep to it. `began`: when what was refused left; None = just now."""
        kind, now = fault.meaning.trouble, self.clock.now()
        limit = fault.status == 429 or fault.code == BANNED_CODE
        if banned_until(fault.text) > now or (fault.status == 429 and self.budget.grows(now, now if began is None else began)):
            kind = "ban"
        if not kind:
            return
        until = 0 if kind == "halt" else self._until(fault, now)
        if kind == "ban":
            self.budget.ban(until)
        elif limit:
            self.hold_until = max(self.hold_until, until)
        if until and until <= self._told_until.get(kind, 0) + 1_000:
            return  # told already
        self._told_until[kind] = until
        self.trouble(Trouble(now, kind, str(fault), symbol if kind == "halt" and not fault.meaning.everywhere else "", until))

    @staticmethod
    def _until(fault: Fault, now: int) -> int:
        """The moment the exchange names, in either way; where it names none, our own guess."""
        named = max(banned_until(fault.text), now + fault.retry_after_ms if fault.retry_after_ms else 0)
        return named or now + fault.meaning.pause_ms

    # --- time ---------------------------------------------------------------------------------------------------------

    async def resync(self) -> None:
        """Measure the exchange's clock; whoever asks meanwhile waits for the same answer. Raises Fault."""
        if self._sync is None or self._sync.done():
            self._sync = asyncio.ensure_future(self._measure())
        await asyncio.shield(self._sync)

    async def _measure(self) -> None:
        found = [await self._sample() for _ in range(SAMPLES if not self.clock.known else 1)]
        if self.clock.known and abs(self.clock.differs(*found[0])) > LEAP_MS:  # we slept, or it errs: an hour ahead would hold up all we do
            found += [await self._sample() for _ in range(SAMPLES - 1)]
        ahead = [self.clock.differs(*sample) for sample in found]
        if max(ahead) - min(ahead) > LEAP_MS:
            raise Fault(0, NO_ANSWER, "its answers differ on what the time is")
        self.clock.measured(*min(found, key=lambda sample: sample[2] - sample[1]))

    async def _sample(self) -> tuple[float, float, float]:
        """The exchange's time, and ours when it was asked and when it had answered."""
        sent = mono_ms()
        said = await self.ask(TIME, urgent=True)
        got = mono_ms()
        if not isinstance(said, dict) or "serverTime" not in said:
            raise Fault(0, NO_ANSWER, "an empty answer")
        return float(said["serverTime"]), sent, got

    async def warm(self, symbols: int) -> None:
        """Keep connections open: each request of a flatten of all symbols finds one, closes and the reads that prove them."""
        count = min(WARM_BESIDE + WARM_EACH * symbols, MOST_WARM)
        await asyncio.gather(*(self.ask(TIME) for _ in range(count)), return_exceptions=True)

    async def close(self) -> None:
        """Let go of the sockets."""
        await self.client.session.close()
