"""The plugin on the simulator of the exchange, over real sockets, and what it told. One law: a test waits for facts, not for time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from exchange_simulator import Simulator

from hedgegridd.heart.orders import client_id
from hedgegridd.hookspecs import Terms
from hedgegridd.model import Leg, Order, Role, entry_side
from plugins.exchange_binance import BinanceExchange

BTC, MINUTE = "BTCUSDT", 60_000
L, S = Leg.LONG, Leg.SHORT
ENTRY, PROFIT, STOP, CLOSE = Role.ENTRY, Role.TAKE_PROFIT, Role.STOP, Role.CLOSE
TERMS = {BTC: Terms(20.0, "cross", 2.0, 5.0, 0.4)}


class Log(list[Any]):
    """Everything that was told, in order."""

    def of(self, *kinds: type) -> list[Any]:
        return [event for event in self if isinstance(event, kinds)]

    def about(self, order: Order) -> list[Any]:
        return [event for event in self if getattr(event, "client_id", None) == order.client_id]

    def told(self, order: Order) -> list[str]:
        return [type(event).__name__ for event in self.about(order)]

    async def until(self, test: Callable[[], object], seconds: float = 30.0) -> Any:
        """Wait until this holds; its value."""
        end = time.monotonic() + seconds
        while True:
            found = test()
            if found:
                return found
            assert time.monotonic() < end, [event for event in self if type(event).__name__ not in ("Mark", "Quote")]
            await asyncio.sleep(0.005)

    async def next(self, kind: type, test: Callable[[Any], object] = lambda event: True, seconds: float = 30.0) -> Any:
        """The first event of this kind from now on."""
        start = len(self)
        found = await self.until(lambda: [event for event in self[start:] if isinstance(event, kind) and test(event)], seconds)
        return found[0]


class Running:
    """One started exchange."""

    def __init__(self, sim: Simulator, exchange: BinanceExchange, log: Log, instruments: dict[str, Any]) -> None:
        self.sim, self.exchange, self.log, self.instruments = sim, exchange, log, instruments
        self.generation = 0

    def order(self, leg: int, role: int, price: int, qty: int = 3, symbol: str = BTC) -> Order:
        """A new order; price in ticks, quantity in lots."""
        self.generation += 1
        side = entry_side(leg) * (1 if role == Role.ENTRY else -1)
        return Order(client_id(symbol, leg, role, price, self.generation), symbol, int(leg), int(role), side, price, qty)

    async def report(self, *doubted: Order) -> Any:
        from hedgegridd.model import Report

        await asyncio.sleep(0.01)
        self.exchange.report(doubted)
        return await self.log.next(Report)

    async def hold(self, leg: int, qty: int) -> None:
        """Make the leg hold so many lots, by an order of ours that fills."""
        board = self.sim.floor.boards[BTC]
        price = board.last - 100 if leg == L else board.last + 100
        opener = self.order(leg, ENTRY, price, qty)
        self.exchange.place([opener])
        await self.log.until(lambda: "Accepted" in self.log.told(opener))
        self.sim.price(BTC, (price - 10 if leg == L else price + 10) / 10, mark=board.symbol.exact(board.mark))
        await self.log.until(lambda: sum(fill.qty for fill in self.log.about(opener) if type(fill).__name__ == "Fill") == qty)

    def asked(self, *what: str) -> list[Any]:
        """Requests the exchange has seen: "POST /fapi/v1/order"."""
        return [seen for seen in self.sim.requests if f"{seen.method} {seen.path}" in what]


def settings(sim: Simulator, **changes: Any) -> SimpleNamespace:
    known = {"account": "test", "api_key": sim.api_key, "api_secret": sim.api_secret, "testnet": False, "rest_url": sim.rest_url,
             "ws_url": sim.ws_url, "ws_api_url": "", "recv_window_ms": 5000}  # fmt: skip
    return SimpleNamespace(**{**known, **changes})


@asynccontextmanager
async def running(trading: bool = True, trades: bool = False, setup: Callable[[Simulator], None] = lambda sim: None,
                  last_trade: dict[str, int] | None = None, income_time: int = 0, **options: Any) -> AsyncIterator[Running]:  # fmt: skip
    """An exchange that has started and told its first report."""
    async with Simulator(**{"symbols": {BTC: 50_000.0}, **options}) as sim:
        setup(sim)
        exchange = BinanceExchange()
        exchange.trading = trading
        log = Log()
        keys = {} if trading else {"api_key": "", "api_secret": ""}
        try:
            instruments = await exchange.instruments(TERMS, settings(sim, **keys))
            exchange.listen(MINUTE, trades)
            exchange.start(log.append, instruments, settings(sim, **keys))
            if trading:
                exchange.catch_up(last_trade or {}, income_time)
                exchange.report()
                await log.until(lambda: [event for event in log if type(event).__name__ == "Report"])
            yield Running(sim, exchange, log, instruments)
        finally:
            exchange.stop()
            await exchange.closed()


def run(test: Callable[[], Any]) -> None:
    asyncio.run(test())
