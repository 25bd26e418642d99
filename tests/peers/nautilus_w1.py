"""W1 on nautilus_trader's bar backtest, as a process of its own: any Python that has nautilus_trader may run it.

    python tests/peers/nautilus_w1.py BARS.npy     prints {"version": ..., "bars": ..., "seconds": ..., "entries": ..., ...}

BARS.npy: high, low and close side by side in ticks of 0.1, as tests/bench/w1.py packs them. Limit orders for entries and
take-profits, stop-market orders for stops, OmsType.HEDGING with one position for each leg; what a bar filled is answered at its close,
as W1 wants it. Only the engine's run is timed, in processor seconds, not the making
of its bars.
"""

from __future__ import annotations

import json
import sys
import time
from decimal import Decimal
from typing import Any

import nautilus_trader
import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, PositionId, Symbol, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

STEPS, SPACING, GROWTH, QTY = 10, 0.005, 1.1, 0.001
TAKE_PROFIT_STEPS, STOP_STEPS, RECENTRE = 2, 5, 0.05
MINUTE_NS, START_NS = 60_000_000_000, 1_735_689_600_000_000_000
NAME = InstrumentId(Symbol("BTCUSDT-PERP"), Venue("BINANCE"))
KIND = BarType.from_str(f"{NAME}-1-MINUTE-LAST-EXTERNAL")
LEGS = (PositionId("LONG"), PositionId("SHORT"))
ENTRY, TAKE_PROFIT, STOP = range(3)


def instrument() -> CryptoPerpetual:
    """W1's: ticks of 0.1, lots of 1e-6, maker 2 and taker 5 bps."""
    return CryptoPerpetual(
        instrument_id=NAME, raw_symbol=Symbol("BTCUSDT"), base_currency=BTC, quote_currency=USDT, settlement_currency=USDT,
        is_inverse=False, price_precision=1, size_precision=6, price_increment=Price(0.1, 1), size_increment=Quantity(0.000001, 6),
        max_quantity=Quantity(1000, 6), min_quantity=Quantity(0.000001, 6), max_notional=None, min_notional=None, max_price=None,
        min_price=None, margin_init=Decimal("0.01"), margin_maint=Decimal("0.005"), maker_fee=Decimal("0.0002"),
        taker_fee=Decimal("0.0005"), ts_event=0, ts_init=0,
    )  # fmt: skip


class Grid(Strategy):  # type: ignore[misc]
    """W1's rules, as nautilus_trader asks for them."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = {"entries": 0, "take_profits": 0, "stops": 0, "recentres": 0}
        self.orders: dict[Any, tuple[int, int, int, int]] = {}  # client id -> role, leg, rung, grid
        self.twins: dict[Any, Any] = {}
        self.resting: dict[tuple[int, int], Any] = {}
        self.filled: list[Any] = []
        self.grid, self.centre, self.width = 0, 0.0, 0.0
        self.qty = [Quantity(int(QTY * GROWTH**rung * 1e6 + 0.5) / 1e6, 6) for rung in range(STEPS)]

    def on_start(self) -> None:
        self.subscribe_bars(KIND)

    def on_order_filled(self, event: Any) -> None:
        self.filled.append(event)

    def on_bar(self, bar: Bar) -> None:
        fills, self.filled = self.filled, []
        for event in fills:
            self.answer(event.client_order_id, float(event.last_px))
        close = float(bar.close)
        if not self.grid or abs(close - self.centre) > RECENTRE * self.centre:
            for order in self.resting.values():
                self.cancel_order(order)
            self.resting.clear()
            self.counts["recentres"] += self.grid > 0
            self.grid, self.centre, self.width = self.grid + 1, close, close * SPACING
            for leg in (0, 1):
                for rung in range(STEPS):
                    self.enter(leg, rung)

    def answer(self, client_id: Any, price: float) -> None:
        """An entry gets its exits; an exit ends its twin, and a take-profit of this grid arms its rung again."""
        role, leg, rung, grid = self.orders.pop(client_id)
        self.counts[("entries", "take_profits", "stops")[role]] += 1
        if role == ENTRY:
            if grid == self.grid:
                self.resting.pop((leg, rung), None)
            good = self.width if leg == 0 else -self.width
            profit = self.place(TAKE_PROFIT, leg, rung, grid, price + TAKE_PROFIT_STEPS * good)
            stop = self.place(STOP, leg, rung, grid, price - STOP_STEPS * good)
            self.twins[profit.client_order_id], self.twins[stop.client_order_id] = stop, profit
            return
        twin = self.twins.pop(client_id)
        self.twins.pop(twin.client_order_id, None)
        self.orders.pop(twin.client_order_id, None)
        if twin.is_open:
            self.cancel_order(twin)
        if role == TAKE_PROFIT and grid == self.grid:
            self.enter(leg, rung)

    def enter(self, leg: int, rung: int) -> None:
        """Wish a rung."""
        away = (rung + 1) * self.width * (-1 if leg == 0 else 1)
        self.resting[leg, rung] = self.place(ENTRY, leg, rung, self.grid, self.centre + away)

    def place(self, role: int, leg: int, rung: int, grid: int, price: float) -> Any:
        """Into the book."""
        side = OrderSide.BUY if (leg == 0) == (role == ENTRY) else OrderSide.SELL
        at, qty = Price(int(price * 10 + 0.5) / 10, 1), self.qty[rung]
        if role == STOP:
            order = self.order_factory.stop_market(NAME, side, qty, trigger_price=at)
        else:
            order = self.order_factory.limit(NAME, side, qty, price=at)
        self.orders[order.client_order_id] = role, leg, rung, grid
        self.submit_order(order, position_id=LEGS[leg])
        return order


def made(packed: Any) -> list[Bar]:
    """Each opens where the last one closed."""
    rows, opened, bars = packed.reshape(-1, 3).tolist(), int(packed[2]), []
    volume = Quantity(1000, 6)
    for count, (high, low, close) in enumerate(rows):
        time_ns = START_NS + (count + 1) * MINUTE_NS
        opened = min(max(opened, low), high)
        prices = (Price(ticks / 10, 1) for ticks in (opened, high, low, close))
        bars.append(Bar(KIND, *prices, volume, time_ns, time_ns))
        opened = close
    return bars


def main(path: str) -> None:
    """Run it and tell."""
    packed = np.load(path)
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    engine.add_venue(NAME.venue, OmsType.HEDGING, AccountType.MARGIN, [Money(1_000_000, USDT)], default_leverage=Decimal(50))
    engine.add_instrument(instrument())
    bars = made(packed)
    engine.add_data(bars)
    strategy = Grid()
    engine.add_strategy(strategy)
    begun = time.process_time()
    engine.run()
    seconds = time.process_time() - begun
    print(json.dumps({"version": nautilus_trader.__version__, "bars": len(bars), "seconds": seconds, **strategy.counts}))


if __name__ == "__main__":
    main(sys.argv[1])
