"""The resting orders of one symbol, what the market showed last, and which orders may rest at all.

Its one law: `edge` always holds the nearest triggers, so that a quiet move is told by two comparisons (`quiet`). It fills nothing:
that is `matching`. It knows no ids (a ticket is the caller's number), no clock and no other symbol.

Prices are ticks, quantities lots, times ms, money USDT.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

from hedgegridd.kernel import ledger
from hedgegridd.kernel.ledger import Books
from hedgegridd.model import Array, Instrument, Role, entry_side


class Model(IntEnum):
    """When a limit order fills."""

    TOUCH = 0
    THROUGH = 1
    QUEUE = 2


class Refusal(IntEnum):
    """Why an order may not rest: the exchange's own codes. 0 = it may."""

    NONE = 0
    NOT_WHOLE = -1111
    MARGIN = -2019
    TRIGGERS_NOW = -2021
    NOTHING_TO_CLOSE = -2022
    TOO_MANY = -2025
    TOO_SMALL = -4004
    TOO_LARGE = -4005
    WRONG_SIDE = -4061
    NO_PRICE = -4131
    MIN_NOTIONAL = -4164
    NO_POSITION = -4509
    WOULD_TAKE = -5022


class Terms(NamedTuple):
    """What never changes while a symbol trades. Rates are fractions."""

    instrument: Instrument  #: without its brackets, whose number would be part of the compiled type
    unit: float
    maker: float
    taker: float
    slippage: float  #: a taker's, of the price
    model: int
    share: float  #: QUEUE: part of a bar's volume taken to trade at its very extreme, and to lie ahead where quotes show nothing
    tiers: Array  #: maintenance brackets, see `ledger.tiers_of`


class Book(NamedTuple):
    """The resting orders of one symbol, oldest first: preallocated columns, the first `count[0]` rows count; and what the
    market showed last. A row with `remaining` 0 is dead and goes with the next `tidy`."""

    count: Array  # type: ignore[assignment]  # hides tuple.count, which nobody asks
    ticket: Array  #: the caller's name for the order, int
    leg: Array
    role: Array
    price: Array
    remaining: Array
    ahead: Array  #: QUEUE: lots that must trade before it; HIDDEN = nobody knows
    gone: Array  #: QUEUE: lots that a quote lately saw go from ahead of it; trades still to be heard of may have been them
    gone_at: Array  #: ms of that quote
    since: Array  #: ms it began to rest
    whole: Array  #: a stop: 1 closes its leg, 0 only `remaining`
    down: Array  #: a price at or below this may touch it, 0 = none
    up: Array  #: a price at or above this may touch it, FAR = none
    edge: Array  #: nearest triggers, see LOW..MARK_HIGH
    closers: Array  #: lots of resting take-profits per leg
    openers: Array  #: tick-lots of resting entries per leg
    flow: Array  #: lots of the move under way still to be had by (purchases, sales); scratch of matching
    bound: Array  #: per leg, how far entries went before the stop; scratch of matching
    hit: Array  #: rows that the move under way reaches, oldest first; scratch of matching
    hits: Array  #: how many, and how many of each role and leg; scratch of matching
    seen: Array  #: see BID..VOLUME
    mark: Array  #: [mark price, else the last one; float ticks, nan = none yet]


LOW, HIGH, MARK_LOW, MARK_HIGH = 0, 1, 2, 3  # columns of Book.edge: a move reaching one of these may touch something
BID, ASK, BID_QTY, ASK_QTY, QUOTED, MARKED, VOLUME = 0, 1, 2, 3, 4, 5, 6  # columns of Book.seen; prices 0 = unknown
FAR = 1 << 60  # a price that no market reaches
HIDDEN = 1 << 60  # a queue that never comes to its end
SKEW_MS = 25  # so far apart the exchange's streams of quotes and of trades may run: 24 were seen (tests/research/test_queue_model.py)
ROWS = 1024
ENTRY, TAKE_PROFIT, STOP, CLOSE = int(Role.ENTRY), int(Role.TAKE_PROFIT), int(Role.STOP), int(Role.CLOSE)


