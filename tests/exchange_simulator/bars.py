"""Bars: a made-up past, and what has traded since.

Its one law: a minute once shown never changes. The past is drawn backwards from the starting price by the seed, as far as anybody
asks; the present is gathered from the trades; longer bars are put together from minutes.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from exchange_simulator.refusals import Refused

MINUTE = 60_000
INTERVALS = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720, "1d": 1440}
MOST_HISTORY = 150_000  # minutes


def length_of(interval: str) -> int:
    """Milliseconds of an interval."""
    if interval not in INTERVALS:
        raise Refused(-1120)
    return INTERVALS[interval] * MINUTE


class Minute(NamedTuple):
    """One bar in ticks and lots; `time` is when it opened."""

    time: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int


def joined(time: int, parts: list[Minute]) -> Minute:
    """Several bars as one."""
    return Minute(
        time, parts[0].open, max(p.high for p in parts), min(p.low for p in parts), parts[-1].close,
        sum(p.volume for p in parts), sum(p.trades for p in parts),
    )  # fmt: skip


class Bars:
    """The minutes of one symbol."""

    def __init__(self, price: int, now: int, seed: str, volatility: float = 0.0006) -> None:
        self.born = now // MINUTE * MINUTE
        self.volatility = volatility
        self._chance = random.Random(seed)
        self._past: list[Minute] = []  # newest first: minute born-1, born-2, ...
        self._past_open = price  # where the oldest drawn minute opened
        self._minutes: dict[int, Minute] = {}
        self.newest = self.born
        self._minutes[self.born] = Minute(self.born, price, price, price, price, 0, 0)

    def trade(self, time: int, price: int, lots: int) -> None:
        """A trade, in the minute of its time (never one before the newest)."""
        minute = max(time // MINUTE * MINUTE, self.newest)
        bar = self.at(minute)
        self.newest = minute
        self._minutes[minute] = Minute(
            minute, bar.open if bar.trades else price, max(bar.high, price) if bar.trades else price,
            min(bar.low, price) if bar.trades else price, price, bar.volume + lots, bar.trades + 1,
        )  # fmt: skip

    def put(self, bar: Minute) -> None:
        """A whole minute at once, as a recording has it; the next one is open then, and nothing has traded in it."""
        self._minutes[bar.time] = bar
        following = bar.time + MINUTE
        if following > self.newest:
            self.newest = following
            self._minutes[following] = Minute(following, bar.close, bar.close, bar.close, bar.close, 0, 0)

    @property
    def vacant(self) -> int:
        """The minute the next whole bar belongs to."""
        return self.newest if self._minutes[self.newest].trades == 0 else self.newest + MINUTE

    def at(self, minute: int) -> Minute:
        """The bar of a minute; where nothing traded, a flat one."""
        found = self._minutes.get(minute)
        if found is None and minute < self.born:
            return self._drawn((self.born - minute) // MINUTE - 1)
        if found is None:
            before = minute
            while before not in self._minutes:
                before -= MINUTE
            close = self._minutes[before].close
            found = Minute(minute, close, close, close, close, 0, 0)
        return found

    def of(self, time: int, length: int, until: int) -> Minute:
        """The bar of `length` ms that opened at `time`, as far as `until`."""
        last = min(time + length, max(until, self.newest) // MINUTE * MINUTE + MINUTE)
        return joined(time, [self.at(minute) for minute in range(time, last, MINUTE)])

    def _drawn(self, back: int) -> Minute:
        while len(self._past) <= back:
            close = self._past_open
            draw = self._chance.gauss(0.0, self.volatility)
            opened = max(2, round(close * (1 - draw)))
            reach = round(close * abs(self._chance.gauss(0.0, self.volatility / 2)))
            time = self.born - (len(self._past) + 1) * MINUTE
            volume = self._chance.randint(1_000, 100_000)
            low = max(1, min(opened, close) - reach)
            self._past.append(Minute(time, opened, max(opened, close) + reach, low, close, volume, volume // 100 + 1))
            self._past_open = opened
        return self._past[back]

    def history(self, interval: str, start: int | None, end: int | None, limit: int, now: int) -> list[Minute]:
        """What /klines answers, oldest first: from `start`, or the newest up to `end`."""
        length = length_of(interval)
        newest = max(now, self.newest) // length * length
        if end is not None:
            newest = min(newest, end // length * length)
        oldest = max(newest - (limit - 1) * length, self.born - MOST_HISTORY * MINUTE)
        if start is not None:
            first = -(-start // length) * length
            oldest = max(first, self.born - MOST_HISTORY * MINUTE)
            newest = min(newest, oldest + (limit - 1) * length)
        oldest = -(-oldest // length) * length
        return [self.of(time, length, now) for time in range(oldest, newest + 1, length)]
