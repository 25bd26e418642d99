"""The heart where the exchange is heard over a network: what the simulation of a bad one found, each case by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rig import Rig, calm, config_of, hold, steady

from hedgegridd.heart.effects import AskReport, Cancel, Place
from hedgegridd.heart.orders import LATE_MS
from hedgegridd.live.memory import newest
from hedgegridd.model import (
    Accepted,
    Cancelled,
    DiskFailed,
    Durable,
    Fill,
    Held,
    Order,
    OrderState,
    Rejected,
    Report,
    Role,
    Stopping,
    Timer,
    Trouble,
)

WIDE = {"equity_usdt": 10_000.0, "max_exposure_pct": 400.0, "max_position_pct": 400.0}
BLIND = {"funding": {"enabled": False}, "stale_data": {"enabled": False}}


def test_a_close_that_our_own_take_profits_stand_in_the_way_of_gets_through() -> None:
    rig = hold(calm(), "long")
    stop = rig.resting(Role.STOP)[0]
    rig.refuse = lambda order: (
        -2021 if order.role == Role.STOP else -2022 if order.role == Role.CLOSE and rig.resting(Role.TAKE_PROFIT) else 0
    )
    rig.exchange.cancel((stop,))
    rig.drain()
    for _ in range(20):
        rig.timer(0.5)
    assert not rig.desk().books.long_qty
    assert rig.of("flat")


def test_a_refusal_of_an_older_request_does_not_forget_the_order_that_rests() -> None:
    rig = calm()
    resting = rig.resting(Role.ENTRY)[0]
    assert resting.state == OrderState.LIVE
    rig.take(Rejected(resting.client_id, rig.engine.now, -1021, "timestamp outside of the receive window"))
    assert rig.desk().orders.open[resting.client_id].state == OrderState.LIVE, "the report says that it rests"


def test_an_exchange_that_says_again_and_again_that_it_is_deaf_is_not_asked_as_often() -> None:
    rig = calm()
    rig.timer(2.0)
    effects = [effect for _ in range(5) for effect in rig.take_one(Trouble(rig.engine.now, "deaf", "the stream is down"))]
    assert len([effect for effect in effects if isinstance(effect, AskReport)]) == 1


def live() -> Rig:
    """A rig in live mode, as if over a network, whose grid rests."""
    rig = Rig(config_of(mode="live", exchange={"name": "paper"}, limits=WIDE, breaker=BLIND)).start()
    rig.take(Report(rig.engine.now, 10_000.0, (), ()))
    return steady(rig)


def report(rig: Rig, held: int, *orders: Order, since: int = 0, absent: tuple[str, ...] = ()) -> Report:
    """What the exchange would show of the long leg and these orders."""
    legs = (Held("BTCUSDT", 0, held, 500_000.0 if held else 0.0),)
    return Report(rig.engine.now, rig.engine.account.wallet, legs, orders, since or rig.engine.now, absent)


def test_a_stop_heard_before_the_opener_that_it_closed_is_booked_with_it() -> None:
    rig = live()
    trade = Fill("BTCUSDT", rig.engine.now, 0, 1, 500_000, 3, 0.1, True, "hg-BTCUSDT-LE-500000-zz", "", "1")
    rig.take_one(trade)
    rig.take_one(trade._replace(side=-1, price=499_000, qty=5, trade_id="3", maker=False, client_id="hg-BTCUSDT-LS-499000-zy"))
    assert rig.desk().books.long_qty == 0 and not rig.desk().halted
    assert rig.engine.gate.unsettled, "a fill is missing: no opener leaves"
    rig.take_one(trade._replace(price=499_500, qty=2, trade_id="2"))
    desk = rig.desk()
    assert (desk.books.long_qty, desk.halted, desk.owed) == (0, "", [[], []])
    assert abs(desk.books.realized - (-1_000 * 3 - 500 * 2) * desk.unit) < 1e-9


def test_what_closed_more_than_was_held_is_a_stranger_s_once_a_later_report_has_come() -> None:
    rig = live()
    rig.take_one(Fill("BTCUSDT", rig.engine.now, 0, -1, 499_000, 5, 0.1, False, "hg-BTCUSDT-LS-499000-zy", "", "3"))
    rig.timer(1.0)
    rig.take_one(report(rig, 0, *rig.desk().orders.open.values()))
    assert rig.desk().halted and rig.desk().owed == [[], []]


def test_a_stop_ends_nothing_while_the_stop_of_a_leg_is_on_its_way() -> None:
    rig = live()
    opener = max((order for order in rig.resting(Role.ENTRY) if order.leg == 0), key=lambda order: order.price)
    rig.lose = lambda effect: isinstance(effect, Place)
    rig.take(Fill("BTCUSDT", rig.engine.now, 0, 1, opener.price, opener.qty, 0.1, True, opener.client_id, "", "1"))
    rig.take(Stopping(rig.engine.now, False, "SIGTERM"))
    stop = rig.resting(Role.STOP)[0]
    assert not rig.resting(Role.ENTRY) and rig.finished is None
    rig.take(Accepted(stop.client_id, "9", rig.engine.now))
    assert rig.finished is not None


def test_openers_on_their_way_are_called_back_when_the_kill_switch_is_engaged() -> None:
    rig = live()
    opener = max((order for order in rig.resting(Role.ENTRY) if order.leg == 0), key=lambda order: order.price)
    rig.desk().orders.move(opener.client_id, OrderState.SENT)
    cancels = [effect for effect in rig.take_only("activate", reason="rumour", level="halt") if isinstance(effect, Cancel)]
    assert opener.client_id in {order.client_id for effect in cancels for order in effect.orders}


def test_an_order_just_accepted_is_not_gone_for_a_report_that_was_begun_before() -> None:
    rig = live()
    order = rig.resting(Role.ENTRY)[0]
    others = [one for one in rig.desk().orders.open.values() if one != order]
    rig.take_one(report(rig, 0, *others, absent=(order.client_id,)))
    begun = rig.engine.now + 1_500
    rig.take_one(Timer(begun + 1_000, begun + 1_000))
    rig.take_one(Accepted(order.client_id, "7", rig.engine.now))
    rig.take_one(report(rig, 0, *others, since=begun, absent=(order.client_id,)))
    assert order.client_id in rig.desk().orders.open


def lost(rig: Rig) -> Order:
    """An opener that was lost on its way, whose rung has another under its id now."""
    order, orders = rig.resting(Role.ENTRY)[0], rig.desk().orders
    orders.open[order.client_id] = order._replace(state=OrderState.UNKNOWN, order_id="")
    orders.gone(order.client_id, late=True, now=rig.engine.now)
    rig.engine.moved(rig.desk())
    rig.take_one(Timer(rig.engine.now, rig.engine.wall))
    assert orders.open[order.client_id].state == OrderState.PENDING
    return order


def deaf(rig: Rig) -> None:
    rig.take_one(Trouble(rig.engine.now, "deaf", "the account cannot be read"))
    rig.take_one(Durable(rig.engine.now, rig.engine.sync_mark))


def full(rig: Rig) -> None:
    rig.take_one(DiskFailed(rig.engine.now, rig.engine.sync_mark, "no space left on device"))


def flattened(rig: Rig) -> None:
    rig.take_only("flatten", reason="out of here")


@pytest.mark.parametrize("withdraw", [deaf, full, flattened])
def test_a_rung_keeps_the_id_of_an_order_that_may_still_arrive_though_the_next_never_left(withdraw: Callable[[Rig], None]) -> None:
    """Else both would rest: the one that came late, and another under an id of its own."""
    rig = live()
    rig.slow_disk = True
    late, orders = lost(rig), rig.desk().orders
    withdraw(rig)
    assert late.client_id not in orders.open
    assert orders.new(late.leg, late.role, late.side, late.price, late.qty, rig.engine.now).client_id == late.client_id


def test_a_rung_is_closed_while_an_order_that_was_lost_may_still_arrive_and_the_next_under_its_id_is_over() -> None:
    """The countdown took the next: the exchange would take the one that comes late, and another under an id of its own as well."""
    rig = live()
    late = lost(rig)
    rung = late.leg, late.role, late.price
    rig.take_one(Durable(rig.engine.now, rig.engine.sync_mark))
    rig.take_one(Accepted(late.client_id, "7", rig.engine.now))
    rig.take_one(Cancelled(late.client_id, rig.engine.now, "countdown"))
    assert rung not in {(order.leg, order.role, order.price) for order in rig.desk().orders.open.values()}
    assert [why for *row, _, why in rig.desk().withheld if tuple(row) == rung] == [
        f"rung {late.price}: order {late.client_id} was lost on its way and may still arrive"
    ]
    rig.take_one(Timer(rig.engine.now + LATE_MS, rig.engine.wall + LATE_MS))
    (order,) = [one for one in rig.desk().orders.open.values() if (one.leg, one.role, one.price) == rung]
    assert order.client_id != late.client_id


def test_a_life_that_never_booked_income_asks_for_it_from_its_start() -> None:
    rig = live()
    assert newest(rig.engine) == ({}, rig.engine.started)


def test_a_checkpoint_in_the_middle_of_a_flatten_is_replayed_to_the_same_state() -> None:
    rig = hold(calm(), "long")
    rig.exchange.report = lambda *asked: None
    rig.verb("flatten", reason="out of here")
    kept, before = rig.engine.dump(), len(rig.inputs)
    del rig.exchange.report
    rig.timer(6.0)
    assert rig.of("flat")
    again = Rig(rig.config)
    again.engine.load(kept)
    for event in rig.inputs[before:]:
        again.engine.handle(event)
    assert again.engine.dump() == rig.engine.dump()


def test_an_average_entry_that_differs_is_the_exchanges_and_equity_stays() -> None:
    """Fills heard in another order leave another average: no gain, no loss, and nobody is halted for it."""
    rig = live()
    rig.take_one(Fill("BTCUSDT", rig.engine.now, 0, 1, 500_000, 3, 0.1, True, "hg-BTCUSDT-LE-500000-zz", "", "1"))
    before = rig.engine.account.equity
    for _ in range(2):
        shown = report(rig, 3, *rig.desk().orders.open.values())
        rig.take_one(shown._replace(held=(Held("BTCUSDT", 0, 3, 500_040.0),)))
        rig.take_one(Timer(rig.engine.now + 1_500, rig.engine.now + 1_500))
    desk = rig.desk()
    assert (desk.entry(0), desk.halted) == (500_040.0, "")
    assert abs(rig.engine.account.equity - before) < 1e-9
    assert abs(desk.books.realized - 40 * 3 * desk.unit) < 1e-9


def test_an_order_of_another_size_is_believed_when_two_reports_agree() -> None:
    """The answer to an amend was lost: what rests there is what the exchange lists."""
    rig = live()
    order = rig.resting(Role.ENTRY)[0]
    for times in range(2):
        listed = [one._replace(qty=one.qty + 2) if one == order else one for one in rig.desk().orders.open.values()]
        assert rig.desk().orders.open[order.client_id].qty == order.qty, f"after {times} reports"
        rig.take_one(report(rig, 0, *listed))
        rig.take_one(Timer(rig.engine.now + 1_500, rig.engine.now + 1_500))
    assert {act["what"] for act in rig.of("reconciled")} == {"resized"}
