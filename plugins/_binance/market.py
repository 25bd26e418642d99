"""Public market data from two combined streams. One law: each bar once, in order, none left out; each quote, mark and trade once.

A bar that is late or was missed is read again by REST before its successor is told. What repeats or runs backwards is passed over.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from hedgegridd.model import Bar, Funding, Mark, Quote, Trade

from . import wire as door
from .errors import Fault
from .shapes import INTERVALS, Row, Scale, bar_of, bar_told, number
from .streams import Stream
from .wire import Wire

MARKET_SILENCE_S, PUBLIC_SILENCE_S = 5.0, 60.0
LATE_MS, SETTLED_MS, AGAIN_S, PAGE = 3_000, 500, 1.0, 1000
EIGHT_HOURS = 8 * 3_600_000
MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)  # what reading a strange message may raise


def priced(text: Any) -> float:
    """A price the exchange told; ValueError where it is none, such as the 0 of a symbol that is being taken off: nobody has lost all."""
    price = number(text)
    if not 0.0 < price < math.inf:
        raise ValueError("not a price")
    return price


class Bars:
    """The bars of one symbol: `told` is when the last one that was told completed."""

    def __init__(self, by: Scale, told: int) -> None:
        self.by, self.told = by, told
        self.closed = 0  # the newest one that the stream said is complete
        self.filling = False


class MarketFeed:
    """Bars, quotes, marks, trades and settlements of some symbols, through `emit`."""

    def __init__(self, wire: Wire, emit: Callable[[Any], None], scales: Iterable[Scale], interval_ms: int, trades: bool) -> None:
        self.wire, self.emit, self.interval_ms, self.trades = wire, emit, interval_ms, trades
        self.scales = {by.symbol: by for by in scales}
        now = wire.clock.now()
        self.bars = {symbol: Bars(by, now - now % interval_ms) for symbol, by in self.scales.items()}
        self.passed_over = 0
        self._best: dict[str, tuple[int, int, int]] = {}  # bid, ask, update
        self._marked: dict[str, tuple[int, float, int]] = {}  # time, rate, next settlement
        self._traded: dict[str, int] = {}
        self._every: dict[str, int] = {}  # funding interval
        self._acts = {"kline": self._on_kline, "markPriceUpdate": self._on_mark, "aggTrade": self._on_trade, "bookTicker": self._on_quote}
        self._tasks: set[asyncio.Task[None]] = set()
        self.market = Stream("market", self._market_address, self._hear, MARKET_SILENCE_S)
        self.public = Stream("public", self._public_address, self._hear, PUBLIC_SILENCE_S)

    def begin_after(self, last: dict[str, int]) -> None:
        """The bars told elsewhere: these symbols go on from there."""
        for symbol, time in last.items():
            if symbol in self.bars:
                self.bars[symbol].told = time

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for job in (self.market.run(), self.public.run(), self._look_for_late_bars(), self._learn_intervals()):
                group.create_task(job)

    # --- addresses ----------------------------------------------------------------------------------------------------

    async def _market_address(self) -> str:
        kinds = [f"kline_{INTERVALS[self.interval_ms]}", "markPrice@1s", *(["aggTrade"] if self.trades else [])]
        return self._address("market", kinds)

    async def _public_address(self) -> str:
        return self._address("public", ["bookTicker"])

    def _address(self, path: str, kinds: list[str]) -> str:
        self.wire.stop_if_banned()
        names = "/".join(f"{quote(symbol.lower())}@{kind}" for symbol in self.scales for kind in kinds)
        return f"{self.wire.urls.ws}/{path}/stream?streams={names}"

    # --- messages -----------------------------------------------------------------------------------------------------

    def _hear(self, text: str) -> None:
        try:
            said = json.loads(text)
            said = said.get("data", said)
            by = self.scales[said["s"]]
            self._acts[said["e"]](said, by)
        except MALFORMED:
            self.passed_over += 1

    def _on_quote(self, said: Row, by: Scale) -> None:
        bid, ask, update = by.ticks(said["b"]), by.ticks(said["a"]), int(said.get("u") or 0)
        old_bid, old_ask, seen = self._best.get(by.symbol, (0, 0, 0))
        if update and update <= seen:
            return
        self._best[by.symbol] = bid, ask, update
        if (bid, ask) != (old_bid, old_ask):
            time = self.wire.clock.believable(int(said.get("T") or said.get("E") or 0))
            self.emit(Quote(by.symbol, time, bid, by.lots(said["B"]), ask, by.lots(said["A"])))

    def _on_trade(self, said: Row, by: Scale) -> None:
        number_of_it = int(said["a"])
        if number_of_it > self._traded.get(by.symbol, -1):
            trade = Trade(by.symbol, self.wire.clock.believable(int(said["T"])), by.ticks(said["p"]), by.lots(said["q"]), bool(said["m"]))
            self._traded[by.symbol] = number_of_it
            self.emit(trade)

    def _on_mark(self, said: Row, by: Scale) -> None:
        time, settles = self.wire.clock.believable(int(said["E"])), int(said.get("T") or 0)
        price, rate = priced(said["p"]), number(said["r"]) if said.get("r") not in (None, "") else None
        index = priced(said["i"]) / by.tick_size if number(said.get("i")) else None
        before = self._marked.get(by.symbol)
        if before is not None and time <= before[0]:
            return
        mark = Mark(by.symbol, time, price / by.tick_size, index, rate, settles or None)
        self._marked[by.symbol] = time, before[1] if rate is None and before else rate or 0.0, settles or (before[2] if before else 0)
        if before is not None and 0 < before[2] < settles:
            due = self.wire.clock.believable(before[2])  # one that moves before it is due must not take our time along
            self.emit(Funding(by.symbol, due, before[1], self._every.get(by.symbol, EIGHT_HOURS)))
        self.emit(mark)

    # --- bars ---------------------------------------------------------------------------------------------------------

    def _on_kline(self, said: Row, by: Scale) -> None:
        if said["k"]["x"] is not True:
            return
        bar, bars = bar_told(said["k"], by, self.interval_ms), self.bars[by.symbol]
        if bar.time == bars.told + self.interval_ms and not bars.filling:
            self._tell(bars, bar)
        elif bar.time > bars.told:
            bars.closed = bar.time
            self._fill(bars)

    def _tell(self, bars: Bars, bar: Bar) -> None:
        bars.told = bar.time
        self.emit(bar)

    def _fill(self, bars: Bars) -> None:
        """Read what is missing, up to now; bars that come meanwhile are among it."""
        if not bars.filling:
            bars.filling = True
            task = asyncio.create_task(self._read_missing(bars))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _read_missing(self, bars: Bars) -> None:
        try:
            while self.wire.clock.now() >= bars.told + self.interval_ms:
                rows = await self.klines(bars.by, PAGE, bars.told)
                complete = max(bars.closed, self.wire.clock.now() - SETTLED_MS)
                for bar in rows:
                    if bars.told < bar.time <= complete:
                        self._tell(bars, bar)
                if len(rows) < PAGE - 1:
                    break
        except (Fault, *MALFORMED):
            self.passed_over += 1  # the look for late bars asks again
        finally:
            bars.filling = False

    async def klines(self, by: Scale, limit: int, since: int = 0) -> list[Bar]:
        """Complete bars, oldest first: those that opened at `since` or later, else the last ones."""
        params: dict[str, Any] = {"symbol": by.symbol, "interval": INTERVALS[self.interval_ms], "limit": limit}
        if since:
            missing = (self.wire.clock.now() - since) // self.interval_ms + 2
            params |= {"startTime": since, "limit": min(limit, max(2, missing))}
        rows = await self.wire.ask(door.KLINES, params)
        bars = [bar_of(row, by, self.interval_ms) for row in rows]
        now = self.wire.clock.now()
        return sorted((bar for bar in bars if bar.time <= now), key=lambda bar: bar.time)

    async def _look_for_late_bars(self) -> None:
        while True:
            await asyncio.sleep(AGAIN_S)
            now = self.wire.clock.now()
            for bars in self.bars.values():
                if now > bars.told + self.interval_ms + LATE_MS:
                    self._fill(bars)

    async def _learn_intervals(self) -> None:
        """How often each symbol settles; what the exchange does not list settles each eight hours."""
        while True:
            try:
                for row in await self.wire.ask(door.FUNDING_INFO):
                    if row.get("symbol") in self.scales:
                        self._every[row["symbol"]] = int(row["fundingIntervalHours"]) * 3_600_000
                await asyncio.sleep(3600)
            except (Fault, *MALFORMED):
                await asyncio.sleep(60)
