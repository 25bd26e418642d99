"""The placement policy: how much of each ladder the trend allows.

Its one law: a ladder only ever shrinks here, to its nearest `counter_levels` rungs at `counter_qty_scale` of their size, or it
stays whole. It moves no price.

    policy              with the trend   against it   sideways
    throttled-counter   whole            shrunk       whole
    core-and-scalp      whole (core)     shrunk       shrunk (both legs only scalp)
"""

from __future__ import annotations

from typing import NamedTuple

from hedgegridd.model import entry_side

THROTTLED_COUNTER = 0
CORE_AND_SCALP = 1
POLICIES = ("throttled-counter", "core-and-scalp")  #: names, at the index that stands for them


class PolicyParams(NamedTuple):
    """`policy` is an index into POLICIES."""

    policy: int
    counter_levels: int
    counter_qty_scale: float


def shrunk(params: PolicyParams, regime: int, leg: int) -> bool:
    """Whether this leg's ladder is cut down in this regime."""
    along = regime * entry_side(leg)  # 1 with the trend, -1 against it, 0 where there is none
    return along < 0 or (along == 0 and params.policy == CORE_AND_SCALP)


def allowed_levels(params: PolicyParams, regime: int, leg: int, levels: int) -> int:
    """How many of the `levels` rungs may rest, counted from the market."""
    return min(levels, params.counter_levels) if shrunk(params, regime, leg) else levels


def scale(params: PolicyParams, regime: int, leg: int) -> float:
    """The factor on each rung's quantity."""
    return params.counter_qty_scale if shrunk(params, regime, leg) else 1.0
