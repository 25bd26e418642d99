"""What the exchange remembers: orders, conditional orders, fills, income; and how each is written as JSON.

Its one law: shapes only. Prices and quantities are ticks and lots until they are written; nothing here changes an account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from exchange_simulator.digits import fixed, money
from exchange_simulator.symbols import Symbol
from hedgegridd.model import Leg, Side, entry_side

Json = dict[str, Any]
OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})
ALGO_OPEN = frozenset({"NEW", "TRIGGERING"})


@dataclass(eq=False)
class Order:
    """A classic order, alive or not."""

    symbol: Symbol
    order_id: int
    client_id: str
    leg: int
    side: int
    type: str
    tif: str
    price: int  #: ticks, 0 = market
    qty: int  #: lots
    time: int
    updated: int
    status: str = "NEW"
    filled: int = 0
    ticks_filled: int = 0  #: sum of price x quantity, tick-lots
    orig_type: str = ""
    trigger: int = 0  #: of the conditional order it came from
    close_position: bool = False
    good_till: int = 0
    ticket: int = 0  #: in the kernel's book, 0 = does not rest
    stp: str = "EXPIRE_MAKER"
    modify_id: str = ""  #: the client's name for the last change
    algo: Algo | None = None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def closes(self) -> bool:
        """Does it reduce its leg?"""
        return self.side != entry_side(self.leg)

    @property
    def average(self) -> float:
        """Average price of what was filled, ticks."""
        return self.ticks_filled / self.filled if self.filled else 0.0

    def average_text(self) -> str:
        return fixed(self.symbol.exact(self.average), 5)

    def _common(self) -> Json:
        sym = self.symbol
        return {
            "orderId": self.order_id, "symbol": sym.name, "status": self.status, "clientOrderId": self.client_id,
            "price": sym.price(self.price), "origQty": sym.qty(self.qty), "executedQty": sym.qty(self.filled),
            "timeInForce": self.tif, "type": self.type, "reduceOnly": self.closes, "closePosition": self.close_position,
            "side": Side(self.side).name, "positionSide": Leg(self.leg).name, "stopPrice": sym.price(self.trigger),
            "workingType": "CONTRACT_PRICE", "priceProtect": False, "origType": self.orig_type or self.type, "priceMatch": "NONE",
            "selfTradePreventionMode": self.stp, "goodTillDate": self.good_till, "updateTime": self.updated,
        }  # fmt: skip

    def ack(self, full: bool) -> Json:
        """The answer to POST: NEW and nothing filled, whatever came of it; `full` (RESULT) tells the state, never the money."""
        shape = {**self._common(), "cumQty": self.symbol.qty(self.filled)}
        if not full:
            shape.update(status="NEW", executedQty=self.symbol.qty(0), cumQty=self.symbol.qty(0), updateTime=self.time)
        return shape

    def modified(self) -> Json:
        """The answer to PUT."""
        return {**self._common(), "pair": self.symbol.name, "cumQty": self.symbol.qty(self.filled), "cumBase": "0"}

    def cancelled(self) -> Json:
        """The answer to DELETE."""
        return {**self._common(), "cumQty": self.symbol.qty(self.filled)}

    def shown(self) -> Json:
        """The answer to a query."""
        quote = self.ticks_filled * float(self.symbol.tick) * float(self.symbol.lot)
        return {**self._common(), "avgPrice": self.average_text(), "cumQuote": fixed(quote, 5), "time": self.time}


@dataclass(eq=False)
class Algo:
    """A conditional order."""

    symbol: Symbol
    algo_id: int
    client_id: str
    leg: int
    side: int
    type: str
    tif: str
    trigger: int  #: ticks
    price: int  #: ticks, of the order it becomes; 0 = market
    qty: int  #: lots, 0 = the whole position
    time: int
    updated: int
    by_mark: bool = False
    close_position: bool = False
    price_protect: bool = False
    status: str = "NEW"
    triggered: int = 0  #: when
    child: Order | None = None
    callback_rate: str = ""
    activate: int = 0  #: ticks, of a trailing stop
    good_till: int = 0
    extreme: int = 0  #: the best price a trailing stop has seen
    reason: str = ""

    @property
    def is_open(self) -> bool:
        return self.status in ALGO_OPEN

    @property
    def closes(self) -> bool:
        return self.side != entry_side(self.leg)

    @property
    def takes_profit(self) -> bool:
        return self.type.startswith("TAKE_PROFIT")

    @property
    def falls(self) -> bool:
        """Does it trigger at or below its price?"""
        return (self.side < 0) != self.takes_profit

    def _common(self) -> Json:
        sym = self.symbol
        return {
            "algoId": self.algo_id, "clientAlgoId": self.client_id, "algoType": "CONDITIONAL", "orderType": self.type, "symbol": sym.name,
            "side": Side(self.side).name, "positionSide": Leg(self.leg).name, "timeInForce": self.tif, "quantity": sym.qty(self.qty),
            "algoStatus": self.status, "triggerPrice": sym.price(self.trigger), "price": sym.price(self.price), "icebergQuantity": None,
            "selfTradePreventionMode": "EXPIRE_MAKER", "workingType": "MARK_PRICE" if self.by_mark else "CONTRACT_PRICE",
            "priceMatch": "NONE", "closePosition": self.close_position, "priceProtect": self.price_protect, "reduceOnly": self.closes,
            "createTime": self.time, "updateTime": self.updated, "triggerTime": self.triggered, "goodTillDate": self.good_till,
        }  # fmt: skip

    def ack(self) -> Json:
        """The answer to POST."""
        return {
            **self._common(),
            "activatePrice": self.symbol.price(self.activate) if self.activate else "",
            "callbackRate": self.callback_rate,
        }

    def cancelled(self) -> Json:
        """The answer to DELETE."""
        return self._common()

    def shown(self) -> Json:
        """The answer to a query."""
        child = self.child
        return {
            **self._common(), "actualOrderId": str(child.order_id) if child else "", "actualPrice": self.average_text(),
            "actualQty": self.symbol.qty(child.filled if child else 0), "actualType": child.type if child else "",
            "tpTriggerPrice": "0.000", "tpPrice": "0.000", "slTriggerPrice": "0.000", "slPrice": "0.000", "tpOrderType": "",
        }  # fmt: skip

    def average_text(self) -> str:
        return self.child.average_text() if self.child else fixed(0.0, 5)


@dataclass(frozen=True)
class Execution:
    """One execution on the account."""

    trade_id: int
    order: Order
    leg: int
    side: int
    price: int
    qty: int
    fee: float
    realized: float
    maker: bool
    time: int

    def shown(self) -> Json:
        sym = self.order.symbol
        quote = sym.exact(self.price) * self.qty * float(sym.lot)
        return {
            "symbol": sym.name, "id": self.trade_id, "orderId": self.order.order_id, "side": Side(self.side).name,
            "price": sym.price(self.price), "qty": sym.qty(self.qty), "realizedPnl": money(self.realized), "marginAsset": "USDT",
            "quoteQty": money(quote), "commission": money(self.fee), "commissionAsset": "USDT", "time": self.time,
            "positionSide": Leg(self.leg).name, "buyer": self.side > 0, "maker": self.maker,
        }  # fmt: skip


@dataclass(frozen=True)
class Income:
    """One line of the wallet's history. `amount` is negative when paid."""

    kind: str
    symbol: str
    amount: float
    time: int
    tran_id: int
    trade_id: str = ""
    info: str = ""

    def shown(self) -> Json:
        return {
            "symbol": self.symbol, "incomeType": self.kind, "income": money(self.amount), "asset": "USDT",
            "info": self.info or self.kind, "time": self.time, "tranId": str(self.tran_id), "tradeId": self.trade_id,
        }  # fmt: skip


@dataclass
class Ids:
    """Counters: as long as the exchange's own, the orders' beyond what a double can hold."""

    order: int = 8_389_765_519_993_908_929
    algo: int = 1_000_001_270_850_379
    trade: int = 4_467_432_841
    tran: int = 9_689_322_392
    ticket: int = 0
    taken: dict[str, int] = field(default_factory=dict)

    def next(self, name: str) -> int:
        """The next number of a counter."""
        value: int = getattr(self, name) + 1
        setattr(self, name, value)
        return value
