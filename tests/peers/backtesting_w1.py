"""W1 on backtesting.py: an order for each rung with its take-profit and stop, which belong to the lot that it opens (`hedging=True`).

Sizes must be whole there, so lots are its units and prices are in USDT for a lot. It has one fee for all orders, the maker's; what stops
cost more is taken off at the end. A bar that opens beyond an order's price fills it at the open there, which is better. Its run has the
making of its statistics in it. How to run: `w1_rules`.
"""

from __future__ import annotations

import warnings
from typing import Any

import pandas as pd
import w1_rules as w1
from backtesting import Backtest, Strategy

UNIT = w1.TICK * w1.LOT  # USDT of a lot for a tick


class Grid(Strategy):  # type: ignore[misc]
    """W1's rules. A bracket order does what `w1_rules.Rules` does with three."""

    def init(self) -> None:
        self.counts = dict.fromkeys((*w1.NAMES, "recentres"), 0)
        self.resting: dict[tuple[int, int], Any] = {}  # (leg, rung) -> order
        self.grid, self.bars, self.centre, self.width, self.funding, self.dearer = 0, 1, 0.0, 0.0, 0.0, 0.0
        self.closed = 0
        self.recentre(float(self.data.Close[0]) / UNIT)  # `next` is not asked about the very first bar
        self.broker = self._broker  # `closed_trades` and `trades` copy the whole list each time

    def next(self) -> None:
        trades = self.broker.closed_trades
        while self.closed < len(trades):
            self.ended(trades[self.closed])
            self.closed += 1
        self.bars += 1
        close = float(self.data.Close[-1]) / UNIT
        if abs(close - self.centre) > w1.RECENTRE * self.centre:
            self.counts["recentres"] += 1
            self.recentre(close)
        if self.bars % w1.FUNDING_EVERY == 0:
            self.funding += w1.FUNDING * sum(trade.size for trade in self.broker.trades) * close * UNIT

    def ended(self, trade: Any) -> None:
        """A take-profit of this grid arms its rung again."""
        leg, rung, grid = trade.tag
        won = (trade.exit_price > trade.entry_price) == (leg == 0)
        self.counts["take_profits" if won else "stops"] += 1
        if not won:
            self.dearer += (w1.TAKER - w1.MAKER) * trade.exit_price * w1.LOTS[rung]
        elif grid == self.grid:
            self.enter(leg, rung)

    def recentre(self, close: float) -> None:
        """Orders that were filled are in the queue no more, and to cancel them says so."""
        waiting = set(map(id, self._broker.orders))
        for order in self.resting.values():
            if id(order) in waiting:
                order.cancel()
        self.grid, self.centre, self.width = self.grid + 1, close, close * w1.SPACING
        for leg in (0, 1):
            for rung in range(w1.STEPS):
                self.enter(leg, rung)

    def enter(self, leg: int, rung: int) -> None:
        """Wish a rung, with what comes of it."""
        good = 1 if leg == 0 else -1
        price = int(self.centre - good * (rung + 1) * self.width + 0.5)
        profit = int(price + good * w1.TAKE_PROFIT_STEPS * self.width + 0.5) * UNIT
        stop = int(price - good * w1.STOP_STEPS * self.width + 0.5) * UNIT
        place = self.buy if leg == 0 else self.sell
        self.resting[leg, rung] = place(size=w1.LOTS[rung], limit=price * UNIT, sl=stop, tp=profit, tag=(leg, rung, self.grid))


def main(packed: Any) -> tuple[float, dict[str, int], float]:
    """Its progress bar is for people."""
    warnings.simplefilter("ignore")
    opened, high, low, close = (column * UNIT for column in w1.columns(packed))
    index = pd.date_range("2025-01-01", periods=len(close), freq="min")
    frame = pd.DataFrame({"Open": opened, "High": high, "Low": low, "Close": close}, index=index)
    test = Backtest(frame, Grid, cash=w1.CASH, commission=w1.MAKER, margin=0.02, hedging=True)
    seconds, end = w1.timed(test.run)
    grid = end["_strategy"]
    grid.counts["entries"] = len(grid.broker.closed_trades) + len(grid.broker.trades)
    return seconds, grid.counts, float(end["Equity Final [$]"]) - grid.funding - grid.dearer


if __name__ == "__main__":
    w1.main("backtesting", main)
