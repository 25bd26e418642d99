"""Breaker `stale_data`: is the market data fresh, and can it be believed? Level: pause, which ends after the cooldown.

Age is the time since a symbol's last market event beyond the feed's own cadence. Quality is 1 minus the worse of two faults: a crossed
book (1) and the distance of the last price from the mark (0 at none, 1 at `max_divergence_bps`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from hedgegridd import InstrumentView, Measure, Snapshot, Unknown, hookimpl
from hedgegridd.kernel import measures


class StaleData:
    name = "stale_data"
    on_trip = "pause"

    class Settings:
        max_age_seconds: Annotated[float, {"above": 0}] = 10.0
        min_quality: Annotated[float, {"min": 0, "max": 0.999}] = 0.8  #: 0..1
        max_divergence_bps: Annotated[float, {"above": 0}] = 1000.0  #: last price from mark at which quality is 0

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure:
        """The worst of all symbols: an age in seconds, or a lack of quality."""
        nothing = Measure(0.0, self.settings.max_age_seconds, "s")
        return max([self.each(view) for view in snapshot.instruments], key=part, default=nothing)

    def each(self, view: InstrumentView) -> Measure:
        return max(self.faults(view), key=part)

    def faults(self, view: InstrumentView) -> list[Measure]:
        if view.data_age_ms is None:
            raise Unknown(f"{view.symbol}: no market data yet")
        age, flaw = measures.age_seconds(view.data_age_ms), lack(view, self.settings.max_divergence_bps)
        return [
            Measure(age, self.settings.max_age_seconds, "s", f"{view.symbol}: the last market event is {age:.1f} s overdue"),
            Measure(flaw, 1 - self.settings.min_quality, "lack of quality", f"{view.symbol}: data quality is {1 - flaw:.2f}"),
        ]


def part(one: Measure) -> float:
    """How much of the way to the threshold is used."""
    return one.value / one.threshold


def lack(view: InstrumentView, widest_bps: float) -> float:
    if view.bid is not None and view.ask is not None and view.bid >= view.ask:
        return 1.0
    if not view.mark_price or not view.last_price:
        return 0.0  # nothing to compare: whether a price may be missing is the age's and the other breakers' business
    return measures.divergence(view.last_price, view.mark_price, widest_bps)


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    register(StaleData)
