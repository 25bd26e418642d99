"""What the exchange said and the market did, taken in: `heart.on_exchange` and `heart.on_market` in numbers.

One law: facts only; thought and orders come after, in `turn`. Kernel dialect.
"""

from __future__ import annotations

import math

from hedgegridd.kernel import diff, ledger
from hedgegridd.kernel.book import CLOSE, STOP
from hedgegridd.kernel.ledger import Books
from hedgegridd.model import Moment
from hedgegridd.research.fast import gate, pit, refusals
from hedgegridd.research.fast import shapes as s
from hedgegridd.research.fast.shapes import Events, Run, Setup, books_of, keep_books
from hedgegridd.research.fast.told import log

FLATTEN_RETRY_MAX_MS = 5_000
UNSURE = -2
FILL, RESET, LOOK = int(Moment.FILL), int(Moment.RESET), int(Moment.LOOK)


def revalue(setup: Setup, run: Run) -> None:
    """A price or position moved: equity follows, and every breaker looks."""
    x, books = run.x, books_of(run.heart)
    x[s.NET] = ledger.net(books)
    x[s.MARKED] = 0.0 if math.isnan(x[s.MARK]) else ledger.unrealized(books, setup.terms.unit, x[s.MARK])
    x[s.WALLET] = ledger.wallet(setup.start_usdt, 0.0, x[s.NET])
    equity = x[s.WALLET] + x[s.MARKED]
    x[s.EQUITY] = equity
    if equity > x[s.SESSION_PEAK]:
        x[s.SESSION_PEAK] = equity
    if equity > x[s.DAY_PEAK]:
        x[s.DAY_PEAK] = equity
    run.n[s.DIRTY] = 1


def moved(run: Run, known: bool) -> None:
    """An order's state changed. `known`: the last comparison has found already what one would find now."""
    n = run.n
    n[s.DIRTY] = n[s.TIDY] = n[s.CHANGED] = 1
    n[s.WEIGHED] = 0
    if not known:
        n[s.STIRRED], n[s.COMPARED] = 1, 0


def reason(run: Run, moment: int, leg: int, role: int, price: int, qty: int) -> None:
    """Let the strategy look, once risk has looked."""
    at, thought = run.n[s.THOUGHTS], run.thought
    thought.moment[at], thought.leg[at], thought.role[at], thought.price[at], thought.qty[at] = moment, leg, role, price, qty
    run.n[s.THOUGHTS] = at + 1


# --- the market ---------------------------------------------------------------------------------------------------------


def see_bar(run: Run, events: Events, at: int) -> None:
    """The desk's picture of the market after a bar."""
    n = run.n
    n[s.OPEN], n[s.HIGH], n[s.LOW], n[s.CLOSE], n[s.VOLUME] = (
        events.open[at], events.high[at], events.low[at], events.close[at], events.volume[at])  # fmt: skip
    n[s.SEEN], n[s.TRADED], n[s.HAS_BAR] = events.time[at], events.close[at], 1
    run.x[s.MARK] = float(events.close[at])


def bar(setup: Setup, run: Run, events: Events, at: int) -> None:
    """A bar completed."""
    see_bar(run, events, at)
    run.n[s.BARS] += 1
    revalue(setup, run)


def market(run: Run, kind: int, events: Events, at: int) -> None:
    """Funding, the end of a window, what is known of funding where one begins, the end of the feed."""
    n = run.n
    if kind == s.SEE_FUNDING:
        run.x[s.RATE], n[s.FUNDING_MS] = events.rate[at], events.volume[at]
        n[s.NEXT_FUNDING] = events.time[at] + events.volume[at]
        n[s.DIRTY] = 1
    elif kind == s.SEE_GAP:
        n[s.SEEN] = events.time[at]
        log(run, s.L_GAP, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0)
        reason(run, RESET, 0, 0, 0, 0)
    elif kind == s.SEE_OUTLOOK:
        run.x[s.RATE], n[s.NEXT_FUNDING] = events.rate[at], events.volume[at]
        n[s.DIRTY] = 1
    else:
        n[s.STOPPED] = 1
        gate.drop_waiting(run)


# --- the exchange -------------------------------------------------------------------------------------------------------


