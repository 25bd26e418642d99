"""A whole exchange plugin in one small file, written from the contract's docstrings alone: an exchange that lives in memory.

One law: it keeps the contract and no more. Its market goes up and down on a clock of its own; what the price crosses is filled.
"""

from __future__ import annotations

import asyncio
import math
import time

from hedgegridd import hookimpl
from hedgegridd.hookspecs import Fact, Health, Stream
from hedgegridd.model import Accepted, Amended, Bar, Cancelled, Fill, Held, Instrument, Mark, Quote, Report, Role, entry_side


class Tiny:
    name = "tiny"
    orders_cost_network = True
    trading = False

    class Settings:
        account: str = ""
        api_key: str = ""
        wallet_usdt: float = 10_000.0

    def __init__(self):
        self.orders, self.held, self.wallet, self.trades, self.task = {}, {}, 0.0, 0, None

    # --- before the start ---

    async def instruments(self, terms, settings):
        return {symbol: Instrument(0.1, 0.001, 1, 10**6, 10**6, 5.0, 2.0, 5.0, term.leverage) for symbol, term in terms.items()}

    async def preflight(self, instruments, terms, settings):
        return [Fact("balance", True, str(settings.wallet_usdt))]

    async def history(self, symbol, interval_ms, bars):
        end = self.now() // interval_ms * interval_ms
        found = []
        for at in range(end - bars * interval_ms, end, interval_ms):
            a, b = self.price(at), self.price(at + interval_ms)
            found.append(Bar(symbol, at + interval_ms, a, max(a, b), min(a, b), b, 9, interval_ms))
        return found

    def listen(self, interval_ms, trades):
        self.interval = interval_ms

    # --- the contract ---

    def start(self, emit, instruments, settings):
        self.emit, self.symbols, self.wallet = emit, list(instruments), self.wallet or settings.wallet_usdt
        self.unit = {symbol: one.unit for symbol, one in instruments.items()}
        self.task = asyncio.get_running_loop().create_task(self.run())

    def catch_up(self, last_trade, income_time):
        pass

    def market(self, event):
        pass

    def restore(self, report, seen=()):
        pass

    def place(self, orders):
        for order in orders:
            self.orders[order.client_id] = order._replace(order_id="t-" + order.client_id)
            self.emit(Accepted(order.client_id, "t-" + order.client_id, self.now()))
            if order.role == Role.CLOSE:
                self.fill(order.client_id, self.price(self.now()))

    def amend(self, client_id, qty):
        self.orders[client_id] = self.orders[client_id]._replace(qty=qty)
        self.emit(Amended(client_id, self.now(), qty))

    def cancel(self, orders):
        for order in orders:
            known = self.orders.pop(order.client_id, None)
            self.emit(Cancelled(order.client_id, self.now(), "cancelled" if known else "unknown"))

    def report(self, doubted=(), now=0):
        held = tuple(Held(symbol, leg, *self.held.get((symbol, leg), (0, 0.0))) for symbol in self.symbols for leg in (0, 1))
        absent = tuple(order.client_id for order in doubted if order.client_id not in self.orders)
        self.emit(Report(self.now(), self.wallet, held, tuple(self.orders.values()), now, absent))

    def countdown(self, symbols, ms):
        pass

    def health(self):
        return Health(self.task is not None, (Stream("tiny", 0),), 0.0, 0.0)

    def stop(self):
        if self.task is not None:
            self.task.cancel()

    async def closed(self):
        pass

    # --- the exchange itself ---

    def now(self):
        return time.time_ns() // 1_000_000

    def price(self, at):
        return round(500_000 * (1 + 0.02 * math.sin(at * math.tau / 10_000)))  # six times a minute, whose bars all close in the middle

    async def run(self):
        bar = self.now() // self.interval
        while True:
            await asyncio.sleep(0.05)
            now = self.now()
            price = self.price(now)
            for symbol in self.symbols:
                self.emit(Mark(symbol, now, float(price), float(price), 0.0001, now + 3_600_000))
                self.emit(Quote(symbol, now, price - 1, 1000, price + 1, 1000))
            for name, order in list(self.orders.items()):
                stop, low = order.role == Role.STOP, price < order.price
                if (low == (order.side > 0)) != stop and price != order.price:
                    self.fill(name, price if stop else order.price)
            if now // self.interval > bar:
                bar = now // self.interval
                for symbol in self.symbols:
                    self.emit((await self.history(symbol, self.interval, 1))[-1])

    def fill(self, name, price):
        order, self.trades = self.orders.pop(name), self.trades + 1
        key, side = (order.symbol, order.leg), order.side
        held, entry = self.held.get(key, (0, 0.0))
        opens = side == entry_side(order.leg)
        qty = order.qty if opens else held if order.role == Role.STOP else min(order.qty, held)
        if opens:
            entry, held = (entry * held + price * qty) / (held + qty), held + qty
        else:
            self.wallet -= (price - entry) * qty * side * self.unit[order.symbol]
            held -= qty
        self.held[key] = (held, entry if held else 0.0)
        if qty:
            self.emit(Fill(order.symbol, self.now(), order.leg, side, price, qty, 0.0, True, name, order.order_id, str(self.trades)))
        if order.role == Role.STOP:
            self.emit(Cancelled(name, self.now(), "stop filled"))


@hookimpl
def register_exchanges(register):
    register(Tiny)
