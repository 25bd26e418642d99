"""No leg stands without a stop: one rests, is on its way, or the leg is being closed."""

from __future__ import annotations

import pytest
from rig import Rig, check, steady

from hedgegridd.heart.protect import emergency_trigger
from hedgegridd.model import Bar, Leg, Rejected, Role


@pytest.mark.parametrize(
    ("leg", "entry", "mark", "trigger"),
    [
        (Leg.LONG, 1000.0, 990.0, 950),
        (Leg.LONG, 1000.0, 950.0, 0),
        (Leg.LONG, 1000.0, None, 950),
        (Leg.SHORT, 1000.0, 1010.0, 1050),
        (Leg.SHORT, 1000.0, 1051.0, 0),
        (Leg.LONG, 1000.5, 990.0, 950),
        (Leg.SHORT, 999.5, 990.0, 1050),
    ],
)
def test_the_emergency_stop_is_five_percent_from_entry_or_the_leg_is_closed(
    leg: Leg, entry: float, mark: float | None, trigger: int
) -> None:
    assert emergency_trigger(leg, entry, mark, 5.0) == trigger


def held() -> Rig:
    """A long leg of one rung."""
    rig = steady(Rig().start())
    rig.bars([497_300])
    assert rig.desk().books.long_qty > 0
    return rig


def test_a_filled_rung_has_its_stop_in_the_same_breath() -> None:
    rig = held()
    assert rig.desk().stop(Leg.LONG) is not None


def test_a_stop_that_vanished_is_put_back() -> None:
    rig = held()
    (stop,) = rig.resting(Role.STOP)
    rig.exchange.cancel([stop])
    while rig.inbox:
        rig.take(rig.inbox.popleft())
    (again,) = rig.resting(Role.STOP)
    assert again.client_id != stop.client_id
    check(rig)


def test_a_stop_refused_because_the_market_is_through_closes_the_leg() -> None:
    rig = held()
    (stop,) = rig.resting(Role.STOP)
    rig.engine.desks["BTCUSDT"].orders.open[stop.client_id] = stop._replace(state=1)  # as if still on its way
    rig.exchange.cancel([stop])
    rig.inbox.clear()
    rig.take(Rejected(stop.client_id, rig.engine.now, -2021, "order would immediately trigger"))
    assert rig.desk().books.long_qty == 0
    check(rig)


def test_one_stop_per_leg_whatever_the_market_does() -> None:
    rig = steady(Rig().start())
    price = 500_000
    for step in range(120):
        price += (-1_700, 900, 1_600, -400)[step % 4]
        rig.bars([price])
        for leg in Leg:
            stops = [order for order in rig.resting(Role.STOP) if order.leg == leg]
            assert len(stops) == (1 if rig.desk().held(leg) else 0)
        check(rig)


def test_the_stop_dies_with_its_leg_and_not_before() -> None:
    rig = held()
    bar = rig.desk().bar
    rig.market(Bar("BTCUSDT", bar.time + 60_000, bar.close, 503_000, bar.close, 502_900, 10**6, 60_000))
    assert rig.desk().books.long_qty == 0
    assert not [order for order in rig.resting(Role.STOP) if order.leg == Leg.LONG]
