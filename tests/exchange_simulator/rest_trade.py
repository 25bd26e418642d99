"""Signed endpoints that place, change, withdraw and show orders.

Its one law: parameters in, records out; what may happen is decided in `placing`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from exchange_simulator import placing, placing_algo
from exchange_simulator.checks import direction, pit_of
from exchange_simulator.params import Params
from exchange_simulator.records import Execution, Json, Order
from exchange_simulator.refusals import Refused
from exchange_simulator.routes import Asks, by_symbol, route

if TYPE_CHECKING:
    from exchange_simulator.simulator import Simulator

SIGNED = Asks.SIGNATURE
WEEK = 7 * 86_400_000
DONE = {"code": 200, "msg": "The operation of cancel all open order is done."}


@route("POST", "/fapi/v1/order", asks=SIGNED, weight=0, orders=(1, 1))
def place(sim: Simulator, params: Params) -> Json:
    return placing.place(sim.venue, params).ack(full=params.text("newOrderRespType") == "RESULT")


@route("POST", "/fapi/v1/order/test", asks=SIGNED, weight=0)
def test_place(sim: Simulator, params: Params) -> Json:
    pit_of(sim.venue, params)
    direction(sim.venue, params)
    return {}


@route("PUT", "/fapi/v1/order", asks=SIGNED, weight=0, orders=(1, 1))
def modify(sim: Simulator, params: Params) -> Json:
    shape = placing.modify(sim.venue, params).modified()
    if params.text("modifyId"):
        shape["modifyId"] = params.text("modifyId")
    return shape


@route("GET", "/fapi/v1/order", asks=SIGNED)
def order(sim: Simulator, params: Params) -> Json:
    found = placing.find(sim.venue, params)
    if sim.now() - found.time < sim.query_lag_ms:
        raise Refused(-2013)
    return found.shown()


@route("DELETE", "/fapi/v1/order", asks=SIGNED)
def cancel(sim: Simulator, params: Params) -> Json:
    return placing.cancel(sim.venue, params).cancelled()


# --- several at once ------------------------------------------------------------------------------------------------------


def listed(params: Params, name: str) -> list[Any]:
    """A JSON list in a parameter, quoted once more or not."""
    text = params.need(name)
    try:
        value = json.loads(unquote(text) if text.startswith("%") else text)
    except json.JSONDecodeError:
        raise Refused(-1102, name=name) from None
    if not isinstance(value, list):
        raise Refused(-1102, name=name)
    return value


def one_by_one(items: list[Any], act: Callable[[Any], Json]) -> list[Json]:
    """Each has an answer or a refusal of its own."""
    answers = []
    for item in items:
        try:
            answers.append(act(item))
        except Refused as refused:
            answers.append(refused.body())
    return answers


def as_params(item: Any) -> Params:
    """One order of a batch: JSON values as the form would have them."""
    if not isinstance(item, dict):
        raise Refused(-1102, name="batchOrders")
    return Params({name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in item.items()})


def _batch(params: Params) -> list[Any]:
    items = listed(params, "batchOrders")
    if not 1 <= len(items) <= 5:
        raise Refused(-4082)
    return items


@route("POST", "/fapi/v1/batchOrders", asks=SIGNED, weight=5, orders=(5, 1))
def place_batch(sim: Simulator, params: Params) -> list[Json]:
    return one_by_one(_batch(params), lambda item: place(sim, as_params(item)))


@route("PUT", "/fapi/v1/batchOrders", asks=SIGNED, weight=5, orders=(5, 1))
def modify_batch(sim: Simulator, params: Params) -> list[Json]:
    return one_by_one(_batch(params), lambda item: modify(sim, as_params(item)))


@route("DELETE", "/fapi/v1/batchOrders", asks=SIGNED)
def cancel_batch(sim: Simulator, params: Params) -> list[Json]:
    key, name = ("orderId", "orderIdList") if params.text("orderIdList") else ("origClientOrderId", "origClientOrderIdList")
    items = listed(params, name)
    if not 1 <= len(items) <= 10:
        raise Refused(-4082)
    symbol = params.need("symbol")
    return one_by_one(items, lambda item: cancel(sim, Params({"symbol": symbol, key: str(item)})))


@route("DELETE", "/fapi/v1/allOpenOrders", asks=SIGNED)
def cancel_all(sim: Simulator, params: Params) -> Json:
    sim.venue.sweep(pit_of(sim.venue, params))
    return DONE


@route("POST", "/fapi/v1/countdownCancelAll", asks=SIGNED, weight=10)
def countdown(sim: Simulator, params: Params) -> Json:
    pit = pit_of(sim.venue, params)
    ms = params.whole("countdownTime")
    if ms < 0:
        raise Refused(-1130, name="countdownTime")
    pit.countdown = sim.now() + ms if ms else 0
    return {"symbol": pit.symbol.name, "countdownTime": str(ms)}


# --- looking --------------------------------------------------------------------------------------------------------------


@route("GET", "/fapi/v1/openOrder", asks=SIGNED)
def open_order(sim: Simulator, params: Params) -> Json:
    found = placing.find(sim.venue, params)
    if not found.is_open:
        raise Refused(-2013)
    return found.shown()


@route("GET", "/fapi/v1/openOrders", asks=SIGNED, weight=by_symbol(1, 40))
def open_orders(sim: Simulator, params: Params) -> list[Json]:
    symbol = pit_of(sim.venue, params).symbol.name if params.text("symbol") else ""
    return [one.shown() for one in sim.venue.open_orders(symbol)]


def span(sim: Simulator, params: Params, most: int = WEEK) -> tuple[int, int]:
    """startTime and endTime; the last week where neither was sent."""
    start, end = params.maybe("startTime"), params.maybe("endTime")
    if start is not None and end is not None and end - start > most:
        raise Refused(-1127)
    if start is None:
        start = (end if end is not None else sim.now()) - most
    return start, end if end is not None else start + most if params.text("startTime") else 1 << 60


def page(rows: list[Any], params: Params, forwards: bool, default: int = 500) -> list[Any]:
    """The first so many, or the last so many."""
    limit = params.limit(default, 1000)
    return rows[:limit] if forwards else rows[-limit:]


@route("GET", "/fapi/v1/allOrders", asks=SIGNED, weight=5)
def all_orders(sim: Simulator, params: Params) -> list[Json]:
    symbol = pit_of(sim.venue, params).symbol.name if params.text("symbol") else ""
    start, end = span(sim, params)
    first = params.maybe("orderId")

    def wanted(one: Order) -> bool:
        if symbol not in ("", one.symbol.name):
            return False
        return one.order_id >= first if first is not None else start <= one.time <= end

    found = [one for one in sim.venue.orders.values() if wanted(one)]
    forwards = first is not None or "startTime" in params
    return [one.shown() for one in page(sorted(found, key=lambda one: one.order_id), params, forwards)]


@route("GET", "/fapi/v1/userTrades", asks=SIGNED, weight=5)
def user_trades(sim: Simulator, params: Params) -> list[Json]:
    symbol = pit_of(sim.venue, params).symbol.name
    first, order_id = params.maybe("fromId"), params.maybe("orderId")
    if first is not None and ("startTime" in params or "endTime" in params):
        raise Refused(-1128)
    start, end = span(sim, params)

    def wanted(fill: Execution) -> bool:
        if fill.order.symbol.name != symbol or (order_id is not None and fill.order.order_id != order_id):
            return False
        return fill.trade_id >= first if first is not None else start <= fill.time <= end

    found = [fill.shown() for fill in sim.venue.executions if wanted(fill)]
    return page(found, params, forwards=first is not None or "startTime" in params)


# --- conditional orders ---------------------------------------------------------------------------------------------------


@route("POST", "/fapi/v1/algoOrder", asks=SIGNED, weight=0, orders=(1, 1))
def place_algo(sim: Simulator, params: Params) -> Json:
    return placing_algo.place_algo(sim.venue, params).ack()


@route("GET", "/fapi/v1/algoOrder", asks=SIGNED)
def algo(sim: Simulator, params: Params) -> Json:
    found = placing_algo.find_algo(sim.venue, params)
    if sim.now() - found.time < sim.query_lag_ms:
        raise Refused(-2013)
    return found.shown()


@route("DELETE", "/fapi/v1/algoOrder", asks=SIGNED)
def cancel_algo(sim: Simulator, params: Params) -> Json:
    return placing_algo.cancel_algo(sim.venue, params).cancelled()


@route("GET", "/fapi/v1/openAlgoOrders", asks=SIGNED, weight=by_symbol(1, 40))
def open_algos(sim: Simulator, params: Params) -> list[Json]:
    symbol = pit_of(sim.venue, params).symbol.name if params.text("symbol") else ""
    only = params.maybe("algoId")
    return [one.shown() for one in sim.venue.open_algos(symbol) if only in (None, one.algo_id)]


@route("GET", "/fapi/v1/allAlgoOrders", asks=SIGNED, weight=5)
def all_algos(sim: Simulator, params: Params) -> list[Json]:
    symbol = pit_of(sim.venue, params).symbol.name
    start, end = span(sim, params)
    first = params.maybe("algoId")
    found = [
        one.shown() for one in sim.venue.algos.values()
        if one.symbol.name == symbol and (one.algo_id >= first if first is not None else start <= one.time <= end)
    ]  # fmt: skip
    return page(found, params, forwards=first is not None or "startTime" in params)


@route("DELETE", "/fapi/v1/algoOpenOrders", asks=SIGNED)
def cancel_all_algos(sim: Simulator, params: Params) -> Json:
    for one in sim.venue.open_algos(pit_of(sim.venue, params).symbol.name):
        if one.status == "NEW":
            sim.venue.algo_to(one, "CANCELED")
    return DONE
