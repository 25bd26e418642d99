"""Before the next stage of a staged return: what stands in the way is said, all of it, and blocks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rig import Rig, calm, hold

from hedgegridd.heart.checklist import SOUND, blocks
from hedgegridd.model import OrderState, Role


def returned(stage: str = "monitor") -> Rig:
    rig = calm(recovery={"enabled": True, "recovery_time_minutes": 0.0})
    rig.verb("activate", reason="drill")
    rig.verb("deactivate", reason="over")
    while rig.engine.recovery.stage != stage:
        rig.bars([500_000])
        assert rig.verb("advance", reason="fine", journal=SOUND).result  # type: ignore[union-attr]
    rig.bars([500_000])
    return rig


def refusal(rig: Rig, **said: object) -> str:
    before = rig.engine.recovery.stage
    reply = rig.verb("advance", reason="on with it", **{"journal": SOUND, **said})
    assert reply and reply.result is None and rig.engine.recovery.stage == before
    return reply.refusal


def test_nothing_in_the_way() -> None:
    for stage in ("monitor", "paper", "reduced"):
        assert blocks(returned(stage).engine) == []


def unknown(rig: Rig) -> None:
    desk = rig.desk()
    order = desk.order(0, Role.TAKE_PROFIT, -1, 510_000, 1, rig.engine.now)
    desk.orders.move(order.client_id, OrderState.UNKNOWN)


def breach(rig: Rig) -> None:
    guard = rig.engine.panel.guards["drawdown"]
    guard.in_breach, guard.why, guard.state = True, "deep", "tripped"


def blind(rig: Rig) -> None:
    guard = rig.engine.panel.guards["margin"]
    guard.state, guard.why = "unknown", "no price"


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (unknown, "1 orders whose fate nobody knows"),
        (breach, "breaker drawdown is in breach: deep"),
        (blind, "breaker margin is unknown: no price"),
        (lambda rig: setattr(rig.desk(), "halted", "a fill we cannot explain"), "halted: a fill we cannot explain"),
        (lambda rig: rig.desk().owed[0].append([3, 500_000]), "long: closed more than our books held"),
        (lambda rig: setattr(rig.desk(), "ready", False), "not warm"),
        (lambda rig: setattr(rig.engine.gate, "storage_failed", "no space"), "no space"),
        (lambda rig: setattr(rig.engine.gate, "busy", "overload"), "overload"),
        (lambda rig: rig.engine.truth.suspects.update({"drift": 1}), "differs from our books"),
    ],
)
def test_each_stands_in_the_way_and_is_named(harm: Callable[[Rig], None], told: str) -> None:
    rig = returned()
    harm(rig)
    assert any(told in why for why in blocks(rig.engine))


def test_the_verb_says_everything_at_once() -> None:
    rig = returned()
    breach(rig)
    rig.desk().halted = "a fill we cannot explain"
    told = refusal(rig, faults=["the exchange is not connected"])
    assert all(part in told for part in ("drawdown", "cannot explain", "not connected", "put right"))


@pytest.mark.parametrize("said", ["record ('000001', 7)", ""])
def test_a_journal_that_nobody_vouches_for_stands_in_the_way(said: str) -> None:
    assert "journal is not verified" in refusal(returned(), journal=said)


def test_a_position_without_its_stop_stands_in_the_way() -> None:
    rig = hold(returned("reduced"), "long")
    assert blocks(rig.engine) == []
    for stop in rig.resting(Role.STOP):
        rig.desk().orders.drop(stop.client_id)
    assert "BTCUSDT: long: held without a stop" in blocks(rig.engine)


def test_the_stage_paper_must_have_shown_something() -> None:
    rig = returned("paper")
    assert rig.engine.rehearsal.summary()["rested"]
    rig.engine.rehearsal.begin()
    assert "no opener has rested on paper" in refusal(rig)
