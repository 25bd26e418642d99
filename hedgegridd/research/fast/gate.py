"""The one door in numbers: what may open (`heart.gate`), and how orders are made, amended, cancelled and let go.

One law: nothing is placed but through `place`, and an entry passes every rule of the heart's gate, by the same figures. Kernel
dialect.
"""

from __future__ import annotations

from hedgegridd.kernel import measures
from hedgegridd.kernel.book import CLOSE, ENTRY, STOP, TAKE_PROFIT, order_side
from hedgegridd.kernel.ledger import Books
from hedgegridd.research.fast import panel, pit, refusals
from hedgegridd.research.fast import shapes as s
from hedgegridd.research.fast.shapes import Run, Setup, books_of
from hedgegridd.research.fast.told import log

KILL_HOLD, STOP_HOLD, START_HOLD = 1 << 40, 1 << 41, 1 << 42


def hold(run: Run) -> int:
    """Why no opener may rest anywhere: another number is another reason, 0 = openers may."""
    n = run.n
    if n[s.KILLED] == 1:
        return int(KILL_HOLD + n[s.KILL_LEVEL])
    if n[s.STOPPED] == 1:
        return STOP_HOLD
    if n[s.UNSETTLED] == 1:
        return START_HOLD
    return panel.hold(run.guards)


def touched(run: Run) -> None:
    """An open order is not what it was: sums, and what was last made of them, hold no more."""
    run.n[s.CHANGED] = 1
    under_way(run)


def under_way(run: Run) -> None:
    """An open order is on another way, and comes to the same sums."""
    run.n[s.COMPARED], run.n[s.WEIGHED] = 0, 0


# --- what the open orders come to -----------------------------------------------------------------------------------------


def tally(run: Run, setup: Setup) -> None:
    """Sum up the open orders, if one of them changed."""
    if run.n[s.CHANGED] == 1:
        sum_up(run, setup.terms.unit)


def sum_up(run: Run, unit: float) -> None:
    """How many entries rest or are in flight and what they are worth, the trigger of each leg's resting stop, and whether a leg is being
    closed. The sums are made on their own, not in their places, which would wait for each other."""
    n, orders = run.n, run.orders
    entries, entries_short, openers, openers_short = 0, 0, 0.0, 0.0
    for leg in (0, 1):
        n[s.STOP_AT + leg] = n[s.CLOSING + leg] = 0
    for row in range(orders.count[0]):
        if orders.mine[row] == 1:
            short, role = orders.leg[row] == 1, orders.role[row]
            if role == ENTRY:
                worth = (orders.qty[row] - orders.filled[row]) * orders.price[row] * unit
                entries, entries_short = entries + (0 if short else 1), entries_short + (1 if short else 0)
                openers, openers_short = openers + (0.0 if short else worth), openers_short + (worth if short else 0.0)
            elif role != TAKE_PROFIT:
                count_closer(run, row)
    n[s.ENTRIES], n[s.ENTRIES_SHORT], run.x[s.OPENERS], run.x[s.OPENERS_SHORT] = entries, entries_short, openers, openers_short
    n[s.CHANGED] = 0


def count_closer(run: Run, row: int) -> None:
    """A stop, or a close at once."""
    n, leg = run.n, run.orders.leg[row]
    n[s.CLOSING + leg] = 1
    if run.orders.role[row] == STOP and run.orders.state[row] == s.LIVE and n[s.STOP_AT + leg] == 0:
        n[s.STOP_AT + leg] = run.orders.price[row]


def count_in(setup: Setup, run: Run, leg: int, role: int, price: int, qty: int) -> None:
    """A new order, the last in every sum, where these hold."""
    n = run.n
    if n[s.CHANGED] == 1:
        return
    if role == ENTRY:
        n[s.ENTRIES + leg] += 1
        run.x[s.OPENERS + leg] += qty * price * setup.terms.unit
    elif role != TAKE_PROFIT:
        n[s.CLOSING + leg] = 1


def any_mine(run: Run) -> bool:
    """Is any order open?"""
    orders = run.orders
    for row in range(orders.count[0] - 1, -1, -1):
        if orders.mine[row] == 1:
            return True
    return False


