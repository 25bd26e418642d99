"""The passes of a trial: a tried breaker sits on the heart's own panel, where it only looks on, or acts.

One law: who looks on changes nothing. It says "fine" whatever it heard, so every decision of the pass is the one that was made
without it. Passes are the replay, the rerun and the full engine that are there; nothing here decides or fills. A stranger's breaker
is waited for here; in force, on a live market, its answer comes as an event of its own a moment later.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from hedgegridd.errors import PluginError, Unknown
from hedgegridd.heart.breakers import Verdict
from hedgegridd.heart.engine import Engine
from hedgegridd.journal import records
from hedgegridd.kernel.metrics import DEEPEST, NOTED, new_course, note
from hedgegridd.live.memory import account_of, last_seen
from hedgegridd.live.replay import Replayed, replay
from hedgegridd.model import Report
from hedgegridd.plugins import Plugin, Registry
from hedgegridd.research.backtest import Job
from hedgegridd.research.full import FullRun
from hedgegridd.research.outcome import Mute
from hedgegridd.research.rerun import rerun
from hedgegridd.schema import Config
from hedgegridd.trial.asked import Asked, Facts, File
from hedgegridd.trial.seen import Seen
from hedgegridd.views import Snapshot, Trip

SEAT = "try:"  #: no plugin can have such a name, so nobody's seat is taken


class Looker:
    """A tried breaker on the panel. `acts`: its trips count; else it is heard, and nothing comes of it."""

    def __init__(self, asked: Asked, facts: Facts, seen: Seen, shipped: bool, acts: bool) -> None:
        self.name, self.on_trip, self.needs = f"{SEAT}{facts.name}", seen.guard.on_trip.name.lower(), facts.needs
        self.seen, self.failed, self.awake = seen, "", True
        self._asked, self._name, self._shipped, self._acts = asked, facts.name, shipped, acts

    def check(self, snapshot: Snapshot) -> Trip | None:
        """What the panel calls."""
        if self.failed or not self.awake:
            return None
        begun = clock.perf_counter()
        try:
            verdict = self._asked.judge(self._name, snapshot)
        except PluginError as error:
            self.failed = str(error)
            return None
        self.seen.hear(snapshot, verdict, clock.perf_counter() - begun)
        return self._said(verdict) if self._acts else None

    def _said(self, verdict: Verdict) -> Trip | None:
        """As the panel is told in force: a shipped breaker that raises is blind, a stranger's guards nothing."""
        if verdict.unknown or (verdict.error and self._shipped):
            raise Unknown(verdict.unknown or verdict.error)
        return verdict.trip


class Window(NamedTuple):
    """The part of a journal that counts: record numbers. It is played from the checkpoint before it."""

    folder: Path
    frm: int | None = None
    to: int | None = None

    def counts(self, seq: int) -> bool:
        """Is this record one of the part?"""
        return self.frm is None or seq >= self.frm


class Course(NamedTuple):
    """A pass of which only the account counts."""

    equity_start: float
    equity: float
    max_drawdown_pct: float
    whole: bool  #: it was not ended before its time


class Pass(NamedTuple):
    """A pass on which the breakers looked on, or one of them acted."""

    course: Course
    lookers: list[Looker]
    engine: Engine | None
    part: Window | None = None  #: of the journal that was taken in
    replayed: Replayed | None = None
    failed: str = ""  #: why a breaker could be asked no longer


class Clock:
    """When a pass must end, and who is shown how far it is."""

    def __init__(self, until: float | None, show: Callable[[int], None]) -> None:
        self.until, self.show, self.late = until, show, False
        self._half = None if until is None else (clock.monotonic() + until) / 2

    @property
    def presses(self) -> bool:
        """Is half of the time gone?"""
        return self._half is not None and clock.monotonic() > self._half

    def goes_on(self, now: int) -> bool:
        """Is there time left?"""
        self.show(now)
        self.late = self.until is not None and clock.monotonic() > self.until
        return not self.late


class Equity:
    """The account's course over a pass."""

    def __init__(self) -> None:
        self.course, self.start, self.end = new_course(), 0.0, 0.0

    def take(self, engine: Engine) -> None:
        """After an event."""
        equity = engine.account.equity
        if not self.course[NOTED]:
            self.start = equity
        self.end = equity
        note(self.course, engine.now, equity)

    def told(self, whole: bool) -> Course:
        """What it came to."""
        return Course(self.start, self.end, self.course[DEEPEST] * 100.0, whole)


