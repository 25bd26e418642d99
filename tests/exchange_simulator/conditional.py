"""Conditional orders: which price triggers them, and what becomes of one that is triggered.

Its one law: a trigger only makes an order; how that fills is the venue's. Where a move reaches both a trigger and the account's death,
the nearer comes first.
"""

from __future__ import annotations

import math

from exchange_simulator.records import Algo, Order
from exchange_simulator.venue import IOC_EXPIRED, Pit, Venue


def reached(algo: Algo, price: float) -> bool:
    """Does this price trigger it?"""
    return price <= algo.trigger if algo.falls else price >= algo.trigger


def look(venue: Venue, pit: Pit, by_mark: bool, price: float) -> None:
    """A price came: trigger what it reaches, the first met first."""
    waiting = [one for one in venue.open_algos(pit.symbol.name) if one.by_mark == by_mark and one.status == "NEW"]
    for algo in waiting:
        if algo.type == "TRAILING_STOP_MARKET":
            _trail(algo, price)
    hit = [one for one in waiting if one.trigger and reached(one, price)]
    hit.sort(key=lambda one: (one.falls, -one.trigger if one.falls else one.trigger, one.algo_id))
    for algo in hit:
        if algo.status != "NEW":
            continue  # died with its position a moment ago
        if by_mark and _death_is_nearer(venue, pit, algo):
            venue.mark_moved(pit)
            continue
        trigger(venue, pit, algo)


def _trail(algo: Algo, price: float) -> None:
    """A trailing stop follows the best price, once activated, by its rate."""
    falls = algo.falls
    if algo.extreme == 0:
        if algo.activate and (price < algo.activate if falls else price > algo.activate):
            return
        algo.extreme = round(price)
    algo.extreme = max(algo.extreme, round(price)) if falls else min(algo.extreme, round(price))
    rate = float(algo.callback_rate) / 100
    algo.trigger = math.floor(algo.extreme * (1 - rate)) if falls else math.ceil(algo.extreme * (1 + rate))


def _death_is_nearer(venue: Venue, pit: Pit, algo: Algo) -> bool:
    span = venue.span(pit)
    mark = pit.book.mark[0]
    if algo.falls:
        return mark <= span.low and span.low > algo.trigger
    return mark >= span.high and span.high < algo.trigger


def trigger(venue: Venue, pit: Pit, algo: Algo) -> None:
    """NEW, TRIGGERING, TRIGGERED with its order, FINISHED; or REJECTED, and then nothing protects."""
    algo.triggered = venue.clock()
    venue.algo_to(algo, "TRIGGERING")
    why = _why_not(venue, pit, algo)
    if why:
        venue.algo_to(algo, "REJECTED", why)
        return
    order = _child(venue, pit, algo)
    algo.child = order
    venue.algo_to(algo, "TRIGGERED")
    venue.admit(order)
    if order.type == "MARKET" or venue.crosses(pit, order.side, order.price):
        venue.take(order)
    elif order.tif in ("IOC", "FOK"):
        venue.end(order, "EXPIRED", IOC_EXPIRED)
    else:
        venue.rest(order, order.qty)
    venue.algo_to(algo, "FINISHED")


def _why_not(venue: Venue, pit: Pit, algo: Algo) -> str:
    """Why the matching engine refuses what was triggered; "" = it does not."""
    if venue.triggers_rejected:
        return "Margin is insufficient."
    if algo.closes:
        room = pit.held(algo.leg) if algo.close_position or algo.price == 0 else pit.held(algo.leg) - pit.book.closers[algo.leg]
        return "ReduceOnly Order is rejected." if room < max(algo.qty, 1) else ""
    price = algo.price or venue.best(pit, algo.side)
    need = algo.qty * pit.terms.unit * price / pit.leverage
    return "Margin is insufficient." if need > venue.available else ""


def _child(venue: Venue, pit: Pit, algo: Algo) -> Order:
    now = venue.clock()
    qty = algo.qty or pit.held(algo.leg)
    order_id = venue.ids.next("order")
    name = algo.client_id if venue.child_keeps_client_id else f"algo-{order_id}"
    kind = "LIMIT" if algo.price else "MARKET"
    order = Order(algo.symbol, order_id, name, algo.leg, algo.side, kind, algo.tif, algo.price, qty, now, now)
    order.orig_type, order.trigger, order.close_position, order.algo = algo.type, algo.trigger, algo.close_position, algo
    return order
