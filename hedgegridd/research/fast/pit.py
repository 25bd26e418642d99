"""The paper exchange of one symbol, in numbers: what `plugins/exchange_paper.py` does with names, done with rows.

One law: it decides nothing. What may rest, what fills and for how much is in `kernel.book`, `kernel.matching` and `kernel.ledger`,
as for the plugin; here calls become sayings in the inbox, in the plugin's order. Kernel dialect.
"""

from __future__ import annotations

import math

from hedgegridd.kernel import book as rest
from hedgegridd.kernel import ledger, matching
from hedgegridd.kernel.book import CLOSE, STOP
from hedgegridd.kernel.ledger import Books
from hedgegridd.kernel.matching import Kind
from hedgegridd.model import entry_side
from hedgegridd.research.fast.shapes import (
    ACCEPTED,
    AMENDED,
    BAIL,
    BAIL_FULL_INBOX,
    CANCELLED,
    FILLED,
    PAID,
    REJECTED,
    REPORT,
    SAYINGS,
    X_NOW,
    Orders,
    Run,
    Setup,
    books_of,
    keep_books,
)

BY_US = -1  #: why an order rests no more, beside the kinds of `matching.Kind`
NOT_KNOWN = -2
NO_SUCH_ORDER = -2013


def say(run: Run, kind: int, ticket: int, leg: int, side: int, price: int, qty: int, more: int, fee: float) -> None:
    """Put a saying where the heart will take it."""
    inbox = run.inbox
    at = inbox.span[1]
    if at >= SAYINGS:
        run.n[BAIL] = BAIL_FULL_INBOX
        return
    inbox.kind[at], inbox.ticket[at], inbox.leg[at], inbox.side[at] = kind, ticket, leg, side
    inbox.price[at], inbox.qty[at], inbox.more[at], inbox.fee[at] = price, qty, more, fee
    inbox.span[1] = at + 1


def find(orders: Orders, ticket: int) -> int:
    """The row of an order, or -1. Orders are sorted by ticket."""
    low, high = 0, orders.count[0] - 1
    while low <= high:
        middle = (low + high) // 2
        if orders.ticket[middle] == ticket:
            return int(middle)
        if orders.ticket[middle] < ticket:
            low = middle + 1
        else:
            high = middle - 1
    return -1


def spare(setup: Setup) -> float:
    """What the rest of the account lends this symbol before it is liquidated: there is no other symbol."""
    return ledger.wallet(setup.start_usdt, 0.0, 0.0)


def room(run: Run, setup: Setup) -> float:
    """Equity less all initial margin bound, USDT."""
    books, mark, unit = books_of(run.pit), run.book.mark[0], setup.terms.unit
    marked = 0.0 if math.isnan(mark) else ledger.unrealized(books, unit, mark)
    equity = ledger.equity(setup.start_usdt, 0.0, ledger.net(books), marked)
    return equity - rest.bound_margin(run.book, books, setup.terms)


def place(run: Run, setup: Setup, row: int, free: float) -> bool:
    """A new order: it rests, or is refused; a CLOSE is filled at once. `free` margin is asked of entries alone."""
    orders, terms = run.orders, setup.terms
    leg, role, price, qty = orders.leg[row], orders.role[row], orders.price[row], orders.qty[row]
    ticket, side, books = orders.ticket[row], rest.order_side(leg, role), books_of(run.pit)
    code = rest.refusal(run.book, books, terms, leg, role, side, price, qty, free) + 0  # a plain number
    if code != 0:
        say(run, REJECTED, ticket, leg, side, price, qty, code, 0.0)
        return False
    orders.rests[row], orders.there[row], orders.done[row] = 1, qty, 0
    if role != CLOSE:
        rest.add(run.book, terms, ticket, leg, role, price, qty, run.n[X_NOW] + setup.latency_ms, 1)
    say(run, ACCEPTED, ticket, leg, side, price, qty, 0, 0.0)
    if role == CLOSE:
        publish(run, matching.close(books, run.book, terms, spare(setup), ticket, leg, qty, run.tape))
    return True


def place_openers(run: Run, setup: Setup, first: int, last: int) -> None:
    """The marked orders from row `first` to before `last`, each with the margin that those before it left free."""
    orders, free, asked = run.orders, 0.0, False
    for row in range(first, last):
        if orders.there[row] == LEAVING:
            if not asked:
                free, asked = room(run, setup), True
            orders.there[row] = 0
            if place(run, setup, row, free):
                free -= rest.margin(setup.terms, orders.price[row], orders.qty[row])


LEAVING = -1  #: in `Orders.there`: an opener on its way out


