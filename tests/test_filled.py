"""The filled grid is what the strategy's own step builds."""

import pytest

from hedgegridd.filled import FullLeg, full_legs, unrounded
from hedgegridd.model import Instrument, Leg
from hedgegridd.plugins import load_shipped

BTC = Instrument(0.1, 0.001, 1, 10**6, 10**6, 100.0, 2.0, 5.0)
STRATEGY = load_shipped().strategies["hedge_grid"].thing


def legs(base_qty: float = 0.01, policy: str = "throttled-counter", price: float = 100_000.0, **grid: float) -> dict[int, FullLeg]:
    settings = STRATEGY.Settings()
    settings.grid.base_qty, settings.policy.strategy = base_qty, policy
    for key, value in grid.items():
        setattr(settings.grid, key, value)
    return {one.leg: one for one in full_legs(STRATEGY, settings, BTC, price, 10_000.0)}


def test_the_documents_grid_is_15937_usdt_a_leg() -> None:
    both = legs()
    assert [len(one.rungs) for one in both.values()] == [10, 10]
    assert (both[Leg.LONG].deepest, both[Leg.SHORT].deepest) == (950_000, 1_050_000)
    assert both[Leg.LONG].stop < both[Leg.LONG].deepest < both[Leg.SHORT].deepest < both[Leg.SHORT].stop
    exact = unrounded(STRATEGY, STRATEGY.Settings(), BTC, 100_000.0, 10_000.0)
    assert exact[Leg.LONG] * 100_000 == pytest.approx(15_937, abs=1)


def test_each_rung_once_from_the_market_outward() -> None:
    long = legs()[Leg.LONG]
    prices = [price for price, _ in long.rungs]
    assert prices == sorted(prices, reverse=True) and long.qty == sum(qty for _, qty in long.rungs)
    assert long.largest == long.cost >= long.qty * long.deepest


def test_a_policy_that_shrinks_in_calm_is_seen_in_a_trend() -> None:
    assert {leg: one.qty for leg, one in legs(policy="core-and-scalp").items()} == {leg: one.qty for leg, one in legs().items()}


def test_nothing_wished_is_no_leg() -> None:
    assert legs(base_qty=0.001, price=1_000.0) == {}


def test_one_sided_grid() -> None:
    assert list(legs(grid_levels_short=0)) == [Leg.LONG]
