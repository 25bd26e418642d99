"""W1 on vectorbt's simulator with a flexible order function, its fastest way for rules that depend on their own fills.

Which order a bar reaches is the order function's business there, as vectorbt keeps no resting orders: it looks at the nearest trigger
each way, and only where that is reached at all orders. vectorbt books the orders, values both legs (two columns of one group) and keeps
its records; equity, peak and fall are taken after each bar. How to run: `w1_rules`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import vectorbt as vbt
import w1_rules as w1
from numba import njit
from vectorbt.portfolio.enums import Direction
from vectorbt.portfolio.nb import order_nb, order_nothing_nb

FAR = 1e30
SIZES = np.array(w1.LOTS) * w1.LOT
STEPS, SPACING, RECENTRE, TICK, ENTRY, TAKE_PROFIT, STOP = w1.STEPS, w1.SPACING, w1.RECENTRE, w1.TICK, w1.ENTRY, w1.TAKE_PROFIT, w1.STOP
TAKE_PROFIT_STEPS, STOP_STEPS, FUNDING_EVERY = w1.TAKE_PROFIT_STEPS, w1.STOP_STEPS, w1.FUNDING_EVERY
MAKER, TAKER, FUNDING, CASH = w1.MAKER, w1.TAKER, w1.FUNDING, w1.CASH
LONG_ONLY, SHORT_ONLY = Direction.LongOnly, Direction.ShortOnly
# Columns of the strategy's numbers. Of a fill in the queue: leg, size, price, fee; of a lot: take-profit, stop, leg, rung, grid.
ENTRIES, TAKE_PROFITS, STOPS, RECENTRES, LOTS, QUEUED, GRID = range(7)
CENTRE, WIDTH, BELOW, ABOVE, PEAK, DEEPEST, FUNDED = range(7)


@njit
def ticks(price: float) -> float:
    """Rounded to a tick."""
    return np.floor(price / TICK + 0.5) * TICK


@njit
def queue(n: Any, fills: Any, leg: int, size: float, price: float, fee: float) -> None:
    """For vectorbt to book."""
    at = n[QUEUED]
    fills[at, 0], fills[at, 1], fills[at, 2], fills[at, 3] = leg, size, price, fee
    n[QUEUED] = at + 1


@njit
def rung_price(x: Any, leg: int, rung: int) -> float:
    """Of the grid as it stands."""
    return ticks(x[CENTRE] + (rung + 1) * x[WIDTH] * (-1.0 if leg == 0 else 1.0))


@njit
def nearest(n: Any, x: Any, rungs: Any, lots: Any) -> None:
    """The triggers that come first each way."""
    below, above = 0.0, FAR
    for rung in range(STEPS):
        below, above = max(below, rungs[0, rung]), min(above, rungs[1, rung] if rungs[1, rung] > 0.0 else FAR)
    for at in range(n[LOTS]):
        first, last = lots[at, 0], lots[at, 1]
        below, above = max(below, min(first, last)), min(above, max(first, last))
    x[BELOW], x[ABOVE] = below, above


@njit
def recentre(n: Any, x: Any, rungs: Any, close: float) -> None:
    """A new grid; open lots keep their exits."""
    n[GRID] += 1
    x[CENTRE], x[WIDTH] = close, close * SPACING
    for leg in range(2):
        for rung in range(STEPS):
            rungs[leg, rung] = rung_price(x, leg, rung)


@njit
def exits(n: Any, x: Any, rungs: Any, lots: Any, fills: Any, high: float, low: float, armed: Any) -> None:
    """Lots that were there before this bar."""
    kept = 0
    for at in range(n[LOTS]):
        profit, stop, leg, rung = lots[at, 0], lots[at, 1], int(lots[at, 2]), int(lots[at, 3])
        stopped = (low <= stop) if leg == 0 else (high >= stop)
        if stopped:
            n[STOPS] += 1
            queue(n, fills, leg, -SIZES[rung], stop, TAKER)
        elif (high >= profit) if leg == 0 else (low <= profit):
            n[TAKE_PROFITS] += 1
            queue(n, fills, leg, -SIZES[rung], profit, MAKER)
            if lots[at, 4] == n[GRID]:
                armed[leg, rung] = 1
        else:
            lots[kept] = lots[at]
            kept += 1
    n[LOTS] = kept


@njit
def touch(n: Any, x: Any, rungs: Any, lots: Any, fills: Any, armed: Any, high: float, low: float) -> None:
    """What a bar fills; what it arms waits for the next one."""
    armed[:] = 0
    exits(n, x, rungs, lots, fills, high, low, armed)
    for leg in range(2):
        for rung in range(STEPS):
            price = rungs[leg, rung]
            if price > 0.0 and ((low <= price) if leg == 0 else (high >= price)):
                n[ENTRIES] += 1
                queue(n, fills, leg, SIZES[rung], price, MAKER)
                good = x[WIDTH] if leg == 0 else -x[WIDTH]
                at = n[LOTS]
                lots[at, 0], lots[at, 1] = ticks(price + TAKE_PROFIT_STEPS * good), ticks(price - STOP_STEPS * good)
                lots[at, 2], lots[at, 3], lots[at, 4] = leg, rung, n[GRID]
                n[LOTS] = at + 1
                rungs[leg, rung] = 0.0
            if armed[leg, rung] == 1:
                rungs[leg, rung] = rung_price(x, leg, rung)


@njit
def order(c: Any, bars: Any, n: Any, x: Any, rungs: Any, lots: Any, fills: Any, armed: Any) -> Any:
    """vectorbt asks until there is no order more."""
    if c.call_idx == 0 and c.i > 0 and (bars[c.i, 1] <= x[BELOW] or bars[c.i, 0] >= x[ABOVE]):
        n[QUEUED] = 0
        touch(n, x, rungs, lots, fills, armed, bars[c.i, 0], bars[c.i, 1])
        nearest(n, x, rungs, lots)
    elif c.call_idx == 0:
        return -1, order_nothing_nb()
    if c.call_idx >= n[QUEUED]:
        return -1, order_nothing_nb()
    leg, size, price, fee = fills[c.call_idx, 0], fills[c.call_idx, 1], fills[c.call_idx, 2], fills[c.call_idx, 3]
    return int(leg), order_nb(size, price, direction=LONG_ONLY if leg == 0.0 else SHORT_ONLY, fees=fee)


@njit
def after(c: Any, bars: Any, n: Any, x: Any, rungs: Any, lots: Any) -> None:
    """The bar ended: recentre, funding, equity."""
    close = bars[c.i, 2]
    if c.i == 0 or abs(close - x[CENTRE]) > RECENTRE * x[CENTRE]:
        n[RECENTRES] += c.i > 0
        recentre(n, x, rungs, close)
        nearest(n, x, rungs, lots)
    if (c.i + 1) % FUNDING_EVERY == 0:
        x[FUNDED] += FUNDING * (c.last_position[0] + c.last_position[1]) * close
    equity = c.last_value[0] - x[FUNDED]
    x[PEAK] = max(x[PEAK], equity)
    x[DEEPEST] = max(x[DEEPEST], (x[PEAK] - equity) / x[PEAK])


def once(bars: Any) -> tuple[float, Any, float]:
    """One run."""
    n, x, rungs, lots = np.zeros(7, np.int64), np.zeros(7), np.zeros((2, STEPS)), np.zeros((256, 5))
    fills, armed = np.zeros((256, 4)), np.zeros((2, STEPS), np.int64)
    x[PEAK] = CASH
    closes = np.repeat(bars[:, 2:], 2, axis=1)

    def run() -> Any:
        return vbt.Portfolio.from_order_func(
            closes, order, bars, n, x, rungs, lots, fills, armed, flexible=True, init_cash=CASH, cash_sharing=True, group_by=True,
            call_post_segment=True, post_segment_func_nb=after, post_segment_args=(bars, n, x, rungs, lots), max_orders=len(bars) // 8,
            fill_pos_record=False, freq="1min",
        )  # fmt: skip

    seconds, portfolio = w1.timed(run)
    held = portfolio.final_value()
    return seconds, n, float(held) - x[FUNDED]


def main(packed: Any) -> tuple[float, dict[str, int], float]:
    """A short run that compiles, then the one that counts."""
    bars = packed.reshape(-1, 3) * TICK
    once(bars[:2_000])
    seconds, n, equity = once(bars)
    return seconds, dict(zip((*w1.NAMES, "recentres"), n, strict=False)), equity


if __name__ == "__main__":
    w1.main("vectorbt", main)
