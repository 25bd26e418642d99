"""The one matching engine: which resting order of one symbol fills when the market moves, at what price, for what fee.

Its one law: when in doubt, against us. It never lets a fill happen outside what the market showed, never closes more than is
held, and never fills an order against prices from before it rested. What rests, and what may, is `book`.

Limit orders are post-only and always fill at their own price, also where the market jumps past it: never better. Three models
say when: TOUCH, the price reaches the limit; THROUGH, it goes at least one tick beyond; QUEUE, what lay ahead at the level must
trade first, and no more fills than traded (volume 0 = unknown: then only a price beyond the level fills, and fills whole). What was
cancelled ahead counts only as far as a quote proves it. Against recordings of the exchange (tests/research/test_queue_model.py)
QUEUE fills no order too early where quotes and trades arrive, THROUGH none on any data, and TOUCH four of five at the best price.
A stop triggers on the mark price where marks arrive, else on trades and bars. It fills as a taker at its trigger, or at the open
of a move that begins beyond it, less slippage; slippage is the only thing that may lead outside a bar's range.

Within one move the path is the bad one: entries down to the stop, then the stop (or liquidation, whichever is nearer), deeper
entries, take-profits last. Cross-margin liquidation ends everything on the symbol; the caller sees to the account's other symbols.
Prices are ticks, quantities lots, times ms, money USDT.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

from hedgegridd.kernel import ledger
from hedgegridd.kernel.book import (
    ASK,
    ASK_QTY,
    BID,
    BID_QTY,
    ENTRY,
    FAR,
    MARKED,
    QUOTED,
    ROWS,
    SKEW_MS,
    STOP,
    TAKE_PROFIT,
    Book,
    Model,
    Terms,
    order_side,
    tidy,
)
from hedgegridd.kernel.ledger import Books
from hedgegridd.model import Array, entry_side


class Kind(IntEnum):
    """What a row of the tape says: an execution, or why an order rests no more."""

    FILL = 0
    LIQUIDATION = 1  #: a forced execution; no order of ours
    STOPPED = 2  #: a stop has done its work
    LEG_CLOSED = 3  #: a closer whose leg is empty now
    KNOCKED_OUT = 4  #: a closer that a market close left nothing to close
    WIPED = 5  #: an order that a liquidation swept away


class Move(NamedTuple):
    """What the market did: one bar, one trade, or one change of the best prices."""

    down: int  #: where a forced sale finds the market as the move begins
    up: int  #: the same for a forced purchase
    low: int
    high: int
    sells: int  #: lots sold by takers, which fill resting purchases; -1 = unknown
    buys: int  #: lots bought by takers
    at_level: float  #: part of these that traded at the very extreme
    begun: int  #: ms; only orders that rested by then take part
    trades: int  #: 1 = these are trades, 0 = only offers (a quote): no stop triggers


class Tape(NamedTuple):
    """What happened, in order: preallocated columns, the first `count[0]` rows count. Whoever reads it sets that to 0."""

    count: Array  # type: ignore[assignment]
    kind: Array
    ticket: Array  #: 0 for a LIQUIDATION
    leg: Array
    side: Array
    price: Array
    qty: Array
    fee: Array  #: USDT
    maker: Array


def new_tape(rows: int = 2 * ROWS + 8) -> Tape:
    """An empty tape; a move writes at most two rows for each resting order, and two for a liquidation."""
    kind, ticket, leg, side, price, qty, maker = ([0] * rows for _ in range(7))
    return Tape([0], kind, ticket, leg, side, price, qty, [0.0] * rows, maker)


def bar_move(terms: Terms, begun: int, opened: int, low: int, high: int, volume: int) -> Move:
    """A bar does not say who took: half its volume each way."""
    half = volume // 2 if volume > 0 else -1
    return Move(opened, opened, low, high, half, half, terms.share, begun, 1)


def trade_move(time: int, price: int, qty: int, buyer_is_maker: bool) -> Move:
    """One public trade: the taker's side fills the other's resting orders."""
    sells = qty if buyer_is_maker else 0
    return Move(price, price, price, price, sells, qty - sells, 1.0, time, 1)


def quote_move(time: int, bid: int, ask: int) -> Move:
    """An offer at or beyond a resting order's price would have met it."""
    return Move(bid, ask, ask, bid, -1, -1, 0.0, time, 0)


