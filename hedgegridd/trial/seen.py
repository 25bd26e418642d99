"""What one tried breaker said in one pass: trips with their inputs, near misses, unknowns, errors, the price of asking.

One law: when it trips is decided by the heart's own panel, so grace, cooldown and pauses count as they would in force. After a halt
or flatten it is set up again once its line is no longer crossed, as a person would do. Pure: no clock, no file.
"""

from __future__ import annotations

from array import array
from typing import Any, NamedTuple

from hedgegridd.heart.breakers import Guard, Panel, Tripped, Verdict, take_settings
from hedgegridd.heart.snapshot import plain
from hedgegridd.model import Instrument, Level
from hedgegridd.times import iso
from hedgegridd.views import InstrumentView, LegView, Snapshot

MOST_TRIPS, MOST_NEAR = 50, 10  #: told one by one; all are counted


class Told(NamedTuple):
    """A trip: the panel's level and words, and the picture it was made from."""

    time: int
    level: Level
    reason: str
    value: float | None
    threshold: float | None
    unit: str
    snapshot: Snapshot


class Peak(NamedTuple):
    """How near it came."""

    fraction: float
    time: int
    value: float
    threshold: float


class Seen:
    """Takes in verdict after verdict; the rest of the trial reads its fields."""

    def __init__(self, name: str, on_trip: str, table: dict[str, Any], shipped: bool) -> None:
        self.guard = Guard(name, "", object() if shipped else None)
        take_settings(self.guard, table, on_trip)
        self._panel = Panel(live=False)
        self.asks = self.unknowns = self.errors = self.trips = self.near = 0
        self.last_error = self.last_unknown = ""
        self.took = array("d")  #: seconds an ask
        self.told: list[Told] = []
        self.acting: Told | None = None  #: the first trip that stops something
        self.peak: Peak | None = None
        self.nearest: list[Peak] = []  #: near misses, the nearest first
        self.first: Snapshot | None = None
        self.last: Snapshot | None = None
        self.verdict = Verdict()
        self._close: Peak | None = None  # since it was last far from its threshold
        self._tripped = False

    def hear(self, snapshot: Snapshot, verdict: Verdict, seconds: float) -> None:
        """One ask."""
        self.asks += 1
        self.took.append(seconds)
        self.first, self.last, self.verdict = self.first or snapshot, snapshot, verdict
        if verdict.error:
            self.errors, self.last_error = self.errors + 1, verdict.error
        elif verdict.unknown:
            self.unknowns, self.last_unknown = self.unknowns + 1, verdict.unknown
        self._tripped = self._tripped or verdict.trip is not None
        found = self._panel.hear(self.guard, verdict, snapshot.time)
        if isinstance(found, Tripped):
            self._trip(found, snapshot)
        elif self.guard.state == "tripped" and not (verdict.trip or verdict.error or verdict.unknown or self.guard.pause_until):
            self._panel.reset(self.guard, snapshot.time)
        if verdict.measure is not None:
            self._measured(snapshot.time, verdict)

    def _trip(self, found: Tripped, snapshot: Snapshot) -> None:
        trip = found.trip
        told = Told(snapshot.time, found.level, trip.reason, trip.value, trip.threshold, found.guard.unit, snapshot)
        self.trips += 1
        if len(self.told) < MOST_TRIPS:
            self.told.append(told)
        if self.acting is None and found.level > Level.WARN:
            self.acting = told

    def _measured(self, time: int, verdict: Verdict) -> None:
        """An approach that ends without a trip is a near miss."""
        fraction, measure = self.guard.fraction, verdict.measure
        if fraction is None or measure is None:
            return
        here = Peak(fraction, time, measure.value, measure.threshold)
        if self.peak is None or here.fraction > self.peak.fraction:
            self.peak = here
        if fraction >= self.guard.warn_fraction:
            self._close = here if self._close is None or here.fraction > self._close.fraction else self._close
        elif self._close is not None:
            self.passed()

    def passed(self) -> None:
        """The approach is over, or the pass is."""
        if self._close is not None and not self._tripped:
            self.near += 1
            self.nearest = sorted([*self.nearest, self._close], reverse=True)[:MOST_NEAR]
        self._close, self._tripped = None, False

    def price_ms(self, part: float) -> float | None:
        """The time of an ask that this part of them does not exceed, ms."""
        if not self.took:
            return None
        return sorted(self.took)[min(len(self.took) - 1, int(part * len(self.took)))] * 1000


# --- the figures of a trip ------------------------------------------------------------------------------------------------


def row(told: Told) -> dict[str, Any]:
    """A trip as JSON: what matters first, the whole picture last."""
    return {
        "time": iso(told.time), "level": told.level.name.lower(), "reason": told.reason, "value": told.value, "threshold": told.threshold,
        "unit": told.unit, "equity_usdt": told.snapshot.equity, "held": [held(view) for view in told.snapshot.instruments],
        "inputs": plain(told.snapshot),
    }  # fmt: skip


def held(view: InstrumentView) -> dict[str, Any]:
    """One symbol's mark and legs, in coins and USDT."""
    return {
        "symbol": view.symbol, "mark_price": mark_of(view), "long_qty": view.long.qty, "long_entry": view.long.entry_price,
        "short_qty": view.short.qty, "short_entry": view.short.entry_price,
        "unrealized_usdt": view.long.unrealized_usdt + view.short.unrealized_usdt,
    }  # fmt: skip


def mark_of(view: InstrumentView) -> float | None:
    """What a leg is valued at."""
    return view.mark_price if view.mark_price is not None else view.last_price


# --- an estimate, where the run cannot be made again ------------------------------------------------------------------------


class Estimate(NamedTuple):
    """Closing what was held, against keeping it to the end; USDT. `saved` < 0 = it would have cost."""

    saved: float
    fees: float
    spread: float


def estimate(trip: Snapshot, end: Snapshot, instruments: dict[str, Instrument]) -> Estimate | None:
    """The legs held at the trip closed at that mark, taker fee and half the spread paid, against their worth at the end.

    None where a mark is not known. Without quotes the spread is taken for one tick.
    """
    last = {view.symbol: mark_of(view) for view in end.instruments}
    saved = fees = spread = 0.0
    for view in trip.instruments:
        qty = view.long.qty + view.short.qty
        if not qty:
            continue
        mark, later, sizes = mark_of(view), last.get(view.symbol), instruments.get(view.symbol)
        if mark is None or later is None or sizes is None:
            return None
        saved -= worth(view.long, view.short, later - mark)
        fees += qty * mark * sizes.taker_bps / 10_000
        wide = view.ask - view.bid if view.ask is not None and view.bid is not None else sizes.tick_size
        spread += qty * wide / 2
    return Estimate(saved - fees - spread, fees, spread)


def worth(long: LegView, short: LegView, move: float) -> float:
    """What two legs gain when the mark moves by so much, USDT."""
    return (long.qty - short.qty) * move
