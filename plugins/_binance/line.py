"""One line to the exchange, put together from its parts. One law: everything it begins ends with it, sockets included.

It runs inside the daemon's loop, on tasks of its own; a task that fails is not swallowed but ends the line's health.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from typing import Any

from hedgegridd.hookspecs import Fact, Health, Terms
from hedgegridd.hookspecs import Stream as Spoken
from hedgegridd.model import Bar, Instrument, Order, Trouble

from . import wire as door
from .account import Account
from .clock import mono_ms
from .errors import Fault
from .inquiry import Inquiry
from .listener import Listener
from .market import MarketFeed
from .orders import Orders
from .shapes import INTERVALS, Scale, bar_of, scale_of
from .stops import Stops
from .survey import Survey
from .told import Told
from .watch import Watch
from .wire import Wire

SYNC_S, WARM_S, RETRY_S, FLATTEN_MS, PAGE = 60.0, 25.0, 5.0, 30_000, 1000
LAST_WORDS_S = 1.0


class Line:
    """Requests, streams and memory of one account or of none."""

    def __init__(self, settings: Any, emit: Callable[[Any], None]) -> None:
        self.emit = emit
        self.wire = Wire(settings, emit)
        self.scales: dict[str, Scale] = {}
        self.survey = Survey(self.wire, self.scales)
        self.feed: MarketFeed | None = None
        self.listener: Listener | None = None
        self.orders: Orders | None = None
        self.account: Account | None = None
        self._told: Told | None = None
        self._last_bar: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._words: set[asyncio.Task[None]] = set()  # what is said for the time after us, and is let finish
        self._stopped = False
        self._open = self._task(self._keep())

    # --- before the start ---------------------------------------------------------------------------------------------

    async def instruments(self, terms: dict[str, Terms], trading: bool) -> dict[str, Instrument]:
        return await self.survey.instruments(terms, trading)

    async def preflight(self, instruments: dict[str, Instrument], terms: dict[str, Terms]) -> list[Fact]:
        return await self.survey.preflight(instruments, terms)

    async def history(self, symbol: str, interval_ms: int, bars: int) -> list[Bar]:
        """The last complete bars, page by page backwards."""
        by, end = await self.survey.scale(symbol), 0
        found: list[Bar] = []
        while len(found) < bars:
            limit = min(PAGE, bars - len(found) + 1)
            params = {"symbol": symbol, "interval": INTERVALS[interval_ms], "limit": limit} | ({"endTime": end} if end else {})
            rows = await self.wire.ask(door.KLINES, params)
            page = [bar for bar in (bar_of(row, by, interval_ms) for row in rows) if bar.time <= self.wire.clock.now()]
            known = found[0].time if found else 0
            found = [bar for bar in page if not known or bar.time < known] + found
            if len(rows) < limit or not page:
                break
            end = page[0].time - interval_ms - 1
        self._last_bar[symbol] = max(self._last_bar.get(symbol, 0), found[-1].time if found else 0)
        return found[-bars:]

    # --- running ------------------------------------------------------------------------------------------------------

    def start(self, instruments: dict[str, Instrument], wanted: tuple[int, bool] | None, trading: bool) -> None:
        self.scales.update({symbol: scale_of(symbol, instrument) for symbol, instrument in instruments.items()})
        self._spawn(self._keep_time(len(instruments) if trading else 0))
        if wanted is not None:
            self.feed = MarketFeed(self.wire, self.emit, [self.scales[symbol] for symbol in instruments], *wanted)
            self.feed.begin_after({symbol: time for symbol, time in self._last_bar.items() if time})
            self._run(self.feed.run)
        if trading:
            self._start_trading(instruments)

    def _start_trading(self, instruments: dict[str, Instrument]) -> None:
        told = Told(self.emit, self.wire.clock, self.scales)
        inquiry = Inquiry(self.wire, told)
        account = Account(self.wire, told, inquiry, tuple(instruments))
        stops = Stops(self.wire, told, inquiry, {symbol: one.market_max_qty for symbol, one in instruments.items()})
        orders = Orders(self.wire, told, inquiry, stops, account, self._spawn, self._say)
        listener = Listener(self.wire, told, inquiry, account, instruments, self._spawn)
        account.deaf = listener.deaf
        account.urgent = lambda: self.wire.clock.now() - orders.closed_at < FLATTEN_MS
        account.leftover = lambda symbol, bridge: self._spawn(stops.drop(symbol, bridge))
        account.mute = lambda: listener.stream.restart("it did not tell what was executed")
        self.account, self.orders, self.listener, self._told = account, orders, listener, told
        for part in (listener.run, account.run, Watch(self.wire, self.emit, instruments).run):
            self._run(part)

    def catch_up(self, last_trade: dict[str, int], income_time: int) -> None:
        self._trading(self.account).begin_after(last_trade, income_time)

    def place(self, orders: Sequence[Order]) -> None:
        self._trading(self.orders).place(orders)

    def amend(self, client_id: str, qty: int) -> None:
        self._trading(self.orders).amend(client_id, qty)

    def cancel(self, orders: Sequence[Order]) -> None:
        self._trading(self.orders).cancel(orders)

    def report(self, doubted: Sequence[Order], now: int) -> None:
        self._trading(self.account).ask(doubted, now=now)

    def countdown(self, symbols: Sequence[str], ms: int) -> None:
        for symbol in symbols:
            self._say(self._count_down(symbol, ms))

    @staticmethod
    def _trading(part: Any) -> Any:
        if part is None:
            raise RuntimeError("started without `trading`: no order may leave")
        return part

    async def _count_down(self, symbol: str, ms: int) -> None:
        try:
            await self.wire.ask(door.COUNTDOWN, {"symbol": symbol, "countdownTime": ms}, True)
        except Fault:
            return  # what it means was told by the wire; the next beat asks again

    async def _keep_time(self, trading: int) -> None:
        """Measure the exchange's clock every minute; keep connections open for so many symbols that are traded."""
        last = -SYNC_S
        while True:
            now = asyncio.get_running_loop().time()
            try:
                if now - last >= SYNC_S:
                    await self.wire.resync()
                    last = now
                if trading:
                    await self.wire.warm(trading)
                await asyncio.sleep(WARM_S)
            except Fault:
                await asyncio.sleep(RETRY_S)

    # --- how it is ----------------------------------------------------------------------------------------------------

    def health(self) -> Health:
        streams = tuple(Spoken(name, age) for name, _, age in self._streams())
        connected = bool(streams) and all(connected for _, connected, _ in self._streams())
        clock, now, tempo = self.wire.clock, mono_ms(), self.wire.tempo
        fullest = self.wire.budget.fullest_pct(clock.now())
        return Health(connected, streams, clock.offset_ms(), fullest, tempo.slowest_ms(now), *tempo.counts(now))

    def _streams(self) -> Iterator[tuple[str, bool, int | None]]:
        """The market stream is up when it has spoken since it was opened, the public one, where prices may rest, when it ever has, and
        the user stream, on which nothing may be due, when it answers."""
        if self.feed is not None:
            market, public = self.feed.market, self.feed.public
            yield market.name, market.healthy, market.age_ms
            yield public.name, public.connected and public.spoke is not None, public.age_ms
        if self.listener is not None:
            stream = self.listener.stream
            yield stream.name, stream.connected, stream.alive_ms

    # --- tasks --------------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None], *orders: Order) -> None:
        """Begin something that ends by itself. Should it fail, nobody knows what became of these orders."""
        self._task(work).add_done_callback(partial(self._failed, orders))

    def _say(self, work: Coroutine[Any, Any, None], *orders: Order) -> None:
        """The same, for what must be true after us: it is let finish when all else is stopped."""
        task = self._task(work)
        task.add_done_callback(partial(self._failed, orders))
        self._words.add(task)
        task.add_done_callback(self._words.discard)

    def _run(self, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Keep something running. Should it fail, it is begun again, and what it may have missed is read."""
        self._task(part()).add_done_callback(partial(self._fell, part))

    def _task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _failed(self, orders: tuple[Order, ...], task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            return
        for order in orders:
            if self._told is not None:
                self._told.unsure(order.client_id, f"{type(task.exception()).__name__} in the exchange plugin")
        self.emit(Trouble(self.wire.clock.now(), "deaf", f"{type(task.exception()).__name__} in the exchange plugin"))
        self._read_again()

    def _fell(self, part: Callable[[], Coroutine[Any, Any, None]], task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        self.emit(Trouble(self.wire.clock.now(), "deaf", f"a part of the exchange plugin failed: {_root(task.exception())}"))
        asyncio.get_running_loop().call_later(RETRY_S, self._begin_again, part)

    def _begin_again(self, part: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if not self._stopped:
            self._run(part)
            self._read_again()

    def _read_again(self) -> None:
        if self.account is not None:
            self.account.ask(missed=True)

    async def _keep(self) -> None:
        """Until cancelled; then the sockets are closed."""
        try:
            await asyncio.Event().wait()
        finally:
            await self.wire.close()

    def stop(self) -> None:
        self._stopped = True
        if self.orders is not None:
            self.orders.sweep()
        for task in self._tasks - self._words - {self._open}:
            task.cancel()

    async def closed(self) -> None:
        """Until the last words are said and the sockets are gone."""
        tasks = set(self._tasks) - {self._open}
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_WORDS_S)
        self._open.cancel()
        await asyncio.wait({self._open}, timeout=LAST_WORDS_S)


def _root(error: BaseException | None) -> str:
    """The kind of the error inside a group of errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
