"""The exchange's texts and our numbers, both ways. One law: a price or quantity becomes a string, or stops being one, only here.

Pure. What is sent is made from whole ticks and lots by decimal arithmetic, so that it is exact and plain ("0.0000001", never
"1e-07"). What comes in is rounded to the nearest tick and lot. Fields that are not known are passed over.
"""

from __future__ import annotations

from decimal import Decimal
from math import isfinite
from typing import Any, NamedTuple

from hedgegridd.model import Bar, Fill, Held, Instrument, Leg, Order, OrderState, Role, Side, entry_side

Row = dict[str, Any]
OURS, BRIDGE, LONGEST_ID = "hg-", "B", 36
LEGS, ROLES = {"LONG": Leg.LONG, "SHORT": Leg.SHORT}, {"E": Role.ENTRY, "T": Role.TAKE_PROFIT, "S": Role.STOP, "C": Role.CLOSE}
LEG_NAMES, SIDE_NAMES = ("LONG", "SHORT"), {1: "BUY", -1: "SELL"}
INTERVALS = {
    60_000: "1m", 180_000: "3m", 300_000: "5m", 900_000: "15m", 1_800_000: "30m", 3_600_000: "1h", 7_200_000: "2h",
    14_400_000: "4h", 21_600_000: "6h", 28_800_000: "8h", 43_200_000: "12h", 86_400_000: "1d", 259_200_000: "3d", 604_800_000: "1w",
}  # fmt: skip
EXPIRED = {
    "1": "self-trade prevention", "2": "could not be filled at once", "3": "self-trade prevention", "4": "reduce-only knocked out",
    "5": "liquidation", "6": "position closed", "7": "symbol delisted", "8": "its stop triggered", "9": "market order unfilled",
}  # fmt: skip
FORCED = (("adl_autoclose", "adl"), ("settlement_autoclose-", "settlement"), ("autoclose-", "liquidation"))


# --- sizes ------------------------------------------------------------------------------------------------------------


class Scale(NamedTuple):
    """What one tick and one lot of a symbol are."""

    symbol: str
    tick: Decimal
    lot: Decimal
    tick_size: float
    lot_size: float

    def price(self, ticks: int) -> str:
        return plain(ticks, self.tick)

    def qty(self, lots: int) -> str:
        return plain(lots, self.lot)

    def ticks(self, text: Any) -> int:
        return round(number(text) / self.tick_size)

    def lots(self, text: Any) -> int:
        return round(number(text) / self.lot_size)


def scale(symbol: str, tick: Decimal, lot: Decimal) -> Scale:
    return Scale(symbol, tick, lot, float(tick), float(lot))


def scale_of(symbol: str, instrument: Instrument) -> Scale:
    """From the sizes that the daemon knows a symbol by; the shortest text of a float is the number that was meant."""
    return scale(symbol, Decimal(repr(instrument.tick_size)), Decimal(repr(instrument.lot_size)))


