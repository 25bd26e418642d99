"""The mode of a leg: what it may still do. One law: a machine only makes it stricter; only a person makes it milder again.

    normal            the grid trades
    graceful          what is held is worked out like on any day, re-entries too; once flat, the leg stays out
    take-profit-only  openers are withdrawn and withheld; take-profits and stop stay (a pause is this, and a leg's halt)
    flatten           the leg is closed now, and closed again should anything come to be held on it

The latch for the whole account is the kill switch; a mode outlives it, a restart and a reload.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from hedgegridd.errors import Refused
from hedgegridd.heart import notices
from hedgegridd.model import BOTH, Leg, Level, Moment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hedgegridd.heart.engine import Engine

Scope = list[tuple[str, int]]  # (symbol, leg)


class LegMode(IntEnum):
    """From the mildest to the strictest."""

    NORMAL = 0
    GRACEFUL = 1
    TAKE_PROFIT_ONLY = 2
    FLATTEN = 3

    @property
    def word(self) -> str:
        """As people write it."""
        return self.name.lower().replace("_", "-")


WORDS = {mode.word: mode for mode in LegMode}
OF_LEVEL = {Level.HALT: LegMode.TAKE_PROFIT_ONLY, Level.FLATTEN: LegMode.FLATTEN}  # what a stop of the account is to a leg


@dataclass(slots=True)
class Standing:
    """The mode a leg is in, who put it there (a source as the kill switch has them), why and when."""

    mode: LegMode = LegMode.NORMAL
    reason: str = ""
    source: str = ""
    since: int = 0
    out: bool = False  # graceful, and flat since then: a late fill is worked out, nothing is opened beside it

    @property
    def shut(self) -> bool:
        """May this leg open nothing, whatever it holds?"""
        return self.mode >= LegMode.TAKE_PROFIT_ONLY

    def hold(self) -> str:
        """Why no opener may rest on this leg; "" = it may."""
        if self.shut:
            return f"is paused: mode {self.mode.word}: {self.reason}" if self.reason else f"is paused: mode {self.mode.word}"
        return f"stays out: mode graceful, and flat: {self.reason}" if self.out else ""

    def row(self) -> list[Any]:
        """As JSON, for a checkpoint."""
        return list(astuple(self))

    @classmethod
    def of(cls, row: list[Any]) -> Standing:
        """From a checkpoint."""
        return cls(LegMode(row[0]), *row[1:])


def put(engine: Engine, scope: Scope, mode: LegMode, reason: str, source: str, *, ticket: int = 0) -> None:
    """Put these legs into this mode. `ticket` = the verb that waits for the flatten, where the mode is flatten."""
    for symbol, leg in scope:
        desk = engine.desks[symbol]
        was, now = desk.standing[leg], Standing(mode, reason, source, engine.now)
        desk.standing = (desk.standing[0], now) if leg else (now, desk.standing[1])
        engine.write("mode", symbol=symbol, leg=int(leg), mode=mode.word, was=was.mode.word, reason=reason, source=source)
        if mode != was.mode:
            where = f"{symbol} {Leg(leg).name.lower()}"
            engine.tell(notices.state_change, f"{where}: {was.mode.word} -> {mode.word}", f"{source}: {reason}" if reason else source)
        engine.think(desk, Moment.LOOK)
    engine.dirty = True  # a graceful leg that is flat is out at once
    if mode == LegMode.FLATTEN:
        engine.start_flatten(scope, reason, kill=False, ticket=ticket)


def tighten(engine: Engine, scope: Scope, mode: LegMode, reason: str, source: str) -> None:
    """Put those of these legs into this mode that are in a milder one."""
    milder = [(symbol, leg) for symbol, leg in scope if engine.desks[symbol].standing[leg].mode < mode]
    if milder:
        put(engine, milder, mode, reason, source)


def loosen(engine: Engine, scope: Scope) -> None:
    """May a person let these legs do more? Refused while a breaker that stopped one of them alone is still in breach."""
    guards = [guard for guard in engine.panel.guards.values() if guard.stopped(scope)]
    breach = [f"{guard.name} ({guard.why})" for guard in guards if guard.in_breach and guard.state != "disarmed"]
    if breach:
        raise Refused(f"still in breach there: {'; '.join(breach)}. Reset or disarm it first: `breakers reset NAME --reason R`")
    for guard in guards:
        if guard.state == "tripped":
            engine.panel.reset(guard, engine.now)


def scope_of(engine: Engine, symbols: Iterable[str], leg: int = BOTH) -> Scope:
    """Every leg of these symbols, or this one of each."""
    return [(symbol, int(one)) for symbol in symbols for one in Leg if leg in (BOTH, one)]


def look(engine: Engine) -> None:
    """A graceful leg that is flat stays out from now on."""
    for desk in engine.exposure.unlike():
        for leg, standing in enumerate(desk.standing):
            if standing.mode == LegMode.GRACEFUL and not standing.out and not desk.held(leg):
                standing.out = True
                engine.write("mode", symbol=desk.symbol, leg=leg, mode="graceful", out=True)
                engine.stirred.add(desk.symbol)


def keep_flat(engine: Engine) -> None:
    """What came to be held on a leg whose mode is flatten (a late fill, another hand's order) is closed again."""
    for desk in engine.exposure.unlike():
        for leg, standing in enumerate(desk.standing):
            if standing.mode == LegMode.FLATTEN and desk.held(leg) and not any(one.covers(desk.symbol, leg) for one in engine.active()):
                engine.start_flatten([(desk.symbol, leg)], f"{standing.source}: {standing.reason}", kill=False)
