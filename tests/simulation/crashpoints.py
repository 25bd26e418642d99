"""Every point of the kill path at which a life can end or its disk fail: what was acknowledged is so, and it ends flat.

One law: the points are counted, not drawn. One run names them: each call that changes a file of the journal, the kill switch or the
alerts, each request that leaves for the exchange, each answer that arrives, and the reply to a person. At each of them the run is forked:
the child's daemon is dead, its files are as that death leaves them, its exchange goes on, and the next life begins. Points of one moment
that leave the same files and the same exchange share a child. Calls that fail, and a disk that fills up, end no life: there each point is
a run of its own. `python -m simulation.crashpoints` (with PYTHONPATH=tests:.) prints what was found.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time as wall_clock
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from loguru import logger
from rig import BARS, MINUTE, REGISTRY, START, config_of, instrument_table
from simulation.faultydisk import CALLS, FaultyDisk, Image, lay_out
from simulation.line import Clock, Line, Rates
from simulation.world import Exchange, Loop, Source, World

from hedgegridd.errors import Refused
from hedgegridd.heart.build import build, exchange_of
from hedgegridd.heart.orders import parse
from hedgegridd.journal import Journal, verify
from hedgegridd.kernel import ledger
from hedgegridd.live.alerts import Alerts
from hedgegridd.live.daemon import Daemon
from hedgegridd.live.handlers import Handlers
from hedgegridd.live.latch import Latch
from hedgegridd.live.replay import replay
from hedgegridd.live.start import NoHosts, begin_anew, checkpoint_of, damaged, recover, started
from hedgegridd.model import Bar, Mark, Outlook, Quote, Trade

SYMBOL, PRICE, TRIP_PRICE = "BTCUSDT", 500_000, 477_000
PATIENCE_S = 60.0  # of the world's time
REASON = "crash points"
TRIGGERS = ("activate", "kill file", "breaker")
PLACES = ("paper", "network")
DELAYS = (0.0, 0.03)  # how late the disk's thread is, seconds
KINDS = ("kill", "tear", "lost", "half", "error", "full")
KEPT = ("kill", "tear")
DEATHS, FAULTS = ("kill", "lost", "half"), ("error", "full")
REPLAYED = 4  # every so many runs all that was decided is made again from the journal: that takes as long as the run
CHILD_S = 120  # a run that takes so long hangs
WAYS = {"kill": "process killed", "tear": "record torn, killed", "error": "call fails once", "full": "disk full from there on",
        "lost": "power cut, unsynced lost", "half": "power cut, unsynced half there"}  # fmt: skip


class Case(NamedTuple):
    """What stops the account, on which exchange, with how late a disk."""

    trigger: str
    place: str
    delay: float

    def __str__(self) -> str:
        return f"{self.trigger}, {self.place}, {'slow' if self.delay else 'fast'} disk"


CASES = tuple(Case(trigger, place, delay) for trigger in TRIGGERS for place in PLACES for delay in DELAYS)


def config(place: str) -> Any:
    """One symbol, two rungs a leg, and stops too far away to be hit by the drop that trips the breaker."""
    exits = {"tp_steps": 12, "sl_steps": 12}
    grid = {"base_qty": 0.002, "grid_levels_long": 2, "grid_levels_short": 2}
    tables: dict[str, Any] = {"limits": {"equity_usdt": 10_000.0, "max_exposure_pct": 400.0, "max_position_pct": 400.0}}
    if place == "network":
        tables |= {"mode": "live", "exchange": {"name": "paper"}}
    session = {"max_loss_amount_usdt": 1.0, "on_trip": "flatten"}
    breakers = {name: {"enabled": False} for name in ("funding", "stale_data", "order_errors")}
    return config_of(instrument=[instrument_table(SYMBOL, exit=exits, grid=grid)], breaker={**breakers, "session_loss": session},
                     recovery={"enabled": False}, **tables)  # fmt: skip


class Feed:
    """A market that is told as it happens, with a past that stood still."""

    pushed, cadence_ms = True, 1_000
    carries = BARS | {"marks", "quotes"}

    def events(self, after: int = 0) -> Any:
        return iter(())

    def warmup(self, symbol: str, bars: int) -> list[Any]:
        ends = [START - (bars - number) * MINUTE for number in range(bars)]
        return [Bar(symbol, end, PRICE, PRICE + 20, PRICE - 20, PRICE, 1_000_000, MINUTE) for end in ends]

    def next_funding(self, symbol: str, after: int) -> tuple[int, float | None]:
        return 0, None


class Channel:
    """People."""

    name = "people"

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def send(self, alert: Any) -> None:
        self.told.append(alert.rule)


class Base(NamedTuple):
    """An account with both legs held, and the daemon dead: where every run begins."""

    state: Path
    world_now: float
    line: Line | None


class Account:
    """One account over several lives of its daemon: its files, its exchange, its world."""

    def __init__(self, case: Case, state: Path, base: Base | None = None) -> None:
        self.case, self.state, self.config = case, state, config(case.place)
        self.network = case.place == "network"
        self.told: list[str] = []
        self.world = World()
        self.acked: dict[str, Any] | None = None  # what the kill switch was when somebody was told "active, durable"
        self.openers_after: list[str] = []
        self.sent_before = 0
        self.kept = False  # all that was written is found again: no power was cut
        self.latched = False
        self.line: Line | None = None
        if base is not None:
            shutil.copytree(base.state, state)
            self.world.now, self.line = base.world_now, copy.deepcopy(base.line)
        elif self.network:
            self.line = self._line()

    def _line(self) -> Line:
        inner = exchange_of(self.config, REGISTRY, "paper")
        desks = build(self.config, REGISTRY, carries=Feed.carries, cadence_ms=1_000).desks
        inner.start(lambda event: None, {symbol: desk.instrument for symbol, desk in desks.items()}, self.config.exchange.paper)
        return Line(inner, Clock(START), random.Random(1), Rates(), strict=True)

    def held(self) -> tuple[int, int]:
        """Lots (long, short) by the exchange's own books."""
        books = self.inner.pits[SYMBOL].books
        return ledger.held(books, 0), ledger.held(books, 1)

    def traffic(self) -> tuple[int, ...]:
        """What is under way between the daemon and an exchange that outlives it, as far as it changes within a moment."""
        line = self.line
        return (line.requests, len(line.moved), len(line.trades.get(SYMBOL, ())), line.clock._count) if line is not None else ()

    def sent(self) -> list[str]:
        """Openers that left since the account was stopped."""
        return [order.client_id for order in self.exchange.openers[self.sent_before :]]

    def own(self) -> list[str]:
        """Our orders that rest on the exchange."""
        return [order.client_id for order in self.inner.pits[SYMBOL].open.values() if parse(order.client_id)]

    @property
    def inner(self) -> Any:
        return self.line.inner if self.line is not None else self.exchange.inner

    # --- a life -------------------------------------------------------------------------------------------------------

    def live(self, plan: tuple[int, str], act: Callable[[Account], Any]) -> None:
        """One life of the daemon, in which `act` happens; then its process dies, if it has not by then."""
        world = self.world
        world.plan, world.points, world.armed, world.dead, world.struck = plan, [], False, False, ""
        self.disk = FaultyDisk(self.state, world.point, lambda: world.dead)
        with world.ticking(), self.disk.mounted():
            loop = Loop(world, self.case.delay)
            loop.set_exception_handler(lambda loop, context: None)  # what a dead process could not finish
            try:
                loop.run_until_complete(self._life(act))
            finally:
                loop.close()

    async def _life(self, act: Callable[[Account], Any]) -> None:
        journal = Journal(self.state / "journal")
        alerts = Alerts(self.state / "alerts", [Channel(self.told)], wall=lambda: self.world.ms / 1000)
        try:
            async with self._daemon(journal, alerts) as work:
                acting = asyncio.ensure_future(act(self))
                await asyncio.wait([acting, work], return_when=asyncio.FIRST_COMPLETED)
                await (work if work.done() else acting)
                self.world.dead = True
        finally:
            alerts.close()
            try:
                journal.close()
            except OSError:
                pass

    @asynccontextmanager
    async def _daemon(self, journal: Journal, alerts: Alerts) -> AsyncIterator[asyncio.Task[bool]]:
        """As `live.start` puts it together, but for socket and plugin hosts."""
        recovered, feed = journal.open(), Feed()
        engine = build(self.config, REGISTRY, carries=feed.carries, cadence_ms=feed.cadence_ms)
        recovered = damaged(recovered, recover(engine, recovered, REGISTRY))
        begin_anew(journal, checkpoint_of(self.config, engine, feed))
        inner = self.line if self.line is not None else exchange_of(self.config, REGISTRY, "paper")
        self.exchange = Exchange(self.world, inner, self.network)
        if self.line is not None:
            self.line.clock.now = self.world.ms
            self.world.due = self.line.clock.step
        latch = Latch(self.state / "killswitch.json")
        self.daemon = Daemon(engine, self.exchange, feed, journal, latch, alerts, NoHosts(), self._checkpoint, float("inf"),
                             self.exchange if self.network else Source())  # fmt: skip
        self.handlers = Handlers(self.daemon, list, _no_reload)
        first = started(self.config, latch, recovered, engine, {})
        work = asyncio.ensure_future(self.daemon.run(first))
        try:
            yield work
        finally:
            self.daemon.give_up()
            await asyncio.gather(work, return_exceptions=True)

    def _checkpoint(self) -> dict[str, Any]:
        return checkpoint_of(self.config, self.daemon.engine, self.daemon.feed)

    # --- what happens in it -------------------------------------------------------------------------------------------

    async def until(self, true: Callable[[], Any], what: str) -> None:
        """Wait in the world's time."""
        end = self.world.now + PATIENCE_S
        while not true():
            assert self.world.now < end, f"waited in vain for {what}: {self.picture()}"
            await asyncio.sleep(0.005)

    def picture(self) -> str:
        engine = self.daemon.engine
        flattens = [(one.phase, one.acted_at, one.asked_at) for one in engine.flattens]
        return f"held {self.held()}, orders {self.own()}, kill {engine.kill.as_file()}, flattens {flattens}, hold {engine.gate.hold()!r}"

    def show(self, price: int) -> None:
        """The market is here: on the exchange, and heard by the daemon."""
        now = max(self.world.ms, self.daemon.engine.now)
        for event in (Quote(SYMBOL, now, price - 1, 1_000, price + 1, 1_000), Mark(SYMBOL, now, float(price))):
            if self.line is not None:
                self.line._tick()
                self.line.market(event)
            self.daemon.hear(event)

    def trade(self, price: int) -> None:
        """Somebody trades here."""
        event = Trade(SYMBOL, max(self.world.ms, self.daemon.engine.now), price, 1_000_000, True)
        if self.line is not None:
            self.line._tick()
            self.line.market(event)
        else:
            self.exchange.market(event)

    async def hold_both(self) -> None:
        """Until the grid rests and both legs hold something, and all is quiet."""
        self.daemon.post(Outlook(SYMBOL, self.world.ms, 0.0001, self.world.ms + 480 * MINUTE))
        self.show(PRICE)
        await self.until(lambda: len(self.own()) >= 4, "the grid")
        await asyncio.sleep(1)
        for price, leg in ((PRICE - 5_500, 0), (PRICE - 5_500, 0), (PRICE + 2_600, 1)):
            if not (leg and self.held()[1]):
                self.trade(price)
                self.show(price)
            await self.until(lambda leg=leg: self.held()[leg], f"leg {leg}")
            await asyncio.sleep(2)
        self.show(PRICE)
        await self.quiet()

    async def quiet(self) -> None:
        """Until the daemon knows what the exchange knows, and nothing is on its way."""
        desk = self.daemon.engine.desks[SYMBOL]

        def settled() -> bool:
            known = (desk.held(0), desk.held(1)) == self.held() and set(desk.orders.open) == set(self.own())
            return self.daemon.ready and known and not self.daemon.busy and not desk.orders.ending

        await self.until(settled, "quiet")
        await asyncio.sleep(3)
        await self.until(settled, "quiet")

    async def trigger(self) -> None:
        """What stops the account; counted from here on."""
        self.world.armed = True
        if self.case.trigger == "activate":
            try:
                answer = await self.handlers.handle("activate", {"reason": REASON}, "uid=1(tester)")
            except Refused:
                return
            if self.world.alive("reply"):
                kill = self.daemon.engine.kill.as_file()
                self.acked = {key: kill[key] for key in ("reason", "actor", "since", "source")} if answer["durable"] else None
                self.world.point("answered")
        elif self.case.trigger == "kill file":
            (self.state / "by-hand").write_text(json.dumps({"active": True, "level": "flatten", "reason": REASON}))
            shutil.move(self.state / "by-hand", self.state / "killswitch.json")
        else:
            self.show(TRIP_PRICE)

    async def stop_all(self) -> None:
        """The first life: everything is quiet, then it is stopped, and the work is done."""
        self.show(PRICE)
        await self.quiet()
        engine = self.daemon.engine
        assert all(self.held()) and not engine.kill.active
        self.sent_before = len(self.exchange.openers)
        acting = asyncio.ensure_future(self.trigger())
        try:
            await self.until(lambda: engine.kill.active, "the kill switch")
            await self.until(lambda: engine.kill.phase == "flat" and acting.done(), "flat")
            await self.until(lambda: self.disk.full or not self.daemon.busy, "the disk")
            await asyncio.sleep(0.3)
            await acting
        finally:
            acting.cancel()
            self.openers_after += self.sent()
        self.world.armed = False

    async def come_back(self) -> None:
        """The next life: it goes on with the work; where nothing of it is left, whoever stopped the account does so again."""
        self.latched = False
        self.show(TRIP_PRICE if self.case.trigger == "breaker" else PRICE)
        await self.until(lambda: self.daemon.ready, "ready")
        engine = self.daemon.engine
        self.at_once = engine.kill.as_file()
        self.latched = engine.kill.active
        if not self.latched and self.case.trigger == "activate":
            await self.quiet()
            assert not self.kept or all(self.held()), f"half: nothing is latched, and {self.held()} is held"
            await self.handlers.handle("activate", {"reason": REASON}, "uid=1(tester)")
        await self.until(lambda: engine.kill.active, "the kill switch")
        await self.until(lambda: engine.kill.phase == "flat" and not engine.active(), "flat")
        await self.until(lambda: not self.daemon.busy, "the disk")
        await asyncio.sleep(1)
        if self.latched:
            self.openers_after += [order.client_id for order in self.exchange.openers]


