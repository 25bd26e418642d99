"""The placement policies: exactly which ladder shrinks in which regime."""

import pytest

from hedgegridd.kernel import placement
from hedgegridd.kernel.placement import PolicyParams
from hedgegridd.model import Leg, Regime

WHOLE, SHRUNK = (10, 1.0), (5, 0.5)


@pytest.mark.parametrize(
    ("policy", "regime", "long", "short"),
    [
        ("throttled-counter", Regime.UP, WHOLE, SHRUNK),
        ("throttled-counter", Regime.SIDEWAYS, WHOLE, WHOLE),
        ("throttled-counter", Regime.DOWN, SHRUNK, WHOLE),
        ("core-and-scalp", Regime.UP, WHOLE, SHRUNK),
        ("core-and-scalp", Regime.SIDEWAYS, SHRUNK, SHRUNK),
        ("core-and-scalp", Regime.DOWN, SHRUNK, WHOLE),
    ],
)
def test_table(policy, regime, long, short):
    params = PolicyParams(placement.POLICIES.index(policy), 5, 0.5)
    for leg, expected in ((Leg.LONG, long), (Leg.SHORT, short)):
        assert (placement.allowed_levels(params, regime, leg, 10), placement.scale(params, regime, leg)) == expected


def test_a_short_ladder_is_not_lengthened():
    assert placement.allowed_levels(PolicyParams(0, 5, 0.5), Regime.UP, Leg.SHORT, 3) == 3
