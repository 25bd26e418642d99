"""W1, the reference workload, as a strategy of its own on the shipped matching and ledger, in plain Python.

Counts and equity must come out as the C kernel's; then its speed is told as a ratio to that kernel, run beside it. Needs the
shared folder's w1.py (and with it numpy and gcc); without them the same strategy runs on made-up bars and proves nothing.

    python tests/bench/w1.py [--quick]
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections import Counter
from collections.abc import Sequence
from types import ModuleType

import stage
from stage import Row

from hedgegridd.kernel import book, ledger, matching
from hedgegridd.model import Instrument, Role

STEPS, SPACING, GROWTH, QTY = 10, 0.005, 1.1, 0.001
TAKE_PROFIT_STEPS, STOP_STEPS, RECENTRE = 2, 5, 0.05
FUNDING, FUNDING_EVERY, CASH = 0.0001, 480, 10_000.0
TICK, LOT = 0.1, 1e-6
EXPECTED = {"entries": 4105, "take_profits": 2939, "stops": 1162, "recentres": 137}
EQUITY, WITHIN = 9_909.79, 0.05
COUNTED = {Role.ENTRY: "entries", Role.TAKE_PROFIT: "take_profits", Role.STOP: "stops"}
Bars = tuple[list[int], list[int], list[int]]  #: high, low, close in ticks


class Order:
    """What a ticket stands for: rung j of a leg, and for a lot's two exits the lot they close."""

    __slots__ = ("grid", "j", "leg", "lot", "role")

    def __init__(self, role: Role, leg: int, j: int, grid: int, lot: int = 0) -> None:
        self.role, self.leg, self.j, self.grid, self.lot = role, leg, j, grid, lot


class W1:
    """The strategy: it places into a shipped book, the shipped matching fills, the shipped ledger counts."""

    def __init__(self, first: int) -> None:
        instrument = Instrument(TICK, LOT, 1, 10**9, 10**9, 0.0, 2.0, 5.0, 1.0, 0.0)
        self.terms = book.new_terms(instrument, book.Model.TOUCH, 0.0, 0.1)
        self.book, self.tape, self.books = book.new_book(256), matching.new_tape(600), ledger.new_books()
        self.qty = [math.floor(QTY * GROWTH**j / LOT + 0.5) for j in range(STEPS)]
        self.orders: dict[int, Order] = {}
        self.exits: dict[int, tuple[int, int]] = {}  # ticket of an entry -> tickets of its take-profit and its stop
        self.rungs: dict[tuple[int, int], int] = {}  # (leg, j) -> ticket of its resting entry
        self.counts: Counter[str] = Counter()
        self.grid = self.tickets = 0
        self.centre = self.step = 0.0
        self.recentre(first, 0)

    def recentre(self, close: int, now: int) -> None:
        """A new grid around this close; open lots keep their exits."""
        for ticket in self.rungs.values():
            self.withdraw(ticket)
        book.tidy(self.books, self.book, self.terms, CASH)
        self.grid, self.centre, self.step = self.grid + 1, float(close), close * SPACING
        for leg in (0, 1):
            for j in range(STEPS):
                self.enter(leg, j, now)

    def enter(self, leg: int, j: int, now: int) -> None:
        """Wish a rung."""
        away = (j + 1) * self.step
        price = self.centre - away if leg == 0 else self.centre + away
        self.rungs[leg, j] = self.rest(Order(Role.ENTRY, leg, j, self.grid), price, now)

    def rest(self, order: Order, price: float, now: int) -> int:
        """Into the book, under a fresh ticket."""
        self.tickets += 1
        self.orders[self.tickets] = order
        book.add(self.book, self.terms, self.tickets, order.leg, order.role, math.floor(price + 0.5), self.qty[order.j], now, 0)
        return self.tickets

    def withdraw(self, ticket: int) -> None:
        """Out of the book, if it is still there."""
        row = book.row_of(self.book, ticket)
        if row >= 0:
            book.remove(self.book, row)

    def bar(self, before: int, low: int, high: int, now: int) -> None:
        """A bar that may touch something; `before` is the last close."""
        move = matching.Move(before, before, low, high, -1, -1, 0.0, now - 1, 1)
        self.books = matching.match(self.books, self.book, self.terms, CASH, move, self.tape)
        closed, rows = False, self.tape.count[0]
        self.tape.count[0] = 0
        for row in range(rows):
            if self.tape.kind[row] == matching.Kind.FILL:
                closed |= self.filled(self.tape.ticket[row], self.tape.price[row], now)
        if closed:
            book.tidy(self.books, self.book, self.terms, CASH)

    def filled(self, ticket: int, price: int, now: int) -> bool:
        """A fill: an entry gets its exits, an exit ends its twin. True where a lot was closed."""
        order = self.orders[ticket]
        self.counts[COUNTED[order.role]] += 1
        if order.role == Role.ENTRY:
            self.opened(ticket, order, price, now)
            return False
        take_profit, stop = self.exits.pop(order.lot)
        self.withdraw(stop if order.role == Role.TAKE_PROFIT else take_profit)
        if order.role == Role.TAKE_PROFIT and order.grid == self.grid:
            self.enter(order.leg, order.j, now)
        return True

    def opened(self, ticket: int, order: Order, price: int, now: int) -> None:
        """A lot: its take-profit two steps away, its stop five."""
        good = self.step if order.leg == 0 else -self.step
        take_profit = self.rest(Order(Role.TAKE_PROFIT, order.leg, order.j, order.grid, ticket), price + TAKE_PROFIT_STEPS * good, now)
        stop = self.rest(Order(Role.STOP, order.leg, order.j, order.grid, ticket), price - STOP_STEPS * good, now)
        self.exits[ticket] = take_profit, stop
        if order.grid == self.grid:
            del self.rungs[order.leg, order.j]

    def fund(self, close: int) -> None:
        """Both legs settle."""
        for leg in (0, 1):
            due = ledger.funding_due(ledger.held(self.books, leg), self.terms.unit, close, FUNDING, leg)
            self.books = ledger.pay_funding(self.books, due)

    def equity(self, close: float) -> float:
        """USDT."""
        marked = ledger.unrealized(self.books, self.terms.unit, close)
        return ledger.equity(CASH, 0.0, ledger.net(self.books), marked)

    def line(self) -> tuple[float, float]:
        """Equity as a + b x close, as long as nothing is filled: what it is at each quiet bar."""
        at_zero = self.equity(0.0)
        return at_zero, self.equity(1.0) - at_zero


