"""The nouns. Every room speaks in these words and units; nothing here does anything.

Units: time is int milliseconds since the epoch, UTC. Inside the core a price is in ticks and a quantity in lots: both are
int, but for a mark or index price and an average entry, which are float ticks. Money is float USDT. `Instrument` holds the
sizes that turn the one into the other, at the edges only (feed, exchange plugin, snapshot, status).
What a plugin author sees (`Snapshot`, `Alert`) is in plain units: USDT prices and coin quantities.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any, NamedTuple


class Side(IntEnum):
    """The direction of an order; its value is the sign of the quantity it adds."""

    BUY = 1
    SELL = -1


class Leg(IntEnum):
    """One of the two hedge positions of a symbol; its value indexes every pair of per-leg numbers."""

    LONG = 0
    SHORT = 1


class Role(IntEnum):
    """What an order is for. Only an ENTRY opens; the other three close."""

    ENTRY = 0
    TAKE_PROFIT = 1
    STOP = 2
    CLOSE = 3


class Regime(IntEnum):
    """The trend as the strategy sees it."""

    DOWN = -1
    SIDEWAYS = 0
    UP = 1


class Mode(StrEnum):
    """Where released orders go: nowhere, the paper exchange, nowhere but the log, the real exchange."""

    MONITOR = "monitor"
    PAPER = "paper"
    DRY_RUN = "dry_run"
    LIVE = "live"


class Level(IntEnum):
    """How hard a trip or a verb stops. PAUSE withholds openers and may end by itself; HALT and FLATTEN latch the kill switch."""

    WARN = 0
    PAUSE = 1
    HALT = 2
    FLATTEN = 3


class Severity(StrEnum):
    """How loud an alert is."""

    INFO = "INFO"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"


class Bracket(NamedTuple):
    """What a leg worth `floor` USDT or more must keep as maintenance margin: `maint_margin_pct` of its notional less `cum` USDT.

    Rates rise from bracket to bracket, and `cum` is such that the margin goes on without a step where the next one begins."""

    floor: float
    maint_margin_pct: float
    cum: float


class Instrument(NamedTuple):
    """Sizes, filters and fees of one symbol. Numbers only, so that the kernel may hold it."""

    tick_size: float  #: USDT per tick
    lot_size: float  #: coins per lot
    min_qty: int  #: lots, smallest limit order
    max_qty: int  #: lots, largest limit order
    market_max_qty: int  #: lots, largest market order
    min_notional: float  #: USDT, openers only (closing is exempt)
    maker_bps: float
    taker_bps: float
    leverage: float = 1.0
    maint_margin_pct: float = 0.4  #: maintenance margin as percent of notional (first bracket)
    brackets: tuple[Bracket, ...] = ()  #: the first begins at 0; none = `maint_margin_pct` whatever the notional

    @property
    def unit(self) -> float:
        """USDT that one lot gains when the price moves one tick."""
        return self.tick_size * self.lot_size


def entry_side(leg: int) -> int:
    """The side that opens a leg: LONG is bought, SHORT is sold."""
    return 1 if leg == 0 else -1


# --- market events, as feeds and exchanges emit them ------------------------------------------------------------------


class Bar(NamedTuple):
    """A complete bar. `time` is when it completed, not when it opened."""

    symbol: str
    time: int
    open: int
    high: int
    low: int
    close: int
    volume: int  #: lots
    interval_ms: int


class Quote(NamedTuple):
    symbol: str
    time: int
    bid: int
    bid_qty: int
    ask: int
    ask_qty: int


class Trade(NamedTuple):
    """A public trade of the market."""

    symbol: str
    time: int
    price: int
    qty: int
    buyer_is_maker: bool


class Mark(NamedTuple):
    """Mark price, float ticks. `index` and `funding_rate` are None where the source does not carry them: unknown is not zero."""

    symbol: str
    time: int
    price: float
    index: float | None = None  # type: ignore[assignment]  # the word of the trade, though tuples have a method of that name
    funding_rate: float | None = None
    next_funding: int | None = None


class Funding(NamedTuple):
    """A funding settlement happened: every long pays rate x notional at the mark, every short receives it."""

    symbol: str
    time: int
    rate: float
    interval_ms: int


class Outlook(NamedTuple):
    """What is known of funding where a window of data begins: the last rate settled (None = unknown) and when the next one comes."""

    symbol: str
    time: int
    rate: float | None
    next_funding: int


class Gap(NamedTuple):
    """Market data is missing from `since` to `time`: the window ended, what was learnt before no longer counts."""

    symbol: str
    time: int
    since: int


class FeedEnd(NamedTuple):
    """A finite feed is over."""

    time: int


MarketEvent = Bar | Quote | Trade | Mark | Funding | Gap


# --- orders and what an exchange says of them -------------------------------------------------------------------------


class OrderState(IntEnum):
    """PENDING: decided, waiting for the disk. SENT: on its way. LIVE: the exchange has it. UNKNOWN: nobody knows yet. DONE: over."""

    PENDING = 0
    SENT = 1
    LIVE = 2
    UNKNOWN = 3
    DONE = 4


class Order(NamedTuple):
    """One order of ours. `price` is the limit or, for a STOP, the trigger on the mark price; 0 = market.
    A CLOSE with a price is immediate-or-cancel: what it does not get at that price or better ends with Cancelled.
    A STOP closes the whole leg whatever its `qty` says (closePosition)."""

    client_id: str
    symbol: str
    leg: int
    role: int
    side: int
    price: int
    qty: int
    time: int = 0
    state: int = OrderState.PENDING
    filled: int = 0
    order_id: str = ""


class Accepted(NamedTuple):
    client_id: str
    order_id: str
    time: int


class Rejected(NamedTuple):
    """The exchange refused an order; it never rested. `code` is the exchange's own (e.g. -5022 post-only would take)."""

    client_id: str
    time: int
    code: int
    reason: str


