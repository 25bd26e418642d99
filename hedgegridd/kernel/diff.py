"""What to do so that what rests becomes what is wished: the fewest cancels, amends and places.

Its one law: one order per rung. A rung (leg, role, price) whose order is not settled is left alone until it is, and a stop is
withdrawn only when another one of its leg rests. It sends nothing, knows no limits and remembers nothing between two calls, so a
missing stop, a restart and a manual cancel heal by the same lines.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from hedgegridd.model import Array, OrderState, Role, Wish, entry_side


class Action(IntEnum):
    """What to do with a row."""

    CANCEL = 0
    AMEND = 1
    PLACE = 2


class Resting(NamedTuple):
    """Our orders that rest or are on their way: preallocated columns, the first `count[0]` rows count.

    `state` is a `model.OrderState`; an order whose cancel or amend is under way is given as UNKNOWN.
    """

    count: Array  # type: ignore[assignment]  # hides tuple.count, which nobody asks
    leg: Array
    role: Array
    price: Array
    remaining: Array  #: lots not filled yet
    state: Array


class Plan(NamedTuple):
    """What to do, in this order; the first `count[0]` rows count.

    `row` is a row of Resting for CANCEL and AMEND and of Wish for PLACE. `qty` is the new REMAINING quantity for AMEND, the
    whole quantity for PLACE, 0 for CANCEL. The last three columns are scratch of one call.
    """

    count: Array  # type: ignore[assignment]  # hides tuple.count, which nobody asks
    action: Array
    row: Array
    qty: Array
    server: Array  #: per row of Wish: the row of Resting that serves it, -1 = none
    serves: Array  #: per row of Resting: the row of Wish it serves, -1 = none
    weight: Array  #: per row of the plan: what it is sorted by


FREE = -1
NEVER = 1 << 62
LIVE = int(OrderState.LIVE)
ENTRY, TAKE_PROFIT, STOP = int(Role.ENTRY), int(Role.TAKE_PROFIT), int(Role.STOP)


def new_resting(rows: int) -> Resting:
    """An empty Resting with room for `rows` orders."""
    return Resting([0], [0] * rows, [0] * rows, [0] * rows, [0] * rows, [0] * rows)


def new_plan(rows: int) -> Plan:
    """An empty Plan; `rows` must hold the rows of Wish and of Resting together."""
    return Plan([0], [0] * rows, [0] * rows, [0] * rows, [FREE] * rows, [FREE] * rows, [0] * rows)


def diff(wish: Wish, resting: Resting, price_tolerance_bps: float, qty_tolerance_pct: float, plan: Plan) -> int:
    """Overwrite `plan` with what turns `resting` into `wish`; answers its number of rows (0 = nothing to do).

    A live order within the price tolerance of a wished rung of its leg and role serves it; one whose remaining quantity is off
    by more than the tolerance is amended, but for a stop, which closes its leg whatever its quantity says. Cancels come first,
    then amends (shrinking before growing), then places: stops, take-profits, entries from the nearest outwards.
    """
    plan.count[0] = 0
    _pair(wish, resting, plan)
    if price_tolerance_bps > 0.0:
        _pair_near(wish, resting, price_tolerance_bps, plan)
    _cancels(wish, resting, plan)
    _amends(wish, resting, qty_tolerance_pct, plan)
    _places(wish, plan)
    return int(plan.count[0])


def _pair(wish: Wish, resting: Resting, plan: Plan) -> None:
    """Give each wished rung the order that has its very key. The search goes on where the last one ended: both lists mostly
    keep one order, so an unchanged market costs one look a row."""
    orders = resting.count[0]
    for order in range(orders):
        plan.serves[order] = FREE
    at = 0
    for rung in range(wish.count[0]):
        plan.server[rung] = FREE
        if wish.qty[rung] <= 0:
            continue
        price, leg, role = wish.price[rung], wish.leg[rung], wish.role[rung]
        for _ in range(orders):
            if at >= orders:
                at = 0
            if resting.price[at] == price and resting.leg[at] == leg and resting.role[at] == role and plan.serves[at] == FREE:
                plan.server[rung] = at
                plan.serves[at] = rung
                at += 1
                break
            at += 1


def _pair_near(wish: Wish, resting: Resting, tolerance_bps: float, plan: Plan) -> None:
    """Give each rung still without an order the nearest free one within the tolerance."""
    for rung in range(wish.count[0]):
        if plan.server[rung] != FREE or wish.qty[rung] <= 0:
            continue
        best, nearest = FREE, NEVER
        for order in range(resting.count[0]):
            if plan.serves[order] != FREE or resting.leg[order] != wish.leg[rung] or resting.role[order] != wish.role[rung]:
                continue
            distance = abs(resting.price[order] - wish.price[rung])
            if distance < nearest and distance * 10_000.0 <= tolerance_bps * wish.price[rung]:
                best, nearest = order, distance
        if best != FREE:
            plan.server[rung] = best
            plan.serves[best] = rung


def _cancels(wish: Wish, resting: Resting, plan: Plan) -> None:
    """Withdraw the live orders that serve no rung; of a stop only what its leg can spare."""
    for order in range(resting.count[0]):
        if plan.serves[order] != FREE or resting.state[order] != LIVE:
            continue
        if resting.role[order] != STOP or _spared(wish, resting, plan, resting.leg[order]):
            _add(plan, Action.CANCEL, order, 0, 0)


def _spared(wish: Wish, resting: Resting, plan: Plan, leg: int) -> bool:
    """May a surplus stop of this leg go? When the wished one rests, or none is wished."""
    for rung in range(wish.count[0]):
        if wish.role[rung] == STOP and wish.leg[rung] == leg and wish.qty[rung] > 0:
            server = plan.server[rung]
            return bool(server != FREE and resting.state[server] == LIVE)
    return True


def _amends(wish: Wish, resting: Resting, tolerance_pct: float, plan: Plan) -> None:
    """Resize what rests in the wrong quantity; what shrinks goes first, so that closers never exceed their leg on the way."""
    first = plan.count[0]
    for order in range(resting.count[0]):
        rung = plan.serves[order]
        if rung == FREE or resting.state[order] != LIVE or resting.role[order] == STOP:
            continue
        wanted, remaining = wish.qty[rung], resting.remaining[order]
        if abs(remaining - wanted) * 100.0 > tolerance_pct * wanted:
            _add(plan, Action.AMEND, order, wanted, 0 if wanted < remaining else 1)
    _sort(plan, first)


def _places(wish: Wish, plan: Plan) -> None:
    """Post what nothing serves: stops, take-profits, entries from the nearest outwards, both legs in turn."""
    if _all_served(wish, plan):
        return
    for role in (STOP, TAKE_PROFIT, ENTRY):
        first = plan.count[0]
        for rung in range(wish.count[0]):
            if wish.role[rung] == role and plan.server[rung] == FREE and wish.qty[rung] > 0:
                _add(plan, Action.PLACE, rung, wish.qty[rung], 0)
        if role == ENTRY and plan.count[0] - first > 1:
            _weigh(wish, plan, first)
            _sort(plan, first)


def _all_served(wish: Wish, plan: Plan) -> bool:
    for rung in range(wish.count[0]):
        if plan.server[rung] == FREE and wish.qty[rung] > 0:
            return False
    return True


def _weigh(wish: Wish, plan: Plan, first: int) -> None:
    """An entry weighs its distance (ticks) from the innermost entry wished of its leg: that one is nearest the market."""
    top, bottom = 0, NEVER  # innermost LONG and SHORT entry
    for rung in range(wish.count[0]):
        if wish.role[rung] == ENTRY:
            if entry_side(wish.leg[rung]) > 0:
                top = max(top, wish.price[rung])
            else:
                bottom = min(bottom, wish.price[rung])
    for i in range(first, plan.count[0]):
        rung = plan.row[i]
        plan.weight[i] = top - wish.price[rung] if entry_side(wish.leg[rung]) > 0 else wish.price[rung] - bottom


def _add(plan: Plan, action: int, row: int, qty: int, weight: int) -> None:
    at = plan.count[0]
    plan.action[at] = action
    plan.row[at] = row
    plan.qty[at] = qty
    plan.weight[at] = weight
    plan.count[0] = at + 1


def _sort(plan: Plan, first: int) -> None:
    """Sort the rows from `first` on by weight, equal ones as they came. Insertion: they are few and mostly in order."""
    for i in range(first + 1, plan.count[0]):
        action, row, qty, weight = plan.action[i], plan.row[i], plan.qty[i], plan.weight[i]
        at = i
        while at > first and plan.weight[at - 1] > weight:
            plan.action[at], plan.row[at], plan.qty[at] = plan.action[at - 1], plan.row[at - 1], plan.qty[at - 1]
            plan.weight[at] = plan.weight[at - 1]
            at -= 1
        plan.action[at], plan.row[at], plan.qty[at], plan.weight[at] = action, row, qty, weight
