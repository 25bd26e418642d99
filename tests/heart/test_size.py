"""The middle tier of the equity stop: warn, reduce, stop; smaller at once, full size only well below the line, smoothed where wished."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig import MINUTE, Rig, config_of, steady

from hedgegridd.heart.account import Account
from hedgegridd.model import Role

STEP = 1e-9


def tiers(**keys: Any) -> Rig:
    quiet = {"funding": {"enabled": False}, "stale_data": {"enabled": False}}
    drawdown = {"max_drawdown_pct": 3.0, "reduce_drawdown_pct": 2.0, "reduced_size_factor": 0.5, "warn_fraction": 0.5, **keys}
    drawdown = {key: value for key, value in drawdown.items() if value is not None}
    risk = {"risk_management": {"enable_drawdown_protection": False}}
    config = config_of(breaker={**quiet, "drawdown": drawdown, "daily_loss": {"enabled": False}})
    config.instrument[0].params.update(risk)
    return steady(Rig(config).start())


def fall(rig: Rig, pct: float, seconds: float = 1.0) -> None:
    """Let equity lie so far below its peak."""
    account = rig.engine.account
    account.session.peak = account.equity / (1 - pct / 100 - STEP)
    rig.timer(seconds)
    rig.bars([500_000])


def sizes(rig: Rig) -> dict[tuple[int, int], int]:
    return {(order.leg, order.price): order.qty for order in rig.resting(Role.ENTRY)}


def told(rig: Rig) -> list[str]:
    return [alert.fields["what"] for alert in rig.alerts if alert.rule == "state_change" and "size" in alert.title]


def test_warn_then_reduce_then_stop() -> None:
    rig = tiers()
    full = sizes(rig)
    fall(rig, 1.5)
    assert [alert.rule for alert in rig.alerts if alert.rule == "breaker_near"] and sizes(rig) == full
    fall(rig, 2.0)
    half = sizes(rig)
    assert half and sum(half.values()) < sum(full.values()) and all(qty <= full[rung] for rung, qty in half.items())
    assert rig.of("size") == [{"factor": 0.5, "was": 1.0, "by": "drawdown"}] and told(rig) == ["openers: size x 1 -> x 0.5"]
    assert not rig.engine.kill.active
    fall(rig, 3.0)
    assert rig.engine.kill.active and rig.engine.kill.source == "breaker.drawdown"


def test_full_size_comes_back_only_well_below_the_line() -> None:
    rig = tiers()
    full = sizes(rig)
    fall(rig, 2.0)
    fall(rig, 1.7)
    assert rig.engine.panel.size_factor == 0.5, "it does not flicker"
    fall(rig, 1.59)
    assert rig.engine.panel.size_factor == 1.0 and sizes(rig) == full
    fall(rig, 1.7)
    assert rig.engine.panel.size_factor == 1.0
    assert [act["factor"] for act in rig.of("size")] == [0.5, 1.0]


def test_it_survives_a_restart_and_ends_with_the_breaker() -> None:
    rig = tiers()
    fall(rig, 2.0)
    again = rig.restarted()
    again.bars([500_000])
    assert again.engine.panel.size_factor == 0.5 and not again.of("size"), "nothing changed"
    again.verb("breakers.disarm", name="drawdown", reason="I watch it")
    again.timer(1)
    assert again.engine.panel.size_factor == 1.0


def test_a_size_of_nothing_withholds_everything() -> None:
    rig = tiers(reduced_size_factor=0.0)
    fall(rig, 2.0)
    assert not sizes(rig) and not rig.engine.kill.active


def test_without_the_tier_nothing_changes() -> None:
    rig = tiers(reduce_drawdown_pct=None)
    fall(rig, 2.9)
    assert rig.engine.panel.size_factor == 1.0 and not rig.of("size") and rig.engine.account.smoothed is None


def test_smoothed_a_spike_is_none_and_what_stays_is_one() -> None:
    rig = tiers(smoothing_minutes=60.0)
    rig.timer(1)
    fall(rig, 5.0)
    assert rig.engine.panel.size_factor == 1.0 and not rig.engine.kill.active
    for _ in range(120):
        fall(rig, 5.0, 60)
        if rig.engine.kill.active:
            break
    assert [act["factor"] for act in rig.of("size")] == [0.5], "reduced on the way"
    assert rig.engine.kill.active and "in the mean of 60 min" in rig.engine.kill.reason


def test_a_drawdown_that_is_over_is_over_whatever_its_mean() -> None:
    rig = tiers(smoothing_minutes=60.0)
    rig.timer(1)
    for _ in range(25):
        fall(rig, 5.0, 60)
    assert rig.engine.panel.size_factor == 0.5
    fall(rig, 0.0)
    assert rig.engine.panel.size_factor == 1.0


def test_the_mean_is_by_time_not_by_events_and_comes_out_of_a_checkpoint() -> None:
    often, once = Account(1000.0), Account(1000.0)
    for account in (often, once):
        account.smooth(0, 10 * MINUTE)
        account.session.peak = 2000.0
    for minute in range(1, 11):
        often.smooth(minute * MINUTE, 10 * MINUTE)
    once.smooth(10 * MINUTE, 10 * MINUTE)
    assert often.smoothed and once.smoothed
    assert often.smoothed[0] == pytest.approx(once.smoothed[0]) == pytest.approx(0.5 * (1 - 2.718281828459045**-1))
    other = Account(1.0)
    other.load(json.loads(json.dumps(often.dump())))
    assert other.smoothed == often.smoothed
    other.rebase_peaks()
    assert other.smoothed is None
