"""The twin's exchange: the shipped paper exchange with a market of its own and faults before it. One law: it fills nothing itself.

Orders and reports go on to the paper exchange, unless the fault of the drill has them refused, halved, held back or lost. Towards a
heart that trades live it behaves as over a network: everything takes a moment, and a report says when its reading began. Whatever
reaches it and whatever fills is put on the tape, which outlives a killed process.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hedgegridd.hookspecs import Health
from hedgegridd.live.scenarios import Fault, Row
from hedgegridd.model import Bar, Cancelled, Fill, Leg, Mark, Order, Quote, Rejected, Report, Role, Trade, Trouble, Unsure

WAY_SECONDS = 0.02  # one way to an exchange over a network
BANNED, REFUSED = -1003, -4131
BEYOND = 0.002  # of the price: how far beyond the farthest stop a jump goes at least


def read(path: Path) -> list[Row]:
    """The rows of a tape, none where there is none."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Tape:
    """What happened in one twin, a line a row; taken up again by the process that takes up a killed one's state."""

    def __init__(self, path: Path) -> None:
        self.rows = read(path)
        self.taken_up = len(self.rows)  #: rows of an earlier process
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def note(self, what: str, **facts: Any) -> None:
        """One row, now."""
        row = {"t": time.time(), "what": what, **facts}
        self.rows.append(row)
        os.write(self._fd, json.dumps(row).encode() + b"\n")

    def has(self, what: str, **facts: Any) -> bool:
        """Is there such a row?"""
        return any(row["what"] == what and all(row[key] == value for key, value in facts.items()) for row in self.rows)

    def close(self) -> None:
        """No more rows."""
        os.close(self._fd)


