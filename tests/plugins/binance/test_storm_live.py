"""Everything goes wrong at random for a while; then it is quiet, and what was told is what the exchange has."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from plugins.binance.harness import BTC, CLOSE, ENTRY, PROFIT, STOP, L, Running, S, run, running

from hedgegridd.model import Accepted, Amended, Cancelled, Fill, Order, Rejected, Report, Role, Unsure

FAULTS = (
    "reset_executed", "reset_not_executed", "unknown_executed", "unknown_not_executed", "timeout_executed", "html_executed", "empty",
    "empty_executed", "unavailable", "internal", "overloaded", "html", "html_ok", "clock", "reset_executed_late",
)  # fmt: skip
SECONDS, STEPS = 3.0, 40


class Books:
    """What the daemon would believe: open orders, and each leg by fills alone."""

    def __init__(self) -> None:
        self.open: dict[str, Order] = {}
        self.legs = [0, 0]
        self.trades: set[str] = set()

    def take(self, event: Any) -> None:
        if isinstance(event, Fill):
            assert event.trade_id not in self.trades, "a fill was told twice"
            self.trades.add(event.trade_id)
            self.legs[event.leg] += event.qty * event.side * (1 if event.leg == L else -1)
            order = self.open.get(event.client_id)
            if order is not None:
                self.open[event.client_id] = order = order._replace(filled=order.filled + event.qty)
                if order.filled >= order.qty and order.role != Role.STOP:
                    del self.open[event.client_id]
        elif isinstance(event, Rejected) and event.client_id in self.open and self.open[event.client_id].state < 2:
            del self.open[event.client_id]
        elif isinstance(event, Cancelled) and event.reason != "unknown":
            self.open.pop(event.client_id, None)
        elif isinstance(event, Accepted | Amended) and event.client_id in self.open:
            changes = {"state": 2} if isinstance(event, Accepted) else {"qty": event.qty}
            self.open[event.client_id] = self.open[event.client_id]._replace(**changes)
        elif isinstance(event, Unsure) and event.client_id in self.open:
            self.open[event.client_id] = self.open[event.client_id]._replace(state=3)


def move(it: Running, books: Books, chance: random.Random) -> None:
    """One thing the daemon, or the market, does."""
    what = chance.random()
    last = it.sim.floor.boards[BTC].last
    resting = [order for order in books.open.values() if order.state == 2 and order.role != Role.STOP]
    if what < 0.35:
        leg = chance.choice((L, S))
        away = [chance.randint(20, 400) for _ in range(chance.randint(1, 7))]
        send(it, books, [it.order(leg, ENTRY, last - far if leg == L else last + far, 3) for far in away])
    elif what < 0.5:
        it.sim.price(BTC, (last + chance.randint(-300, 300)) / 10)
    elif what < 0.6 and resting:
        it.exchange.cancel(chance.sample(resting, min(len(resting), chance.randint(1, 12))))
    elif what < 0.65 and resting:
        it.exchange.amend(chance.choice(resting).client_id, chance.randint(3, 9))
    elif what < 0.8:
        leg = chance.choice((L, S))
        if books.legs[leg] > 0:
            role = chance.choice((STOP, STOP, PROFIT, CLOSE))
            price = (
                {STOP: last - 2_000, PROFIT: last + 500, CLOSE: 0}[role]
                if leg == L
                else {STOP: last + 2_000, PROFIT: last - 500, CLOSE: 0}[role]
            )
            pieces = min(books.legs[leg], chance.choice((1, 7))) if role == CLOSE else 1  # many closes leave in batches
            send(it, books, [it.order(leg, role, price, min(books.legs[leg] // pieces, 3)) for _ in range(pieces)])
    elif what < 0.9:
        path = chance.choice(("*", "POST /fapi/v1/*", "DELETE /fapi/v1/*", "GET /fapi/*", "PUT /fapi/v1/order"))
        it.sim.faults.add(chance.choice(FAULTS), path, times=chance.randint(1, 3), ms=chance.choice((0, 0, 50)))
    elif what < 0.94:
        it.sim.cut("private")
    elif what < 0.97:
        it.sim.expire_listen_key(chance.random() < 0.5)
    else:
        it.exchange.report([order for order in books.open.values() if order.state == 3])


def send(it: Running, books: Books, orders: list[Order]) -> None:
    for order in orders:
        books.open[order.client_id] = order._replace(state=1)
    it.exchange.place(orders)


async def quiet(it: Running, books: Books) -> Report:
    """No faults any more: ask until nothing is unsure."""
    it.sim.faults.clear()
    for _ in range(20):
        await asyncio.sleep(0.4)
        report = await it.report(*[order for order in books.open.values() if order.state != 2])
        for name in report.absent:
            if books.open.get(name) is not None and books.open[name].state == 3:
                del books.open[name]
        listed = {order.client_id for order in report.orders}
        for name in [name for name in books.open if name not in listed]:
            books.open[name] = books.open[name]._replace(state=3)
        for name in listed & books.open.keys():
            books.open[name] = books.open[name]._replace(state=2)
        if listed == books.open.keys():
            return report
    raise AssertionError(listed ^ books.open.keys())


@pytest.mark.parametrize("seed", range(4))
def test_after_a_storm_what_was_told_is_what_is(seed: int) -> None:
    async def test() -> None:
        chance = random.Random(seed)
        async with running(balance_usdt=1_000_000.0, seed=seed) as it:
            books = Books()
            told = it.log.append

            def hear(event: Any) -> None:
                told(event)
                books.take(event)

            it.exchange._emit = hear
            it.sim.faults.events(drop=0.1, duplicate=0.1, late=0.1, reorder=0.2, late_ms=200)
            for _ in range(STEPS):
                move(it, books, chance)
                await asyncio.sleep(chance.random() * 2 * SECONDS / STEPS)
            report = await quiet(it, books)
            assert [held.qty for held in report.held] == books.legs
            assert [it.sim.venue.pits[BTC].held(leg) for leg in (L, S)] == books.legs
            executed = {str(one.trade_id) for one in it.sim.venue.executions}
            assert books.trades == executed
            assert {order.client_id for order in it.sim.venue.open_orders(BTC)} == {
                o.client_id for o in books.open.values() if o.role != Role.STOP
            }

    run(test)
