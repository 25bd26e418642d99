"""Listen keys: how long one lives and whether it still speaks.

Its one law: a dead key is never brought back; who connects with one is let in and hears nothing.
"""

from __future__ import annotations

from hashlib import sha256

from exchange_simulator.refusals import Refused


class ListenKeys:
    """The key of the one account."""

    def __init__(self, seed: int, life_ms: int = 3_600_000) -> None:
        self.seed, self.life_ms = seed, life_ms
        self.key, self.until, self.given = "", 0, 0

    def create(self, now: int) -> str:
        """POST: the living key, prolonged, or a new one."""
        if not self.speaks(self.key, now):
            self.given += 1
            self.key = sha256(f"{self.seed}/{self.given}/{now}".encode()).hexdigest()
        self.until = now + self.life_ms
        return self.key

    def prolong(self, now: int) -> str:
        """PUT: -1125 where there is none alive."""
        if not self.speaks(self.key, now):
            raise Refused(-1125)
        self.until = now + self.life_ms
        return self.key

    def drop(self) -> str:
        """End it, by DELETE or by age; the key that was."""
        gone, self.key, self.until = self.key, "", 0
        return gone

    def speaks(self, key: str, now: int) -> bool:
        return bool(key) and key == self.key and now < self.until
