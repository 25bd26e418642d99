"""What the house says: start, stop, time, disk. Doubt shuts the gate."""

from __future__ import annotations

from typing import Any

from rig import Rig, calm, config_of, hold, steady

from hedgegridd.heart.effects import AskReport, Finished
from hedgegridd.model import KillFile, Level, Role, Stopping


def openers(orders: list[Any]) -> list[Any]:
    return [order for order in orders if order.role == Role.ENTRY]


# --- start --------------------------------------------------------------------------------------------------------------------


def test_nothing_opens_before_the_exchange_reported() -> None:
    rig = calm()
    other = Rig(rig.config)
    other.engine.load(rig.engine.dump())
    other.lose = lambda effect: isinstance(effect, AskReport)
    other.start(time=rig.engine.now)
    other.bars([500_000])
    assert "has not reported" in other.engine.gate.hold() and not other.sent
    other.lose = lambda effect: False
    other.timer(3)
    assert other.engine.gate.hold() == "", "it was asked again"


def test_the_environment_engages_at_start_and_stands_against_a_release() -> None:
    rig = hold(calm(), "long")
    other = rig.restarted(env="HEDGEGRIDD_KILL_SWITCH")
    assert other.engine.kill.active and other.engine.kill.source == "environment" and not other.engine.held_legs()
    reply = other.verb("deactivate", reason="over")
    assert reply and "env_engaged" in reply.refusal
    third = other.restarted()
    assert third.engine.kill.active, "unsetting it lets nothing go (row 3)"
    assert third.verb("deactivate", reason="over").result["active"] is False


def test_a_damaged_journal_halts() -> None:
    rig = hold(calm(), "long")
    other = rig.restarted(damage="segment acts-1, record 7: hash")
    assert other.engine.kill.level == Level.HALT and "damaged" in other.engine.kill.reason
    assert other.desk().books.long_qty and other.resting(Role.STOP)


def test_a_kill_survives_with_reason_actor_and_time() -> None:
    rig = hold(calm(), "long")
    rig.verb("activate", reason="rumour", level="halt")
    kill = rig.engine.kill
    other = rig.restarted(file=KillFile(0, active=True, level="halt", reason="rumour")).engine.kill
    assert (other.active, other.level, other.reason, other.actor, other.since) == (True, kill.level, "rumour", kill.actor, kill.since)
    rig.latch = None
    again = rig.restarted()
    assert again.engine.kill.active and again.latch and again.latch["active"], "missing while the journal says active is active"


def test_a_file_written_while_nobody_ran_is_obeyed_before_anything_opens() -> None:
    rig = hold(calm(), "long")
    other = rig.restarted(file=KillFile(0, active=True, reason="left in the night"))
    assert other.engine.kill.active and not openers(other.sent) and not other.engine.held_legs()


def test_equal_legs_survive_a_restart_as_two_legs() -> None:
    rig = hold(calm(), "long", "short")
    books = rig.desk().books
    assert books.long_qty == books.short_qty
    other = rig.restarted()
    assert other.desk().books == books and other.engine.account.equity == rig.engine.account.equity
    assert {order.leg for order in other.resting(Role.STOP)} == {0, 1} and not other.of("emergency_stop")
    assert set(other.desk().orders.open) == set(rig.desk().orders.open), "no order was touched"


def test_what_a_leg_cost_survives_a_restart() -> None:
    """Row 39."""
    rig = hold(calm(), "long")
    from rig import settle

    settle(rig, 0.001)
    desk, other = rig.desk(), rig.restarted().desk()
    for name in ("funding_cost", "basis_at_entry", "funding_rate", "next_funding", "mark"):
        assert getattr(other, name) == getattr(desk, name), name


# --- stop ---------------------------------------------------------------------------------------------------------------------


def test_a_stop_that_keeps_withdraws_openers_and_leaves_closers() -> None:
    rig = hold(calm(), "long")
    rig.take(Stopping(rig.engine.now, False, "SIGTERM"))
    assert rig.finished == Finished(True) and not rig.resting(Role.ENTRY)
    assert rig.resting(Role.STOP) and rig.resting(Role.TAKE_PROFIT) and rig.desk().books.long_qty
    assert rig.of("stop")[-1]["hash"] == rig.engine.decisions.hash


def test_a_stop_that_flattens_ends_flat() -> None:
    rig = hold(calm(), "long", "short")
    rig.take(Stopping(rig.engine.now, True, "SIGTERM"))
    assert rig.finished == Finished(True) and not rig.engine.held_legs() and not rig.desk().orders.open


def test_a_flatten_under_way_is_finished_before_the_end() -> None:
    rig = hold(calm(), "long")
    rig.refuse = lambda order: -1001 if order.role == Role.CLOSE else 0
    rig.verb("activate", reason="drill")
    rig.take(Stopping(rig.engine.now, False, "SIGTERM"))
    assert rig.finished is None
    rig.refuse = lambda order: 0
    rig.timer(1)
    assert rig.finished == Finished(True) and not rig.engine.held_legs()