async def _no_reload(actor: str) -> dict[str, Any]:
    return {}


# --- the runs ---------------------------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What came of one point and one way to strike it."""

    point: str
    kind: str
    acked: bool
    latched: bool  # by the next life, before anything was done to it
    wrong: str


class Children:
    """Forked runs, so many at a time, each of which tells what came of it."""

    def __init__(self, jobs: int) -> None:
        self.jobs, self.count = jobs, 0
        self._running: deque[tuple[int, int, list[Any]]] = deque()

    def fork(self, work: Callable[[], tuple[bool, bool, str]]) -> list[Any]:
        """Where the child's answer will be once `wait` has returned."""
        while len(self._running) >= self.jobs:
            self._reap()
        self.count += 1
        ours, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            signal.alarm(CHILD_S)
            try:
                answer = work()
            except BaseException as error:
                answer = (False, False, f"{type(error).__name__}: {error}")
            os.write(theirs, json.dumps(answer).encode())
            os._exit(0)
        os.close(theirs)
        answer_here: list[Any] = []
        self._running.append((pid, ours, answer_here))
        return answer_here

    def _reap(self) -> None:
        pid, pipe, answer = self._running.popleft()
        with os.fdopen(pipe, "rb") as file:
            text = file.read()
        os.waitpid(pid, 0)
        answer[:] = json.loads(text) if text else (False, False, "the run hung or died")

    def wait(self) -> None:
        """Until all have told."""
        while self._running:
            self._reap()


