"""W1 on nautilus_trader's bar backtest: limit orders for entries and take-profits, stop-market orders for stops, OmsType.HEDGING with
one position for each leg; what a bar filled is answered at its close, as W1 wants it. It walks a bar's open, high, low and close as four
prices, so an order may meet two of them in one bar. Logging and analysis are off. How to run: `w1_rules`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import w1_rules as w1
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, PositionId, Symbol, Venue
from nautilus_trader.model.instruments import CryptoPerpetual
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

MINUTE_NS, START_NS = 60_000_000_000, 1_735_689_600_000_000_000
CASH = 1_000_000
NAME = InstrumentId(Symbol("BTCUSDT-PERP"), Venue("BINANCE"))
KIND = BarType.from_str(f"{NAME}-1-MINUTE-LAST-EXTERNAL")
LEGS = (PositionId("LONG"), PositionId("SHORT"))


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
        self.rules = w1.Rules(self.place, self.end, lambda order: order.client_order_id)
        self.filled: list[Any] = []
        self.qty = [Quantity(lots * w1.LOT, 6) for lots in w1.LOTS]

    def on_start(self) -> None:
        self.subscribe_bars(KIND)

    def on_order_filled(self, event: Any) -> None:
        self.filled.append(event)

    def on_bar(self, bar: Bar) -> None:
        fills, self.filled = self.filled, []
        for event in fills:
            if event.client_order_id in self.rules.orders:  # else its twin was filled in the same bar
                self.rules.filled(event.client_order_id, float(event.last_px) / w1.TICK)
        self.rules.close(float(bar.close) / w1.TICK)

    def end(self, order: Any) -> None:
        """What is filled or on its way is not cancelled."""
        if order.is_open:
            self.cancel_order(order)

    def place(self, role: int, leg: int, rung: int, price: int) -> Any:
        """Into the book."""
        side = OrderSide.BUY if (leg == 0) == (role == w1.ENTRY) else OrderSide.SELL
        at, qty = Price(price / 10, 1), self.qty[rung]
        if role == w1.STOP:
            order = self.order_factory.stop_market(NAME, side, qty, trigger_price=at)
        else:
            order = self.order_factory.limit(NAME, side, qty, price=at)
        self.submit_order(order, position_id=LEGS[leg])
        return order


def made(packed: Any) -> list[Bar]:
    """Each opens where the last one closed."""
    volume, bars = Quantity(1000, 6), []
    for count, row in enumerate(zip(*(column.tolist() for column in w1.columns(packed)), strict=True)):
        time_ns = START_NS + (count + 1) * MINUTE_NS
        bars.append(Bar(KIND, *(Price(ticks / 10, 1) for ticks in row), volume, time_ns, time_ns))
    return bars


def main(packed: Any) -> tuple[float, dict[str, int], float]:
    """The engine's run alone is timed."""
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True), run_analysis=False))
    engine.add_venue(NAME.venue, OmsType.HEDGING, AccountType.MARGIN, [Money(CASH, USDT)], default_leverage=Decimal(50))
    engine.add_instrument(instrument())
    engine.add_data(made(packed))
    strategy = Grid()
    engine.add_strategy(strategy)
    seconds, _ = w1.timed(engine.run)
    last, rules = Price(int(packed[-1]) / 10, 1), strategy.rules
    marked = sum(float(position.unrealized_pnl(last)) for position in engine.cache.positions_open())
    earned = float(engine.portfolio.account(NAME.venue).balance_total(USDT)) - CASH + marked
    return seconds, rules.counts, w1.CASH + earned - rules.funding


if __name__ == "__main__":
    w1.main("nautilus_trader", main)
