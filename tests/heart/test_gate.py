"""The one door: every rule names its limit, its value and its threshold, and counts what is held, resting and in flight."""

from __future__ import annotations

from typing import Any

import pytest
from rig import Rig, config_of, instrument_table, steady

from hedgegridd.model import Level, Role


def limited(**limits: Any) -> Rig:
    table = {"max_exposure_pct": 400.0, "max_position_pct": 400.0, **limits}
    return steady(Rig(config_of(limits=table)).start())


@pytest.mark.parametrize(
    ("limits", "breaker", "name"),
    [
        ({"max_exposure_pct": 5.0}, {}, "max_exposure_pct"),
        ({"max_position_pct": 3.0}, {}, "max_position_pct"),
        ({"max_risk_per_trade_pct": 0.04}, {}, "max_risk_per_trade_pct"),
        ({}, {"position_size": {"max_position_usdt": 350.0}}, "max_position_usdt"),
    ],
)
def test_a_refusal_names_limit_value_and_threshold(limits: dict[str, float], breaker: dict[str, Any], name: str) -> None:
    table = {"max_exposure_pct": 400.0, "max_position_pct": 400.0, **limits}
    rig = steady(Rig(config_of(limits=table, breaker=breaker)).start())
    why = {text for *_, text in rig.desk().withheld}
    assert any(name in text and ">" in text for text in why), why
    held_back = len(rig.desk().withheld)
    assert held_back + len(rig.resting(Role.ENTRY)) == 20 or rig.resting(Role.ENTRY)


def test_the_limit_counts_what_rests() -> None:
    rig = limited(max_position_pct=5.0)
    for leg in (0, 1):
        resting = sum(order.qty * order.price * rig.desk().unit for order in rig.resting(Role.ENTRY) if order.leg == leg)
        assert 0 < resting <= 500.0


def test_legs_are_counted_not_rungs() -> None:
    rig = limited(max_open_trades=1)
    assert len({order.leg for order in rig.resting(Role.ENTRY)}) == 1
    assert any("max_open_trades" in text for *_, text in rig.desk().withheld)


def test_one_symbols_pause_does_not_stop_another() -> None:
    config = config_of(instrument=[instrument_table("BTCUSDT"), instrument_table("ETHUSDT", tick=0.01, base_qty=0.05)])
    rig = Rig(config).start()
    for close in range(60):
        rig.bars([500_000 + close % 3 * 10])
        rig.bars([300_000 + close % 3 * 10], "ETHUSDT")
    rig.verb("pause", symbol="ETHUSDT")
    assert not rig.resting(Role.ENTRY, "ETHUSDT")
    assert rig.resting(Role.ENTRY, "BTCUSDT")


@pytest.mark.parametrize("mode", ["monitor", "dry_run"])
def test_other_modes_send_nothing_to_the_exchange(mode: str) -> None:
    rig = Rig(config_of(mode=mode)).start()
    if mode == "dry_run":
        from hedgegridd.live.dryrun import DryRun

        rig.exchange = DryRun("paper")
        rig.exchange.start(rig.inbox.append, {}, None)
    steady(rig)
    if mode == "monitor":
        assert not rig.sent
        assert rig.of("signal"), "what would rest is journaled"
    else:
        assert all(act.get("is_dry_run") for act in rig.of("order"))
        assert rig.of("order")


def test_the_kill_switch_is_the_first_reason() -> None:
    rig = limited()
    rig.engine.engage(Level.HALT, "because", "test", "")
    assert rig.engine.gate.hold().startswith("kill switch is active (halt): because")
