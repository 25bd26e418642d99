"""What each writing verb does to the engine. One law: a verb is a row of the table; it replies, or is refused with what to do next.

Reads are not here: they look at the engine from outside (live.handlers).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hedgegridd.errors import Refused
from hedgegridd.heart import modes, notices
from hedgegridd.heart.account import DAY_MS
from hedgegridd.heart.breakers import Guard
from hedgegridd.heart.checklist import blocks
from hedgegridd.heart.desk import LEGS, Desk
from hedgegridd.heart.effects import InForce, Reply, Retired
from hedgegridd.heart.killswitch import NAMED
from hedgegridd.heart.modes import LegMode
from hedgegridd.heart.rehearsal import STAGE
from hedgegridd.model import Leg, Level, Moment, Verb

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine

Result = dict[str, Any] | None  # None: the reply comes later
_LEG_WORDS = {"long": (Leg.LONG,), "short": (Leg.SHORT,), "both": LEGS}


def perform(engine: Engine, verb: Verb) -> None:
    """Do it, journal it, and reply once the disk has it."""
    engine.write("verb", name=verb.name, params=verb.params, actor=verb.actor)
    try:
        result = VERBS.get(verb.name, _nothing)(engine, verb)
    except Refused as refusal:
        engine.write("refused", name=verb.name, reason=str(refusal))
        engine.out.append(Reply(verb.ticket, None, str(refusal)))
        return
    if result is not None:
        engine.acknowledge_when_durable(engine.sync(), verb.ticket, result)


def _nothing(_: Engine, verb: Verb) -> Result:
    raise Refused(f"{verb.name!r} is not a verb that changes anything")


def _reason(verb: Verb) -> str:
    reason = str(verb.params.get("reason") or "").strip()
    if not reason:
        raise Refused(f"{verb.name} needs --reason: the journal keeps it")
    return reason


def _desks(engine: Engine, verb: Verb) -> list[Desk]:
    symbol = verb.params.get("symbol")
    if not symbol:
        return list(engine.desks.values())
    if not isinstance(symbol, str) or symbol not in engine.desks:
        raise Refused(f"no instrument {symbol!r:.40}; there are {', '.join(engine.desks)}")
    return [engine.desks[symbol]]


def _legs(verb: Verb) -> tuple[Leg, ...]:
    word = str(verb.params.get("leg") or "both").lower()
    if word not in _LEG_WORDS:
        raise Refused(f"no leg {word!r}: expected long, short or both")
    return _LEG_WORDS[word]


def _scope(engine: Engine, verb: Verb) -> modes.Scope:
    return [(desk.symbol, int(leg)) for desk in _desks(engine, verb) for leg in _legs(verb)]


# --- kill switch ----------------------------------------------------------------------------------------------------------


def activate(engine: Engine, verb: Verb) -> Result:
    """Engage the kill switch, or raise its level; the reply waits for the disk, the flatten does not."""
    name = str(verb.params.get("level") or engine.kill.on_activate.name).upper()
    if name not in ("HALT", "FLATTEN"):
        raise Refused(f"no level {name.lower()!r}: expected halt or flatten")
    source = str(verb.params.get("source") or "ctl")
    if source not in ("ctl", *NAMED):
        raise Refused(f"no source {source!r:.40}: expected {' or '.join(NAMED)}, or none where it is your own wish")
    engine.engage(Level[name], _reason(verb), source, verb.actor)
    mark = engine.sync(latch=True, kept=True)  # what is new of it was asked for with its own mark
    engine.acknowledge_when_durable(mark, verb.ticket, {"active": True, "durable": True, "level": engine.kill.level.name.lower()})
    return None


def deactivate(engine: Engine, verb: Verb) -> Result:
    """Let the kill switch go, if nothing stands against it."""
    reason = _reason(verb)
    kill = engine.kill
    if not kill.active:
        raise Refused("the kill switch is not active")
    if kill.env_engaged:
        raise Refused("env_engaged: the daemon was started with the kill environment variable set; unset it and restart the daemon")
    if kill.busy or [flatten for flatten in engine.flattens if flatten.by_kill and flatten.phase != "flat"]:
        raise Refused(f"the work of the kill switch is not finished (phase {kill.phase}): {'; '.join(engine.unresolved()) or 'verifying'}")
    breach = engine.panel.in_breach()
    if breach and not verb.params.get("force"):
        listed = "; ".join(f"{guard.name} ({guard.why})" for guard in breach)
        raise Refused(f"still in breach: {listed}. Reset with `breakers reset NAME --reason R`, or --force disarms them for today")
    for guard in breach:
        engine.panel.disarm(guard, f"disarmed by {verb.actor} with --force: {reason}", engine.now, _tomorrow(engine.now))
    for guard in engine.panel.guards.values():
        if guard.state == "tripped" and not guard.in_breach:
            engine.panel.reset(guard, engine.now)
    engine.deadman.confirm(engine.wall)  # a person is there
    mark = engine.release_when_durable()
    disarmed = [guard.name for guard in breach]
    engine.tell(notices.kill_deactivated, reason, verb.actor, disarmed)
    engine.acknowledge_when_durable(mark, verb.ticket, {"active": False, "disarmed": disarmed, "stage": engine.recovery.stage})
    return None


def _tomorrow(now: int) -> int:
    return now - now % DAY_MS + DAY_MS


def flatten(engine: Engine, verb: Verb) -> Result:
    """Close legs without the kill switch; the reply comes when the exchange reports flat, or the deadline passed."""
    modes.put(engine, _scope(engine, verb), LegMode.FLATTEN, _reason(verb), "ctl", ticket=verb.ticket)
    return None


# --- pace -----------------------------------------------------------------------------------------------------------------


def throttle(engine: Engine, verb: Verb) -> Result:
    """Scale the quantity of every opener by 0..1."""
    value = verb.params.get("factor")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Refused(f"throttle is {value!r}: expected a number from 0 (nothing opens) to 1 (full size)")
    for desk in _desks(engine, verb):
        for leg in _legs(verb):
            desk.throttle[leg] = float(value)
        engine.think(desk, Moment.LOOK)
    return {"throttle": float(value), "symbols": [desk.symbol for desk in _desks(engine, verb)]}


def pause(engine: Engine, verb: Verb) -> Result:
    """Withdraw and withhold openers; closers and stops stay (E22). A leg that is in a stricter mode stays in it."""
    modes.tighten(engine, _scope(engine, verb), LegMode.TAKE_PROFIT_ONLY, "", "ctl")
    return {"paused": True, **_where(engine, verb)}


def resume(engine: Engine, verb: Verb) -> Result:
    """End a pause, whatever else keeps a leg from opening, or a symbol's halt."""
    _let(engine, verb, LegMode.NORMAL, "")
    return {"paused": False, **_where(engine, verb)}


