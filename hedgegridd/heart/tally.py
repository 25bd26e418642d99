"""What the open orders of a symbol come to. One law: a sum that goes on from the last one equals the sum made anew, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from hedgegridd.model import Order, OrderState, Role

ENTRY, TAKE_PROFIT, STOP, LIVE = int(Role.ENTRY), int(Role.TAKE_PROFIT), int(Role.STOP), int(OrderState.LIVE)


class Tally(NamedTuple):
    """Each pair is by leg."""

    entries: tuple[int, int]  #: how many rest or are in flight
    openers_usdt: tuple[float, float]  #: their notional, each at its price
    stops: tuple[int | None, int | None]  #: trigger of the resting stop, ticks
    closing: tuple[bool, bool]  #: a stop or a close rests or is on its way

    def and_entry(self, leg: int, notional: float) -> Tally:
        """With one more entry, younger than all others."""
        entries, openers = list(self.entries), list(self.openers_usdt)
        entries[leg] += 1
        openers[leg] += notional
        return Tally((entries[0], entries[1]), (openers[0], openers[1]), self.stops, self.closing)


def tally(orders: Iterable[Order], unit: float) -> Tally:
    """Sum up open orders, oldest first; `unit` is USDT per lot and tick."""
    entries, closing = [0, 0], [False, False]
    openers = [0.0, 0.0]
    stops: list[int | None] = [None, None]
    for order in orders:
        leg, role = order.leg, order.role
        if role == ENTRY:
            entries[leg] += 1
            openers[leg] += (order.qty - order.filled) * order.price * unit
        elif role != TAKE_PROFIT:
            closing[leg] = True
            if role == STOP and order.state == LIVE and stops[leg] is None:
                stops[leg] = order.price
    return Tally((entries[0], entries[1]), (openers[0], openers[1]), (stops[0], stops[1]), (closing[0], closing[1]))