def base(case: Case, folder: Path) -> Base:
    """An account with both legs held, its daemon dead."""
    account = Account(case, folder / f"{case.place}-base")
    account.state.mkdir()
    account.live((-1, ""), Account.hold_both)
    assert all(account.held()), account.held()
    return Base(account.state, account.world.now + 5, account.line)


class Survey:
    """Every point of one case, struck in every way."""

    def __init__(self, case: Case, folder: Path, jobs: int, kinds: Sequence[str] = KINDS) -> None:
        self.case, self.folder = case, folder
        self.deaths, self.faults = [kind for kind in DEATHS if kind in kinds], [kind for kind in FAULTS if kind in kinds]
        self.tears = "tear" in kinds
        self.children = Children(jobs)
        self.points: list[str] = []
        self._struck: list[tuple[str, str, list[Any]]] = []
        self._known: dict[Any, list[Any]] = {}

    def run(self) -> Survey:
        """One run for the points and the deaths at them, then one for each call that fails."""
        start = base(self.case, self.folder)
        gc.collect()
        gc.freeze()
        account = Account(self.case, self.folder / "whole", start)
        account.world.visit = lambda name, torn: self._visit(account, name, torn)
        account.live((-1, ""), Account.stop_all)
        self.points = account.world.points
        for number, point in enumerate(self.points):
            for kind in self.faults if point.split()[0] in CALLS else ():
                answer = self.children.fork(lambda number=number, kind=kind: strike(self.case, start, self.folder, number, kind))
                self._struck.append((point, kind, answer))
        self.children.wait()
        return self

    def _visit(self, account: Account, name: str, torn: Callable[[], Image] | None) -> None:
        """The run is at a point: it goes on, and a child dies here in each way."""
        for kind in (*self.deaths, "tear") if torn is not None and self.tears else self.deaths:
            image = torn() if kind == "tear" and torn is not None else account.disk.image(kind)
            key = (frozenset(image.items()), str(account.acked), account.world.ms if account.network else 0, account.traffic())
            if key not in self._known:
                place = self.folder / f"{len(self._known)}"
                self._known[key] = self.children.fork(lambda image=image, place=place, kind=kind: die(account, image, place, kind in KEPT))
            self._struck.append((name, kind, self._known[key]))

    @property
    def outcomes(self) -> list[Outcome]:
        return [Outcome(point, kind, *answer) for point, kind, answer in self._struck]


