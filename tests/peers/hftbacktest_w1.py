"""W1 on hftbacktest: each bar as two trades, at its low and at its high, that fill the orders resting there.

hftbacktest knows no stop orders: the strategy, compiled as everything there, watches for them and books them at their own price, which
costs the engine less than an order would. Without a queue ahead an order fills at a touch, as W1 wants it. How to run: `w1_rules`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import w1_rules as w1
from hftbacktest import BUY_EVENT, EXCH_EVENT, GTC, LIMIT, SELL_EVENT, TRADE_EVENT, BacktestAsset, HashMapMarketDepthBacktest
from hftbacktest.order import FILLED
from hftbacktest.types import event_dtype
from numba import njit

MINUTE, IDS, FAR = 60_000_000_000, 1 << 17, 1e30
SIZES = np.array(w1.LOTS) * w1.LOT
STEPS, SPACING, RECENTRE, TICK, ENTRY, TAKE_PROFIT = w1.STEPS, w1.SPACING, w1.RECENTRE, w1.TICK, w1.ENTRY, w1.TAKE_PROFIT
TAKE_PROFIT_STEPS, STOP_STEPS, FUNDING_EVERY = w1.TAKE_PROFIT_STEPS, w1.STOP_STEPS, w1.FUNDING_EVERY
MAKER, TAKER, FUNDING, CASH = w1.MAKER, w1.TAKER, w1.FUNDING, w1.CASH
# Columns of the strategy's numbers.
ENTRIES, TAKE_PROFITS, STOPS, RECENTRES, LAST, LOTS, GRID = range(7)
MONEY, HELD, COST, CENTRE, WIDTH, BELOW, ABOVE, PEAK, DEEPEST = range(9)


@njit
def place(hbt: Any, n: Any, orders: Any, role: int, leg: int, rung: int, grid: int, price: float) -> int:
    """A limit order; its number."""
    n[LAST] += 1
    number = n[LAST]
    orders[number, 0], orders[number, 1], orders[number, 2], orders[number, 3] = role, leg, rung, grid
    if (leg == 0) == (role == ENTRY):
        hbt.submit_buy_order(0, number, price, SIZES[rung], GTC, LIMIT, False)
    else:
        hbt.submit_sell_order(0, number, price, SIZES[rung], GTC, LIMIT, False)
    return number


@njit
def ticks(price: float) -> float:
    """Rounded to a tick."""
    return np.floor(price / TICK + 0.5) * TICK


@njit
def enter(hbt: Any, n: Any, x: Any, orders: Any, resting: Any, leg: int, rung: int) -> None:
    """Wish a rung."""
    away = (rung + 1) * x[WIDTH] * (-1.0 if leg == 0 else 1.0)
    resting[leg, rung] = place(hbt, n, orders, ENTRY, leg, rung, n[GRID], ticks(x[CENTRE] + away))


@njit
def recentre(hbt: Any, n: Any, x: Any, orders: Any, resting: Any, close: float) -> None:
    """A new grid; open lots keep their exits."""
    n[GRID] += 1
    x[CENTRE], x[WIDTH] = close, close * SPACING
    for leg in range(2):
        for rung in range(STEPS):
            if resting[leg, rung] > 0:
                hbt.cancel(0, resting[leg, rung], False)
            enter(hbt, n, x, orders, resting, leg, rung)


@njit
def book(x: Any, leg: int, rung: int, opens: bool, price: float, fee: float) -> None:
    """Money moved."""
    signed = SIZES[rung] if (leg == 0) == opens else -SIZES[rung]
    x[HELD] += signed
    x[MONEY] -= signed * price + SIZES[rung] * price * fee


@njit
def nearest(n: Any, x: Any, lots: Any) -> None:
    """The stops that come first."""
    x[BELOW], x[ABOVE] = 0.0, FAR
    for at in range(n[LOTS]):
        if lots[at, 1] == 0.0:
            x[BELOW] = max(x[BELOW], lots[at, 0])
        else:
            x[ABOVE] = min(x[ABOVE], lots[at, 0])


@njit
def stop_out(hbt: Any, n: Any, x: Any, lots: Any, high: float, low: float) -> None:
    """The lots whose stop was reached; their take-profits go."""
    kept = 0
    for at in range(n[LOTS]):
        price, leg = lots[at, 0], int(lots[at, 1])
        if (low <= price) if leg == 0 else (high >= price):
            n[STOPS] += 1
            book(x, leg, int(lots[at, 2]), False, price, TAKER)
            hbt.cancel(0, int(lots[at, 3]), False)
        else:
            lots[kept] = lots[at]
            kept += 1
    n[LOTS] = kept


@njit
def answer(hbt: Any, n: Any, x: Any, orders: Any, resting: Any, lots: Any, number: int, price: float) -> None:
    """An entry gets its exits; a take-profit ends its lot and arms its rung again."""
    role, leg, rung, grid = orders[number, 0], orders[number, 1], orders[number, 2], orders[number, 3]
    book(x, leg, rung, role == ENTRY, price, MAKER)
    if role == ENTRY:
        n[ENTRIES] += 1
        resting[leg, rung] = 0
        good = x[WIDTH] if leg == 0 else -x[WIDTH]
        profit = place(hbt, n, orders, TAKE_PROFIT, leg, rung, grid, ticks(price + TAKE_PROFIT_STEPS * good))
        at = n[LOTS]
        lots[at, 0], lots[at, 1], lots[at, 2], lots[at, 3] = ticks(price - STOP_STEPS * good), leg, rung, profit
        n[LOTS] = at + 1
        return
    n[TAKE_PROFITS] += 1
    for at in range(n[LOTS]):
        if lots[at, 3] == number:
            n[LOTS] -= 1
            lots[at] = lots[n[LOTS]]
            break
    if grid == n[GRID]:
        enter(hbt, n, x, orders, resting, leg, rung)


@njit
def filled(hbt: Any, orders: Any, found: Any) -> int:
    """The numbers and prices of what was filled since the last look."""
    count, values = 0, hbt.orders(0).values()
    while values.has_next():
        order = values.get()
        if order.status == FILLED:
            found[count, 0], found[count, 1] = order.order_id, order.exec_price_tick * TICK
            count += 1
    hbt.clear_inactive_orders(0)
    return count


@njit
def play(hbt: Any, bars: Any, n: Any, x: Any) -> None:
    """All bars; equity is looked at at each."""
    orders, lots, found = np.zeros((IDS, 4), np.int64), np.zeros((256, 4)), np.zeros((512, 2))
    resting, trades = np.zeros((2, STEPS), np.int64), 0
    x[MONEY] = x[PEAK] = CASH
    hbt.elapse(MINUTE)
    recentre(hbt, n, x, orders, resting, bars[0, 2])
    nearest(n, x, lots)
    for at in range(1, len(bars)):
        hbt.elapse(MINUTE)
        high, low, close = bars[at, 0], bars[at, 1], bars[at, 2]
        now = hbt.state_values(0).num_trades
        if now != trades or low <= x[BELOW] or high >= x[ABOVE]:
            trades = now
            count = filled(hbt, orders, found)
            stop_out(hbt, n, x, lots, high, low)
            for row in range(count):
                answer(hbt, n, x, orders, resting, lots, int(found[row, 0]), found[row, 1])
            nearest(n, x, lots)
        if abs(close - x[CENTRE]) > RECENTRE * x[CENTRE]:
            n[RECENTRES] += 1
            recentre(hbt, n, x, orders, resting, close)
        if (at + 1) % FUNDING_EVERY == 0:
            x[MONEY] -= FUNDING * x[HELD] * close
        equity = x[MONEY] + x[HELD] * close
        x[PEAK] = max(x[PEAK], equity)
        x[DEEPEST] = max(x[DEEPEST], (x[PEAK] - equity) / x[PEAK])


def events(bars: Any) -> Any:
    """Two trades a bar, and something far behind so that the data do not end before the last bar has."""
    made = np.zeros(2 * len(bars) + 1, event_dtype)
    for first, side, column, second in ((0, SELL_EVENT, 1, 20), (1, BUY_EVENT, 0, 40)):
        part = made[first : 2 * len(bars) : 2]
        part["ev"], part["px"], part["qty"] = EXCH_EVENT | TRADE_EVENT | side, bars[:, column], 1_000.0
        part["exch_ts"] = part["local_ts"] = np.arange(len(bars)) * MINUTE + second * 1_000_000_000
    made[-1] = made[-2]
    made["exch_ts"][-1] = made["local_ts"][-1] = (len(bars) + 2) * MINUTE
    return made


def once(bars: Any) -> tuple[float, Any, Any]:
    """One run of a new engine."""
    made = events(bars)  # the engine keeps no reference to it
    asset = BacktestAsset().data(made).linear_asset(1.0).constant_order_latency(0, 0).risk_adverse_queue_model()
    asset = asset.no_partial_fill_exchange().trading_value_fee_model(MAKER, TAKER).tick_size(TICK).lot_size(w1.LOT)
    hbt, n, x = HashMapMarketDepthBacktest([asset]), np.zeros(7, np.int64), np.zeros(9)
    seconds, _ = w1.timed(lambda: play(hbt, bars, n, x))
    hbt.close()
    return seconds, n, x


def main(packed: Any) -> tuple[float, dict[str, int], float]:
    """A short run that compiles, then the one that counts."""
    bars = packed.reshape(-1, 3) * TICK
    once(bars[:2_000])
    seconds, n, x = once(bars)
    return seconds, dict(zip((*w1.NAMES, "recentres"), n, strict=False)), x[MONEY] + x[HELD] * bars[-1, 2]


if __name__ == "__main__":
    w1.main("hftbacktest", main)
