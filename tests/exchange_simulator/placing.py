"""Which orders are taken: parameters in, an order at work out, or a refusal.

Its one law: everything is checked before anything is remembered; a refused order leaves no trace. What may rest in the kernel's book is
asked of the kernel.
"""

from __future__ import annotations

from decimal import Decimal

from exchange_simulator import events
from exchange_simulator.conditional import reached
from exchange_simulator.params import Params
from exchange_simulator.records import Algo, Json, Order
from exchange_simulator.refusals import Refused
from exchange_simulator.symbols import MAX_ALGO_ORDERS, MAX_ORDERS, TIMES_IN_FORCE
from exchange_simulator.venue import IOC_EXPIRED, Pit, Venue
from hedgegridd.kernel import book as rest
from hedgegridd.kernel import ledger
from hedgegridd.model import Leg, Side, entry_side

CONDITIONAL = frozenset({"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"})
FAR_FUTURE = 253_402_300_799_000
REMAIN_AT_LEAST_MS = 600_000


# --- what every order says ------------------------------------------------------------------------------------------------


def pit_of(venue: Venue, params: Params) -> Pit:
    """The symbol's pit; -1121 for one nobody knows."""
    pit = venue.pits.get(params.need("symbol"))
    if pit is None:
        raise Refused(-1121)
    return pit


def direction(venue: Venue, params: Params) -> tuple[int, int]:
    """Leg and side, in hedge mode."""
    if params.need("side") not in Side.__members__:
        raise Refused(-1117)
    where = params.text("positionSide", "BOTH")
    if where not in ("BOTH", *Leg.__members__):
        raise Refused(-1102, name="positionSide")
    if venue.hedge == (where == "BOTH"):
        raise Refused(-4061)
    if not venue.hedge:
        raise Refused(-1128, msg="Only hedge mode is simulated.")
    if "reduceOnly" in params:
        raise Refused(-1106, name="reduceOnly")
    return int(Leg[where]), int(Side[params.need("side")])


def quantity(pit: Pit, params: Params, market: bool) -> int:
    """Lots, by LOT_SIZE or MARKET_LOT_SIZE."""
    value = params.number("quantity")
    sym, rules = pit.symbol, pit.symbol.filters["MARKET_LOT_SIZE" if market else "LOT_SIZE"]
    if value <= 0:
        raise Refused(-4003)
    if places(value) > sym.entry["quantityPrecision"]:
        raise Refused(-1111)
    if value < Decimal(rules["minQty"]):
        raise Refused(-4004)
    if value > Decimal(rules["maxQty"]):
        raise Refused(-4005)
    if value % sym.lot:
        raise Refused(-4023)
    return int(value / sym.lot)


def price_of(pit: Pit, params: Params, name: str = "price") -> int:
    """Ticks, by PRICE_FILTER."""
    value = params.number(name)
    sym, rules = pit.symbol, pit.symbol.filters["PRICE_FILTER"]
    if value <= 0:
        raise Refused(-4001 if name == "price" else -4006)
    if places(value) > sym.entry["pricePrecision"]:
        raise Refused(-1111)
    if value > Decimal(rules["maxPrice"]):
        raise Refused(-4002)
    if value < Decimal(rules["minPrice"]):
        raise Refused(-4013)
    if value % sym.tick:
        raise Refused(-4014)
    return int(value / sym.tick)


