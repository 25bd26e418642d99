"""The paper exchange: what it answers, that its money adds up, and that a restart changes nothing."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import plugin_module

from hedgegridd.errors import ConfigError
from hedgegridd.kernel import ledger
from hedgegridd.model import (
    Accepted,
    Amended,
    Bar,
    Cancelled,
    FeedEnd,
    Fill,
    Funding,
    FundingPaid,
    Gap,
    Held,
    Instrument,
    Leg,
    Mark,
    Order,
    OrderState,
    Quote,
    Rejected,
    Report,
    Role,
    Trade,
    Transfer,
    entry_side,
)

paper = plugin_module("exchange_paper")
L, S = Leg.LONG, Leg.SHORT
E, T, P, C = Role.ENTRY, Role.TAKE_PROFIT, Role.STOP, Role.CLOSE
MIN = 60_000
BTC = Instrument(0.1, 0.001, 1, 10_000, 800, 5.0, 2.0, 5.0, 20.0, 0.4)  # one lot at 1000 ticks: 0.1 USDT
UNIT = BTC.unit


class Desk:
    """A paper exchange and everything it said."""

    def __init__(self, *symbols: str, balance: float = 10_000.0, model: str = "touch", slippage: float = 0.0, share: float = 10.0,
                 latency: float = 0.0) -> None:  # fmt: skip
        self.told: list[Any] = []
        self.exchange = paper.PaperExchange()
        self.instruments = dict.fromkeys(symbols or ("BTC",), BTC)
        self.settings = SimpleNamespace(
            starting_balance_usdt=balance, fill_model=model, slippage_bps=slippage, queue_share_pct=share, latency_ms=latency
        )
        self.exchange.start(self.told.append, self.instruments, self.settings)
        self.minute = 0

    def take(self) -> list[Any]:
        told, self.told[:] = list(self.told), []
        return told

    def bar(self, low: int, high: int, close: int, opened: int | None = None, symbol: str = "BTC", volume: int = 0) -> list[Any]:
        self.minute += 1
        self.exchange.market(Bar(symbol, self.minute * MIN, close if opened is None else opened, high, low, close, volume, MIN))
        return self.take()

    def place(self, *orders: Order) -> list[Any]:
        self.exchange.place(orders)
        return self.take()

    def report(self) -> Report:
        self.exchange.report()
        return self.take()[-1]

    def hold(self, leg: Leg, qty: int, price: int) -> None:
        """Buy or sell `qty` at `price`; leaves the market there."""
        away = price + entry_side(leg)
        self.bar(away, away, away)
        assert isinstance(self.place(order(f"hold-{leg}-{self.minute}", leg, E, price, qty))[0], Accepted)
        assert [type(event) for event in self.bar(price, price, price)] == [Fill]


def order(name: str, leg: Leg, role: Role, price: int, qty: int, symbol: str = "BTC", side: int | None = None) -> Order:
    right = entry_side(leg) if role == E else -entry_side(leg)
    return Order(name, symbol, leg, role, right if side is None else side, price, qty)


def code(told: list[Any]) -> int:
    assert len(told) == 1 and isinstance(told[0], Rejected) and told[0].reason
    return int(told[0].code)


# --- answers ------------------------------------------------------------------------------------------------------------


def test_an_order_of_this_bar_works_from_the_next() -> None:
    desk = Desk()
    desk.bar(9_000, 11_000, 10_000)
    accepted = desk.place(order("a", L, E, 9_900, 100))
    assert accepted == [Accepted("a", "p-a", MIN)]
    fill = desk.bar(9_900, 10_000, 9_950)
    assert fill == [Fill("BTC", 2 * MIN, 0, 1, 9_900, 100, pytest.approx(9_900 * 100 * UNIT * 2e-4), True, "a", "p-a", "p-a-100")]
    assert desk.report().orders == ()


def test_an_order_placed_within_a_bar_does_not_meet_that_bar() -> None:
    desk = Desk()
    desk.bar(10_000, 10_000, 10_000)
    desk.exchange.market(Mark("BTC", MIN + 30_000, 10_000.0))
    desk.place(order("a", L, E, 9_900, 100))
    assert desk.bar(9_000, 10_000, 9_950) == []
    assert [event.client_id for event in desk.bar(9_000, 10_000, 9_950)] == ["a"]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (order("x", L, E, 10_000, 100), -5022),
        (order("x", S, E, 10_000, 100), -5022),
        (order("x", L, T, 9_999, 10), -5022),
        (order("x", L, E, 9_900, 0), -1111),
        (order("x", L, E, -1, 100), -1111),
        (order("x", L, E, 9_900, 4), -4164),
        (order("x", L, E, 9_900, 10_001), -4005),
        (order("x", L, C, 0, 801), -2022),
        (order("x", L, C, 0, 101), -2022),
        (order("x", L, T, 10_100, 101), -2022),
        (order("x", S, C, 0, 1), -2022),
        (order("x", S, P, 10_100, 1), -4509),
        (order("x", L, P, 10_000, 100), -2021),
        (order("held", L, E, 9_900, 100), -4116),
        (order("x", L, E, 9_900, 100, symbol="ETH"), -1121),
        (order("x", L, E, 9_900, 100, side=-1), -4061),
    ],
)
def test_refusals(wanted: Order, expected: int) -> None:
    desk = Desk()
    desk.hold(L, 100, 10_000)
    desk.place(order("held", L, E, 9_000, 100))
    assert code(desk.place(wanted)) == expected


def test_a_refusal_for_margin_counts_the_orders_of_the_same_batch() -> None:
    desk = Desk(balance=100.0)  # x 20 = 2000 USDT = 2000 lots at 10,000 ticks
    desk.bar(10_001, 10_001, 10_001)
    told = desk.place(*(order(f"o{n}", L, E, 10_000, 900) for n in range(3)))
    assert [type(event) for event in told] == [Accepted, Accepted, Rejected]
    assert told[-1].code == -2019


def test_a_market_close_needs_pieces_of_the_largest_market_order_and_a_price() -> None:
    desk = Desk()
    desk.hold(L, 1000, 10_000)
    assert code(desk.place(order("all", L, C, 0, 801))) == -4005
    accepted, fill = desk.place(order("some", L, C, 0, 800))
    assert isinstance(accepted, Accepted) and (fill.qty, fill.maker, fill.trade_id) == (800, False, "p-some-800")
    fresh = Desk()
    fresh.exchange.restore(desk.report())
    assert code(fresh.place(order("rest", L, C, 0, 200))) == -4131


def test_a_close_with_a_price_gets_what_is_there_and_ends() -> None:
    desk = Desk(slippage=0.0)
    desk.hold(L, 1000, 10_000)
    desk.exchange.market(Quote("BTC", desk.exchange.now, 9_998, 30, 10_002, 5))
    accepted, fill, gone = desk.place(order("some", L, C, 9_990, 900))  # more than the largest market order: it is a limit order
    assert isinstance(accepted, Accepted) and isinstance(gone, Cancelled) and "immediate" in gone.reason
    assert (fill.price, fill.qty, fill.maker) == (9_998, 30, False)
    assert [type(event) for event in desk.place(order("none", L, C, 9_999, 100))] == [Accepted, Cancelled]
    assert [type(event) for event in desk.place(order("all", L, C, 9_998, 20))] == [Accepted, Fill]
    assert not desk.report().orders


def test_slippage_and_taker_fee() -> None:
    desk = Desk(slippage=5.0)
    desk.hold(S, 100, 10_000)
    desk.exchange.market(Quote("BTC", desk.exchange.now, 9_998, 1, 10_002, 1))
    fill = desk.place(order("out", S, C, 0, 100))[1]
    assert fill.price == 10_002 + 6  # 5.001 ticks round against us
    assert fill.fee == pytest.approx(10_008 * 100 * UNIT * 5e-4)


def test_a_market_close_knocks_out_closers_beyond_the_position_and_the_last_takes_the_stop() -> None:
    desk = Desk()
    desk.hold(L, 100, 10_000)
    desk.place(
        order("tp1", L, T, 10_100, 60), order("tp2", L, T, 10_200, 40), order("stop", L, P, 9_000, 100), order("in", L, E, 9_900, 50)
    )
    told = desk.place(order("half", L, C, 0, 50))
    assert told[2:] == [
        Cancelled("tp2", desk.exchange.now, "reduce-only knocked out"),
        Cancelled("tp1", desk.exchange.now, "reduce-only knocked out"),
    ]
    told = desk.place(order("rest", L, C, 0, 50))
    assert told[2:] == [Cancelled("stop", desk.exchange.now, "position closed")]
    assert [order.client_id for order in desk.report().orders] == ["in"]


def test_the_last_take_profit_takes_the_stop_with_it() -> None:
    desk = Desk()
    desk.hold(L, 100, 10_000)
    desk.place(order("tp", L, T, 10_100, 100), order("stop", L, P, 9_000, 100))
    fill, gone = desk.bar(10_000, 10_100, 10_050)
    assert fill.client_id == "tp" and gone == Cancelled("stop", desk.exchange.now, "position closed")


def test_a_stop_closes_the_leg_and_is_reported_over() -> None:
    desk = Desk(slippage=10.0)
    desk.hold(S, 100, 10_000)
    desk.place(order("stop", S, P, 10_200, 1), order("tp", S, T, 9_000, 100))
    fill, stop, other = desk.bar(10_000, 10_300, 10_250, opened=10_000)
    assert (fill.client_id, fill.qty, fill.price, fill.maker) == ("stop", 100, 10_200 + 11, False)
    assert (stop, other) == (Cancelled("stop", fill.time, "stop filled"), Cancelled("tp", fill.time, "position closed"))


def test_stops_follow_marks_where_marks_arrive() -> None:
    desk = Desk()
    desk.hold(L, 100, 10_000)
    desk.exchange.market(Mark("BTC", desk.exchange.now, 10_000.0))
    desk.place(order("stop", L, P, 9_900, 100))
    assert desk.bar(9_000, 10_000, 10_000) == []
    desk.exchange.market(Mark("BTC", desk.exchange.now + 1, 9_900.5))
    assert desk.take() == []
    desk.exchange.market(Mark("BTC", desk.exchange.now + 1, 9_899.5))
    assert [type(event) for event in desk.take()] == [Fill, Cancelled]


def test_where_trades_arrive_bars_only_inform() -> None:
    desk = Desk(model="trade_through")
    desk.bar(10_000, 10_000, 10_000)
    desk.exchange.market(Trade("BTC", desk.exchange.now, 10_000, 5, True))
    desk.place(order("a", L, E, 9_900, 100))
    assert desk.bar(9_000, 10_000, 9_950) == []
    desk.exchange.market(Trade("BTC", desk.exchange.now + 1, 9_900, 5, True))
    assert desk.take() == []
    desk.exchange.market(Trade("BTC", desk.exchange.now + 1, 9_899, 5, True))
    assert [event.qty for event in desk.take()] == [100]


def test_partial_fills_in_the_queue_model_have_ids_of_their_own() -> None:
    desk = Desk(model="queue")
    desk.exchange.market(Trade("BTC", 1, 10_000, 5, True))
    desk.place(order("a", L, E, 9_900, 100))
    for qty in (30, 50, 90):
        desk.exchange.market(Trade("BTC", 2, 9_899, qty, True))
    assert [(fill.qty, fill.trade_id) for fill in desk.take()] == [(30, "p-a-30"), (50, "p-a-80"), (20, "p-a-100")]


def test_in_the_queue_model_quotes_shorten_the_queue_and_bars_measure_it_where_there_are_none() -> None:
    desk = Desk(model="queue")
    desk.exchange.market(Quote("BTC", 1_000, 9_999, 80, 10_001, 80))
    desk.place(order("a", L, E, 9_999, 100))
    desk.exchange.market(Quote("BTC", 1_100, 9_999, 30, 10_001, 80))
    desk.exchange.market(Trade("BTC", 1_200, 9_999, 35, True))
    assert [fill.qty for fill in desk.take()] == [5]
    for volume, filled in ((0, []), (200, [15])):
        desk = Desk(model="queue")
        desk.exchange.market(Trade("BTC", MIN - 1, 10_000, 5, True))
        desk.bar(10_000, 10_000, 10_000, volume=volume)
        desk.place(order("a", L, E, 9_999, 100))
        desk.exchange.market(Trade("BTC", MIN + 100, 9_999, 35, True))
        assert [fill.qty for fill in desk.take()] == filled


def test_quotes_fill_too() -> None:
    desk = Desk()
    desk.exchange.market(Quote("BTC", 1, 9_999, 1, 10_001, 1))
    desk.place(order("a", L, E, 9_999, 100), order("b", S, E, 10_001, 100))
    desk.exchange.market(Quote("BTC", 2, 9_990, 1, 9_999, 1))
    assert [event.client_id for event in desk.take()] == ["a"]
    desk.exchange.market(Quote("BTC", 3, 0, 0, 10_005, 1))  # one side empty tells nothing
    assert desk.take() == []


# --- latency ------------------------------------------------------------------------------------------------------------


def test_with_latency_an_order_misses_the_bar_that_opens_just_now() -> None:
    for latency, bar in ((0.0, 2), (0.5, 3), (60_000.0, 3), (60_000.5, 4)):
        desk = Desk(latency=latency)
        desk.bar(10_000, 10_000, 10_000)
        assert desk.place(order("a", L, E, 9_900, 100)) == [Accepted("a", "p-a", MIN)]  # the answer is not late
        told = [event for _ in range(4) for event in desk.bar(9_000, 10_000, 10_000)]
        assert [(event.client_id, event.time) for event in told] == [("a", bar * MIN)], latency


def test_with_latency_trades_quotes_and_marks_on_the_way_are_missed() -> None:
    desk = Desk(latency=50.0)
    desk.exchange.market(Quote("BTC", 1_000, 9_999, 1, 10_001, 1))
    desk.place(order("a", L, E, 9_990, 100), order("b", S, E, 10_010, 100))
    desk.exchange.market(Trade("BTC", 1_049, 9_990, 5, True))
    desk.exchange.market(Quote("BTC", 1_049, 10_010, 1, 10_011, 1))
    assert desk.take() == []
    desk.exchange.market(Trade("BTC", 1_050, 9_990, 5, True))
    desk.exchange.market(Quote("BTC", 1_050, 10_010, 1, 10_011, 1))
    assert [(event.client_id, event.time) for event in desk.take()] == [("a", 1_050), ("b", 1_050)]


def test_with_latency_a_stop_is_late_and_fills_where_it_finds_the_market() -> None:
    desk = Desk(latency=50.0)
    desk.exchange.restore(Report(0, 10_000.0, (Held("BTC", 0, 100, 10_000.0),), ()))
    desk.bar(10_000, 10_000, 10_000)
    desk.place(order("stop", L, P, 9_900, 100))
    assert desk.bar(9_000, 10_000, 9_950) == []
    fill, over = desk.bar(9_400, 9_600, 9_500, opened=9_600)
    assert (fill.client_id, fill.price, fill.maker) == ("stop", 9_600, False) and isinstance(over, Cancelled)


def test_with_latency_a_stop_on_marks_is_late_too() -> None:
    desk = Desk(latency=50.0)
    desk.exchange.restore(Report(0, 10_000.0, (Held("BTC", 0, 100, 10_000.0),), ()))
    desk.exchange.market(Mark("BTC", 1_000, 10_000.0))
    desk.place(order("stop", L, P, 9_900, 100))
    desk.exchange.market(Mark("BTC", 1_049, 9_800.0))
    assert desk.take() == []
    desk.exchange.market(Mark("BTC", 1_050, 9_700.0))
    assert [event.price for event in desk.take() if isinstance(event, Fill)] == [9_700]


def test_latency_delays_neither_cancels_nor_amends_nor_market_closes() -> None:
    desk = Desk(latency=60_000.0)
    desk.exchange.restore(Report(MIN, 10_000.0, (Held("BTC", 0, 100, 10_000.0),), ()))
    desk.minute = 1
    desk.bar(10_000, 10_000, 10_000)
    doomed = order("a", L, E, 9_900, 100)
    desk.place(doomed)
    desk.exchange.amend("a", 50)
    desk.exchange.cancel([doomed])
    assert desk.take() == [Amended("a", 2 * MIN, 50), Cancelled("a", 2 * MIN, "cancelled")]
    accepted, fill = desk.place(order("out", L, C, 0, 100))
    assert isinstance(accepted, Accepted) and (fill.time, fill.qty) == (2 * MIN, 100)


def test_what_is_left_of_an_orders_way_outlives_a_restart() -> None:
    """The report names the time of placing, as the heart's journal does; the rest of the way is reckoned from it."""
    desk = Desk(latency=50.0)
    desk.exchange.market(Trade("BTC", 1_000, 10_000, 5, True))
    desk.place(order("a", L, E, 9_990, 100))
    report = desk.report()
    assert [one.time for one in report.orders] == [1_000]
    second = Desk(latency=50.0)
    second.exchange.restore(report, [Trade("BTC", 1_000, 10_000, 5, True)])
    for one in (desk, second):
        one.exchange.market(Trade("BTC", 1_049, 9_990, 5, True))
        assert one.take() == []
        one.exchange.market(Trade("BTC", 1_050, 9_990, 5, True))
        assert [event.time for event in one.take()] == [1_050]


