"""Breaker `funding`: what funding costs the leg that pays it, scaled to 8 hours. Level: halt.

A positive rate is paid by longs to shorts. Equal legs net to nothing, yet the paying leg is what a one-sided close would leave, so
the threshold is on that leg alone; the reason tells the net too. A rate settled every hour counts eightfold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from hedgegridd import InstrumentView, Measure, Snapshot, Unknown, hookimpl
from hedgegridd.kernel import measures


class Funding:
    name = "funding"
    on_trip = "halt"
    needs = ("funding",)

    class Settings:
        max_funding_cost_bps: Annotated[float, {"above": 0}] = 20.0  #: of the paying leg's notional per 8 hours
        max_funding_cost_1h_usdt: Annotated[float | None, {"above": 0}] = None  #: of the paying leg, per hour; None = not watched

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure:
        """The cost that is nearest to its threshold, over all symbols."""
        nothing = Measure(0.0, self.settings.max_funding_cost_bps, "bps/8h")
        return max([self.each(view) for view in snapshot.instruments], key=part, default=nothing)

    def each(self, view: InstrumentView) -> Measure:
        return max(self.costs(view), key=part)

    def costs(self, view: InstrumentView) -> list[Measure]:
        limit, limit_1h = self.settings.max_funding_cost_bps, self.settings.max_funding_cost_1h_usdt
        rate, paying, why = hourly(view)
        found = [Measure(measures.eight_hour_bps(rate) if paying else 0.0, limit, "bps/8h", why)]
        if limit_1h is not None:
            found.append(Measure(rate * paying, limit_1h, "USDT/h", why))
        return found


def part(one: Measure) -> float:
    """How much of the way to the threshold is used."""
    return one.value / one.threshold


def hourly(view: InstrumentView) -> tuple[float, float, str]:
    """(rate per hour without its sign, the paying leg's notional, its cost and the net in words)."""
    if view.long.qty == 0 and view.short.qty == 0:
        return 0.0, 0.0, f"{view.symbol}: nothing held"
    if view.funding_rate is None or view.funding_rate != view.funding_rate or not view.funding_interval_ms:
        raise Unknown(f"{view.symbol}: the funding rate or its interval is not known")
    rate = measures.hourly_rate(view.funding_rate, view.funding_interval_ms)
    leg, paying = ("long", view.long.notional_usdt) if rate > 0 else ("short", view.short.notional_usdt)
    net = rate * (view.long.notional_usdt - view.short.notional_usdt)
    text = f"{view.symbol}: the {leg} leg pays {abs(rate) * paying * 8:.2f} USDT per 8 h ({abs(rate) * 80_000:.2f} bps), net {net * 8:.2f}"
    return abs(rate), paying, text


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    register(Funding)
