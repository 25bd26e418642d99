"""How long the feed waits for plugin hosts. One law: it waits for thought, and for nobody in whom there is none.

A recording played as fast as it goes waits for every answer of a foreign strategy, or it would be over before the first. One
that keeps real time waits a moment only. Neither begins before each foreign strategy has spoken, unless one takes too long.
Only market data waits here: verbs, fills, kill switch and timers never do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine
    from hedgegridd.heart.remote import RemoteDesk

MOMENT_SECONDS = 0.1  # for an answer that may come later as well
LOST_SECONDS = 10.0  # for a strategy that does not answer, or has not come


class Patience:
    """What the feed's next event waits for. `unpaced` = the feed is played as fast as it goes; `clock` counts seconds."""

    def __init__(self, unpaced: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.unpaced, self.clock = unpaced, clock
        self._asked_at = self._lost_since = 0.0
        self._begun = False

    def asked(self) -> None:
        """A host was asked something now."""
        self._asked_at = self.clock()

    def waits(self, engine: Engine) -> bool:
        """Is the feed's next event held back now?"""
        if not engine.questions and not engine.remotes:
            return False
        now = self.clock()
        if engine.questions and now - self._asked_at < MOMENT_SECONDS:
            return True
        return bool(engine.remotes) and not engine.active() and self._thinking(engine.remotes, now)

    def _thinking(self, remotes: list[RemoteDesk], now: float) -> bool:
        if any(desk.strategy.lost or not desk.strategy.heard for desk in remotes):
            self._lost_since = self._lost_since or now
            gone_on = now - self._lost_since >= LOST_SECONDS
            self._begun = self._begun or gone_on
            return not gone_on and (self.unpaced or not self._begun)
        self._lost_since, self._begun = 0.0, True
        return any(desk.strategy.asked for desk in remotes) and (self.unpaced or now - self._asked_at < MOMENT_SECONDS)