def places(value: Decimal) -> int:
    """Decimal places that count."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def in_band(pit: Pit, side: int, price: int) -> None:
    """PERCENT_PRICE around the mark."""
    rules, mark = pit.symbol.filters["PERCENT_PRICE"], pit.book.mark[0]
    high, low = mark * float(rules["multiplierUp"]), mark * float(rules["multiplierDown"])
    if side > 0 and price > high:
        raise Refused(-4016, limit=pit.symbol.price(int(high)))
    if side < 0 and price < low:
        raise Refused(-4024, limit=pit.symbol.price(int(low) + 1))


def market_in_band(venue: Venue, pit: Pit, side: int) -> None:
    """A market order needs a best opposite price within PERCENT_PRICE."""
    rules, mark, best = pit.symbol.filters["PERCENT_PRICE"], pit.book.mark[0], venue.best(pit, side)
    off = best > mark * float(rules["multiplierUp"]) if side > 0 else best < mark * float(rules["multiplierDown"])
    if best == 0 or off:
        raise Refused(-4131)


def large_enough(pit: Pit, price: float, lots: int) -> None:
    """MIN_NOTIONAL; closers are exempt and do not come here."""
    if ledger.notional(lots, pit.terms.unit, price) < float(pit.symbol.min_notional) - 1e-9:
        raise Refused(-4164, notional=pit.symbol.filters["MIN_NOTIONAL"]["notional"])


def affordable(venue: Venue, pit: Pit, price: float, lots: int) -> None:
    """Margin, and the largest position at this leverage."""
    more = ledger.notional(lots, pit.terms.unit, price)
    bound = more + pit.notional(0) + pit.notional(1) + float(pit.book.openers[0] + pit.book.openers[1]) * pit.terms.unit
    if bound > pit.symbol.max_notional(pit.leverage):
        raise Refused(-2027)
    if more / pit.leverage > venue.available:
        raise Refused(-2019)


def closable(pit: Pit, leg: int, lots: int, market: bool) -> None:
    """Is there so much to close? A market close goes before what rests."""
    if lots > pit.held(leg):
        raise Refused(-2022)
    if not market and pit.book.closers[leg] + lots > pit.held(leg):
        raise Refused(-4118)


def time_in_force(params: Params, default: str = "") -> str:
    tif = params.text("timeInForce", default) or params.need("timeInForce")
    if tif not in (*TIMES_IN_FORCE, "GTE_GTC"):
        raise Refused(-1115)
    return tif


def good_till(venue: Venue, params: Params, tif: str) -> int:
    if tif != "GTD":
        return 0
    until = params.whole("goodTillDate")
    if not venue.clock() + REMAIN_AT_LEAST_MS <= until < FAR_FUTURE:
        raise Refused(-5040)
    return until


# --- classic orders -------------------------------------------------------------------------------------------------------


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


# --- conditional orders ---------------------------------------------------------------------------------------------------


def place_algo(venue: Venue, params: Params) -> Algo:
    """POST algoOrder."""
    if params.need("algoType") != "CONDITIONAL":
        raise Refused(-1102, name="algoType")
    pit = pit_of(venue, params)
    kind = params.need("type")
    if kind not in CONDITIONAL:
        raise Refused(-1116)
    leg, side = direction(venue, params)
    name = params.client_id("clientAlgoId")
    now = venue.clock()
    tif = time_in_force(params, "GTC")
    algo = Algo(pit.symbol, 0, name, leg, side, kind, tif, 0, 0, 0, now, now)
    algo.by_mark = params.text("workingType", "CONTRACT_PRICE") == "MARK_PRICE"
    algo.close_position = params.flag("closePosition")
    algo.price_protect = params.flag("priceProtect")
    algo.good_till = good_till(venue, params, tif)
    _terms_of(pit, params, algo)
    _whole_position(venue, pit, params, algo)
    _not_yet(pit, algo)
    if len(venue.open_algos()) >= MAX_ALGO_ORDERS:
        raise Refused(-4045)
    algo.algo_id = venue.ids.next("algo")
    algo.client_id = name or f"web_{algo.algo_id}"
    if any(other.client_id == algo.client_id for other in venue.open_algos(pit.symbol.name)):
        raise Refused(-4117)
    venue.algos[algo.algo_id] = algo
    venue.algo_to(algo, "NEW")
    return algo


def _terms_of(pit: Pit, params: Params, algo: Algo) -> None:
    """Trigger, price and quantity by type."""
    if algo.type == "TRAILING_STOP_MARKET":
        rate = params.number("callbackRate")
        if not Decimal("0.1") <= rate <= 20:
            raise Refused(-1130, name="callbackRate")
        algo.callback_rate = str(rate)
        algo.activate = price_of(pit, params, "activatePrice") if params.text("activatePrice") else 0
    else:
        algo.trigger = price_of(pit, params, "triggerPrice")
    if algo.type in ("STOP", "TAKE_PROFIT"):
        algo.price = price_of(pit, params)
    if algo.close_position:
        return
    algo.qty = quantity(pit, params, market=algo.price == 0)
    if not algo.closes:
        large_enough(pit, algo.price or algo.trigger or pit.book.mark[0], algo.qty)


def _whole_position(venue: Venue, pit: Pit, params: Params, algo: Algo) -> None:
    """What closePosition demands."""
    if not algo.close_position:
        return
    if params.text("quantity") and params.number("quantity") > 0:
        raise Refused(-4137)
    if algo.type not in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
        raise Refused(-4136, type=algo.type)
    if not algo.closes:
        raise Refused(-2022)
    if pit.held(algo.leg) == 0:
        raise Refused(-4509)
    for other in venue.open_algos(pit.symbol.name):
        if other.close_position and other.leg == algo.leg and other.takes_profit == algo.takes_profit:
            raise Refused(-4130)


def _not_yet(pit: Pit, algo: Algo) -> None:
    """-2021 for one that would trigger at once."""
    if algo.trigger and reached(algo, pit.book.mark[0] if algo.by_mark else float(pit.last)):
        raise Refused(-2021)


# --- finding and withdrawing ----------------------------------------------------------------------------------------------


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
    named = [order for order in venue.orders.values() if order.client_id == name and order.symbol is pit.symbol]
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


def find_algo(venue: Venue, params: Params, unknown: int = -2013) -> Algo:
    """A conditional order by its id or the client's."""
    algo_id, name = params.maybe("algoId"), params.text("clientAlgoId")
    if algo_id is None and not name:
        raise Refused(-1102, msg="Param 'clientAlgoId' or 'algoId' must be sent, but both were empty/null!")
    found = [one for one in venue.algos.values() if one.algo_id == algo_id or (algo_id is None and one.client_id == name)]
    if not found:
        raise Refused(unknown)
    return next((one for one in found if one.is_open), found[-1])


def cancel_algo(venue: Venue, params: Params) -> Algo:
    """DELETE algoOrder."""
    algo = find_algo(venue, params, unknown=-2011)
    if algo.status != "NEW":
        raise Refused(-2011)
    venue.algo_to(algo, "CANCELED")
    return algo


def answer(order: Order, params: Params) -> Json:
    """What POST answers; RESULT waits for a market order's final state."""
    kind = params.text("newOrderRespType", "ACK")
    if kind not in ("ACK", "RESULT"):
        raise Refused(-1130, name="newOrderRespType")
    return order.ack(full=kind == "RESULT")