def exchange(setup: Setup, run: Run, kind: int, place: int) -> None:
    """One saying of the exchange."""
    inbox = run.inbox
    ticket, more = inbox.ticket[place], inbox.more[place]
    if kind == s.FILLED:
        filled(setup, run, place)
        return
    if kind == s.PAID:
        paid(setup, run, inbox.leg[place], inbox.fee[place])
        return
    row = pit.find(run.orders, ticket)
    if row < 0 or run.orders.mine[row] == 0:
        return
    if kind == s.ACCEPTED:
        accepted(setup, run, row)
    elif kind == s.REJECTED:
        rejected(setup, run, row, more)
    elif kind == s.AMENDED:
        run.orders.qty[row], run.orders.ending[row] = inbox.qty[place], 0
        moved(run, serves(setup, run, row))
    elif more == pit.NOT_KNOWN:
        run.n[s.BAIL] = s.BAIL_UNKNOWN_ORDER
    else:
        known = run.orders.ending[row] == 1 and spare(run, row)
        run.orders.mine[row] = run.orders.ending[row] = 0
        log(run, s.L_CANCELLED, ticket, 0, 0, 0, 0, 0, more, 0.0, 0.0)
        moved(run, known)


def accepted(setup: Setup, run: Run, row: int) -> None:
    """It rests."""
    orders = run.orders
    if orders.state[row] == s.LIVE:
        return
    orders.state[row] = s.LIVE
    refusals.pardon(run.refusals, orders.leg[row], orders.role[row], orders.price[row])
    log(run, s.L_ACCEPTED, orders.ticket[row], 0, 0, 0, 0, 0, 0, 0.0, 0.0)
    if not foreseen(setup, run, row):
        moved(run, False)


def foreseen(setup: Setup, run: Run, row: int) -> bool:
    """Since an order last changed, have the guards looked, and did a comparison find this one to be what is wished? Then that it rests
    now changes nothing that either looks at."""
    return bool(run.n[s.WEIGHED] == 1 and run.n[s.DIRTY] == 0 and serves(setup, run, row))


def serves(setup: Setup, run: Run, row: int) -> bool:
    """Did the last comparison, since when no order but those like it changed, find nothing to do, and this one, no stop, to be what is
    wished? Then one that knows it to rest finds the same."""
    rung = server_of(run, row)
    if rung < 0:
        return False
    wanted, remaining = run.wanted.qty[rung], run.orders.qty[row] - run.orders.filled[row]
    return bool(abs(remaining - wanted) * 100.0 <= setup.qty_tolerance_pct * wanted)


def spare(run: Run, row: int) -> bool:
    """Did that comparison find this one, no stop, to serve nothing, its cancel on its way? Then one without it finds the same."""
    return server_of(run, row) == diff.FREE


def server_of(run: Run, row: int) -> int:
    """The row of the wish that an order served when last compared, or FREE; UNSURE where that does not hold for certain."""
    n, role = run.n, run.orders.role[row]
    if n[s.COMPARED] == 0 or n[s.STIRRED] == 1 or n[s.FLATTENING] == 1 or run.plan.count[0] > 0 or role == STOP or role == CLOSE:
        return UNSURE
    return int(run.plan.serves[run.orders.at[row]])


def rejected(setup: Setup, run: Run, row: int, code: int) -> None:
    """It never rested or, for an amend, rests as it was."""
    orders, n = run.orders, run.n
    leg, role, price = orders.leg[row], orders.role[row], orders.price[row]
    amending = 1 if orders.ending[row] == 1 and orders.state[row] == s.LIVE else 0
    log(run, s.L_REJECTED, orders.ticket[row], 0, 0, amending, 0, orders.qty[row], code, 0.0, 0.0)
    orders.ending[row] = 0
    if amending == 0:
        orders.mine[row] = 0
    refusals.refuse(run, leg, role, price)
    if not part_of_the_trade(code):
        if n[s.ERRORS_LAST] - n[s.ERRORS_FIRST] >= s.ERRORS:
            n[s.BAIL] = s.BAIL_ERRORS
        run.errors[n[s.ERRORS_LAST] % s.ERRORS] = n[s.NOW]
        n[s.ERRORS_LAST] += 1
    gate.touched(run)
    if role == CLOSE:
        if n[s.FLATTENING] == 1:
            n[s.RETRY_AT] = n[s.NOW] + n[s.RETRY_MS]
            n[s.RETRY_MS] = min(2 * n[s.RETRY_MS], FLATTEN_RETRY_MAX_MS)
        pit.report(run)
    elif code == -2021 and gate.count_leg(run, leg, STOP) == 0:
        gate.close_leg(setup, run, leg, ledger.held(books_of(run.heart), leg))
    moved(run, False)


