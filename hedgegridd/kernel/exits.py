"""Open lots and how they are left: a take-profit ladder per lot and one stop per leg.

Its one law: every held lot has a way out and nothing closes more than is held. A lot is keyed by the price of the rung that
bought it, so a taken rung stays taken until its take-profits have closed it. Recentring moves no take-profit and never moves a
stop away from the market. It opens nothing.

Prices are ticks, quantities lots. A lot is a row of WIDTH columns in one flat list (few lists are what makes the compiled path
fast): LONG's rows come first, then SHORT's; the first `USED` rows of a leg count, in the order in which they were opened.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from hedgegridd.kernel.ladder import LONG, away, put, round_price
from hedgegridd.model import Array, Role, Wish

TAKE_PROFIT, STOP = int(Role.TAKE_PROFIT), int(Role.STOP)
LOTS = 64  #: open lots of one leg
MAX_TP = 3  #: take-profit levels of one lot; two legs' worth of them fit a Wish beside both ladders

# Columns of a lot. PRICE is the rung's, the key; TARGET what the rung was asked for when its first fill came; ENTERED what was
# bought since then; from QTY on what is still held per take-profit level, from EXIT on the price of each level.
PRICE, TARGET, ENTERED, QTY, EXIT = 0, 1, 2, 3, 3 + MAX_TP
WIDTH = 3 + 2 * MAX_TP

# Columns of a leg. FLOOR is the price outside the grid that a held leg's stop may not be inside of, 0 = leg empty;
# IDLE is 1 after a stop, until the recentre.
USED, FLOOR, IDLE = 0, 1, 2
LEG_WIDTH = 3


class ExitParams(NamedTuple):
    """Distances in grid steps. Take-profit level 1 lies `tp_steps` from the rung, each further one a step more."""

    step_bps: float
    tp_steps: int
    tp_levels: int
    sl_steps: int
    min_qty: int
    max_qty: int


class Lots(NamedTuple):
    """What is open and why: LEG_WIDTH columns per leg, WIDTH columns per lot."""

    leg: Array
    lot: Array


def new_lots() -> Lots:
    """Nothing open."""
    return Lots([0] * (2 * LEG_WIDTH), [0] * (2 * LOTS * WIDTH))


def exit_price(params: ExitParams, leg: int, price: int, level: int) -> int:
    """Where level 0, 1, .. of a lot bought at `price` takes its profit; at least one tick better than it."""
    wanted = round_price(away(leg, price, -float(params.tp_steps + level), params.step_bps))
    return max(wanted, price + 1 + level) if leg == LONG else max(min(wanted, price - 1 - level), 1)


def open_lots(lots: Lots, leg: int) -> int:
    """How many lots of a leg are open."""
    used: int = lots.leg[leg * LEG_WIDTH + USED]
    return used


def floor(lots: Lots, leg: int) -> int:
    """The price that a held leg's stop may not be inside of; 0 = the leg is empty."""
    price: int = lots.leg[leg * LEG_WIDTH + FLOOR]
    return price


def is_idle(lots: Lots, leg: int) -> bool:
    """Whether the leg was stopped out since the grid was last centred."""
    return bool(lots.leg[leg * LEG_WIDTH + IDLE] == 1)


def make_idle(lots: Lots, leg: int) -> None:
    """The leg was stopped out: it opens nothing until the grid is centred anew."""
    lots.leg[leg * LEG_WIDTH + IDLE] = 1


def begin(leg: int) -> int:
    """Where a leg's first lot is in the flat list."""
    return leg * LOTS * WIDTH


def end(lots: Lots, leg: int) -> int:
    """Just past a leg's last open lot."""
    return (leg * LOTS + open_lots(lots, leg)) * WIDTH


def find(lots: Lots, leg: int, price: int) -> int:
    """Where the lot of this rung is, or -1."""
    for at in range(begin(leg), end(lots, leg), WIDTH):
        if lots.lot[at + PRICE] == price:
            return at
    return -1


def lot_qty(lots: Lots, at: int) -> int:
    """What is still held of a lot."""
    held: int = 0
    for cell in range(at + QTY, at + QTY + MAX_TP):
        held += lots.lot[cell]
    return held


def leg_qty(lots: Lots, leg: int) -> int:
    """What the lots of a leg explain together."""
    held = 0
    for at in range(begin(leg), end(lots, leg), WIDTH):
        held += lot_qty(lots, at)
    return held