def mode(engine: Engine, verb: Verb) -> Result:
    """What a leg may do from now on."""
    word = str(verb.params.get("mode") or "")
    if word not in modes.WORDS:
        raise Refused(f"no mode {word!r:.40}: expected {', '.join(modes.WORDS)}")
    _let(engine, verb, modes.WORDS[word], _reason(verb))
    return {"mode": word, **_where(engine, verb)}


def _let(engine: Engine, verb: Verb, mode: LegMode, reason: str) -> None:
    scope = _scope(engine, verb)
    modes.loosen(engine, [(symbol, leg) for symbol, leg in scope if engine.desks[symbol].standing[leg].mode > mode])
    if mode == LegMode.NORMAL:
        for desk in _desks(engine, verb):
            desk.mend()
    modes.put(engine, scope, mode, reason, "ctl")


def _where(engine: Engine, verb: Verb) -> dict[str, Any]:
    return {"symbols": [desk.symbol for desk in _desks(engine, verb)], "legs": [leg.name.lower() for leg in _legs(verb)]}


# --- breakers ---------------------------------------------------------------------------------------------------------------


def _guard(engine: Engine, verb: Verb) -> Guard:
    name = str(verb.params.get("name") or "")
    guard = engine.panel.guards.get(name)
    if guard is None:
        raise Refused(f"no breaker {name!r}; there are {', '.join(engine.panel.guards) or 'none'}")
    return guard