@contextmanager
def seated(file: File, config: Config, registry: Registry, only: str, acts: bool) -> Iterator[list[Looker]]:
    """The file's breakers (or the one named `only`) on every panel that is built meanwhile. PluginError where there is none."""
    asked = file.open(config)
    try:
        lookers = [
            Looker(asked, facts, Seen(facts.name, facts.on_trip, config.breakers.get(facts.name, {}), file.shipped), file.shipped, acts)
            for facts in asked.facts
            if only in ("", facts.name)
        ]
        if not lookers:
            there = ", ".join(facts.name for facts in asked.facts)
            raise PluginError(f"{file.path}: registers no breaker{f' {only!r}; there is {there}' if only and there else ''}")
        for one in lookers:
            registry.add(Plugin(one.name, "breaker", file.path, file.sha256, False, one, {}))
        yield lookers
    finally:
        for name in [name for name in registry.breakers if name.startswith(SEAT)]:
            del registry.breakers[name]
        asked.close()


def levelled(engine: Engine, lookers: list[Looker]) -> None:
    """An acting breaker waits and cools down as its own table says."""
    for one in lookers:
        guard, meant = engine.panel.guards[one.name], one.seen.guard
        guard.grace_ms, guard.cooldown_ms = meant.grace_ms, meant.cooldown_ms


def failure(lookers: list[Looker]) -> str:
    """Why a breaker can be asked no longer; "" = all can."""
    return next((one.failed for one in lookers if one.failed), "")


# --- on a journal -----------------------------------------------------------------------------------------------------------


def look_on(file: File, config: Config, registry: Registry, only: str, window: Window, time: Clock) -> Pass:
    """The session as it was, every decision its own, with the file's breakers looking on.

    Where half of the time is gone before the part that counts is reached, all that follows counts.
    """
    equity, first, last, engines = Equity(), 0 if window.frm is None else None, 0, list[Engine]()
    with seated(file, config, registry, only, acts=False) as lookers:
        wake(lookers, first is not None)

        def watch(seq: int, engine: Engine) -> bool:
            nonlocal first, last
            last = seq
            engines[:] = [engine]
            if first is None and (window.counts(seq) or time.presses):
                first = seq
                wake(lookers, True)
            if first is not None:
                equity.take(engine)
            return not failure(lookers) and time.goes_on(engine.now)

        done = replay(window.folder, registry, window.frm, window.to, watch)
        part = window._replace(frm=window.frm and first, to=last)
        return Pass(equity.told(not time.late), lookers, engines[0] if engines else None, part, done, failure(lookers))


def wake(lookers: list[Looker], awake: bool) -> None:
    """From now on they are asked, or not."""
    for one in lookers:
        one.awake = awake


def again(registry: Registry, window: Window, time: Clock, name: str, lookers: list[Looker]) -> Course:
    """The session once more with fills made anew and breaker `name` of its own out of force; who sits on the panel acts."""
    equity, placed = Equity(), set[int]()
    wake(lookers, window.counts(0))

    def watch(seq: int, engine: Engine) -> bool:
        counts = window.counts(seq)
        wake(lookers, counts)
        if id(engine) not in placed:  # a reload builds another
            placed.add(id(engine))
            levelled(engine, lookers)
        if counts:
            equity.take(engine)
        return time.goes_on(engine.now)

    rerun(records.replayable(window.folder, window.frm, window.to), registry, remembered, watch, frozenset({name}))
    return equity.told(not time.late)


def remembered(engine: Engine) -> tuple[Report, list[Any]]:
    """What a paper exchange takes up."""
    return account_of(engine), last_seen(engine)


def acting(file: File, config: Config, registry: Registry, name: str, window: Window, time: Clock) -> tuple[Course, Looker]:
    """The same with one breaker of the file in force."""
    with seated(file, config, registry, name, acts=True) as lookers:
        return again(registry, window, time, name, lookers), lookers[0]


# --- on recorded data -------------------------------------------------------------------------------------------------------


def without(config: Config, names: list[str]) -> Config:
    """The configuration with these breakers off: the tried one takes their place."""
    return replace(config, breaker={**config.breaker, **{name: {**config.breaker.get(name, {}), "enabled": False} for name in names}})


class _Over(Exception):
    """A backtest ends before its data do."""


def data_pass(file: File, job: Job, only: str, time: Clock, acts: bool) -> Pass:
    """A backtest by the full engine, with the file's breakers looking on, or one of them in force."""
    with seated(file, job.config, job.registry, only, acts) as lookers:
        run = FullRun(without(job.config, [one.name.removeprefix(SEAT) for one in lookers]), job.registry, job.feed(), Mute())
        levelled(run.engine, lookers)
        equity = Equity()

        def watch(now: int) -> None:
            equity.take(run.engine)
            if failure(lookers) or not time.goes_on(now):
                raise _Over

        try:
            run.run(watch)
        except _Over:
            pass  # what was played counts
        return Pass(equity.told(not time.late), lookers, run.engine, failed=failure(lookers))
