"""Breaker `daily_loss`: equity lost since 00:00 UTC, in percent of the day's first equity, in USDT, or both. Level: flatten.

The day's start survives a restart; a transfer scales it, so that a withdrawal is no loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from hedgegridd import Measure, Snapshot, Unknown, hookimpl
from hedgegridd.kernel import measures


class DailyLoss:
    name = "daily_loss"
    on_trip = "flatten"
    sees = "account"

    class Settings:
        max_daily_loss_pct: Annotated[float | None, {"above": 0, "max": 100}] = 2.0  #: of the day's first equity
        daily_loss_limit_usdt: Annotated[float | None, {"above": 0}] = None  #: None = only the percentage counts

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure:
        """The loss by the limit that it is nearest to."""
        start, equity = snapshot.day_start_equity, snapshot.equity
        if not start > 0 or equity != equity:
            raise Unknown(f"equity {equity}, day's start {start}: no loss can be measured")
        loss, percent, amount = start - equity, self.settings.max_daily_loss_pct, self.settings.daily_loss_limit_usdt
        reason = f"equity {equity:.2f} USDT, {loss:.2f} USDT ({loss / start:.2%}) below the day's start"
        found = [Measure(measures.loss_pct(start, loss), percent, "%", reason)] if percent is not None else []
        found += [Measure(loss, amount, "USDT", reason)] if amount is not None else []
        if not found:
            raise Unknown("no limit is set: give max_daily_loss_pct or daily_loss_limit_usdt")
        return max(found, key=lambda one: one.value / one.threshold)


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    register(DailyLoss)
