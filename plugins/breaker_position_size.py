"""Breaker `position_size`: the largest leg in USDT, counting what is held, what rests and what is in flight. Level: halt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from hedgegridd import InstrumentView, LegView, Measure, Snapshot, Unknown, hookimpl


class PositionSize:
    name = "position_size"
    on_trip = "halt"

    class Settings:
        max_position_usdt: Annotated[float, {"above": 0}] = 10_000.0  #: per leg: its notional at the mark plus its entries at their prices

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure:
        return self.of([size_of(one, leg) for one in snapshot.instruments for leg in ("long", "short")])

    def each(self, view: InstrumentView) -> Measure:
        return self.of([size_of(view, leg) for leg in ("long", "short")])

    def of(self, sizes: list[tuple[float, str]]) -> Measure:
        size, leg = max(sizes, default=(0.0, "no leg"))
        return Measure(size, self.settings.max_position_usdt, "USDT", f"{leg} is {size:.2f} USDT with its entries")


def size_of(one: InstrumentView, leg: str) -> tuple[float, str]:
    view: LegView = getattr(one, leg)
    priced = view.qty == 0 or one.mark_price is not None or one.last_price is not None
    size = view.notional_usdt + view.openers_usdt
    if not priced or size != size:
        raise Unknown(f"{one.symbol}: no price to value the {leg} leg by")
    return size, f"{one.symbol} {leg}"


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    register(PositionSize)
