"""One builder for live, replay and backtest: what is wrong is told at once, and what the feed cannot carry is disarmed."""

from __future__ import annotations

import pytest
from rig import BARS, REGISTRY, config_of, instrument_table

from hedgegridd.errors import ConfigError, PluginError
from hedgegridd.heart.build import build, exchange_of, start_equity
from hedgegridd.model import Level


def test_every_shipped_breaker_is_on_the_panel_in_the_order_of_names() -> None:
    engine = build(config_of(), REGISTRY, carries=BARS, cadence_ms=60_000)
    names = list(engine.panel.guards)
    assert names == sorted(names)
    assert {"daily_loss", "drawdown", "funding", "margin", "order_errors", "position_size", "session_loss", "stale_data"} <= set(names)
    levels = {name: engine.panel.guards[name].on_trip for name in names}
    assert levels["drawdown"] == levels["margin"] == levels["session_loss"] == levels["daily_loss"] == Level.FLATTEN
    assert levels["funding"] == levels["position_size"] == Level.HALT and levels["order_errors"] == levels["stale_data"] == Level.PAUSE


def test_settings_of_every_breaker_are_taken_from_its_table() -> None:
    table = {"on_trip": "warn", "warn_fraction": 0.5, "grace_seconds": 7, "cooldown_seconds": 9, "max_drawdown_pct": 3.0}
    guard = build(config_of(breaker={"drawdown": table}), REGISTRY, carries=BARS, cadence_ms=1).panel.guards["drawdown"]
    assert (guard.on_trip, guard.warn_fraction, guard.grace_ms, guard.cooldown_ms) == (Level.WARN, 0.5, 7000, 9000)
    assert guard.breaker.settings.max_drawdown_pct == 3.0


def test_one_whose_inputs_the_feed_never_carries_is_disarmed_and_says_so() -> None:
    engine = build(config_of(), REGISTRY, carries=frozenset({"bars"}), cadence_ms=60_000)
    guard = engine.panel.guards["funding"]
    assert guard.state == "disarmed" and guard.why == "the feed does not carry funding"


def test_one_switched_off_is_disarmed_and_says_so() -> None:
    engine = build(config_of(breaker={"margin": {"enabled": False}}), REGISTRY, carries=BARS, cadence_ms=60_000)
    assert engine.panel.guards["margin"].state == "disarmed" and "configuration" in engine.panel.guards["margin"].why


def test_every_problem_is_told_at_once() -> None:
    table = instrument_table("BTCUSDT", exit={"tp_stepz": 2})
    config = config_of(instrument=[table], breaker={"drawdown": {"max_drawdown_pc": 3.0}})
    with pytest.raises(ConfigError) as error:
        build(config, REGISTRY, carries=BARS, cadence_ms=60_000)
    assert "tp_stepz" in str(error.value) and "max_drawdown_pc" in str(error.value) and len(error.value.problems) == 2


def test_impossible_combinations_name_the_instrument() -> None:
    table = instrument_table("BTCUSDT", exit={"tp_steps": 5, "sl_steps": 2})
    with pytest.raises(ConfigError, match=r"instrument\[0\]\.params"):
        build(config_of(instrument=[table]), REGISTRY, carries=BARS, cadence_ms=60_000)


def test_equity_begins_with_the_paper_balance() -> None:
    assert start_equity(config_of(exchange={"paper": {"starting_balance_usdt": 123.0}})) == 123.0


def test_an_exchange_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(PluginError, match=r"'nowhere'.*paper"):
        exchange_of(config_of(mode="live", exchange={"name": "nowhere"}), REGISTRY)


def test_orders_go_to_the_paper_exchange_unless_mode_is_live() -> None:
    for mode in ("monitor", "paper"):
        assert exchange_of(config_of(mode=mode, exchange={"name": "binance"}), REGISTRY).name == "paper"
