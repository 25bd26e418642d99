"""Rungs that the exchange refused, and how long each waits: `heart.desk.Desk.refused` in numbers.

One law: a refused rung is not tried again at once, and twice as late each time. Kernel dialect.
"""

from __future__ import annotations

from hedgegridd.research.fast import shapes as s
from hedgegridd.research.fast.shapes import Refusals, Run

REFUSED_MS, REFUSED_MAX_MS = 1_000, 60_000


def _known(refusals: Refusals, leg: int, role: int, price: int) -> int:
    for at in range(refusals.count[0]):
        if refusals.price[at] == price and refusals.leg[at] == leg and refusals.role[at] == role:
            return at
    return -1


def refuse(run: Run, leg: int, role: int, price: int) -> None:
    """Wait before this rung is tried again, twice as long each time. None is kept for ever."""
    refusals, now = run.refusals, run.n[s.NOW]
    kept = 0
    for at in range(refusals.count[0]):
        if now - refusals.until[at] < REFUSED_MAX_MS:
            _move(refusals, at, kept)
            kept += 1
    refusals.count[0] = kept
    at = _known(refusals, leg, role, price)
    wait = REFUSED_MS if at < 0 else min(2 * refusals.wait[at], REFUSED_MAX_MS)
    if at < 0:
        at = kept
        if at >= s.REFUSALS:
            run.n[s.BAIL] = s.BAIL_ERRORS
            return
        refusals.count[0] = at + 1
    refusals.leg[at], refusals.role[at], refusals.price[at] = leg, role, price
    refusals.until[at], refusals.wait[at] = now + wait, wait
    run.n[s.REFUSED_UNTIL] = max(run.n[s.REFUSED_UNTIL], now + wait)


def pardon(refusals: Refusals, leg: int, role: int, price: int) -> None:
    """The exchange took this rung after all."""
    gone = _known(refusals, leg, role, price)
    if gone >= 0:
        for at in range(gone + 1, refusals.count[0]):
            _move(refusals, at, at - 1)
        refusals.count[0] -= 1


def _move(refusals: Refusals, at: int, to: int) -> None:
    refusals.leg[to], refusals.role[to], refusals.price[to] = refusals.leg[at], refusals.role[at], refusals.price[at]
    refusals.until[to], refusals.wait[to] = refusals.until[at], refusals.wait[at]


def refused_until(refusals: Refusals, leg: int, role: int, price: int) -> int:
    """Until when this rung waits; 0 = it was not refused."""
    at = _known(refusals, leg, role, price)
    return int(refusals.until[at]) if at >= 0 else 0


def refused_wait(refusals: Refusals, leg: int, role: int, price: int) -> int:
    """How long it was told to wait last; 0 = it was not refused."""
    at = _known(refusals, leg, role, price)
    return int(refusals.wait[at]) if at >= 0 else 0
