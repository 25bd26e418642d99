"""The exchange's time. One law: between two measurements it runs on the monotonic clock, so a step of ours does not move it."""

from __future__ import annotations

import time

AHEAD_MS = 5_000  # further ahead of the exchange's clock no moment of its own is believed


def wall_ms() -> float:
    return time.time() * 1000.0


def mono_ms() -> float:
    return time.monotonic() * 1000.0


class Clock:
    """Exchange time from its last answer; before the first, our own."""

    def __init__(self) -> None:
        self._base = wall_ms() - mono_ms()  # exchange time less monotonic time
        self.known = False

    def measured(self, server_ms: float, sent_mono: float, got_mono: float) -> None:
        """Its answer was made halfway between."""
        self._base = server_ms - (sent_mono + got_mono) / 2
        self.known = True

    def differs(self, server_ms: float, sent_mono: float, got_mono: float) -> float:
        """How far ahead of what is known such an answer is, ms."""
        return server_ms - (sent_mono + got_mono) / 2 - self._base

    def now(self) -> int:
        return int(self.exact())

    def exact(self) -> float:
        return self._base + mono_ms()

    def offset_ms(self) -> float:
        """The exchange's clock less ours."""
        return self.exact() - wall_ms()

    def believable(self, moment: int) -> int:
        """A moment the exchange named; none at all, or one too far ahead, is now."""
        now = self.now()
        return moment if 0 < moment <= now + AHEAD_MS else now
