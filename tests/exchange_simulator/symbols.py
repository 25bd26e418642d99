"""The symbols: filters and brackets as the exchange publishes them, and the same as the kernel's numbers.

Its one law: the filters published are the filters enforced. Well-known symbols come from the table below, any other from the recorded
exchange information beside the checkout, where that is.
"""

from __future__ import annotations

import gzip
import json
import os
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from exchange_simulator.digits import fixed, places_of
from hedgegridd.model import Bracket, Instrument

ORDER_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
TIMES_IN_FORCE = ["GTC", "IOC", "FOK", "GTX", "GTD"]
MAX_ORDERS, MAX_ALGO_ORDERS = 200, 200
WHOLE = ("deliveryDate", "onboardDate", "pricePrecision", "quantityPrecision", "baseAssetPrecision", "quotePrecision", "maxMoveOrderLimit")


class Row(NamedTuple):
    """One symbol of the table."""

    tick: str
    step: str
    max_qty: str
    market_max_qty: str
    min_notional: str
    min_price: str
    max_price: str
    digits: tuple[int, int]  #: of price and quantity
    band: tuple[str, str]  #: PERCENT_PRICE down and up
    price: float  #: where it trades when nobody says otherwise


TABLE: dict[str, Row] = {
    "BTCUSDT": Row("0.10", "0.001", "1000", "120", "100", "556.80", "4529764", (2, 3), ("0.9500", "1.0500"), 50_000.0),
    "ETHUSDT": Row("0.01", "0.001", "10000", "2000", "20", "39.86", "306177", (2, 3), ("0.9500", "1.0500"), 2_500.0),
    "SOLUSDT": Row("0.0100", "0.01", "1000000", "5000", "5", "0.4200", "6857", (4, 2), ("0.9500", "1.0500"), 150.0),
    "XRPUSDT": Row("0.0001", "0.1", "10000000", "2000000", "5", "0.0143", "100000", (4, 1), ("0.9500", "1.0500"), 2.0),
    "DOGEUSDT": Row("0.000010", "1", "50000000", "30000000", "5", "0.002440", "30", (6, 0), ("0.9500", "1.0500"), 0.2),
}
#: initial leverage, cap of the notional, maintenance margin rate; the shape of every ladder that is not recorded
LADDER = ((125, 300_000, 0.004), (100, 800_000, 0.005), (50, 3_000_000, 0.01), (20, 12_000_000, 0.025), (10, 70_000_000, 0.05),
          (5, 100_000_000, 0.1), (4, 230_000_000, 0.125), (2, 480_000_000, 0.25), (1, 600_000_000, 0.5))  # fmt: skip


class Symbol:
    """One symbol: its published entry, its brackets, and the kernel's view of both."""

    def __init__(self, entry: dict[str, Any], brackets: list[dict[str, Any]], price: float, maker_bps: float, taker_bps: float) -> None:
        self.entry, self.brackets, self.start_price = entry, brackets, price
        self.name: str = entry["symbol"]
        self.filters = {one["filterType"]: one for one in entry["filters"]}
        self.tick = Decimal(self.filters["PRICE_FILTER"]["tickSize"])
        self.lot = Decimal(self.filters["LOT_SIZE"]["stepSize"])
        self.price_places, self.qty_places = places_of(self.tick), places_of(self.lot)
        self.instrument = self._instrument(maker_bps, taker_bps)

    def _instrument(self, maker_bps: float, taker_bps: float) -> Instrument:
        size, market = self.filters["LOT_SIZE"], self.filters["MARKET_LOT_SIZE"]
        ladder = tuple(Bracket(float(b["notionalFloor"]), float(b["maintMarginRatio"]) * 100, float(b["cum"])) for b in self.brackets)
        return Instrument(
            float(self.tick), float(self.lot), int(Decimal(size["minQty"]) / self.lot), int(Decimal(size["maxQty"]) / self.lot),
            int(Decimal(market["maxQty"]) / self.lot), float(self.filters["MIN_NOTIONAL"]["notional"]), maker_bps, taker_bps, 20.0, 0.4,
            ladder,
        )  # fmt: skip

    @property
    def max_leverage(self) -> int:
        """The highest leverage of the first bracket."""
        return int(self.brackets[0]["initialLeverage"])

    def max_notional(self, leverage: int) -> int:
        """How large a position may be at this leverage, USDT."""
        return max((int(b["notionalCap"]) for b in self.brackets if b["initialLeverage"] >= leverage), default=0)

    def set_filter(self, kind: str, **values: str) -> None:
        """Publish and enforce another value. A tick or step may only become coarser: prices and quantities are counted in the first."""
        for name, value in values.items():
            base = {"tickSize": self.tick, "stepSize": self.lot}.get(name)
            if base is not None and Decimal(value) % base:
                raise ValueError(f"{name} {value} is no multiple of {base}")
            if name not in self.filters[kind]:
                raise KeyError(f"{kind} has no {name}")
            self.filters[kind][name] = value

    def ticks(self, price: float | Decimal) -> int:
        """The nearest whole tick."""
        return int((Decimal(repr(price)) if isinstance(price, float) else Decimal(price)).__truediv__(self.tick).to_integral_value())

    def lots(self, qty: float | Decimal) -> int:
        """The nearest whole lot."""
        return int((Decimal(repr(qty)) if isinstance(qty, float) else Decimal(qty)).__truediv__(self.lot).to_integral_value())

    def price(self, ticks: int) -> str:
        """A price as text."""
        return fixed(ticks * self.tick, self.price_places)

    def qty(self, lots: int) -> str:
        """A quantity as text."""
        return fixed(lots * self.lot, self.qty_places)

    def exact(self, ticks: float) -> float:
        """A float price in ticks, in USDT."""
        return ticks * float(self.tick)


