"""Breaker `drawdown`: how far equity lies below its peak of the session and, where wished, of the UTC day. Level: flatten.

Three tiers: a warning at `warn_fraction`, smaller openers from `reduce_drawdown_pct` until well below it again (0.8 of it), then the trip.
Smoothed, a spike that is over at once is no drawdown; a crash is one only when its mean is.
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
    sees = "account"

    class Settings:
        max_drawdown_pct: Annotated[float, {"above": 0, "max": 100}] = 5.0  #: of the session's peak equity
        max_daily_drawdown_pct: Annotated[float | None, {"above": 0, "max": 100}] = None  #: of the day's peak equity; None = not watched

        reduce_drawdown_pct: Annotated[float | None, {"above": 0, "max": 100}] = None  #: from this on openers are smaller; None = never
        reduced_size_factor: Annotated[float, {"min": 0, "max": 1}] = 0.5  #: how much smaller
        smoothing_minutes: Annotated[float, {"min": 0, "max": 1440}] = 0.0  #: the lesser of now and the mean over so long counts

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure:
        """The drawdown that is nearest to its threshold."""
        own = self.settings
        session = drawdown("session", snapshot.session_peak_equity, snapshot.equity, own.max_drawdown_pct)
        smoothed = snapshot.session_drawdown_smoothed
        if own.smoothing_minutes and smoothed is not None and smoothed * 100 < session.value:
            text = f"{session.reason}, {smoothed * 100:.2f} % in the mean of {own.smoothing_minutes:g} min"
            session = session._replace(value=smoothed * 100, reason=text)
        found = [session]
        if own.max_daily_drawdown_pct is not None:
            found.append(drawdown("day", snapshot.day_peak_equity, snapshot.equity, own.max_daily_drawdown_pct))
        line = own.reduce_drawdown_pct
        shrink = None if line is None else (session.value, line, own.reduced_size_factor)
        return max(found, key=lambda one: one.value / one.threshold)._replace(shrink=shrink)


def drawdown(span: str, peak: float, equity: float, limit: float) -> Measure:
    if not peak > 0 or equity != equity:
        raise Unknown(f"equity {equity}, {span} peak {peak}: no drawdown can be measured")
    value = measures.drawdown_pct(peak, equity)
    return Measure(value, limit, "%", f"equity {equity:.2f} USDT is {value:.2f} % below its {span} peak {peak:.2f} USDT")


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    register(Drawdown)
