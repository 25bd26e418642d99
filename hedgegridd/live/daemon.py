"""The daemon's shell: one loop that takes an event, hands it to the heart and performs what comes back.

One law: it has no rules. What it takes in is journaled before the heart sees it, so the journal fed to a heart again makes the
same decisions. Time is the feed's: a recorded or synthetic feed is played at N times real time or as fast as it goes.
"""

from __future__ import annotations

import asyncio
import time as clock
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hedgegridd.errors import FeedError, PluginError, Refused
from hedgegridd.heart import notices
from hedgegridd.heart.build import settings_of
from hedgegridd.heart.desk import Desk
from hedgegridd.heart.effects import (
    Amend,
    Ask,
    AskReport,
    Cancel,
    Countdown,
    Effect,
    Finished,
    InForce,
    Notify,
    Place,
    Reply,
    Retired,
    Sync,
    Write,
)
from hedgegridd.heart.engine import Engine
from hedgegridd.heart.killswitch import LONGEST_REASON
from hedgegridd.heart.remote import RemoteDesk
from hedgegridd.heart.verbs import VERBS
from hedgegridd.live import heads, log, units
from hedgegridd.live.disk import Disk
from hedgegridd.live.inbox import taken
from hedgegridd.live.memory import account_of, last_seen, missed, newest
from hedgegridd.live.notify import Notifier
from hedgegridd.live.pacer import Pacer
from hedgegridd.live.patience import MOMENT_SECONDS, Patience
from hedgegridd.live.vitals import Gauges
from hedgegridd.model import (
    Bar,
    DiskFailed,
    Durable,
    FeedEnd,
    Funding,
    Gap,
    KillFile,
    Mark,
    OrderState,
    Outlook,
    Quote,
    Report,
    Role,
    Started,
    Stopping,
    Timer,
    Trade,
    Verb,
    Warmup,
)
from hedgegridd.times import iso

TICK_SECONDS = 0.25  # how often the kill switch file, the socket and the watchdog are looked after
TIMER_SECONDS = 1.0
TURN_SECONDS = 0.002  # the longest the loop works without letting the control socket breathe
MARKET = frozenset({Bar, Quote, Trade, Mark, Funding, Gap})
FIRST = frozenset({Place, Cancel, Amend})  # on their way before anything is written: what opens has its record on the disk by then
AWAY_TURNS = 3  # of the loop, until what an exchange over the network began to send is sent


def wall_ms() -> int:
    """Now, milliseconds UTC."""
    return clock.time_ns() // 1_000_000


