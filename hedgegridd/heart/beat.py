"""The exchange's own dead man's switch: it cancels our orders when it does not hear from us. One law: it is beaten only while we live.

A timer a symbol, kept on the exchange: armed once anything of ours rests there, beaten every `beat_seconds`, short while a flatten
goes on, taken off only when a stop leaves orders on purpose. It cancels what opens and what takes profits; stops must outlive it, which
the preflight tries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hedgegridd.heart.effects import Countdown
from hedgegridd.model import OrderState, Role

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine

SHORT_MS = 10_000  # while a flatten goes on


class Beat:
    """The timers we keep on the exchange: which symbols, beaten when."""

    def __init__(self, settings: Any, live: bool) -> None:
        self.enabled = live and (settings.enabled is None or settings.enabled)
        self.countdown_ms, self.every_ms = settings.countdown_seconds * 1000, settings.beat_seconds * 1000
        self.armed: tuple[str, ...] = ()
        self.beaten = self.ms = 0

    def begin(self) -> None:
        """A new life: what the last one armed may have run out."""
        self.armed = ()

    def look(self, engine: Engine) -> None:
        """Time passed: beat where it is due, where a symbol is new, or where a flatten ended; let go of symbols with nothing of ours.

        It cancels whatever rests on a symbol, others' orders too: none may run out where we have nothing to lose.
        """
        if not self.enabled or engine.finished:
            return
        symbols = tuple(desk.symbol for desk in engine.desks.values() if _rests(desk))
        over = tuple(symbol for symbol in self.armed if symbol not in symbols)
        if over:
            engine.out.append(Countdown(over, 0))
        ms = SHORT_MS if engine.active() else self.countdown_ms
        due = engine.now - self.beaten >= min(self.every_ms, ms // 3)
        if symbols and (due or ms != self.ms or not set(symbols) <= set(self.armed)):
            self._say(engine, symbols, ms)
        self.armed = symbols

    def shorten(self, engine: Engine) -> None:
        """A flatten begins: should we die in the middle of it, no order of ours outlives us for long."""
        if self.enabled and self.armed:
            self._say(engine, self.armed, SHORT_MS)

    def disarm(self, engine: Engine) -> None:
        """A stop on purpose, with orders left to rest."""
        if self.enabled and self.armed:
            self._say(engine, self.armed, 0)
            self.armed = ()

    def _say(self, engine: Engine, symbols: tuple[str, ...], ms: int) -> None:
        self.armed, self.beaten, self.ms = symbols, engine.now, ms
        engine.out.append(Countdown(symbols, ms))


def _rests(desk: Any) -> bool:
    """Is anything here that a countdown would cancel?"""
    return any(order.role in (Role.ENTRY, Role.TAKE_PROFIT) and order.state != OrderState.PENDING for order in desk.orders.open.values())