class TwinExchange:
    """Keeps the `NetworkExchange` contract for the daemon's shell, and is its own market. `offset_ms`: the data's clock less ours."""

    name = "paper"
    trading = True

    def __init__(self, inner: Any, events: Iterator[Any], fault: Fault, tape: Tape, network: bool, offset_ms: int) -> None:
        self.inner, self.fault, self.tape = inner, fault, tape
        self.orders_cost_network, self.offset_ms = network, offset_ms
        self.factor, self.muted, self.holds_closes, self.banned_until = 1.0, False, False, 0.0
        self.prices: dict[str, float] = {}  # ticks, as last shown
        self.orphan_pct = 0.0  #: how far the market goes on while nobody lives, before `restore` gives the account to the next life
        self._alone, self._unheard = False, list[Fill]()
        self._events = events
        self._emit: Callable[[Any], None] = self._told
        self._way: deque[tuple[float, Callable[[], None]]] = deque()
        self._met: dict[tuple[str, int], int] = {}  # closes of a leg that the fault has met
        self._since, self._doubted = 0, tuple[Order, ...]()
        self._market: asyncio.Task[None] | None = None

    def now(self) -> int:
        """The data's time, ms."""
        return time.time_ns() // 1_000_000 + self.offset_ms

    # --- faults -----------------------------------------------------------------------------------------------------

    def strike(self) -> None:
        """The order to stop is coming: what was agreed on goes wrong now."""
        fault = self.fault
        self.holds_closes = fault.crash
        if fault.ban_seconds:
            self.banned_until = time.monotonic() + fault.ban_seconds
            until = self.now() + math.ceil(fault.ban_seconds * 1000) if math.isfinite(fault.ban_seconds) else 2**53
            self._emit(Trouble(self.now(), "ban", "way too many requests: banned", until=until))
        if fault.jump_pct:
            self._jump(fault.jump_pct)

    def _jump(self, pct: float) -> None:
        """Every price moves at once, through every stop in the way."""
        move = 1 + pct / 100
        for symbol, pit in self.inner.pits.items():
            hurt = Leg.LONG if pct < 0 else Leg.SHORT
            stops = [order.price for order in pit.open.values() if order.role == Role.STOP and order.leg == hurt]
            for price in stops:
                beyond = price / self.prices[symbol] * (1 - BEYOND if pct < 0 else 1 + BEYOND)
                move = min(move, beyond) if pct < 0 else max(move, beyond)
        self.factor *= move
        self.tape.note("fault", text=f"the market jumps by {(move - 1) * 100:+.2f} %" + (" while nobody lives" if self._alone else ""))
        for symbol, price in list(self.prices.items()):
            self._show_price(symbol, price * move)

    @property
    def _banned(self) -> bool:
        return time.monotonic() < self.banned_until

    # --- the market -------------------------------------------------------------------------------------------------

    def begin_at(self, prices: dict[str, float]) -> None:
        """Show where the market stands, in ticks, then let it go on."""
        for symbol, price in prices.items():
            self._show_price(symbol, price * self.factor)
        self._market = asyncio.get_running_loop().create_task(self._play())

    def _show_price(self, symbol: str, price: float) -> None:
        at, now = max(2, round(price)), self.now()
        self._show(Trade(symbol, now, at, 1, True))
        self._show(Quote(symbol, now, at - 1, 1_000_000, at + 1, 1_000_000))
        self._show(Mark(symbol, now, float(price), float(price)))

    async def _play(self) -> None:
        for event in self._events:
            while (wait := event.time - self.now()) > 0:
                await asyncio.sleep(min(wait / 1000, 0.1))
            if self.muted:
                return
            self._show(moved(event, self.factor))

    def _show(self, event: Any) -> None:
        if isinstance(event, Mark):
            self.prices[event.symbol] = event.price
        self.inner.market(event)
        if not self._alone:
            self._emit(event)

    # --- the contract -----------------------------------------------------------------------------------------------

    def start(self, emit: Callable[[Any], None], instruments: dict[str, Any], settings: Any) -> None:
        """Open the account."""
        self._emit = emit
        self.inner.start(self._told, instruments, settings)

    def restore(self, report: Report, seen: Sequence[Any]) -> None:
        """The account as it was forked, or as a life left it that was killed; then what the market did to it since."""
        self.inner.restore(report, seen)
        if self.orphan_pct:
            self._alone = True
            self._jump(self.orphan_pct)
            self._alone = False

    def market(self, event: Any) -> None:
        """None comes from the daemon: the twin is its own market."""

    def place(self, orders: Sequence[Order]) -> None:
        """On to the paper exchange, past the fault."""
        for order in orders:
            self.tape.note("ask", symbol=order.symbol, leg=int(order.leg), role=int(order.role), qty=order.qty)
            if order.role == Role.CLOSE and self.fault.mutes and not self.muted:
                self.muted = True
                self.tape.note("fault", text="no more market data")
            self._send(lambda order=order: self._place(order))  # type: ignore[misc]

    def amend(self, client_id: str, qty: int) -> None:
        """A ban loses it."""
        self._send(lambda: self._lost(client_id) if self._banned else self.inner.amend(client_id, qty))

    def cancel(self, orders: Sequence[Order]) -> None:
        """A ban loses them."""
        for order in orders:
            self._send(lambda order=order: self._lost(order.client_id) if self._banned else self.inner.cancel((order,)))  # type: ignore[misc]

    def report(self, doubted: Sequence[Order] = (), now: int = 0) -> None:
        """A ban leaves it without an answer."""
        self._send(lambda: None if self._banned else self._report(tuple(doubted), now))

    def countdown(self, symbols: Sequence[str], ms: int) -> None:
        """Nobody dies in a drill but by its fault."""

    def catch_up(self, last_trade: dict[str, int], income_time: int) -> None:
        """What filled while nobody lived is told with the first report, as an exchange tells it that is asked for its trades."""

    def health(self) -> Health:
        """Connected, with the data's clock."""
        return Health(True, time_offset_ms=self.offset_ms)

    def stop(self) -> None:
        """The market ends."""
        if self._market is not None:
            self._market.cancel()

    async def closed(self) -> None:
        """Nothing is left to wait for."""

    # --- behind the fault -------------------------------------------------------------------------------------------

    def _send(self, act: Callable[[], None]) -> None:
        """Do it; over a network after a moment, in the order sent."""
        if not self.orders_cost_network:
            act()
            return
        loop = asyncio.get_running_loop()
        self._way.append((loop.time() + WAY_SECONDS, act))
        if len(self._way) == 1:
            loop.call_later(WAY_SECONDS, self._arrive)

    def _arrive(self) -> None:
        loop = asyncio.get_running_loop()
        while self._way and self._way[0][0] <= loop.time():
            self._way.popleft()[1]()
        if self._way:
            loop.call_later(max(0.0, self._way[0][0] - loop.time()), self._arrive)

    def _place(self, order: Order) -> None:
        if self._banned:
            self._emit(Rejected(order.client_id, self.now(), BANNED, "way too many requests: banned"))
        elif order.role != Role.CLOSE:
            self.inner.place((order,))
        elif not self.holds_closes:
            self._close(order)

    def _close(self, order: Order) -> None:
        key = (order.symbol, int(order.leg))
        met = self._met[key] = self._met.get(key, 0) + 1
        if met <= self.fault.refusals:
            self._emit(Rejected(order.client_id, self.now(), REFUSED, "the drill refuses this close"))
        elif met <= self.fault.refusals + self.fault.halves and order.qty > 1:
            self.inner.place((order._replace(qty=order.qty // 2),))
            self._emit(Cancelled(order.client_id, self.now(), "expired: nothing left in the book"))
        else:
            self.inner.place((order,))

    def _lost(self, client_id: str) -> None:
        self._emit(Unsure(client_id, self.now(), "way too many requests: banned"))

    def _report(self, doubted: tuple[Order, ...], now: int) -> None:
        self._since, self._doubted = now, doubted
        unheard, self._unheard = self._unheard, []
        for fill in unheard:
            self._emit(fill)
        self.inner.report(doubted, now)

    def _told(self, event: Any) -> None:
        """What the paper exchange says, on to the daemon."""
        if isinstance(event, Fill):
            self.tape.note("fill", symbol=event.symbol, leg=int(event.leg), side=int(event.side), qty=event.qty, price=event.price,
                           trade_id=event.trade_id)  # fmt: skip
        if self._alone and self.orders_cost_network:  # nobody hears it: how it ended is asked for by the next life
            self._unheard += [event] if isinstance(event, Fill) else []
            return
        if isinstance(event, Report) and self.orders_cost_network:
            resting = {order.client_id for order in event.orders}
            absent = tuple(order.client_id for order in self._doubted if order.client_id not in resting)
            event = event._replace(time=max(event.time, self._since), since=self._since, absent=absent)
        self._emit(event)


def moved(event: Any, factor: float) -> Any:
    """A market event with its prices times `factor`."""
    if factor == 1.0:
        return event
    if isinstance(event, Bar):
        return event._replace(**{key: max(1, round(getattr(event, key) * factor)) for key in ("open", "high", "low", "close")})
    if isinstance(event, Quote):
        bid = max(1, round(event.bid * factor))
        return event._replace(bid=bid, ask=max(bid + 1, round(event.ask * factor)))
    if isinstance(event, Trade):
        return event._replace(price=max(1, round(event.price * factor)))
    if isinstance(event, Mark):
        return event._replace(price=event.price * factor, index=None if event.index is None else event.index * factor)
    return event
