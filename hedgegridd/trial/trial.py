"""`hedgegridd plugins try`: a breaker file over a journal and over recorded data, as one document.

One law: what it would have cost or saved is the difference of two runs of one heart with one fill engine, or it is called an estimate
and says so. It writes nothing, arms nothing and asks no daemon.
"""

from __future__ import annotations

import os
import sys
import time as clock
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hedgegridd.config import parse
from hedgegridd.errors import PluginError, StateError
from hedgegridd.journal import records
from hedgegridd.journal.segments import INPUTS, header, lines, segments
from hedgegridd.journal.segments import parse as parse_record
from hedgegridd.model import Level, Mode
from hedgegridd.plugins import Registry
from hedgegridd.progress import Progress
from hedgegridd.research.backtest import Job, prepare
from hedgegridd.schema import Config
from hedgegridd.times import iso
from hedgegridd.trial import passes
from hedgegridd.trial.asked import File, file_of
from hedgegridd.trial.passes import Clock, Course, Looker, Pass, Window
from hedgegridd.trial.seen import Peak, Seen, estimate, row
from hedgegridd.trial.words import verdict

SCHEMA = 1
LOOK, AGAIN = 0.7, 0.85  #: of the time there is: when the looking on must end, and the run it is compared with
ASKS_A_SECOND = 250  #: that a trial in haste plans for
SAME_USDT = 1e-6  #: two runs whose equities differ by less are the same run


class Wanted(NamedTuple):
    """A trial as it was asked for."""

    file: Path
    config: Config | None
    registry: Registry
    journal: Path | None
    data: tuple[Path, ...]
    only: str = ""
    within: float | None = None
    quiet: bool = False
    say: Callable[[str], None] = print
    begun: float = 0.0


def run(wanted: Wanted) -> dict[str, Any]:
    """The whole trial. A file that cannot be loaded or asked is told in the document, `ok` false; other errors are raised."""
    wanted = wanted._replace(begun=clock.monotonic())
    config = wanted.config or _journals_own(wanted)
    document: dict[str, Any] = {"schema": SCHEMA, "file": str(wanted.file), "sha256": "", "ok": False, "failed": "", "runs": []}
    try:
        file = file_of(wanted.file, wanted.registry)
        document |= {"sha256": file.sha256, "shipped": file.shipped}
        for found in _runs(wanted, config, file):
            document["runs"] += found
        document["failed"] = next((one["failed"] for one in document["runs"] if one["failed"]), "")
    except PluginError as error:
        document["failed"] = str(error)
    document["ok"] = not document["failed"] and not any(one["errors"] for one in document["runs"])
    return {**document, "seconds_run": round(clock.monotonic() - wanted.begun, 3)}


def _journals_own(wanted: Wanted) -> Config:
    """The configuration that the journal was written under, at its end."""
    folder = wanted.journal
    if folder is None or not segments(folder, INPUTS):
        raise StateError(f"{folder or wanted.file}: there is no journal to take a configuration from; give --config")
    state = header(segments(folder, INPUTS)[-1])[1].state
    if state is None:
        raise StateError(f"{folder}: this journal has only begun; give --config")
    return parse(state["config"])


def _runs(wanted: Wanted, config: Config, file: File) -> Iterator[list[dict[str, Any]]]:
    if wanted.journal is not None:
        yield _journal(wanted, config, file, Window(wanted.journal, _recent(wanted)))
    for path in wanted.data:
        job = prepare(config, wanted.registry, {"data": str(path), "engine": "full"}, wanted.say, wanted.quiet)
        yield _data(wanted, job, file)


def _recent(wanted: Wanted) -> int | None:
    """The first record that a trial in haste counts: as many before the last one as there is time to ask about."""
    rows = [] if wanted.within is None or wanted.journal is None else segments(wanted.journal, INPUTS)
    for text in reversed(list(lines(rows[-1])) if rows else []):
        try:
            return max(1, parse_record(text).seq - 2 * int(ASKS_A_SECOND * (wanted.within or 0)))  # every other record is an act
        except ValueError:  # half a record: it is being written now
            continue
    return None


def _clock(wanted: Wanted, part: float, span: tuple[int, int] | None, what: str) -> tuple[Clock, Progress]:
    """When a pass must end, as a part of the time there is, and its bar."""
    until = None if wanted.within is None else wanted.begun + wanted.within * part
    shown = not wanted.quiet and sys.stderr.isatty()
    if shown:
        wanted.say(what)
    bar = Progress(span if shown else None, sys.stderr)
    return Clock(until, bar.show), bar