# --- amend and cancel ---------------------------------------------------------------------------------------------------


def test_amend() -> None:
    desk = Desk(model="queue")
    desk.exchange.market(Trade("BTC", 1, 10_000, 5, True))
    desk.place(order("a", L, E, 9_900, 100))
    desk.exchange.market(Trade("BTC", 2, 9_899, 30, True))
    desk.take()
    desk.exchange.amend("a", 50)
    assert desk.take() == [Amended("a", 2, 50)]
    assert [(o.qty, o.filled) for o in desk.report().orders] == [(50, 30)]
    desk.exchange.amend("a", 20_000)
    assert code(desk.take()) == -4005
    desk.exchange.amend("nobody", 5)
    assert code(desk.take()) == -2013
    desk.exchange.amend("a", 30)
    assert desk.take() == [Cancelled("a", 2, "cancelled")]
    assert desk.report().orders == ()


def test_cancel() -> None:
    desk = Desk()
    desk.bar(10_000, 10_000, 10_000)
    a, b = order("a", L, E, 9_900, 100), order("b", S, E, 10_100, 100)
    desk.place(a, b)
    desk.exchange.cancel([a, a, order("c", L, E, 1, 1)])
    assert desk.take() == [Cancelled("a", MIN, "cancelled"), Cancelled("a", MIN, "unknown"), Cancelled("c", MIN, "unknown")]
    assert [event.client_id for event in desk.bar(9_000, 11_000, 10_000)] == ["b"]


