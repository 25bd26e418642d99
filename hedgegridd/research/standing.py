"""Where every breaker stood when the account was stopped, and which would have tripped next: the journal through the heart again.

One law: what is told is the heart's own. The moment itself is the replay that compares every decision; a journal that does not come
out the same tells nothing. What would have followed is the session with fills made anew and its stop left out, which only a paper
account allows. Nothing here measures, fills or decides.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hedgegridd.config import parse
from hedgegridd.errors import ConfigError, JournalDamaged, PluginError, StateError
from hedgegridd.heart.breakers import Guard, judge
from hedgegridd.heart.build import build
from hedgegridd.heart.engine import Engine
from hedgegridd.heart.snapshot import snapshot_of
from hedgegridd.journal import records
from hedgegridd.journal.segments import INPUT, KILL, Record
from hedgegridd.live.memory import account_of, last_seen
from hedgegridd.live.replay import replay
from hedgegridd.model import KillFile, Mode, Report, Verb
from hedgegridd.plugins import Registry
from hedgegridd.progress import passing, watched
from hedgegridd.research.rerun import rerun
from hedgegridd.research.wording import duration, number
from hedgegridd.times import iso

AFTER_MS = 1_800_000  #: how far beyond the trigger the next trip is looked for, in the data's time
UNREADABLE = (JournalDamaged, StateError, ConfigError, PluginError)

Document = dict[str, Any]


class Standing(NamedTuple):
    """What the replay told. `mark` = of the sync that covers the first act, None where it cannot be told; `why` = not, "" = all is."""

    breakers: list[Document]
    next: Document
    mark: int | None = None
    why: str = ""


def stood(folder: Path, registry: Registry, first: Record, cause: Record, state: Document) -> Standing:
    """Of the incident that began with the act `first`, caused by the act `cause`; `state` = of the checkpoint before it.

    Whatever the journal is like, nothing is raised.
    """
    moment = _Moment()
    try:
        with watched(lambda: _span(folder, first, 0)) as moment.show:
            done = replay(folder, registry, first.seq, first.seq, moment.watch)
        why = "" if not done.mismatches else "the journal does not replay the same on this version"
    except UNREADABLE as error:
        why = str(error)
    engine = moment.engine
    if why or engine is None or not moment.seq:
        why = why or "the inputs before it are not in the journal"
        return Standing(_again(registry, cause, state), _untold(why), None, why)
    rows = [_row(guard, guard.name == cause.data.get("name")) for guard in engine.panel.guards.values()]
    return Standing(_nearest(rows), _next(folder, registry, first, cause, engine, moment.seq), moment.mark(first))


class _Moment:
    """The heart after the input that the stop followed from."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.seq = self.before = self.after = 0
        self.show: Callable[[int], None]

    def watch(self, seq: int, engine: Engine) -> bool:
        """What the replay calls after each input."""
        self.before, self.after = self.after if self.engine else engine.sync_mark, engine.sync_mark
        self.engine, self.seq = engine, seq
        self.show(engine.now)
        return True

    def mark(self, act: Record) -> int | None:
        """The sync that covers this act of that input: the latch's own, else the input's, or the next where it asked for none."""
        if self.engine is None:
            return None
        if act.kind == KILL:
            return self.engine.latch_mark
        return self.after if self.after > self.before else self.after + 1


# --- at the moment --------------------------------------------------------------------------------------------------------


def _row(guard: Guard, tripped: bool) -> Document:
    """One breaker as it stood: what it measured, of what."""
    keys = ("name", "state", "value", "threshold", "unit", "fraction", "on_trip")
    row = guard.row()
    return {**{key: row[key] for key in keys}, "triggered": tripped}


def _nearest(rows: list[Document]) -> list[Document]:
    """The one that triggered first, then by how much of the way to its limit was used; what is not known last."""
    return sorted(rows, key=lambda row: (not row["triggered"], -(row["fraction"] if row["fraction"] is not None else -1.0), row["name"]))


