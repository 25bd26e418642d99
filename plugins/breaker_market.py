"""Breakers of the market's pace: volatility, price velocity, volume. Level: pause, which ends after the cooldown; off by default.

Sources: requirements row 29 and E14 (realised volatility stands for the VIX, which does not exist here). The windows are
`heart.window`'s; until they are complete the symbol is not ready and nothing opens, and these measure nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from hedgegridd import InstrumentView, Measure, Snapshot, Unknown, WindowView, hookimpl


class Volatility:
    """Standard deviation of the last 10 bars' log returns over that of the last 240; unit: times. Default 2.5."""

    name = "volatility"
    on_trip = "pause"
    enabled = False
    needs = ("bars", "window")

    class Settings:
        max_volatility_ratio: Annotated[float, {"above": 1}] = 2.5  #: last 10 bars to last 240; one bar alone can make at most 4.9

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        return worst(snapshot, self.each)

    def each(self, view: InstrumentView) -> Measure | None:
        return None if view.window is None else self.ratio(view.symbol, view.window)

    def ratio(self, symbol: str, seen: WindowView) -> Measure:
        short, long = seen.volatility_short, seen.volatility_long
        if short is None or long is None:
            raise Unknown(f"{symbol}: no volatility can be measured")
        value = short / long if long else 0.0
        return Measure(value, self.settings.max_volatility_ratio, "x", f"{symbol}: volatility is {value:.2f} times what it usually is")


class PriceVelocity:
    """The largest move of the last 5 minutes (of one bar, where bars are longer) that ends now; unit: %. Default 5.0."""

    name = "price_velocity"
    on_trip = "pause"
    enabled = False
    needs = ("bars", "window")

    class Settings:
        max_move_pct: Annotated[float, {"above": 0, "max": 100}] = 5.0  #: from the extreme of 5 minutes to the price of now

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        return worst(snapshot, self.each)

    def each(self, view: InstrumentView) -> Measure | None:
        return None if view.window is None else self.move(view.symbol, view.window)

    def move(self, symbol: str, seen: WindowView) -> Measure:
        if seen.move_pct is None:
            raise Unknown(f"{symbol}: no price since data were missing")
        return Measure(seen.move_pct, self.settings.max_move_pct, "%", f"{symbol}: the price moved {seen.move_pct:.2f} % in 5 minutes")


class Volume:
    """The last bar's volume against the median of the 60 before it: a spike in times (default 30), a drop in % missing (default 99)."""

    name = "volume"
    on_trip = "pause"
    enabled = False
    needs = ("bars", "volume", "window")

    class Settings:
        max_volume_ratio: Annotated[float, {"above": 1}] = 30.0  #: last bar to the median of 60
        max_volume_missing_pct: Annotated[float | None, {"above": 0, "max": 100}] = 99.0  #: of that median; None = a drop is not watched

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        return worst(snapshot, self.each)

    def each(self, view: InstrumentView) -> Measure | None:
        return None if view.window is None else max(self.ratios(view.symbol, view.window), key=part)

    def ratios(self, symbol: str, seen: WindowView) -> Iterator[Measure]:
        ratio, most = seen.volume_ratio, self.settings.max_volume_missing_pct
        if ratio is None:
            raise Unknown(f"{symbol}: no volume to compare, or with which")
        why = f"{symbol}: volume is {ratio:.3g} times its median"
        yield Measure(ratio, self.settings.max_volume_ratio, "x", why)
        if most is not None:
            yield Measure(max(0.0, 1 - ratio) * 100, most, "% missing", why)


def worst(snapshot: Snapshot, each: Callable[[InstrumentView], Measure | None]) -> Measure | None:
    """The measure that is nearest to its threshold, over all symbols whose figures are complete: nothing opens at the others."""
    return max([one for view in snapshot.instruments if (one := each(view)) is not None], key=part, default=None)


def part(one: Measure) -> float:
    """How much of the way to the threshold is used."""
    return one.value / one.threshold


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    for breaker in (Volatility, PriceVelocity, Volume):
        register(breaker)