def load(prices: dict[str, float] | None, maker_bps: float, taker_bps: float) -> dict[str, Symbol]:
    """These symbols at these prices; without any, two well-known ones. Raises KeyError for a symbol nobody recorded."""
    wanted = prices or {name: TABLE[name].price for name in ("BTCUSDT", "ETHUSDT")}
    return {name: Symbol(_entry(name), _brackets(), price, maker_bps, taker_bps) for name, price in wanted.items()}


def _entry(name: str) -> dict[str, Any]:
    if name in TABLE:
        return _from_table(name, TABLE[name])
    entry = dict(recorded()[name])
    for key in WHOLE:
        if key in entry:
            entry[key] = int(entry[key])
    entry["filters"] = [_numbered(one) for one in entry["filters"]]
    return entry


def _numbered(one: dict[str, Any]) -> dict[str, Any]:
    limit = MAX_ALGO_ORDERS if one["filterType"] == "MAX_NUM_ALGO_ORDERS" else one.get("limit")
    return {**one, "limit": int(limit)} if limit is not None else one


def _from_table(name: str, row: Row) -> dict[str, Any]:
    return {
        "symbol": name, "pair": name, "contractType": "PERPETUAL", "deliveryDate": 4133404800000, "onboardDate": 1569398400000,
        "status": "TRADING", "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000", "baseAsset": name.removesuffix("USDT"),
        "quoteAsset": "USDT", "marginAsset": "USDT", "pricePrecision": row.digits[0], "quantityPrecision": row.digits[1],
        "baseAssetPrecision": 8, "quotePrecision": 8, "underlyingType": "COIN", "underlyingSubType": ["PoW"], "settlePlan": 0,
        "triggerProtect": "0.0500", "liquidationFee": "0.012500", "marketTakeBound": "0.05", "maxMoveOrderLimit": 10000,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": row.min_price, "maxPrice": row.max_price, "tickSize": row.tick},
            {"filterType": "LOT_SIZE", "minQty": row.step, "maxQty": row.max_qty, "stepSize": row.step},
            {"filterType": "MARKET_LOT_SIZE", "minQty": row.step, "maxQty": row.market_max_qty, "stepSize": row.step},
            {"filterType": "MAX_NUM_ORDERS", "limit": MAX_ORDERS},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": MAX_ALGO_ORDERS},
            {"filterType": "MIN_NOTIONAL", "notional": row.min_notional},
            {"filterType": "PERCENT_PRICE", "multiplierUp": row.band[1], "multiplierDown": row.band[0], "multiplierDecimal": "4"},
        ],
        "orderTypes": ORDER_TYPES, "timeInForce": TIMES_IN_FORCE,
    }  # fmt: skip


def _brackets() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    floor, rate_before, cum = 0, 0.0, 0.0
    for number, (leverage, cap, rate) in enumerate(LADDER, 1):
        cum = cum + floor * (rate - rate_before) if rows else 0.0
        rows.append({"bracket": number, "initialLeverage": leverage, "notionalCap": cap, "notionalFloor": floor,
                     "maintMarginRatio": rate, "cum": round(cum, 6)})  # fmt: skip
        floor, rate_before = cap, rate
    return rows


@cache
def recorded() -> dict[str, dict[str, Any]]:
    """Every symbol of the recorded exchange information; none where the recordings are not there."""
    shared = Path(os.environ.get("HEDGEGRIDD_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    path = shared / "data" / "payloads" / "exchange_info_symbols_202503.json.gz"
    if not path.exists():
        return {}
    with gzip.open(path, "rt") as file:
        return {entry["symbol"]: entry for entry in json.load(file)["symbols"]}