def die(account: Account, image: Image, place: Path, kept: bool) -> tuple[bool, bool, str]:
    """In a child: the daemon is dead, and this is what it left. The next life, and what came of it."""
    lay_out(image, place)
    account.kept = kept
    account.state = place
    account.world.visit = lambda name, torn: None
    account.openers_after += account.sent()
    return next_life(account)


def next_life(account: Account) -> tuple[bool, bool, str]:
    """(acknowledged, latched, what is wrong)"""
    wrong = ""
    try:
        account.live((-1, ""), Account.come_back)
        judge(account)
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    shutil.rmtree(account.state)
    return account.acked is not None, account.latched, wrong


def strike(case: Case, start: Base, folder: Path, number: int, kind: str) -> tuple[bool, bool, str]:
    """In a child: the account is stopped, and at point `number` a call fails. Then the daemon dies and is started again."""
    account = Account(case, folder / f"{number}-{kind}", start)
    try:
        account.live((number, kind), Account.stop_all)
        assert account.world.struck, "this point was not reached"
    except Exception as error:
        return account.acked is not None, False, f"{type(error).__name__}: {error}"
    return next_life(account)


def judge(account: Account) -> None:
    """What must hold, whatever happened."""
    engine, kill = account.daemon.engine, account.daemon.engine.kill
    if account.acked is not None:
        assert account.latched, "it was acknowledged, and the next life knew nothing of it"
        found = {key: account.at_once[key] for key in account.acked}
        assert found == account.acked, f"acknowledged as {account.acked}, found as {found}"
    assert account.latched or account.case.trigger != "kill file", "the kill switch file was overlooked"
    assert kill.active and kill.phase == "flat", kill.as_file()
    assert account.held() == (0, 0), f"not flat: {account.held()}"
    assert not account.own(), f"own orders are left: {account.own()}"
    assert (engine.desks[SYMBOL].held(0), engine.desks[SYMBOL].held(1)) == (0, 0)
    assert not account.openers_after, f"openers left after the kill switch was active: {account.openers_after}"
    file = json.loads((account.state / "killswitch.json").read_text())
    assert (file["active"], file["phase"]) == (True, "flat"), file
    _closed_what_was_held(account)
    checked = verify(account.state / "journal")
    assert checked.ok, checked
    if int(account.state.name.split("-")[0]) % REPLAYED == 0:
        again = replay(account.state / "journal", REGISTRY)
        assert not again.mismatches, again.mismatches[:2]
    assert "kill_activated" in account.told or "started" in account.told, account.told


