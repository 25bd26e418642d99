"""The filled grid: what a strategy holds when every rung of a leg has filled. One law: the strategy's own step says it, no formula here.

It is warmed up on made-up bars that end at the price asked about - flat, rising and falling, for a policy may shrink ladders -
then each entry it wishes is filled, nearest first, until it wishes none. Pure; knows no account and no limit.
"""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

from hedgegridd.model import Instrument, Leg, Market, Moment, Role, Wish, new_wish

BAR_MS = 60_000
RISE = 0.002  # of price per bar: more than any hysteresis band keeps quiet about for long
MOST_RISE = 0.7  # log price, over the whole warm-up
TRENDS = (0, 1, -1)
MOST_FILLS = 1000
FINER = 1000  # lots are split so often to see a size before it is rounded to them


class FullLeg(NamedTuple):
    """One leg with every rung filled. Prices in ticks, quantities in lots."""

    leg: int
    qty: int
    entry: float  #: average
    deepest: int  #: the last rung's price
    stop: int  #: 0 = the strategy wishes none
    rungs: tuple[tuple[int, int], ...]  #: (price, qty) in the order of filling
    closers: int  #: take-profit and stop orders that rest then

    @property
    def cost(self) -> float:
        """Ticks x lots: what was paid."""
        return self.qty * self.entry

    @property
    def largest(self) -> float:
        """Ticks x lots: the largest notional on the way to the deepest rung, resting entries included."""
        return max(self.cost, float(self.qty * self.deepest))


class Books(NamedTuple):
    """What both legs hold: lots and average entry in ticks."""

    qty: tuple[int, int] = (0, 0)
    entry: tuple[float, float] = (0.0, 0.0)

    def add(self, leg: int, price: int, qty: int) -> Books:
        """After buying (LONG) or selling (SHORT) `qty` at `price`."""
        total = self.qty[leg] + qty
        entry = (self.entry[leg] * self.qty[leg] + price * qty) / total
        pair = ((total, self.qty[1]), (entry, self.entry[1])) if leg == Leg.LONG else ((self.qty[0], total), (self.entry[0], entry))
        return Books(*pair)


class Driver:
    """A strategy being asked, one moment after the other."""

    def __init__(self, strategy: Any, params: Any, equity: float) -> None:
        self.strategy, self.params, self.equity = strategy, params, equity
        self.state = strategy.initial(params)
        self.wish: Wish = new_wish()
        self.books = Books()
        self.time = 0

    def bar(self, close: int) -> None:
        """A bar at one price."""
        self.time += BAR_MS
        self._step(Moment.BAR, close, (0, 0, 0, 0))

    def take(self, leg: int, price: int, qty: int) -> None:
        """An entry filled whole, the market being there."""
        self.books = self.books.add(leg, price, qty)
        self._step(Moment.FILL, price, (leg, int(Role.ENTRY), price, qty))

    def _step(self, moment: Moment, close: int, fill: tuple[int, int, int, int]) -> None:
        qty, entry = self.books
        market = Market(
            *(moment, self.time, close, close, close, close, float(close), math.nan, 0, 0, *fill),
            *(qty[0], entry[0], qty[1], entry[1], 1.0, 1.0, self.equity),
        )
        self.state = self.strategy.step(self.params, self.state, market, self.wish)

    def rows(self, leg: int, *roles: int) -> list[tuple[int, int]]:
        """(price, qty) of what is wished for a leg."""
        wish = self.wish
        return [(wish.price[i], wish.qty[i]) for i in range(wish.count[0]) if wish.leg[i] == leg and wish.role[i] in roles]


def full_legs(strategy: Any, settings: Any, instrument: Instrument, price: float, equity: float) -> list[FullLeg]:
    """Both legs full, each from a warm start at `price` (USDT), in the trend that lets it grow most. ValueError from the strategy."""
    params = strategy.params(settings, instrument)
    center = max(round(price / instrument.tick_size), 1)
    found: dict[int, FullLeg] = {}
    for trend in TRENDS:
        warm = _warm(strategy, params, center, trend, equity)
        for leg in (int(Leg.LONG), int(Leg.SHORT)):
            full = _filled(copy.deepcopy(warm.state), warm, leg)
            if full.qty > (found[leg].qty if leg in found else 0):
                found[leg] = full
    return list(found.values())


def unrounded(strategy: Any, settings: Any, instrument: Instrument, price: float, equity: float) -> dict[int, float]:
    """Coins of each full leg if lots were infinitely fine: what rounding down to lots hides."""
    fine = instrument._replace(
        lot_size=instrument.lot_size / FINER,
        min_qty=instrument.min_qty * FINER,
        max_qty=instrument.max_qty * FINER,
        market_max_qty=instrument.market_max_qty * FINER,
    )
    return {full.leg: full.qty * fine.lot_size for full in full_legs(strategy, settings, fine, price, equity)}


def _warm(strategy: Any, params: Any, center: int, trend: int, equity: float) -> Driver:
    driver, bars = Driver(strategy, params, equity), strategy.warmup_bars(params)
    step = trend * min(RISE, MOST_RISE / max(bars, 1))
    for left in range(bars, 0, -1):
        driver.bar(max(round(center * math.exp(-step * (left - 1))), 1))
    driver.bar(center)
    return driver


def _filled(state: Any, warm: Driver, leg: int) -> FullLeg:
    """Fill every entry of a leg from a warm state."""
    driver = Driver(warm.strategy, warm.params, warm.equity)
    driver.state, driver.time = state, warm.time
    wished, rungs = warm.rows(leg, Role.ENTRY), list[tuple[int, int]]()
    while wished and len(rungs) < MOST_FILLS:
        price, qty = max(wished) if leg == Leg.LONG else min(wished)
        rungs.append((price, qty))
        driver.take(leg, price, qty)
        wished = driver.rows(leg, Role.ENTRY)
    stops, profits = driver.rows(leg, Role.STOP), driver.rows(leg, Role.TAKE_PROFIT)
    deepest = (min if leg == Leg.LONG else max)((price for price, _ in rungs), default=0)
    stop = stops[0][0] if stops else 0
    return FullLeg(leg, driver.books.qty[leg], driver.books.entry[leg], deepest, stop, tuple(rungs), len(stops) + len(profits))
