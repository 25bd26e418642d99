"""Breaker `margin`: how much of the margin balance is in use, by two measures with a limit each. Level: flatten.

Initial margin use is what the open positions and orders bind; the maintenance margin ratio reaches 100 % at liquidation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from hedgegridd import Measure, Snapshot, Unknown, hookimpl
from hedgegridd.kernel import measures


class Margin:
    name = "margin"
    on_trip = "flatten"
    sees = "account"

    class Settings:
        max_initial_margin_use_pct: Annotated[float, {"above": 0, "max": 100}] = 80.0
        max_maint_margin_pct: Annotated[float, {"above": 0, "max": 100}] = 50.0

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure:
        """The measure that is nearest to its threshold."""
        found = [
            use("initial margin use", snapshot.initial_margin_use, self.settings.max_initial_margin_use_pct),
            use("maintenance margin ratio", snapshot.maint_margin_ratio, self.settings.max_maint_margin_pct),
        ]
        return max(found, key=lambda one: one.value / one.threshold)


def use(what: str, fraction: float | None, limit: float) -> Measure:
    if fraction is None or fraction != fraction:
        raise Unknown(f"the {what} is not known")
    return Measure(measures.as_pct(fraction), limit, "%", f"{what} is {fraction:.1%} of the margin balance")


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    register(Margin)
