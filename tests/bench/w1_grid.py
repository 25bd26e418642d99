"""W1's rules in the kernel dialect, on the shipped book, matching and ledger: functions on lists of numbers, so that plain Python
runs them and `research.compiled` compiles them unchanged.

A ticket says all of an order: grid, number of the entry, rung, leg and role. So an entry names its two exits, and no table of orders
is needed. Bars are one flat list, HIGH, LOW and CLOSE of each side by side: what a bar needs lies in one line of the processor's
memory. Prices are ticks, quantities lots, money USDT; a bar's number is its time.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from hedgegridd.kernel import book as rest
from hedgegridd.kernel import ledger, matching
from hedgegridd.kernel.book import ENTRY, HIGH, LOW, STOP, TAKE_PROFIT, Book, Terms
from hedgegridd.kernel.ledger import Books
from hedgegridd.kernel.matching import Tape
from hedgegridd.model import Array, Instrument

STEPS, SPACING, GROWTH, QTY = 10, 0.005, 1.1, 0.001
TAKE_PROFIT_STEPS, STOP_STEPS, RECENTRE = 2, 5, 0.05
FUNDING, FUNDING_EVERY, CASH = 0.0001, 480, 10_000.0
TICK, LOT = 0.1, 1e-6
ROWS = 256
FILL = int(matching.Kind.FILL)

# Columns of Run.n and Run.x.
ENTRIES, TAKE_PROFITS, STOPS, RECENTRES, GRID, PLACED = range(6)
CENTRE, STEP, PEAK, DEEPEST, AT_ZERO, A_TICK = range(6)


class Run(NamedTuple):
    """All that changes. `cells`: the ledger's books; `qty`: lots of each rung."""

    n: Array
    x: Array
    cells: Array
    qty: Array
    book: Book
    tape: Tape


def new_terms() -> Terms:
    """W1's instrument, and fills at a touch."""
    return rest.new_terms(Instrument(TICK, LOT, 1, 10**9, 10**9, 0.0, 2.0, 5.0, 1.0, 0.0), rest.Model.TOUCH, 0.0, 0.1)


def new_run() -> Run:
    """Before the first bar."""
    qty = [math.floor(QTY * GROWTH**rung / LOT + 0.5) for rung in range(STEPS)]
    return Run([0] * 6, [0.0] * 6, [0.0] * 7, qty, rest.new_book(ROWS), matching.new_tape(2 * ROWS + 8))


def begin(run: Run, terms: Terms, close: int) -> None:
    """The first grid."""
    run.x[PEAK] = CASH
    recentre(run, terms, close, 0)
    draw(run, terms)


def play(run: Run, terms: Terms, bars: Any, first: int, last: int) -> None:
    """Bars `first` to before `last`. Between two that touch something nothing can happen but that equity moves with the price."""
    edge, x = run.book.edge, run.x
    at = first
    while at < last:
        settles = at + FUNDING_EVERY - 1 - at % FUNDING_EVERY
        end = min(settles, last)
        reach = RECENTRE * x[CENTRE]
        below, above = max(edge[LOW], math.ceil(x[CENTRE] - reach)), min(edge[HIGH], math.floor(x[CENTRE] + reach))
        calm = untouched(bars[3 * at : 3 * end], end - at, below, above)
        if calm > 0:
            mark_calm(x, bars[3 * at : 3 * (at + calm)], calm, below, above)
        at += calm
        if at == last:
            return
        seen = bars[3 * at - 3 : 3 * at + 3]
        before, high, low, close = int(seen[2]), int(seen[3]), int(seen[4]), int(seen[5])
        if low <= edge[LOW] or high >= edge[HIGH]:
            fill(run, terms, matching.Move(before, before, low, high, -1, -1, 0.0, at - 1, 1), at)
        if abs(close - x[CENTRE]) > reach:
            run.n[RECENTRES] += 1
            recentre(run, terms, close, at)
        if at == settles:
            settle(run, terms, close)
        draw(run, terms)
        mark(x, x[AT_ZERO] + x[A_TICK] * close)
        at += 1


# --- equity at every bar --------------------------------------------------------------------------------------------------


def untouched(bars: Any, count: int, below: int, above: int) -> int:
    """How many bars come before the first whose low is not above `below` or whose high is not below `above`."""
    for at in range(count):
        if bars[3 * at + 1] <= below or bars[3 * at] >= above:
            return at
    return count


def mark_calm(x: Array, bars: Any, count: int, below: int, above: int) -> None:
    """Bars that touched nothing: equity is a line in the close, and all their closes lie between the triggers. Rounding keeps order,
    so where the line's ends make neither a peak nor a deeper fall, no bar between them does."""
    a, b = x[AT_ZERO], x[A_TICK]
    one, other = a + b * below, a + b * above
    peak, deepest = x[PEAK], x[DEEPEST]
    if max(one, other) <= peak and (peak - min(one, other)) / peak <= deepest:
        return
    for at in range(count):
        seen = a + b * bars[3 * at + 2]
        peak = max(peak, seen)
        deepest = max(deepest, (peak - seen) / peak)
    x[PEAK], x[DEEPEST] = peak, deepest


