"""Protection: no leg without a stop on the exchange. One law: a non-zero leg has a stop resting or on its way, or is being closed.

The strategy wishes a stop for each leg it holds; this looks after whatever it forgot, was refused, or is too broken to ask for.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from hedgegridd.heart.desk import LEGS, REFUSED_MS, Desk
from hedgegridd.heart.flatten import Flatten
from hedgegridd.kernel import exits
from hedgegridd.model import Leg, Role


class Bare(NamedTuple):
    """A leg without a stop: put one at `trigger` (ticks), or close it now where the market is already through (trigger 0)."""

    leg: Leg
    trigger: int


def in_hand(symbol: str, flattens: list[Flatten]) -> tuple[bool, bool]:
    """The legs that are being closed at once, and need no stop any more."""
    at_once = [leg for flatten in flattens for leg in LEGS if flatten.covers(symbol, leg) and not flatten.waits(symbol, leg)]
    return Leg.LONG in at_once, Leg.SHORT in at_once


def bare_legs(desk: Desk, stop_pct: float, hands_off: tuple[bool, bool]) -> list[Bare]:
    """The legs that need an emergency stop, `stop_pct` percent from their average entry (row 36, E18).

    Where the exchange has refused that stop twice, the leg is closed: nobody else will protect it.
    """
    found = []
    for leg in LEGS:
        if not desk.held(leg) or hands_off[leg] or desk.tally.closing[leg]:
            continue
        trigger = emergency_trigger(leg, desk.entry(leg), desk.mark, stop_pct)
        refused = desk.refusals.get((leg, Role.STOP, trigger))
        found.append(Bare(leg, 0 if refused is not None and refused.wait_ms > REFUSED_MS else trigger))
    return found


def emergency_trigger(leg: int, entry: float, mark: float | None, stop_pct: float) -> int:
    """Where the emergency stop goes, in ticks; 0 where the mark has already crossed it (the exchange would refuse: -2021)."""
    return exits.emergency_trigger(leg, entry, math.nan if mark is None else mark, stop_pct)
