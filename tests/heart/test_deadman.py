"""No sign of a person for the timeout: warn at timeout - warning (E15), act at the timeout, by the operator's clock."""

from __future__ import annotations

from rig import START, calm, hold

from hedgegridd.heart.deadman import DeadMan
from hedgegridd.model import Level, Timer

MINUTE = 60_000


def test_warns_once_then_acts_once() -> None:
    man = DeadMan(True, 120 * MINUTE, 30 * MINUTE)
    assert man.look(1) == "" and man.confirmed_at == 1, "the first look begins the count"
    assert man.look(1 + 90 * MINUTE - 1) == ""
    assert [man.look(1 + 90 * MINUTE), man.look(1 + 91 * MINUTE)] == ["warn", ""]
    assert man.left_ms(1 + 91 * MINUTE) == 29 * MINUTE
    assert [man.look(1 + 120 * MINUTE), man.look(1 + 500 * MINUTE)] == ["act", ""]


def test_a_confirmation_begins_anew() -> None:
    man = DeadMan(True, 120 * MINUTE, 30 * MINUTE)
    man.look(1)
    man.look(100 * MINUTE)
    man.confirm(110 * MINUTE)
    assert man.look(199 * MINUTE) == "" and man.look(200 * MINUTE) == "warn"


def test_off_is_off() -> None:
    man = DeadMan(False, MINUTE, 0)
    assert man.look(1) == "" == man.look(10**12) and man.left_ms(5) is None


def test_in_the_heart_it_warns_acts_and_hears_the_confirmation() -> None:
    rig = hold(calm(dead_mans_switch={"enabled": True, "timeout_minutes": 120, "warning_minutes": 30, "action": "flatten"}), "long")
    rig.take(Timer(rig.engine.now, START))
    rig.take(Timer(rig.engine.now, START + 95 * MINUTE))
    assert [alert.rule for alert in rig.alerts][-1] == "dead_man_warning"
    assert rig.verb("confirm").result["confirmed"]
    rig.take(Timer(rig.engine.now, START + 130 * MINUTE))
    assert not rig.engine.kill.active
    rig.take(Timer(rig.engine.now, START + 95 * MINUTE + 121 * MINUTE))
    assert rig.engine.kill.level == Level.FLATTEN and rig.engine.kill.source == "dead_mans_switch" and not rig.engine.held_legs()
    assert "dead_man_acted" in [alert.rule for alert in rig.alerts]


def test_a_clock_set_back_does_not_lengthen_the_silence() -> None:
    man = DeadMan(True, 120 * MINUTE, 30 * MINUTE)
    man.confirm(1_000 * MINUTE)
    assert man.look(10 * MINUTE) == ""
    assert [man.look(100 * MINUTE), man.look(130 * MINUTE)] == ["warn", "act"]


def test_silence_goes_on_through_a_restart_and_the_confirmation_is_in_the_journal() -> None:
    rig = calm(dead_mans_switch={"enabled": True, "timeout_minutes": 120, "warning_minutes": 30, "action": "halt"})
    rig.take(Timer(rig.engine.now, START))
    rig.verb("confirm")
    assert (rig.of("verb")[-1]["name"], rig.of("verb")[-1]["actor"]) == ("confirm", "uid=0(root)")
    rig.take(Timer(rig.engine.now, START + 80 * MINUTE))
    again = rig.restarted()
    again.take(Timer(again.engine.now, START + 91 * MINUTE))
    assert "dead_man_warning" in [alert.rule for alert in again.alerts]
    third = again.restarted()
    third.take(Timer(third.engine.now, START + 119 * MINUTE))
    assert "dead_man_warning" not in [alert.rule for alert in third.alerts] and not third.engine.kill.active, "warned once"
    third.take(Timer(third.engine.now, START + 120 * MINUTE))
    assert (third.engine.kill.level, third.engine.kill.source) == (Level.HALT, "dead_mans_switch")
