"""What the exchange says to the account's owner over the user stream.

Its one law: an event is built from the records as they stand at its moment; later changes are later events.
"""

from __future__ import annotations

from typing import Any

from exchange_simulator.digits import fixed, money
from exchange_simulator.records import Algo, Execution, Json, Order
from exchange_simulator.symbols import Symbol
from hedgegridd.model import Leg, Side


def order_update(order: Order, kind: str, time: int, fill: Execution | None = None, expiry: int = 0) -> Json:
    """ORDER_TRADE_UPDATE: `kind` is NEW, TRADE, CANCELED, EXPIRED, AMENDMENT or CALCULATED; `expiry` is `er`."""
    sym = order.symbol
    body: dict[str, Any] = {
        "s": sym.name, "c": order.client_id, "S": Side(order.side).name, "o": order.type, "f": order.tif, "q": sym.qty(order.qty),
        "p": sym.price(order.price), "ap": order.average_text(), "sp": sym.price(order.trigger), "x": kind, "X": order.status,
        "i": order.order_id, "l": sym.qty(fill.qty if fill else 0), "z": sym.qty(order.filled),
        "L": sym.price(fill.price if fill else 0), "n": money(fill.fee) if fill else "0", "N": "USDT", "T": time,
        "t": fill.trade_id if fill else 0, "b": "0", "a": "0", "m": fill.maker if fill else False, "R": order.closes,
        "wt": "CONTRACT_PRICE", "ot": order.orig_type or order.type, "ps": Leg(order.leg).name, "cp": order.close_position,
        "rp": money(fill.realized) if fill else "0", "pP": False, "si": 0, "ss": 0, "V": order.stp, "pm": "NONE",
        "gtd": order.good_till, "er": str(expiry),
    }  # fmt: skip
    if kind == "AMENDMENT" and order.modify_id:
        body["M"] = order.modify_id
    return {"e": "ORDER_TRADE_UPDATE", "T": time, "E": time, "o": body}


def trade_lite(order: Order, fill: Execution) -> Json:
    """TRADE_LITE: the fill, sooner and with less."""
    sym = order.symbol
    return {
        "e": "TRADE_LITE", "E": fill.time, "T": fill.time, "s": sym.name, "q": sym.qty(order.qty), "p": sym.price(order.price),
        "m": fill.maker, "c": order.client_id, "S": Side(order.side).name, "L": sym.price(fill.price), "l": sym.qty(fill.qty),
        "t": fill.trade_id, "i": order.order_id,
    }  # fmt: skip


def position(symbol: Symbol, leg: int, qty: int, entry: float, unrealized: float, realized: float) -> Json:
    """A row of `P` in ACCOUNT_UPDATE; `entry` in ticks."""
    at = fixed(symbol.exact(entry), 8)
    return {
        "s": symbol.name, "pa": symbol.qty(qty if leg == Leg.LONG else -qty), "ep": at, "bep": at, "cr": money(realized),
        "up": money(unrealized), "mt": "cross", "iw": "0", "ps": Leg(leg).name,
    }  # fmt: skip


def account_update(why: str, time: int, wallet: float, change: float, positions: list[Json], symbol: str = "") -> Json:
    """ACCOUNT_UPDATE: only what changed. A funding fee says which symbol it is of."""
    body: dict[str, Any] = {"m": why, "B": [{"a": "USDT", "wb": money(wallet), "cw": money(wallet), "bc": money(change)}], "P": positions}
    if symbol:
        body["S"] = symbol
    return {"e": "ACCOUNT_UPDATE", "T": time, "E": time, "a": body}


def algo_update(algo: Algo, time: int) -> Json:
    """ALGO_UPDATE."""
    sym, child = algo.symbol, algo.child
    body: dict[str, Any] = {
        "caid": algo.client_id, "aid": algo.algo_id, "at": "CONDITIONAL", "o": algo.type, "s": sym.name, "S": Side(algo.side).name,
        "ps": Leg(algo.leg).name, "f": algo.tif, "q": sym.qty(algo.qty), "X": algo.status, "ai": str(child.order_id) if child else "",
        "ap": algo.average_text(), "aq": sym.qty(child.filled if child else 0), "act": child.type if child else "0",
        "tp": sym.price(algo.trigger), "p": sym.price(algo.price), "V": "EXPIRE_MAKER",
        "wt": "MARK_PRICE" if algo.by_mark else "CONTRACT_PRICE", "pm": "NONE", "cp": algo.close_position, "pP": algo.price_protect,
        "R": algo.closes, "tt": algo.triggered, "gtd": algo.good_till, "ia": False,
    }  # fmt: skip
    if algo.reason:
        body["rm"] = algo.reason
    return {"e": "ALGO_UPDATE", "T": time, "E": time, "o": body}


def config_update(time: int, **what: Json) -> Json:
    """ACCOUNT_CONFIG_UPDATE: leverage (`ac`) or margin mode (`ai`)."""
    return {"e": "ACCOUNT_CONFIG_UPDATE", "T": time, "E": time, **what}


def key_expired(time: int, key: str) -> Json:
    """The last thing a listen key says."""
    return {"e": "listenKeyExpired", "E": time, "listenKey": key}
