"""What a breaker sees and says, and what a person is told: the account in plain units (coins, USDT, milliseconds, fractions).

One law: what is not known is None, never a neutral number. The heart makes these; nothing here decides.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hedgegridd.model import Level, Severity


class LegView(NamedTuple):
    """One leg in plain units: coins and USDT. `openers_usdt` counts resting and in-flight entries at their price."""

    qty: float
    entry_price: float
    notional_usdt: float
    unrealized_usdt: float
    openers_usdt: float
    stop_price: float | None
    protected: bool


class WindowView(NamedTuple):
    """Rolling figures of one symbol, kept by `heart.window`; it says over how long. None where a figure is not known now."""

    volatility_short: float | None  #: standard deviation of a bar's log return, fraction
    volatility_long: float | None
    move_pct: float | None  #: the largest move that led to the price of now
    volume_ratio: float | None  #: the last bar's volume in medians of those before it
    spread_bps: float | None
    spread_median_bps: float | None
    depth_usdt: float | None  #: at the best prices, the thinner side
    depth_median_usdt: float | None


class InstrumentView(NamedTuple):
    """One symbol in plain units. A field is None where it is not known now: raise `Unknown` rather than guess."""

    symbol: str
    mark_price: float | None
    index_price: float | None
    last_price: float | None
    bid: float | None
    ask: float | None
    bar_high: float | None
    bar_low: float | None
    bar_volume: float | None
    funding_rate: float | None
    next_funding: int | None
    funding_interval_ms: int | None
    data_age_ms: int | None  #: since the last market event, beyond the feed's own cadence
    long: LegView
    short: LegView
    window: WindowView | None = None  #: None while not complete, and nothing opens then; or where no armed breaker needs it


class Vitals(NamedTuple):
    """How machine and lines are, as the shell measures them: an input of the heart. A figure that is not known is None.

    Windows are of the wall clock: a worst case is the last ten seconds', `_1m` the last minute's, `_1h` the last hour's."""

    time: int
    wall: int  #: when it was measured, ms
    loop_lag_ms: float | None = None  #: the worst lateness of the loop that trades
    journal_ms: float | None = None  #: the slowest write of the journal to the disk, one under way included
    backlog: int | None = None  #: events and records that wait
    order_latency_ms: float | None = None  #: order sent to its answer, the third slowest of the minute; 0 = fewer were sent
    api_latency_ms: float | None = None  #: the same of all requests; None also where the exchange does not tell
    requests_1m: int | None = None
    errors_1m: int | None = None  #: requests without an answer, or with one that says the exchange cannot
    breaks_1h: int | None = None  #: how often the line to the exchange was lost
    clock_offset_ms: float | None = None  #: the exchange's clock less ours
    disk_used_pct: float | None = None  #: where the state directory is
    memory_used_pct: float | None = None  #: of the machine
    unresponsive_seconds: float | None = None  #: how long a plugin or alert channel has not worked; 0 = all work
    unresponsive: str = ""  #: which


class Snapshot(NamedTuple):
    """The account picture at one moment, as every breaker sees it. Money in USDT; ratios are fractions (1.0 = all)."""

    time: int
    equity: float
    wallet: float
    realized: float
    unrealized: float
    fees: float
    funding: float
    transfers: float
    session_start_equity: float
    session_peak_equity: float
    day_start_equity: float
    day_peak_equity: float
    maint_margin_ratio: float | None
    initial_margin_use: float | None
    order_errors_1m: int
    instruments: tuple[InstrumentView, ...]
    vitals: Vitals | None = None  #: None where the feed is not live, or before they are measured first
    session_drawdown_smoothed: float | None = None  #: exponential mean of the session's drawdown, fraction; None = not asked for


class Trip(NamedTuple):
    """A breaker says stop. `level` None = the configured `on_trip`; a Trip may only raise it.

    `symbol` and `leg` (Leg.LONG, Leg.SHORT) say where alone: this symbol, this leg, or this leg of every symbol; left out, the account.
    A Trip names one place: a breaker that finds two in breach names the account."""

    reason: str
    value: float | None = None
    threshold: float | None = None
    level: Level | None = None
    symbol: str = ""
    leg: int | None = None

    @property
    def narrow(self) -> bool:
        """Is less than the account meant?"""
        return bool(self.symbol) or self.leg is not None


class Measure(NamedTuple):
    """What a breaker measured, tripping or not: shown by `status`, and the warning before the trip is made from it."""

    value: float
    threshold: float
    unit: str
    reason: str = ""
    shrink: tuple[float, ...] | None = None  #: (value, line, factor): from this line on openers are so much smaller; shipped breakers only

    def trip(self) -> Trip | None:
        """At the threshold is a trip: all comparisons are >=."""
        if self.value >= self.threshold:
            return Trip(self.reason or f"{self.value:.6g} {self.unit} >= {self.threshold:.6g} {self.unit}", self.value, self.threshold)
        return None


class Alert(NamedTuple):
    """One message to a person. `rule` names what raised it and what a switch silences; `fields` are for machines."""

    time: int
    severity: Severity
    rule: str
    title: str
    text: str
    fields: dict[str, Any]