def new_terms(instrument: Instrument, model: int, slippage_bps: float, share: float) -> Terms:
    """The terms of an instrument; `instrument.unit` is a property, so it is copied into a number."""
    bps = 10_000.0
    return Terms(
        instrument._replace(brackets=()), instrument.unit, instrument.maker_bps / bps, instrument.taker_bps / bps, slippage_bps / bps,
        int(model), share, ledger.tiers_of(instrument),
    )  # fmt: skip


def new_book(rows: int = ROWS) -> Book:
    """Nothing resting, nothing seen; room for `rows` orders."""
    ticket, leg, role, price, remaining, ahead, gone, gone_at, since, whole, down, up, hit = ([0] * rows for _ in range(13))
    return Book(
        [0], ticket, leg, role, price, remaining, ahead, gone, gone_at, since, whole, down, up,
        [0, FAR, 0, FAR], [0, 0], [0, 0], [0, 0], [0, 0], hit, [0] * 7, [0] * 7, [math.nan],
    )  # fmt: skip


# --- what the market shows ----------------------------------------------------------------------------------------------


def see_price(book: Book, price: int, volume: int) -> None:
    """The market traded at `price`; the best prices, where no quote tells them. `volume` of a bar, lots; 0 = unknown."""
    if not book.seen[QUOTED]:
        book.seen[BID] = price
        book.seen[ASK] = price
    if not book.seen[MARKED]:
        book.mark[0] = float(price)
    see_volume(book, volume)


def see_volume(book: Book, volume: int) -> None:
    """What a bar traded, lots: the measure of a queue where no quote shows one. A single trade's quantity measures nothing."""
    book.seen[VOLUME] = volume


def see_quote(book: Book, bid: int, bid_qty: int, ask: int, ask_qty: int) -> None:
    """The best prices. Once quotes arrive, trades and bars tell them no more."""
    book.seen[BID], book.seen[ASK], book.seen[BID_QTY], book.seen[ASK_QTY] = bid, ask, bid_qty, ask_qty
    book.seen[QUOTED] = 1
    if math.isnan(book.mark[0]):
        book.mark[0] = (bid + ask) / 2.0


def step_up(book: Book, terms: Terms, time: int) -> None:
    """QUEUE, after a quote: ahead of an order lies no more than its level shows, and nothing where it is the best all alone.

    What the quote saw go was cancelled or traded, and if traded, the trade may not have been heard of yet: it shall not count twice.
    """
    seen, edge = book.seen, book.edge
    if terms.model != Model.QUEUE or (seen[BID] > edge[LOW] and seen[ASK] < edge[HIGH]):
        return
    for row in range(book.count[0]):
        if book.ahead[row] == 0:
            continue
        side, price = order_side(book.leg[row], book.role[row]), book.price[row]
        best = seen[BID] if side > 0 else seen[ASK]
        shown = 0
        if price == best:
            shown = seen[BID_QTY] if side > 0 else seen[ASK_QTY]
        if side * (price - best) < 0 or shown >= book.ahead[row]:
            continue
        if time - book.gone_at[row] > SKEW_MS:
            book.gone[row] = 0
        book.gone[row] += book.ahead[row] - shown
        book.gone_at[row], book.ahead[row] = time, shown


def see_mark(book: Book, mark: float) -> None:
    """The mark price (ticks). Once marks arrive, stops and liquidation look at nothing else (`tidy` after the first)."""
    book.mark[0] = mark
    book.seen[MARKED] = 1


def quiet(book: Book, low: int, high: int) -> bool:
    """Can a move between these prices touch nothing at all?"""
    return bool(low > book.edge[LOW] and high < book.edge[HIGH])