# --- money --------------------------------------------------------------------------------------------------------------


def test_funding_is_paid_by_the_long_and_received_by_the_short() -> None:
    desk = Desk()
    desk.hold(L, 100, 10_000)
    desk.hold(S, 50, 10_000)
    desk.exchange.market(Mark("BTC", desk.exchange.now, 10_100.0))
    desk.exchange.market(Funding("BTC", desk.exchange.now + 1, 0.001, 8 * 60 * MIN))
    paid = desk.take()
    assert [(event.leg, event.amount) for event in paid] == [
        (0, pytest.approx(0.001 * 100 * 10_100 * UNIT)),
        (1, pytest.approx(-0.0005 * 100 * 10_100 * UNIT)),
    ]
    assert all(isinstance(event, FundingPaid) for event in paid)


def test_a_transfer_moves_the_wallet() -> None:
    desk = Desk()
    desk.exchange.transfer(-250.0)
    assert desk.take() == [Transfer(0, -250.0)]
    assert desk.report().wallet == 9_750.0 == desk.exchange.equity


def test_liquidation_takes_every_symbol() -> None:
    desk = Desk("BTC", "ETH", balance=50.0)
    desk.hold(L, 900, 10_000)
    for step in (1, 2):
        desk.exchange.market(Bar("ETH", desk.exchange.now + step, 5_000, 5_000, 5_000, 5_000, 0, 1))
    desk.place(order("e", L, E, 4_000, 20, symbol="ETH"))
    told = desk.bar(8_000, 10_000, 9_000)
    fill = told[0]
    assert (fill.reason, fill.qty, fill.leg, fill.client_id[:9]) == ("liquidation", 900, 0, "autoclose")
    assert told[1:] == [Cancelled("e", fill.time, "liquidation")]
    assert desk.report().orders == () and all(held.qty == 0 for held in desk.report().held)


