"""Which classic orders are taken: parameters in, an order at work out, or a refusal.

Its one law: everything is checked before anything is remembered; a refused order leaves no trace. What may rest in the kernel's book is
asked of the kernel.
"""

from __future__ import annotations

from exchange_simulator import events
from exchange_simulator.checks import (
    affordable,
    closable,
    direction,
    good_till,
    in_band,
    large_enough,
    market_in_band,
    pit_of,
    price_of,
    quantity,
    time_in_force,
    trading,
)
from exchange_simulator.params import Params
from exchange_simulator.records import Order
from exchange_simulator.refusals import Refused
from exchange_simulator.symbols import MAX_ORDERS
from exchange_simulator.venue import IOC_EXPIRED, Pit, Venue
from hedgegridd.kernel import book as rest
from hedgegridd.model import Side, entry_side

CONDITIONAL = frozenset({"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"})


def place(venue: Venue, params: Params) -> Order:
    """POST order."""
    pit = pit_of(venue, params)
    kind = params.need("type")
    if kind in CONDITIONAL or "stopPrice" in params or params.flag("closePosition"):
        raise Refused(-4120)
    if kind not in ("LIMIT", "MARKET"):
        raise Refused(-1116)
    leg, side = direction(venue, params)
    if params.text("priceMatch", "NONE") != "NONE":
        raise Refused(-5037)
    if params.text("newOrderRespType", "ACK") not in ("ACK", "RESULT"):
        raise Refused(-1130, name="newOrderRespType")
    name = params.client_id("newClientOrderId")
    order = _limit(venue, pit, params, leg, side) if kind == "LIMIT" else _market(venue, pit, params, leg, side)
    order.order_id = venue.ids.next("order")
    order.client_id = name or f"web_{order.order_id}"
    if any(other.client_id == order.client_id for other in pit.resting.values()):
        raise Refused(-4116)
    order.stp = params.text("selfTradePreventionMode", order.stp)
    _set_to_work(venue, pit, order)
    return order


def _limit(venue: Venue, pit: Pit, params: Params, leg: int, side: int) -> Order:
    tif = time_in_force(params)
    until = good_till(venue, params, tif)
    lots, price = quantity(pit, params, market=False), price_of(pit, params)
    in_band(pit, side, price)
    crosses = venue.crosses(pit, side, price)
    if side == entry_side(leg):
        trading(pit)
        large_enough(pit, price, lots)
        affordable(venue, pit, price, lots)
    else:
        closable(pit, leg, lots, market=False)
    if len(pit.resting) >= MAX_ORDERS:
        raise Refused(-2025)
    if tif == "GTX" and crosses:
        raise Refused(-5022)
    if tif == "FOK" and not crosses:
        raise Refused(-5021)
    now = venue.clock()
    return Order(pit.symbol, 0, "", leg, side, "LIMIT", tif, price, lots, now, now, good_till=until)


def _market(venue: Venue, pit: Pit, params: Params, leg: int, side: int) -> Order:
    for name in ("price", "timeInForce"):
        if params.text(name):
            raise Refused(-1106, name=name)
    lots = quantity(pit, params, market=True)
    if side == entry_side(leg):
        trading(pit)
        large_enough(pit, pit.book.mark[0], lots)
        affordable(venue, pit, float(venue.best(pit, side)), lots)
    else:
        closable(pit, leg, lots, market=True)
    market_in_band(venue, pit, side)
    now = venue.clock()
    return Order(pit.symbol, 0, "", leg, side, "MARKET", "GTC", 0, lots, now, now)


def _set_to_work(venue: Venue, pit: Pit, order: Order) -> None:
    venue.admit(order)
    if order.type == "MARKET" or venue.crosses(pit, order.side, order.price):
        venue.take(order)
    elif order.tif in ("IOC", "FOK"):
        venue.end(order, "EXPIRED", IOC_EXPIRED)
    else:
        venue.rest(order, order.qty)


def modify(venue: Venue, params: Params) -> Order:
    """PUT order: price and quantity of a resting limit order."""
    order = find(venue, params)
    if not order.is_open or order.type != "LIMIT":
        raise Refused(-2013)
    pit = venue.pits[order.symbol.name]
    if params.text("side") and params.text("side") != Side(order.side).name:
        raise Refused(-1117)
    lots, price = quantity(pit, params, market=False), price_of(pit, params)
    if (lots, price) == (order.qty, order.price):
        raise Refused(-5027)
    in_band(pit, order.side, price)
    if lots <= order.filled or (order.tif == "GTX" and venue.crosses(pit, order.side, price)):
        venue.cancel(order)
        return order
    _room_for(venue, pit, order, lots, price)
    order.modify_id = params.text("modifyId")
    _amend(venue, pit, order, lots, price)
    return order


def _room_for(venue: Venue, pit: Pit, order: Order, lots: int, price: int) -> None:
    left = lots - order.filled
    row = rest.row_of(pit.book, order.ticket)
    if order.closes:
        if pit.book.closers[order.leg] - pit.book.remaining[row] + left > pit.held(order.leg):
            raise Refused(-4118)
        return
    large_enough(pit, price, lots)
    more = left * price - pit.book.remaining[row] * order.price
    if more > 0:
        affordable(venue, pit, float(more), 1)


def _amend(venue: Venue, pit: Pit, order: Order, lots: int, price: int) -> None:
    moved = price != order.price
    order.updated = venue.clock()
    if moved:
        venue.withdraw(order)
    order.qty, order.price = lots, price
    venue.emit(events.order_update(order, "AMENDMENT", order.updated))
    if not moved:
        venue.resize(order, lots - order.filled)
    elif venue.crosses(pit, order.side, price):
        venue.take(order)
    else:
        venue.rest(order, lots - order.filled)


def find(venue: Venue, params: Params, unknown: int = -2013) -> Order:
    """An order by its id or, the newest of that name, the client's."""
    pit = pit_of(venue, params)
    order_id, name = params.maybe("orderId"), params.text("origClientOrderId")
    if order_id is None and not name:
        raise Refused(-1102, msg="Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    if order_id is not None:
        order = venue.orders.get(order_id)
        if order is not None and order.symbol is pit.symbol:
            return order
        raise Refused(unknown)
    named = venue.named.get((pit.symbol.name, name), [])
    if not named:
        raise Refused(unknown)
    return next((order for order in named if order.is_open), named[-1])


def cancel(venue: Venue, params: Params) -> Order:
    """DELETE order."""
    order = find(venue, params, unknown=-2011)
    if not order.ticket:
        raise Refused(-2011)
    venue.cancel(order)
    return order
