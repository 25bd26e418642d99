"""The desk: knows its symbol, asks its strategy, and says what should rest."""

from __future__ import annotations

import json
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from rig import BARS, START, Rig, calm, hold, settle

from hedgegridd.heart.desk import REFUSED_MAX_MS, pack, rows, unpack
from hedgegridd.kernel.ledger import Books
from hedgegridd.model import Bar, Leg, Mark, Order, Quote, Role

HANDS_ON = (False, False)


class Kept(NamedTuple):
    """The shape of a strategy's state."""

    books: Books
    column: list[int]
    count: int  # type: ignore[assignment]


@given(st.lists(st.integers(-5, 5)), st.floats(-5, 5))
def test_a_state_packed_and_unpacked_is_itself(column: list[int], number: float) -> None:
    value = Kept(Books(1, number, 2, 0.0, 0.0, 0.0, 0.0), column, 7)
    assert unpack(value, json.loads(json.dumps(pack(value)))) == value


def test_a_restart_knows_all_that_a_desk_knew() -> None:
    rig = hold(calm(), "long", "short")
    settle(rig)
    rig.verb("pause", leg="short")
    rig.verb("throttle", factor=0.5)
    desk, other = rig.desk(), Rig(rig.config).desk()
    other.load(json.loads(json.dumps(desk.dump())))
    assert other.dump() == desk.dump() and [one.shut for one in other.standing] == [False, True] and other.throttle == [0.5, 0.5]
    assert rows(other.wish) == rows(desk.wish)


def test_each_held_leg_is_wished_one_stop_and_its_profits() -> None:
    desk = hold(calm(), "long", "short").desk()
    for leg in (Leg.LONG, Leg.SHORT):
        stops = [row for row in rows(desk.wish) if row[:2] == (leg, Role.STOP)]
        profits = [row for row in rows(desk.wish) if row[:2] == (leg, Role.TAKE_PROFIT)]
        assert len(stops) == 1 and sum(row[3] for row in profits) == desk.held(leg)


def test_what_is_held_back_says_why() -> None:
    rig = hold(calm(), "long")
    desk = rig.desk()
    desk.shape(("a reason", ""), HANDS_ON, rig.engine.now)
    assert {row[4] for row in desk.withheld} == {"a reason"} and all(row[:2] == (Leg.LONG, Role.ENTRY) for row in desk.withheld)
    wanted = rows(desk.wanted)
    assert any(row[1] == Role.STOP for row in wanted) and any(row[:2] == (Leg.SHORT, Role.ENTRY) for row in wanted)


def test_a_leg_in_a_flatten_s_hands_is_left_alone() -> None:
    rig = hold(calm(), "long")
    rig.desk().shape(("", ""), (True, False), rig.engine.now)
    assert all(row[0] == Leg.SHORT for row in rows(rig.desk().wanted))


def test_a_refused_rung_waits_twice_as_long_each_time() -> None:
    desk = calm().desk()
    order = Order("x", "BTCUSDT", 0, Role.ENTRY, 1, 497_500, 2)
    waits = []
    for _ in range(9):
        desk.refused(order, "no", 0)
        waits.append(desk.refusals[(0, Role.ENTRY, 497_500)].until)
    assert waits[:3] == [1_000, 2_000, 4_000] and waits[-1] == REFUSED_MAX_MS


def test_basis_is_mark_against_index_and_unknown_without_one() -> None:
    """Row 40, E33."""
    desk = Rig().desk()
    assert desk.basis_bps() is None
    desk.see_mark(Mark("BTCUSDT", 1, 500_500.0))
    assert desk.basis_bps() is None
    desk.see_mark(Mark("BTCUSDT", 2, 500_500.0, 500_000.0))
    assert desk.basis_bps() == 10.0


def test_funding_cost_is_counted_from_the_leg_s_opening() -> None:
    rig = hold(calm(), "long")
    settle(rig, 0.001)
    assert rig.desk().funding_cost[0] > 0
    rig.bars([502_600], reach=0)
    assert not rig.desk().books.long_qty
    rig.bars([497_490], reach=0)
    assert rig.desk().books.long_qty and rig.desk().funding_cost[0] == 0.0


def test_openers_never_cross_the_market() -> None:
    desk = calm().desk()
    desk.see_bar(Bar("BTCUSDT", 1, 490_000, 490_000, 490_000, 490_000, 1, 60_000))
    desk.shape(("", ""), HANDS_ON, 0)
    assert all(row[2] < 490_000 for row in rows(desk.wanted) if row[:2] == (Leg.LONG, Role.ENTRY))
    assert any("would take" in row[4] for row in desk.withheld)


def test_dormant_only_with_nothing_at_risk() -> None:
    rig = Rig().start()
    assert rig.desk().dormant(rig.engine.now)
    rig = calm()
    assert not rig.desk().dormant(rig.engine.now + 10**9), "orders rest"


def test_a_price_that_moved_after_the_mark_does_not_make_the_data_doubtful() -> None:
    """A mark a second, quotes at once: what breakers compare is of one moment."""
    rig = Rig(carries=BARS | {"marks", "quotes", "index"}).start()
    desk = rig.desk()
    rig.market(Quote("BTCUSDT", START + 1_000, 499_999, 1, 500_001, 1))
    rig.market(Mark("BTCUSDT", START + 1_100, 500_010.0))
    rig.market(Quote("BTCUSDT", START + 1_200, 509_999, 1, 510_001, 1))
    view = desk.view(rig.engine.now, 1_000)
    assert (view.last_price, view.mark_price) == (50_000.0, 50_001.0)
    rig.market(Mark("BTCUSDT", START + 2_100, 510_010.0))
    assert desk.view(rig.engine.now, 1_000).last_price == 51_000.0


def test_the_close_of_a_bar_that_ended_long_ago_does_not_make_the_data_doubtful() -> None:
    """At a start the last bar of the history is all that traded, and the market has moved on since."""
    rig = Rig(carries=BARS | {"marks", "quotes", "index"}).start()
    desk = rig.desk()
    desk.see_bar(Bar("BTCUSDT", START, 500_000, 500_000, 500_000, 500_000, 1, 60_000))
    rig.market(Mark("BTCUSDT", START + 1_000, 510_000.0))
    assert desk.view(rig.engine.now, 1_000).last_price == 50_000.0, "it ended only now"
    rig.market(Mark("BTCUSDT", START + 40_000, 520_000.0))
    assert desk.view(rig.engine.now, 1_000).last_price is None
    rig.market(Quote("BTCUSDT", START + 41_000, 499_999, 1, 500_001, 1))
    rig.market(Mark("BTCUSDT", START + 90_000, 520_000.0))
    assert desk.view(rig.engine.now, 1_000).last_price == 50_000.0, "a quote stands until another comes"