# --- a journal ------------------------------------------------------------------------------------------------------------


def _journal(wanted: Wanted, config: Config, file: File, window: Window) -> list[dict[str, Any]]:
    """One row for each breaker of the file."""
    span = records.span(window.folder, window.frm) if not wanted.quiet and sys.stderr.isatty() else None
    time, bar = _clock(wanted, LOOK, span, f"{window.folder}: the session as it was")
    looked = passes.look_on(file, config, wanted.registry, wanted.only, window, time)
    bar.close()
    if looked.engine is None:
        raise StateError(f"{window.folder}: this journal has no inputs to try anything on")
    return [_judged(wanted, config, file, looked.part or window, one, looked, span) for one in looked.lookers]


def _judged(
    wanted: Wanted, config: Config, file: File, window: Window, one: Looker, looked: Pass, span: tuple[int, int] | None
) -> dict[str, Any]:
    """A breaker's row, with what it would have cost or saved: two runs made anew, with it and without; an estimate where that fails."""
    found, name = _row("journal", str(window.folder), one, looked), one.name.removeprefix(passes.SEAT)
    if one.seen.acting is None:
        return _finished({**found, "effect": _nothing(one.seen)})
    if why := _unrepeatable(looked):
        return _finished({**found, "effect": _estimated(one.seen, looked, why)})
    time, bar = _clock(wanted, AGAIN, span, f"the same with fills made anew, without {name}")
    without = passes.again(wanted.registry, window, time, name, [])
    bar.close()
    time, bar = _clock(wanted, 1.0, span, f"the same with {name} in force")
    acted, other = passes.acting(file, config, wanted.registry, name, window, time)
    bar.close()
    if not (without.whole and acted.whole) or other.failed:
        return _finished({**found, "effect": _estimated(one.seen, looked, other.failed or "there was no time to make the runs anew")})
    differs = without.equity - looked.course.equity
    same = "comes to the session as it was" if abs(differs) <= SAME_USDT else f"ends {differs:+,.2f} USDT from the session as it was"
    return _finished({**found, "effect": _difference(acted, without, f"two runs with fills made anew; the one without it {same}")})


def _unrepeatable(looked: Pass) -> str:
    """Why a session cannot be run again; "" = it can."""
    assert looked.engine is not None
    if looked.engine.mode not in (Mode.PAPER, Mode.MONITOR):
        return f"the fills of a {looked.engine.mode.value} session cannot be made anew"
    return "its strategy thinks in a host of its own, which is not asked again" if looked.engine.remotes else ""


# --- recorded data ----------------------------------------------------------------------------------------------------------


def _data(wanted: Wanted, job: Job, file: File) -> list[dict[str, Any]]:
    """One row for each breaker of the file."""
    path = job.table.data
    span = job.feed().span() if not wanted.quiet and sys.stderr.isatty() else None
    time, bar = _clock(wanted, LOOK, span, f"{path}: as it would have been")
    looked = passes.data_pass(file, job, wanted.only, time, acts=False)
    bar.close()
    rows = []
    for one in looked.lookers:
        found = _row("data", path, one, looked)
        found["effect"] = _nothing(one.seen)
        if one.seen.acting is not None:
            name = one.name.removeprefix(passes.SEAT)
            time, bar = _clock(wanted, 1.0, span, f"the same with {name} in force")
            acted = passes.data_pass(file, job, name, time, acts=True)
            bar.close()
            if acted.course.whole and looked.course.whole and not acted.failed:
                found["effect"] = _difference(acted.course, looked.course, "two backtests by the full engine, with the trip and without")
            else:
                found["effect"] = _estimated(one.seen, looked, acted.failed or "there was no time for the second run")
        rows.append(_finished(found))
    return rows


# --- what is told -----------------------------------------------------------------------------------------------------------