def arm(engine: Engine, verb: Verb) -> Result:
    """Vouch for a breaker: it acts at its full level from now on."""
    guard, reason = _guard(engine, verb), _reason(verb)
    guard = engine.panel.arm(guard, engine.now)
    if "window" in getattr(guard.breaker, "needs", ()):
        engine.keep_windows()
    if guard.host:
        engine.out.append(InForce(guard.host))
    engine.write("breaker", name=guard.name, what="armed", text=reason)
    engine.dirty = True
    return guard.row()


def disarm(engine: Engine, verb: Verb) -> Result:
    """Take a breaker out of force until it is armed again; survives restarts, shown as degraded."""
    guard, reason = _guard(engine, verb), _reason(verb)
    before = guard.state
    engine.panel.disarm(guard, f"disarmed by {verb.actor}: {reason}", engine.now)
    engine.write("breaker", name=guard.name, what="disarmed", text=reason)
    engine.tell(notices.state_change, f"breaker {guard.name}: {before} -> disarmed", f"{verb.actor}: {reason}")
    if guard.host:
        engine.out.append(Retired(guard.host))
    return guard.row()


_REBASED: dict[str, Callable[[Engine], object]] = {
    "drawdown": lambda engine: engine.account.rebase_peaks(),
    "session_loss": lambda engine: engine.account.rebase_session(engine.now),
    "daily_loss": lambda engine: engine.account.rebase_day(),
}


def reset(engine: Engine, verb: Verb) -> Result:
    """Start tripped breakers anew; an equity breaker measures from today's equity, so not while a leg is open."""
    reason = _reason(verb)
    every = verb.params.get("all")
    guards = list(engine.panel.guards.values()) if every else [_guard(engine, verb)]
    open_legs = [f"{desk.symbol} {leg.name.lower()}" for desk in engine.desks.values() for leg in LEGS if desk.held(leg)]
    if open_legs and any(guard.name in _REBASED for guard in guards):
        raise Refused(f"an equity breaker is not re-based while a leg is open: {', '.join(open_legs)}")
    done = []
    for guard in guards:
        if guard.name in _REBASED:
            old = _REBASED[guard.name](engine)
            engine.write("rebased", name=guard.name, old=str(old), equity=engine.account.equity)
        if guard.state != "disarmed":
            engine.panel.reset(guard, engine.now)
        engine.write("breaker", name=guard.name, what="reset", text=reason)
        done.append(guard.name)
    engine.dirty = True
    return {"reset": done, "equity_usdt": engine.account.equity}


# --- operator ---------------------------------------------------------------------------------------------------------------


def confirm(engine: Engine, verb: Verb) -> Result:
    """A person is there."""
    engine.deadman.confirm(engine.wall)
    return {"confirmed": True, "enabled": engine.deadman.enabled, "left_seconds": (engine.deadman.left_ms(engine.wall) or 0) / 1000}


def advance(engine: Engine, verb: Verb) -> Result:
    """The next stage of a staged return; refused with everything that stands in its way (row 99)."""
    reason = _reason(verb)
    before, back = engine.recovery.stage, engine.recovery
    if back.due() and (found := blocks(engine, str(verb.params.get("journal", "")), verb.params.get("faults", ()))):
        raise Refused(f"not before this is put right: {'; '.join(found)}")
    stage = back.advance(engine.now)
    if stage == STAGE:
        engine.rehearsal.begin()
    engine.write("stage", stage=stage, reason=reason)
    engine.tell(notices.state_change, f"staged return: {before} -> {stage}", f"{verb.actor}: {reason}")
    for desk in engine.desks.values():
        engine.think(desk, Moment.LOOK)
    return {"stage": stage, "size_factor": engine.recovery.size_factor}


def drill(engine: Engine, verb: Verb) -> Result:
    """A drill was run on a twin of this account (live.drill): the verb's own record says who, when and how it went."""
    if verb.params.get("result") != "pass":
        engine.tell(notices.system_error, f"drill {verb.params.get('id')} did not pass: {verb.params.get('text')}")
    return {"noted": True}


VERBS: dict[str, Callable[[Engine, Verb], Result]] = {
    "activate": activate,
    "deactivate": deactivate,
    "flatten": flatten,
    "throttle": throttle,
    "pause": pause,
    "resume": resume,
    "mode": mode,
    "breakers.arm": arm,
    "breakers.disarm": disarm,
    "breakers.reset": reset,
    "confirm": confirm,
    "advance": advance,
    "drill": drill,
}