def mark(x: Array, seen: float) -> None:
    """Peak, and the deepest fall from it as a part of it."""
    x[PEAK] = max(x[PEAK], seen)
    x[DEEPEST] = max(x[DEEPEST], (x[PEAK] - seen) / x[PEAK])


def draw(run: Run, terms: Terms) -> None:
    """Equity as a + b x close, as long as nothing is filled."""
    books = books_of(run.cells)
    at_zero = equity(books, terms, 0.0)
    run.x[AT_ZERO], run.x[A_TICK] = at_zero, equity(books, terms, 1.0) - at_zero


def equity(books: Books, terms: Terms, close: float) -> float:
    """USDT."""
    return ledger.equity(CASH, 0.0, ledger.net(books), ledger.unrealized(books, terms.unit, close))


# --- fills ---------------------------------------------------------------------------------------------------------------


def fill(run: Run, terms: Terms, move: matching.Move, now: int) -> None:
    """Matching, then an answer to each of its fills. Exits that are withdrawn go with matching's next tidy: until then the nearest
    triggers look nearer than they are, at worst."""
    tape = run.tape
    keep_books(run.cells, matching.match(books_of(run.cells), run.book, terms, CASH, move, tape))
    for row in range(tape.count[0]):
        if tape.kind[row] == FILL:
            filled(run, terms, tape.ticket[row], tape.price[row], now)
    tape.count[0] = 0


def filled(run: Run, terms: Terms, ticket: int, price: int, now: int) -> None:
    """An entry gets its exits; an exit ends its twin, and a take-profit of this grid arms its rung again."""
    role, leg, rung = ticket % 4, ticket // 4 % 2, ticket // 8 % 16
    if role == ENTRY:
        run.n[ENTRIES] += 1
        step = run.x[STEP] if leg == 0 else -run.x[STEP]
        order(run, terms, ticket + TAKE_PROFIT, leg, TAKE_PROFIT, price + TAKE_PROFIT_STEPS * step, rung, now)
        order(run, terms, ticket + STOP, leg, STOP, price - STOP_STEPS * step, rung, now)
        return
    twin = rest.row_of(run.book, ticket - role + (STOP if role == TAKE_PROFIT else TAKE_PROFIT))
    if twin >= 0:
        rest.remove(run.book, twin)
    run.n[STOPS if role == STOP else TAKE_PROFITS] += 1
    if role == TAKE_PROFIT and ticket >> 32 == run.n[GRID]:
        enter(run, terms, leg, rung, now)


def enter(run: Run, terms: Terms, leg: int, rung: int, now: int) -> None:
    """Wish a rung."""
    run.n[PLACED] += 1
    away = (rung + 1) * run.x[STEP]
    price = run.x[CENTRE] - away if leg == 0 else run.x[CENTRE] + away
    order(run, terms, (run.n[GRID] << 32) + run.n[PLACED] * 128 + rung * 8 + leg * 4 + ENTRY, leg, ENTRY, price, rung, now)


def order(run: Run, terms: Terms, ticket: int, leg: int, role: int, price: float, rung: int, now: int) -> None:
    """Into the book."""
    rest.add(run.book, terms, ticket, leg, role, math.floor(price + 0.5), run.qty[rung], now, 0)


def recentre(run: Run, terms: Terms, close: int, now: int) -> None:
    """A new grid around this close; open lots keep their exits."""
    for row in range(run.book.count[0]):
        if run.book.role[row] == ENTRY:
            rest.remove(run.book, row)
    rest.tidy(books_of(run.cells), run.book, terms, CASH)
    run.n[GRID] += 1
    run.x[CENTRE], run.x[STEP] = float(close), close * SPACING
    for leg in (0, 1):
        for rung in range(STEPS):
            enter(run, terms, leg, rung, now)


def settle(run: Run, terms: Terms, close: int) -> None:
    """Both legs pay or receive funding."""
    books = books_of(run.cells)
    for leg in (0, 1):
        due = ledger.funding_due(ledger.held(books, leg), terms.unit, float(close), FUNDING, leg)
        books = ledger.pay_funding(books, due)
    keep_books(run.cells, books)


def books_of(cells: Array) -> Books:
    """Books out of their cells."""
    return Books(int(cells[0]), cells[1], int(cells[2]), cells[3], cells[4], cells[5], cells[6])


def keep_books(cells: Array, books: Books) -> None:
    """Books into their cells; a float holds lots exactly."""
    cells[0], cells[1], cells[2], cells[3] = books.long_qty, books.long_entry, books.short_qty, books.short_entry
    cells[4], cells[5], cells[6] = books.realized, books.fees, books.funding


def step(*_: Any) -> None:
    """Never called: `compiled.twins` asks a strategy for one."""
