"""The exchange is the truth: ghosts, orphans, foreign orders and drift are found, and put right by policy."""

from __future__ import annotations

from rig import Rig, steady

from hedgegridd.heart import reconcile
from hedgegridd.heart.orders import client_id
from hedgegridd.model import Held, Leg, Order, OrderState, Report, Role


def report_of(rig: Rig) -> Report:
    rig.exchange.report()
    return rig.inbox.pop()


def resting() -> Rig:
    return steady(Rig().start())


def test_agreement_finds_nothing() -> None:
    rig = resting()
    assert reconcile.compare(rig.desk(), report_of(rig)) == []


def test_a_ghost_is_an_order_the_exchange_no_longer_has() -> None:
    rig = resting()
    report = report_of(rig)
    gone = report.orders[0]
    findings = reconcile.compare(rig.desk(), report._replace(orders=report.orders[1:]))
    assert [(found.kind, found.order.client_id) for found in findings if found.order] == [("gone", gone.client_id)]


def test_a_report_older_than_the_order_proves_nothing() -> None:
    rig = resting()
    report = report_of(rig)
    assert reconcile.compare(rig.desk(), Report(0, report.wallet, report.held, ())) == []


def test_own_orphans_are_taken_up_and_foreign_orders_left_alone() -> None:
    rig = resting()
    own = Order(client_id("BTCUSDT", Leg.LONG, Role.ENTRY, 123, 99_999), "BTCUSDT", Leg.LONG, Role.ENTRY, 1, 123, 1, 0, OrderState.LIVE)
    theirs = own._replace(client_id="web_1234", price=124)
    report = report_of(rig)
    rig.take_one(report._replace(orders=(*report.orders, own, theirs)))
    assert [order.client_id for order in rig.engine.foreign] == ["web_1234"]
    assert own.client_id in rig.desk().orders.open
    assert theirs.client_id not in rig.desk().orders.open
    assert not any(theirs.client_id == order.client_id for order in rig.sent)


def test_drift_takes_the_exchanges_quantity_and_halts_the_symbol() -> None:
    rig = resting()
    report = report_of(rig)
    rig.take(report._replace(held=(Held("BTCUSDT", Leg.LONG, 7, 499_000.0), Held("BTCUSDT", Leg.SHORT, 0, 0.0))))
    desk = rig.desk()
    assert desk.books.long_qty == 7
    assert "differs" in desk.halted
    assert not rig.resting(Role.ENTRY), "nothing opens there until a person has looked"
    assert any(alert.rule == "system_error" for alert in rig.alerts)
