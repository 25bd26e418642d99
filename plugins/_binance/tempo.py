"""How long requests take and how many fail, over the last minute. Pure: whoever asks brings the time, monotonic ms."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

MINUTE_MS = 60_000
THIRD = 2
CANNOT = frozenset({418, 429})


class Done(NamedTuple):
    """A request that is over."""

    time: float
    ms: float
    failed: bool


class Tempo:
    """All requests of one account."""

    def __init__(self) -> None:
        self._under_way: dict[int, float] = {}
        self._done: deque[Done] = deque()
        self._number = 0

    def begin(self, now: float) -> int:
        """A request leaves; answers its ticket."""
        self._number += 1
        self._under_way[self._number] = now
        return self._number

    def end(self, ticket: int, status: int, now: float) -> None:
        """It was answered with this HTTP status; 0 = it was not. A refusal is an answer."""
        failed = not status or status >= 500 or status in CANNOT
        self._done.append(Done(now, now - self._under_way.pop(ticket), failed))

    def slowest_ms(self, now: float) -> float | None:
        """The third slowest, those under way included: one that was lost is none. None of fewer."""
        self._forget(now)
        waits = sorted([done.ms for done in self._done] + [now - begun for begun in self._under_way.values()], reverse=True)
        return round(waits[THIRD], 1) if len(waits) > THIRD else None

    def counts(self, now: float) -> tuple[int, int]:
        """(requests that are over, how many of them failed)."""
        self._forget(now)
        return len(self._done), sum(done.failed for done in self._done)

    def _forget(self, now: float) -> None:
        while self._done and now - self._done[0].time > MINUTE_MS:
            self._done.popleft()