def _closed_what_was_held(account: Account) -> None:
    """By the exchange's own list of trades: at no moment less than nothing is held."""
    held = [0, 0]
    for fill in account.line.trades[SYMBOL] if account.line is not None else ():
        held[fill.leg] += fill.qty if (fill.side > 0) == (fill.leg == 0) else -fill.qty
        assert held[fill.leg] >= 0, f"more closed than held: {fill}"


# --- the table --------------------------------------------------------------------------------------------------------------


def told(surveys: Sequence[Survey]) -> str:
    """What a person reads: points by what they are, strikes by their kind, and what went wrong."""
    points, ways = Counter[str](), Counter[str]()
    lines = [f"{'case':<34}{'points':>7}{'strikes':>9}{'runs':>7}{'acked':>7}{'latched':>9}{'wrong':>7}"]
    for one in surveys:
        found = one.outcomes
        points.update(one.points)
        ways.update(outcome.kind for outcome in found)
        acked, latched, bad = (sum(map(bool, column)) for column in zip(*(row[2:] for row in found), strict=True))
        lines.append(f"{one.case!s:<34}{len(one.points):>7}{len(found):>9}{one.children.count:>7}{acked:>7}{latched:>9}{bad:>7}")
    lines += ["", "points by what they are:", *(f"  {count:>5}  {name}" for name, count in sorted(points.items()))]
    lines += ["", "strikes by their kind:", *(f"  {ways[kind]:>5}  {text}" for kind, text in WAYS.items() if ways[kind])]
    wrong = [(one.case, outcome) for one in surveys for outcome in one.outcomes if outcome.wrong]
    lines += [f"WRONG  {case}: {WAYS[row.kind]} at {row.point!r}: {row.wrong}" for case, row in wrong]
    total = ways.total()
    return "\n".join([*lines, "", f"{points.total()} points, {total} strikes, {total - len(wrong)} as promised"])


def main() -> int:
    """All cases, or those whose name has a word in it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="runs at a time")
    parser.add_argument("--case", action="append", default=[], help="only cases with these words in their name")
    parser.add_argument("--kinds", default=",".join(KINDS), help="ways to strike, of these")
    args = parser.parse_args()
    logger.remove()
    begun, surveys = wall_clock.perf_counter(), []
    for case in CASES:
        if not args.case or any(words in str(case) for words in args.case):
            with tempfile.TemporaryDirectory() as name:
                surveys.append(Survey(case, Path(name), args.jobs, args.kinds.split(",")).run())
            print(f"{case}: {len(surveys[-1].points)} points, {wall_clock.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    print(told(surveys))
    print(f"{wall_clock.perf_counter() - begun:.1f} s")
    return int(any(outcome.wrong for one in surveys for outcome in one.outcomes))


if __name__ == "__main__":
    sys.exit(main())
