"""What every leg is worth with its openers, and what it binds: kept by leg, reckoned anew only where a desk moved.

One law: a figure equals the one reckoned from all desks at once, bit for bit; so sums are made in the order of the desks, always.
"""

from __future__ import annotations

from functools import reduce
from operator import add

from hedgegridd.heart.desk import LEGS, Desk
from hedgegridd.heart.modes import LegMode
from hedgegridd.heart.moves import Moves
from hedgegridd.kernel import ledger, measures


class Exposure:
    """Leg `leg` of the desk in row `row` is at 2 x row + leg."""

    def __init__(self, moves: Moves) -> None:
        self._desks, self._moved = moves.desks, moves.reader()
        legs = len(LEGS) * len(self._desks)
        self._bases: list[tuple[object, ...]] = [()] * len(self._desks)  # what a row's figures were made of
        self._gross, self._initial, self._maintenance = [0.0] * legs, [0.0] * legs, [0.0] * legs
        self._used = [False] * legs
        self._bare: set[int] = set()
        self._unlike: set[int] = set()
        self._resized: set[int] = set()
        self._bound: tuple[float, float] | None = None

    def _look(self) -> None:
        for row in self._moved.take():
            desk = self._desks[row]
            books = desk.books
            basis = (books, desk.mark if books.long_qty or books.short_qty else None, desk.tally, desk.standing)
            if basis != self._bases[row]:
                self._bases[row] = basis
                self._weigh(row)

    def _weigh(self, row: int) -> None:
        desk, tally = self._desks[row], self._desks[row].tally
        for leg in LEGS:
            at, held, openers = len(LEGS) * row + leg, desk.held_usdt(leg), tally.openers_usdt[leg]
            self._gross[at] = held + openers
            self._initial[at] = measures.initial_usdt(held, openers, desk.instrument.leverage)
            self._maintenance[at] = ledger.leg_maint(held, desk.tiers)
            self._used[at] = bool(desk.held(leg) or tally.entries[leg])
        self._bound = None
        self._resized.add(row)
        _put(self._bare, row, any(desk.held(leg) and not tally.closing[leg] for leg in LEGS))
        _put(self._unlike, row, any(standing.mode != LegMode.NORMAL for standing in desk.standing))

    # --- of the account ---------------------------------------------------------------------------------------------

    def gross_usdt(self) -> float:
        """Position + resting + in flight, over all legs."""
        self._look()
        return sum(self._gross)

    def initial_usdt(self) -> float:
        """The initial margin that positions and openers bind."""
        self._look()
        return sum(self._initial)

    def margins_usdt(self) -> tuple[float, float]:
        """(maintenance margin, initial margin), each added up one by one, as `sum` does not everywhere."""
        self._look()
        if self._bound is None:
            self._bound = reduce(add, self._maintenance, 0.0), reduce(add, self._initial, 0.0)
        return self._bound

    def legs_with(self, desk: Desk, leg: int) -> int:
        """How many legs hold something or have an opener, this one taken as one that has."""
        self._look()
        return sum(self._used) + (not self._used[len(LEGS) * desk.row + leg])

    # --- of the desks -----------------------------------------------------------------------------------------------

    def bare(self) -> list[Desk]:
        """Where a leg is held, and no stop or close of it rests or is on its way."""
        self._look()
        return [self._desks[row] for row in sorted(self._bare)] if self._bare else []

    def unlike(self) -> list[Desk]:
        """Where a leg's mode is not normal."""
        self._look()
        return [self._desks[row] for row in sorted(self._unlike)] if self._unlike else []

    def resized(self) -> list[Desk]:
        """What was weighed anew since the last time."""
        self._look()
        rows, self._resized = sorted(self._resized), set()
        return [self._desks[row] for row in rows]

    def leg_usdt(self, desk: Desk, leg: int) -> float:
        """Position + resting + in flight of one leg."""
        self._look()
        return self._gross[len(LEGS) * desk.row + leg]


def _put(rows: set[int], row: int, belongs: bool) -> None:
    if belongs:
        rows.add(row)
    else:
        rows.discard(row)
