"""What the fast engine works on: numbers in flat lists, of fixed size, changed in place.

One law: nothing here is a rule. Lists become arrays where the code is compiled (`arrays`); every name that indexes one stands here.
Prices are ticks, quantities lots, times ms, money USDT. Kernel dialect: see the house.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from hedgegridd.kernel.book import Book, Terms, new_book
from hedgegridd.kernel.diff import Plan, Resting, new_plan, new_resting
from hedgegridd.kernel.ledger import Books
from hedgegridd.kernel.matching import Tape, new_tape
from hedgegridd.model import Array, Wish, new_wish

# --- market events, as columns ------------------------------------------------------------------------------------------

#: Kinds of market events.
WARM, BAR, FUNDING, GAP, OUTLOOK, FEED_END = 0, 1, 2, 3, 4, 5


class Events(NamedTuple):
    """A stretch of the feed. A BAR has open..volume; FUNDING and OUTLOOK have a rate and in `volume` the interval or the next
    settlement. So has a GAP where something is known of funding behind it: then its `open` is 1."""

    kind: Array
    time: Array
    open: Array
    high: Array
    low: Array
    close: Array
    volume: Array
    rate: Array


# --- what never changes in a run ----------------------------------------------------------------------------------------


class Setup(NamedTuple):
    """The configuration as numbers. Flags are 0 or 1; nan = not set."""

    terms: Terms
    start_usdt: float
    interval_ms: int
    cadence_ms: int
    max_gap_ms: int
    latency_ms: int
    guarded: int  #: the kill switch and its breakers are on
    max_position_usdt: float
    max_position_pct: float
    own_position_pct: float
    max_exposure_pct: float
    max_risk_pct: float
    max_open_trades: int
    emergency_pct: float
    drawdown_pause: int  #: the strategy's own risk_management, its two rules
    drawdown_pause_pct: float
    errors_pause: int
    errors_pause_count: int
    errors_pause_ms: int
    price_tolerance_bps: float
    qty_tolerance_pct: float
    tranches: int
    tranche_usdt: float
    rows: int  #: 1 = tell every bar


# --- guards -------------------------------------------------------------------------------------------------------------

#: The shipped breakers, in the order of their names, which is the order they are asked in.
DAILY_LOSS, DRAWDOWN, FUNDING_COST, MARGIN, ORDER_ERRORS, POSITION_SIZE, SESSION_LOSS, STALE_DATA = 0, 1, 2, 3, 4, 5, 6, 7
GUARDS = 8
PAUSES = 256
ARMED, TRIPPED, UNKNOWN = 0, 1, 2
WARN, PAUSE, HALT, FLATTEN = 0, 1, 2, 3


class Guards(NamedTuple):
    """One place each breaker. `first`, `second` and `third` are its own settings, nan = not watched."""

    on: Array
    first: Array
    second: Array
    third: Array
    on_trip: Array
    grace_ms: Array
    cooldown_ms: Array
    state: Array
    in_breach: Array
    unknown_since: Array
    pause_until: Array
    trips: Array  #: how often it tripped: a new pause is another reason to hold
    paused: Array  #: how many pauses within an hour, and in `pauses` when each began
    pauses: Array


def new_guards() -> Guards:
    """All switched off."""
    ints = [*([0] * GUARDS for _ in range(10)), [0] * (GUARDS * PAUSES)]
    floats = [[math.nan] * GUARDS for _ in range(3)]
    return Guards(ints[0], *floats, *ints[1:])


# --- orders -------------------------------------------------------------------------------------------------------------

PENDING, SENT, LIVE = 0, 1, 2  # as model.OrderState
ORDERS = 1_016


class Orders(NamedTuple):
    """Every order that the heart or the exchange still knows, oldest first. The ticket is the order's generation."""

    count: Array  # type: ignore[assignment]  # hides tuple.count, which nobody asks
    ticket: Array
    leg: Array
    role: Array
    price: Array
    qty: Array  #: whole, as the heart has it
    filled: Array
    state: Array
    ending: Array  #: a cancel or amend is on its way
    mine: Array  #: the heart has it open
    rests: Array  #: the exchange has it
    there: Array  #: whole quantity as the exchange has it
    done: Array  #: of this, filled
    at: Array  #: its row in `resting`, when last compared


