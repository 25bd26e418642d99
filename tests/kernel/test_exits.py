"""Open lots: keys, take-profits, stops, and that nothing is lost and nothing closes more than is held."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.kernel import exits
from hedgegridd.kernel.exits import LOTS, ExitParams
from hedgegridd.model import Leg, Role, new_wish

PARAMS = ExitParams(50.0, 2, 1, 5, 1, 10**9)
THREE = PARAMS._replace(tp_levels=3)
LONG, SHORT = int(Leg.LONG), int(Leg.SHORT)


def rows(params, lots, leg, held, entry, center=0):
    wish = new_wish()
    exits.hold(params, lots, leg, held, entry, center, 10, wish)
    count = wish.count[0]
    return list(zip(wish.role[:count], wish.price[:count], wish.qty[:count], strict=True))


def profits(params, lots, leg, held, entry):
    return [(price, qty) for role, price, qty in rows(params, lots, leg, held, entry) if role == Role.TAKE_PROFIT]


def test_a_fill_gets_its_take_profit_and_the_leg_one_stop():
    lots = exits.new_lots()
    exits.add(PARAMS, lots, LONG, 100_000, 30, 30)
    exits.add(PARAMS, lots, LONG, 99_500, 33, 33)
    assert rows(PARAMS, lots, LONG, 63, 99_738.0, center=100_500) == [
        (Role.STOP, 94_972, 63),  # one step outside the deepest of ten rungs: further than five steps from the entry
        (Role.TAKE_PROFIT, 101_000, 30),
        (Role.TAKE_PROFIT, 100_495, 33),
    ]
    exits.add(PARAMS, lots, SHORT, 100_000, 5, 5)
    assert rows(PARAMS, lots, SHORT, 5, 100_000.0, center=99_500) == [(Role.STOP, 104_973, 5), (Role.TAKE_PROFIT, 99_000, 5)]


def test_a_partial_fill_adds_to_its_lot_and_a_take_profit_empties_it():
    lots = exits.new_lots()
    exits.add(PARAMS, lots, LONG, 100_000, 10, 30)
    exits.add(PARAMS, lots, LONG, 100_000, 20, 99)
    at = exits.find(lots, LONG, 100_000)
    assert lots.lot[at + exits.TARGET] == 30
    assert lots.lot[at + exits.ENTERED] == 30
    exits.take(lots, LONG, 101_000, 29)
    assert exits.find(lots, LONG, 100_000) == at
    exits.take(lots, LONG, 101_000, 1)
    assert exits.find(lots, LONG, 100_000) == -1


def test_levels_split_equally_and_equal_prices_merge():
    lots = exits.new_lots()
    exits.add(THREE, lots, LONG, 100_000, 11, 11)
    exits.add(THREE, lots, LONG, 99_502, 2, 2)  # its second level lies where the first lot's first one does
    assert exits.exit_price(THREE, LONG, 99_502, 1) == 100_995
    assert profits(THREE, lots, LONG, 13, 99_900.0) == [(101_000, 4), (101_500, 4), (102_000, 3), (100_497, 1), (100_995, 1)]
    lots = exits.new_lots()
    exits.add(PARAMS, lots, SHORT, 100_000, 1, 1)
    exits.add(PARAMS, lots, SHORT, 100_001, 2, 2)
    assert [qty for _, qty in profits(PARAMS._replace(step_bps=0.001), lots, SHORT, 3, 100_000.0)] == [1, 2]
    lots = exits.new_lots()
    for price in (5, 6):
        exits.add(PARAMS._replace(step_bps=1500.0), lots, SHORT, price, 1, 1)
    assert profits(PARAMS._replace(step_bps=1500.0), lots, SHORT, 2, 5.5) == [(4, 2)]


def test_too_small_parts_are_not_ordered_but_stay_known():
    params = THREE._replace(min_qty=5)
    lots = exits.new_lots()
    exits.add(params, lots, LONG, 100_000, 11, 11)
    assert [qty for _, qty in profits(params, lots, LONG, 11, 1e5)] == [6, 5]
    exits.take(lots, LONG, 0, 8)
    assert [row[0] for row in rows(params, lots, LONG, 3, 1e5)] == [Role.STOP]
    assert exits.leg_qty(lots, LONG) == 3


def test_the_unexplained_leaves_from_the_average_entry_and_the_surplus_goes():
    lots = exits.new_lots()
    assert rows(PARAMS, lots, LONG, 40, 100_000.4) == [(Role.STOP, 94_500, 40), (Role.TAKE_PROFIT, 101_000, 40)]
    assert profits(PARAMS, lots, LONG, 15, 100_000.4) == [(101_000, 15)]
    assert rows(PARAMS, lots, LONG, 0, 0.0) == []
    assert exits.open_lots(lots, LONG) == 0
    assert exits.floor(lots, LONG) == 0


def test_the_stop_never_moves_away_while_the_leg_is_held():
    lots = exits.new_lots()
    exits.add(PARAMS, lots, LONG, 99_500, 10, 10)
    assert rows(PARAMS, lots, LONG, 10, 99_500.0, center=100_000)[0][1] == 94_500
    exits.make_idle(lots, LONG)
    exits.tighten(PARAMS, lots, LONG, 96_000, 10)
    assert not exits.is_idle(lots, LONG)
    assert rows(PARAMS, lots, LONG, 10, 99_500.0, center=96_000)[0][1] == 94_500
    exits.tighten(PARAMS, lots, LONG, 101_000, 10)
    assert rows(PARAMS, lots, LONG, 10, 99_500.0, center=101_000)[0][1] == 95_445
    exits.tighten(PARAMS, lots, SHORT, 101_000, 10)
    assert exits.floor(lots, SHORT) == 0


def test_held_quantity_is_never_forgotten_when_there_is_no_room():
    lots = exits.new_lots()
    for k in range(LOTS + 5):
        exits.add(PARAMS, lots, SHORT, 100_000 + k, 1, 1)
    assert exits.open_lots(lots, SHORT) == LOTS
    assert exits.leg_qty(lots, SHORT) == LOTS + 5
    assert exits.open_lots(lots, LONG) == 0


@pytest.mark.parametrize("params", [PARAMS, THREE])
@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), leg=st.sampled_from([LONG, SHORT]))
def test_closers_equal_what_is_held_whatever_happens(params, seed, leg):
    rng, lots, held, entry = random.Random(seed), exits.new_lots(), 0, 0.0
    for _ in range(60):
        what = rng.choice("eeettsa")
        before = profits(params, lots, leg, held, entry)
        if what == "e":
            price, qty = rng.randrange(95_000, 105_000, 500), rng.randint(1, 50)
            entry = (entry * held + price * qty) / (held + qty)
            held += qty
            exits.add(params, lots, leg, price, qty, qty)
        elif what == "t" and before:
            price, qty = rng.choice(before)
            qty = rng.randint(1, qty)
            held -= qty
            exits.take(lots, leg, price, qty)
        elif held:  # a stop in parts, or somebody else's hand
            held = rng.randint(0, held + (5 if what == "a" else 0))
        after = rows(params, lots, leg, held, entry)
        stops = [row for row in after if row[0] == Role.STOP]
        exit_qty = [row[2] for row in after if row[0] == Role.TAKE_PROFIT]
        assert sum(exit_qty) == held == exits.leg_qty(lots, leg)
        assert len({row[:2] for row in after}) == len(after)
        assert len(stops) == (1 if held else 0)
        assert all(stop[2] == held and (stop[1] < entry) == (leg == LONG) for stop in stops)
        assert after == rows(params, lots, leg, held, entry)
