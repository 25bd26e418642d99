"""How much may still be asked of the exchange. One law: the last fifth belongs to what closes, cancels and verifies.

Pure: whoever asks brings the time. What was counted by the exchange (its headers) replaces what was counted here, but for
requests that are still on their way. Another program on the same address is seen through the headers alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

RESERVE = 0.2
WEIGHT, ORDERS_10S, ORDERS_1M = "weight", "orders_10s", "orders_1m"
HEADERS = {"x-mbx-used-weight-1m": WEIGHT, "x-mbx-order-count-10s": ORDERS_10S, "x-mbx-order-count-1m": ORDERS_1M}
SPANS = {WEIGHT: 60_000, ORDERS_10S: 10_000, ORDERS_1M: 60_000}
LIMITS = {WEIGHT: 2400, ORDERS_10S: 300, ORDERS_1M: 1200}
UNITS = {"SECOND": 1_000, "MINUTE": 60_000}
GROWING_MS = 10 * 60_000  # a second 429 within this time is a ban on its way


class Cost(NamedTuple):
    """What one request counts for: request weight, orders by ten seconds, orders by the minute."""

    weight: int = 1
    orders_10s: int = 0
    orders_1m: int = 0


class Ticket(NamedTuple):
    """A request on its way: what it may cost, and since when."""

    cost: Cost
    time: int


class Counter:
    """One limit: what was used in its present window, and what is on its way."""

    def __init__(self, span: int, limit: int) -> None:
        self.span, self.limit = span, limit
        self.window = self.used = self.pending = 0

    def roll(self, now: int) -> None:
        """Begin the window that `now` lies in."""
        if now // self.span > self.window:
            self.window, self.used = now // self.span, 0

    def level(self, now: int) -> int:
        self.roll(now)
        return self.used + self.pending

    def told(self, value: int, began: int, now: int) -> None:
        """The exchange's own count, as it was for a request that began then; one of another window says nothing of this one."""
        self.roll(now)
        if value >= 0 and began // self.span == self.window:
            self.used = max(self.used, value)


class Budget:
    """All limits of one account and address, and the pauses the exchange has asked for."""

    def __init__(self) -> None:
        self.counters = {name: Counter(SPANS[name], LIMITS[name]) for name in SPANS}
        self.banned_until = 0
        self._last_429 = -GROWING_MS

    def learn(self, rate_limits: list[dict[str, Any]]) -> None:
        """The limits as exchangeInfo has them; what is not one of ours is passed over."""
        for row in rate_limits:
            span = UNITS.get(row.get("interval", ""), 0) * int(row.get("intervalNum", 0))
            kind = {"REQUEST_WEIGHT": (WEIGHT,), "ORDERS": (ORDERS_10S, ORDERS_1M)}.get(row.get("rateLimitType", ""), ())
            for name in kind:
                if SPANS[name] == span and int(row["limit"]) > 0:
                    self.counters[name].limit = int(row["limit"])

    def may(self, cost: Cost, urgent: bool, now: int) -> bool:
        """Is there room for this? What is not urgent leaves the reserve alone."""
        share = 1.0 if urgent else 1.0 - RESERVE
        rows = zip(self.counters.values(), cost, strict=True)
        return all(not more or counter.level(now) + more <= counter.limit * share for counter, more in rows)

    def room_at(self, cost: Cost, now: int) -> int:
        """When the windows that are full now will be over."""
        rows = zip(self.counters.values(), cost, strict=True)
        full = [one for one, more in rows if more and one.level(now) + more > one.limit * (1.0 - RESERVE)]
        return max(((one.window + 1) * one.span for one in full), default=now)

    def begin(self, cost: Cost, now: int) -> Ticket:
        """A request leaves."""
        for counter, more in zip(self.counters.values(), cost, strict=True):
            counter.roll(now)
            counter.pending += more
        return Ticket(cost, now)

    def end(self, ticket: Ticket, headers: Mapping[str, str], now: int) -> None:
        """It is answered, or never will be (no headers)."""
        told = {HEADERS[name]: int(value) for name, value in headers.items() if name in HEADERS and value.lstrip("-").isdigit()}
        for (name, counter), more in zip(self.counters.items(), ticket.cost, strict=True):
            counter.pending -= more
            counter.roll(now)
            if told.get(name, -1) >= 0:
                counter.told(told[name], ticket.time, now)
            else:
                counter.used += more

    def grows(self, now: int, began: int) -> bool:
        """Count a 429 to a request that left then; had another been heard before it left, and not long ago? Then a ban is near. Of those
        that were on their way together, one is as good as all."""
        near = now - self._last_429 < GROWING_MS and began > self._last_429
        self._last_429 = now
        return near

    def ban(self, until: int) -> None:
        """Nothing at all is sent until then."""
        self.banned_until = max(self.banned_until, until)

    def fullest_pct(self, now: int) -> float:
        """Of the requests allowed, the fullest counter in percent."""
        return max(100.0 * counter.level(now) / counter.limit for counter in self.counters.values())
