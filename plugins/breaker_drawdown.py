"""Breaker `drawdown`: how far equity lies below its peak of the session and, where wished, of the UTC day. Level: flatten.

Equity is wallet plus unrealised. A transfer scales the peaks, so neither a deposit nor a withdrawal is a drawdown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from hedgegridd import Measure, Snapshot, Unknown, hookimpl
from hedgegridd.kernel import measures


class Drawdown:
    name = "drawdown"
    on_trip = "flatten"

    class Settings:
        max_drawdown_pct: Annotated[float, {"above": 0, "max": 100}] = 5.0  #: of the session's peak equity
        max_daily_drawdown_pct: Annotated[float | None, {"above": 0, "max": 100}] = None  #: of the day's peak equity; None = not watched

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure:
        """The drawdown that is nearest to its threshold."""
        found = [drawdown("session", snapshot.session_peak_equity, snapshot.equity, self.settings.max_drawdown_pct)]
        if self.settings.max_daily_drawdown_pct is not None:
            found.append(drawdown("day", snapshot.day_peak_equity, snapshot.equity, self.settings.max_daily_drawdown_pct))
        return max(found, key=lambda one: one.value / one.threshold)


def drawdown(span: str, peak: float, equity: float, limit: float) -> Measure:
    if not peak > 0 or equity != equity:
        raise Unknown(f"equity {equity}, {span} peak {peak}: no drawdown can be measured")
    value = measures.drawdown_pct(peak, equity)
    return Measure(value, limit, "%", f"equity {equity:.2f} USDT is {value:.2f} % below its {span} peak {peak:.2f} USDT")


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    register(Drawdown)
