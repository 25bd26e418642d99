"""The staged return: each step is a person's and takes its time; off means always full."""

from __future__ import annotations

import pytest
from rig import Rig, calm, hold

from hedgegridd.errors import Refused
from hedgegridd.heart.recovery import Recovery
from hedgegridd.model import Role

MINUTE = 60_000


def test_climbs_one_stage_at_a_time_and_not_too_soon() -> None:
    back = Recovery(True, 0.5, 30 * MINUTE)
    assert (back.stage, back.size_factor) == ("full", 1.0)
    back.begin(0)
    seen = [(back.stage, back.size_factor)]
    for step in (1, 2, 3):
        with pytest.raises(Refused, match=f"{back.stage} must last 30 minutes"):
            back.advance(step * 30 * MINUTE - 1)
        seen.append((back.advance(step * 30 * MINUTE), back.size_factor))
    assert seen == [("monitor", 0.0), ("paper", 0.0), ("reduced", 0.5), ("full", 1.0)]
    with pytest.raises(Refused, match="already full"):
        back.advance(10**9)


def test_off_never_leaves_full() -> None:
    back = Recovery(False, 0.5, 0)
    back.begin(5)
    assert back.stage == "full"


def returned() -> Rig:
    rig = calm(recovery={"enabled": True, "recovery_time_minutes": 0.0, "reduced_size_factor": 0.5})
    rig.verb("activate", reason="drill")
    reply = rig.verb("deactivate", reason="over")
    assert reply and reply.result and not rig.engine.kill.active
    return rig


def test_after_a_kill_nothing_opens_until_people_have_advanced_it() -> None:
    rig = returned()
    rig.bars([500_000] * 2)
    assert rig.engine.recovery.stage == "monitor" and not rig.resting(Role.ENTRY)
    assert "staged return" in rig.engine.gate.hold()
    rig.verb("advance", reason="looks fine", journal="sound")
    assert not rig.resting(Role.ENTRY)
    reply = rig.verb("advance", reason="looks fine", journal="sound")
    assert reply and reply.result == {"stage": "reduced", "size_factor": 0.5}
    half = {order.price: order.qty for order in rig.resting(Role.ENTRY)}
    assert half
    rig.verb("advance", reason="looks fine", journal="sound")
    full = {order.price: order.qty for order in rig.resting(Role.ENTRY)}
    assert full.keys() >= half.keys() and all(full[price] > qty for price, qty in half.items())
    assert [act["stage"] for act in rig.of("stage")] == ["paper", "reduced", "full"]


def test_the_stage_survives_a_restart() -> None:
    rig = returned()
    rig.verb("advance", reason="looks fine", journal="sound")
    assert rig.restarted().engine.recovery.stage == "paper"


def test_a_kill_on_the_way_begins_at_the_bottom_again() -> None:
    rig = returned()
    for _ in range(3):
        rig.verb("advance", reason="looks fine", journal="sound")
    hold(rig, "long")
    rig.verb("activate", reason="again")
    rig.verb("deactivate", reason="over")
    assert rig.engine.recovery.stage == "monitor"