def split(params: ExitParams, lots: Lots, at: int, qty: int) -> None:
    """Spread a lot over its take-profit levels in equal parts, over fewer where a part would be too small for an order."""
    parts = max(1, min(params.tp_levels, qty // max(params.min_qty, 1)))
    for level in range(MAX_TP):
        lots.lot[at + QTY + level] = qty // parts + (1 if level < qty % parts else 0) if level < parts else 0


def room(params: ExitParams, lots: Lots, leg: int, price: int, target: int) -> int:
    """The lot of this rung, opened if need be. With no room left the youngest lot takes it in: held quantity is never forgotten."""
    known, used = find(lots, leg, price), open_lots(lots, leg)
    if known >= 0 or used == LOTS:
        return known if known >= 0 else end(lots, leg) - WIDTH
    at = end(lots, leg)
    lots.leg[leg * LEG_WIDTH + USED] = used + 1
    lots.lot[at + PRICE] = price
    lots.lot[at + TARGET] = target
    lots.lot[at + ENTERED] = 0
    for level in range(MAX_TP):
        lots.lot[at + QTY + level] = 0
        lots.lot[at + EXIT + level] = exit_price(params, leg, price, level)
    return at


def add(params: ExitParams, lots: Lots, leg: int, price: int, qty: int, target: int) -> None:
    """The rung at `price` bought `qty` of the `target` it was asked for."""
    at = room(params, lots, leg, price, target)
    lots.lot[at + ENTERED] += qty
    split(params, lots, at, lot_qty(lots, at) + qty)


def drop_empty(lots: Lots, leg: int) -> None:
    """Forget lots of which nothing is held; the others keep their order."""
    kept = begin(leg)
    for at in range(begin(leg), end(lots, leg), WIDTH):
        if lot_qty(lots, at) > 0:
            for column in range(WIDTH):
                lots.lot[kept + column] = lots.lot[at + column]
            kept += WIDTH
    lots.leg[leg * LEG_WIDTH + USED] = (kept - begin(leg)) // WIDTH


def take(lots: Lots, leg: int, price: int, qty: int) -> None:
    """A leg closed `qty` at its take-profit `price`; at price 0 (a stop, a close, a shortfall) whatever is oldest goes first."""
    for at in range(begin(leg), end(lots, leg), WIDTH):
        for level in range(MAX_TP):
            if price == 0 or lots.lot[at + EXIT + level] == price:
                part = min(qty, lots.lot[at + QTY + level])
                lots.lot[at + QTY + level] -= part
                qty -= part
    drop_empty(lots, leg)


def outside(leg: int, price: float) -> int:
    """Whole ticks, rounded away from the market; a price is at least one tick."""
    return max(math.floor(price), 1) if leg == LONG else math.ceil(price)


def reconcile(params: ExitParams, lots: Lots, leg: int, held: int, entry: float) -> None:
    """Make the lots explain exactly what is held: the unexplained becomes a lot at the average entry, the surplus goes."""
    known = leg_qty(lots, leg)
    if held > known:
        add(params, lots, leg, max(round_price(entry), 1), held - known, 0)
    elif held < known:
        take(lots, leg, 0, known - held)


def guard(params: ExitParams, lots: Lots, leg: int, held: int, entry: float, center: int, levels: int) -> None:
    """Fix the floor of a leg that has just opened: one step outside its deepest rung. An empty leg has none.

    It stays while the leg is held: were it to follow the grid down with every recentre, the stop would never be reached.
    Without a grid the average entry stands for the centre.
    """
    if held == 0:
        lots.leg[leg * LEG_WIDTH + FLOOR] = 0
    elif floor(lots, leg) == 0:
        middle = float(center) if center > 0 else entry
        lots.leg[leg * LEG_WIDTH + FLOOR] = outside(leg, away(leg, middle, levels + 1.0, params.step_bps))


def tighten(params: ExitParams, lots: Lots, leg: int, center: int, levels: int) -> None:
    """After a recentre: a held leg's floor follows a grid that went its way, never one that went against it; idleness ends."""
    lots.leg[leg * LEG_WIDTH + IDLE] = 0
    before = floor(lots, leg)
    if before > 0:
        after = outside(leg, away(leg, center, levels + 1.0, params.step_bps))
        lots.leg[leg * LEG_WIDTH + FLOOR] = max(before, after) if leg == LONG else min(before, after)


def stop_price(params: ExitParams, lots: Lots, leg: int, entry: float) -> int:
    """The leg's stop: `sl_steps` from the average entry, and outside the grid that the leg was opened on (its floor)."""
    stop = outside(leg, away(leg, entry, float(params.sl_steps), params.step_bps))
    return min(stop, floor(lots, leg)) if leg == LONG else max(stop, floor(lots, leg))


def write_take_profits(params: ExitParams, lots: Lots, leg: int, wish: Wish) -> None:
    """One row per take-profit price. What is too small for an order rests with the stop alone."""
    first = wish.count[0]
    for at in range(begin(leg), end(lots, leg), WIDTH):
        for level in range(MAX_TP):
            qty, price = lots.lot[at + QTY + level], lots.lot[at + EXIT + level]
            if qty > 0:
                row = first
                while row < wish.count[0] and wish.price[row] != price:
                    row += 1
                if row < wish.count[0]:
                    wish.qty[row] += qty
                else:
                    put(wish, leg, TAKE_PROFIT, price, qty)
    trim(params, wish, first)


def trim(params: ExitParams, wish: Wish, first: int) -> None:
    """Keep the rows from `first` on that are large enough for an order, none larger than the largest."""
    kept = first
    for row in range(first, wish.count[0]):
        if wish.qty[row] >= params.min_qty:
            wish.leg[kept], wish.role[kept], wish.price[kept] = wish.leg[row], wish.role[row], wish.price[row]
            wish.qty[kept] = min(wish.qty[row], params.max_qty)
            kept += 1
    wish.count[0] = kept


def hold(params: ExitParams, lots: Lots, leg: int, held: int, entry: float, center: int, levels: int, wish: Wish) -> None:
    """Bring a leg's lots in line with what is held, and wish its stop, then its take-profits."""
    reconcile(params, lots, leg, held, entry)
    guard(params, lots, leg, held, entry, center, levels)
    if held > 0:
        put(wish, leg, STOP, stop_price(params, lots, leg, entry), held)
        write_take_profits(params, lots, leg, wish)


def emergency_trigger(leg: int, entry: float, mark: float, stop_pct: float) -> int:
    """A stop `stop_pct` percent from the average entry, for a leg that nobody protects; 0 where the mark (nan = unknown) is
    through it already."""
    distance = stop_pct / 100
    if leg == LONG:
        trigger = math.floor(entry * (1 - distance))
        return 0 if mark <= trigger else trigger
    trigger = math.ceil(entry * (1 + distance))
    return 0 if mark >= trigger else trigger
