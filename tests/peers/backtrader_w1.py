"""W1 on backtrader: resting limit and stop orders one by one, and a position for each data feed, so that the same bars under two names
are the two legs of a hedge. Prices in ticks, quantities in lots. How to run: `w1_rules`; tests/peers compares its fills with ours.

It has one fee for all orders, the maker's; what stops cost more is taken off at the end.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import w1_rules as w1

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own
    import backtrader as bt

CASH = 1e15
UNIT = w1.TICK * w1.LOT
Bar = tuple[int, int, int, int]  #: open, high, low, close in ticks
Watch = Callable[[int, int, int, float, float], None]  #: told of each fill: bar, leg, role, price, quantity


class Minutes(bt.feed.DataBase):  # type: ignore[misc]
    """The bars, once for each leg."""

    params = (("bars", ()),)

    def start(self) -> None:
        super().start()
        self.rows: Iterator[Bar] = iter(self.p.bars)
        self.time = datetime(2025, 1, 1)

    def _load(self) -> bool:
        row = next(self.rows, None)
        if row is None:
            return False
        self.time += timedelta(minutes=1)
        self.lines.datetime[0] = bt.date2num(self.time)
        self.lines.open[0], self.lines.high[0], self.lines.low[0], self.lines.close[0] = map(float, row)
        self.lines.volume[0] = self.lines.openinterest[0] = 0.0
        return True


class Grid(bt.Strategy):  # type: ignore[misc]
    """W1's rules, as backtrader asks for them. `order.info` says what an order is for."""

    params = (("watch", None),)

    def __init__(self) -> None:
        self.rules = w1.Rules(self.order, self.cancel, lambda order: order.ref)

    def next(self) -> None:
        self.rules.close(self.data.close[0])

    def order(self, role: int, leg: int, rung: int, price: int) -> Any:
        """Only an entry adds to its leg; a stop is the one that waits for a price to be passed."""
        place = self.buy if (leg == 0) == (role == w1.ENTRY) else self.sell
        kind = bt.Order.Stop if role == w1.STOP else bt.Order.Limit
        made = place(data=self.datas[leg], size=w1.LOTS[rung], price=float(price), exectype=kind)
        made.addinfo(leg=leg, role=role)
        return made

    def notify_order(self, order: Any) -> None:
        if order.status != order.Completed:
            assert order.status in (order.Submitted, order.Accepted, order.Canceled), order.getstatusname()
            return
        price = order.executed.price
        if self.p.watch is not None:
            self.p.watch(len(self) - 1, order.info.leg, order.info.role, price, abs(order.executed.size))
        self.rules.filled(order.ref, price)


def play(bars: Sequence[Bar], watch: Watch | None = None) -> tuple[float, Any, float]:
    """Seconds, the rules as they ended, and what was earned in USDT."""
    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker.set_cash(CASH)
    cerebro.broker.setcommission(commission=w1.MAKER)
    for name in ("long", "short"):
        cerebro.adddata(Minutes(bars=bars), name=name)
    cerebro.addstrategy(Grid, watch=watch)
    seconds, made = w1.timed(cerebro.run)
    return seconds, made[0].rules, (cerebro.broker.getvalue() - CASH) * UNIT


def main(packed: Any) -> tuple[float, dict[str, int], float]:
    """Its rows as Python's own numbers, as it wants them."""
    rows = list(zip(*(column.tolist() for column in w1.columns(packed)), strict=True))
    seconds, rules, earned = play(rows)
    return seconds, rules.counts, w1.CASH + earned - rules.funding - rules.dearer


if __name__ == "__main__":
    w1.main("backtrader", main)