def mark_move(book: Book, time: int, mark: float) -> Move:
    """A mark triggers; the forced order then meets the worse of mark and best price."""
    down, up = math.floor(mark), math.ceil(mark)
    bid = book.seen[BID] if book.seen[BID] > 0 else down
    return Move(min(down, bid), max(up, book.seen[ASK]), up, down, -1, -1, 0.0, time, 1)


# --- matching -----------------------------------------------------------------------------------------------------------


def match(books: Books, book: Book, terms: Terms, spare: float, move: Move, tape: Tape) -> Books:
    """Let the market move over the resting orders: appends to `tape` what happened, answers the new books.

    `spare` = start + transfers + sum over the account's other symbols of (net + unrealized - maintenance margin), USDT.
    """
    book.flow[0], book.flow[1] = move.sells, move.buys
    forced = move.trades == 1 and not book.seen[MARKED]
    _reached(book, move)
    entries, stops = _hits(book, ENTRY, 0) + _hits(book, ENTRY, 1), _hits(book, STOP, 0) + _hits(book, STOP, 1)
    if entries > 0:
        books = _entries(books, book, terms, move, forced and stops > 0, tape)
    if forced and (stops > 0 or _deadly(books, terms, spare, move)):
        books = _forced(books, book, terms, spare, move, tape)
        if entries > 0:
            books = _deeper(books, book, terms, move, tape)
    books = _take_profits(books, book, terms, move, tape)
    tidy(books, book, terms, spare)
    return books


def match_mark(books: Books, book: Book, terms: Terms, spare: float, move: Move, tape: Tape) -> Books:
    """A mark price came: stops and liquidation, nothing else. `move` from `mark_move`."""
    _reached(book, move)
    books = _forced(books, book, terms, spare, move, tape)
    tidy(books, book, terms, spare)
    return books


def _reached(book: Book, move: Move) -> None:
    """Find the rows that the move may touch: all else that matching does looks at these alone."""
    hits = book.hits
    found = 0
    for kind in range(1, 7):
        hits[kind] = 0
    for row in range(book.count[0]):
        if (move.low <= book.down[row] or move.high >= book.up[row]) and book.since[row] <= move.begun and book.remaining[row] > 0:
            book.hit[found] = row
            hits[1 + 2 * book.role[row] + book.leg[row]] += 1
            found += 1
    book.hits[0] = found


def _hits(book: Book, role: int, leg: int) -> int:
    """How many orders of a role and leg the move may touch."""
    return book.hits[1 + 2 * role + leg]  # type: ignore[no-any-return]


def _deadly(books: Books, terms: Terms, spare: float, move: Move) -> bool:
    """Does the move reach a price at which the account dies?"""
    span = ledger.liquidation_span(books, terms.unit, spare, terms.tiers)
    return bool(span.low >= move.low or span.high <= move.high)


def _entries(books: Books, book: Book, terms: Terms, move: Move, to_stop: bool, tape: Tape) -> Books:
    """Fill the entries the move reached; with `to_stop` only those that its price meets before the leg's stop."""
    for leg in (0, 1):
        side = order_side(leg, ENTRY)
        reach = _reach(terms, move, side)
        bound = reach
        stop = _nearest_stop(book, leg) if to_stop else -1
        if stop >= 0 and side * (book.price[stop] - reach) > 0:
            bound = book.price[stop]
        book.bound[leg] = bound
        if _hits(book, ENTRY, leg) > 0:
            books = _limits(books, book, terms, move, leg, ENTRY, bound, side * FAR, tape)
    return books


def _deeper(books: Books, book: Book, terms: Terms, move: Move, tape: Tape) -> Books:
    """Fill the entries that lie beyond where the stops were."""
    for leg in (0, 1):
        reach = _reach(terms, move, order_side(leg, ENTRY))
        if reach != book.bound[leg]:
            books = _limits(books, book, terms, move, leg, ENTRY, reach, book.bound[leg], tape)
    return books


def _take_profits(books: Books, book: Book, terms: Terms, move: Move, tape: Tape) -> Books:
    """Fill the take-profits the move reached."""
    for leg in (0, 1):
        if _hits(book, TAKE_PROFIT, leg) > 0:
            side = order_side(leg, TAKE_PROFIT)
            books = _limits(books, book, terms, move, leg, TAKE_PROFIT, _reach(terms, move, side), side * FAR, tape)
    return books


def _reach(terms: Terms, move: Move, side: int) -> int:
    """The last limit price of this side that the move fills."""
    beyond = 1 if terms.model == Model.THROUGH else 0
    return move.low + beyond if side > 0 else move.high - beyond