def mark_quiet(book: Book, mark: float) -> bool:
    """Can a mark at this price touch nothing at all?"""
    return bool(mark > book.edge[MARK_LOW] and mark < book.edge[MARK_HIGH])


# --- placing and withdrawing --------------------------------------------------------------------------------------------


def order_side(leg: int, role: int) -> int:
    """The one legal side of an order in hedge mode: an entry opens its leg, everything else closes it."""
    return entry_side(leg) if role == ENTRY else -entry_side(leg)


def refusal(book: Book, books: Books, terms: Terms, leg: int, role: int, side: int, price: int, qty: int, spare: float) -> int:
    """Why this order may not be placed now, as a `Refusal`. `spare` = equity less all initial margin bound, USDT."""
    if side != order_side(leg, role):
        return Refusal.WRONG_SIDE
    if role == CLOSE:
        return _close_refusal(book, books, terms, leg, price, qty)
    if price < 1 or (qty < 1 and role != STOP):
        return Refusal.NOT_WHOLE
    if book.count[0] >= len(book.ticket):
        return Refusal.TOO_MANY
    if role == STOP:
        return _stop_refusal(book, books, leg, price)
    code = size_refusal(terms, role, price, qty)
    if code != 0:
        return code
    best = book.seen[ASK] if side > 0 else book.seen[BID]
    if best > 0 and side * (price - best) >= 0:
        return Refusal.WOULD_TAKE
    if role == TAKE_PROFIT:
        return Refusal.NOTHING_TO_CLOSE if book.closers[leg] + qty > ledger.held(books, leg) else Refusal.NONE
    return Refusal.MARGIN if margin(terms, price, qty) > spare else Refusal.NONE


def size_refusal(terms: Terms, role: int, price: int, qty: int) -> int:
    """The filters of a limit order; closers are exempt from the smallest notional."""
    if qty < terms.instrument.min_qty:
        return Refusal.TOO_SMALL
    if qty > terms.instrument.max_qty:
        return Refusal.TOO_LARGE
    if role == ENTRY and ledger.notional(qty, terms.unit, float(price)) < terms.instrument.min_notional:
        return Refusal.MIN_NOTIONAL
    return Refusal.NONE


def _close_refusal(book: Book, books: Books, terms: Terms, leg: int, price: int, qty: int) -> int:
    if qty < 1:
        return Refusal.NOT_WHOLE
    if qty > ledger.held(books, leg):
        return Refusal.NOTHING_TO_CLOSE
    if qty > (terms.instrument.max_qty if price > 0 else terms.instrument.market_max_qty):
        return Refusal.TOO_LARGE
    return Refusal.NO_PRICE if book.seen[BID] == 0 else Refusal.NONE


def _stop_refusal(book: Book, books: Books, leg: int, price: int) -> int:
    if ledger.held(books, leg) == 0:
        return Refusal.NO_POSITION
    return Refusal.TRIGGERS_NOW if entry_side(leg) * (price - book.mark[0]) >= 0 else Refusal.NONE


def amend_refusal(book: Book, books: Books, terms: Terms, row: int, qty: int, remaining: int, spare: float) -> int:
    """Why a resting limit order may not become `qty` lots in all, `remaining` of them unfilled, as a `Refusal`."""
    code = size_refusal(terms, book.role[row], book.price[row], qty)
    more = remaining - book.remaining[row]
    if code != 0 or more <= 0:
        return code
    if book.role[row] == TAKE_PROFIT:
        leg = book.leg[row]
        return Refusal.NOTHING_TO_CLOSE if book.closers[leg] + more > ledger.held(books, leg) else Refusal.NONE
    return Refusal.MARGIN if margin(terms, book.price[row], more) > spare else Refusal.NONE


def margin(terms: Terms, price: int, qty: int) -> float:
    """Initial margin that an entry binds, USDT."""
    return ledger.notional(qty, terms.unit, float(price)) / terms.instrument.leverage


