"""What breakers see of each desk, made anew only where the desk moved or time itself changed it; and the sums over all desks.

One law: `picture` is what one made from nothing would be, bit for bit. Between two pictures a view may only be too young: of the
desks that are silent the oldest alone is kept up at each event.
"""

from __future__ import annotations

import math

from hedgegridd.heart.account import Account
from hedgegridd.heart.exposure import Exposure
from hedgegridd.heart.moves import Moves
from hedgegridd.views import InstrumentView, Snapshot, Vitals


class Sights:
    """Views by row, None where a desk is dormant."""

    def __init__(self, moves: Moves, account: Account, exposure: Exposure, cadence_ms: int) -> None:
        self._desks, self._moved = moves.desks, moves.reader()
        self.account, self._exposure, self._cadence_ms = account, exposure, cadence_ms
        rows = len(self._desks)
        self.views: list[InstrumentView | None] = [None] * rows
        self._realized, self._fees, self._funding = [0.0] * rows, [0.0] * rows, [0.0] * rows
        self._until: list[float] = [math.inf] * rows  # so long nothing but a move changes the view
        self._wake: float = math.inf  # the first of these
        self._silent: set[int] = set()  # rows whose age grows
        self.remade: list[set[int]] = []  # where the rows go whose views are new
        self._sums: Snapshot | None = None

    def look(self, now: int) -> None:
        """Take in what moved, and what time did."""
        moved = self._moved.take()
        if now > self._wake:
            moved.update(row for row, until in enumerate(self._until) if now > until)
        for row in moved:
            self._see(row, now)
        if now > self._wake:
            self._wake = min(self._until)
        if self._silent:
            self._age(min(self._silent, key=lambda row: (self._desks[row].seen, row)), now)

    def _see(self, row: int, now: int) -> None:
        desk, books, until = self._desks[row], self._desks[row].books, math.inf
        self._silent.discard(row)
        view = None if desk.dormant(now) else desk.view(now, self._cadence_ms)
        if view is not None and desk.seen:
            if desk.idle:
                until = desk.seen + desk.max_gap_ms
            if view.data_age_ms:
                self._silent.add(row)
            else:
                until = min(until, desk.seen + self._cadence_ms)
        self._until[row], self._wake = until, min(self._wake, until)
        self._realized[row], self._fees[row], self._funding[row] = books.realized, books.fees, books.funding
        self._show(row, view)

    def _age(self, row: int, now: int) -> None:
        view, age = self.views[row], self._desks[row].age_ms(now, self._cadence_ms)
        if view is not None and view.data_age_ms != age:
            self._show(row, view._replace(data_age_ms=age))

    def _show(self, row: int, view: InstrumentView | None) -> None:
        self.views[row] = view
        for rows in self.remade:
            rows.add(row)

    # --- of the account ---------------------------------------------------------------------------------------------

    def sums(self, errors: int) -> Snapshot:
        """The account alone, without time, symbols and vitals: the same object as before where no figure is another."""
        account = self.account
        equity = account.equity
        made = Snapshot(
            0,
            equity,
            account.wallet,
            sum(self._realized),
            sum(account.unrealized.values(), 0.0),
            sum(self._fees),
            sum(self._funding),
            account.transfers,
            account.session.start,
            account.session.peak,
            account.day.start,
            account.day.peak,
            *margins(self._exposure, equity),
            errors,
            (),
            None,
            None if account.smoothed is None else account.smoothed[0],
        )
        if made != self._sums:
            self._sums = made
        return self._sums

    def picture(self, now: int, errors: int, vitals: Vitals | None) -> Snapshot:
        """One consistent picture, in plain units."""
        self.look(now)
        for row in self._silent:
            self._age(row, now)
        views = tuple([view for view in self.views if view is not None])
        return self.sums(errors)._replace(time=now, instruments=views, vitals=vitals)


def margins(exposure: Exposure, equity: float) -> tuple[float | None, float | None]:
    """(maintenance margin / margin balance, initial margin / margin balance), fractions (E3); None where there is no balance."""
    if equity <= 0:
        return None, None
    maintenance, initial = exposure.margins_usdt()
    return maintenance / equity, initial / equity