def _limits(books: Books, book: Book, terms: Terms, move: Move, leg: int, role: int, reach: int, beyond: int, tape: Tape) -> Books:
    """Fill the limit orders of one leg and role that lie beyond price `beyond` and not beyond `reach`, from the nearest outwards,
    the older of two at a price first."""
    side = order_side(leg, role)
    row = _next(book, leg, role, side, reach, beyond, FAR)
    while row >= 0:
        price = book.price[row]
        books = _execute(books, book, terms, move, row, side, tape)
        row = _next(book, leg, role, side, reach, price, row)
    return books


def _next(book: Book, leg: int, role: int, side: int, reach: int, last: int, after: int) -> int:
    """The row of the nearest order not beyond `reach` that comes after price `last` (at that price: after row `after`), -1 = none."""
    best = -1
    for place in range(book.hits[0]):
        row = book.hit[place]
        price = book.price[row]
        if book.role[row] != role or book.leg[row] != leg or book.remaining[row] == 0:
            continue
        if side * (price - reach) < 0 or side * (price - last) > 0 or (price == last and row <= after):
            continue
        if best < 0 or side * (price - book.price[best]) > 0:
            best = row
    return best


def _execute(books: Books, book: Book, terms: Terms, move: Move, row: int, side: int, tape: Tape) -> Books:
    """Fill one limit order as far as the model allows and, of a take-profit, as far as its leg goes."""
    leg, price = book.leg[row], book.price[row]
    qty = book.remaining[row]
    if book.role[row] == TAKE_PROFIT:
        qty = min(qty, ledger.held(books, leg))
    if terms.model == Model.QUEUE:
        qty = _queued(book, move, row, side, side * (price - (move.low if side > 0 else move.high)) > 0, qty)
    if qty <= 0:
        return books
    book.remaining[row] -= qty
    fee = ledger.notional(qty, terms.unit, float(price)) * terms.maker
    _write(tape, Kind.FILL, book.ticket[row], leg, side, price, qty, fee, 1)
    books = ledger.fill(books, terms.unit, leg, side, price, qty, fee)
    if book.role[row] == TAKE_PROFIT and ledger.held(books, leg) == 0:
        _leg_closed(book, leg, tape)
    return books


def _queued(book: Book, move: Move, row: int, side: int, beyond: bool, wanted: int) -> int:
    """Lots an order gets in the queue model: what traded, once the queue ahead of it has."""
    flow = 0 if side > 0 else 1
    traded = book.flow[flow]
    if traded < 0:
        return wanted if beyond else 0
    if beyond:
        book.ahead[row] = 0
    else:
        here = math.floor(traded * move.at_level)
        if book.gone[row] > 0 and move.begun - book.gone_at[row] <= SKEW_MS:
            known = min(book.gone[row], here)  # a quote has told of these
            book.gone[row] -= known
            here -= known
        eaten = min(book.ahead[row], here)
        book.ahead[row] -= eaten
        traded = here - eaten
    got = int(min(wanted, traded))
    book.flow[flow] -= got
    return got


def _nearest_stop(book: Book, leg: int) -> int:
    """The row of the leg's stop that this move triggers first, -1 = none."""
    down = entry_side(leg)  # a long leg's stop waits below
    best = -1
    for place in range(book.hits[0]):
        row = book.hit[place]
        if book.role[row] != STOP or book.leg[row] != leg or book.remaining[row] == 0:
            continue
        if best < 0 or down * (book.price[row] - book.price[best]) > 0:
            best = row
    return best


def _forced(books: Books, book: Book, terms: Terms, spare: float, move: Move, tape: Tape) -> Books:
    """Stops and liquidation: on the way down, then on the way up, whichever the price meets first."""
    for leg in (0, 1):
        down = entry_side(leg)
        stop = _nearest_stop(book, leg)
        while True:
            span = ledger.liquidation_span(books, terms.unit, spare, terms.tiers)
            death = span.low if down > 0 else span.high
            dead = down * (death - (move.low if down > 0 else move.high)) >= 0.0
            if dead and (stop < 0 or down * (death - book.price[stop]) > 0.0):
                at = max(min(math.floor(death), move.down), 1) if down > 0 else max(math.ceil(max(death, 1.0)), move.up)
                return liquidate(books, book, terms, at, tape)
            if stop < 0:
                break
            books = _stop_out(books, book, terms, move, stop, tape)
            stop = _nearest_stop(book, leg)
    return books


