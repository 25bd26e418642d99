"""The sums over open orders: the one that goes on from the last equals the one made anew."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import approx

from hedgegridd.heart.tally import tally
from hedgegridd.model import Order, OrderState, Role

UNIT = 0.1 * 0.001
LEGS, PRICES, LOTS = st.sampled_from((0, 1)), st.integers(1, 2_000_000), st.integers(1, 10_000)


def _order(leg: int, role: Role, price: int, qty: int, filled: int, state: OrderState) -> Order:
    return Order("x", "BTCUSDT", leg, role, 1, price, qty + filled, 0, state, filled)


ORDERS = st.builds(_order, LEGS, st.sampled_from(tuple(Role)), PRICES, LOTS, st.integers(0, 500), st.sampled_from(tuple(OrderState)[:4]))


@settings(max_examples=60)
@given(st.lists(ORDERS, max_size=30))
def test_says_what_each_leg_has(orders: list[Order]) -> None:
    made = tally(orders, UNIT)
    for leg in (0, 1):
        mine = [order for order in orders if order.leg == leg]
        entries = [order for order in mine if order.role == Role.ENTRY]
        stops = [order.price for order in mine if order.role == Role.STOP and order.state == OrderState.LIVE]
        assert made.entries[leg] == len(entries)
        assert made.openers_usdt[leg] == approx(sum((order.qty - order.filled) * order.price * UNIT for order in entries))
        assert made.stops[leg] == (stops[0] if stops else None)
        assert made.closing[leg] == any(order.role in (Role.STOP, Role.CLOSE) for order in mine)


@settings(max_examples=60)
@given(st.lists(ORDERS, max_size=20), LEGS, PRICES, LOTS)
def test_one_more_entry_sums_up_to_the_same_bits(orders: list[Order], leg: int, price: int, qty: int) -> None:
    order = Order("x", "BTCUSDT", leg, Role.ENTRY, 1, price, qty)
    assert tally(orders, UNIT).and_entry(leg, qty * price * UNIT) == tally([*orders, order], UNIT)