def part_of_the_trade(code: int) -> bool:
    """Refusals that are no fault of ours: `heart.on_exchange.NOT_ERRORS`."""
    return code == -5022 or code == -2011 or code == -2013 or code == -2021 or code == -2022 or code == -4118 or code == -4509


def filled(setup: Setup, run: Run, place: int) -> None:
    """Money moved. A ticket of 0 is a liquidation: openers stop for good, as nobody is there to look."""
    inbox, orders, n = run.inbox, run.orders, run.n
    ticket, leg, side, price, qty = inbox.ticket[place], inbox.leg[place], inbox.side[place], inbox.price[place], inbox.qty[place]
    fee, more, role, rung = inbox.fee[place], inbox.more[place], CLOSE, 0
    if ticket > 0:
        row = pit.find(orders, ticket)
        role, rung = orders.role[row], orders.price[row]
        if orders.mine[row] == 1:
            count_fill(run, row, qty)
    books = books_of(run.heart)
    if qty > ledger.held(books, leg) and not pit.opens(leg, side):
        n[s.BAIL] = s.BAIL_STRANGER
        return
    before = books.realized
    gate.touched(run)
    books = ledger.fill(books, setup.terms.unit, leg, side, price, qty, fee)
    keep_books(run.heart, books)
    run.x[s.MARK] = float(price)
    n[s.COUNT_FILLS] += 1
    n[s.COUNT_MAKERS] += more % 2
    log(run, s.L_FILL, ticket, leg, role, side, price, qty, more, fee, books.realized - before)
    revalue(setup, run)
    if ticket == 0:
        n[s.HALTED] = 1
        pit.report(run)
    reason(run, FILL, leg, role, rung, qty)


def count_fill(run: Run, row: int, qty: int) -> None:
    """An open order executed: it is over when all of it has, but for a stop, whose end the exchange tells."""
    orders = run.orders
    done = orders.filled[row] + qty
    orders.filled[row] = done
    run.n[s.TIDY] = 1
    gate.touched(run)
    if done >= orders.qty[row] and orders.role[row] != STOP:
        orders.mine[row] = orders.ending[row] = 0
    elif orders.state[row] == s.SENT:
        orders.state[row] = s.LIVE


def paid(setup: Setup, run: Run, leg: int, amount: float) -> None:
    """Funding was booked on a leg; a settlement counts once."""
    n = run.n
    if n[s.X_NOW] <= n[s.PAID_AT + leg]:
        return
    n[s.PAID_AT + leg] = n[s.X_NOW]
    books: Books = ledger.pay_funding(books_of(run.heart), amount)
    keep_books(run.heart, books)
    log(run, s.L_PAID, 0, leg, 0, 0, 0, 0, 0, amount, 0.0)
    revalue(setup, run)


def report(run: Run, place: int) -> None:
    """The exchange's picture: a start is over, or a flatten is judged. Nothing can differ where nothing gets lost."""
    n, inbox = run.n, run.inbox
    n[s.UNSETTLED] = 0
    if n[s.FLATTENING] == 1 and n[s.PHASE] == s.VERIFYING and n[s.FLAT_ASKED] != 0:
        if inbox.qty[place] > 0 or inbox.more[place] > 0:
            n[s.FLAT_ASKED] = 0
        else:
            n[s.FLATTENING], n[s.PHASE] = 0, s.NOTHING
            log(run, s.L_FLAT, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0)
            reason(run, LOOK, 0, 0, 0, 0)
            n[s.WANT_DURABLE] = 1
    n[s.DIRTY] = 1
