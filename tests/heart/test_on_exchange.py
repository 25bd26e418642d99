"""What the exchange says, taken in: a fact counts once, silence is no answer, and the exchange is the truth."""

from __future__ import annotations

from typing import Any

from rig import Rig, calm, hold

from hedgegridd.heart.effects import AskReport, Cancel, Place
from hedgegridd.model import Cancelled, Ended, Fill, Held, Leg, OrderState, Rejected, Report, Role, Transfer, Trouble


def fills(rig: Rig) -> list[Any]:
    return [event for event in rig.inputs if isinstance(event, Fill)]


def test_a_fill_told_twice_counts_once() -> None:
    rig = hold(calm(), "long")
    before, equity, acts = rig.desk().books, rig.engine.account.equity, len(rig.of("fill"))
    rig.take(fills(rig)[-1])
    assert (rig.desk().books, rig.engine.account.equity, len(rig.of("fill"))) == (before, equity, acts)


def test_a_fill_told_twice_counts_once_over_a_restart() -> None:
    rig = hold(calm(), "long")
    other = rig.restarted()
    other.take(fills(rig)[-1])
    assert other.desk().books == rig.desk().books


def test_a_fill_may_come_before_its_acceptance() -> None:
    rig = hold(calm(), "long")
    heard: list[Any] = []
    rig.lose = lambda effect: isinstance(effect, Place) and any(o.role == Role.CLOSE for o in effect.orders) and not heard.append(effect)
    rig.verb("flatten", reason="out")
    (order,) = heard[0].orders
    rig.lose = lambda effect: False
    rig.exchange.emit = heard.append
    rig.exchange.place((order,))
    rig.exchange.emit = rig.inbox.append
    said = heard[1:]
    for event in (said[1], said[0], *said[2:]):
        rig.take(event)
    assert not rig.desk().books.long_qty and not rig.desk().orders.open
    assert not rig.engine.active()


def test_a_firewall_keeps_openers_back_and_is_a_page_once() -> None:
    rig = hold(calm(), "long")
    end = rig.engine.now + 60_000
    for later in (0, 2_000):
        rig.take(Trouble(rig.engine.now, "wall", "no reason given (-2, HTTP 403)", until=end + later))
    assert len([alert for alert in rig.alerts if "firewall" in str(alert)]) == 1
    assert rig.engine.gate.hold()
    rig.verb("flatten", reason="out")
    assert not rig.engine.held_legs(), "what closes leaves"
    rig.timer(63)
    assert not rig.engine.gate.busy


def test_an_order_that_nobody_answers_is_asked_for_within_three_seconds() -> None:
    rig = calm()
    rig.verb("pause")
    lost: list[Any] = []
    rig.lose = lambda effect: isinstance(effect, Place) and not lost.append(effect)
    rig.verb("resume")
    assert lost and {order.state for order in rig.desk().orders.open.values()} == {OrderState.SENT}
    rig.lose = lambda effect: False
    asked = []
    for _ in range(3):
        asked += [effect for effect in rig.timer(1.0) if isinstance(effect, AskReport)]
    assert asked and len(rig.of("reconciled")) == len(lost[0].orders)
    rig.bars([500_000])
    assert {order.state for order in rig.desk().orders.open.values()} == {OrderState.LIVE}, "posted anew under new ids"
    assert not {order.client_id for order in lost[0].orders} & set(rig.desk().orders.open)


def test_an_order_that_rests_though_nobody_said_so_is_found() -> None:
    rig = calm()
    rig.verb("pause")
    rig.exchange.emit = lambda event: None
    rig.verb("resume")
    rig.exchange.emit = rig.inbox.append
    names = set(rig.desk().orders.open)
    for _ in range(3):
        rig.timer(1.0)
    assert set(rig.desk().orders.open) == names
    assert {order.state for order in rig.desk().orders.open.values()} == {OrderState.LIVE}


def test_a_cancel_that_nobody_answers_is_asked_for_and_repeated() -> None:
    rig = calm()
    lost: list[Any] = []
    rig.lose = lambda effect: isinstance(effect, Cancel) and not lost.append(effect)
    rig.verb("pause")
    assert lost and rig.resting(Role.ENTRY)
    rig.lose = lambda effect: False
    for _ in range(3):
        rig.timer(1.0)
    assert not rig.resting(Role.ENTRY) and not rig.exchange.pits["BTCUSDT"].open


def test_unknown_said_of_a_cancel_proves_nothing() -> None:
    rig = calm()
    name = next(iter(rig.desk().orders.open))
    effects = rig.take(Cancelled(name, rig.engine.now, "unknown"))
    assert any(isinstance(effect, AskReport) for effect in effects)
    assert rig.desk().orders.open[name].state == OrderState.LIVE, "the report found it"
    rig.exchange.cancel([rig.desk().orders.open[name]])
    rig.inbox.clear()
    rig.take(Cancelled(name, rig.engine.now, "unknown"))
    assert name not in rig.desk().orders.open, "the report did not"