def count_leg(run: Run, leg: int, role: int) -> int:
    """The open orders of a leg and role."""
    orders, found = run.orders, 0
    for row in range(orders.count[0]):
        if orders.mine[row] == 1 and orders.leg[row] == leg and orders.role[row] == role:
            found += 1
    return found


def count_roles(run: Run, one: int, two: int, three: int) -> int:
    """The open orders of both legs with one of these roles."""
    orders, found = run.orders, 0
    for row in range(orders.count[0]):
        role = orders.role[row]
        if orders.mine[row] == 1 and (role == one or role == two or role == three):
            found += 1
    return found


def closing_qty(run: Run, leg: int) -> int:
    """Lots that market orders on their way will close."""
    orders, lots = run.orders, 0
    for row in range(orders.count[0]):
        if orders.mine[row] == 1 and orders.leg[row] == leg and orders.role[row] == CLOSE:
            lots += orders.qty[row] - orders.filled[row]
    return lots


# --- may this one open? -------------------------------------------------------------------------------------------------


def refuses(setup: Setup, run: Run, leg: int, price: int, qty: int) -> bool:
    """Does this opener break a limit? The rules of `heart.gate`; nobody asks which one spoke first, so the dearest is asked last."""
    tally(run, setup)
    books, x, equity = books_of(run.heart), run.x, run.x[s.EQUITY]
    notional = qty * price * setup.terms.unit
    long_usdt, short_usdt = panel.held_usdt(books, run, setup, 0), panel.held_usdt(books, run, setup, 1)
    total = measures.leg_usdt(short_usdt if leg == 1 else long_usdt, x[s.OPENERS + leg], notional)
    if not total < setup.max_position_usdt or not equity > 0.0:
        return True
    share = measures.share_pct(total, equity)
    if not share <= setup.max_position_pct or not share <= setup.own_position_pct:
        return True
    gross = 0.0 + (long_usdt + x[s.OPENERS]) + (short_usdt + x[s.OPENERS_SHORT])
    if not measures.share_pct(gross + notional, equity) <= setup.max_exposure_pct:
        return True
    if not measures.share_pct(at_risk(setup, run, leg, price, qty, notional), equity) <= setup.max_risk_pct:
        return True
    if too_many_legs(setup, run, books, leg) or lacks_margin(setup, run, long_usdt, short_usdt, notional):
        return True
    return has_order(run, leg, price)


def has_order(run: Run, leg: int, price: int) -> bool:
    """Is an entry of ours open at this rung?"""
    orders = run.orders
    for row in range(orders.count[0]):
        if orders.price[row] == price and orders.leg[row] == leg and orders.role[row] == ENTRY and orders.mine[row] == 1:
            return True
    return False


def at_risk(setup: Setup, run: Run, leg: int, price: int, qty: int, notional: float) -> float:
    """What the order loses at its leg's stop, or at the emergency stop where none rests yet."""
    stop = run.n[s.STOP_AT + leg]
    if stop == 0:
        return measures.stop_loss_usdt(notional, setup.emergency_pct)
    return measures.stop_distance_usdt(price, stop, qty, setup.terms.unit)


def too_many_legs(setup: Setup, run: Run, books: Books, leg: int) -> bool:
    """A trade is a leg."""
    n = run.n
    long_used = books.long_qty > 0 or n[s.ENTRIES] > 0 or leg == 0
    short_used = books.short_qty > 0 or n[s.ENTRIES_SHORT] > 0 or leg == 1
    used = (1 if long_used else 0) + (1 if short_used else 0)
    return used > setup.max_open_trades


def lacks_margin(setup: Setup, run: Run, long_usdt: float, short_usdt: float, notional: float) -> bool:
    """Initial margin of everything, and of this one, beyond equity?"""
    leverage = setup.terms.instrument.leverage
    needed = 0.0 + measures.initial_usdt(long_usdt, run.x[s.OPENERS], leverage)
    needed += measures.initial_usdt(short_usdt, run.x[s.OPENERS_SHORT], leverage)
    return not needed + notional / leverage <= run.x[s.EQUITY]


# --- orders -------------------------------------------------------------------------------------------------------------


