"""W1's rules as every peer's script asks for them, and how it tells its end. Any Python that has numpy may import this; it knows nothing
of ours.

    python tests/peers/NAME_w1.py BARS.npy     prints {"version": ..., "bars": ..., "seconds": ..., "rss_mb": ..., "entries": ..., ...}

BARS.npy: high, low and close side by side in ticks of 0.1, as tests/bench/w1.py packs them. Only the engine's own run is timed, warm and
in processor seconds: neither imports, nor compiling, nor the making of its bars.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

STEPS, SPACING, GROWTH, QTY = 10, 0.005, 1.1, 0.001
TAKE_PROFIT_STEPS, STOP_STEPS, RECENTRE = 2, 5, 0.05
MAKER, TAKER, FUNDING, FUNDING_EVERY, CASH = 0.0002, 0.0005, 0.0001, 480, 10_000.0
TICK, LOT = 0.1, 1e-6
ENTRY, TAKE_PROFIT, STOP = range(3)
NAMES = ("entries", "take_profits", "stops")
LOTS = [int(QTY * GROWTH**rung / LOT + 0.5) for rung in range(STEPS)]  #: of each rung


class Rules:
    """W1's rules for engines that are told of orders one by one, prices in ticks. `place(role, leg, rung, price)` answers an order, and
    `cancel(order)` ends one that rests; `key(order)` is what `filled` will be told of it. Funding, and what a stop costs more than an
    engine of one fee takes, are counted here."""

    def __init__(self, place: Callable[[int, int, int, int], Any], cancel: Callable[[Any], object], key: Callable[[Any], Any]) -> None:
        self.place, self.cancel, self.key = place, cancel, key
        self.counts = dict.fromkeys((*NAMES, "recentres"), 0)
        self.orders: dict[Any, tuple[int, int, int, int]] = {}  # key -> role, leg, rung, grid
        self.twins: dict[Any, Any] = {}  # key of an exit -> the other exit
        self.resting: dict[tuple[int, int], Any] = {}  # (leg, rung) -> entry
        self.grid, self.centre, self.width = 0, 0.0, 0.0
        self.bars, self.net, self.funding, self.dearer = 0, 0, 0.0, 0.0

    def close(self, close: float) -> None:
        """A bar ended, and its fills were answered: is the grid to be made anew?"""
        if not self.grid or abs(close - self.centre) > RECENTRE * self.centre:
            self.recentre(close)
        self.bars += 1
        if self.bars % FUNDING_EVERY == 0:
            self.funding += FUNDING * self.net * close * TICK * LOT

    def recentre(self, close: float) -> None:
        """Open lots keep their exits."""
        for order in self.resting.values():
            self.orders.pop(self.key(order))
            self.cancel(order)
        self.resting.clear()
        self.counts["recentres"] += self.grid > 0
        self.grid, self.centre, self.width = self.grid + 1, close, close * SPACING
        for leg in (0, 1):
            for rung in range(STEPS):
                self.enter(leg, rung)

    def enter(self, leg: int, rung: int) -> None:
        """Wish a rung."""
        away = (rung + 1) * self.width * (-1 if leg == 0 else 1)
        self.resting[leg, rung] = self.order(ENTRY, leg, rung, self.grid, self.centre + away)

    def order(self, role: int, leg: int, rung: int, grid: int, price: float) -> Any:
        """Into the book."""
        made = self.place(role, leg, rung, int(price + 0.5))
        self.orders[self.key(made)] = role, leg, rung, grid
        return made

    def filled(self, key: Any, price: float) -> None:
        """An entry gets its exits; an exit ends its twin, and a take-profit of this grid arms its rung again."""
        role, leg, rung, grid = self.orders.pop(key)
        self.counts[NAMES[role]] += 1
        good = 1 if leg == 0 else -1
        if role == ENTRY:
            self.net += good * LOTS[rung]
            if grid == self.grid:
                self.resting.pop((leg, rung), None)
            profit = self.order(TAKE_PROFIT, leg, rung, grid, price + TAKE_PROFIT_STEPS * good * self.width)
            stop = self.order(STOP, leg, rung, grid, price - STOP_STEPS * good * self.width)
            self.twins[self.key(profit)], self.twins[self.key(stop)] = stop, profit
            return
        self.net -= good * LOTS[rung]
        twin = self.twins.pop(key)
        self.twins.pop(self.key(twin), None)
        self.orders.pop(self.key(twin), None)
        self.cancel(twin)
        if role == STOP:
            self.dearer += (TAKER - MAKER) * price * LOTS[rung] * TICK * LOT
        elif grid == self.grid:
            self.enter(leg, rung)


def columns(packed: Any) -> tuple[Any, Any, Any, Any]:
    """Open, high, low and close in ticks; each bar opens where the last one closed."""
    import numpy

    high, low, close = packed.reshape(-1, 3).T
    opened = numpy.clip(numpy.concatenate((close[:1], close[:-1])), low, high)
    return opened, high, low, close


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of a call, and its answer."""
    begun = time.process_time()
    answer = run()
    return time.process_time() - begun, answer


def peak_mb() -> float:
    """The most memory that this process ever had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main(package: str, play: Callable[[Any], tuple[float, dict[str, int], float]]) -> None:
    """Play the bars and tell: `play` answers seconds, counts and the equity at the end."""
    import numpy

    packed = numpy.load(sys.argv[1])
    seconds, counts, equity = play(packed)
    end = {"seconds": seconds, "rss_mb": peak_mb(), **{name: int(count) for name, count in counts.items()}, "equity": float(equity)}
    print(json.dumps({"version": version(package), "bars": len(packed) // 3, **end}))