def new_orders() -> Orders:
    """None."""
    return Orders([0], *([0] * ORDERS for _ in range(13)))


# --- what was said and not yet heard --------------------------------------------------------------------------------------

ACCEPTED, REJECTED, AMENDED, CANCELLED, FILLED, PAID, SEE_BAR, SEE_FUNDING, SEE_GAP, SEE_OUTLOOK, REPORT, DURABLE, STOPPING = range(13)
SAYINGS = 8_200


class Inbox(NamedTuple):
    """What the exchange said and the market did, oldest first: places `span[0]` to before `span[1]`."""

    span: Array
    kind: Array
    ticket: Array
    leg: Array
    side: Array
    price: Array
    qty: Array
    more: Array
    fee: Array


def new_inbox() -> Inbox:
    """Empty."""
    return Inbox([0, 0], *([0] * SAYINGS for _ in range(7)), [0.0] * SAYINGS)  # type: ignore[call-arg]


# --- refusals -----------------------------------------------------------------------------------------------------------

REFUSALS = 264


class Refusals(NamedTuple):
    """Rungs that the exchange refused, and until when they wait."""

    count: Array  # type: ignore[assignment]
    leg: Array
    role: Array
    price: Array
    until: Array
    wait: Array


def new_refusals() -> Refusals:
    """None."""
    return Refusals([0], *([0] * REFUSALS for _ in range(5)))


# --- what is told ---------------------------------------------------------------------------------------------------------

L_ORDER, L_ACCEPTED, L_AMENDED, L_REJECTED, L_CANCELLED, L_WITHDRAWN, L_FILL, L_PAID, L_TRIP, L_KILL, L_FLAT, L_GAP = range(12)
LOG_ROWS, LOG_SPARE = 32_776, 12_288
PICTURE = 40  #: numbers of a snapshot, kept with each trip
TRIPS = 256


class Log(NamedTuple):
    """What a recorder is told, in order: the first `count[0]` rows count; `trips[0]` pictures were taken."""

    count: Array  # type: ignore[assignment]
    kind: Array
    time: Array
    ticket: Array
    leg: Array
    role: Array
    side: Array
    price: Array
    qty: Array
    more: Array
    fee: Array
    realized: Array
    trips: Array
    picture: Array


def new_log() -> Log:
    """Empty."""
    return Log([0], *([0] * LOG_ROWS for _ in range(9)), [0.0] * LOG_ROWS, [0.0] * LOG_ROWS, [0], [0.0] * (TRIPS * PICTURE))  # type: ignore[call-arg]


class Rows(NamedTuple):
    """A row for each bar, in the order of `columns.ROW`."""

    count: Array  # type: ignore[assignment]
    time: Array
    close: Array
    regime: Array
    center: Array
    long_qty: Array
    short_qty: Array
    long_entry: Array
    short_entry: Array
    long_stop: Array
    short_stop: Array
    long_rungs: Array
    short_rungs: Array
    funding_rate: Array
    realized: Array
    fees: Array
    funding: Array
    equity: Array
    wallet: Array


#: Columns of `Rows` that are not whole numbers.
FRACTIONS = ("long_entry", "short_entry", "funding_rate", "realized", "fees", "funding", "equity", "wallet")


def new_rows(rows: int) -> Rows:
    """Room for so many bars."""
    return Rows([0], *([0.0 if name in FRACTIONS else 0] * rows for name in Rows._fields[1:]))


# --- the run ------------------------------------------------------------------------------------------------------------