def _stop_out(books: Books, book: Book, terms: Terms, move: Move, row: int, tape: Tape) -> Books:
    """A stop triggered: close its leg (or its quantity) as a taker."""
    leg, ticket = book.leg[row], book.ticket[row]
    have = ledger.held(books, leg)
    qty = have if book.whole[row] else min(book.remaining[row], have)
    at = min(book.price[row], move.down) if entry_side(leg) > 0 else max(book.price[row], move.up)
    book.remaining[row] = 0
    if qty > 0:
        books = _take(books, terms, Kind.FILL, ticket, leg, at, qty, tape)
    _write(tape, Kind.STOPPED, ticket, leg, 0, 0, 0, 0.0, 0)
    if qty > 0 and ledger.held(books, leg) == 0:
        _leg_closed(book, leg, tape)
    return books


def _take(books: Books, terms: Terms, kind: int, ticket: int, leg: int, at: int, qty: int, tape: Tape) -> Books:
    """Close `qty` lots of a leg as a taker at `at` less slippage."""
    side = -entry_side(leg)
    slip = math.ceil(at * terms.slippage - 1e-9)
    price = max(at + side * slip, 1)
    fee = ledger.notional(qty, terms.unit, float(price)) * terms.taker
    _write(tape, kind, ticket, leg, side, price, qty, fee, 0)
    return ledger.fill(books, terms.unit, leg, side, price, qty, fee)


def close(books: Books, book: Book, terms: Terms, spare: float, ticket: int, leg: int, qty: int, tape: Tape) -> Books:
    """A market close, done at once. It goes before resting closers: those left with nothing to close are knocked out, youngest
    first. `refusal` has been asked."""
    at = book.seen[BID] if entry_side(leg) > 0 else book.seen[ASK]
    books = _take(books, terms, Kind.FILL, ticket, leg, at, qty, tape)
    left = ledger.held(books, leg)
    if left == 0:
        _leg_closed(book, leg, tape)
    over = book.closers[leg] - left
    for back in range(book.count[0]):
        row = book.count[0] - 1 - back
        if over > 0 and book.remaining[row] > 0 and book.leg[row] == leg and book.role[row] == TAKE_PROFIT:
            over -= book.remaining[row]
            _drop(book, row, Kind.KNOCKED_OUT, tape)
    tidy(books, book, terms, spare)
    return books


def within(book: Book, terms: Terms, leg: int, worst: int, qty: int) -> int:
    """Lots of an immediate-or-cancel close that trade at `worst` or better: what the best price shows, all where no quote shows it.

    What lies behind the best price is not known here, so a large piece ends short sooner than on a real exchange.
    """
    side = -entry_side(leg)
    at = book.seen[ASK] if side > 0 else book.seen[BID]
    price = at + side * math.ceil(at * terms.slippage - 1e-9)
    if side * (worst - price) < 0:
        return 0
    shown = (book.seen[ASK_QTY] if side > 0 else book.seen[BID_QTY]) if book.seen[QUOTED] else qty
    return int(min(qty, shown))


def liquidate(books: Books, book: Book, terms: Terms, at: int, tape: Tape) -> Books:
    """The account is dead: sweep the book, close both legs around price `at` (ticks) as a taker. `tidy` afterwards."""
    for row in range(book.count[0]):
        if book.remaining[row] > 0:
            _drop(book, row, Kind.WIPED, tape)
    for leg in (0, 1):
        qty = ledger.held(books, leg)
        if qty > 0:
            books = _take(books, terms, Kind.LIQUIDATION, 0, leg, at, qty, tape)
    return books


def _leg_closed(book: Book, leg: int, tape: Tape) -> None:
    """Nothing is held on this leg any more: its closers go."""
    for row in range(book.count[0]):
        if book.remaining[row] > 0 and book.leg[row] == leg and book.role[row] != ENTRY:
            _drop(book, row, Kind.LEG_CLOSED, tape)


def _drop(book: Book, row: int, kind: int, tape: Tape) -> None:
    book.remaining[row] = 0
    _write(tape, kind, book.ticket[row], book.leg[row], 0, 0, 0, 0.0, 0)


def _write(tape: Tape, kind: int, ticket: int, leg: int, side: int, price: int, qty: int, fee: float, maker: int) -> None:
    at = tape.count[0]
    tape.kind[at], tape.ticket[at], tape.leg[at], tape.side[at] = kind, ticket, leg, side
    tape.price[at], tape.qty[at], tape.fee[at], tape.maker[at] = price, qty, fee, maker
    tape.count[0] = at + 1
