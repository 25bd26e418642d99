"""What breakers are told of machine and lines: measured here once a second, and an input of the heart like any other.

One law: it measures and judges nothing. What cannot be measured is None. To keep the journal small, a measurement much like the one
before it is kept back, for ten seconds at most.
"""

from __future__ import annotations

import time as clock
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from hedgegridd.heart.effects import Effect, Place
from hedgegridd.hookspecs import Health
from hedgegridd.model import Accepted, Cancelled, Ended, Fill, Rejected, Unsure
from hedgegridd.views import Vitals

if TYPE_CHECKING:
    from hedgegridd.live.daemon import Daemon

ANSWERS = frozenset({Accepted, Rejected, Cancelled, Fill, Unsure})  # an answer that was given up on took as long as that
MINUTE, HOUR, WORST_SECONDS, SAY_SECONDS = 60.0, 3600.0, 10.0, 10.0
THIRD = 2
BAD = frozenset({"quarantined", "error", "check_error"})
#: How much of a figure is worth an event of its own.
STEPS = {"loop_lag_ms": 250, "journal_ms": 250, "backlog": 500, "order_latency_ms": 250, "api_latency_ms": 250, "requests_1m": 50,
         "errors_1m": 5, "breaks_1h": 1, "clock_offset_ms": 250, "disk_used_pct": 0.5, "memory_used_pct": 1,
         "unresponsive_seconds": 5}  # fmt: skip


class Gauges:
    """The figures of one daemon. `folder`: on the disk whose room is watched."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.daemon, self.folder = daemon, folder
        self._sent: dict[str, float] = {}  # orders without an answer: client id -> monotonic seconds
        self._took: deque[tuple[float, float]] = deque()  # (when answered, ms)
        self._breaks: deque[float] = deque()
        self._connected = False
        self._failing: dict[str, float] = {}  # component -> since when
        self._said: tuple[Any, ...] = ()
        self._said_at = -SAY_SECONDS

    def note(self, event: Any, effects: Sequence[Effect]) -> None:
        """The heart took an event in; these effects are about to be performed."""
        for answer in event.orders if type(event) is Ended else (event,):
            if type(answer) in ANSWERS and (sent := self._sent.pop(answer.client_id, None)) is not None:
                now = clock.monotonic()
                self._took.append((now, (now - sent) * 1000))
        for effect in effects:
            if type(effect) is Place:
                self._sent.update(dict.fromkeys((order.client_id for order in effect.orders), clock.monotonic()))

    def look(self, time: int, wall: int) -> Vitals | None:
        """Measure. None where it is much like what was said last, and that is not long ago."""
        vitals = self.measure(time, wall)
        coarse = (*(_steps(getattr(vitals, name), step) for name, step in STEPS.items()), vitals.unresponsive)
        now = clock.monotonic()
        if coarse == self._said and now - self._said_at < SAY_SECONDS:
            return None
        self._said, self._said_at = coarse, now
        return vitals

    def measure(self, time: int, wall: int) -> Vitals:
        """Everything as it is now."""
        now, daemon = clock.monotonic(), self.daemon
        health: Health = daemon.source.health()
        which, since = self._unresponsive(now)
        return Vitals(
            time,
            wall,
            round(max(list(daemon.lags)[-int(WORST_SECONDS * 4) :], default=0.0), 1),
            round(daemon.disk.slowest_ms(WORST_SECONDS), 1),
            len(daemon.inbox) + len(daemon.urgent) + daemon.disk.behind,
            self._order_latency(now),
            health.latency_ms if health.latency_ms is not None or health.requests_1m is None else 0.0,
            health.requests_1m,
            health.errors_1m,
            self._breaks_1h(health.connected, now),
            health.time_offset_ms,
            self._disk_used(),
            psutil.virtual_memory().percent,
            round(since, 1),
            which,
        )

    def _order_latency(self, now: float) -> float:
        """The third slowest of the last minute's answers and of the waits that still last; 0 = there were fewer than three."""
        while self._took and now - self._took[0][0] > MINUTE:
            self._took.popleft()
        if self._sent:
            known = [desk.orders.open for desk in self.daemon.engine.desks.values()]
            self._sent = {name: sent for name, sent in self._sent.items() if any(name in orders for orders in known)}
        waits = sorted([ms for _, ms in self._took] + [(now - sent) * 1000 for sent in self._sent.values()], reverse=True)
        return round(waits[THIRD], 1) if len(waits) > THIRD else 0.0

    def _breaks_1h(self, connected: bool, now: float) -> int:
        if self._connected and not connected:
            self._breaks.append(now)
        self._connected = connected
        while self._breaks and now - self._breaks[0] > HOUR:
            self._breaks.popleft()
        return len(self._breaks)

    def _disk_used(self) -> float | None:
        try:
            return psutil.disk_usage(str(self.folder)).percent
        except OSError:
            return None

    def _unresponsive(self, now: float) -> tuple[str, float]:
        """(which component has not worked for longest, for how many seconds)."""
        rows = [f"plugin {row['file']}" for row in self.daemon.hosts.rows() if row["state"] in BAD]
        rows += [f"alert channel {row['name']}" for row in self.daemon.alerts.channels() if row["error"] and row["queued"]]
        self._failing = {name: self._failing.get(name, now) for name in rows}
        if not self._failing:
            return "", 0.0
        name = min(self._failing, key=self._failing.__getitem__)
        return name, now - self._failing[name]


def _steps(value: float | None, step: float) -> int | None:
    return None if value is None else int(value // step)