def bound_margin(book: Book, books: Books, terms: Terms) -> float:
    """Initial margin that legs and resting entries of this symbol bind, USDT; legs at the mark, else at their entry."""
    leverage = terms.instrument.leverage
    openers = float(book.openers[0] + book.openers[1]) * terms.unit / leverage
    if not math.isnan(book.mark[0]):
        return openers + ledger.initial_margin(books, terms.unit, book.mark[0], leverage)
    return openers + (books.long_qty * books.long_entry + books.short_qty * books.short_entry) * terms.unit / leverage


def add(book: Book, terms: Terms, ticket: int, leg: int, role: int, price: int, qty: int, since: int, whole: int) -> None:
    """Let an order rest, at the back of its queue. Asks no questions: `refusal` does."""
    row = book.count[0]
    book.count[0] = row + 1
    book.ticket[row], book.leg[row], book.role[row], book.price[row] = ticket, leg, role, price
    book.remaining[row] = max(qty, 1) if role == STOP else qty
    book.since[row], book.whole[row] = since, whole
    _queue_up(book, terms, row, since)
    _count_in(book, terms, row)


def row_of(book: Book, ticket: int) -> int:
    """The row of an order, or -1."""
    for row in range(book.count[0]):
        if book.ticket[row] == ticket:
            return row
    return -1


def remove(book: Book, row: int) -> None:
    """Withdraw an order. `tidy` afterwards."""
    book.remaining[row] = 0


def resize(book: Book, terms: Terms, row: int, remaining: int) -> None:
    """Change what is left of an order; one that grows goes to the back of its queue. `tidy` afterwards."""
    if remaining > book.remaining[row]:
        _queue_up(book, terms, row, book.gone_at[row])
    book.remaining[row] = remaining


def _queue_up(book: Book, terms: Terms, row: int, since: int) -> None:
    """To the back of the queue. What trades at once was perhaps in the quote already."""
    ahead = 0
    if terms.model == Model.QUEUE and book.role[row] != STOP:
        ahead = _queue_ahead(book, terms, order_side(book.leg[row], book.role[row]), book.price[row])
    book.ahead[row], book.gone_at[row] = ahead, since
    book.gone[row] = HIDDEN if book.seen[QUOTED] else 0


def _queue_ahead(book: Book, terms: Terms, side: int, price: int) -> int:
    """Lots ahead of a new order: what the quote shows at its level, and none inside the spread. A level behind the best shows only
    once it is the best (`step_up`). Without quotes: a share of the last bar's volume, where that is known."""
    if book.seen[QUOTED]:
        best = book.seen[BID] if side > 0 else book.seen[ASK]
        if price == best:
            return int(book.seen[BID_QTY] if side > 0 else book.seen[ASK_QTY])
        return 0 if side * (price - best) > 0 else HIDDEN
    crowd: int = math.ceil(terms.share * book.seen[VOLUME])
    return crowd if crowd > 0 else HIDDEN


# --- upkeep -------------------------------------------------------------------------------------------------------------


def _count_in(book: Book, terms: Terms, row: int) -> None:
    """Let one new order count in the edges and sums."""
    leg, role, price, edge = book.leg[row], book.role[row], book.price[row], book.edge
    trigger = price
    if role == ENTRY:
        book.openers[leg] += price * book.remaining[row]
    elif role != STOP:
        book.closers[leg] += book.remaining[row]
    if role != STOP and terms.model == Model.THROUGH:
        trigger = price - order_side(leg, role)
    below = order_side(leg, role) * (-1 if role == STOP else 1) > 0  # purchases wait below the market; stops the other way round
    book.down[row], book.up[row] = (trigger, FAR) if below else (0, trigger)
    if role == STOP:
        edge[MARK_LOW], edge[MARK_HIGH] = max(edge[MARK_LOW], book.down[row]), min(edge[MARK_HIGH], book.up[row])
    if role != STOP or not book.seen[MARKED]:
        edge[LOW], edge[HIGH] = max(edge[LOW], book.down[row]), min(edge[HIGH], book.up[row])