def _again(registry: Registry, cause: Record, state: Document) -> list[Document]:
    """Without a replay: the shipped breakers asked about the picture that the trip itself keeps; [] where there is none."""
    if cause.kind != "trip":
        return []
    try:
        traits = state["feed"]
        engine = build(parse(state["config"]), registry, carries=frozenset(traits["carries"]), cadence_ms=traits["cadence_ms"])
        snapshot = snapshot_of(cause.data["inputs"])
    except (*UNREADABLE, KeyError, TypeError):  # no checkpoint is left, or one of another version: its picture is not ours
        return []
    for guard in engine.panel.guards.values():
        measure = judge(guard.breaker, snapshot).measure if guard.state != "disarmed" else None
        if measure is not None:
            guard.value, guard.threshold, guard.unit = measure.value, measure.threshold, measure.unit
    return _nearest([_row(guard, guard.name == cause.data["name"]) for guard in engine.panel.guards.values()])


# --- what would have followed ---------------------------------------------------------------------------------------------


def _untold(why: str) -> Document:
    return {"known": False, "why": why, "said": f"Which breaker would have tripped next is not known: {why}."}


def _next(folder: Path, registry: Registry, first: Record, cause: Record, engine: Engine, seq: int) -> Document:
    """Which breaker would have tripped next, had this stop not come."""
    if engine.mode not in (Mode.PAPER, Mode.MONITOR):
        return _untold(f"the fills of a {engine.mode.value} session cannot be made anew")
    if engine.remotes:
        return _untold("its strategy thinks in a host of its own, which is not asked again")
    look = _Look(cause, seq)
    out = frozenset({cause.data["name"]}) if cause.kind == "trip" else frozenset()
    try:
        with watched(lambda: _span(folder, first, AFTER_MS)) as show:
            rerun(passing(look.without(records.replayable(folder, first.seq)), show), registry, _memory, look.watch, out)
    except UNREADABLE as error:
        return _untold(str(error))
    return look.told() if look.able else _untold("it was begun by what cannot be left out")


def _span(folder: Path, first: Record, after: int) -> tuple[int, int] | None:
    """From the checkpoint before this act to so much after it, for a bar."""
    whole = records.span(folder, first.seq)
    return whole and (whole[0], min(whole[1], first.time + after))


def _memory(engine: Engine) -> tuple[Report, list[Any]]:
    return account_of(engine), last_seen(engine)


class _Look:
    """Looks on while the session goes on without its stop."""

    def __init__(self, cause: Record, seq: int) -> None:
        self.cause, self.seq = cause, seq
        self.able = cause.kind == "trip"
        self.found: Document | None = None
        self.near: Document | None = None
        self.until = 0

    def without(self, rows: Any) -> Any:
        """The records; where no breaker tripped, less the verb or the file that began it."""
        for record in rows:
            if not self.able and record.seq == self.seq and record.kind == INPUT and isinstance(record.data, Verb | KillFile):
                self.able = True
                continue
            if record.seq > self.seq and (not self.able or record.time > self.cause.time + AFTER_MS):
                return
            yield record

    def watch(self, seq: int, engine: Engine) -> bool:
        """After each input, the heart that was not stopped."""
        if seq < self.seq:
            return True
        self.until = engine.now
        for guard in engine.panel.guards.values():
            if guard.state == "disarmed":
                continue
            row = _row(guard, False)
            if guard.state == "tripped" and guard.since >= self.cause.time:
                self.found = {**row, "time": iso(guard.since), "after_seconds": (guard.since - self.cause.time) / 1000, "reason": guard.why}
                return False
            if row["fraction"] is not None and (self.near is None or row["fraction"] > self.near["fraction"]):
                self.near = {**row, "time": iso(engine.now)}
        return True

    def told(self) -> Document:
        """As JSON: the next trip, else none and who came nearest."""
        seconds = max(0, self.until - self.cause.time) / 1000
        near = None if self.found else self.near
        return {"known": True, "looked_seconds": seconds, "trip": self.found, "nearest": near, "said": _said(seconds, self.found, near)}


def _said(seconds: float, trip: Document | None, near: Document | None) -> str:
    """The same in words."""
    if trip is not None:
        later = f"{duration(trip['after_seconds'])} later" if trip["after_seconds"] else "at the same moment"
        return f"Next would have been {trip['name']} ({trip['on_trip']}), {later}: {trip['reason']}."
    said = f"Without this stop no other breaker would have tripped in the {duration(seconds)} that the journal goes on"
    if near is None:
        return f"{said}."
    return f"{said}; nearest came {near['name']}: {number(near['value'])} of {number(near['threshold'])} {near['unit']}."