def plain(units: int, size: Decimal) -> str:
    """So many of this size, without an exponent and without idle zeros."""
    text = format(units * size, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def number(text: Any) -> float:
    """A number the exchange wrote; None and "" are how it writes that there is none. ValueError for what no sum may be made with."""
    found = float(text) if text not in (None, "") else 0.0
    if not isfinite(found):
        raise ValueError("not a finite number")
    return found


def whole(text: Any) -> int:
    return int(text) if text not in (None, "") else 0


# --- client order ids -------------------------------------------------------------------------------------------------


class Named(NamedTuple):
    """What one of our own ids says."""

    symbol: str
    leg: Leg
    role: Role
    price: int


def named(client_id: str) -> Named | None:
    """Read an id of ours; None for a foreign one."""
    parts = client_id.split("-")
    if len(parts) != 5 or not client_id.startswith(OURS) or len(parts[2]) != 2 or not parts[3].isdigit():
        return None
    leg, role = "LS".find(parts[2][0]), ROLES.get(parts[2][1])
    return None if leg < 0 or role is None else Named(parts[1], Leg(leg), role, int(parts[3]))


def bridge_id(stop_id: str) -> str:
    """The id of the order that guards a leg while its stop is replaced by this one."""
    return (stop_id if len(stop_id) < LONGEST_ID else OURS + stop_id[len(OURS) + 1 :]) + BRIDGE


def is_bridge(client_id: str) -> bool:
    """Ours, and a bridge: generations are written in small letters."""
    return client_id.startswith(OURS) and client_id.endswith(BRIDGE)


def forced(client_id: str) -> str:
    """Why the exchange itself closed: "" for everybody's own orders."""
    return next((why for prefix, why in FORCED if client_id.startswith(prefix)), "")


# --- orders, going out ------------------------------------------------------------------------------------------------


def limit_params(order: Order, by: Scale) -> dict[str, str]:
    """A resting order: post-only, in hedge mode (which knows no reduceOnly)."""
    return {**market_params(order, by), "type": "LIMIT", "price": by.price(order.price), "timeInForce": "GTX"}


def market_params(order: Order, by: Scale) -> dict[str, str]:
    return {
        "symbol": order.symbol,
        "side": SIDE_NAMES[order.side],
        "positionSide": LEG_NAMES[order.leg],
        "type": "MARKET",
        "quantity": by.qty(order.qty),
        "newClientOrderId": order.client_id,
        "newOrderRespType": "ACK",
    }


def close_params(order: Order, by: Scale) -> dict[str, str]:
    """At market, or immediate-or-cancel at a price."""
    return {**limit_params(order, by), "timeInForce": "IOC"} if order.price else market_params(order, by)


def stop_params(order: Order, by: Scale) -> dict[str, str]:
    """A stop on the mark price that closes whatever the leg then is."""
    params = bridge_params(order, by, 0)
    del params["quantity"]
    return {**params, "clientAlgoId": order.client_id, "closePosition": "true"}


def bridge_params(order: Order, by: Scale, lots: int) -> dict[str, str]:
    """The same for a fixed quantity: it may rest beside a stop that closes the leg."""
    return {
        "algoType": "CONDITIONAL",
        "symbol": order.symbol,
        "side": SIDE_NAMES[order.side],
        "positionSide": LEG_NAMES[order.leg],
        "type": "STOP_MARKET",
        "triggerPrice": by.price(order.price),
        "workingType": "MARK_PRICE",
        "quantity": by.qty(lots),
        "clientAlgoId": bridge_id(order.client_id),
    }


def amend_params(client_id: str, qty: int, by: Scale) -> dict[str, str]:
    """Another quantity for an order whose id says all the rest."""
    told = named(client_id)
    if told is None:
        raise ValueError("not an id of ours")
    side = entry_side(told.leg) * (1 if told.role == Role.ENTRY else -1)
    return {
        "symbol": told.symbol,
        "origClientOrderId": client_id,
        "side": SIDE_NAMES[side],
        "quantity": by.qty(qty),
        "price": by.price(told.price),
    }


# --- orders and positions, coming in ----------------------------------------------------------------------------------


def side_of(row: Row, key: str = "side") -> Side:
    return Side.BUY if row[key] == "BUY" else Side.SELL


def leg_of(row: Row, side: int, key: str = "positionSide") -> Leg:
    """The leg; of a one-way account, which has none, the one that this side opens."""
    return LEGS.get(row.get(key, ""), Leg.LONG if side > 0 else Leg.SHORT)


def order_of(row: Row, by: Scale) -> Order:
    """A resting classic order from a list."""
    side = side_of(row)
    leg = leg_of(row, side)
    name = str(row["clientOrderId"])
    told = named(name)
    role = told.role if told else Role.ENTRY if side == entry_side(leg) else Role.TAKE_PROFIT
    time, filled = whole(row.get("time") or row.get("updateTime")), by.lots(row.get("executedQty"))
    return Order(name, str(row["symbol"]), int(leg), int(role), int(side), by.ticks(row.get("price")), by.lots(row["origQty"]), time,
                 int(OrderState.LIVE), filled, str(row["orderId"]))  # fmt: skip


def algo_of(row: Row, by: Scale) -> Order:
    """A resting conditional order from a list; what closes a position has no quantity of its own."""
    side = side_of(row)
    return Order(str(row["clientAlgoId"]), str(row["symbol"]), int(leg_of(row, side)), int(Role.STOP), int(side),
                 by.ticks(row.get("triggerPrice")), by.lots(row.get("quantity")), whole(row.get("createTime")),
                 int(OrderState.LIVE), 0, str(row["algoId"]))  # fmt: skip


def closes_position(row: Row) -> bool:
    """Does this conditional order close whatever the leg is?"""
    return str(row.get("closePosition", row.get("cp", ""))).lower() == "true"


def held_of(row: Row, by: Scale) -> Held:
    """A leg as the list of positions has it. What is less than a lot (lots were made larger meanwhile) is one: held is never flat."""
    amount = number(row["positionAmt"])
    leg = leg_of(row, 1 if amount >= 0 else -1)
    return Held(str(row["symbol"]), int(leg), abs(by.lots(amount)) or int(amount != 0), number(row.get("entryPrice")) / by.tick_size)


def fill_of(row: Row, by: Scale, client_id: str) -> Fill:
    """An execution from the list of our trades."""
    side = side_of(row)
    fee = number(row.get("commission")) if row.get("commissionAsset") == "USDT" else 0.0
    return Fill(by.symbol, whole(row["time"]), int(leg_of(row, side)), int(side), by.ticks(row["price"]), by.lots(row["qty"]), fee,
                bool(row.get("maker")), client_id, str(row["orderId"]), str(row["id"]), forced(client_id))  # fmt: skip


def usdt_of(rows: list[Row]) -> float | None:
    """The wallet: USDT, found by name. None where the list does not have it."""
    return next((number(row["balance"]) for row in rows if row.get("asset") == "USDT"), None)


def unrealized_of(rows: list[Row]) -> float:
    """Unrealized profit of what is held on cross margin, USDT; 0 where the list does not have it."""
    return next((number(row.get("crossUnPnl")) for row in rows if row.get("asset") == "USDT"), 0.0)


# --- user events ------------------------------------------------------------------------------------------------------


class OrderTold(NamedTuple):
    """ORDER_TRADE_UPDATE: what happened to a classic order. A part without an execution has `last_qty` 0."""

    symbol: str
    client_id: str
    order_id: str
    what: str
    state: str
    leg: int
    side: int
    price: int
    qty: int
    filled: int
    last_price: int
    last_qty: int
    fee: float
    fee_asset: str
    trade_id: str
    maker: bool
    time: int
    why: str
    type: str


def order_told(row: Row, by: Scale) -> OrderTold:
    side = side_of(row, "S")
    state = str(row["X"])
    why = EXPIRED.get(str(row.get("er", "0")), "") if state.startswith("EXPIRED") else ""
    filled, trade = by.lots(row.get("z")), whole(row.get("t"))
    return OrderTold(
        str(row["s"]), str(row["c"]), str(row["i"]), str(row["x"]), state, int(leg_of(row, side, "ps")), int(side),
        by.ticks(row.get("p")), by.lots(row.get("q")), filled, by.ticks(row.get("L")), by.lots(row.get("l")), number(row.get("n")),
        str(row.get("N") or ""), str(trade) if trade > 0 else f"{row['i']}-{filled}", bool(row.get("m")), whole(row.get("T")), why,
        str(row.get("ot") or row.get("o") or ""),
    )  # fmt: skip


class AlgoTold(NamedTuple):
    """ALGO_UPDATE: what happened to a conditional order; `order_id` is that of the order it became, "" before."""

    symbol: str
    client_id: str
    algo_id: str
    state: str
    leg: int
    side: int
    price: int
    order_id: str
    executed: int
    closes: bool
    why: str


def algo_told(row: Row, by: Scale) -> AlgoTold:
    side = side_of(row, "S")
    return AlgoTold(
        str(row["s"]), str(row["caid"]), str(row["aid"]), str(row["X"]), int(leg_of(row, side, "ps")), int(side),
        by.ticks(row.get("tp")), str(row.get("ai") or ""), by.lots(row.get("aq")), closes_position(row), str(row.get("rm") or ""),
    )  # fmt: skip


# --- market -----------------------------------------------------------------------------------------------------------


def bar_of(row: list[Any], by: Scale, interval_ms: int) -> Bar:
    """A bar from the list that klines are."""
    return Bar(by.symbol, int(row[0]) + interval_ms, by.ticks(row[1]), by.ticks(row[2]), by.ticks(row[3]), by.ticks(row[4]),
               by.lots(row[5]), interval_ms)  # fmt: skip


def bar_told(k: Row, by: Scale, interval_ms: int) -> Bar:
    """A bar from the stream."""
    return bar_of([k["t"], k["o"], k["h"], k["l"], k["c"], k["v"]], by, interval_ms)
