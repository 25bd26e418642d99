"""What people may ask, what is refused, and what they are told to do next."""

from __future__ import annotations

import json

import pytest
from rig import Rig, config_of, steady

from hedgegridd.control import protocol
from hedgegridd.heart.verbs import VERBS
from hedgegridd.model import Leg, Level, Role


def calm() -> Rig:
    return steady(Rig().start())


def refusal(rig: Rig, verb: str, **params: object) -> str:
    reply = rig.verb(verb, **params)
    assert reply is not None
    assert reply.result is None
    return reply.refusal


def test_every_writing_verb_of_the_table_is_done_here_or_by_the_shell() -> None:
    from hedgegridd.live.handlers import SHELL

    writing = {name for name, verb in protocol.VERBS.items() if verb.right == protocol.WRITE}
    assert writing == set(VERBS) | {name for name in SHELL if name in writing}


@pytest.mark.parametrize("verb", ["activate", "deactivate", "flatten", "advance"])
def test_a_reason_is_needed(verb: str) -> None:
    assert "--reason" in refusal(calm(), verb) or verb == "deactivate"


@pytest.mark.parametrize(
    ("verb", "params", "told"),
    [
        ("throttle", {"factor": 1.5}, "from 0"),
        ("throttle", {"factor": "much"}, "from 0"),
        ("throttle", {"factor": float("nan")}, "from 0"),
        ("pause", {"symbol": "DOGEUSDT"}, "BTCUSDT"),
        ("pause", {"leg": "sideways"}, "long, short"),
        ("flatten", {"leg": "up", "reason": "x"}, "long, short"),
        ("activate", {"level": "maybe", "reason": "x"}, "halt or flatten"),
        ("breakers.arm", {"name": "nothing", "reason": "x"}, "drawdown"),
        ("deactivate", {"reason": "x"}, "not active"),
    ],
)
def test_nonsense_is_refused_and_says_what_was_expected(verb: str, params: dict[str, object], told: str) -> None:
    rig = calm()
    before = rig.engine.decisions.hash
    assert told in refusal(rig, verb, **params)
    assert rig.engine.decisions.hash == before, "a refusal decides nothing"


def test_throttle_scales_and_persists() -> None:
    rig = calm()
    full = sum(order.qty for order in rig.resting(Role.ENTRY))
    rig.verb("throttle", factor=0.5)
    rig.bars([500_000])
    assert 0 < sum(order.qty for order in rig.resting(Role.ENTRY)) < full
    rig.verb("throttle", factor=0.0, leg="long")
    rig.bars([500_000])
    assert not [order for order in rig.resting(Role.ENTRY) if order.leg == Leg.LONG]
    assert rig.restarted().desk().throttle == [0.0, 0.5]


def test_pause_keeps_closers_and_stops_and_survives_a_restart() -> None:
    rig = calm()
    rig.bars([500_000], reach=3_200)
    rig.verb("pause")
    assert not rig.resting(Role.ENTRY)
    assert rig.resting(Role.STOP)
    assert rig.resting(Role.TAKE_PROFIT)
    again = rig.restarted()
    again.bars([500_000])
    assert not again.resting(Role.ENTRY)
    again.verb("resume")
    again.bars([500_000])
    assert again.resting(Role.ENTRY)


def test_deactivate_waits_for_the_flatten_and_then_for_the_disk() -> None:
    rig = calm()
    rig.verb("activate", reason="x")
    assert rig.engine.kill.active
    reply = rig.verb("deactivate", reason="all clear")
    assert reply.result["active"] is False
    assert rig.latch["active"] is False
    rig.bars([500_000])
    assert rig.resting(Role.ENTRY)


def test_deactivate_is_refused_while_the_environment_says_stop() -> None:
    rig = steady(Rig().start(env="HEDGEGRIDD_KILL_SWITCH"))
    assert rig.engine.kill.active
    assert "env_engaged" in refusal(rig, "deactivate", reason="x")


def test_a_release_that_does_not_reach_the_disk_is_not_true() -> None:
    rig = calm()
    rig.verb("activate", reason="x", level="halt")
    rig.disk_fails = "no space"
    assert "journal cannot be written" in refusal(rig, "deactivate", reason="y")
    assert rig.engine.kill.active


def drawn_down() -> Rig:
    rig = steady(Rig(config_of(breaker={"drawdown": {"max_drawdown_pct": 0.01}})).start())
    rig.bars([497_400, 495_000, 492_000])
    assert rig.engine.kill.active
    return rig


def test_a_breaker_in_breach_stands_against_it_until_reset_or_forced() -> None:
    rig = drawn_down()
    told = refusal(rig, "deactivate", reason="x")
    assert "drawdown" in told
    assert "breakers reset" in told
    assert rig.verb("breakers.reset", name="drawdown", reason="seen").result["reset"] == ["drawdown"]
    assert rig.verb("deactivate", reason="x").result["active"] is False


def test_force_disarms_until_the_next_utc_day() -> None:
    rig = drawn_down()
    assert rig.verb("deactivate", reason="x", force=True).result["disarmed"] == ["drawdown"]
    guard = rig.engine.panel.guards["drawdown"]
    assert guard.state == "disarmed"
    rig.timer(24 * 3600)
    assert guard.state != "disarmed"


def test_an_equity_breaker_is_not_re_based_while_a_leg_is_open() -> None:
    rig = calm()
    rig.bars([497_400])
    assert "while a leg is open" in refusal(rig, "breakers.reset", name="drawdown", reason="x")


def test_disarmed_survives_a_restart_and_arm_ends_it() -> None:
    rig = calm()
    rig.verb("breakers.disarm", name="margin", reason="maintenance")
    again = rig.restarted()
    assert again.engine.panel.guards["margin"].state == "disarmed"
    assert again.verb("breakers.arm", name="margin", reason="done").result["state"] == "armed"


def test_what_is_asked_is_in_the_journal_with_who_asked() -> None:
    rig = calm()
    rig.verb("pause", leg="long")
    act = rig.of("verb")[-1]
    assert (act["name"], act["actor"]) == ("pause", "uid=0(root)")
    json.dumps([act.data for act in rig.acts])


def test_activate_raises_the_level_and_keeps_the_first_reason() -> None:
    rig = calm()
    rig.verb("activate", reason="first", level="halt")
    rig.verb("activate", reason="second")
    assert rig.engine.kill.level == Level.FLATTEN
    assert rig.engine.kill.reason == "first"
    rig.verb("activate", reason="third", level="halt")
    assert rig.engine.kill.level == Level.FLATTEN
