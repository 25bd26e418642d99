"""Breaker `session_loss`: equity lost since the session's start. Level: flatten.

A session lasts until the operator resets it, over restarts too. A transfer scales its start, so that a withdrawal is no loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from hedgegridd import Measure, Snapshot, Unknown, hookimpl


class SessionLoss:
    name = "session_loss"
    on_trip = "flatten"
    sees = "account"

    class Settings:
        max_loss_amount_usdt: Annotated[float, {"above": 0}] = 1000.0

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure:
        start, equity = snapshot.session_start_equity, snapshot.equity
        if not start > 0 or equity != equity:
            raise Unknown(f"equity {equity}, session start {start}: no loss can be measured")
        reason = f"equity {equity:.2f} USDT, {start - equity:.2f} USDT below the session's start"
        return Measure(start - equity, self.settings.max_loss_amount_usdt, "USDT", reason)


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    register(SessionLoss)