class Daemon:
    """Everything that lives as long as the process. Built by `live.start`, ended by `stop`."""

    def __init__(self, engine: Engine, exchange: Any, feed: Any, journal: Any, latch: Any, alerts: Any, hosts: Any,
                 checkpoint: Callable[[], dict[str, Any]], speed: float, source: Any = None) -> None:  # fmt: skip
        self.source = source  # the exchange that tells the market, where the feed is live; in live it takes the orders too
        self.engine, self.exchange, self.feed = engine, exchange, feed
        self.alerts, self.hosts, self.checkpoint = alerts, hosts, checkpoint
        self.pacer = Pacer(speed)
        self.patience = Patience(self.pacer.unpaced)
        self.notifier = Notifier()
        self.born = clock.monotonic()
        self.urgent: deque[Any] = deque()  # verbs and the kill switch file: before anything else
        self.inbox: deque[Any] = deque()
        self.lags: deque[float] = deque(maxlen=512)
        self.flat = True
        self.failure: FeedError | None = None  # why the feed could not go on
        self.feed_over = False
        self.ready = False
        self._tickets: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ticket = 0
        self._settled = 0  # sync mark on the disk that the heart has not heard of yet
        self._halfway = False  # orders of an event leave, and what it decided is not written yet
        self._done = False
        self._ended = False
        self._wake = asyncio.Event()
        self.disk = Disk(journal, latch, self._disk_failed, self._synced)
        self.gauges = Gauges(self, journal.folder) if source is not None and "vitals" in feed.carries else None
        self._spool = ThreadPoolExecutor(1, "spool")
        self._loop = asyncio.get_running_loop()
        self._events: Iterator[Any] = iter(())
        self._next: Any = None
        self._ticker: asyncio.Task[None] | None = None
        self._cold: list[RemoteDesk] = []  # foreign strategies that were not there to be warmed up at the start
        self.on_progress: Callable[[int], None] | None = None
        self.look_after: Callable[[], Awaitable[Any]] | None = None  # the control socket's own check
        self.recent_fills: deque[dict[str, Any]] = deque(maxlen=1000)
        self.recent_alerts: deque[dict[str, Any]] = deque(maxlen=100)
        self.drill: dict[str, Any] = {"running": None, "last": None}  # as `live.drill` has it, for `status`

    # --- life -------------------------------------------------------------------------------------------------------

    async def run(self, started: Started) -> bool:
        """Work until the feed ends or `stop`; True = nothing was left half done."""
        try:
            self._begin(started)
            self._ticker = asyncio.create_task(self._tick())
            await self._work()
        except (Exception, SystemExit) as error:  # the fence at the top: a heart that failed neither goes on nor ends in silence
            self._fail(error)
            if isinstance(error, SystemExit):  # an exchange's: with a code of its own choice the service manager might not start again
                raise PluginError(f"exchange {self.exchange.name}: it would end the daemon (SystemExit: {error})") from error
            raise
        finally:
            if self._ticker is not None:
                self._ticker.cancel()
            await self._close()
        return self.flat

    def _begin(self, started: Started) -> None:
        """The exchange, the first event of this life, then what is to be learnt from before it."""
        instruments = {symbol: desk.instrument for symbol, desk in self.engine.desks.items()}
        config, exchanges = self.engine.config, [self.exchange]
        if self.source is not None and self.source is not self.exchange:
            exchanges.append(self.source)
        for one in exchanges:
            one.start(self.hear if one is self.source else self.emit, instruments, settings_of(config, one))
        self.exchange.restore(account_of(self.engine), last_seen(self.engine))
        if self.exchange.orders_cost_network:
            self.exchange.catch_up(*newest(self.engine))
        time, count = self.engine.cursor
        self._events = self._resumed(time, count)
        try:
            self._next = next(self._events, None)
        except FeedError as error:
            self._feed_failed(error)
        first = self._next.time if self._next is not None else self._data_now() or 1
        self._take(started._replace(time=max(self.engine.now, first)))
        self._look_at_vitals()
        self._cold = list(self.engine.remotes)
        try:
            self._warm_up([desk for desk in self.engine.desks.values() if desk not in self._cold])
        except FeedError as error:
            self._feed_failed(error)

    def hear(self, event: Any) -> None:
        """What a live market says: a paper exchange fills against it before the heart sees it."""
        if self.exchange is not self.source and type(event) in MARKET:
            self.exchange.market(event)
        self.post(event)

    def _feed_failed(self, error: FeedError) -> None:
        """There is nothing to trade on: openers are withdrawn, a page goes out, and the run ends with this error."""
        self.failure, self.feed_over, self._next = error, True, None
        self.post(Stopping(self.engine.now, False, f"the feed failed: {error}"))
        self._page(f"the feed failed: {error}; openers are withdrawn, closers and stops stay")

    def _fail(self, error: Exception | SystemExit) -> None:
        """The heart or its shell is broken: openers are withdrawn, the kill switch file is written for the next life, a page goes out."""
        text = f"the daemon cannot go on: {type(error).__name__}: {error}"
        log.event("CRITICAL", text)
        orders = [order for desk in self.engine.desks.values() for order in desk.orders.open.values()]
        openers = [order for order in orders if order.role == Role.ENTRY and order.state != OrderState.PENDING]
        for step in (lambda: self.exchange.cancel(openers), lambda: self._shut(text), lambda: self._page(f"{text}; openers are withdrawn")):
            try:
                step()
            except (Exception, SystemExit) as again:  # a fence: each of these is tried, whatever became of the one before
                log.event("CRITICAL", f"while ending: {type(again).__name__}: {again}")

    def _shut(self, reason: str) -> None:
        """Engage by the file, in the disk's thread: after whatever it is writing now."""
        kill = self.engine.kill
        if not kill.active or self.engine.releasing:
            content = {**kill.as_file(), "active": True, "reason": reason[:LONGEST_REASON], "source": "daemon", "since": self.engine.now}
            self.disk.engage(content)

    def _page(self, text: str) -> None:
        """Tell a person what the heart cannot."""
        self._notify(Notify(notices.system_error(self.engine.now, text)))

    def stop(self, reason: str, flatten: bool) -> None:
        """Ask for a clean stop: openers are cancelled, a flatten under way is finished first."""
        self.post(Stopping(self.engine.now, flatten, reason), urgent=True)

    def give_up(self) -> None:
        """The time for a clean stop is over: end as things stand, and say that something is left half done."""
        if not self._done:
            self.flat, self._done = False, True
            self._wake.set()

    async def wait_flat(self, seconds: float) -> bool:
        """Wait until the exchange has reported every leg being flattened zero, whatever the disk does meanwhile."""
        begun = clock.monotonic()
        while clock.monotonic() - begun < seconds and not self._ended:
            if self.ready and not self.engine.active() and not (self.inbox or self.urgent):
                return True
            await asyncio.sleep(0.01)
        return False

    @property
    def busy(self) -> bool:
        """Is anything between two events unfinished?"""
        unsaid = self.inbox or self.urgent or self._halfway
        return bool(self.disk.busy or self._settled or unsaid or self.engine.waiting or self.engine.acks)

    def adopt(self, engine: Engine, checkpoint: dict[str, Any]) -> None:
        """A reloaded heart takes over, from the next event on."""
        self.disk.journal.rotate(checkpoint)
        self.engine = engine
        self.post(Timer(engine.now, wall_ms()))

    def emit(self, event: Any) -> None:
        """Where the exchange and the plugin hosts put their events; from the loop's own thread."""
        self.post(event)

    def post(self, event: Any, urgent: bool = False) -> None:
        """Put an event where the loop will take it."""
        (self.urgent if urgent else self.inbox).append(event)
        self._wake.set()

    async def ask(self, verb: str, params: dict[str, Any], actor: str) -> dict[str, Any]:
        """A writing verb: through the heart, answered when the heart replies."""
        if verb not in VERBS:
            raise Refused(f"{verb!r} is not a verb that changes anything")
        if self._ended:
            raise Refused("the daemon is stopping")
        self._ticket += 1
        future: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._tickets[self._ticket] = future
        self.post(Verb(self.engine.now, self._ticket, verb, params, actor), urgent=True)
        return await future

    def _resumed(self, time: int, count: int) -> Iterator[Any]:
        """The feed's events after the last one journaled, though several may share its millisecond."""
        for event in self.feed.events(time - 1 if time else 0):
            if event.time == time and count > 0 and not isinstance(event, FeedEnd):
                count -= 1
                continue
            yield event

    def _warm_up(self, desks: Sequence[Desk]) -> None:
        for desk in desks:
            if desk.bar is None or self.feed.pushed:
                bars = tuple(self.feed.warmup(desk.symbol, desk.warmup_bars()))
                if desk.bar is not None:
                    bars, joined = missed(desk.bar, bars)
                    if not joined:
                        self._take(Gap(desk.symbol, self.engine.now, desk.bar.time))
                if bars:
                    self._take(Warmup(desk.symbol, bars[-1].time, bars))
                self._look_ahead(desk.symbol, self.engine.now)

    def _look_ahead(self, symbol: str, time: int) -> None:
        """Where a window begins nothing has settled yet: tell what the feed knows of funding."""
        if "funding" in self.feed.carries and "marks" not in self.feed.carries:
            due, rate = self.feed.next_funding(symbol, time)
            self.post(Outlook(symbol, time, rate, due))

    async def _close(self) -> None:
        self._ended = True
        for future in self._tickets.values():
            if not future.done():
                future.set_exception(Refused("the daemon stopped before this was done"))
        self.exchange.stop()
        if self.source is not None:
            self.source.stop()
        for one in {self.exchange, self.source}:
            if hasattr(one, "closed"):
                await one.closed()
        await self.disk.close()
        self._spool.shutdown()

    # --- the loop ---------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        turn = clock.perf_counter()
        while not self._done:
            if self.urgent:
                await self._turn(self.urgent.popleft())
            elif self.inbox:
                await self._turn(taken(self.inbox) if self.exchange.orders_cost_network else self.inbox.popleft())
            elif self._settled and not self.disk.syncing:
                mark, self._settled = self._settled, 0
                self._take(Durable(self.engine.now, mark))
            elif not self._feed_turn():
                self._housekeep()
                await self._idle()
                turn = clock.perf_counter()
                continue
            if clock.perf_counter() - turn > TURN_SECONDS:
                self._housekeep()
                await asyncio.sleep(0)
                turn = clock.perf_counter()

    def _feed_turn(self) -> bool:
        """Take the feed's next event if it is due and nothing before it is unfinished."""
        try:
            return self._next_event()
        except FeedError as error:
            self._feed_failed(error)
            return True

    def _warm_up_late(self) -> bool:
        """Foreign strategies that have come since the start learn from before it."""
        there = [desk for desk in self._cold if desk.strategy.heard]
        if there:
            self._cold = [desk for desk in self._cold if desk not in there]
            self._warm_up(there)
        return bool(there)

    def _next_event(self) -> bool:
        if self.feed.pushed:
            return self._warm_up_late()
        if self.feed_over or self.disk.held_up:
            return False
        if self._next is None:
            self._next = next(self._events, None)
            if self._next is None:
                self.feed_over = True
                return False
        if self.patience.waits(self.engine):
            return False
        if self._cold:
            self._warm_up([desk for desk in self._cold if desk.strategy.heard])
            self._cold = []
            return True
        if self.pacer.wait(self._next.time) > 0:
            return False
        event, self._next = self._next, None
        if isinstance(event, FeedEnd):
            self.feed_over = True
            event = FeedEnd(max(event.time, self.engine.now))
            self.inbox.append(Stopping(event.time, False, "end of the feed"))
        else:
            self.exchange.market(event)
        self.inbox.append(event)
        if isinstance(event, Gap):
            self._look_ahead(event.symbol, event.time)
        return True

    async def _idle(self) -> None:
        self._wake.clear()
        if self.urgent or self.inbox or self._done or (self._settled and not self.disk.syncing):
            return
        due = self.pacer.wait(self._next.time) if self._next is not None and not self.disk.held_up else TICK_SECONDS
        if self.patience.waits(self.engine):
            due = MOMENT_SECONDS / 2
        try:
            await asyncio.wait_for(self._wake.wait(), max(0.0005, min(due, TICK_SECONDS)))
        except TimeoutError:
            pass

    def _housekeep(self) -> None:
        """Between events: the watchdog is fed here, by the loop that trades, so a hung loop starves it."""
        self.notifier.watchdog()
        if self._ticker is not None and self._ticker.done():
            self._ticker.result()  # it ends by failing only: without it no file is looked at and no time passes
        if self.disk.journal.wants_rotation and not (self.inbox or self.urgent or self.disk.busy):
            try:
                self.disk.journal.rotate(self.checkpoint())
            except OSError as error:
                self._disk_failed(str(error))
        if self.on_progress is not None:
            self.on_progress(self.engine.now)

    async def _tick(self) -> None:
        """What must happen though nothing happens."""
        last_timer = 0.0
        while True:
            before = clock.monotonic()
            await asyncio.sleep(TICK_SECONDS)
            now = clock.monotonic()
            self.lags.append((now - before - TICK_SECONDS) * 1000)
            self.look_at_latch()
            try:
                self.disk.journal.check_place()
            except OSError as error:
                self._disk_failed(str(error))
            await self._look_after_socket()
            if now - last_timer >= TIMER_SECONDS or (self.feed.pushed and self.engine.hasty):
                last_timer = now
                self.post(Timer(self._data_now(), wall_ms()))
                self._look_at_vitals()

    def _look_at_vitals(self) -> None:
        vitals = self.gauges.look(self._data_now(), wall_ms()) if self.gauges is not None else None
        if vitals is not None:
            self.post(vitals)

    async def _look_after_socket(self) -> None:
        try:
            if self.look_after is not None:
                await self.look_after()
        except OSError as error:  # no file descriptors left, say: the kill switch file is still looked at
            log.event("ERROR", f"the control socket cannot be looked after: {error}")

    def _data_now(self) -> int:
        """The data's clock between two events; with no feed left it goes on by the second, so that retries and deadlines do."""
        now = self.engine.now
        if self.feed.pushed:
            return max(now, wall_ms() + int(self.source.health().time_offset_ms or 0))
        if self.feed_over:
            return now + int(TIMER_SECONDS * 1000)
        return max(now, self.pacer.now(now, self._next.time if self._next is not None else None))

    def look_at_latch(self) -> None:
        """Obey the kill switch file if others touched it."""
        overlooked, self.disk.latch.overlooked = self.disk.latch.overlooked, None
        file = self._touched() or overlooked
        if file is not None:
            self.post(file._replace(time=self.engine.now), urgent=True)

    def _touched(self) -> KillFile | None:
        """The kill switch file where another hand changed it; our own, while the disk's thread is at it, is nothing new."""
        if not self.disk.latch.changed():
            return None
        file: KillFile = self.disk.latch.read()
        kill = self.engine.kill
        ours = self.disk.syncing and file.active and (file.level, file.reason) == (kill.level.name.lower(), kill.reason)
        return None if ours else file

    # --- events in, effects out -------------------------------------------------------------------------------------

    async def _turn(self, event: Any) -> None:
        """Take an event; over a network its orders are away before what was decided is written."""
        sent, rest = self._decide(event)
        try:
            if sent and self.exchange.orders_cost_network:
                self._halfway = True
                for _ in range(AWAY_TURNS):
                    await asyncio.sleep(0)
        finally:
            self._halfway = False
            self._perform(rest)

    def _take(self, event: Any) -> None:
        """Take an event at once."""
        self._perform(self._decide(event)[1])

    def _decide(self, event: Any) -> tuple[bool, list[Effect]]:
        """Journal an event, hand it to the heart, and let its orders leave; were there any, and what is still to be done."""
        if not self.ready and isinstance(event, Report):
            self._loop.call_soon(self._is_ready)
        if isinstance(event, Durable) and (file := self._touched()) is not None:
            self._take(file._replace(time=self.engine.now))  # the gate's last look before openers leave
        if event.time < self.engine.now:
            event = event._replace(time=self.engine.now)
        self.disk.record(self.disk.journal.input, event)
        effects = self.engine.handle(event)
        if self.gauges is not None:
            self.gauges.note(event, effects)
        rest = [effect for effect in effects if type(effect) not in FIRST]
        for effect in effects:
            if type(effect) in FIRST:
                _PERFORM[type(effect)](self, effect)
        return len(rest) < len(effects), rest

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            _PERFORM[type(effect)](self, effect)

    def _is_ready(self) -> None:
        self.ready = True
        kill = self.engine.kill
        self.notifier.ready(f"kill switch active: {kill.reason}" if kill.active else f"trading in mode {self.engine.mode.value}")

    def _disk_failed(self, why: str, mark: int = 0) -> None:
        if not self.engine.gate.storage_failed or mark:
            self.urgent.append(DiskFailed(self.engine.now, mark, why))
            self._wake.set()

    def _write(self, effect: Write) -> None:
        self.disk.record(self.disk.journal.act, effect.kind, self.engine.now, effect.data)
        if effect.kind == "fill":
            self.recent_fills.append(effect.data)
        if log.tells(effect.kind):
            log.act(effect.kind, units.plain(effect.kind, effect.data, self.engine.desks))

    def _synced(self, mark: int, failure: str) -> None:
        if failure:
            if self._settled:
                self.urgent.append(Durable(self.engine.now, self._settled))
                self._settled = 0
            self._disk_failed(failure, mark)
        elif self.exchange.orders_cost_network:
            self.post(Durable(self.engine.now, mark))
        else:  # the data's time stands still meanwhile, so openers leave when all else was heard: however slow the disk, runs are equal
            self._settled = mark
            self._wake.set()

    def _notify(self, effect: Notify) -> None:
        alert = heads.carried(effect.alert, self.disk.journal.heads)
        self.recent_alerts.append({"time": iso(alert.time), "severity": alert.severity.value, "rule": alert.rule, "title": alert.title})
        self._loop.run_in_executor(self._spool, self.alerts.put, alert)  # it may block: never on the trading path

    def _reply(self, effect: Reply) -> None:
        future = self._tickets.pop(effect.ticket, None)
        if future is None or future.done():
            return
        if effect.result is None:
            future.set_exception(Refused(effect.refusal))
        else:
            future.set_result(effect.result)

    def _ask_host(self, effect: Ask) -> None:
        self.patience.asked()
        self.hosts.ask(effect.host, effect.seq, effect.kind, effect.name, effect.payload)

    def _finish(self, effect: Finished) -> None:
        self.flat = effect.flat
        self._done = True


_PERFORM: dict[type[Effect], Callable[[Daemon, Any], None]] = {
    Write: Daemon._write,
    Sync: lambda daemon, effect: daemon.disk.sync(effect),
    Place: lambda daemon, effect: daemon.exchange.place(effect.orders),
    Amend: lambda daemon, effect: daemon.exchange.amend(effect.client_id, effect.qty),
    Cancel: lambda daemon, effect: daemon.exchange.cancel(effect.orders),
    AskReport: lambda daemon, effect: daemon.exchange.report(effect.doubted, daemon.engine.now),
    Countdown: lambda daemon, effect: daemon.exchange.countdown(effect.symbols, effect.ms),
    Ask: Daemon._ask_host,
    InForce: lambda daemon, effect: daemon.hosts.armed(effect.host),
    Retired: lambda daemon, effect: daemon.hosts.retire(effect.host),
    Notify: Daemon._notify,
    Reply: Daemon._reply,
    Finished: Daemon._finish,
}
