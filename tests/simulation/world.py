"""The world around a real daemon in one thread: its time, its disk, its exchange and its death, each of them told what to do.

One law: the daemon is the shipped one, with its journal and files; only what is outside it is built here. Time passes when nothing else
is left to do, so a run is the same each time. Whatever leaves the daemon for the disk, the exchange or a person, and whatever arrives, is
a point: `plan` names the one at which a call fails, and how; `visit` is shown each of them, and may go there with another life.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from rig import START

from hedgegridd.model import Order, Role

STEP_S = 0.001


class Health(NamedTuple):
    """What the shell asks of a source of market data."""

    connected: bool = True
    streams: tuple[Any, ...] = ()
    weight: int = 0
    time_offset_ms: float = 0.0


class World:
    """Time, and the one thing that goes wrong. `due(now_ms)`: the exchange does what is due, True where there was anything."""

    def __init__(self, plan: tuple[int, str] = (-1, "")) -> None:
        self.now = 0.0  # seconds since START
        self.plan = plan
        self.points: list[str] = []  # since `armed`
        self.armed = self.dead = False
        self.struck = ""  # the point at which it broke
        self.visit: Callable[[str, Any], None] = lambda name, torn: None
        self.due: Callable[[int], bool] = lambda now: False
        self._outside = 0.0

    @property
    def ms(self) -> int:
        return START + round(self.now * 1000)

    def point(self, name: str, torn: Any = None) -> str:
        """Here it may break: how, "" = it does not. `torn`: what a write done by half would leave."""
        if not self.armed or self.dead:
            return ""
        self.points.append(name)
        self.visit(name, torn)
        number, kind = self.plan
        if len(self.points) - 1 != number:
            return ""
        self.struck = name
        return kind

    def alive(self, name: str) -> bool:
        """Something is about to leave or arrive: does it still?"""
        self.point(name)
        return not self.dead

    # --- time ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def ticking(self) -> Iterator[World]:
        """The program's clocks are this world's."""
        names = ("monotonic", "perf_counter", "time", "time_ns", "monotonic_ns", "perf_counter_ns")
        real = {name: getattr(time, name) for name in names}
        epoch = START / 1000
        told: dict[str, Callable[[], float]] = {
            "monotonic": lambda: self.now, "perf_counter": lambda: self.now, "time": lambda: epoch + self.now,
            "time_ns": lambda: START * 1_000_000 + int(self.now * 1e9), "monotonic_ns": lambda: int(self.now * 1e9),
            "perf_counter_ns": lambda: int(self.now * 1e9),
        }  # fmt: skip
        for name, clock in told.items():
            setattr(time, name, clock)
        try:
            yield self
        finally:
            for name, clock in real.items():
                setattr(time, name, clock)

    def pass_time(self, seconds: float | None) -> None:
        """Nothing is left to do for so long: time goes on, until then or until the exchange does something."""
        end = self.now + (1.0 if seconds is None else seconds)
        while self.now < end:
            if self.due(self.ms):
                return
            self.now = min(end, self.now + STEP_S)


class _Selector(selectors.SelectSelector):
    """Waiting costs no time of ours."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        self.world.pass_time(timeout)
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """A loop in the world's time, whose threads are turns of its own, one at a time and `delay` seconds late."""

    def __init__(self, world: World, delay: float) -> None:
        super().__init__(_Selector(world))
        self.delay = delay
        self._jobs: deque[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]] = deque()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future: asyncio.Future[Any] = self.create_future()
        self._jobs.append((future, func, args))
        if len(self._jobs) == 1:
            self.call_later(self.delay, self._work)
        return future

    def _work(self) -> None:
        future, func, args = self._jobs[0]
        try:
            result = func(*args)
        except Exception as error:
            future.set_exception(error)
        else:
            if not future.done():
                future.set_result(result)
        self._jobs.popleft()
        if self._jobs:
            self.call_later(self.delay, self._work)


class Exchange:
    """The exchange contract as the daemon of one life has it, on what outlives that life. Each order leaves alone, each answer is a point.

    `inner` is a paper exchange, or a `simulation.line.Line` where `network`. Also the source of the market data.
    """

    name = "paper"
    trading = True

    def __init__(self, world: World, inner: Any, network: bool) -> None:
        self.world, self.inner, self.orders_cost_network = world, inner, network
        self.openers: list[Order] = []  # that left in this life
        self.closers: list[Order] = []
        self._emit: Callable[[Any], None] = lambda event: None

    def start(self, emit: Callable[[Any], None], instruments: Any, settings: Any) -> None:
        self._emit = emit
        if not self.orders_cost_network:
            self.inner.start(self._hear, instruments, settings)

    def restore(self, report: Any, seen: Any) -> None:
        if not self.orders_cost_network:
            self.inner.restore(report, seen)

    def catch_up(self, trades: dict[str, int], income: int) -> None:
        self.inner.begin(self._hear, trades, income)

    def _hear(self, event: Any) -> None:
        if self.world.alive(f"heard {type(event).__name__}"):
            self._emit(event)

    def market(self, event: Any) -> None:
        if not self.orders_cost_network and not self.world.dead:
            self.inner.market(event)

    def place(self, orders: Sequence[Order]) -> None:
        for order in orders:
            if self.world.alive(f"place {Role(order.role).name}"):
                (self.openers if order.role == Role.ENTRY else self.closers).append(order)
                self.inner.place((order,))

    def cancel(self, orders: Sequence[Order]) -> None:
        for order in orders:
            if self.world.alive(f"cancel {Role(order.role).name}"):
                self.inner.cancel((order,))

    def amend(self, client_id: str, qty: int) -> None:
        if self.world.alive("amend"):
            self.inner.amend(client_id, qty)

    def report(self, doubted: Sequence[Order] = (), now: int = 0) -> None:
        if self.world.alive("report"):
            self.inner.report(doubted, now)

    def countdown(self, symbols: Sequence[str], ms: int) -> None:
        if self.world.alive("countdown"):
            self.inner.countdown(symbols, ms)

    def health(self) -> Health:
        return Health()

    def stop(self) -> None:
        if self.orders_cost_network:
            self.inner.hang_up()


class Source:
    """A market beside a paper exchange."""

    name = "paper"

    def start(self, emit: Callable[[Any], None], instruments: Any, settings: Any) -> None: ...
    def stop(self) -> None: ...
    def health(self) -> Health:
        return Health()