# Columns of Run.n, whole numbers.
(NOW, X_NOW, SEEN, TRADED, DIRTY, STIRRED, GENERATION, DAY, KILLED, KILL_LEVEL, UNSETTLED, STOPPED, HALTED, PAUSED_BY, ERRORS_UNTIL,
 REFUSED_UNTIL, HOLD, WANT_DURABLE, FLATTENING, FLAT_ASKED, RETRY_MS, RETRY_AT, PHASE, THOUGHTS, HAS_BAR, OPEN, HIGH, LOW, CLOSE,
 NEXT_FUNDING, FUNDING_MS, CHANGED, ENTRIES, ENTRIES_SHORT, STOP_AT, STOP_AT_SHORT, CLOSING, CLOSING_SHORT, TIDY, PAID_AT, PAID_AT_SHORT,
 BAIL, BARS, COUNT_FILLS, COUNT_MAKERS, COUNT_ORDERS, PLANS, ERRORS_FIRST, ERRORS_LAST, VOLUME, COMPARED, WEIGHED, ABOVE, BELOW,
 SETTLED) = range(55)  # fmt: skip
INTS = 64
# Columns of Run.x, money and prices.
MARK, RATE, EQUITY, NET, MARKED, SESSION_START, SESSION_PEAK, DAY_START, DAY_PEAK, OPENERS, OPENERS_SHORT, WALLET = range(12)
FLOATS = 16
# Columns of Run.heart and Run.pit that are asked for alone.
LONG_QTY, SHORT_QTY = 0, 2
# Columns of Run.ease: how far a figure may go while its guard is surely fine. The first four are parts of a baseline that equity must
# stay above, the next four USDT (the very limits), then basis points, and parts of equity that margin must stay below.
EASE_DAY, EASE_PEAK, EASE_DAY_PEAK, EASE_PAUSE, EASE_DAY_USDT, EASE_SESSION_USDT, EASE_SIZE, EASE_COST_USDT, EASE_COST = range(9)
EASE_INITIAL, EASE_MAINT = 9, 10
EASES = 11
NOTHING, CANCELLING, VERIFYING = 0, 1, 2  # phases of a flatten, as far as they decide anything
ERRORS = 1024

# Why the fast engine gave up; the full one takes over. 0 = it did not.
BAIL_UNKNOWN_ORDER, BAIL_FULL_INBOX, BAIL_FULL_ORDERS, BAIL_STRANGER, BAIL_ERRORS = 1, 2, 3, 4, 5


class Thought(NamedTuple):
    """What the strategy is to be asked, once risk has looked."""

    moment: Array
    leg: Array
    role: Array
    price: Array
    qty: Array


class Run(NamedTuple):
    """Everything of one run that changes in place."""

    n: Array
    x: Array
    ease: Array
    heart: Array  #: Books as the heart has booked them so far
    pit: Array  #: Books of the exchange
    orders: Orders
    inbox: Inbox
    refusals: Refusals
    guards: Guards
    thought: Thought
    errors: Array  #: times of refusals, a ring
    book: Book
    tape: Tape
    wish: Wish
    wanted: Wish
    resting: Resting
    rows_of: Array  #: row of `resting` -> row of `orders`
    plan: Plan
    log: Log
    rows: Rows
    course: Array


def new_run(rows: int, course: Array) -> Run:
    """Before the first event."""
    wish = new_wish()
    width = len(wish.leg)
    thought = Thought(*([0] * 16 for _ in range(5)))
    return Run(
        [0] * INTS, [0.0] * FLOATS, [0.0] * EASES, [0.0] * 7, [0.0] * 7, new_orders(), new_inbox(), new_refusals(), new_guards(), thought,
        [0] * ERRORS, new_book(ORDERS + 16), new_tape(), wish, new_wish(), new_resting(width), [0] * width, new_plan(2 * width), new_log(),
        new_rows(rows), course,
    )  # fmt: skip


def books_of(cells: Array) -> Books:
    """Books out of their cells."""
    return Books(int(cells[0]), cells[1], int(cells[2]), cells[3], cells[4], cells[5], cells[6])


def keep_books(cells: Array, books: Books) -> None:
    """Books into their cells: lots are far below 2^53, so a float holds them exactly."""
    cells[0], cells[1], cells[2], cells[3] = books.long_qty, books.long_entry, books.short_qty, books.short_entry
    cells[4], cells[5], cells[6] = books.realized, books.fees, books.funding
