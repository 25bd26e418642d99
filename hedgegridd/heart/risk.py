"""The look at risk after an event: what pauses a symbol, what people are told of, what every breaker says, and what a trip stops.

One law: it looks before anything is thought or ordered, and each of its stops goes through the engine's own doors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from hedgegridd.heart import lines, modes, notices, size
from hedgegridd.heart.breakers import Guard, Noticed, Tripped, Verdict, judge
from hedgegridd.heart.desk import Desk
from hedgegridd.heart.effects import Ask, InForce
from hedgegridd.heart.moves import Moves
from hedgegridd.heart.snapshot import picture, plain, vitals

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine


def look(engine: Engine, tick: bool) -> None:
    """Everything that may have come nearer to a line. `tick`: the event was one of the market that completes nothing."""
    if engine.now >= engine.maintenance.until:
        engine.maintenance.look(engine)
    if not engine.dirty:
        return
    engine.dirty = False
    engine.pauses.look(engine)
    modes.look(engine)
    lines.look(engine)
    if engine.kill.enabled:
        engine.account.smooth(engine.now, engine.smoothing_ms)
        if _ask_breakers(engine, tick) or engine.panel.size_factor < 1.0:
            size.look(engine)


class Pauses:
    """Each strategy's own risk_management: it pauses its symbol, the breakers stop the account.

    While the drawdown is far from every desk's line and no order was refused, only those have a look that moved, or that were paused
    or counted refusals when looked at last, or whose strategy thinks elsewhere.
    """

    def __init__(self, moves: Moves) -> None:
        self._desks, self._moved = moves.desks, moves.reader()
        self._uneasy: set[int] = set()
        self._line = min((desk.drawdown_line for desk in self._desks), default=math.inf)  # percent

    def look(self, engine: Engine) -> None:
        """Who is to pause, and who may go on?"""
        drawdown, desks = engine.account.drawdown(), self._desks
        self._uneasy.update(row for row in self._moved.take() if _uneasy(desks[row]))
        if engine.errors or drawdown * 100 >= self._line:
            self._uneasy.update(range(len(desks)))
        if self._uneasy:
            rows, self._uneasy = sorted(self._uneasy), set()
            for row in rows:
                self._guard(engine, desks[row], drawdown)
            self._uneasy.update(row for row in rows if _uneasy(desks[row]))

    @staticmethod
    def _guard(engine: Engine, desk: Desk, drawdown: float) -> None:
        if desk.guard(engine.now, drawdown):
            engine.write("guarded", symbol=desk.symbol, reason=desk.guarded)
            engine.tell(notices.state_change, f"{desk.symbol}: {desk.guarded or 'openers may rest again'}")
            engine.stirred.add(desk.symbol)


def _uneasy(desk: Desk) -> bool:
    return bool(desk.guarded or desk.errors or desk.remote)


def _ask_breakers(engine: Engine, tick: bool) -> bool:
    """True where one had something to say."""
    restless = engine.ease.restless(engine.now, len(engine.errors), vitals(engine), set(engine.questions.values()), tick)
    snapshot: Any = picture(engine) if any(verdict is None for _, verdict in restless) else None  # before a trip changes it
    for guard, verdict in restless:
        if verdict is not None or guard.breaker is not None:
            hear(engine, guard, verdict or judge(guard.breaker, snapshot))
        else:
            engine.question += 1
            engine.questions[engine.question] = (guard.host, guard.name)
            engine.out.append(Ask(guard.host, engine.question, "check", guard.name, snapshot))
    return bool(restless)


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