def test_a_refused_rung_is_tried_again_later_and_later_still() -> None:
    rig = calm()
    rig.verb("pause")
    tries: list[int] = []
    rig.refuse = lambda order: tries.append(rig.engine.now) or -5022 if order.role == Role.ENTRY else 0
    rig.verb("resume")
    first = len(tries)
    rig.timer(0.5)
    rig.verb("throttle", factor=1)
    assert len(tries) == first, "not within the second"
    rig.timer(1.0)
    rig.verb("throttle", factor=1)
    assert len(tries) == 2 * first
    rig.timer(1.5)
    rig.verb("throttle", factor=1)
    assert len(tries) == 2 * first, "twice as long the second time"
    assert not rig.engine.errors, "a post-only order that would take is part of the trade, no fault"


def test_what_the_exchange_refuses_by_fault_counts_as_error() -> None:
    rig = calm()
    rig.verb("pause")
    rig.refuse = lambda order: -1000 if order.role == Role.ENTRY else 0
    rig.verb("resume")
    assert len(rig.engine.errors) == len(rig.of("rejected")) > 0
    assert "order_error" in [alert.rule for alert in rig.alerts]
    rig.timer(61)
    assert not rig.engine.errors


def test_a_refused_amend_ends_in_a_new_order() -> None:
    rig = calm()
    order = rig.resting(Role.ENTRY)[0]
    rig.desk().orders.ending[order.client_id] = rig.engine.now
    rig.take(Rejected(order.client_id, rig.engine.now, -2013, "no such order"))
    assert order.client_id not in rig.desk().orders.ending
    rig.bars([500_000, 500_000])
    assert order.price in [other.price for other in rig.resting(Role.ENTRY) if other.leg == order.leg]


def test_a_fill_of_another_hand_halts_the_symbol_until_resume() -> None:
    rig = hold(calm(), "long")
    fill = Fill("BTCUSDT", rig.engine.now, Leg.LONG, -1, 497_000, 1, 0.02, False, "web_1", "77", "t77")
    rig.exchange.pits["BTCUSDT"].books = rig.exchange.pits["BTCUSDT"].books._replace(long_qty=rig.desk().books.long_qty - 1)
    rig.take(fill)
    assert rig.desk().halted and not rig.resting(Role.ENTRY) and rig.resting(Role.STOP)
    assert "system_error" in [alert.rule for alert in rig.alerts]
    rig.verb("resume")
    assert not rig.desk().halted and rig.resting(Role.ENTRY)


def test_a_drift_takes_the_exchange_s_word_and_halts_the_symbol() -> None:
    rig = hold(calm(), "long")
    orders = tuple(rig.desk().orders.open.values())
    rig.take(Report(rig.engine.now, 10_000.0, (Held("BTCUSDT", 0, 5, 497_000.0),), orders))
    assert (rig.desk().books.long_qty, rig.desk().books.long_entry) == (5, 497_000.0)
    assert rig.desk().halted and not rig.resting(Role.ENTRY)
    act = next(act for act in rig.of("reconciled") if act["what"] == "drift")
    assert (act["believed"], act["reported"]) == (2, 5)


def test_a_deposit_is_no_gain_and_a_withdrawal_no_drawdown() -> None:
    rig = hold(calm(), "long")
    rig.bars([496_000])
    before = rig.engine.account.drawdown()
    rig.exchange.transfer(-3_000.0)
    rig.drain()
    assert abs(rig.engine.account.drawdown() - before) < 1e-12 and not rig.engine.kill.active
    assert rig.of("transfer") == [{"amount": -3_000.0}] and isinstance(rig.inputs[-1], Transfer)
    assert abs(rig.engine.account.wallet - rig.exchange.wallet) < 1e-9


def test_a_late_word_of_an_order_that_is_over_changes_nothing() -> None:
    rig = calm()
    order = rig.resting(Role.ENTRY)[0]
    rig.verb("pause")
    before = rig.engine.dump()["desks"]
    for event in (Rejected(order.client_id, rig.engine.now, -1, "x"), Cancelled(order.client_id, rig.engine.now, "cancelled")):
        rig.take(event)
    assert rig.engine.dump()["desks"] == before


def test_ends_told_together_come_to_what_they_come_to_one_by_one() -> None:
    alone, together = calm(), calm()
    names = [order.client_id for order in alone.resting(Role.ENTRY)]
    for rig in (alone, together):
        rig.lose = lambda effect: isinstance(effect, Cancel)
        rig.verb("activate", reason="enough", level="halt")
    ends = [Cancelled(name, alone.engine.now, "cancelled") for name in names]
    for end in ends:
        alone.take(end)
    together.take(Ended(ends[-1].time, tuple(ends)))
    assert len(names) > 10 and not together.resting(Role.ENTRY)
    assert together.engine.dump() == alone.engine.dump()
    (row,) = together.of("cancelled")
    assert row == {"client_ids": names, "reason": "cancelled"}
    assert [one["client_ids"] for one in alone.of("cancelled")] == [[name] for name in names]
    assert [act for act in together.acts if act.kind != "cancelled"] == [act for act in alone.acts if act.kind != "cancelled"]
