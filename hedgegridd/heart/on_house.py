"""What the house says: start, stop, time, disk, kill switch file, plugin hosts, people. One law: doubt shuts the gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hedgegridd import __version__
from hedgegridd.heart import notices, remote, risk, verbs
from hedgegridd.heart.breakers import LEVELS, Guard, Verdict, heard, take_settings
from hedgegridd.heart.effects import Place, Reply
from hedgegridd.heart.killswitch import level_of, source_of
from hedgegridd.heart.truth import EVERY_MS, SETTLE_MS
from hedgegridd.model import (
    Answer,
    DiskFailed,
    Durable,
    KillFile,
    Level,
    Missed,
    OrderState,
    PluginChanged,
    Started,
    Stopping,
    Timer,
    Verb,
)
from hedgegridd.views import Vitals

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine

SYNC_RETRY_MS = 1_000
SILENCE_MS = 2_000  # an exchange that has not answered for so long is asked what became of it


# --- life -----------------------------------------------------------------------------------------------------------------


def started(engine: Engine, event: Started) -> None:
    """A daemon took up the account. Start-up is recovery: everything in flight is UNKNOWN, and a flatten goes on."""
    engine.started = engine.started or event.time
    engine.wall, engine.vitals = event.wall, None
    engine.finished, engine.ending, engine.gate.stopping = False, None, ""
    engine.account.session.since = engine.account.session.since or event.time
    for desk in engine.desks.values():
        desk.orders.doubt()
        if desk.seen:  # silence is counted from here on, not from the last life's last word
            desk.seen = max(desk.seen, event.time)
        engine.stirred.add(desk.symbol)
    engine.waiting.clear()
    engine.acks.clear()
    engine.questions.clear()
    engine.thinkers.clear()
    for desk in engine.remotes:
        desk.strategy.begin(event.wall)
    engine.panel.candidates = {}  # their hosts died with the last life: they come back with a hello
    engine.releasing = 0
    engine.gate.unsettled, engine.gate.busy = "start-up: the exchange has not reported yet", ""
    engine.truth.begin()
    engine.beat.begin()
    engine.write("start", mode=engine.mode.value)
    _engage_at_start(engine, event)
    for flatten in engine.active():
        flatten.resume(event.time)
    if engine.kill.active:
        engine.sync(latch=True)  # whatever of it a crash kept from the disk
    if engine.kill.active and engine.kill.level == Level.FLATTEN and engine.kill.phase != "flat" and not engine.killing():
        engine.start_flatten(engine.everything(), engine.kill.reason, kill=True)
    reason = engine.kill.reason if engine.kill.active else ""
    engine.tell(notices.started, engine.mode.value, __version__, engine.config.daemon.instance, reason)
    engine.ask_report()


def _engage_at_start(engine: Engine, event: Started) -> None:
    engine.kill.env_engaged = bool(event.env_kill)
    if event.damage:
        engine.engage(Level.HALT, f"the journal is damaged: {event.damage}", "journal", "")
    if event.doubt:
        engine.engage(Level.HALT, event.doubt, "start", "")
    if event.env_kill:
        engine.engage(engine.kill.on_activate, f"environment variable {event.env_kill} is set", "environment", "")
    kill_file(engine, event.kill_file)


def stopping(engine: Engine, event: Stopping) -> None:
    """Openers go; a flatten, if the policy asks for one, starts. The engine says when it is done."""
    if engine.ending is not None:
        return
    engine.ending, engine.gate.stopping = event, f"stopping: {event.reason}"
    engine.drop_waiting(engine.gate.stopping)
    engine.write("stopping", reason=event.reason, flatten=event.flatten)
    if event.flatten:
        engine.start_flatten(engine.everything(), f"stop: {event.reason}", kill=False)


def timer(engine: Engine, timer: Timer) -> None:
    """Time passed."""
    engine.wall = timer.wall
    engine.dirty = True
    for desk in engine.remotes:
        desk.strategy.look(timer.wall, desk.strategy.name in engine.thinkers)
    _look_for_operator(engine, timer.wall)
    _reopen_rungs(engine)
    _ask_the_silent(engine)
    engine.beat.look(engine)
    if engine.gate.busy and engine.now >= engine.busy_until:
        engine.gate.busy = ""
        engine.stirred.update(engine.desks)
        for flatten in engine.active():
            flatten.hurry()
    if engine.gate.storage_failed and timer.wall - engine.sync_failed_at >= SYNC_RETRY_MS:
        engine.sync_failed_at = timer.wall
        engine.sync(latch=engine.kill.active)


def _reopen_rungs(engine: Engine) -> None:
    """An order that was lost can arrive no more: its rung is open again."""
    for desk in engine.desks.values():
        if desk.orders.await_no_more(engine.now):
            engine.moved(desk)


def vitals(engine: Engine, vitals: Vitals) -> None:
    """The shell measured the machine and its lines."""
    engine.vitals = vitals
    engine.wall = max(engine.wall, vitals.wall)
    engine.dirty = True


def _ask_the_silent(engine: Engine) -> None:
    """What was sent and never heard of again, a report that never came, a difference that must stand: ask, and ask again.

    An exchange over a network is asked in any case: what it never said is the worst of all.
    """
    since, truth = engine.now - engine.asked_at, engine.truth
    if since < SILENCE_MS and not truth.network:
        return
    doubtful = [desk for desk in engine.desks.values() if desk.orders.overdue(engine.now - SILENCE_MS)]
    pressing = bool(doubtful or engine.gate.unsettled or truth.hasty())
    if since >= (SETTLE_MS if pressing else EVERY_MS) if truth.network else pressing:
        engine.ask_report()


def _look_for_operator(engine: Engine, wall: int) -> None:
    settings, due = engine.config.dead_mans_switch, engine.deadman.look(wall)
    if due == "warn":
        engine.tell(notices.dead_man_warning, engine.deadman.left_ms(wall) or 0)
    elif due == "act":
        engine.tell(notices.dead_man_acted, settings.action)
        engine.engage(Level[settings.action.upper()], "no sign of the operator", "dead_mans_switch", "")


def kill_file(engine: Engine, file: KillFile) -> None:
    """The kill switch file, as others may have left it."""
    if file.missing and not engine.kill.active:
        return
    if engine.releasing:
        if file.active is not False:  # another hand engages what is just being let go; False is our own release on its way
            engine.engage(level_of(file.level, Level.HALT), file.reason or "kill switch file", source_of(file), "")
        return
    was = engine.kill.active
    if engine.kill.found(file, engine.now):
        engine.engaged(was)


def verb(engine: Engine, verb: Verb) -> None:
    """A person or a script asked for something."""
    verbs.perform(engine, verb)


# --- the disk -------------------------------------------------------------------------------------------------------------


def durable(engine: Engine, durable: Durable) -> None:
    """The disk has it: what waited for it becomes true, and openers leave."""
    if engine.gate.storage_failed:
        engine.gate.storage_failed = ""
        engine.write("storage", ok=True)
    if engine.releasing and durable.mark >= engine.releasing:
        engine.releasing = 0
        engine.kill.release()
        engine.recovery.begin(engine.now)
    if engine.kill.active and durable.mark >= engine.latch_mark:
        engine.kill.durable = True
    for ticket, result in _due(engine, durable.mark):
        _durable_now(engine, ticket, result)
    due = [row for row in engine.waiting if row[0] <= durable.mark]
    engine.waiting = [row for row in engine.waiting if row[0] > durable.mark]
    _release(engine, due)


def _release(engine: Engine, due: list[tuple[int, str, str]]) -> None:
    """Openers whose intent is on the disk leave, if the gate still lets them: its last look."""
    leaving = []
    for _, symbol, name in due:
        desk = engine.desks[symbol]
        order = desk.orders.open.get(name)
        if order is None or order.state != OrderState.PENDING:
            continue
        why = engine.gate.holds(desk)[order.leg]
        if why:
            desk.orders.never_rested(name)
            engine.write("withdrawn", client_id=name, reason=why)
        else:
            desk.orders.move(name, OrderState.SENT)
            leaving.append(order)
    if leaving:
        engine.out.append(Place(tuple(leaving)))


def disk_failed(engine: Engine, failed: DiskFailed) -> None:
    """The disk refused: no opener leaves, nothing is acknowledged as durable; cancels, stops and closes go on."""
    first = not engine.gate.storage_failed
    engine.gate.storage_failed = failed.why
    engine.drop_waiting(f"the journal cannot be written: {failed.why}")  # their market may be gone when the disk is back
    engine.sync_failed_at = engine.wall
    if engine.releasing and failed.mark >= engine.releasing:
        engine.releasing = 0  # a release that is not durable is not true, and must not be the journal's last word
        engine.write("kill", **engine.kill.dump())
        engine.sync(latch=True)
    engine.kill.durable = not engine.kill.active
    for ticket, result in _due(engine, failed.mark):
        _not_durable(engine, ticket, result, failed.why)
    if first:
        engine.write("storage", ok=False, why=failed.why)
        engine.tell(notices.disk_failed, failed.why)
        if engine.kill.active:
            engine.tell(notices.not_durable, failed.why)


def _due(engine: Engine, mark: int) -> list[tuple[int, dict[str, Any]]]:
    """The verbs that waited for this mark."""
    due = [(ticket, result) for waits_for, ticket, result in engine.acks if waits_for <= mark]
    engine.acks = [row for row in engine.acks if row[0] > mark]
    return due


def _durable_now(engine: Engine, ticket: int, result: dict[str, Any]) -> None:
    """It is on the disk; but a release that somebody came in the way of did not happen, and a kill switch that rose meanwhile is durable
    with its own mark: the answer and the status say one thing."""
    if engine.kill.active and not engine.kill.durable and result.get("active"):
        engine.acknowledge_when_durable(engine.latch_mark, ticket, result)
    elif engine.kill.active and result.get("active") is False:
        why = (engine.kill.later or [engine.kill.reason])[-1]
        engine.out.append(Reply(ticket, None, f"not done, the kill switch was engaged again: {why}"))
    else:
        engine.out.append(Reply(ticket, result))


def _not_durable(engine: Engine, ticket: int, result: dict[str, Any], why: str) -> None:
    """What was done holds though the disk refused it; a release does not."""
    if result.get("active") is not False:
        done = "active" if "active" in result else "done"
        engine.out.append(Reply(ticket, {**result, "durable": False, "warning": f"{done}, NOT durable: {why}"}))
    else:
        engine.out.append(Reply(ticket, None, f"not done, the kill switch stays active: the journal cannot be written ({why})"))


# --- plugin hosts ---------------------------------------------------------------------------------------------------------


def answer(engine: Engine, answer: Answer) -> None:
    """A host said what its breaker or strategy thinks; an answer to a question no longer asked is dropped."""
    asked = engine.questions.pop(answer.seq, None)
    if asked is not None:
        risk.hear_host(engine, *asked, heard(answer.value))
    else:
        remote.heard(engine, answer.seq, answer.value)


def missed(engine: Engine, missed: Missed) -> None:
    """A host did not answer."""
    asked = engine.questions.pop(missed.seq, None)
    if asked is not None:
        risk.hear_host(engine, *asked, Verdict(error=missed.why))
    else:
        remote.missed(engine, missed.seq, missed.why)


def plugin_changed(engine: Engine, event: PluginChanged) -> None:
    """A foreign file was loaded, refused, quarantined or removed. A removed file's breaker keeps guarding until it is disarmed."""
    engine.write("plugin", file=event.file, state=event.state, reason=event.reason, names=list(event.names), sha256=event.sha256)
    if event.state == "quarantined":
        engine.tell(notices.plugin_quarantined, event.file, event.reason)
    if event.kind == "breaker" and event.state == "loaded":
        for name, level in zip(event.names, event.on_trip or [""] * len(event.names), strict=False):
            guard = Guard(name, event.file, None, event.sha256, f"{event.file}@{event.sha256[:12]}", trusted=False)
            take_settings(guard, engine.config.breakers.get(name, {}), level if level in LEVELS else "halt")
            engine.panel.add(guard)
            missing = [need for need in event.needs if need not in engine.carries]
            if "window" in event.needs and not missing:
                engine.keep_windows()
            if missing:
                engine.panel.disarm(engine.panel.guards[name], f"the feed does not carry {', '.join(missing)}", engine.now)
    if event.kind == "strategy" and event.state == "loaded":
        remote.hosted(engine, event.names, f"{event.file}@{event.sha256[:12]}")
    engine.dirty = True


HANDLERS: dict[type, Callable[[Engine, Any], None]] = {
    Started: started,
    Stopping: stopping,
    Timer: timer,
    KillFile: kill_file,
    Verb: verb,
    Durable: durable,
    DiskFailed: disk_failed,
    Answer: answer,
    Missed: missed,
    PluginChanged: plugin_changed,
    Vitals: vitals,
}