def test_what_one_symbol_loses_brings_the_others_liquidation_nearer() -> None:
    for fall, died in ((4_990, False), (2_700, True)):
        desk = Desk("BTC", "ETH", balance=150.0)
        desk.hold(L, 500, 10_000)
        now = desk.exchange.now
        desk.exchange.market(Bar("ETH", now, 5_001, 5_001, 5_001, 5_001, 0, 1))
        desk.place(order("e", L, E, 5_000, 600, symbol="ETH"))
        desk.exchange.market(Bar("ETH", now + 1, 5_000, 5_000, 5_000, 5_000, 0, 1))
        desk.take()
        desk.exchange.market(Bar("ETH", now + 2, fall, fall, fall, fall, 0, 1))
        told = desk.take() + desk.bar(9_800, 10_000, 9_900)
        assert any(isinstance(event, Fill) and event.reason == "liquidation" for event in told) == died
        assert not died or all(held.qty == 0 for held in desk.report().held)


def test_events_it_has_no_use_for() -> None:
    desk = Desk()
    desk.exchange.market(Gap("BTC", 5, 1))
    desk.exchange.market(FeedEnd(9))
    desk.exchange.market(Bar("OTHER", 9, 1, 1, 1, 1, 0, MIN))
    desk.exchange.stop()
    assert desk.take() == []


