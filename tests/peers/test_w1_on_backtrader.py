"""W1's grid by an engine that others wrote: every fill of ours is one of backtrader's, and the other way round.

Optional: `pip install 'hedgegridd[peers]'`. backtrader was chosen among five because it needs the least explaining: it depends on
nothing, is installed in a second, matches resting limit and stop orders one by one, and knows a position for each data feed, so that
the same bars under two names are the two legs of a hedge. (vectorbt keeps no resting orders, hftbacktest no stops, backtesting.py ties
the exits to their entry, nautilus_trader is 300 MB with its own clock of sub-bar prices. tests/bench/peers.py compares what all five
come to.)

The rules of W1 are written a second time in `backtrader_w1` and `w1_rules`, and share nothing with ours. Where the two engines' models
differ, and why it cannot show here:

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
from collections import Counter
from pathlib import Path
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


@pytest.fixture(autouse=True)
def as_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peers' scripts import each other as such."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


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
    from peers import backtrader_w1

    fills: list[Fill] = []
    _, rules, _ = backtrader_w1.play(bars, lambda *fill: fills.append(Fill(*fill)))
    return fills, rules.counts["recentres"]


# --- both -----------------------------------------------------------------------------------------------------------------


def test_both_engines_fill_the_same_orders_at_the_same_prices(bars: list[Bar], monkeypatch: pytest.MonkeyPatch) -> None:
    mine, run = ours(bars, monkeypatch)
    yours, recentres = theirs(bars)
    assert sorted(mine) == sorted(yours)
    assert recentres == run.n[w1_grid.RECENTRES]
    roles = Counter(fill.role for fill in mine)
    assert roles[ENTRY] > 300 and roles[TAKE_PROFIT] > 150 and roles[STOP] > 50 and recentres > 5, roles
