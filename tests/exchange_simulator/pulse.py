"""What time alone does: marks every second, bars that close, countdowns, orders and keys that expire.

Its one law: it only asks the clock and calls what a test could call as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

from exchange_simulator.bars import INTERVALS, length_of
from exchange_simulator.market import FUNDING_INTERVAL, Board
from exchange_simulator.rest_market import current

if TYPE_CHECKING:
    from exchange_simulator.simulator import Simulator

FAST_S, SLOW_S, KLINE_MS = 0.01, 0.05, 250
MOST_AT_ONCE = 1_500  # bars that close at once


class Pulse:
    """Two tasks: one looks every ten milliseconds for countdowns, the other tells the streams what is due."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self._open: dict[tuple[str, str], int] = {}  # (symbol, stream) -> when its bar opened
        self._told: dict[tuple[str, str], tuple[int, int]] = {}  # the same -> (when last told, trades by then)
        self._second = 0

    def works(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        return [self._countdowns, self._streams]

    async def _countdowns(self) -> None:
        while True:
            await asyncio.sleep(FAST_S)
            self.countdowns()

    async def _streams(self) -> None:
        while True:
            await asyncio.sleep(SLOW_S)
            self.marks()
            self.klines()
            self.expire()

    def countdowns(self) -> None:
        """Cancel what a countdown that ran out was armed for."""
        sim, now = self.sim, self.sim.now()
        for name, pit in sim.venue.pits.items():
            if pit.countdown and now >= pit.countdown:
                pit.countdown = 0
                for order in sim.venue.open_orders(name):
                    sim.venue.cancel(order)
                if sim.countdown_takes_algos:
                    for algo in sim.venue.open_algos(name):
                        sim.venue.algo_to(algo, "CANCELED")

    def marks(self) -> None:
        """Mark prices and tickers, once a second."""
        sim, now = self.sim, self.sim.now()
        if now // 1000 == self._second:
            return
        self._second = now // 1000
        for name, board in sim.floor.boards.items():
            while board.next_funding <= now:
                board.next_funding += FUNDING_INTERVAL  # settled only where a test says so
            sim.streams.say(name, "markPrice", partial(board.mark_price, now))
        for name, _ in sim.streams.wanted("ticker"):
            if name in sim.floor.boards:
                sim.streams.say(name, "ticker", partial(sim.floor.boards[name].ticker, now))

    def klines(self) -> None:
        """Bars that somebody follows: at most four times a second while they grow, and once when they close."""
        for kind in ("kline_", "continuousKline_"):
            for symbol, stream in self.sim.streams.wanted(kind):
                board = self.sim.floor.boards.get(symbol)
                interval = stream.partition("@")[0].removeprefix(kind)
                if board is not None and interval in INTERVALS:
                    self._bar(board, f"{kind}{interval}", interval)

    def _bar(self, board: Board, stream: str, interval: str) -> None:
        key, now = (board.symbol.name, stream), self.sim.now()
        bar = current(board, interval, now)
        before = self._open.get(key, bar.time)
        self._open[key] = bar.time
        length = length_of(interval)
        for opened in range(max(before, bar.time - MOST_AT_ONCE * length), bar.time, length):
            self._say(board, stream, interval, board.bars.of(opened, length, now), True)
        told, trades = self._told.get(key, (0, -1))
        if now - told >= KLINE_MS and trades != bar.trades:
            self._told[key] = (now, bar.trades)
            self._say(board, stream, interval, bar, False)

    def _say(self, board: Board, stream: str, interval: str, bar: Any, closed: bool) -> None:
        shape = board.kline if stream.startswith("kline") else board.continuous_kline
        self.sim.streams.say(board.symbol.name, stream, partial(shape, interval, bar, closed, self.sim.now()))

    def expire(self) -> None:
        """Orders good till a date, and a listen key nobody prolonged."""
        sim, now = self.sim, self.sim.now()
        for order in sim.venue.open_orders():
            if order.good_till and now >= order.good_till:
                sim.venue.withdraw(order)
                sim.venue.end(order, "EXPIRED")
        if sim.keys.key and now >= sim.keys.until:
            sim.keys.until = now + 1
            sim.expire_listen_key()
