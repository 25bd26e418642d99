"""Breakers of the order book and of its two prices: spread, depth, mark against index. Level: pause, which ends after the cooldown.

Sources: requirements row 29 and E14. Spread and depth are steps of 5 s at their calmest (narrowest, deepest) against the median of
the last 60 steps: only what lasts for a whole step counts. They are off by default, mark against index is on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from hedgegridd import InstrumentView, Measure, Snapshot, Unknown, hookimpl


class SpreadWidening:
    """Spread in medians of its last 5 minutes; unit: times. Default 3.0. A median below `floor_bps` counts as `floor_bps`."""

    name = "spread_widening"
    on_trip = "pause"
    enabled = False
    needs = ("quotes", "window")

    class Settings:
        spread_widening_factor: Annotated[float, {"above": 1}] = 3.0  #: spread to its median
        floor_bps: Annotated[float, {"above": 0}] = 1.0  #: where a spread is a tick or two, three ticks are no danger

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        return worst(snapshot, self.each)

    def each(self, view: InstrumentView) -> Measure | None:
        return None if view.window is None else self.widening(view)

    def widening(self, view: InstrumentView) -> Measure:
        spread, usual = (view.window.spread_bps, view.window.spread_median_bps) if view.window else (None, None)
        if spread is None or usual is None:
            raise Unknown(f"{view.symbol}: no quotes since data were missing")
        value = spread / max(usual, self.settings.floor_bps)
        why = f"{view.symbol}: the spread is {spread:.2f} bps, its median {usual:.2f}"
        return Measure(value, self.settings.spread_widening_factor, "x", why)


class DepthThinning:
    """How much of the usual size at the best prices is missing, on the thinner side; unit: % of the median. Default 90.

    What stands behind the best prices is in no feed that is read, and they tell little of it. In three recordings of eight quiet
    minutes the thinnest step had 5 to 34 % of the median at the best prices and 63 to 72 % within 5 bps; the ranks of the two
    correlate by 0.2 to 0.4. So it trips sooner than the book thins out, and is off by default.
    """

    name = "depth_thinning"
    on_trip = "pause"
    enabled = False
    needs = ("quotes", "window")

    class Settings:
        max_depth_missing_pct: Annotated[float, {"above": 0, "max": 100}] = 90.0  #: of the median of 5 minutes

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        return worst(snapshot, self.each)

    def each(self, view: InstrumentView) -> Measure | None:
        return None if view.window is None else self.missing(view)

    def missing(self, view: InstrumentView) -> Measure:
        depth, usual = (view.window.depth_usdt, view.window.depth_median_usdt) if view.window else (None, None)
        if depth is None or not usual:
            raise Unknown(f"{view.symbol}: no quotes with sizes to compare")
        why = f"{view.symbol}: {depth:.0f} USDT stand at the best prices, usually {usual:.0f}"
        return Measure(max(0.0, 1 - depth / usual) * 100, self.settings.max_depth_missing_pct, "% missing", why)


class MarkIndex:
    """Distance of the mark price from the index (E33: it stands for spot); unit: bps of the index, now. Default 100."""

    name = "mark_index"
    on_trip = "pause"
    needs = ("marks", "index")

    class Settings:
        max_divergence_bps: Annotated[float, {"above": 0}] = 100.0  #: mark from index

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        return worst(snapshot, self.each)

    def each(self, view: InstrumentView) -> Measure | None:
        return None if unmarked(view) else self.distance(view)

    def distance(self, view: InstrumentView) -> Measure:
        mark, index = view.mark_price, view.index_price
        if mark is None or not index or mark != mark or index != index:
            raise Unknown(f"{view.symbol}: mark {mark}, index {index}: no distance can be measured")
        value = abs(mark - index) / index * 10_000
        return Measure(value, self.settings.max_divergence_bps, "bps", f"{view.symbol}: the mark is {value:.1f} bps from its index")


def unmarked(view: InstrumentView) -> bool:
    """Before the first mark, with nothing held: whether a mark may stay away is the age's business."""
    return view.mark_price is None and view.long.qty == view.short.qty == 0


def worst(snapshot: Snapshot, each: Callable[[InstrumentView], Measure | None]) -> Measure | None:
    """The measure that is nearest to its threshold, over all symbols."""
    found = [one for view in snapshot.instruments if (one := each(view)) is not None]
    return max(found, key=lambda one: one.value / one.threshold, default=None)


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    for breaker in (SpreadWidening, DepthThinning, MarkIndex):
        register(breaker)
