"""Rate limits: weight per address and minute, orders per account, and what becomes of who goes on.

Its one law: the windows begin on the exchange's own clock, as the real ones do. Over the limit is 429; who goes on is banned, 418, each
time for longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from exchange_simulator.records import Json
from exchange_simulator.refusals import Refused

MINUTE, TEN_SECONDS = 60_000, 10_000


class Slow(Refused):
    """429 or 418: not now, and when again (seconds)."""

    def __init__(self, code: int, status: int, retry_after: int, msg: str = "", **details: object) -> None:
        super().__init__(code, status, msg, **details)
        self.retry_after = retry_after


@dataclass
class Window:
    """A counter that starts anew with each interval of the clock."""

    length: int
    number: int = 0
    used: int = 0

    def add(self, now: int, more: int) -> int:
        if now // self.length != self.number:
            self.number, self.used = now // self.length, 0
        self.used += more
        return self.used

    def left_ms(self, now: int) -> int:
        return self.length - now % self.length


@dataclass
class Limits:
    """The limits, settable at any time, and how much of them is used."""

    weight_1m: int = 2400
    orders_10s: int = 300
    orders_1m: int = 1200
    patience: int = 10  #: requests answered 429 before the ban
    ban_s: int = 120  #: the first one; each further doubles
    _weights: dict[str, Window] = field(default_factory=dict)
    _orders_10s: Window = field(default_factory=lambda: Window(TEN_SECONDS))
    _orders_1m: Window = field(default_factory=lambda: Window(MINUTE))
    _defied: dict[str, int] = field(default_factory=dict)
    _bans: dict[str, int] = field(default_factory=dict)  # how many so far
    banned_until: dict[str, int] = field(default_factory=dict)

    def ban(self, ip: str, now: int, seconds: int | None = None) -> None:
        """418 for this address from now on."""
        earlier = self._bans.get(ip, 0)
        self._bans[ip] = earlier + 1
        self.banned_until[ip] = now + 1000 * (self.ban_s * 2**earlier if seconds is None else seconds)

    def pardon(self) -> None:
        """Forget bans and counts."""
        for table in (self._weights, self._defied, self._bans, self.banned_until):
            table.clear()
        self._orders_10s.used = self._orders_1m.used = 0

    def check_ban(self, ip: str, now: int) -> None:
        until = self.banned_until.get(ip, 0)
        if now < until:
            msg = f"Way too many requests; IP({ip}) banned until {until}. Please use the websocket for live updates to avoid bans."
            raise Slow(-1003, 418, -(-(until - now) // 1000), msg)

    def count(self, ip: str, now: int, weight: int, orders_10s: int, orders_1m: int) -> None:
        """Count a request; raises `Slow` where it is one too many."""
        window = self._weights.setdefault(ip, Window(MINUTE))
        if window.add(now, weight) > self.weight_1m:
            self._defy(ip, now)
            raise Slow(-1003, 429, -(-window.left_ms(now) // 1000), limit=self.weight_1m)
        self._defied[ip] = 0
        for window, more, most, name in (
            (self._orders_10s, orders_10s, self.orders_10s, "10 seconds"),
            (self._orders_1m, orders_1m, self.orders_1m, "1 minute"),
        ):
            if window.add(now, more) > most and more:
                raise Slow(-1015, 429, -(-window.left_ms(now) // 1000), limit=most, interval=name)

    def _defy(self, ip: str, now: int) -> None:
        self._defied[ip] = self._defied.get(ip, 0) + 1
        if self._defied[ip] > self.patience:
            self._defied[ip] = 0
            self.ban(ip, now)

    def headers(self, ip: str, now: int, orders: bool) -> dict[str, str]:
        """What every answer says about the use."""
        used = {"X-MBX-USED-WEIGHT-1M": str(self._weights.setdefault(ip, Window(MINUTE)).add(now, 0))}
        if orders:
            used["X-MBX-ORDER-COUNT-10S"] = str(self._orders_10s.add(now, 0))
            used["X-MBX-ORDER-COUNT-1M"] = str(self._orders_1m.add(now, 0))
        return used

    def published(self) -> list[Json]:
        """`rateLimits` of the exchange information."""
        return [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self.weight_1m},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": self.orders_1m},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": self.orders_10s},
        ]
