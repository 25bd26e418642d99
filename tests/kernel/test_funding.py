"""The funding guard: who pays, when it counts, and that unknown is not zero."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgegridd.kernel import funding
from hedgegridd.kernel.funding import FundingParams
from hedgegridd.model import Leg

HOUR = 3_600_000
PARAMS = FundingParams(8 * HOUR, 10.0)
NOW = 1_700_000_000_000


def both(rate, interval=8 * HOUR, next_funding=NOW + HOUR, params=PARAMS):
    return tuple(funding.scale(params, leg, NOW, rate, interval, next_funding) for leg in Leg)


@pytest.mark.parametrize(
    ("rate", "interval", "next_funding", "scales"),
    [
        (math.nan, 0, 0, (1.0, 1.0)),  # the feed carries none: guard off
        (math.nan, 8 * HOUR, NOW + HOUR, (0.0, 0.0)),  # carried but unknown: nothing opens
        (0.0001, 8 * HOUR, NOW - 8 * HOUR, (0.0, 0.0)),  # the feed stopped telling
        (0.0001, 8 * HOUR, NOW + HOUR, (1.0, 1.0)),  # 1 bp: below the limit
        (0.004, 8 * HOUR, NOW + HOUR, (0.25, 1.0)),  # 40 bps: the long pays, a quarter is left
        (-0.004, 8 * HOUR, NOW + HOUR, (1.0, 0.25)),  # the short pays
        (0.004, 8 * HOUR, NOW, (0.25, 1.0)),  # booked this instant: the one after it is in the window
        (0.004, 8 * HOUR, NOW - 1, (0.25, 1.0)),
        (0.004, 0, NOW - 1, (0.25, 1.0)),  # past, and nobody told how often
        (0.004, 0, 0, (0.25, 1.0)),  # due at a time nobody told
        (0.002, 1 * HOUR, NOW + HOUR, (10.0 / 160.0, 1.0)),  # eight hourly settlements in the window
        (0.004, 8 * HOUR, NOW + 8 * HOUR, (0.25, 1.0)),  # just within the window
        (0.004, 8 * HOUR, NOW + 8 * HOUR + 1, (1.0, 1.0)),  # just beyond it
    ],
)
def test_table(rate, interval, next_funding, scales):
    assert both(rate, interval, next_funding) == pytest.approx(scales)


def test_a_limit_of_zero_lets_no_leg_pay():
    assert both(0.0001, params=FundingParams(8 * HOUR, 0.0)) == (0.0, 1.0)
    assert both(0.0, params=FundingParams(8 * HOUR, 0.0)) == (1.0, 1.0)


@given(st.floats(-0.1, 0.1), st.sampled_from([0, HOUR, 4 * HOUR, 8 * HOUR]), st.integers(-8 * HOUR, 20 * HOUR), st.floats(0, 50))
def test_what_is_scaled_stays_within_the_limit_and_only_one_leg_is(rate, interval, ahead, limit):
    params = FundingParams(8 * HOUR, limit)
    long, short = both(rate, interval, NOW + ahead, params)
    cost = funding.window_cost_bps(params, NOW, rate, interval, NOW + ahead)
    assert 0.0 <= long <= 1.0
    assert 0.0 <= short <= 1.0
    if not math.isnan(cost):
        assert max(long, short) == 1.0
        assert long * cost <= limit * (1 + 1e-12) + 1e-300 or cost <= 0
        assert short * -cost <= limit * (1 + 1e-12) + 1e-300 or cost >= 0