class Amended(NamedTuple):
    """The quantity of a resting order is now `qty` (whole quantity, filled part included)."""

    client_id: str
    time: int
    qty: int


class Cancelled(NamedTuple):
    """The order rests no more: cancelled by us, expired, or knocked out; `reason` says which."""

    client_id: str
    time: int
    reason: str


class Ended(NamedTuple):
    """Orders that were told to rest no more one right after the other, in the order they were told: judged once, as the sweep they are."""

    time: int
    orders: tuple[Cancelled, ...]


class Unsure(NamedTuple):
    """Nobody knows what became of placing, amending or cancelling this: the answer was lost, or says nothing."""

    client_id: str
    time: int
    why: str


class Fill(NamedTuple):
    """An execution on our account. `client_id` is "" or foreign for a manual, liquidation or ADL fill."""

    symbol: str
    time: int
    leg: int
    side: int
    price: int
    qty: int
    fee: float  #: USDT, positive = paid
    maker: bool
    client_id: str
    order_id: str
    trade_id: str
    reason: str = ""  #: "liquidation", "adl", "" ...


BOTH = -1  #: in place of a leg, where an exchange tells one sum for both


class FundingPaid(NamedTuple):
    """Funding booked on one leg, or on BOTH in one sum. `amount` USDT, positive = paid by us; `income_id` counts it once."""

    symbol: str
    time: int
    leg: int
    amount: float
    income_id: str = ""


class Transfer(NamedTuple):
    """Money moved in (+) or out (-) of the account, USDT."""

    time: int
    amount: float
    income_id: str = ""


class Charged(NamedTuple):
    """Money that no fill and no settlement explains (a liquidation's cost, a rebate), USDT, positive = paid; symbol "" = the account."""

    symbol: str
    time: int
    amount: float
    kind: str
    income_id: str = ""


class Held(NamedTuple):
    """One leg as the exchange reports it. `entry` is float ticks."""

    symbol: str
    leg: int
    qty: int
    entry: float


class Report(NamedTuple):
    """The exchange's own picture of the account: every leg held, every order resting. The truth as it was between `since` and `time`.

    What executed before `since` was told before. Over a network it takes several requests: one difference alone proves nothing.
    """

    time: int
    wallet: float
    held: tuple[Held, ...]
    orders: tuple[Order, ...]
    since: int = 0  #: when the first of it was read
    absent: tuple[str, ...] = ()  #: of the orders asked for by name, those the exchange does not know (anybody's word but the list's)


class Trouble(NamedTuple):
    """The exchange, or the way to it, is not as it should be. `kind` says what follows:
    "slow"  no opener until `until` (too many requests, overload, margin); closers go on
    "wall"  the same, and a page: a firewall before the exchange refuses requests
    "ban"   the same, nothing at all is sent until then, and a page
    "deaf"  fills may be missed (stream down, key expired): no opener until a report that was begun later
    "halt"  trade no more until a person has looked (keys refused, mode changed); `symbol` "" = everywhere, else only there
    """

    time: int
    kind: str
    text: str
    symbol: str = ""
    until: int = 0


