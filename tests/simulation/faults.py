"""A world that goes wrong: an exchange with bad ears, a slow and failing disk, a process that dies between any two effects.

One law: everything follows from the seed. The exchange behind the faults is the shipped paper exchange, so what it says is true,
however late, twice or not at all it is heard.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from rig import NO_FILE, Rig

from hedgegridd import codec
from hedgegridd.heart.effects import Sync, Write
from hedgegridd.live.memory import account_of, last_seen
from hedgegridd.model import (
    Accepted,
    Amended,
    Cancelled,
    Fill,
    FundingPaid,
    KillFile,
    Order,
    Rejected,
    Report,
    Role,
    Started,
    Transfer,
)

MONEY = (Fill, FundingPaid, Transfer)  # what an exchange plugin fetches again after a lost connection


CLOSED_SLOWLY = 1_000_000  # seeds from here on close within a bound as well


def slow_closing(seed: int) -> dict[str, Any]:
    """What `[flatten]` says of its method: nothing for the seeds that were there before there were methods."""
    if seed < CLOSED_SLOWLY:
        return {}
    rng = random.Random(f"closing {seed}")
    return {
        "use_market_orders": False, "method": rng.choice(["auto", "ioc", "limit", "twap", "vwap"]),
        "max_slippage_pct": rng.choice([0.01, 0.1, 1.0]), "over_seconds": rng.choice([0.5, 2.0, 4.5]), "steps": rng.choice([1, 3, 10]),
    }  # fmt: skip


class Rates(NamedTuple):
    """How often each thing goes wrong, 0..1."""

    refused: float = 0.0  #: an order is refused outright
    lost_order: float = 0.0  #: an order never arrives, and nobody says so
    lost_accept: float = 0.0  #: an order rests, and nobody says so
    lost_cancel: float = 0.0  #: a cancel never arrives, and nobody says so
    unknown_cancel: float = 0.0  #: a cancel is answered "unknown" though the order rests
    lost_report: float = 0.0  #: the picture asked for never comes
    twice: float = 0.0  #: a fill is told twice
    swapped: float = 0.0  #: a fill is told before the order's acceptance
    stall: float = 0.0  #: the stream stands still for some events


class Unreliable:
    """The paper exchange behind a bad line."""

    orders_cost_network = False

    def __init__(self, inner: Any, rng: random.Random, rates: Rates, watch: Callable[[Order], None]) -> None:
        self.inner, self.rng, self.rates, self.watch = inner, rng, rates, watch
        self.emit: Callable[[Any], None] = lambda event: None
        self.line: deque[Any] = deque()  # said and not heard yet
        self.late: deque[Any] = deque()  # to be said a second time
        self.stalled = 0
        self.said: list[str] = []

    def chance(self, rate: float) -> bool:
        return rate > 0 and self.rng.random() < rate

    # --- the contract -----------------------------------------------------------------------------------------------

    def start(self, emit: Callable[[Any], None], instruments: Any, settings: Any) -> None:
        self.emit = emit
        self.inner.start(self.line.append, instruments, settings)

    def market(self, event: Any) -> None:
        self.inner.market(event)
        if self.stalled:
            self.stalled -= 1
        elif self.chance(self.rates.stall):
            self.stalled = self.rng.randint(1, 4)
        self.deliver()
        if self.late and not self.stalled and self.rng.random() < 0.5:
            self.emit(self.late.popleft())

    def place(self, orders: Sequence[Order]) -> None:
        for order in orders:
            self.watch(order)
            if self.chance(self.rates.refused):
                self.line.append(Rejected(order.client_id, self.inner.now, -1008, "the server is busy"))
            elif not self.chance(self.rates.lost_order):
                self._placed(order)
        self.deliver()

    def _placed(self, order: Order) -> None:
        before = len(self.line)
        self.inner.place((order,))
        said = [self.line.pop() for _ in range(len(self.line) - before)][::-1]
        if said and isinstance(said[0], Accepted):
            if self.chance(self.rates.lost_accept):
                said.pop(0)
            elif len(said) > 1 and isinstance(said[1], Fill) and self.chance(self.rates.swapped):
                said[0], said[1] = said[1], said[0]
        self.line.extend(said)

    def amend(self, client_id: str, qty: int) -> None:
        if not self.chance(self.rates.lost_cancel):
            self.inner.amend(client_id, qty)
        self.deliver()

    def cancel(self, orders: Sequence[Order]) -> None:
        for order in orders:
            if self.chance(self.rates.unknown_cancel):
                self.line.append(Cancelled(order.client_id, self.inner.now, "unknown"))
            elif not self.chance(self.rates.lost_cancel):
                self.inner.cancel((order,))
        self.deliver()

    def report(self, doubted: Sequence[Order] = (), now: int = 0) -> None:
        if self.stalled or self.chance(self.rates.lost_report):
            return  # a picture is read over a connection: with none there is no picture, never an old one
        self.inner.report()
        self.deliver()

    def restore(self, report: Report, seen: Any) -> None:
        self.inner.restore(report, seen)

    def transfer(self, amount: float) -> None:
        self.inner.transfer(amount)
        self.deliver()

    # --- the line ---------------------------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Let the heart hear what was said, in its order, unless the line is stalled."""
        while self.line and not self.stalled:
            event = self.line.popleft()
            self.emit(event)
            if isinstance(event, Fill) and self.chance(self.rates.twice):
                self.late.append(event)

    def hang_up(self, unheard: Iterable[Any]) -> None:
        """The listener died: of what was not heard only the money is told again, on the next connection."""
        money = [event for event in (*unheard, *self.line) if isinstance(event, MONEY)]
        self.line.clear()
        self.line.extend(money)
        self.late.clear()
        self.stalled = 0

    def heal(self) -> None:
        """No faults from here on."""
        self.rates, self.stalled = Rates(), 0
        self.deliver()