def test_an_unknown_fill_model_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"exchange\.paper\.fill_model.*'guess'.*trade_through"):
        Desk(model="guess")


def test_its_defaults_are_settings() -> None:
    exchange = paper.PaperExchange()
    exchange.start(print, {"BTC": BTC}, exchange.Settings())
    assert (exchange.wallet, exchange.Settings.fill_model, exchange.orders_cost_network) == (10_000.0, "trade_through", False)


# --- a whole life -------------------------------------------------------------------------------------------------------


def weather(seed: int, length: int, marks: bool) -> Iterator[Any]:
    """A deterministic market of two symbols."""
    chance, price = random.Random(seed), {"BTC": 10_000, "ETH": 5_000}
    for minute in range(1, length):
        for symbol in price:
            opened = price[symbol]
            close = max(500, opened + chance.randint(-80, 80))
            if marks:
                yield Mark(symbol, minute * MIN - 30_000, (opened + close) / 2)
            high, low = max(opened, close) + chance.randint(0, 40), min(opened, close) - chance.randint(0, 40)
            yield Bar(symbol, minute * MIN, opened, high, low, close, 500, MIN)
            price[symbol] = close
        if minute % 8 == 0:
            yield Funding("BTC", minute * MIN, chance.choice([-1e-3, 1e-3]), 8 * MIN)


