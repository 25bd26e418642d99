"""From executions to round trips and positions, for reports. One law: money is the ledger's; here it is only divided up.

A round trip is one closing order against the average entry of its leg: its realized sum is the ledger's, the entries' fees and
the leg's funding are shared out by quantity. A position is a leg from its first entry until it is flat again.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from hedgegridd.kernel.metrics import RoundTrip
from hedgegridd.model import Instrument, entry_side


class Closed(NamedTuple):
    """A position that is over (`closed` 0 = still open). Quantities lots, prices ticks, money USDT."""

    symbol: str
    leg: int
    opened: int
    closed: int
    most: int
    entry: float
    exit: float
    realized: float
    fees: float
    funding: float
    entries: int
    exits: int


class LegBook:
    """One leg of one symbol. Feed it every execution and payment, in order."""

    def __init__(self, symbol: str, leg: int, instrument: Instrument) -> None:
        self.symbol, self.leg, self.instrument = symbol, leg, instrument
        self.qty = 0
        self.opened = 0.0  # average time of what is held, ms
        self.fees = self.funding = 0.0  # of what is held
        self.rungs: deque[int] = deque()  # lots of each entry order still held, oldest first
        self.last_entry = ""
        self.trips: list[RoundTrip] = []
        self.positions: list[Closed] = []
        self._closing = ""
        self._begin(0)

    def _begin(self, time: int) -> None:
        self.since, self.most, self.entries, self.exits = time, 0, 0, 0
        self.bought = self.sold = 0  # lots in and out of this position
        self.paid_in = self.paid_out = 0.0  # their notionals, tick-lots
        self.realized = self.all_fees = self.all_funding = 0.0

    def entry(self, time: int, price: int, qty: int, fee: float, name: str) -> int:
        """An entry executed; how many rungs are held now."""
        if self.qty == 0:
            self._begin(time)
        self.opened = (self.opened * self.qty + float(time) * qty) / (self.qty + qty)
        self.qty += qty
        self.fees += fee
        self.all_fees += fee
        self.bought += qty
        self.paid_in += float(price) * qty
        self.most = max(self.most, self.qty)
        if name == self.last_entry and self.rungs:
            self.rungs[-1] += qty
        else:
            self.rungs.append(qty)
            self.entries += 1
            self.last_entry = name
        return len(self.rungs)

    def exit(self, time: int, price: int, qty: int, fee: float, realized: float, name: str) -> None:
        """A closing order executed, wholly or in part."""
        share = qty / self.qty
        fees, funding = self.fees * share, self.funding * share
        self.fees -= fees
        self.funding -= funding
        self.realized += realized
        self.all_fees += fee
        self.sold += qty
        self.paid_out += float(price) * qty
        self._trip(time, price, qty, fees + fee, funding, realized, name)
        self.qty -= qty
        self._take(qty)
        if self.qty == 0:
            self.positions.append(self.position(time))
            self.fees = self.funding = self.opened = 0.0
            self.last_entry = self._closing = ""

    def _trip(self, time: int, price: int, qty: int, fees: float, funding: float, realized: float, name: str) -> None:
        """Parts of one closing order are one round trip."""
        tick, lot = self.instrument.tick_size, self.instrument.lot_size
        entry = price - entry_side(self.leg) * realized / (qty * self.instrument.unit)
        made = RoundTrip(self.symbol, self.leg, int(self.opened), time, qty * lot, entry * tick, price * tick, realized, fees, funding)
        if name == self._closing:
            made = joined(self.trips.pop(), made)
        else:
            self.exits += 1
        self._closing = name
        self.trips.append(made)

    def _take(self, qty: int) -> None:
        """The oldest rungs are closed first: how many are held is a matter of counting only."""
        while qty > 0 and self.rungs:
            part = min(qty, self.rungs[0])
            qty -= part
            self.rungs[0] -= part
            if self.rungs[0] == 0:
                self.rungs.popleft()

    def pay(self, amount: float) -> None:
        """Funding, positive = paid."""
        self.funding += amount
        self.all_funding += amount

    def position(self, closed: int) -> Closed:
        """The position as it stands; `closed` 0 = open."""
        exit_price = self.paid_out / self.sold if self.sold else 0.0
        return Closed(self.symbol, self.leg, self.since, closed, self.most, self.paid_in / self.bought if self.bought else 0.0, exit_price,
                      self.realized, self.all_fees, self.all_funding, self.entries, self.exits)  # fmt: skip


def joined(one: RoundTrip, more: RoundTrip) -> RoundTrip:
    """Two parts of one closing order."""
    qty = one.qty + more.qty
    entry, exit_price = ((a * one.qty + b * more.qty) / qty for a, b in ((one.entry, more.entry), (one.exit, more.exit)))
    return RoundTrip(one.symbol, one.leg, one.opened, more.closed, qty, entry, exit_price, one.realized + more.realized,
                     one.fees + more.fees, one.funding + more.funding)  # fmt: skip