class Crash(Exception):
    """The process died here."""


class Segment(NamedTuple):
    """A stretch of one life: where it began, what it took in, what it wrote. `cut`: the last input's acts may be incomplete."""

    state: str
    inputs: list[Any]
    acts: list[list[Write]]


class World(Rig):
    """The rig on a bad line, with a disk that takes its time and a process that dies between two effects."""

    def __init__(self, config: Any, carries: frozenset[str], rng: random.Random, rates: Rates, *, watch: Callable[[Order], None],
                 exchange: Any = None) -> None:  # fmt: skip
        super().__init__(config, carries)
        if exchange is None:
            exchange = Unreliable(self.exchange, rng, rates, watch)
            exchange.start(self.inbox.append, {s: d.instrument for s, d in self.engine.desks.items()}, config.exchange.paper)
        self.rng, self.exchange = rng, exchange
        exchange.emit, exchange.watch = self.inbox.append, watch
        self.after: Callable[[], None] = lambda: None  # called after every event
        self.die_in = 0  # effects until the process dies, 0 = it lives
        self.dying: list[Any] = []  # emitted, journaled by nobody
        self.segments: list[Segment] = []
        self.written = self.durable = 0  # acts written, and of these known to be on the disk
        self.synced = 0  # inputs of the last segment that a power cut would leave
        self.last_kill: dict[str, Any] | None = None  # what the acts say of the kill switch, where inputs were lost
        self.places: dict[str, int] = {}  # client id -> the act that decided it

    def begin(self) -> None:
        """A checkpoint: what comes after it can be replayed from here."""
        self.segments.append(Segment(json.dumps(self.engine.dump()), [], []))
        self.synced = 0

    def _handle(self, event: Any) -> list[Any]:
        if event.time < self.engine.now:
            event = event._replace(time=self.engine.now)
        segment = self.segments[-1]
        segment.inputs.append(json.dumps(codec.encode(event)))
        effects = self.engine.handle(event)
        segment.acts.append([effect for effect in effects if isinstance(effect, Write)])
        for effect in effects:
            if self.die_in:
                self.die_in -= 1
                if not self.die_in:
                    raise Crash
            self._perform(effect)
        self.after()
        return list(effects)

    def _perform(self, effect: Any) -> None:
        if isinstance(effect, Write):
            self.written += 1
            if effect.kind == "order":
                self.places[effect.data["client_id"]] = self.written
        super()._perform(effect)

    def _synced(self, effect: Sync) -> None:
        if not self.disk_fails:
            self.durable, self.synced = self.written, len(self.segments[-1].inputs)
        super()._synced(effect)

    def disk(self) -> None:
        """The disk does all that it was asked for, or fails."""
        while self.syncs:
            self._synced(self.syncs.popleft())

    def power_cut(self) -> None:
        """The machine lost its power: of what no sync has covered, each stream of the journal keeps any part."""
        segment = self.segments[-1]
        inputs, acts = (self.rng.randint(self.synced, len(segment.inputs)) for _ in range(2))
        kills = [act.data for one in self.segments[:-1] for row in one.acts for act in row if act.kind == "kill"]
        kills += [act.data for row in segment.acts[:acts] for act in row if act.kind == "kill"]
        self.last_kill = kills[-1] if kills else None
        del segment.inputs[inputs:], segment.acts[inputs:]
        kept = [act for one in self.segments for row in one.acts for act in row]
        self.places = {act.data["client_id"]: number for number, act in enumerate(kept) if act.kind == "order"}
        self.written = len(kept)

    def file(self) -> KillFile:
        """The kill switch file as it lies there."""
        if self.latch is None:
            return NO_FILE._replace(time=self.engine.now)
        return KillFile(self.engine.now, self.latch["active"], self.latch.get("level", ""), self.latch.get("reason", ""))

    def reborn(self, *, paper: bool) -> World:
        """The next life, from checkpoint and inputs. `paper`: the exchange is rebuilt from the journal, else it has lived on."""
        exchange, old = self.exchange, self.segments[-1]
        other = World(self.config, self.carries, self.rng, exchange.rates, watch=exchange.watch, exchange=None if paper else exchange)
        other.engine.load(json.loads(old.state))
        for row in old.inputs:
            other.engine.handle(codec.decode(json.loads(row)))
        last = self.last_kill
        if last is not None and last["active"] and not other.engine.kill.active:
            other.engine.kill.load(last)  # as live.start.recover does
        if paper:
            other.exchange.restore(account_of(other.engine), last_seen(other.engine))
        else:
            exchange.hang_up(self.inbox)
        other.segments, other.latch, other.disk_fails = self.segments, self.latch, self.disk_fails
        other.places, other.written, other.durable, other.ticket = self.places, self.written, self.written, self.ticket
        other.begin()
        return other

    def wake(self, env: str = "") -> None:
        """The first event of this life; the exchange tells again what money it could not tell, then answers."""
        time = self.engine.now
        self.inbox.append(Started(time, time, env, self.file(), ""))
        self.exchange.deliver()  # heard after Started, before any report
        self.drain()


def holding(exchange: Unreliable, symbol: str) -> tuple[int, int]:
    """(long, short) lots as the exchange has them."""
    books = exchange.inner.pits[symbol].books
    return books.long_qty, books.short_qty


def resting(exchange: Unreliable, symbol: str) -> dict[str, Order]:
    """What rests on the exchange, by client id."""
    return {order.client_id: order for order in exchange.inner.pits[symbol].open.values()}


def opens(order: Order) -> bool:
    """Is this an opener?"""
    return order.role == Role.ENTRY


HEARD = (Accepted, Amended, Cancelled, Rejected, Report, *MONEY)