def test_one_that_failed_lets_it_end_not_flat() -> None:
    rig = hold(calm(flatten={"deadline_seconds": 5}), "long")
    rig.refuse = lambda order: -1001 if order.role == Role.CLOSE else 0
    rig.take(Stopping(rig.engine.now, True, "SIGTERM"))
    for _ in range(4):
        rig.timer(2)
    assert rig.finished == Finished(False)


def test_a_second_stop_changes_nothing_and_the_next_life_trades() -> None:
    rig = calm()
    for reason in ("SIGTERM", "SIGINT"):
        rig.take(Stopping(rig.engine.now, False, reason))
    assert [act["reason"] for act in rig.of("stopping")] == ["SIGTERM"]
    other = rig.restarted()
    other.bars([500_000])
    assert other.resting(Role.ENTRY)


# --- the disk -------------------------------------------------------------------------------------------------------------------


def test_openers_wait_for_the_disk_and_closers_do_not() -> None:
    rig = calm()
    rig.verb("pause")
    rig.slow_disk, rig.sent = True, []
    rig.verb("resume")
    assert not rig.sent and len(rig.resting(Role.ENTRY)) > 0
    while rig.syncs:
        rig.disk()
    assert len(openers(rig.sent)) == len(rig.resting(Role.ENTRY))
    rig.sent = []
    rig.bars([497_490], reach=0)
    assert {order.role for order in rig.sent} >= {Role.STOP, Role.TAKE_PROFIT} and not openers(rig.sent)


def test_a_kill_between_intent_and_disk_withdraws_the_openers() -> None:
    rig = calm()
    rig.verb("pause")
    rig.slow_disk, rig.sent = True, []
    rig.verb("resume")
    intents = len(rig.resting(Role.ENTRY))
    rig.verb("activate", reason="drill", level="halt")
    while rig.syncs:
        rig.disk()
    assert not rig.sent and not rig.desk().orders.open and len(rig.of("withdrawn")) == intents


def test_the_reply_waits_for_the_disk_and_the_flatten_does_not() -> None:
    rig = hold(calm(), "long")
    rig.slow_disk = True
    assert rig.verb("activate", reason="drill") is None
    assert not rig.engine.held_legs() and rig.engine.kill.phase == "flat" and not rig.engine.kill.durable
    while rig.syncs:
        rig.disk()
    assert rig.replies[rig.ticket].result["durable"] and rig.engine.kill.durable


def test_the_answer_and_the_status_say_one_thing_of_the_disk() -> None:
    rig = hold(calm(), "long")
    rig.slow_disk = True
    tickets = []
    for reason, level in (("drill", "halt"), ("drill", "halt"), ("a note", "halt"), ("worse", "flatten")):
        rig.verb("activate", reason=reason, level=level)
        tickets.append(rig.ticket)
    while rig.syncs:
        rig.disk()
        answered = [rig.replies[ticket].result["durable"] for ticket in tickets if ticket in rig.replies]
        assert not answered or (all(answered) and rig.engine.kill.durable)
    assert all(ticket in rig.replies for ticket in tickets)


def test_the_phase_on_its_way_to_the_disk_leaves_durable_what_is() -> None:
    rig = hold(calm(), "long")
    rig.slow_disk = True
    rig.verb("activate", reason="drill")
    assert len(rig.syncs) > 1  # the kill, and that it is flat
    while rig.ticket not in rig.replies:
        rig.disk()
    assert rig.syncs and rig.engine.kill.durable


def test_on_a_broken_disk_it_is_active_and_says_not_durable() -> None:
    rig = hold(calm(), "long")
    rig.disk_fails = "no space left on device"
    reply = rig.verb("activate", reason="drill")
    assert reply.result["active"] and reply.result["durable"] is False and "active, NOT durable" in reply.result["warning"]
    assert not rig.engine.held_legs() and rig.engine.kill.phase == "flat" and rig.latch is None
    assert {"disk_failed", "not_durable"} <= {alert.rule for alert in rig.alerts}
    rig.disk_fails = ""
    rig.timer(1)
    assert rig.engine.kill.durable and rig.latch and rig.latch["active"] and rig.latch["phase"] == "flat"


def test_a_broken_disk_withholds_openers_until_it_works_again() -> None:
    rig = calm()
    rig.verb("pause")
    rig.disk_fails, rig.sent = "input/output error", []
    rig.verb("resume")
    assert not rig.sent and "journal cannot be written" in rig.engine.gate.hold() and not rig.resting(Role.ENTRY)
    rig.bars([497_490, 497_500], reach=0)
    assert not openers(rig.sent)
    assert [alert.rule for alert in rig.alerts].count("disk_failed") == 1
    rig.disk_fails = ""
    rig.timer(1)
    assert rig.engine.gate.hold() == "" and openers(rig.sent)


def test_the_gate_and_the_file_are_as_they_were_where_nothing_waits() -> None:
    rig = steady(Rig(config_of()).start())
    before = rig.engine.dump()
    rig.take(KillFile(rig.engine.now, active=False, missing=True))
    assert rig.engine.dump() == before