def amend(run: Run, setup: Setup, row: int, qty: int) -> None:
    """Another whole quantity; what is no more than filled already ends the order."""
    orders, terms = run.orders, setup.terms
    ticket, role = orders.ticket[row], orders.role[row]
    if orders.rests[row] == 0 or role == STOP:
        say(run, REJECTED, ticket, orders.leg[row], 0, orders.price[row], qty, NO_SUCH_ORDER, 0.0)
        return
    books, done = books_of(run.pit), orders.done[row]
    if qty <= done:
        withdraw(run, row)
        rest.tidy(books, run.book, terms, spare(setup))
        return
    at = rest.row_of(run.book, ticket)
    code = rest.amend_refusal(run.book, books, terms, at, qty, qty - done, room(run, setup)) + 0
    if code != 0:
        say(run, REJECTED, ticket, orders.leg[row], 0, orders.price[row], qty, code, 0.0)
        return
    rest.resize(run.book, terms, at, qty - done)
    orders.there[row] = qty
    rest.tidy(books, run.book, terms, spare(setup))
    say(run, AMENDED, ticket, orders.leg[row], 0, orders.price[row], qty, 0, 0.0)


def withdraw(run: Run, row: int) -> None:
    """Take an order out; `tidy` afterwards. One that does not rest any more is not known."""
    orders = run.orders
    ticket = orders.ticket[row]
    if orders.rests[row] == 0:
        say(run, CANCELLED, ticket, 0, 0, 0, 0, NOT_KNOWN, 0.0)
        return
    rest.remove(run.book, rest.row_of(run.book, ticket))
    orders.rests[row] = 0
    say(run, CANCELLED, ticket, 0, 0, 0, 0, BY_US, 0.0)


def tidy(run: Run, setup: Setup) -> None:
    """After orders were withdrawn."""
    rest.tidy(books_of(run.pit), run.book, setup.terms, spare(setup))


def report(run: Run) -> None:
    """The account's own picture: is anything held, and how many orders rest."""
    books, resting = books_of(run.pit), 0
    for row in range(run.orders.count[0]):
        resting += run.orders.rests[row]
    say(run, REPORT, 0, 0, 0, 0, books.long_qty + books.short_qty, resting, 0.0)


# --- what the market does -----------------------------------------------------------------------------------------------


def passes(run: Run, time: int, high: int, low: int, close: int, volume: int) -> bool:
    """A bar that touches no order, seen. False = it may touch one, and is still to be seen."""
    if not rest.quiet(run.book, low, high):
        return False
    if time > run.n[X_NOW]:
        run.n[X_NOW] = time
    rest.see_price(run.book, close, volume)
    return True


def see_bar(run: Run, setup: Setup, time: int, opened: int, high: int, low: int, close: int, volume: int) -> None:
    """A bar: fills, then prices as it left them."""
    if time > run.n[X_NOW]:
        run.n[X_NOW] = time
    move = matching.bar_move(setup.terms, time - setup.interval_ms, opened, low, high, volume)
    publish(run, matching.match(books_of(run.pit), run.book, setup.terms, spare(setup), move, run.tape))
    rest.see_price(run.book, close, volume)


def settle(run: Run, setup: Setup, time: int, rate: float) -> None:
    """A funding settlement, at the mark; before any price is known, at the entry."""
    if time > run.n[X_NOW]:
        run.n[X_NOW] = time
    books, unit = books_of(run.pit), setup.terms.unit
    for leg in (0, 1):
        qty = ledger.held(books, leg)
        if qty > 0:
            mark = ledger.entry(books, leg) if math.isnan(run.book.mark[0]) else run.book.mark[0]
            amount = ledger.funding_due(qty, unit, mark, rate, leg)
            books = ledger.pay_funding(books, amount)
            say(run, PAID, 0, leg, 0, 0, 0, 0, amount)
    keep_books(run.pit, books)
    rest.tidy(books, run.book, setup.terms, spare(setup))


def publish(run: Run, books: Books) -> None:
    """Tell what is on the tape, in its order."""
    keep_books(run.pit, books)
    tape, orders = run.tape, run.orders
    for at in range(tape.count[0]):
        kind, ticket = tape.kind[at], tape.ticket[at]
        leg, side, price, qty = tape.leg[at], tape.side[at], tape.price[at], tape.qty[at]
        row = find(orders, ticket)
        if kind == Kind.FILL:
            orders.done[row] += qty
            if orders.role[row] != STOP and orders.done[row] >= orders.there[row]:
                orders.rests[row] = 0
            say(run, FILLED, ticket, leg, side, price, qty, 2 * orders.done[row] + tape.maker[at], tape.fee[at])
        elif kind == Kind.LIQUIDATION:
            say(run, FILLED, 0, leg, side, price, qty, 2 * qty, tape.fee[at])
        else:
            orders.rests[row] = 0
            say(run, CANCELLED, ticket, 0, 0, 0, 0, kind, 0.0)
    tape.count[0] = 0


def opens(leg: int, side: int) -> bool:
    """Does this side open the leg?"""
    return side == entry_side(leg)