def place(setup: Setup, run: Run, leg: int, role: int, price: int, qty: int) -> None:
    """A new order: an entry waits for the disk, everything else leaves at once."""
    if role == ENTRY and refuses(setup, run, leg, price, qty):
        return
    orders, n = run.orders, run.n
    row = orders.count[0]
    if row >= s.ORDERS:
        n[s.BAIL] = s.BAIL_FULL_ORDERS
        return
    n[s.GENERATION] += 1
    n[s.COUNT_ORDERS] += 1
    under_way(run)
    orders.ticket[row], orders.leg[row], orders.role[row], orders.price[row] = n[s.GENERATION], leg, role, price
    orders.qty[row], orders.filled[row], orders.ending[row], orders.mine[row] = qty, 0, 0, 1
    orders.rests[row], orders.there[row], orders.done[row] = 0, 0, 0
    orders.state[row] = s.PENDING if role == ENTRY else s.SENT
    orders.count[0] = row + 1
    count_in(setup, run, leg, role, price, qty)
    log(run, s.L_ORDER, n[s.GENERATION], leg, role, order_side(leg, role), price, qty, 0, 0.0, 0.0)
    if role == ENTRY:
        n[s.WANT_DURABLE] = 1
    else:
        pit.place(run, setup, row, 0.0)


def release(setup: Setup, run: Run) -> None:
    """Openers whose intent is on the disk leave, if the gate still lets them."""
    orders, n = run.orders, run.n
    last, leaving = orders.count[0], False
    held_back = hold(run) != 0 or n[s.HALTED] == 1 or n[s.PAUSED_BY] != 0
    for row in range(last):
        if orders.mine[row] == 1 and orders.state[row] == s.PENDING:
            if held_back:
                drop(run, row)
            else:
                orders.state[row], orders.there[row], leaving = s.SENT, pit.LEAVING, True
                under_way(run)
    if leaving:
        pit.place_openers(run, setup, 0, last)


def drop(run: Run, row: int) -> None:
    """What never left the house."""
    run.orders.mine[row] = run.orders.ending[row] = 0
    touched(run)
    run.n[s.TIDY] = 1
    log(run, s.L_WITHDRAWN, run.orders.ticket[row], 0, 0, 0, 0, 0, 0, 0.0, 0.0)


def drop_waiting(run: Run) -> None:
    """Openers that still wait for the disk never leave."""
    for row in range(run.orders.count[0]):
        if run.orders.mine[row] == 1 and run.orders.state[row] == s.PENDING:
            drop(run, row)


def cancel(run: Run, row: int) -> bool:
    """Cancel one; True where the exchange was asked (`pit.tidy` afterwards)."""
    if run.orders.state[row] == s.PENDING:
        drop(run, row)
        return False
    run.orders.ending[row] = 1
    under_way(run)
    pit.withdraw(run, row)
    return True


def cancel_roles(setup: Setup, run: Run, leg: int, one: int, two: int) -> None:
    """Cancel a leg's orders of these roles, but for those whose cancel is on its way."""
    orders, sent = run.orders, False
    for row in range(orders.count[0]):
        wanted = orders.role[row] == one or orders.role[row] == two
        if wanted and orders.mine[row] == 1 and orders.leg[row] == leg and orders.ending[row] == 0:
            sent = cancel(run, row) or sent
    if sent:
        pit.tidy(run, setup)


def amend(setup: Setup, run: Run, row: int, remaining: int) -> None:
    """Another remaining quantity; an opener that is to grow is cancelled, and the gate sees the new one."""
    orders = run.orders
    grows = orders.role[row] == ENTRY and remaining > orders.qty[row] - orders.filled[row]
    if grows or run.n[s.NOW] < refusals.refused_until(run.refusals, orders.leg[row], orders.role[row], orders.price[row]):
        if cancel(run, row):
            pit.tidy(run, setup)
        return
    orders.ending[row] = 1
    under_way(run)
    whole = remaining + orders.filled[row]
    log(run, s.L_AMENDED, orders.ticket[row], 0, 0, 0, 0, whole, 0, 0.0, 0.0)
    pit.amend(run, setup, row, whole)


def close_leg(setup: Setup, run: Run, leg: int, held: int) -> None:
    """Close what a leg holds and is not being closed yet, in pieces of the largest market order."""
    left = held - closing_qty(run, leg)
    while left > 0:
        piece = min(left, setup.terms.instrument.market_max_qty)
        place(setup, run, leg, CLOSE, 0, piece)
        left -= piece