def tidy(books: Books, book: Book, terms: Terms, spare: float) -> None:
    """Drop dead rows, keep the order of the others, find the nearest triggers anew. `spare` as in `liquidation_span`."""
    _drop_dead(book)
    _nearest(book)
    _sum(book)
    watch(books, book, terms, spare)


def _drop_dead(book: Book) -> None:
    """Those before the first dead row stay where they are."""
    count, kept = book.count[0], 0
    while kept < count and book.remaining[kept] > 0:
        kept += 1
    for row in range(kept + 1, count):
        if book.remaining[row] > 0:
            _copy(book, row, kept)
            kept += 1
    book.count[0] = kept


def _nearest(book: Book) -> None:
    """The nearest triggers. Loops without branches, which a compiler turns into wide instructions. Until marks arrive a stop waits
    for the market as all else does, and nobody asks for the mark's edges: they stay as `add` drew them."""
    edge, low, high, mark_low, mark_high = book.edge, 0, FAR, 0, FAR
    if book.seen[MARKED]:
        for row in range(book.count[0]):
            stops = book.role[row] == STOP
            mark_low, mark_high = max(mark_low, book.down[row] if stops else 0), min(mark_high, book.up[row] if stops else FAR)
            low, high = max(low, 0 if stops else book.down[row]), min(high, FAR if stops else book.up[row])
        edge[MARK_LOW], edge[MARK_HIGH] = mark_low, mark_high
    else:
        for row in range(book.count[0]):
            low, high = max(low, book.down[row]), min(high, book.up[row])
    edge[LOW], edge[HIGH] = low, high


def _sum(book: Book) -> None:
    """The lots of all that rests, as `_nearest` without branches."""
    openers, openers_short, closers, closers_short = 0, 0, 0, 0
    for row in range(book.count[0]):
        kind, remaining = 2 * book.role[row] + book.leg[row], book.remaining[row]
        lots = book.price[row] * remaining
        openers += lots if kind == 2 * ENTRY else 0
        openers_short += lots if kind == 2 * ENTRY + 1 else 0
        closers += remaining if kind == 2 * TAKE_PROFIT else 0
        closers_short += remaining if kind == 2 * TAKE_PROFIT + 1 else 0
    book.openers[0], book.openers[1], book.closers[0], book.closers[1] = openers, openers_short, closers, closers_short


def watch(books: Books, book: Book, terms: Terms, spare: float) -> None:
    """Let the liquidation price count among the nearest triggers, rounded towards the market. It only ever draws them nearer:
    where `spare` grew, a later `tidy` draws them back, and until then a move looks closer than it must."""
    span = ledger.liquidation_span(books, terms.unit, spare, terms.tiers)
    low = math.ceil(span.low) if span.low > 0.0 else 0
    high = math.floor(span.high) if span.high < FAR else FAR
    edge = book.edge
    edge[MARK_LOW], edge[MARK_HIGH] = max(edge[MARK_LOW], low), min(edge[MARK_HIGH], high)
    if not book.seen[MARKED]:
        edge[LOW], edge[HIGH] = max(edge[LOW], low), min(edge[HIGH], high)


def _copy(book: Book, row: int, to: int) -> None:
    book.ticket[to], book.leg[to], book.role[to], book.price[to] = book.ticket[row], book.leg[row], book.role[row], book.price[row]
    book.remaining[to], book.ahead[to] = book.remaining[row], book.ahead[row]
    book.gone[to], book.gone_at[to] = book.gone[row], book.gone_at[row]
    book.since[to], book.whole[to] = book.since[row], book.whole[row]
    book.down[to], book.up[to] = book.down[row], book.up[row]
