"""W1's grid by an engine that others wrote: every fill of ours is one of backtrader's, and the other way round.

Optional: `pip install 'hedgegridd[peers]'`. backtrader was chosen among five because it needs the least explaining: it depends on
nothing, is installed in a second, matches resting limit and stop orders one by one, and knows a position for each data feed, so that
the same bars under two names are the two legs of a hedge. (vectorbt and backtesting.py net both legs, hftbacktest wants its bars cut
into trades, nautilus_trader is 300 MB with its own clock of sub-bar prices.)

The rules of W1 are written here a second time, as backtrader asks for them, and share only its parameters with ours. Where the two
engines' models differ, and why it cannot show here:

- A limit order whose price the open has passed: backtrader fills at the open, which is better; ours at the limit, never better. A bar
  opens here where the last one closed, and no order is placed beyond that.
- A stop that the open has passed: both fill at the open. Ours takes slippage off, which is set to nothing here.
- Several fills within a bar: backtrader's come in the order in which the orders were placed, ours along the worst path of the price.
  No price depends on that, so the fills of a bar are compared without their order.
- A bar that reaches a lot's take-profit and its stop would be told apart by that order. They are seven steps apart, 3.5 %: no bar is
  that long, which is checked.
- Margin and liquidation: ours has them, backtrader knows only cash. Both are given far more money than the grid can bind.
- Fees: backtrader has one rate for all orders. Fills are compared, not money.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import pytest
from bench import stage, w1_grid

from hedgegridd.kernel.book import ENTRY, STOP, TAKE_PROFIT

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("backtrader") is None, reason="peers: backtrader is not installed"),
    pytest.mark.filterwarnings("ignore"),  # its own
]

BARS, YEAR_VOL = 8_000, 1.6
Bar = tuple[int, int, int, int]  #: open, high, low, close in ticks


class Fill(NamedTuple):
    """One fill. Price in ticks, quantity in lots; `bar` is the bar that filled it."""

    bar: int
    leg: int
    role: int
    price: float
    qty: float


@pytest.fixture(scope="module")
def bars() -> list[Bar]:
    """A restless week: dozens of recentres, hundreds of lots."""
    last, made = 500_000, []
    for count, close in enumerate(stage.closes(BARS, price=50_000.0, year_vol=YEAR_VOL)):
        reach = 40 + count % 7 * 60
        made.append((last, max(last, close) + reach, min(last, close) - reach, close))
        last = close
    assert all((high - low) / low < 0.03 for _, high, low, _ in made), "a bar as long as from a take-profit to its stop decides nothing"
    return made


# --- ours -----------------------------------------------------------------------------------------------------------------


def ours(bars: list[Bar], monkeypatch: pytest.MonkeyPatch) -> tuple[list[Fill], Any]:
    """What the shipped book and matching fill, and the run."""
    fills: list[Fill] = []
    answer = w1_grid.filled

    def filled(run: Any, terms: Any, ticket: int, price: int, now: int) -> None:
        fills.append(Fill(now, ticket // 4 % 2, ticket % 4, price, run.qty[ticket // 8 % 16]))
        answer(run, terms, ticket, price, now)

    monkeypatch.setattr(w1_grid, "filled", filled)
    run, terms = w1_grid.new_run(), w1_grid.new_terms()
    w1_grid.begin(run, terms, bars[0][3])
    w1_grid.play(run, terms, [price for _, high, low, close in bars for price in (high, low, close)], 1, len(bars))
    return fills, run


# --- backtrader's ---------------------------------------------------------------------------------------------------------


def theirs(bars: list[Bar]) -> tuple[list[Fill], int]:
    """What backtrader's broker fills of the same rules; and how often the grid was recentred."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import backtrader as bt

    class Minutes(bt.feed.DataBase):  # type: ignore[misc]
        """The bars, once for each leg."""

        def start(self) -> None:
            super().start()
            self.rows: Iterator[Bar] = iter(bars)
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
        """W1 once more. `order.info` says what an order is for."""

        def __init__(self) -> None:
            self.fills: list[Fill] = []
            self.resting: dict[tuple[int, int], Any] = {}  # (leg, rung) -> entry
            self.centre = self.width = 0.0
            self.grids = 0

        def next(self) -> None:
            close = self.data.close[0]
            if not self.grids or abs(close - self.centre) > w1_grid.RECENTRE * self.centre:
                for order in self.resting.values():
                    self.cancel(order)
                self.resting.clear()
                self.grids, self.centre, self.width = self.grids + 1, close, close * w1_grid.SPACING
                for leg in (0, 1):
                    for rung in range(w1_grid.STEPS):
                        self.enter(leg, rung)

        def enter(self, leg: int, rung: int) -> None:
            away = (rung + 1) * self.width * (-1 if leg == 0 else 1)
            self.resting[leg, rung] = self.order(leg, rung, ENTRY, self.centre + away)

        def order(self, leg: int, rung: int, role: int, price: float) -> Any:
            """Only an entry adds to its leg; a stop is the one that waits for a price to be passed."""
            place = self.buy if (leg == 0) == (role == ENTRY) else self.sell
            kind, qty = bt.Order.Stop if role == STOP else bt.Order.Limit, self.qty(rung)
            made = place(data=self.datas[leg], size=qty, price=float(int(price + 0.5)), exectype=kind)
            made.addinfo(leg=leg, rung=rung, role=role, grid=self.grids)
            return made

        def qty(self, rung: int) -> int:
            return int(w1_grid.QTY * w1_grid.GROWTH**rung / w1_grid.LOT + 0.5)

        def notify_order(self, order: Any) -> None:
            if order.status != order.Completed:
                assert order.status in (order.Submitted, order.Accepted, order.Canceled), order.getstatusname()
                return
            info, price = order.info, order.executed.price
            self.fills.append(Fill(len(self) - 1, info.leg, info.role, price, abs(order.executed.size)))
            if info.role == ENTRY:
                self.opened(info, price)
                return
            self.cancel(info.twin)
            if info.role == TAKE_PROFIT and info.grid == self.grids:
                self.enter(info.leg, info.rung)

        def opened(self, info: Any, price: float) -> None:
            """A lot and its two exits, each of which ends the other."""
            if info.grid == self.grids:
                del self.resting[info.leg, info.rung]
            good = self.width if info.leg == 0 else -self.width
            profit = self.order(info.leg, info.rung, TAKE_PROFIT, price + w1_grid.TAKE_PROFIT_STEPS * good)
            stop = self.order(info.leg, info.rung, STOP, price - w1_grid.STOP_STEPS * good)
            profit.addinfo(twin=stop)
            stop.addinfo(twin=profit)

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker.set_cash(1e15)
    for name in ("long", "short"):
        cerebro.adddata(Minutes(), name=name)
    cerebro.addstrategy(Grid)
    strategy = cerebro.run()[0]
    return strategy.fills, strategy.grids - 1


# --- both -----------------------------------------------------------------------------------------------------------------


def test_both_engines_fill_the_same_orders_at_the_same_prices(bars: list[Bar], monkeypatch: pytest.MonkeyPatch) -> None:
    mine, run = ours(bars, monkeypatch)
    yours, recentres = theirs(bars)
    assert sorted(mine) == sorted(yours)
    assert recentres == run.n[w1_grid.RECENTRES]
    roles = Counter(fill.role for fill in mine)
    assert roles[ENTRY] > 300 and roles[TAKE_PROFIT] > 150 and roles[STOP] > 50 and recentres > 5, roles
