"""The look at risk after an event: what pauses a symbol, what people are told of, what every breaker says, and what a trip stops.

One law: it looks before anything is thought or ordered, and each of its stops goes through the engine's own doors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hedgegridd.heart import lines, modes, notices, size
from hedgegridd.heart.breakers import Guard, Noticed, Tripped, Verdict, judge
from hedgegridd.heart.effects import Ask, InForce
from hedgegridd.heart.snapshot import picture, plain

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine


def look(engine: Engine, tick: bool) -> None:
    """Everything that may have come nearer to a line. `tick`: the event was one of the market that completes nothing."""
    if engine.now >= engine.maintenance.until:
        engine.maintenance.look(engine)
    if not engine.dirty:
        return
    engine.dirty = False
    _guard_desks(engine)
    modes.look(engine)
    lines.look(engine)
    if engine.kill.enabled:
        engine.account.smooth(engine.now, engine.smoothing_ms)
        _ask_breakers(engine, tick)
        size.look(engine)


def _guard_desks(engine: Engine) -> None:
    """Each strategy's own risk_management: it pauses its symbol, the breakers stop the account."""
    drawdown = engine.account.drawdown()
    for desk in engine.desks.values():
        if desk.guard(engine.now, drawdown):
            engine.write("guarded", symbol=desk.symbol, reason=desk.guarded)
            engine.tell(notices.state_change, f"{desk.symbol}: {desk.guarded or 'openers may rest again'}")
            engine.stirred.add(desk.symbol)


def _ask_breakers(engine: Engine, tick: bool) -> None:
    snapshot = picture(engine)
    asked = set(engine.questions.values())
    for guard in [*engine.panel.guards.values(), *engine.panel.candidates.values()]:
        if (guard.state == "disarmed" and not guard.disarmed_until) or (tick and guard.of_vitals):
            continue  # what machine and lines are like, no tick of the market changes
        if guard.breaker is not None:
            hear(engine, guard, judge(guard.breaker, snapshot))
        elif (guard.host, guard.name) not in asked:
            engine.question += 1
            engine.questions[engine.question] = (guard.host, guard.name)
            engine.out.append(Ask(guard.host, engine.question, "check", guard.name, snapshot))


# --- what a breaker said ------------------------------------------------------------------------------------------------


def hear(engine: Engine, guard: Guard, verdict: Verdict) -> None:
    """Take in what a breaker said, and act on a trip."""
    if verdict.trip is not None and verdict.trip.symbol and verdict.trip.symbol not in engine.desks:
        verdict = Verdict(unknown=f"tripped for {verdict.trip.symbol!r}, expected one of {', '.join(engine.desks)}")
    outcome = engine.panel.hear(guard, verdict, engine.now)
    if isinstance(outcome, Tripped):
        _trip(engine, outcome)
    elif outcome is not None:
        _notice(engine, outcome)


def hear_host(engine: Engine, host: str, name: str, verdict: Verdict) -> None:
    """A host's breaker spoke: the guard in force, or a new version on its first look."""
    candidate, guard = engine.panel.candidates.get(name), engine.panel.guards.get(name)
    if candidate is not None and candidate.host == host:
        noticed = engine.panel.hear_candidate(candidate, verdict, engine.now)
        if noticed is not None:
            _notice(engine, noticed)
            if noticed.kind == "armed":
                engine.out.append(InForce(host))
    elif guard is not None and guard.host == host:
        hear(engine, guard, verdict)


def _notice(engine: Engine, noticed: Noticed) -> None:
    guard, kind, text = noticed
    engine.write("breaker", name=guard.name, what=kind, text=text)
    if kind != "armed":
        engine.tell(notices.breaker_noticed, guard, kind, text)


def _trip(engine: Engine, tripped: Tripped) -> None:
    guard, level, trip = tripped
    guard.inputs = plain(picture(engine))
    engine.write("trip", name=guard.name, level=level.name.lower(), reason=trip.reason, value=trip.value, threshold=trip.threshold,
                 inputs=guard.inputs, **({"symbol": trip.symbol, "leg": trip.leg} if trip.narrow else {}))  # fmt: skip
    engine.tell(notices.breaker_tripped, guard.name, trip, level, guard.unit)
    engine.stop(level, f"breaker {guard.name}: {trip.reason}", f"breaker.{guard.name}", trip.symbol, trip.leg)
