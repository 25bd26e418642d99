"""The ladders: at which prices entries may rest, how large each is, and what the exchange's filters leave of it.

Its one law: same centre and parameters, same ladder, bit for bit. Rung k of a leg lies k steps of the centre away (below for
LONG, above for SHORT) and is `scale` times the size of the rung before it. It knows no position, no trend and no time.

Prices are ticks, quantities lots. Rungs of both legs live in one flat list: LONG from 0, SHORT from MAX_LEVELS.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from hedgegridd.model import Array, Wish

LONG, SHORT = 0, 1
MAX_LEVELS = 50  #: rungs of one leg
BPS = 10_000.0
EPSILON = 1e-9  #: lots; what float arithmetic may lose of a whole lot


class GridParams(NamedTuple):
    """The shape of both ladders and the exchange's filters for an entry."""

    step_bps: float
    levels_long: int
    levels_short: int
    base_qty: float  #: lots of the nearest rung, before rounding
    qty_scale: float
    recenter_bps: float
    min_qty: int
    max_qty: int
    min_notional: float  #: USDT
    unit: float  #: USDT of one lot at a price of one tick
    identity: int  #: a checksum of the shape: ladders built from another one are stale


class Grid(NamedTuple):
    """The ladders as built around a centre. `asked` is the quantity last wished at each rung, 0 = none."""

    price: Array
    size: Array
    asked: Array


def new_grid() -> Grid:
    """Room for both ladders."""
    return Grid([0] * (2 * MAX_LEVELS), [0.0] * (2 * MAX_LEVELS), [0] * (2 * MAX_LEVELS))


def levels(params: GridParams, leg: int) -> int:
    """Rungs of the whole ladder of a leg."""
    return params.levels_long if leg == LONG else params.levels_short


def round_price(ticks: float) -> int:
    """The nearest whole tick, halves up."""
    return math.floor(ticks + 0.5)


def away(leg: int, price: float, steps: float, step_bps: float) -> float:
    """The price `steps` grid steps further from the market than `price`, as seen by this leg's entries. Float ticks."""
    distance = steps * step_bps / BPS
    return price * (1.0 - distance) if leg == LONG else price * (1.0 + distance)


def recenter(params: GridParams, center: int, mid: int) -> int:
    """The centre from now on: `mid` when there is none yet or the market has left it by the trigger."""
    if center == 0 or abs(mid - center) * BPS >= params.recenter_bps * center:
        return mid
    return center


def build(params: GridParams, center: int, grid: Grid) -> None:
    """Build both ladders around `center`. Prices are strictly monotone even where a step is less than a tick; 0 = no such rung."""
    for leg in range(2):
        size, price, first = params.base_qty, center, leg * MAX_LEVELS
        for k in range(levels(params, leg)):
            wanted = round_price(away(leg, center, k + 1.0, params.step_bps))
            price = min(wanted, price - 1) if leg == LONG else max(wanted, price + 1)
            grid.price[first + k] = max(price, 0)
            grid.size[first + k] = size
            grid.asked[first + k] = 0
            size = size * params.qty_scale


def find(params: GridParams, grid: Grid, leg: int, price: int) -> int:
    """Where in the flat lists the rung of this price is, or -1."""
    first = leg * MAX_LEVELS
    for rung in range(first, first + levels(params, leg)):
        if grid.price[rung] == price:
            return rung
    return -1


def withdraw(grid: Grid, leg: int, allowed: int, levels: int) -> None:
    """Note that beyond the nearest `allowed` rungs nothing of this leg's ladder is asked for."""
    for rung in range(leg * MAX_LEVELS + allowed, leg * MAX_LEVELS + levels):
        grid.asked[rung] = 0


def whole_lots(params: GridParams, qty: float) -> int:
    """Quantity floored to lots and cut to the largest order."""
    return min(math.floor(qty + EPSILON), params.max_qty)


def legal(params: GridParams, qty: int, price: int) -> int:
    """The quantity of an entry, or 0 where the exchange would refuse it as too small."""
    if qty < params.min_qty or qty <= 0 or qty * price * params.unit < params.min_notional:
        return 0
    return qty


def whole_leg(params: GridParams, leg: int) -> int:
    """Lots of a leg with every rung full at full size: the most it may ever hold and ask for together."""
    total, size = 0, params.base_qty
    for _ in range(levels(params, leg)):
        total += whole_lots(params, size)
        size = size * params.qty_scale
    return total


def put(wish: Wish, leg: int, role: int, price: int, qty: int) -> None:
    """Write one row. A full Wish takes no more: better a rung too few than one row past the end."""
    row = wish.count[0]
    if row < len(wish.price):
        wish.leg[row] = leg
        wish.role[row] = role
        wish.price[row] = price
        wish.qty[row] = qty
        wish.count[0] = row + 1
