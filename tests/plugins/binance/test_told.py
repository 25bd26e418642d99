"""What was told: each fact once, in whatever order answers and events come."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hedgegridd.heart.orders import client_id
from hedgegridd.model import Accepted, Amended, Cancelled, Fill, Leg, Order, Rejected, Role
from plugins._binance.clock import AHEAD_MS, Clock, mono_ms
from plugins._binance.shapes import scale
from plugins._binance.told import Told

BTC = "BTCUSDT"
NAME = client_id(BTC, Leg.LONG, Role.ENTRY, 500_000, 1)
STOP = client_id(BTC, Leg.LONG, Role.STOP, 450_000, 2)


def told() -> tuple[Told, list[Any]]:
    log: list[Any] = []
    return Told(log.append, Clock(), {BTC: scale(BTC, Decimal("0.1"), Decimal("0.001"))}), log


def order(name: str = NAME, role: int = Role.ENTRY, side: int = 1) -> Order:
    return Order(name, BTC, 0, role, side, 500_000, 6)


def fill(trade: str, qty: int = 2, name: str = NAME, side: int = 1) -> Fill:
    return Fill(BTC, 1, 0, side, 500_000, qty, 0.1, True, name, "9", trade)


def test_an_acceptance_is_told_once_by_whichever_is_first() -> None:
    it, log = told()
    it.sent(order())
    it.accepted(NAME, "9", 1)
    it.accepted(NAME, "9", 1)
    it.fill(fill("1", 6))
    it.finished(NAME, 1)
    it.accepted(NAME, "9", 1)
    assert [type(event) for event in log] == [Accepted, Fill]
    assert it.names["9"] == NAME and not it.live


def test_an_order_of_an_earlier_life_is_taken_up_by_its_name() -> None:
    it, log = told()
    it.accepted(STOP, "77", 1)
    assert it.live[STOP].side == -1 and it.live[STOP].price == 450_000 and it.stops(BTC, 0) and not it.stops(BTC, 0, STOP)
    it.accepted("web_1", "5", 1)
    assert len(log) == 1


def test_a_stop_that_filled_is_told_over() -> None:
    it, log = told()
    it.sent(order(STOP, Role.STOP, -1))
    it.finished(STOP, 5)
    it.cancelled(STOP, 5, "again")
    assert [event.reason for event in log] == ["stop filled"]


def test_an_amend_is_told_once_unless_asked_for() -> None:
    it, log = told()
    it.sent(order())
    it.amended(NAME, 1, 9)
    it.amended(NAME, 1, 9)
    it.amended(NAME, 1, 9, asked=True)
    it.amended("unknown", 1, 9)
    assert [type(event) for event in log] == [Amended] * 3


def test_a_refused_amend_leaves_the_order() -> None:
    it, log = told()
    it.sent(order())
    it.accepted(NAME, "9", 1)
    it.rejected(NAME, -4164, "x")
    assert NAME in it.live and isinstance(log[-1], Rejected)
    it.cancelled(NAME, 1, "cancelled")
    it.cancelled(NAME, 1, "cancelled")
    it.cancelled(NAME, 1, "unknown", again=True)
    assert [event.reason for event in log if isinstance(event, Cancelled)] == ["cancelled", "unknown"]


def test_a_fee_in_another_coin_is_counted_and_not_charged() -> None:
    it, log = told()
    it.fill(fill("1"), "BNB")
    assert log[0].fee == 0.0 and it.odd_fees == 1


def test_others_orders_are_known_until_a_list_does_not_show_them() -> None:
    it, _ = told()
    foreign = Order("web_1", BTC, 0, 0, 1, 5, 5)
    it.listed([BTC], [foreign, order()._replace(state=2, order_id="9")], 100)
    assert set(it.foreign[BTC]) == {"web_1"} and NAME in it.live and it.classic() == {BTC: {NAME}}
    it.foreign[BTC]["web_2"] = 250  # heard while the next lists were read
    it.listed([BTC], [], 200)
    assert set(it.foreign[BTC]) == {"web_2"}
    it.drop_unlisted(set(), it.clock.now() + 1)
    assert not it.live


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 5), st.sampled_from([1, -1])), max_size=60))
def test_each_execution_counts_once(events: list[tuple[int, int, int]]) -> None:
    it, log = told()
    first: dict[int, int] = {}
    for trade, qty, side in events:
        news = it.fill(fill(str(trade), qty, side=side))
        assert news == (qty > 0 and trade not in first)
        if news:
            first[trade] = qty * side
    assert it.held.get((BTC, 0), 0) == sum(first.values()) and len(log) == len(first)
    assert it.newest.get(BTC, 0) == max(first, default=0)


def test_the_clock_runs_on_and_moments_far_ahead_are_now() -> None:
    clock = Clock()
    sent = mono_ms()
    clock.measured(1_000_000_000_000.0, sent, sent + 10)
    assert abs(clock.now() - 1_000_000_000_000) < 50 and clock.known
    now = clock.now()
    assert clock.believable(now - 5_000) == now - 5_000
    assert abs(clock.believable(now + AHEAD_MS + 500) - now) < 50 and abs(clock.believable(0) - now) < 50