def play(bars: Bars) -> tuple[W1, float, float]:
    """Every bar; the strategy, its equity at the end and its deepest drawdown (a fraction of the peak)."""
    highs, lows, closes = bars
    strategy, peak, deepest = W1(closes[0]), CASH, 0.0
    edge, reach = strategy.book.edge, RECENTRE * strategy.centre
    a, b = strategy.line()
    for i in range(1, len(closes)):
        close = closes[i]
        touched = lows[i] <= edge[book.LOW] or highs[i] >= edge[book.HIGH]
        if touched:
            strategy.bar(closes[i - 1], lows[i], highs[i], i)
        if abs(close - strategy.centre) > reach:
            strategy.counts["recentres"] += 1
            strategy.recentre(close, i)
            reach = RECENTRE * strategy.centre
        if (i + 1) % FUNDING_EVERY == 0:
            strategy.fund(close)
            touched = True
        if touched:
            a, b = strategy.line()
        equity = a + b * close
        if equity > peak:
            peak = equity
        elif (peak - equity) > deepest * peak:
            deepest = (peak - equity) / peak
    return strategy, strategy.equity(closes[-1]), deepest


def measure(quick: bool = False) -> list[Row]:
    """The year, and the C kernel beside it; or a few made-up days."""
    reference = None if quick else shared()
    if reference is None:
        made = list(stage.closes(2_000 if quick else 525_600, price=50_000.0))
        bars = [close + 20 for close in made], [close - 20 for close in made], made
    else:
        bars = in_ticks(reference.data())
    begun = time.perf_counter()
    strategy, equity, deepest = play(bars)
    speed = (len(bars[0]) - 1) / (time.perf_counter() - begun)
    row = Row("W1 on the shipped matching and ledger", speed, "bars/s", "", "plain Python; equity, peak and drawdown at every bar")
    if reference is None:
        return [row._replace(note="made-up bars: proves nothing")]
    if strategy.counts != EXPECTED or abs(equity - EQUITY) > WITHIN:
        raise RuntimeError(f"W1 came out as {dict(strategy.counts)} and {equity:.4f}, expected {EXPECTED} and {EQUITY}")
    kernel = reference.run(5)
    if abs(deepest - kernel["maxdd"]) > 1e-3:
        raise RuntimeError(f"W1's drawdown came out as {deepest}, the kernel's as {kernel['maxdd']}")
    return [
        row,
        Row("W1 / C kernel", speed / kernel["bars_per_s"], "x", "0.3 compiled", "same run; a compiled path comes with a later issue"),
        Row("W1 equity at the end", equity, "USDT", f"{EQUITY:,.2f}", f"counts {'/'.join(map(str, EXPECTED.values()))}, as expected"),
    ]


def shared() -> ModuleType | None:
    """The reference, where it is there and can run."""
    path = stage.SHARED / "bench/w1.py"
    if not path.is_file() or importlib.util.find_spec("numpy") is None:
        return None
    spec = importlib.util.spec_from_file_location("w1_reference", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_ticks(data: Sequence[object]) -> Bars:
    """The reference's arrays as lists of ticks."""
    _, high, low, close = ([round(value / TICK) for value in column.tolist()] for column in data)  # type: ignore[attr-defined]
    return high, low, close


if __name__ == "__main__":
    stage.main(measure)
