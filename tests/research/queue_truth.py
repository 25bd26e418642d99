"""When a hypothetical order would have been filled, as exactly as a recording of the exchange can tell: a bracket of two times.

Independent of all that is tested with it: it reads the raw capture and knows nothing of the feed, the book or the matching engine.
It puts trades and book updates (the depth stream from its snapshot on, and the best prices) in the exchange's own order, by
transaction time and update id, and follows the displayed quantity of each level. Of what lay ahead of an order when it was placed it
is known how much was traded; of what was cancelled it is not known whether it lay ahead or behind. So there are

    first  the earliest time at which it can have filled: all that was cancelled lay ahead of it
    last   the latest time by which it must have filled: all that was cancelled lay behind it, as far as the displayed quantity
           leaves room for it; or the market traded beyond its price, or an offer came up to it

and the truth lies between. What happened in the very millisecond of the placing counts for `first` and not for `last`, and so does
what a depth update that covers it may have hidden. An order is of one lot, and changes nothing for the others.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

BID, ASK = 0, 1
SIGN = (1, -1)


class Traded(NamedTuple):
    """A public trade. `sold`: its taker sold."""

    time: int
    number: int
    price: int
    qty: int
    sold: bool


class Update(NamedTuple):
    """Quantities that levels have from now on: (side, price, quantity). `best` = bid and ask, where the update tells them."""

    time: int
    number: int
    levels: tuple[tuple[int, int, int], ...]
    best: tuple[int, int] | None


class Capture(NamedTuple):
    """A recording in the order in which it arrived. Of depth updates only those after the snapshot; `snapshot` is one itself."""

    snapshot: Update
    updates: list[Update]
    trades: list[Traded]
    heard: list[Traded | Update]  #: trades and best prices, which are what a feed makes events of


def read(files: Iterable[Path], tick: float, lot: float) -> Capture:
    """Read the raw lines. Prices become ticks, quantities lots."""
    found = Capture(Update(0, 0, (), None), [], [], [])
    snapshot = found.snapshot
    for message in _messages(files):
        if "lastUpdateId" in message:
            snapshot = Update(message["T"], message["lastUpdateId"], _levels(message["bids"], message["asks"], tick, lot), None)
        elif message["e"] == "depthUpdate":
            found.updates.append(Update(message["T"], message["u"], _levels(message["b"], message["a"], tick, lot), None))
        elif message["e"] == "bookTicker":
            levels = _levels([(message["b"], message["B"])], [(message["a"], message["A"])], tick, lot)
            update = Update(message["T"], message["u"], levels, (levels[0][1], levels[1][1]))
            found.updates.append(update)
            found.heard.append(update)
        elif message["e"] == "trade" and message["X"] == "MARKET":
            price, qty = round(float(message["p"]) / tick), round(float(message["q"]) / lot)
            trade = Traded(message["T"], message["t"], price, qty, message["m"])
            found.trades.append(trade)
            found.heard.append(trade)
    later = sorted((one for one in found.updates if one.number > snapshot.number), key=lambda one: (one.number, one.best is None))
    return found._replace(snapshot=snapshot, updates=later)


def _messages(files: Iterable[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        with gzip.open(file, "rt") as lines:
            for line in lines:
                message = json.loads(line[line.index("{") :])
                yield message.get("data", message)


def _levels(bids: Iterable[Any], asks: Iterable[Any], tick: float, lot: float) -> tuple[tuple[int, int, int], ...]:
    sides = ((BID, bids), (ASK, asks))
    return tuple((side, round(float(price) / tick), round(float(qty) / lot)) for side, rows in sides for price, qty in rows)


@dataclass
class Waiting:
    """A hypothetical order of one lot, placed right after the update of the best prices `after`, and its bracket."""

    side: int
    price: int
    after: Update
    heard: int  #: number of the newest trade that had arrived by then
    first: int | None = None
    last: int | None = None
    front: int = 0  #: lots ahead of it if all that was cancelled lay ahead
    back: int = 0  #: lots ahead of it if nothing of what was cancelled did
    shown: int = 0  #: what its level was last known to show
    since: int = 0  #: lots traded there since
    stale: bool = False  #: no update of its level, or of the whole book, since it was placed behind the best price

    def sold_into(self, trade: Traded) -> None:
        """A trade at or beyond its price."""
        now = trade.time > self.after.time
        if not now and (trade.time < self.after.time or trade.number <= self.heard):
            return
        if trade.price != self.price or trade.sold != (self.side == BID):
            self.met(trade.time)
            return
        if self.first is None and (self.stale or self.front < trade.qty):
            self.first = trade.time
        self.front = max(0, self.front - trade.qty)
        if now:
            if self.last is None and self.back < trade.qty:
                self.last = trade.time
            self.back = max(0, self.back - trade.qty)
            self.since += trade.qty

    def met(self, time: int) -> None:
        """The market stood or traded where it would have been met for certain."""
        if time >= self.after.time and self.first is None:
            self.first = time
        if time > self.after.time and self.last is None:
            self.last = time

    def show(self, qty: int) -> None:
        """Its level shows so much now."""
        if self.stale:
            self.back = max(self.back, qty)
            self.stale = False
        self.front = max(0, self.front - max(0, self.shown - self.since - qty))
        self.back = min(self.back, qty)
        self.shown, self.since = qty, 0


class Truth:
    """The exchange's book and the orders that wait in it."""

    def __init__(self, capture: Capture, keep_ms: int) -> None:
        self.capture, self.keep_ms = capture, keep_ms
        self.book: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.waiting: tuple[dict[int, list[Waiting]], dict[int, list[Waiting]]] = ({}, {})
        self.stale: list[Waiting] = []

    def judge(self, orders: Iterable[Waiting]) -> None:
        """Find the bracket of each order, as far as it lies within `keep_ms` of its placing."""
        coming = sorted(orders, key=lambda one: one.after.number, reverse=True)
        self._apply(self.capture.snapshot)
        steps: list[Traded | Update] = [*self.capture.trades, *self.capture.updates]
        steps.sort(key=lambda one: (one.time, isinstance(one, Update), one.number))  # an update shows what traded in its millisecond
        for step in steps:
            if isinstance(step, Traded):
                self._trade(step)
                continue
            self._apply(step)
            placed = False
            while coming and step.best is not None and coming[-1].after.number <= step.number:
                self._place(coming.pop())
                placed = True
            if placed:
                self._forget(step.time - self.keep_ms)

    def _trade(self, trade: Traded) -> None:
        for side in (BID, ASK):
            for price, orders in self.waiting[side].items():
                if SIGN[side] * (trade.price - price) <= 0:
                    for order in orders:
                        order.sold_into(trade)

    def _apply(self, update: Update) -> None:
        for side, price, qty in update.levels:
            if qty:
                self.book[side][price] = qty
            else:
                self.book[side].pop(price, None)
            for order in self.waiting[side].get(price, ()):
                order.show(qty)
        if update.best is None:
            for order in self.stale:  # a level that is not in a depth update has not changed
                order.show(self.book[order.side].get(order.price, 0) if order.stale else order.shown)
            self.stale.clear()
            return
        for side in (BID, ASK):
            best, other, sign = update.best[side], update.best[1 - side], SIGN[side]
            for price, orders in self.waiting[side].items():
                if sign * (price - best) > 0:
                    for order in orders:
                        order.show(0)
                        if sign * (other - price) <= 0:
                            order.met(update.time)

    def _forget(self, before: int) -> None:
        for levels in self.waiting:
            for price, orders in list(levels.items()):
                levels[price] = [order for order in orders if order.last is None and order.after.time >= before]
                if not levels[price]:
                    del levels[price]

    def _place(self, order: Waiting) -> None:
        best = order.after.best or (0, 0)
        away = SIGN[order.side] * (best[order.side] - order.price)
        order.front = order.back = order.shown = self.book[order.side].get(order.price, 0) if away >= 0 else 0
        order.stale = away > 0
        if order.stale:
            self.stale.append(order)
        self.waiting[order.side].setdefault(order.price, []).append(order)


def disagreements(capture: Capture) -> tuple[int, int]:
    """(how often, of how many) the depth stream from its snapshot on shows other quantities at the best prices than their own stream."""
    book: tuple[dict[int, int], dict[int, int]] = ({}, {})
    newest: Update | None = None
    wrong = seen = 0
    for update in (capture.snapshot, *capture.updates):
        if update.best is not None:
            newest = update
            continue
        for side, price, qty in update.levels:
            book[side][price] = qty
        if newest is not None:
            seen += 1
            wrong += any(book[side].get(price, 0) != qty for side, price, qty in newest.levels)
    return wrong, seen
