"""The day's loss and a leg's size are told once per crossing."""

from __future__ import annotations

from rig import Rig, config_of, steady


def rules(rig: Rig, rule: str) -> int:
    return sum(alert.rule == rule for alert in rig.alerts)


def test_a_leg_over_its_size_is_told_once() -> None:
    rig = steady(Rig(config_of(alerts={"max_position_size_usd": 500.0})).start())
    assert rules(rig, "position_size") == 2, "both legs' entries are more than that"
    rig.bars([500_000, 500_010])
    assert rules(rig, "position_size") == 2
    rig.verb("pause")
    rig.verb("resume")
    rig.bars([500_000])
    assert rules(rig, "position_size") == 4, "below it again, then over it again"


def test_the_days_loss_is_told_once_and_not_again_after_a_restart() -> None:
    rig = steady(Rig(config_of(alerts={"max_daily_loss_pct": 0.01})).start())
    rig.bars([497_400, 492_000, 491_000])
    assert rules(rig, "day_loss") == 1
    again = rig.restarted()
    again.bars([490_900])
    assert rules(again, "day_loss") == 0


def test_each_switch_silences_only_its_rule() -> None:
    rig = steady(Rig(config_of(alerts={"max_position_size_usd": 500.0, "alert_on_position_size": False})).start())
    assert rules(rig, "position_size") == 0
