"""The simulator put together: a venue, a market, two kinds of doors, and the hand that moves them.

Its one law: everything happens in one event loop, in one order. Other threads come in by `control` or `inthread`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aiohttp import web

from exchange_simulator import account_moves, control, door, events
from exchange_simulator.door import Seen
from exchange_simulator.faults import Faults
from exchange_simulator.floor import Floor
from exchange_simulator.limits import Limits
from exchange_simulator.listenkeys import ListenKeys
from exchange_simulator.pulse import Pulse
from exchange_simulator.records import Algo, Json, Order
from exchange_simulator.streams import PRIVATE, Streams
from exchange_simulator.symbols import load
from exchange_simulator.venue import Venue

API_KEY = "SimulatorKeySimulatorKeySimulatorKeySimulatorKeySimulatorKey0001"
API_SECRET = "SimulatorSecretSimulatorSecretSimulatorSecretSimulatorSecret0001"


@dataclass
class Settings:
    """How the simulator begins."""

    symbols: dict[str, float] | None = None  #: name -> first price; none = BTCUSDT at 50,000 and ETHUSDT at 2,500
    seed: int = 1
    port: int = 0
    balance_usdt: float = 10_000.0
    fill_model: str = "trade_through"  #: touch | trade_through | queue
    slippage_bps: float = 0.0
    spread_ticks: int = 1
    leverage: int = 20
    maker_bps: float = 2.0
    taker_bps: float = 5.0
    rtt_ms: float = 0.0
    api_key: str = API_KEY
    api_secret: str = API_SECRET
    key_life_ms: int = 3_600_000
    ping_s: float = 180.0
    countdown_takes_algos: bool = False  #: whether the countdown cancels conditional orders too: nobody knows
    start_walk_per_s: float = 0.0  #: events per second and symbol of a random walk, from the start


class Simulator:
    """`async with Simulator(...) as sim`: an exchange at `sim.rest_url` and `sim.ws_url`."""

    def __init__(self, settings: Settings | None = None, **options: Any) -> None:
        self.settings = settings or Settings(**options)
        known = self.settings
        self.clock_offset_ms = 0  # the exchange's clock less ours
        self.rtt_ms = known.rtt_ms
        self.ping_s = known.ping_s
        self.query_lag_ms = 0  # so long after its placing a query does not know an order yet
        self.api_key, self.api_secret = known.api_key, known.api_secret
        self.requests: list[Seen] = []
        self.events: list[Json] = []  # every user event, also those that went wrong
        self.limits = Limits()
        self.faults: Faults = Faults(known.seed)
        self.keys = ListenKeys(known.seed, known.key_life_ms)
        self.streams: Streams = Streams(self)
        symbols = load(known.symbols, known.maker_bps, known.taker_bps)
        self.venue: Venue = Venue(symbols, self.now, self._emit, known.balance_usdt, known.fill_model, known.slippage_bps, known.leverage)
        self.floor: Floor = Floor(symbols, self.venue, known.seed, known.spread_ticks, self.streams.say)
        self.pulse = Pulse(self)
        self.countdown_takes_algos = known.countdown_takes_algos
        self.closed = asyncio.Event()
        self.port = 0
        self._manual = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._walks: dict[str, asyncio.Task[None]] = {}
        self._runner: web.AppRunner | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> Simulator:
        """Listen, and let time pass."""
        app = web.Application(client_max_size=1 << 22)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.settings.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._tasks = [asyncio.create_task(work()) for work in self.pulse.works()]
        if self.settings.start_walk_per_s:
            for symbol in self.floor.boards:
                self.start_walk(symbol, self.settings.start_walk_per_s)
        return self

    async def stop(self) -> None:
        """Close everything."""
        self.closed.set()
        self.streams.cut()
        for task in (*self._tasks, *self._walks.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Simulator:
        return await self.start()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def rest_url(self) -> str:
        """What stands before /fapi; python-binance's FUTURES_URL is this + "/fapi"."""
        return self.url

    @property
    def ws_url(self) -> str:
        """What stands before /public, /market and /private; python-binance's FSTREAM_URL is this + "/"."""
        return f"ws://127.0.0.1:{self.port}"

    def urls(self) -> Json:
        """All a client needs to know."""
        return {"rest_url": self.rest_url, "ws_url": self.ws_url, "control_url": f"{self.url}/control", "port": self.port,
                "api_key": self.api_key, "api_secret": self.api_secret}  # fmt: skip

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/control"):
            return await control.serve(self, request)
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.streams.serve(request)
        return await door.serve(self, request)

    # --- time ---------------------------------------------------------------------------------------------------------

    def now(self) -> int:
        """The exchange's clock, ms."""
        return time.time_ns() // 1_000_000 + self.clock_offset_ms

    @property
    def is_down(self) -> bool:
        return asyncio.get_running_loop().time() < self.faults.down_until

    async def until(self, true: Callable[[], object], patience_s: float = 5.0) -> None:
        """Wait until something is so. Raises TimeoutError."""
        async with asyncio.timeout(patience_s):
            while not true():
                await asyncio.sleep(0.005)

    def later(self, seconds: float, work: Callable[[], object]) -> None:
        """Do something after a while."""
        asyncio.get_running_loop().call_later(seconds, lambda: None if self.closed.is_set() else work())

    async def thaw(self) -> None:
        """Wait while the whole server stalls."""
        loop = asyncio.get_running_loop()
        while loop.time() < self.faults.frozen_until and not self.closed.is_set():
            await asyncio.sleep(min(0.02, max(0.0, self.faults.frozen_until - loop.time())))

    def _emit(self, event: Json) -> None:
        self.events.append(event)
        self.streams.tell_owner(event)

    # --- the market ---------------------------------------------------------------------------------------------------

    def price(self, symbol: str, price: float, mark: float | None = None, qty: float | None = None) -> None:
        """The market trades at `price`: last, book, index and (unless given apart) mark move there and everything is matched. With
        `qty` (coins) no more than that is filled of what rests beyond the price: partial fills."""
        self.floor.price(symbol, price, mark, qty)

    def mark(self, symbol: str, price: float) -> None:
        """The mark price alone."""
        self.floor.mark(symbol, price)

    def quote(self, symbol: str, bid: float, ask: float) -> None:
        """The best prices alone."""
        self.floor.quote(symbol, bid, ask)

    def trade(self, symbol: str, price: float, qty: float | None = None, buyer_is_maker: bool = False) -> None:
        """A public trade alone."""
        self.floor.trade(symbol, price, qty, buyer_is_maker)

    def walk(self, symbol: str, steps: int = 1, volatility_bps: float = 1.0) -> float:
        """So many steps of a seeded random walk, at once."""
        return self.floor.walk(symbol, steps, volatility_bps)

    def bar(self, symbol: str, opened: float, high: float, low: float, close: float, volume: float = 100.0, time: int | None = None) -> int:
        """A whole minute at once."""
        self.pulse.klines()
        opened_at = self.floor.bar(symbol, opened, high, low, close, volume, time)
        self.pulse.klines()
        return opened_at

    def start_walk(self, symbol: str, per_second: float, volatility_bps: float = 1.0) -> None:
        """A random walk of so many events a second, until `stop_walk`."""
        self.stop_walk(symbol)
        self._walks[symbol] = asyncio.get_running_loop().create_task(self._walking(symbol, per_second, volatility_bps))

    async def _walking(self, symbol: str, per_second: float, volatility_bps: float) -> None:
        while True:
            await asyncio.sleep(1 / per_second)
            await self.thaw()
            self.floor.walk(symbol, 1, volatility_bps)

    def stop_walk(self, symbol: str) -> None:
        task = self._walks.pop(symbol, None)
        if task is not None:
            task.cancel()

    def funding(self, symbol: str, rate: float | None = None) -> float:
        """Settle funding now; what the account paid, USDT."""
        return self.floor.funding(symbol, rate)

    def funding_rate(self, symbol: str, rate: float, next_funding: int | None = None) -> None:
        """The rate to come, and when."""
        self.floor.rate(symbol, rate, next_funding)

    # --- behind the client's back ---------------------------------------------------------------------------------------

    def foreign_order(
        self, symbol: str, leg: str, side: str, qty: float, price: float | None = None, client_id: str = "", tif: str = "GTC"
    ) -> Order:
        """Somebody else's order on this account."""
        return account_moves.order(self.venue, symbol, leg, side, qty, price, client_id or self._name("web"), tif)

    def foreign_algo(self, symbol: str, leg: str, trigger: float, client_id: str = "", kind: str = "STOP_MARKET") -> Algo:
        """Somebody else's closePosition order."""
        return account_moves.algo(self.venue, symbol, leg, trigger, client_id or self._name("web"), kind)

    def manual(self, symbol: str, leg: str, qty: float) -> Order:
        """Somebody changes a position by hand: so many coins more, or less."""
        self._manual += 1
        return account_moves.manual(self.venue, symbol, leg, qty, self._manual)

    def _name(self, prefix: str) -> str:
        self._manual += 1
        return f"{prefix}_{self._manual}"

    def set_leverage(self, symbol: str, leverage: int) -> None:
        account_moves.set_leverage(self.venue, symbol, leverage)

    def set_status(self, symbol: str, status: str) -> None:
        """TRADING, or anything else: openers are refused then."""
        self.venue.pits[symbol].symbol.entry["status"] = status

    def set_filter(self, symbol: str, kind: str, **values: str) -> None:
        """Other filters from now on: set_filter("BTCUSDT", "MIN_NOTIONAL", notional="200")."""
        self.venue.pits[symbol].symbol.set_filter(kind, **values)

    def thin(self, symbol: str, qty: float | None) -> None:
        """Market orders find no more than so many coins in all, and expire with what is left; None = enough again."""
        pit = self.venue.pits[symbol]
        pit.thin = None if qty is None else pit.symbol.lots(qty)

    def foreign_cancel(self, symbol: str, client_id: str) -> bool:
        """Somebody cancels an order or a conditional order; was there one?"""
        return account_moves.cancel(self.venue, symbol, client_id)

    def set_position_mode(self, hedge: bool) -> None:
        """Without asking whether that is possible, and without an event, as the exchange does it for another client."""
        self.venue.hedge = hedge

    def deposit(self, amount: float) -> None:
        account_moves.transfer(self.venue, amount)

    def withdraw(self, amount: float) -> None:
        account_moves.transfer(self.venue, -amount)

    def liquidate(self, symbol: str) -> None:
        account_moves.liquidate(self.venue, symbol)

    def adl(self, symbol: str, leg: str, qty: float | None = None) -> None:
        account_moves.deleverage(self.venue, symbol, leg, qty)

    # --- the network ----------------------------------------------------------------------------------------------------

    def freeze(self, seconds: float) -> None:
        """The whole server stalls: it answers nothing and says nothing, and then everything at once."""
        self.faults.frozen_until = asyncio.get_running_loop().time() + seconds

    def down(self, seconds: float) -> None:
        """The server is gone: sockets are torn, connections reset."""
        self.faults.down_until = asyncio.get_running_loop().time() + seconds
        self.streams.cut()

    def cut(self, route: str = "*", politely: bool = False) -> int:
        """Tear the websockets of a path (public, market, private), or politely close them as after 24 hours; how many."""
        return self.streams.cut(route, politely)

    def silence(self, *routes: str) -> None:
        """Black hole: the websockets of these paths stay open and say nothing; what they would have said is lost."""
        self.faults.silent.update(routes or ("public", "market", "private"))

    def speak(self, *routes: str) -> None:
        self.faults.silent.difference_update(routes or ("public", "market", "private"))

    def expire_listen_key(self, event: bool = True) -> str:
        """The listen key dies, with its last event or without."""
        key = self.keys.key
        if event and key:
            told = events.key_expired(self.now(), key)
            self.events.append(told)
            self.streams.tell_owner(told)
        return self.keys.drop()

    def ban(self, seconds: int, ip: str = "127.0.0.1") -> None:
        """418 for everything, from now on."""
        self.limits.ban(ip, self.now(), seconds)

    @property
    def private_sockets(self) -> int:
        return sum(socket.route == PRIVATE for socket in self.streams.sockets)
