"""The latch: it rises by itself and falls by a person only; whatever is unclear about its file means active."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig import NO_FILE, calm, hold

from hedgegridd.heart.killswitch import KillSwitch
from hedgegridd.model import KillFile, Level, Role

HALT, FLATTEN = Level.HALT, Level.FLATTEN
levels = st.sampled_from([HALT, FLATTEN])


@given(st.lists(st.tuples(levels, st.sampled_from("abc"), st.sampled_from(["ctl", "file"])), min_size=1))
def test_the_level_only_rises_and_the_first_reason_stays(steps: list[tuple[Level, str, str]]) -> None:
    kill, highest = KillSwitch(), HALT
    for level, reason, source in steps:
        kill.activate(level, reason, source, "", 1)
        highest = max(highest, level)
        assert kill.active and kill.level == highest and kill.reason == steps[0][1]
    assert kill.later == list(dict.fromkeys(f"{source}: {reason}" for _, reason, source in steps if reason != steps[0][1]))


def test_says_whether_anything_changed() -> None:
    kill = KillSwitch()
    assert kill.activate(HALT, "rumour", "ctl", "ann", 5)
    kill.phase, kill.durable = "idle", True
    assert not kill.activate(HALT, "rumour", "ctl", "bob", 6) and kill.durable
    assert kill.activate(HALT, "worse", "ctl", "bob", 6) and kill.phase == "idle" and not kill.durable
    assert kill.activate(FLATTEN, "rumour", "ctl", "bob", 7) and kill.phase == "requested"
    assert (kill.actor, kill.since) == ("ann", 5)


def test_a_file_of_others_engages_at_its_level_or_the_configured_one() -> None:
    kill = KillSwitch(on_activate=FLATTEN)
    assert kill.found(KillFile(1, active=True, reason="desk"), 1) and kill.level == FLATTEN and kill.reason == "desk"
    kill = KillSwitch(on_activate=FLATTEN)
    assert kill.found(KillFile(1, active=True, level="halt"), 1) and kill.level == HALT


def test_an_unreadable_file_is_active_and_never_lowers() -> None:
    kill = KillSwitch(on_activate=FLATTEN)
    assert kill.found(KillFile(1, active=None), 1) and kill.active and kill.level == HALT
    kill = KillSwitch()
    kill.activate(FLATTEN, "x", "ctl", "", 1)
    assert kill.found(KillFile(2, active=None), 2) and kill.level == FLATTEN


def test_a_file_that_is_gone_or_says_inactive_is_written_again_while_active() -> None:
    kill = KillSwitch()
    assert not kill.found(NO_FILE, 1) and not kill.active
    kill.activate(HALT, "x", "ctl", "", 1)
    assert kill.found(NO_FILE, 2) and kill.found(KillFile(2, active=False), 2) and kill.active


def test_survives_a_checkpoint_but_for_what_is_configured() -> None:
    kill, other = KillSwitch(on_activate=FLATTEN), KillSwitch(on_activate=HALT)
    kill.activate(FLATTEN, "x", "ctl", "ann", 9)
    other.load(json.loads(json.dumps(kill.dump())))
    assert other.on_activate == HALT
    assert (other.active, other.level, other.reason, other.since, other.phase) == (True, FLATTEN, "x", 9, "requested")


# --- in the heart -----------------------------------------------------------------------------------------------------------


def test_halt_cancels_openers_and_keeps_take_profits_and_stops() -> None:
    rig = hold(calm(), "long", "short")
    reply = rig.verb("activate", reason="drill", level="halt")
    assert reply and reply.result and reply.result["active"] and reply.result["durable"]
    assert not rig.resting(Role.ENTRY) and len(rig.resting(Role.STOP)) == 2 and len(rig.resting(Role.TAKE_PROFIT)) == 2
    assert rig.desk().books.long_qty and rig.engine.kill.phase == "idle"
    rig.bars([500_000, 500_100])
    assert not rig.resting(Role.ENTRY)


def test_flatten_closes_both_legs_and_verifies() -> None:
    rig = hold(calm(), "long", "short")
    rig.verb("activate", reason="drill")
    assert rig.engine.kill.phase == "flat" and not rig.engine.held_legs() and not rig.desk().orders.open
    assert rig.latch and rig.latch["active"] and rig.latch["phase"] == "flat" and rig.latch["reason"] == "drill"
    assert [act["phase"] for act in rig.of("kill_phase")][-1] == "flat"


def test_a_halt_that_rises_to_flatten_closes_then() -> None:
    rig = hold(calm(), "long")
    rig.verb("activate", reason="drill", level="halt")
    assert rig.desk().books.long_qty
    rig.verb("activate", reason="worse", level="flatten")
    assert not rig.engine.held_legs() and rig.engine.kill.reason == "drill" and rig.engine.kill.later == ["ctl: worse"]
    rig.verb("activate", reason="milder", level="halt")
    assert rig.engine.kill.level == FLATTEN


def test_the_file_of_another_program_is_obeyed_and_its_absence_is_not() -> None:
    rig = hold(calm(), "long")
    rig.take(KillFile(rig.engine.now, active=True, reason="cron job"))
    assert rig.engine.kill.active and not rig.engine.held_legs() and rig.latch and rig.latch["reason"] == "cron job"
    for file in (KillFile(0, active=False), KillFile(0, active=False, missing=True)):
        rig.latch = None
        rig.take(file)
        assert rig.engine.kill.active and rig.latch and rig.latch["active"]


def test_an_unreadable_file_halts() -> None:
    rig = hold(calm(), "long")
    rig.take(KillFile(rig.engine.now, active=None, reason="a folder is in its place"))
    assert rig.engine.kill.level == HALT and not rig.resting(Role.ENTRY) and rig.desk().books.long_qty


def test_master_switch_off_asks_no_breaker_but_people_still_stop_it() -> None:
    rig = calm(kill_switch={"enabled": False}, breaker={"session_loss": {"max_loss_amount_usdt": 0.000001}})
    hold(rig, "long")
    assert not rig.engine.kill.active and not rig.of("trip")
    rig.verb("activate", reason="drill")
    assert rig.engine.kill.active and not rig.engine.held_legs()


@pytest.mark.parametrize("source", ["regulatory", "market-wide"])
def test_a_regulator_and_the_whole_market_are_sources_of_their_own(source: str) -> None:
    rig = calm()
    rig.verb("activate", reason="trading is suspended", level="halt", source=source)
    assert rig.engine.kill.source == source
    assert rig.latch and rig.latch["source"] == source and rig.of("kill")[0]["source"] == source
    assert [alert.fields["source"] for alert in rig.alerts if alert.rule == "kill_activated"] == [source]
    assert rig.restarted().engine.kill.source == source


def test_a_file_may_name_them_and_nothing_else() -> None:
    for written, source in (("regulatory", "regulatory"), ("breaker.drawdown", "file"), ("", "file")):
        rig = calm()
        rig.take(KillFile(rig.engine.now, True, "halt", "stop", source=written))
        assert rig.engine.kill.source == source


def test_a_source_nobody_knows_is_refused() -> None:
    rig = calm()
    reply = rig.verb("activate", reason="x", source="rumour")
    assert reply and reply.result is None and "regulatory or market-wide" in reply.refusal and not rig.engine.kill.active
