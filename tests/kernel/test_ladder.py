"""The ladders: geometry, monotony, filters, and the whole leg as `check` will find it."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.kernel import ladder
from hedgegridd.kernel.ladder import LONG, MAX_LEVELS, SHORT, GridParams
from hedgegridd.model import new_wish

PARAMS = GridParams(50.0, 10, 10, 100.0, 1.1, 500.0, 1, 10**9, 5.0, 1e-5, 0)


def rungs(params, center, leg):
    grid = ladder.new_grid()
    ladder.build(params, center, grid)
    first, count = leg * MAX_LEVELS, ladder.levels(params, leg)
    return list(zip(grid.price[first : first + count], grid.size[first : first + count], strict=True))


def test_the_documents_grid():
    longs, shorts = rungs(PARAMS, 1_000_000, LONG), rungs(PARAMS, 1_000_000, SHORT)
    assert [price for price, _ in longs] == [1_000_000 - 5000 * k for k in range(1, 11)]
    assert [price for price, _ in shorts] == [1_000_000 + 5000 * k for k in range(1, 11)]
    assert [size for _, size in longs] == pytest.approx([100 * 1.1**k for k in range(10)])
    # 003's default grid fills to 0.159 coins a leg: floored to lots of 0.0001 it is two lots less
    assert ladder.whole_leg(PARAMS, LONG) == sum(int(100 * 1.1**k + 1e-9) for k in range(10)) == 1591


@settings(max_examples=50)
@given(st.integers(2, 10**8), st.floats(0.1, 200), st.integers(1, 49), st.integers(0, 50), st.floats(0.5, 1.5))
def test_ladders_are_monotone_geometric_and_repeatable(center, step, levels_long, levels_short, scale):
    params = PARAMS._replace(step_bps=step, levels_long=levels_long, levels_short=levels_short, qty_scale=scale)
    longs, shorts = rungs(params, center, LONG), rungs(params, center, SHORT)
    assert (longs, shorts) == (rungs(params, center, LONG), rungs(params, center, SHORT))
    assert len(longs) == levels_long
    assert len(shorts) == levels_short
    real = [price for price, _ in longs if price > 0]
    assert all(a > b for a, b in zip([center, *real], real, strict=False))
    assert all(b[0] > a[0] for a, b in zip([(center, 0), *shorts], shorts, strict=False))
    for ladder_ in (longs, shorts):
        assert all(b[1] == a[1] * scale for a, b in itertools.pairwise(ladder_))


def test_building_forgets_what_was_asked():
    grid = ladder.new_grid()
    grid.asked[3] = 7
    ladder.build(PARAMS, 1_000_000, grid)
    assert not any(grid.asked)
    grid.asked[MAX_LEVELS : MAX_LEVELS + 10] = range(1, 11)
    ladder.withdraw(grid, SHORT, 4, 10)
    assert grid.asked[MAX_LEVELS : MAX_LEVELS + 10] == [1, 2, 3, 4, 0, 0, 0, 0, 0, 0]
    assert ladder.find(PARAMS, grid, SHORT, 1_005_000) == MAX_LEVELS
    assert ladder.find(PARAMS, grid, LONG, 1_005_000) == -1


@given(st.floats(0, 1e6), st.integers(1, 10**7))
def test_no_entry_passes_that_a_filter_would_refuse(qty, price):
    params = PARAMS._replace(min_qty=3, max_qty=5000)
    lots = ladder.legal(params, ladder.whole_lots(params, qty), price)
    assert lots == 0 or (3 <= lots <= min(qty + 1e-6, 5000) and lots * price * params.unit >= params.min_notional)


def test_a_float_does_not_lose_a_lot():
    assert ladder.whole_lots(PARAMS, 0.3 / 0.1) == 3


@pytest.mark.parametrize(
    ("center", "mid", "after"), [(0, 123, 123), (10_000, 10_499, 10_000), (10_000, 10_500, 10_500), (10_000, 9500, 9500)]
)
def test_recenter(center, mid, after):
    assert ladder.recenter(PARAMS, center, mid) == after


def test_a_full_wish_takes_no_more():
    wish = new_wish(2)
    for price in (5, 6, 7):
        ladder.put(wish, LONG, 0, price, 1)
    assert wish.count == [2]
    assert wish.price == [5, 6]
