"""The whole heart on the real paper exchange, one event at a time: what the daemon does, without process, disk or clock.

The disk is a double that can be told to fail; everything else is the shipped code.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from hedgegridd.heart.build import build, exchange_of
from hedgegridd.heart.effects import Amend, Ask, AskReport, Cancel, Finished, Notify, Place, Reply, Sync, Write
from hedgegridd.heart.engine import Engine
from hedgegridd.model import Answer, Bar, DiskFailed, Durable, Funding, KillFile, Mark, Order, Outlook, Rejected, Started, Timer, Verb
from hedgegridd.plugins import load_shipped
from hedgegridd.schema import Config
from hedgegridd.settings import fill_settings

MINUTE = 60_000
START = 1_735_689_600_000  # 2025-01-01T00:00:00Z
NO_FILE = KillFile(START, active=False, missing=True)
REGISTRY = load_shipped()
BARS = frozenset({"bars", "volume", "funding"})


def plugin_module(name: str) -> ModuleType:
    """A shipped plugin file as a module: nothing imports `plugins/`."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "plugins" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config_of(**tables: Any) -> Config:
    """A paper configuration with one BTCUSDT grid that fits its account; `tables` replace top-level tables."""
    table: dict[str, Any] = {
        "mode": "paper",
        "limits": {"max_exposure_pct": 400.0, "max_position_pct": 400.0},
        "instrument": [instrument_table("BTCUSDT")],
        "breaker": {},
        **tables,
    }
    config, problems = fill_settings(Config, table, "")
    assert not problems, problems
    return config


def instrument_table(symbol: str, tick: float = 0.1, lot: float = 0.001, base_qty: float = 0.002, **params: Any) -> dict[str, Any]:
    """One [[instrument]] table."""
    filters = {"tick_size": tick, "lot_size": lot, "min_notional": 5.0}
    sections = {"grid": {"base_qty": base_qty}, "regime": {"ema_fast": 3, "ema_slow": 5, "adx_len": 3, "atr_len": 3}, **params}
    return {"symbol": symbol, "leverage": 10.0, "filters": filters, "params": sections}