def _row(over: str, where: str, one: Looker, looked: Pass) -> dict[str, Any]:
    """Everything but the effect and the verdict."""
    seen, engine = one.seen, looked.engine
    assert engine is not None
    seen.passed()
    guard, first, last = engine.panel.guards.get(one.name), seen.first, seen.last
    begin, end = (first.time, last.time) if first is not None and last is not None else (0, 0)
    course = looked.course
    return {
        "name": one.name.removeprefix(passes.SEAT), "over": over, "where": where, "mode": engine.mode.value,
        "from": iso(begin), "to": iso(end), "seconds": (end - begin) / 1000, "whole": course.whole, "failed": looked.failed,
        "on_trip": seen.guard.on_trip.name.lower(), "asks": seen.asks, "unknowns": seen.unknowns, "errors": seen.errors,
        "last_unknown": seen.last_unknown, "last_error": seen.last_error,
        "ask_ms_p50": seen.price_ms(0.5), "ask_ms_p99": seen.price_ms(0.99),
        "trips": seen.trips, "told": [row(told) for told in seen.told], "near_misses": seen.near,
        "nearest": [_peak(one, seen.guard.unit) for one in seen.nearest], "peak": _peak(seen.peak, seen.guard.unit), "now": _now(seen),
        "equity_start_usdt": course.equity_start, "equity_end_usdt": course.equity, "max_drawdown_pct": course.max_drawdown_pct,
        "notes": _notes(one, looked, guard.why if guard is not None and guard.state == "disarmed" else ""),
    }  # fmt: skip


def _peak(peak: Peak | None, unit: str) -> dict[str, Any] | None:
    return None if peak is None else {**peak._asdict(), "time": iso(peak.time), "unit": unit}


def _now(seen: Seen) -> dict[str, Any]:
    """What it said at the last ask."""
    said = seen.verdict
    words = (said.trip.reason if said.trip else "") or said.unknown or said.error
    state = "trips" if said.trip else "unknown" if said.unknown else "error" if said.error else "fine" if seen.asks else "not asked"
    measure = said.measure
    return {
        "state": state, "reason": words, "unit": seen.guard.unit,
        "value": measure.value if measure else said.trip.value if said.trip else None,
        "threshold": measure.threshold if measure else said.trip.threshold if said.trip else None,
    }  # fmt: skip


def _notes(one: Looker, looked: Pass, out_of_force: str) -> list[str]:
    engine, name = looked.engine, one.name.removeprefix(passes.SEAT)
    notes = [f"never asked: {out_of_force}"] if out_of_force else []
    if engine is not None and not engine.kill.enabled:
        notes.append("never asked: kill_switch.enabled is false there")
    if not looked.course.whole:
        notes.append("there was no time for all of it" if one.seen.asks else "never asked: there was no time to play up to the newest part")
    if engine is not None and name in engine.panel.guards and looked.replayed is not None and one.seen.trips:
        notes.append(f"a breaker {name!r} was there in this session: what it did is in the session as it was")
    end = looked.part.to if looked.part is not None else None
    if looked.replayed is not None and any(end is None or one.seq < end for one in looked.replayed.mismatches):  # acts go on meanwhile
        notes.append("the journal does not replay the same on this version: from there on these are this version's decisions")
    return notes


def _nothing(seen: Seen) -> dict[str, Any]:
    """No trip that stops anything: nothing to compare."""
    why = "it only warns" if seen.trips else "it did not trip"
    return {"kind": "none", "saved_usdt": 0.0, "equity_end_usdt": None, "max_drawdown_pct": None, "basis": why}


def _difference(acted: Course, without: Course, basis: str) -> dict[str, Any]:
    saved = acted.equity - without.equity
    return {"kind": "rerun", "saved_usdt": saved, "equity_end_usdt": acted.equity, "max_drawdown_pct": acted.max_drawdown_pct,
            "basis": basis}  # fmt: skip


def _estimated(seen: Seen, looked: Pass, why: str) -> dict[str, Any]:
    """The legs held at the first trip that stops something, closed there, against keeping them."""
    told, end, found = seen.acting, seen.last, None
    assert told is not None and looked.engine is not None
    if told.level == Level.FLATTEN and end is not None:
        found = estimate(told.snapshot, end, {symbol: desk.instrument for symbol, desk in looked.engine.desks.items()})
        basis = "the legs held then closed at that mark, less taker fee and half the spread, against their worth at the end"
    else:
        basis = f"a {told.level.name.lower()} closes nothing, and what it withholds cannot be estimated"
    return {"kind": "estimate", "saved_usdt": found.saved if found else None, "equity_end_usdt": None, "max_drawdown_pct": None,
            "basis": f"{basis}; {why}"}  # fmt: skip


def _finished(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "verdict": verdict(found)}


NICE = 5  #: of a trial in haste; its plugin host, as ever, gives way to it by ten more


def give_way() -> None:
    """To a daemon that trades on the same machine."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    except OSError:  # a unit's system call filter may forbid it
        pass
