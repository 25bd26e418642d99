"""What a later life tells the exchange: the newest trade, the newest income, and the bars between."""

from __future__ import annotations

from rig import MINUTE, START, Rig, hold, steady

from hedgegridd.live.memory import account_of, missed, newest
from hedgegridd.model import Bar, Fill, Transfer


def bar(minute: int) -> Bar:
    return Bar("BTCUSDT", minute * MINUTE, 1, 1, 1, 1, 1, MINUTE)


def test_bars_that_join_on_are_the_newer_ones() -> None:
    assert missed(bar(3), (bar(2), bar(3), bar(4), bar(5))) == ((bar(4), bar(5)), True)
    assert missed(bar(5), (bar(4), bar(5))) == ((), True)


def test_bars_that_do_not_join_on_are_learnt_from_anew() -> None:
    assert missed(bar(1), (bar(4), bar(5))) == ((bar(4), bar(5)), False)


def test_the_trade_before_which_none_is_missing_and_the_newest_income() -> None:
    rig = steady(Rig().start())
    assert newest(rig.engine) == ({}, START), "with nothing booked yet: from where this state began"
    rig.take(Fill("BTCUSDT", rig.engine.now, 0, 1, 500_000, 1, 0.0, True, "", "7", "9007199254740993"))
    rig.take(Transfer(rig.engine.now, 5.0, "TRANSFER-1"))
    rig.take(Transfer(rig.engine.now, 5.0, "TRANSFER-1"))
    assert newest(rig.engine) == ({"BTCUSDT": 9007199254740992}, rig.engine.now), "no report has shown yet that none before it is missing"
    assert rig.engine.account.transfers == 5.0, "counted once"


def test_the_account_is_what_is_held_and_rests() -> None:
    rig = hold(steady(Rig().start()), "long")
    told = account_of(rig.engine)
    assert [held.qty for held in told.held] == [rig.desk().books.long_qty]
    assert {order.client_id for order in told.orders} == set(rig.desk().orders.open)
