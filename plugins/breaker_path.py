"""Breakers of the way to the exchange: order and API latency, error rate, lost connections. Level: pause, which ends after the cooldown.

Sources: requirements rows 30 and 31, E31. The shell measures (`live.vitals`) and the heart journals what it measured; only a live
feed has these figures, so elsewhere they are disarmed. A latency is the third slowest of the last minute: one lost answer is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from hedgegridd import Measure, Snapshot, Unknown, hookimpl


class OrderLatency:
    """From an order that leaves to its answer, those still without one included; unit: ms, window 1 minute. Default 5000."""

    name = "order_latency"
    on_trip = "pause"
    needs = ("vitals",)

    class Settings:
        max_order_latency_ms: Annotated[float, {"above": 0}] = 5000.0  #: the third slowest of a minute

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        if snapshot.vitals is None:
            return None
        took = known(snapshot.vitals.order_latency_ms, "how long orders take")
        return Measure(took, self.settings.max_order_latency_ms, "ms", f"orders wait {took:.0f} ms for their answers")


class ApiLatency:
    """The same for every request; unit: ms, window 1 minute. Default 5000."""

    name = "api_latency"
    on_trip = "pause"
    needs = ("vitals", "requests")

    class Settings:
        max_api_latency_ms: Annotated[float, {"above": 0}] = 5000.0  #: the third slowest request of a minute

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        if snapshot.vitals is None:
            return None
        took = known(snapshot.vitals.api_latency_ms, "how long requests take")
        return Measure(took, self.settings.max_api_latency_ms, "ms", f"requests wait {took:.0f} ms for their answers")


class ErrorRate:
    """Requests without an answer, or with one that says the exchange cannot; unit: % of at least `min_requests`, window 1 minute."""

    name = "error_rate"
    on_trip = "pause"
    needs = ("vitals", "requests")

    class Settings:
        max_error_pct: Annotated[float, {"above": 0, "max": 100}] = 50.0  #: of the requests of a minute
        min_requests: Annotated[int, {"min": 1}] = 20  #: of fewer no share is taken

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        if snapshot.vitals is None:
            return None
        asked = known(snapshot.vitals.requests_1m, "how many requests were made")
        failed = known(snapshot.vitals.errors_1m, "how many requests failed")
        if asked < self.settings.min_requests:
            return None
        return Measure(failed / asked * 100, self.settings.max_error_pct, "%", f"{failed:.0f} of {asked:.0f} requests failed in a minute")


class StreamGaps:
    """How often the line to the exchange was lost; unit: losses, window 1 hour. Default 6."""

    name = "stream_gaps"
    on_trip = "pause"
    needs = ("vitals",)

    class Settings:
        max_breaks_per_hour: Annotated[int, {"min": 1}] = 6  #: a stream that is renewed without a hole does not count

    settings: Settings

    def measure(self, snapshot: Snapshot) -> Measure | None:
        if snapshot.vitals is None:
            return None
        count = known(snapshot.vitals.breaks_1h, "how often the line was lost")
        return Measure(count, float(self.settings.max_breaks_per_hour), "losses/h", f"the line was lost {count:.0f} times in an hour")


def known(value: float | None, what: str) -> float:
    if value is None or value != value:
        raise Unknown(f"{what} is not known")
    return float(value)


@hookimpl
def register_breakers(register: Callable[[type], None]) -> None:
    for breaker in (OrderLatency, ApiLatency, ErrorRate, StreamGaps):
        register(breaker)
