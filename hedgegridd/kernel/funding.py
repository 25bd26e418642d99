"""The funding guard: shrinks the openers of the leg that is about to pay.

Its one law: unknown is not zero. Where the feed carries funding and the rate is not known now, neither leg opens. It never
touches closers, and a leg that receives funding is left alone.

    rate      next settlement   meaning                                    scale
    nan       0                 the feed carries no funding at all         1, guard off (`check` says so)
    nan       known             carried, but stale or not yet heard        0 for both legs
    known     long past         the feed stopped telling                   0 for both legs
    known     0                 due at a time nobody told                  as if it were within the window
    known     known             rate x settlements within the window       limit / cost on the paying leg, at most 1
"""

from __future__ import annotations

import math
from typing import NamedTuple

BPS = 10_000.0


class FundingParams(NamedTuple):
    """How far ahead the guard looks, and what holding a leg over that window may cost, in basis points of its notional."""

    window_ms: int
    max_cost_bps: float


def settlements(window_ms: int, time: int, interval_ms: int, next_funding: int) -> int:
    """How many settlements fall into the window that begins after now. One due now or just past has been booked already."""
    wait = next_funding - time if next_funding > time else next_funding - time + interval_ms
    if next_funding == 0 or wait <= 0:
        return 1
    left = window_ms - wait
    if left < 0:
        return 0
    return 1 + left // interval_ms if 0 < interval_ms <= left else 1  # a division takes its time, and most often there is none to do


def window_cost_bps(params: FundingParams, time: int, rate: float, interval_ms: int, next_funding: int) -> float:
    """What a LONG pays within the window, bps of notional (a SHORT pays the negative); nan where it cannot be known."""
    if next_funding > 0 and interval_ms > 0 and time - next_funding >= interval_ms:
        return math.nan
    return rate * BPS * settlements(params.window_ms, time, interval_ms, next_funding)


def scale(params: FundingParams, leg: int, time: int, rate: float, interval_ms: int, next_funding: int) -> float:
    """The factor 0..1 on this leg's openers, so that what they would pay within the window stays at the limit."""
    if math.isnan(rate) and next_funding == 0:
        return 1.0
    cost = window_cost_bps(params, time, rate, interval_ms, next_funding)
    if math.isnan(cost):
        return 0.0
    paid = cost if leg == 0 else -cost
    return params.max_cost_bps / paid if paid > params.max_cost_bps and paid > 0.0 else 1.0
