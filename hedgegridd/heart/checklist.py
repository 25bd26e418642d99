"""What must be true before the next stage of a staged return (row 99). One law: what nobody can vouch for stands in the way.

Positions closed or explained, nothing in doubt on the exchange, components sound, breakers not in breach, and the journal verified.
The last, and what of the components only the shell can see, comes with the verb, and so from the journal in a replay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hedgegridd.heart import rehearsal
from hedgegridd.heart.desk import LEGS, Desk
from hedgegridd.model import Mode

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine

SOUND = "sound"  # what the shell says of a journal that verifies


def blocks(engine: Engine, journal: str = SOUND, faults: Iterable[str] = ()) -> list[str]:
    """Everything that stands against the next stage, in words; empty = nothing does."""
    found = [*_house(engine), *faults]
    if journal != SOUND:
        found.append(f"the journal is not verified: {journal or 'nobody looked'}")
    for desk in engine.desks.values():
        found += [f"{desk.symbol}: {why}" for why in _desk(desk)]
    for guard in engine.panel.guards.values():
        if guard.in_breach and guard.state != "disarmed":
            found.append(f"breaker {guard.name} is in breach: {guard.why}")
        elif guard.state in ("unknown", "check_error", "would_trip"):
            found.append(f"breaker {guard.name} is {guard.state}: {guard.why}")
    return [*found, *_rehearsed(engine)]


def _house(engine: Engine) -> Iterator[str]:
    gate = engine.gate
    if engine.kill.active:
        yield f"the kill switch is active: {engine.kill.reason}"
    if engine.active():
        yield f"a flatten is under way: {'; '.join(engine.unresolved()) or 'verifying'}"
    if gate.storage_failed:
        yield f"the journal cannot be written: {gate.storage_failed}"
    if gate.patient:
        yield f"the exchange: {gate.patient}"
    if engine.truth.hasty():
        yield "the exchange's report differs from our books, and is being asked for again"


def _desk(desk: Desk) -> Iterator[str]:
    """Of one symbol: positions explained and protected, orders known, its strategy whole and warm."""
    if desk.halted:
        yield f"halted: {desk.halted}; look, then `resume --symbol {desk.symbol}`"
    if unknown := desk.orders.unknown():
        yield f"{unknown} orders whose fate nobody knows"
    if not desk.ready:
        yield "the strategy is not warm yet"
    for leg in LEGS:
        name = leg.name.lower()
        if desk.owed[leg]:
            yield f"{name}: closed more than our books held"
        if desk.held(leg) and desk.stop(leg) is None:
            yield f"{name}: held without a stop"


def _rehearsed(engine: Engine) -> Iterator[str]:
    """The stage `paper` has shown something."""
    if engine.recovery.stage == rehearsal.STAGE and engine.mode != Mode.MONITOR and not engine.rehearsal.summary()["rested"]:
        yield (
            "no opener has rested on paper yet: `hedgegridctl why` tells what withholds them, or recovery.reduced_size_factor "
            "makes each too small for the exchange"
        )
