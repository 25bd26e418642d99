"""Rolling figures of one symbol: what breakers compare the moment with. One law: the same events make the same figures, bit for bit.

Pure, and a constant cost for each event. Bars give volatility (the last 10 and the last 240 returns from close to close) and volume
(the last bar against the median of the 60 before it); bars and marks give the largest move of the last 5 minutes (of one bar, where
bars are longer); quotes give spread and depth in steps of 5 s, each at its calmest, against the median of the last 60 steps.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from typing import Any

from hedgegridd.model import Bar, Quote
from hedgegridd.views import WindowView

SHORT, LONG = 10, 240  # returns
VOLUMES, STEPS, FEW_STEPS = 60, 60, 12
STEP_MS, MINUTE_MS, MOVE_MINUTES = 5_000, 60_000, 5
BPS = 10_000


class Median:
    """The middle of the last `size` values."""

    def __init__(self, size: int) -> None:
        self.values: deque[float] = deque()
        self._size, self._sorted = size, list[float]()

    def add(self, value: float) -> None:
        """The oldest goes where there is no room."""
        if len(self.values) == self._size:
            del self._sorted[bisect_left(self._sorted, self.values.popleft())]
        self.values.append(value)
        insort(self._sorted, value)

    def value(self, few: int) -> float | None:
        """None of fewer than `few`; of an even number the upper one."""
        return self._sorted[len(self._sorted) // 2] if len(self.values) >= few else None

    def load(self, values: list[float]) -> None:
        """From a checkpoint."""
        self.values, self._sorted = deque(values), sorted(values)


class Window:
    """Prices in ticks, sizes in lots; `unit` is the USDT of a lot times a tick. `quotes`: will there be any?"""

    def __init__(self, unit: float, quotes: bool) -> None:
        self.unit, self.quotes = unit, quotes
        self.close = 0  # of the last bar; 0 = none that the next one follows on
        self.squares: deque[float] = deque(maxlen=LONG)  # of log returns
        self.volumes, self.spreads, self.depths = Median(VOLUMES), Median(STEPS), Median(STEPS)
        self.volume_ratio: float | None = None
        self.ranges: list[list[float]] = []  # [minute, low, high], oldest first
        self.move: float | None = None  # percent
        self.step: list[float] = []  # [its number, narrowest spread in bps, deepest book in USDT] of the quotes of now
        self.last_step: list[float] = []
        self._deviations: tuple[float, float] | None = None

    @property
    def warm(self) -> bool:
        """Is there enough to compare with?"""
        bars = len(self.squares) == LONG and len(self.volumes.values) == VOLUMES
        return bars and (not self.quotes or len(self.spreads.values) >= FEW_STEPS)

    # --- what the market says -----------------------------------------------------------------------------------------

    def bar(self, bar: Bar) -> None:
        """A bar completed."""
        if self.close:
            self.squares.append(math.log(bar.close / self.close) ** 2)
            self._deviations = None
        self.close = bar.close
        usual = self.volumes.value(VOLUMES)
        self.volume_ratio = bar.volume / usual if usual else None
        self.volumes.add(bar.volume)
        self._reach(bar.time, bar.low, bar.high)
        self._moved(bar.close)

    def price(self, time: int, price: float) -> None:
        """The market is here; a price of nothing is none."""
        if not price > 0:
            return
        self._reach(time, price, price)
        self._moved(price)

    def quote(self, quote: Quote) -> None:
        """The best prices and what stands there. With a side of the book empty there is nothing to compare: unknown, until it is back."""
        if quote.bid <= 0 or quote.ask <= 0:
            self.step, self.last_step = [], []
            return
        number = quote.time // STEP_MS
        spread = (quote.ask - quote.bid) / quote.bid * BPS
        depth = min(quote.bid * quote.bid_qty, quote.ask * quote.ask_qty) * self.unit
        step = self.step
        if not step or number > step[0]:
            self._stepped()
            self.step = [number, spread, depth]
        else:
            step[1], step[2] = min(step[1], spread), max(step[2], depth)

    def gap(self) -> None:
        """Data are missing: no return and no move is reckoned across the hole; what was usual before it is usual still."""
        self.close, self.volume_ratio, self.move = 0, None, None
        self.ranges.clear()
        self.step, self.last_step = [], []

    def _reach(self, time: int, low: float, high: float) -> None:
        """This far the market went. A bar counts for the minute that it ended in."""
        minute, ranges = (time - 1) // MINUTE_MS, self.ranges
        if ranges and minute <= ranges[-1][0]:
            ranges[-1][1], ranges[-1][2] = min(ranges[-1][1], low), max(ranges[-1][2], high)
            return
        ranges.append([minute, low, high])
        while ranges[0][0] <= minute - MOVE_MINUTES:
            del ranges[0]

    def _moved(self, price: float) -> None:
        low, high = min(row[1] for row in self.ranges), max(row[2] for row in self.ranges)
        self.move = max(price / low - 1, 1 - price / high) * 100

    def _stepped(self) -> None:
        """A step is over: what went before is what the next ones are compared with."""
        if self.last_step:
            self.spreads.add(self.last_step[1])
            self.depths.add(self.last_step[2])
        self.last_step = self.step

    # --- what breakers see --------------------------------------------------------------------------------------------

    def view(self) -> WindowView | None:
        """The figures; None until they are complete."""
        if not self.warm:
            return None
        spread, depth = self.last_step[1:] if self.last_step else (None, None)
        return WindowView(*self._volatility(), self.move, self.volume_ratio, spread, self.spreads.value(FEW_STEPS), depth,
                          self.depths.value(FEW_STEPS))  # fmt: skip

    def _volatility(self) -> tuple[float, float]:
        """Deviations of the short and of the long span, summed up anew after each bar: nothing adds up over the years."""
        if self._deviations is None:
            squares = list(self.squares)
            self._deviations = math.sqrt(sum(squares[-SHORT:]) / SHORT), math.sqrt(sum(squares) / LONG)
        return self._deviations

    # --- checkpoint ---------------------------------------------------------------------------------------------------

    _PLAIN = ("quotes", "close", "volume_ratio", "ranges", "move", "step", "last_step")
    _MEDIANS = ("volumes", "spreads", "depths")

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        lists = {name: list(getattr(self, name).values) for name in self._MEDIANS}
        plain = {name: getattr(self, name) for name in self._PLAIN if name != "ranges"}
        return {**plain, **lists, "ranges": [list(row) for row in self.ranges], "squares": list(self.squares)}

    @classmethod
    def load(cls, unit: float, data: dict[str, Any]) -> Window:
        """From a checkpoint."""
        made = cls(unit, data["quotes"])
        for name in cls._PLAIN:
            setattr(made, name, data[name])
        for name in cls._MEDIANS:
            getattr(made, name).load(data[name])
        made.squares.extend(data["squares"])
        return made