class Rig:
    """Engine, paper exchange and a disk that does what it is told."""

    def __init__(self, config: Config | None = None, carries: frozenset[str] = BARS, cadence_ms: int = MINUTE, hosts: bool = False) -> None:
        self.config = config or config_of()
        self.carries, self.cadence_ms, self.hosts = carries, cadence_ms, hosts
        self.engine = build(self.config, REGISTRY, carries=carries, cadence_ms=cadence_ms)
        self.exchange = exchange_of(self.config, REGISTRY)
        self.inbox: deque[Any] = deque()
        self.inputs: list[Any] = []  # every event the heart saw, in order: a journal in memory
        self.acts: list[Write] = []
        self.alerts: list[Any] = []
        self.replies: dict[int, Reply] = {}
        self.latch: dict[str, Any] | None = None  # the kill switch file
        self.disk_fails = ""
        self.finished: Finished | None = None
        self.asked: list[Ask] = []
        self.sent: list[Any] = []  # what reached the exchange
        self.ticket = 0
        self.refuse: Callable[[Order], int] = lambda order: 0  # the code that the exchange refuses an order with, 0 = it takes it
        self.lose: Callable[[Any], bool] = lambda effect: False  # effects that never arrive
        self.slow_disk = False
        self.syncs: deque[Sync] = deque()  # asked of a slow disk, not done yet
        self.exchange.start(self.inbox.append, {s: d.instrument for s, d in self.engine.desks.items()}, self.config.exchange.paper)

    def start(self, file: KillFile = NO_FILE, env: str = "", damage: str = "", time: int = START) -> Rig:
        """The first event of a life."""
        self.take(Started(time, time, env, file, damage))
        return self

    def take(self, event: Any) -> list[Any]:
        """One event, and everything that follows from it."""
        effects = self._handle(event)
        while self.inbox:
            effects += self._handle(self.inbox.popleft())
        return effects

    def market(self, event: Any) -> list[Any]:
        """A market event: the exchange fills against it, then the heart sees it."""
        self.exchange.market(event)
        effects = []
        while self.inbox:
            effects += self._handle(self.inbox.popleft())
        return effects + self.take(event)

    def verb(self, name: str, /, **params: Any) -> Reply | None:
        """A person asks; the reply, where there is one already."""
        self.ticket += 1
        self.take(Verb(self.engine.now, self.ticket, name, params, "uid=0(root)"))
        return self.replies.get(self.ticket)

    def take_only(self, name: str, **params: Any) -> list[Any]:
        """The effects of a verb, in their order, before anything comes of them."""
        self.ticket += 1
        return self.take_one(Verb(self.engine.now, self.ticket, name, params, "uid=0(root)"))

    def take_one(self, event: Any) -> list[Any]:
        """One event alone: what comes of its effects waits in the inbox."""
        return self._handle(event)

    def timer(self, seconds: float = 1.0) -> list[Any]:
        """Time passes by itself."""
        time = self.engine.now + int(seconds * 1000)
        return self.take(Timer(time, max(self.engine.wall, START) + int(seconds * 1000)))

    def bars(self, closes: Iterable[int], symbol: str = "BTCUSDT", reach: int = 20) -> None:
        """Minute bars through these closes (ticks), each reaching `reach` ticks beyond its body."""
        desk = self.engine.desks[symbol]
        for close in closes:
            last = desk.bar.close if desk.bar else close
            time = max(self.engine.now, START) // MINUTE * MINUTE + MINUTE
            high, low = max(last, close) + reach, min(last, close) - reach
            self.market(Bar(symbol, time, last, high, low, close, 1_000_000, MINUTE))

    def mark(self, price: float, symbol: str = "BTCUSDT", seconds: float = 1.0) -> None:
        """A mark price, float ticks."""
        self.market(Mark(symbol, self.engine.now + int(seconds * 1000), price))

    def _handle(self, event: Any) -> list[Any]:
        if event.time < self.engine.now:
            event = event._replace(time=self.engine.now)
        self.inputs.append(event)
        effects = self.engine.handle(event)
        for effect in effects:
            self._perform(effect)
        return list(effects)

    def _perform(self, effect: Any) -> None:
        if self.lose(effect):
            return
        if isinstance(effect, Write):
            self.acts.append(effect)
        elif isinstance(effect, Sync):
            self._sync(effect)
        elif isinstance(effect, Place):
            self.sent.extend(effect.orders)
            self._place(effect.orders)
        elif isinstance(effect, Amend):
            self.exchange.amend(effect.client_id, effect.qty)
        elif isinstance(effect, Cancel):
            self.exchange.cancel(effect.orders)
        elif isinstance(effect, AskReport):
            self.exchange.report(effect.doubted, self.engine.now)
        elif isinstance(effect, Notify):
            self.alerts.append(effect.alert)
        elif isinstance(effect, Reply):
            self.replies[effect.ticket] = effect
        elif isinstance(effect, Finished):
            self.finished = effect
        elif isinstance(effect, Ask):
            self.asked.append(effect)

    def _place(self, orders: tuple[Order, ...]) -> None:
        for order in orders:
            code = self.refuse(order)
            if code:
                self.inbox.append(Rejected(order.client_id, self.engine.now, code, f"refused by the test: {code}"))
            else:
                self.exchange.place((order,))

    def _sync(self, effect: Sync) -> None:
        if self.slow_disk:
            self.syncs.append(effect)
        else:
            self._synced(effect)

    def disk(self) -> None:
        """A slow disk does the oldest thing asked of it."""
        self._synced(self.syncs.popleft())
        self.drain()

    def drain(self) -> None:
        """Take in everything that was said."""
        while self.inbox:
            self._handle(self.inbox.popleft())

    def _synced(self, effect: Sync) -> None:
        if self.disk_fails:
            self.inbox.append(DiskFailed(self.engine.now, effect.mark, self.disk_fails))
            return
        if effect.latch is not None:
            self.latch = effect.latch
        self.inbox.append(Durable(self.engine.now, effect.mark))

    def answer(self, **said: Any) -> None:
        """The host's answer to the last question."""
        ask = self.asked[-1]
        value = {"trip": None, "measure": None, "unknown": "", "error": "", **said}
        self.take(Answer(self.engine.now, ask.host, ask.seq, value))

    # --- what a test asks -------------------------------------------------------------------------------------------

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The acts of one kind."""
        return [act.data for act in self.acts if act.kind == kind]

    def desk(self, symbol: str = "BTCUSDT") -> Any:
        return self.engine.desks[symbol]

    def resting(self, role: int, symbol: str = "BTCUSDT") -> list[Any]:
        return [order for order in self.desk(symbol).orders.open.values() if order.role == role]

    def restarted(self, **options: Any) -> Rig:
        """A new life on the same account: checkpoint, paper account from the journal, kill switch file as it was left."""
        other = Rig(self.config, self.carries, self.cadence_ms)
        other.engine.load(self.engine.dump())
        from hedgegridd.live.memory import account_of, last_seen

        other.exchange.restore(account_of(other.engine), last_seen(other.engine))
        other.latch, other.disk_fails = self.latch, self.disk_fails
        return other.start(**options, time=max(other.engine.now, START))


def check(rig: Rig) -> None:
    """What must hold after every event."""
    engine: Engine = rig.engine
    account = engine.account
    equity = (
        account.start
        + account.transfers
        + sum(d.books.realized - d.books.fees - d.books.funding + d.unrealized() for d in engine.desks.values())
    )
    assert abs(equity - account.equity) <= 1e-9 * max(1.0, abs(equity))
    for desk in engine.desks.values():
        entries = [(o.leg, o.price) for o in desk.orders.open.values() if o.role == 0]
        assert len(entries) == len(set(entries)), f"a rung twice: {sorted(entries)}"
        assert desk.books.long_qty >= 0 <= desk.books.short_qty


def calm(**tables: Any) -> Rig:
    """A rig whose grid rests, on a configuration that no test of the heart is tripped by unasked."""
    tables["breaker"] = {"funding": {"enabled": False}, "stale_data": {"enabled": False}, **tables.get("breaker", {})}
    return steady(Rig(config_of(**tables)).start())


def hold(rig: Rig, *legs: str, symbol: str = "BTCUSDT") -> Rig:
    """Let the nearest rung of these legs fill: "long", "short" or both."""
    if "short" in legs:
        rig.bars([502_600], symbol, reach=0)
    if "long" in legs:
        rig.bars([497_490], symbol, reach=0)
    desk = rig.desk(symbol)
    assert (bool(desk.books.long_qty), bool(desk.books.short_qty)) == ("long" in legs, "short" in legs)
    return rig


def settle(rig: Rig, rate: float = 0.0001) -> None:
    """A funding settlement of every symbol."""
    for symbol in rig.engine.desks:
        rig.market(Funding(symbol, rig.engine.now + 1, rate, 28_800_000))


def steady(rig: Rig, price: int = 500_000, bars: int = 60) -> Rig:
    """Warm up on a market that goes nowhere, until the grid rests; funding is known, as a feed would tell it."""
    for symbol in rig.engine.desks:
        rig.take(Outlook(symbol, rig.engine.now, 0.0001, rig.engine.now + 8 * 60 * MINUTE))
    rig.bars([price + (i % 3) * 10 for i in range(bars)])
    return rig
