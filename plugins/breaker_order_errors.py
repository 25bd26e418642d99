"""Breaker `order_errors`: orders that the exchange refused in the last minute. Level: pause, which ends after the cooldown.

Closing stays allowed meanwhile; three pauses in an hour are a halt, as for every breaker that pauses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from hedgegridd import Measure, Snapshot, hookimpl


class OrderErrors:
    name = "order_errors"
    on_trip = "pause"
    sees = "account"

    class Settings:
        max_errors_per_minute: Annotated[int, {"min": 1}] = 10

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure:
        count = snapshot.order_errors_1m
        return Measure(float(count), float(self.settings.max_errors_per_minute), "errors/min", f"{count} order errors within a minute")


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    register(OrderErrors)
