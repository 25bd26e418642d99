"""The plan from wish and orders: the fewest requests, one order a rung, no leg without its stop on the way."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.kernel.diff import Action, diff, new_plan, new_resting
from hedgegridd.model import Leg, OrderState, Role, entry_side, new_wish

L, S = Leg.LONG, Leg.SHORT
E, T, P = Role.ENTRY, Role.TAKE_PROFIT, Role.STOP
LIVE, SENT, UNKNOWN, PENDING = OrderState.LIVE, OrderState.SENT, OrderState.UNKNOWN, OrderState.PENDING
Rung = tuple[int, int, int, int]  # leg, role, price, qty
Own = tuple[int, int, int, int, int]  # .. and state


def plan(wished: list[Rung], orders: list[Own], bps: float = 0.0, pct: float = 0.0) -> list[tuple[Action, int, int]]:
    wish, resting, out = new_wish(64), new_resting(64), new_plan(128)
    for row, (leg, role, price, qty) in enumerate(wished):
        wish.leg[row], wish.role[row], wish.price[row], wish.qty[row] = leg, role, price, qty
    for row, (leg, role, price, remaining, state) in enumerate(orders):
        resting.leg[row], resting.role[row], resting.price[row] = leg, role, price
        resting.remaining[row], resting.state[row] = remaining, state
    wish.count[0], resting.count[0] = len(wished), len(orders)
    rows = diff(wish, resting, bps, pct, out)
    assert rows == out.count[0]
    return [(Action(out.action[row]), out.row[row], out.qty[row]) for row in range(rows)]


def test_nothing_to_do() -> None:
    assert plan([], []) == []
    assert plan([(L, E, 99, 5), (S, E, 101, 5)], [(S, E, 101, 5, LIVE), (L, E, 99, 5, LIVE)]) == []


def test_place_cancel_amend_in_that_order() -> None:
    wished = [(L, E, 99, 5), (L, E, 98, 7)]
    assert plan(wished, [(L, E, 98, 6, LIVE), (L, E, 97, 5, LIVE)]) == [
        (Action.CANCEL, 1, 0),
        (Action.AMEND, 0, 7),
        (Action.PLACE, 0, 5),
    ]


def test_leg_and_role_are_part_of_the_key() -> None:
    assert plan([(L, E, 99, 5)], [(S, T, 99, 5, LIVE)]) == [(Action.CANCEL, 0, 0), (Action.PLACE, 0, 5)]


def test_an_unsettled_order_holds_its_rung() -> None:
    for state in (PENDING, SENT, UNKNOWN):
        assert plan([(L, E, 99, 5)], [(L, E, 99, 3, state)]) == []  # no second order, no amend
        assert plan([], [(L, E, 99, 3, state)]) == []  # no cancel either


def test_tolerances() -> None:
    assert plan([(L, E, 10_000, 100)], [(L, E, 10_001, 104, LIVE)], bps=1.0, pct=5.0) == []
    assert plan([(L, E, 10_000, 100)], [(L, E, 10_002, 100, LIVE)], bps=1.0) == [(Action.CANCEL, 0, 0), (Action.PLACE, 0, 100)]
    assert plan([(L, E, 10_000, 100)], [(L, E, 10_000, 94, LIVE)], pct=5.0) == [(Action.AMEND, 0, 100)]
    assert plan([(L, E, 10_000, 100)], [(L, E, 10_001, 50, SENT)], bps=1.0) == []  # near and unsettled: wait


def test_the_exact_order_is_preferred_to_a_near_one_and_the_nearest_to_a_nearer() -> None:
    orders: list[Own] = [(L, E, 10_001, 5, LIVE), (L, E, 10_000, 5, LIVE)]
    assert plan([(L, E, 10_000, 5)], orders, bps=5.0) == [(Action.CANCEL, 0, 0)]
    orders = [(L, E, 10_002, 5, LIVE), (L, E, 10_001, 5, LIVE)]
    assert plan([(L, E, 10_000, 5)], orders, bps=5.0) == [(Action.CANCEL, 0, 0)]


def test_places_go_stop_take_profit_then_entries_from_the_nearest() -> None:
    wished: list[Rung] = [(L, E, 97, 1), (S, E, 103, 1), (L, E, 99, 1), (S, E, 101, 1), (L, T, 105, 1), (L, P, 90, 1)]
    assert [row for _, row, _ in plan(wished, [])] == [5, 4, 2, 3, 0, 1]


def test_amends_that_shrink_go_before_those_that_grow() -> None:
    wished: list[Rung] = [(L, T, 105, 8), (L, T, 106, 2)]
    assert plan(wished, [(L, T, 105, 5, LIVE), (L, T, 106, 5, LIVE)]) == [(Action.AMEND, 1, 2), (Action.AMEND, 0, 8)]


def test_a_stop_is_replaced_place_first() -> None:
    old, new = (L, P, 90, 5, LIVE), (L, P, 92, 5)
    assert plan([new], [old]) == [(Action.PLACE, 0, 5)]
    assert plan([new], [old, (L, P, 92, 5, SENT)]) == []
    assert plan([new], [old, (L, P, 92, 5, LIVE)]) == [(Action.CANCEL, 0, 0)]
    assert plan([], [old]) == [(Action.CANCEL, 0, 0)]  # an empty leg needs none
    assert plan([(S, P, 110, 5)], [old, (S, P, 110, 5, LIVE)]) == [(Action.CANCEL, 0, 0)]


def test_a_stop_is_never_amended() -> None:
    assert plan([(L, P, 90, 50)], [(L, P, 90, 5, LIVE)]) == []


def test_a_rung_of_no_quantity_is_not_wished() -> None:
    assert plan([(L, E, 99, 0)], [(L, E, 99, 5, LIVE)]) == [(Action.CANCEL, 0, 0)]


keys = st.tuples(st.sampled_from([L, S]), st.sampled_from([E, T, P]), st.integers(95, 105))
wishes = st.dictionaries(keys, st.integers(1, 9), max_size=12)
owns = st.dictionaries(keys, st.tuples(st.integers(1, 9), st.sampled_from([LIVE, LIVE, SENT, UNKNOWN])), max_size=12)
tolerances = st.sampled_from([(0.0, 0.0), (0.0, 20.0), (150.0, 20.0)])


@given(wishes, owns, tolerances)
@settings(max_examples=200)
def test_plans_are_lawful_and_end(wished: dict, own: dict, tolerance: tuple[float, float]) -> None:
    """Only live orders are touched, a leg with a stop keeps one, no rung gets a second order, and three rounds settle it all."""
    rungs: list[Rung] = [(*key, qty) for key, qty in wished.items()]
    orders: list[Own] = [(*key, qty, state) for key, (qty, state) in own.items()]
    for turn in range(4):
        steps = plan(rungs, orders, *tolerance)
        actions = [action for action, _, _ in steps]
        assert actions == sorted(actions)
        assert all(orders[row][4] == LIVE for action, row, _ in steps if action != Action.PLACE)
        gone = [row for action, row, _ in steps if action == Action.CANCEL]
        for leg in (L, S):
            wants = any(r[0] == leg and r[1] == P for r in rungs)
            rests = [row for row, o in enumerate(orders) if o[0] == leg and o[1] == P and o[4] == LIVE]
            assert not (wants and rests and set(rests) <= set(gone))
        orders = [
            (*o[:3], next((qty for a, r, qty in steps if a == Action.AMEND and r == row), o[3]), LIVE)
            for row, o in enumerate(orders)
            if row not in gone
        ]
        orders += [(*rungs[row][:3], qty, LIVE) for action, row, qty in steps if action == Action.PLACE]
        assert len({o[:3] for o in orders}) == len(orders)
        if turn == 3:
            assert steps == []
    assert {(o[0], o[1]) for o in orders} == {(r[0], r[1]) for r in rungs}
    assert len(orders) == len(rungs)


@given(st.lists(st.tuples(st.sampled_from([L, S]), st.integers(1, 40)), unique=True, max_size=40))
@settings(max_examples=60)
def test_entries_of_a_leg_are_placed_nearest_first(entries: list[tuple[Leg, int]]) -> None:
    wished: list[Rung] = [(leg, E, 1000 - entry_side(leg) * step, 1) for leg, step in entries]
    for leg in (L, S):
        prices = [wished[row][2] for _, row, _ in plan(wished, []) if wished[row][0] == leg]
        assert prices == sorted(prices, reverse=leg == L)