ExchangeEvent = Accepted | Rejected | Amended | Cancelled | Ended | Unsure | Fill | FundingPaid | Transfer | Charged | Report | Trouble


# --- what goes between the heart and its shell beside market and exchange ----------------------------------------------


class Timer(NamedTuple):
    """Time passed with nothing else to say; `wall` is the operator's clock, which is not the data's in a replayed feed."""

    time: int
    wall: int


class Verb(NamedTuple):
    """A person or script asked for something over the socket. `ticket` names the reply."""

    time: int
    ticket: int
    name: str
    params: dict[str, Any]
    actor: str


class KillFile(NamedTuple):
    """The kill switch file as found on disk. `active` None = unreadable; `missing` = not there."""

    time: int
    active: bool | None
    level: str = ""
    reason: str = ""
    missing: bool = False
    source: str = ""  #: what a client without a daemon wrote, where it is one of the words that people may name


class Warmup(NamedTuple):
    """Bars from before the start, oldest first: to learn from, not to trade on."""

    symbol: str
    time: int
    bars: tuple[Bar, ...]


class Durable(NamedTuple):
    """What was written before the `Sync` with this mark is on the disk."""

    time: int
    mark: int


class DiskFailed(NamedTuple):
    """A write or fsync failed: openers must not leave until one succeeds again."""

    time: int
    mark: int
    why: str


class Answer(NamedTuple):
    """A plugin host answered question `seq`. `value` is plain JSON data of the question's kind."""

    time: int
    host: str
    seq: int
    value: Any


class Missed(NamedTuple):
    """A plugin host did not answer question `seq`: late, dead, or nonsense."""

    time: int
    host: str
    seq: int
    why: str


class Started(NamedTuple):
    """A daemon took up the account: what was in flight is UNKNOWN. `env_kill` = the environment says stop; `doubt` "" = none, else halt."""

    time: int
    wall: int
    env_kill: str
    kill_file: KillFile
    damage: str  #: what the journal found wrong with itself, "" = sound
    doubt: str = ""


class Stopping(NamedTuple):
    """The daemon was asked to end (SIGTERM, SIGINT or the end of a finite feed); `flatten` by `daemon.on_stop`."""

    time: int
    flatten: bool
    reason: str


class PluginChanged(NamedTuple):
    """A plugin file's state as its loader or host reports it: state is loaded|refused|quarantined|removed."""

    time: int
    file: str
    sha256: str
    kind: str
    names: tuple[str, ...]
    state: str
    reason: str
    on_trip: tuple[str, ...] = ()  #: a breaker's own default level, by name; "" where it says none
    needs: tuple[str, ...] = ()  #: what the file's breakers need a feed to carry


# --- what a strategy sees and says (numbers only: the kernel dialect) ----------------------------------------------------

Array = list[Any]  # a flat preallocated sequence of one numeric type; a numpy array where the compiled path runs it


class Moment(IntEnum):
    """Why a strategy is called."""

    BAR = 0  #: a bar completed
    FILL = 1  #: an own order executed
    RESET = 2  #: the window ended (Gap): forget what was learnt, keep what is held
    LOOK = 3  #: nothing new but a throttle or a position put right: say again what should rest


class Market(NamedTuple):
    """All a strategy may know at one moment. Prices in ticks, quantities in lots; per-leg numbers are (long, short)."""

    moment: int
    time: int
    open: int
    high: int
    low: int
    close: int
    mark: float
    funding_rate: float  #: per interval; nan = unknown
    funding_interval_ms: int
    next_funding: int  #: 0 = unknown
    fill_leg: int
    fill_role: int
    fill_price: int  #: the order's own price (its rung), not the execution price
    fill_qty: int
    long_qty: int
    long_entry: float
    short_qty: int
    short_entry: float
    long_throttle: float
    short_throttle: float
    equity: float


class Wish(NamedTuple):
    """The rungs that should rest: preallocated columns, the first `count[0]` rows count. The strategy overwrites it on each call.

    One row per (leg, role, price): rows of equal key must be merged. A STOP row closes its whole leg; its qty is the leg's.
    """

    count: Array  # type: ignore[assignment]  # as above
    leg: Array
    role: Array
    price: Array
    qty: Array


WISH_ROWS = 512


def new_wish(rows: int = WISH_ROWS) -> Wish:
    """An empty Wish with room for `rows` rungs."""
    return Wish([0], [0] * rows, [0] * rows, [0] * rows, [0] * rows)
