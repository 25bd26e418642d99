"""The heart's state as JSON and back. One law: with a checkpoint and the events after it, everything is made again, bit for bit."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from hedgegridd.errors import StateError
from hedgegridd.heart.breakers import take_settings
from hedgegridd.heart.decisions import Decisions
from hedgegridd.heart.desk import Desk
from hedgegridd.heart.flatten import Flatten
from hedgegridd.model import Stopping
from hedgegridd.views import Vitals

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine


def dump(engine: Engine) -> dict[str, Any]:
    """The whole state as JSON: with it and the events after it, everything is made again."""
    return {
        "now": engine.now,
        "wall": engine.wall,
        "started": engine.started,
        "cursor": list(engine.cursor),
        "hash": engine.decisions.hash,
        "counts": dict(engine.counts),
        "account": engine.account.dump(),
        "kill": engine.kill.dump(),
        "panel": engine.panel.dump(),
        "deadman": [engine.deadman.confirmed_at, engine.deadman.warned, engine.deadman.acted],
        "recovery": [engine.recovery.stage, engine.recovery.since],
        "rehearsal": engine.rehearsal.dump(),
        "maintenance": engine.maintenance.dump(),
        "desks": {symbol: desk.dump() for symbol, desk in engine.desks.items()},
        "flattens": [flatten.dump() for flatten in engine.active()],
        "errors": list(engine.errors),
        "unsettled": engine.gate.unsettled,
        "asked_at": engine.asked_at,
        "storage_failed": engine.gate.storage_failed,
        "busy": [engine.gate.busy, engine.busy_until],
        "truth": engine.truth.dump(),
        "beat": [list(engine.beat.armed), engine.beat.beaten, engine.beat.ms],
        "sync_failed_at": engine.sync_failed_at,
        "ending": list(engine.ending) if engine.ending else None,
        "hold": list(engine.last_hold),
        "mark": engine.sync_mark,
        "latch_mark": engine.latch_mark,
        "told": sorted(engine.told),
        "waiting": [list(row) for row in engine.waiting],
        "question": engine.question,
        "questions": [[seq, *whom] for seq, whom in engine.questions.items()],
        "thinkers": dict(engine.thinkers),
        "vitals": list(engine.vitals) if engine.vitals else None,
    }


def take_over(engine: Engine, old: Engine) -> None:
    """Go on where another engine is, between two events: a reload, or the next life. StateError where this one cannot."""
    for desk in old.desks.values():
        _succeeded(desk, engine.desks.get(desk.symbol))
    load(engine, dump(old))
    engine.foreign, engine.flattens = old.foreign, old.flattens  # with the replies that people wait for
    engine.panel.reconfigured(old.panel)
    for guard in engine.panel.guards.values():
        if guard.breaker is None:
            take_settings(guard, engine.config.breakers.get(guard.name, {}), guard.on_trip.name.lower())
    engine.panel.candidates = old.panel.candidates
    engine.finished = old.finished


def load(engine: Engine, data: dict[str, Any]) -> None:
    """Take up a checkpoint."""
    engine.now, engine.wall, engine.started = data["now"], data["wall"], data["started"]
    engine.cursor = (data["cursor"][0], data["cursor"][1])
    engine.decisions, engine.counts = Decisions(data["hash"]), dict(data["counts"])
    engine.account.load(data["account"])
    engine.kill.load(data["kill"])
    engine.panel.load(data["panel"])
    engine.deadman.confirmed_at, engine.deadman.warned, engine.deadman.acted = data["deadman"]
    engine.recovery.stage, engine.recovery.since = data["recovery"]
    engine.maintenance.load(data.get("maintenance", {}))
    for symbol, kept in data["desks"].items():
        if symbol in engine.desks:
            engine.desks[symbol].load(kept)
    engine.rehearsal.load(data.get("rehearsal", {}))
    engine.flattens = [Flatten.load(kept) for kept in data["flattens"]]
    engine.errors = deque(data["errors"])
    engine.gate.unsettled, engine.gate.storage_failed = data["unsettled"], data["storage_failed"]
    engine.ending = Stopping(*data["ending"]) if data["ending"] else None
    engine.gate.stopping = f"stopping: {engine.ending.reason}" if engine.ending else ""
    engine.last_hold = (data["hold"][0], data["hold"][1])
    engine.asked_at, engine.sync_failed_at = data["asked_at"], data["sync_failed_at"]
    engine.sync_mark, engine.question, engine.latch_mark = data["mark"], data["question"], data["latch_mark"]
    engine.waiting = [(mark, symbol, name) for mark, symbol, name in data["waiting"]]
    engine.questions = {seq: (host, name) for seq, host, name in data["questions"]}
    engine.thinkers = dict(data["thinkers"])
    engine.told = set(data["told"])
    engine.vitals = Vitals(*data["vitals"]) if data.get("vitals") else None
    engine.gate.busy, engine.busy_until = data.get("busy", ("", 0))
    if "truth" in data:  # of a version before there was one: nothing is settled yet
        engine.truth.load(data["truth"])
        armed, engine.beat.beaten, engine.beat.ms = data["beat"]
        engine.beat.armed = tuple(armed)
    engine.dirty = False  # breakers had their look; a start and a reload give them another


def _succeeded(old: Desk, new: Desk | None) -> None:
    """May a symbol's state go on under the new configuration? Its prices are ticks and its quantities lots, of the old sizes."""
    busy = old.books.long_qty or old.books.short_qty or old.orders.open
    if new is None and busy:
        raise StateError(f"{old.symbol} has positions or orders and is not configured any more: "
                         "configure it, close it (hedgegridd flatten), then remove it")  # fmt: skip
    sizes = [(desk.instrument.tick_size, desk.instrument.lot_size) for desk in (old, new) if desk is not None]
    if len(set(sizes)) > 1:
        raise StateError(f"{old.symbol}: tick and lot size are {sizes[1]}, the state was made with {sizes[0]}: "
                         "keep them, or begin with a new state directory")  # fmt: skip
