"""No leg stands without a stop: one rests, is on its way, or the leg is being closed."""

from __future__ import annotations

import pytest
from rig import Rig, calm, check, steady

from hedgegridd.heart.protect import emergency_trigger
from hedgegridd.model import Bar, Leg, Order, OrderState, Rejected, Role


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


def test_an_emergency_stop_stays_while_the_strategy_s_own_is_refused() -> None:
    """Else the one is withdrawn because nobody wishes it, and placed again because the leg is bare, for ever."""
    rig, own = calm(), list[int]()

    def refuses(order: Order) -> int:
        """The place of the first stop asked for, and none beside it."""
        if order.role == Role.STOP and not own:
            own.append(order.price)
        return -4045 if order.role == Role.STOP and order.price in own else 0

    rig.refuse = refuses
    rig.bars([497_490], reach=0)
    stops = rig.resting(Role.STOP)
    assert rig.desk().books.long_qty > 0 and [stop.price for stop in stops] != own and len(stops) == 1
    assert len([act for act in rig.of("order") if act["role"] == Role.STOP]) == 2


def test_a_refused_order_whose_cancel_is_on_its_way_is_over() -> None:
    """It is no amend that was refused: nothing of it rests, and nobody has to be asked about it."""
    rig = calm()
    order = rig.desk().orders.new(0, Role.TAKE_PROFIT, -1, 600_000, 1, rig.engine.now)
    rig.desk().orders.move(order.client_id, OrderState.SENT)
    rig.desk().orders.ending[order.client_id] = rig.engine.now
    rig.take_one(Rejected(order.client_id, rig.engine.now, -2022, "nothing to close"))
    assert order.client_id not in rig.desk().orders.open and order.client_id not in rig.desk().orders.ending
