"""How a leg is closed: what each method wants at each moment, and that every one of them ends."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig import BARS, Rig, check, config_of, steady

from hedgegridd.heart import closing
from hedgegridd.heart.closing import Way, Work
from hedgegridd.model import Cancelled, Fill, Leg, Order, Quote, Rejected, Role, Stopping

WORK = Work("BTCUSDT", Leg.LONG, closing.MARKET, 1_000, 100, 500_000.0, 0.1, 0.001, 0, 0.05)
SLOW = Way(closing.IOC, 0.01, 5, 10_000)
METHODS = (closing.MARKET, closing.IOC, closing.LIMIT, closing.TWAP, closing.VWAP)


def wanted(method: str, elapsed: int, traded: int = 0) -> tuple[float, float | None]:
    return tuple(closing.pace(SLOW, replace(WORK, method=method), WORK.begun + elapsed, traded))


@pytest.mark.parametrize(
    ("method", "elapsed", "traded", "pace"),
    [
        (closing.MARKET, 0, 0, (1.0, None)),
        (closing.IOC, 0, 0, (1.0, 0.01)),
        (closing.IOC, 9_999, 0, (1.0, 0.01)),
        (closing.LIMIT, 0, 0, (1.0, 0.0)),
        (closing.LIMIT, 4_000, 0, (1.0, 0.005)),
        (closing.LIMIT, 9_000, 0, (1.0, 0.01)),
        (closing.TWAP, 0, 0, (0.2, 0.01)),
        (closing.TWAP, 3_999, 0, (0.4, 0.01)),
        (closing.TWAP, 8_000, 0, (1.0, 0.01)),
        (closing.VWAP, 0, 0, (0.0, 0.01)),
        (closing.VWAP, 1_000, 250, (0.5, 0.01)),  # half of what usually trades in 10 s has traded already
        (closing.VWAP, 1_000, 9_000, (1.0, 0.01)),
        (closing.VWAP, 6_000, 0, (0.6, 0.01)),  # a dead market: one slice behind the clock
    ],
)
def test_the_pace_of_each_method(method: str, elapsed: int, traded: int, pace: tuple[float, float | None]) -> None:
    assert wanted(method, elapsed, traded) == pytest.approx(pace)


@given(st.sampled_from(METHODS), st.integers(0, 60_000), st.integers(0, 10_000), st.integers(1, 50), st.integers(1, 30_000))
def test_every_method_wants_more_and_more_and_ends_at_market(method: str, elapsed: int, traded: int, steps: int, over: int) -> None:
    way, work = Way(method, 0.01, steps, over), replace(WORK, method=method)
    now, later = (closing.pace(way, work, work.begun + at, traded) for at in (elapsed, elapsed + 500))
    assert 0 <= now.share <= later.share <= 1
    assert now.bound is None or later.bound is None or now.bound <= later.bound <= way.slippage + 1e-12
    assert closing.pace(way, work, work.begun + over, 0) == (1.0, None)


def test_volume_that_nobody_knows_is_not_waited_for() -> None:
    unknown = replace(WORK, method=closing.VWAP, usual=0.0)
    assert closing.pace(SLOW, unknown, unknown.begun + 2_000, 10**9).share == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("leg", "bound", "mark", "quote", "price"),
    [
        (Leg.LONG, None, 1_000.0, None, 0),
        (Leg.LONG, 0.01, None, None, 0),  # no mark: no bound can be had, and a flatten does not wait for one
        (Leg.LONG, 0.01, 1_000.0, None, 990),
        (Leg.SHORT, 0.01, 1_000.0, None, 1_010),
        (Leg.LONG, 0.0, 1_000.0, Quote("X", 1, 998, 5, 1_001, 5), 998),
        (Leg.SHORT, 0.0, 1_000.0, Quote("X", 1, 998, 5, 1_001, 5), 1_001),
        (Leg.LONG, 0.01, 1_000.0, Quote("X", 1, 995, 5, 1_001, 5), 990),  # never further from the mark than the bound
        (Leg.LONG, 0.0, 1_000.0, Quote("X", 1, 950, 5, 1_001, 5), 990),  # not even where nobody buys there
        (Leg.SHORT, 0.01, 1_000.0, Quote("X", 1, 998, 5, 1_500, 5), 1_010),
    ],
)
def test_the_worst_price_of_a_piece(leg: Leg, bound: float | None, mark: float | None, quote: Quote | None, price: int) -> None:
    assert closing.worst_price(leg, bound, 0.01, mark, quote) == price


@given(st.sampled_from(Leg), st.floats(0, 0.2), st.floats(10, 1e6), st.integers(1, 10**6), st.integers(0, 10**4))
def test_no_piece_costs_more_than_the_bound(leg: Leg, bound: float, mark: float, bid: int, spread: int) -> None:
    price = closing.worst_price(leg, bound, 0.2, mark, Quote("X", 1, bid, 1, bid + spread, 1))
    if leg == Leg.LONG:
        assert price >= math.floor(mark * 0.8)
    else:
        assert price <= math.ceil(mark * 1.2)


@pytest.mark.parametrize(
    ("quote", "method"),
    [
        (Quote("X", 1, 100_000, 500, 100_010, 500), closing.MARKET),
        (Quote("X", 1, 100_000, 99, 100_010, 500), closing.LIMIT),  # less is shown than the leg holds
        (Quote("X", 1, 100_000, 500, 100_500, 500), closing.LIMIT),  # too wide
        (Quote("X", 1, 0, 0, 100_500, 500), closing.LIMIT),
        (None, closing.LIMIT),  # not known is not liquid
    ],
)
def test_auto_asks_the_book(quote: Quote | None, method: str) -> None:
    way = Way(closing.AUTO, 0.01, 5, 10_000, 5.0)
    found, why = closing.chosen(way, 100, Leg.LONG, quote)
    assert found == method
    assert set(why) == {"spread_bps", "shown"}


def test_a_certificate_in_plain_units() -> None:
    work = replace(WORK, orders=2)
    for price, qty in ((499_000, 60), (498_000, 40)):
        work.book(Fill("BTCUSDT", 3_500, Leg.LONG, -1, price, qty, 0.5, False, "a", "b", "c"), -1.25)
    told = closing.certified(work)
    assert (told["leg"], told["method"], told["qty"], told["orders"], told["seconds"]) == ("long", "market", 0.1, 2, 2.5)
    assert (told["price"], told["mark_price"]) == (pytest.approx(49_860.0), 50_000.0)
    assert (told["slippage_bps"], told["slippage_usdt"]) == (pytest.approx(28.0), pytest.approx(14.0))
    assert (told["fees_usdt"], told["realized_pnl_usdt"]) == (1.0, -2.5)
    empty = closing.certified(replace(WORK, mark=None))
    assert (empty["price"], empty["slippage_bps"], empty["slippage_usdt"]) == (None, None, None)


def test_a_certificate_does_not_pass_over_what_no_fill_told() -> None:
    rig = thin(use_market_orders=True)
    held, books = rig.desk().held(Leg.LONG), rig.exchange.pits["BTCUSDT"]
    rig.exchange.place = lambda orders: None  # they leave, and nothing is heard of them
    rig.verb("activate", reason="x")
    books.books = books.books._replace(long_qty=0, short_qty=0)
    for _ in range(10):
        rig.timer(1)
    (flat,) = rig.of("flat")
    long = next(row for row in flat["certificate"]["legs"] if row["leg"] == "long")
    assert (long["qty"], long["unheard_qty"], long["price"]) == (0.0, pytest.approx(held * 0.001), None)
    rows = closing.certified(replace(WORK, closed=60)), closing.certified(replace(WORK, closed=100))
    assert [row["unheard_qty"] for row in rows] == [0.04, 0.0]


# --- through the whole heart, on a book that shows little ------------------------------------------------------------------


def thin(shown: int = 1, **flatten: Any) -> Rig:
    """Both legs held; the best price shows `shown` lots on either side."""
    tables = {"use_market_orders": False, "over_seconds": 10.0, "deadline_seconds": 30.0, **flatten}
    rig = steady(Rig(config_of(flatten=tables), carries=BARS | {"quotes"}).start())
    rig.bars([500_000], reach=6_400)
    desk = rig.desk()
    assert min(desk.held(Leg.LONG), desk.held(Leg.SHORT)) >= 2
    rig.market(quoted(rig, 499_999, shown, 500_001, shown))
    return rig


def quoted(rig: Rig, bid: int, bid_qty: int, ask: int, ask_qty: int) -> Quote:
    return Quote("BTCUSDT", rig.engine.now, bid, bid_qty, ask, ask_qty)


def closes(rig: Rig, leg: int = Leg.LONG) -> list[Order]:
    return [order for order in rig.sent if order.role == Role.CLOSE and order.leg == leg]


def ends_flat(rig: Rig, seconds: int = 20) -> None:
    for _ in range(seconds):
        rig.timer(1)
    assert (rig.desk().held(0), rig.desk().held(1)) == (0, 0)
    assert rig.engine.kill.phase == "flat"
    check(rig)


@pytest.mark.parametrize("method", ["ioc", "limit", "twap", "vwap", "auto"])
def test_every_method_closes_within_its_bound_and_then_at_market(method: str) -> None:
    rig = thin(method=method)
    rig.verb("activate", reason="x")
    ends_flat(rig)
    for leg in Leg:
        prices = [order.price for order in closes(rig, leg)]
        assert prices[0] > 0, "bounded first"
        assert all(price == 0 for price in prices[prices.index(0) :]) if 0 in prices else True
        assert all(494_000 <= price <= 506_000 for price in prices if price), "a hundredth of the mark, which moves with what trades"
    (flat,) = rig.of("flat")
    legs = {row["leg"]: row for row in flat["certificate"]["legs"]}
    assert set(legs) == {"long", "short"}
    for fills in ([act for act in rig.of("fill") if act["role"] == Role.CLOSE and act["leg"] == leg] for leg in Leg):
        told = legs["long" if fills[0]["leg"] == Leg.LONG else "short"]
        assert told["qty"] == pytest.approx(sum(fill["qty"] for fill in fills) * 0.001)
        assert told["fees_usdt"] == pytest.approx(sum(fill["fee"] for fill in fills))
        assert told["realized_pnl_usdt"] == pytest.approx(sum(fill["realized"] for fill in fills))
    assert flat["certificate"]["proof"]["begun_at"] <= flat["certificate"]["proof"]["heard_at"] == rig.engine.flattens[-1].done_at


def test_a_bounded_close_is_not_hammered() -> None:
    rig = thin(method="ioc", steps=5)
    rig.verb("activate", reason="x")
    for _ in range(19):
        rig.timer(0.1)
    assert len(closes(rig)) == 1, "one piece a step of two seconds"
    rig.timer(0.2)
    assert len(closes(rig)) == 2


def test_a_price_beyond_the_bound_is_waited_for_and_then_taken() -> None:
    rig = thin(shown=10**6, method="ioc", max_slippage_pct=0.05)
    rig.engine.desks["BTCUSDT"].mark = 510_000.0  # the book is 2 % below the mark: a long would be sold badly
    rig.engine.desks["BTCUSDT"].carries_marks = True
    rig.verb("activate", reason="x")
    rig.timer(4)
    assert rig.desk().held(Leg.LONG), "not at this price"
    assert rig.desk().held(Leg.SHORT) == 0, "the short is bought back cheaply"
    assert rig.desk().stop(Leg.LONG) is not None, "its stop protects it meanwhile"
    ends_flat(rig)
    assert [bool(order.price) for order in closes(rig)][-1] is False


def test_a_refused_bound_is_followed_by_the_market_at_once() -> None:
    rig = thin(method="ioc")
    rig.refuse = lambda order: -4024 if order.role == Role.CLOSE and order.price else 0
    rig.verb("activate", reason="x")
    rig.timer(1)
    rig.timer(1)
    assert (rig.desk().held(0), rig.desk().held(1)) == (0, 0), "long before its ten seconds are over"


@pytest.mark.parametrize("code", [-4118, -2022, -1003, -1008])
def test_a_refusal_that_is_not_the_pieces_fault_does_not_give_up_its_bound(code: int) -> None:
    rig = thin(shown=10**6, method="ioc")
    codes = iter([code, code])
    rig.refuse = lambda order: next(codes, 0) if order.role == Role.CLOSE else 0
    rig.verb("activate", reason="x")
    ends_flat(rig)
    assert all(order.price for leg in Leg for order in closes(rig, leg))


def test_a_bounded_piece_waits_for_the_take_profits_that_close_the_same() -> None:
    rig = thin(shown=10**6, method="ioc")
    assert rig.resting(Role.TAKE_PROFIT)
    held_back = [True]
    rig.lose = lambda effect: held_back[0] and type(effect).__name__ == "Cancel"
    rig.verb("activate", reason="x")
    rig.timer(1)
    assert not closes(rig)
    held_back[0] = False
    ends_flat(rig, 30)


def test_a_market_without_room_is_asked_for_less_and_less() -> None:
    rig = thin(use_market_orders=True)
    held = rig.desk().held(Leg.LONG)
    rig.refuse = lambda order: -4131 if order.role == Role.CLOSE and order.qty > 1 else 0
    rig.verb("activate", reason="x")
    ends_flat(rig, 40)
    sizes = [order.qty for order in closes(rig)]
    assert sizes[0] == held and sizes[1] == max(1, held // 2) and sizes[-1] == 1


def test_a_restart_in_the_middle_goes_on_with_its_method() -> None:
    rig = thin(method="twap")
    rig.verb("activate", reason="x")
    rig.timer(1)
    again = rig.restarted()
    ends_flat(again)
    (flat,) = again.of("flat")
    assert {row["leg"] for row in flat["certificate"]["legs"]} == {"long", "short"}


def test_slow_closing_ends_as_surely_as_a_fast_one_when_pieces_are_lost() -> None:
    rig = thin(method="ioc")
    lost = iter([True, True])
    rig.lose = lambda effect: next(lost, False)
    rig.verb("activate", reason="x")
    ends_flat(rig, 60)


def test_how_it_will_be_closed_is_told_once_a_leg() -> None:
    rig = thin(method="auto")
    rig.verb("activate", reason="x")
    ends_flat(rig)
    told = rig.of("closing")
    assert [(row["leg"], row["method"]) for row in told] == [(0, "limit"), (1, "limit")]
    assert all(row["shown"] == 1 and row["usdt"] > 0 for row in told)


def test_nothing_is_left_resting() -> None:
    rig = thin(method="limit")
    rig.verb("activate", reason="x")
    ends_flat(rig)
    done = {event.client_id for event in rig.inputs if isinstance(event, Cancelled | Rejected)}
    done |= {event.client_id for event in rig.inputs if isinstance(event, Fill)}
    assert {order.client_id for order in closes(rig)} <= done


@pytest.mark.parametrize("mark", [math.nan, math.inf, 0.0, -1.0])
def test_a_mark_that_is_no_price_closes_at_market(mark: float) -> None:
    assert [closing.worst_price(leg, 0.01, 0.02, mark, None) for leg in Leg] == [0, 0]


def test_a_close_that_protects_and_is_refused_is_sent_again_at_market() -> None:
    rig = thin(shown=10**6, method="ioc")
    rig.engine.close_leg(rig.desk(), Leg.LONG)  # as where the market is through a leg's only stop
    (close,) = rig.resting(Role.CLOSE)
    rig.take(Rejected(close.client_id, rig.engine.now, -1008, "overloaded"))
    rig.timer(1)
    assert [order.price for order in closes(rig)] == [0], "nothing else protects this leg: no bound is waited for"
    assert not rig.desk().held(Leg.LONG)


def test_a_leg_that_is_closed_slowly_is_not_left_without_a_stop() -> None:
    rig = thin(method="ioc", over_seconds=20.0)
    rig.refuse = lambda order: -1008 if order.role == Role.CLOSE else 0
    stop = rig.desk().orders.of(Leg.LONG, Role.STOP)[0]
    rig.verb("activate", reason="x")
    rig.exchange.cancel((stop,))  # another hand
    rig.drain()
    rig.timer(2)
    assert rig.desk().held(Leg.LONG) and rig.desk().stop(Leg.LONG) is not None
    rig.refuse = lambda order: 0
    ends_flat(rig, 40)


@pytest.mark.parametrize("by_kill", [True, False])
def test_a_stop_does_not_wait_for_a_better_price_until_it_is_cut_off(by_kill: bool) -> None:
    rig = thin(method="ioc", over_seconds=600.0, deadline_seconds=900.0)
    assert rig.engine.config.daemon.stop_timeout_seconds == 50
    rig.refuse = lambda order: -1008 if order.role == Role.CLOSE and order.price else 0
    if by_kill:
        rig.verb("activate", reason="x")
        rig.timer(1)
    rig.take(Stopping(rig.engine.now, not by_kill, "SIGTERM"))
    for _ in range(24):
        rig.timer(1)
    assert rig.desk().held(Leg.LONG) and not rig.engine.finished
    for _ in range(6):
        rig.timer(1)
    assert not rig.desk().held(Leg.LONG) and not rig.desk().held(Leg.SHORT) and rig.engine.finished


def test_what_fills_late_has_no_time_of_its_own() -> None:
    rig = thin(method="ioc", over_seconds=10.0, deadline_seconds=12.0)
    desk, kept = rig.desk(), rig.desk().books
    desk.books = kept._replace(short_qty=0)  # as if it had filled only later
    rig.verb("activate", reason="x")
    for _ in range(9):
        rig.timer(1)
    desk.books = desk.books._replace(short_qty=kept.short_qty)
    rig.timer(0.1)
    assert closes(rig, Leg.SHORT)[-1].price > 0, "a second is left for a better price"
    rig.timer(1)
    assert closes(rig, Leg.SHORT)[-1].price == 0, "over_seconds are the flatten's, or the deadline would come first"


def test_a_market_that_has_room_again_is_asked_for_more_again() -> None:
    work = replace(WORK, most=1, closed=0)
    for _ in range(6):
        work.book(Fill("BTCUSDT", 3_500, Leg.LONG, -1, 499_000, work.most, 0.0, False, "a", "b", "c"), 0.0)
    assert work.most == 64


def test_a_symbol_that_is_configured_no_more_does_not_keep_a_flatten_from_its_end() -> None:
    rig = thin(method="ioc")
    rig.verb("activate", reason="x")
    for flatten in rig.engine.flattens:
        flatten.scope += [("GONEUSDT", 0), ("GONEUSDT", 1)]
    ends_flat(rig)
