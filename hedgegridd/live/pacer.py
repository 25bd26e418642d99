"""How fast a feed's time runs: N times real time, or as fast as it goes. One law: a hole in the data is never waited out."""

from __future__ import annotations

import math
import time

LONGEST_WAIT_SECONDS = 60.0  # of data time at speed 1; what is further away is a hole between windows, and is skipped


class Pacer:
    """Ties data time to the monotonic clock. `speed` inf = as fast as possible."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._data0 = 0
        self._wall0 = 0.0

    @property
    def unpaced(self) -> bool:
        """Does the feed run as fast as it goes?"""
        return math.isinf(self.speed)

    def wait(self, due: int) -> float:
        """Seconds until data time `due` (ms)."""
        if self.unpaced:
            return 0.0
        now = time.monotonic()
        ahead = (due - self._data0) / 1000 / self.speed - (now - self._wall0)
        if not self._wall0 or ahead > 2 * LONGEST_WAIT_SECONDS or ahead < -LONGEST_WAIT_SECONDS:
            self._data0, self._wall0 = due, now
            return 0.0
        return ahead

    def now(self, last: int, coming: int | None) -> int:
        """Data time now, between the last event and the coming one."""
        if self.unpaced or not self._wall0 or coming is None:
            return last
        moved = self._data0 + int((time.monotonic() - self._wall0) * 1000 * self.speed)
        return min(max(last, moved), coming)