class Trader:
    """Posts, cancels and closes at random, from a generator of its own for each minute, so that it may be resumed anywhere."""

    def __init__(self, desk: Desk, seed: int) -> None:
        self.desk, self.seed, self.story = desk, seed, []

    def see(self, event: Any) -> None:
        exchange = self.desk.exchange
        exchange.market(event)
        self.story += self.desk.take()
        if not isinstance(event, Bar):
            return
        chance = random.Random(f"{self.seed} {event.time} {event.symbol}")
        for n in range(3):
            leg, role = chance.choice([L, S]), chance.choice([E, E, T, P, C])
            side = entry_side(leg) if role in (E, P) else -entry_side(leg)
            price = 0 if role == C else event.close - side * chance.randint(-3, 120)
            exchange.place([order(f"{event.symbol}{event.time}-{n}", leg, role, price, chance.randint(1, 300), symbol=event.symbol)])
        self.story += self.desk.take()
        resting = self.desk.report().orders if chance.random() < 0.3 else ()
        if resting:
            doomed = chance.choice(resting)
            exchange.cancel([doomed]) if chance.random() < 0.5 else exchange.amend(doomed.client_id, doomed.qty + chance.randint(-5, 20))
        self.story += self.desk.take()


lives = st.tuples(
    st.integers(0, 10_000),
    st.sampled_from(["touch", "trade_through", "queue"]),
    st.booleans(),
    st.sampled_from([200.0, 1e5]),
    st.sampled_from([0.0, 0.0, 40.5, 45_000.0]),
)
Life = tuple[int, str, bool, float, float]


