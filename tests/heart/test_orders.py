"""Orders: ids that tell everything, fills that count once, doubt after a restart."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgegridd.errors import StateError
from hedgegridd.heart.orders import LATE_MS, MAX_ID, Orders, client_id, parse
from hedgegridd.model import Leg, OrderState, Role

LEGAL = re.compile(r"^[\.A-Z\:/a-z0-9_-]{1,36}$")


@given(st.sampled_from(Leg), st.sampled_from(Role), st.integers(0, 10**9), st.integers(1, 36**4))
def test_an_id_says_which_rung_it_is(leg: Leg, role: Role, price: int, generation: int) -> None:
    made = client_id("BTCUSDT", leg, role, price, generation)
    assert LEGAL.match(made)
    assert parse(made) == ("BTCUSDT", leg, role, price, generation)


@given(st.text(max_size=40))
def test_any_other_text_is_foreign_or_a_whole_id(text: str) -> None:
    rung = parse(text)
    assert rung is None or text.startswith("hg-")


@pytest.mark.parametrize("text", ["", "web_abc", "hg-BTCUSDT-XE-1-1", "hg-BTCUSDT-LE-x-1", "autoclose-1", "hg-A-LE-1-1-1"])
def test_foreign_ids(text: str) -> None:
    assert parse(text) is None


def test_a_symbol_too_long_for_an_id_is_refused_by_name() -> None:
    with pytest.raises(StateError, match=str(MAX_ID)):
        client_id("A" * 30, 0, 0, 1, 1)


def test_a_fill_counts_once_and_a_full_one_ends_the_order() -> None:
    orders = Orders("BTCUSDT")
    order = orders.new(Leg.LONG, Role.ENTRY, 1, 500, 10, 0)
    assert orders.book_fill(order.client_id, "t1", 4)
    assert not orders.book_fill(order.client_id, "t1", 4), "the same trade twice"
    assert orders.open[order.client_id].filled == 4
    assert orders.book_fill(order.client_id, "t2", 6)
    assert not orders.open


def test_a_stop_is_ended_by_the_exchange_not_by_a_count() -> None:
    orders = Orders("BTCUSDT")
    stop = orders.new(Leg.LONG, Role.STOP, -1, 400, 10, 0)
    orders.book_fill(stop.client_id, "t1", 10)
    assert stop.client_id in orders.open


def test_after_a_restart_what_was_in_flight_is_unknown() -> None:
    orders = Orders("BTCUSDT")
    waiting = orders.new(0, Role.ENTRY, 1, 500, 1, 0)
    sent = orders.new(0, Role.ENTRY, 1, 400, 1, 0)
    live = orders.new(0, Role.ENTRY, 1, 300, 1, 0)
    leaving = orders.new(0, Role.ENTRY, 1, 200, 1, 0)
    orders.move(sent.client_id, OrderState.SENT)
    for one in (live, leaving):
        orders.move(one.client_id, OrderState.LIVE)
    orders.ending[leaving.client_id] = 0
    assert orders.doubt()
    states = {name: order.state for name, order in orders.open.items()}
    assert states[live.client_id] == OrderState.LIVE
    assert {states[one.client_id] for one in (waiting, sent, leaving)} == {OrderState.UNKNOWN}


def test_no_two_orders_ever_share_an_id_over_dump_and_load() -> None:
    orders = Orders("BTCUSDT")
    names = {orders.new(0, Role.ENTRY, 1, 500, 1, 0).client_id for _ in range(5)}
    other = Orders("BTCUSDT")
    other.load(orders.dump())
    assert other.dump() == orders.dump()
    assert other.new(0, Role.ENTRY, 1, 500, 1, 0).client_id not in names


def test_a_rung_keeps_the_id_of_an_order_that_may_still_arrive_though_the_next_was_refused() -> None:
    orders = Orders("BTCUSDT")
    first = orders.new(0, Role.ENTRY, 1, 100, 1, 0)
    orders.move(first.client_id, OrderState.SENT)
    orders.gone(first.client_id, late=True, now=2_500)
    again = orders.new(0, Role.ENTRY, 1, 100, 1, 3_000)
    orders.never_rested(again.client_id)
    other = Orders("BTCUSDT")
    other.load(orders.dump())
    assert again.client_id == first.client_id == other.new(0, Role.ENTRY, 1, 100, 1, 4_000).client_id


def test_an_order_that_was_lost_is_awaited_once_its_id_is_used_up_and_no_longer_than_it_can_take() -> None:
    orders = Orders("BTCUSDT")
    first = orders.new(0, Role.ENTRY, 1, 100, 1, 0)
    orders.move(first.client_id, OrderState.SENT)
    orders.gone(first.client_id, late=True, now=2_500)
    assert not orders.awaited(0, Role.ENTRY, 100), "the next has the same id: the exchange takes one of the two"
    again = orders.new(0, Role.ENTRY, 1, 100, 1, 3_000)
    orders.drop(again.client_id)
    other = Orders("BTCUSDT")
    other.load(orders.dump())
    assert other.awaited(0, Role.ENTRY, 100) == first.client_id
    assert not other.awaited(0, Role.ENTRY, 101) and not other.awaited(1, Role.ENTRY, 100)
    assert not other.await_no_more(2_500 + LATE_MS - 1) and other.await_no_more(2_500 + LATE_MS)
    assert not other.awaited(0, Role.ENTRY, 100)


def test_the_next_life_is_told_every_trade_since_the_last_that_none_is_missing_before() -> None:
    orders = Orders("BTCUSDT")
    orders.book_fill("", "5", 1)
    orders.told(1_000, 1_100)
    orders.told(1_200, 1_300)
    orders.book_fill("", "9", 1)  # the seventh was not heard
    assert orders.last_trade == 5
    orders.told(1_250, 1_400)  # begun before the ninth was heard of: it may have been read before the seventh was listed
    assert orders.last_trade == 5
    orders.book_fill("", "7", 1)
    orders.told(1_500, 1_600)
    orders.told(1_700, 1_800)
    other = Orders("BTCUSDT")
    other.load(orders.dump())
    assert orders.last_trade == other.last_trade == 9


def test_an_order_that_was_lost_and_rests_after_all_gives_its_id_to_no_other() -> None:
    orders = Orders("BTCUSDT")
    first = orders.new(0, Role.ENTRY, 1, 100, 1, 0)
    orders.move(first.client_id, OrderState.SENT)
    orders.gone(first.client_id, late=True, now=2_500)
    orders.arrived(first.client_id)
    assert orders.new(0, Role.ENTRY, 1, 100, 1, 3_000).client_id != first.client_id