@given(lives)
@settings(max_examples=25, deadline=None)
def test_money_adds_up_and_equal_lives_are_equal(life: Life) -> None:
    seed, model, marks, balance, latency = life
    traders = [Trader(Desk("BTC", "ETH", balance=balance, model=model, slippage=3.0, latency=latency), seed) for _ in range(2)]
    for trader in traders:
        for event in weather(seed, 60, marks):
            trader.see(event)
    trader = traders[0]
    assert trader.story == traders[1].story
    books = {symbol: ledger.new_books() for symbol in ("BTC", "ETH")}
    ids = set()
    for event in trader.story:
        if isinstance(event, Fill):
            books[event.symbol] = ledger.fill(books[event.symbol], UNIT, event.leg, event.side, event.price, event.qty, event.fee)
            assert ledger.held(books[event.symbol], event.leg) >= 0
            assert event.trade_id not in ids
            ids.add(event.trade_id)
        elif isinstance(event, FundingPaid):
            books[event.symbol] = ledger.pay_funding(books[event.symbol], event.amount)
    report = trader.desk.report()
    assert report.wallet == pytest.approx(balance + sum(ledger.net(one) for one in books.values()), rel=1e-9)
    for held in report.held:
        assert (held.qty, held.entry) == (ledger.held(books[held.symbol], held.leg), ledger.entry(books[held.symbol], held.leg))
    over = {event.client_id for event in trader.story if isinstance(event, Cancelled)}
    assert not over & {one.client_id for one in report.orders}
    assert all(one.state == OrderState.LIVE for one in report.orders)


@given(lives, st.integers(1, 170))
@settings(max_examples=40, deadline=None)
def test_a_restart_changes_nothing(life: Life, cut: int) -> None:
    """An account taken up from its report says from then on what the uninterrupted one says, ids included."""
    seed, model, marks, balance, latency = life
    model = "touch" if model == "queue" else model  # a place in a queue is the one thing a restart loses
    path = list(weather(seed, 60, marks))
    whole = Trader(Desk("BTC", "ETH", balance=balance, model=model, slippage=3.0, latency=latency), seed)
    for event in path[:cut]:
        whole.see(event)
    report = whole.desk.report()
    second = Desk("BTC", "ETH", balance=1.0, model=model, slippage=3.0, latency=latency)
    seen = [event for event in path[:cut] if not isinstance(event, Funding)][-6:]
    second.exchange.restore(report, seen)
    assert second.take() == [] and second.report().orders == report.orders and second.report().held == report.held
    resumed = Trader(second, seed)
    whole.story.clear()
    for event in path[cut:]:
        whole.see(event)
        resumed.see(event)
    assert [loose(event) for event in resumed.story] == [loose(event) for event in whole.story]


def loose(event: Any) -> Any:
    """Sums of money that passed through another order of additions, to nine digits."""
    return event._replace(amount=float(f"{event.amount:.9g}")) if isinstance(event, FundingPaid) else event


def test_restore_takes_up_foreign_quantities_and_drops_what_it_does_not_trade() -> None:
    desk = Desk()
    desk.minute = 1
    held = (Held("BTC", 0, 7, 9_000.5), Held("OLD", 0, 3, 1.0))
    resting = (order("a", L, E, 8_000, 100)._replace(filled=40, time=5), order("b", L, C, 0, 7), order("c", L, E, 1, 1, symbol="OLD"))
    desk.exchange.restore(Report(77, 123.0, held, resting))
    report = desk.report()
    assert (report.time, report.wallet) == (77, 123.0)
    assert report.held == (Held("BTC", 0, 7, 9_000.5), Held("BTC", 1, 0, 0.0))
    assert [(one.client_id, one.filled, one.order_id) for one in report.orders] == [("a", 40, "p-a")]
    assert code(desk.place(order("a", L, E, 8_000, 100))) == -4116
    fill = desk.bar(7_000, 9_000, 8_500)[0]
    assert (fill.qty, fill.trade_id) == (60, "p-a-100")


def test_a_quiet_bar_costs_next_to_nothing() -> None:
    """20 us is the aim; the bound is wide, it only catches work that grows with the book."""
    desk = Desk(balance=1e6)
    desk.hold(L, 100, 10_000)
    desk.place(*(order(f"l{n}", L, E, 9_000 - n, 100) for n in range(20)), *(order(f"s{n}", S, E, 11_000 + n, 100) for n in range(20)))
    bars = [Bar("BTC", desk.exchange.now + n * MIN, 10_000, 10_100, 9_900, 10_000, 5, MIN) for n in range(2_000)]
    desk.take()
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for bar in bars:
            desk.exchange.market(bar)
        best = min(best, time.perf_counter() - began)
    assert desk.take() == []
    assert best / len(bars) < 200e-6
