"""check: the shipped configurations pass, bad ones are told all at once, live takes two acts."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hedgegridd.check import check, check_file, command, refuse, show
from hedgegridd.config import load
from hedgegridd.errors import ConfigError
from hedgegridd.plugins import load_shipped, shipped

ETC = shipped("etc")
PAPER = ETC / "paper.toml"
REGISTRY = load_shipped()


def found(overrides: dict[str, Any], env: dict[str, str] | None = None) -> dict[str, tuple[str, str]]:
    return {one.path: (one.severity, one.text) for one in check(load(PAPER, env or {}, overrides=overrides), REGISTRY)}


@pytest.mark.parametrize("name", ["paper.toml", "backtest.toml", "hedgegridd.toml"])
def test_shipped_configurations_pass_strictly(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(ETC / name, strict=True) == 0
    assert "0 error(s), 0 warning(s): fine" in capsys.readouterr().out


def test_json_and_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(PAPER.read_text().replace("base_qty = 0.002 ", "base_qty = 0.01  ").replace("max_exposure_pct", "max_exposur_pct"))
    assert command(bad, as_json=True) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    (wrong,) = document["findings"]
    assert wrong["path"] == "limits.max_exposur_pct" and "did you mean" in wrong["hint"] and wrong["value"] == 80
    assert command(PAPER, as_json=True, show=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["filled_grid"][0]["qty"] == pytest.approx(0.027)
    assert {row["path"]: row["origin"] for row in document["values"]}["feed.seed"] == "paper.toml"


def test_warnings_pass_unless_strict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lax = tmp_path / "lax.toml"
    lax.write_text(PAPER.read_text().replace("max_exposure_pct = 80", "max_exposure_pct = 900"))
    assert (command(lax), command(lax, strict=True)) == (0, 1)
    assert "hardly limits" in capsys.readouterr().out
    lax.write_text('accept = ["limits.max_exposure_pct"]\n' + lax.read_text())
    assert command(lax, strict=True) == 0


def test_problems_of_form_and_of_sense_in_one_run(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(PAPER.read_text().replace("seed = 7", "sed = 7") + "[breaker.drawdown]\nmax_drawdown_pc = 3\n[alert.log]\npth = 1\n")
    assert [one.path for one in check_file(path, REGISTRY, {})[1]] == ["feed.sed", "breaker.drawdown.max_drawdown_pc", "alert.log.pth"]


def test_show_has_plugins_defaults_and_masks_secrets() -> None:
    config = load(PAPER, {"HOOK": "http://secret"}, overrides={"alert": {"slack": {"webhook_url": "${HOOK}"}}})
    rows = {row["path"]: row for row in show(config, REGISTRY)}
    assert rows["breaker.stale_data.max_age_seconds"]["value"] == 10 and rows["breaker.stale_data.on_trip"]["value"] == "pause"
    assert rows["breaker.drawdown.max_drawdown_pct"]["origin"] == "preset moderate"
    assert rows["instrument[0].params.regime.ema_slow"] == {
        "path": "instrument[0].params.regime.ema_slow",
        "value": 50,
        "origin": "default",
    }
    assert rows["alert.slack.webhook_url"]["value"] == "***"


# --- rules --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "path", "severity", "text"),
    [
        ({"breaker": {"drawdwon": {"max_drawdown_pct": 3}}}, "breaker.drawdwon", "error", "did you mean 'drawdown'"),
        ({"breaker": {"astrology": {"moon": 3}}}, "breaker.astrology", "warning", "a breaker that is loaded"),
        ({"breaker": {"drawdown": {"max_drawdown_pct": 0}}}, "breaker.drawdown.max_drawdown_pct", "error", "above 0"),
        ({"breaker": {"margin": {"warn_fraction": 1}}}, "breaker.margin.warn_fraction", "error", "a warning comes before the trip"),
        ({"limits": {"max_risk_per_trade_pct": 0.01}}, "limits.max_risk_per_trade_pct", "error", "one order"),
        ({"limits": {"max_risk_per_trade_pct": 9}}, "limits.max_risk_per_trade_pct", "warning", "hardly limits"),
        ({"breaker": {"drawdown": {"max_daily_drawdown_pct": 0.15}}}, "breaker.drawdown.max_daily_drawdown_pct", "warning", "percent"),
        ({"alerts": {"high_funding_threshold_bps": 20}}, "alerts.high_funding_threshold_bps", "error", "warn < pause < flatten"),
        ({"exchange": {"name": "papre"}}, "exchange.name", "error", "did you mean 'paper'"),
        ({"daemon": {"instance": "../up"}}, "daemon.instance", "error", "beginning with a letter"),
        ({"feed": {"start": "soon"}}, "feed.start", "error", "2025-01-01"),
        ({"feed": {"kind": "recorded"}}, "feed.path", "error", "recorded data"),
        ({"feed": {"kind": "recorded", "path": "x"}}, "instrument[0].reference_price", "error", "the feed names none"),
        ({"feed": {"interval": "4h"}}, "feed.interval", "error", "divide an hour"),
        ({"dead_mans_switch": {"enabled": True, "warning_minutes": 120}}, "dead_mans_switch.warning_minutes", "error", "timeout_minutes"),
        ({"exchange_countdown": {"enabled": True, "beat_seconds": 100}}, "exchange_countdown.beat_seconds", "error", "half"),
        ({"flatten": {"use_market_orders": False, "over_seconds": 30}}, "flatten.over_seconds", "error", "flatten.deadline_seconds = 30"),
        (
            {
                "flatten": {"use_market_orders": False, "over_seconds": 50, "deadline_seconds": 90},
                "daemon": {"on_stop": "flatten"},
            },
            "flatten.over_seconds",
            "error",
            "daemon.stop_timeout_seconds = 50",
        ),
        ({"instrument": [{"symbol": "BTCUSDT", "strategy": "hedge_gird"}]}, "instrument[0].strategy", "error", "did you mean 'hedge_grid'"),
    ],
)
def test_rule(overrides: dict[str, Any], path: str, severity: str, text: str) -> None:
    matching = [one for one in check(load(PAPER, {}, overrides=overrides), REGISTRY) if one.path == path and text in one.text]
    assert {one.severity for one in matching} == {severity}


def sections(**tables: Any) -> dict[str, Any]:
    return {"instrument": [{"symbol": "BTCUSDT", "params": tables}]}


def test_strategy_settings_that_clash() -> None:
    severity, text = found(sections(regime={"ema_fast": 60}))["instrument[0].params"]
    assert severity == "error" and "ema_fast 60 must be below" in text


def test_a_pause_beyond_the_kill_is_never_reached() -> None:
    path = "instrument[0].params.risk_management.max_drawdown_pct"
    assert found(sections(risk_management={"max_drawdown_pct": 20}))[path][0] == "error"
    assert path not in found(sections(risk_management={"max_drawdown_pct": 20, "enable_drawdown_protection": False}))


def test_the_strategys_own_limit_above_the_global_one_is_told() -> None:
    overrides = sections(position={"max_position_pct": 90}) | {"limits": {"max_position_pct": 50}}
    assert found(overrides)["instrument[0].params.position.max_position_pct"][0] == "warning"


def test_what_the_environment_may_not_do_is_told() -> None:
    assert found({}, {"MAX_DRAWDOWN_PERCENT": "50"})["environment MAX_DRAWDOWN_PERCENT"][0] == "warning"


# --- live ---------------------------------------------------------------------------------------------------------------

LIVE = {
    "mode": "live",
    "allow_live_trading": True,
    "exchange": {"name": "binance", "binance": {"account": "main", "api_key": "k", "api_secret": "s"}},
    "limits": {"equity_usdt": 10_000},
}


def refusal(overrides: dict[str, Any], **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        refuse(load(PAPER, {}, overrides=overrides), REGISTRY, **options)
    assert caught.value.exit_code == 78
    return str(caught.value)


def test_live_never_trades_on_made_up_or_recorded_prices(tmp_path: Path) -> None:
    assert refusal(LIVE, confirm_live="main").startswith("feed.kind: is 'synthetic', expected live")
    live = LIVE | {"feed": {"kind": "live"}}
    assert "--feed" in refusal(live, confirm_live="main", feed=tmp_path)
    refuse(load(PAPER, {}, overrides=live), REGISTRY, confirm_live="main")


def test_live_never_trades_on_the_paper_exchange() -> None:
    assert "a real exchange" in refusal(LIVE | {"exchange": {"name": "paper"}}, confirm_live="main")


@pytest.mark.parametrize(
    ("overrides", "account", "text"),
    [
        ({"allow_live_trading": False}, "main", "allow_live_trading: is False, expected true"),
        ({}, None, "--confirm-live"),
        ({}, "other", "--confirm-live: is 'other'"),
        ({"kill_switch": {"enabled": False}}, "main", "kill_switch.enabled"),
        ({"limits": {}}, "main", "limits.equity_usdt"),
    ],
)
def test_live_gates(overrides: dict[str, Any], account: str | None, text: str) -> None:
    assert text in refusal(LIVE | overrides, confirm_live=account)


def test_reload_does_not_ask_for_the_second_act() -> None:
    assert "--confirm-live" not in refusal(LIVE)
    refuse(load(PAPER, {}), REGISTRY, confirm_live=None)


# --- what the feed cannot carry -----------------------------------------------------------------------------------------


def test_a_breaker_whose_input_the_recording_lacks(tmp_path: Path) -> None:
    class Spread:
        name = "spread"
        needs = ("quotes",)

        class Settings:
            max_spread_bps: float = 10.0

        def check(self, snapshot: Any) -> None: ...

    from hedgegridd.plugins import Plugin

    registry = load_shipped()
    registry.add(Plugin("spread", "breaker", tmp_path / "spread.py", "", False, Spread(), {}))
    bars = tmp_path / "BTCUSDT.csv"
    row = "1735689600000,100000.0,100000.0,100000.0,100000.0,1.0,1735689659999,0,0,0,0,0"
    bars.write_text(
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n" + row + "\n"
    )
    config = load(PAPER, {}, overrides={"feed": {"funding_bps": 1.0}})
    ours, spread = check(config, registry, feed=bars)
    assert (spread.severity, spread.path) == ("warning", "breaker.spread") and "carries quotes" in spread.text
    assert (ours.severity, ours.path) == ("warning", "breaker.mark_index") and "carries index, marks" in ours.text
    assert check(config, registry) == []


# --- strategies of plugin files ------------------------------------------------------------------------------------------


def elsewhere(folder: Path, strategy: str) -> list[Any]:
    """What is found of the paper configuration with this strategy and this plugin folder."""
    config = load(
        PAPER, {}, overrides={"daemon": {"plugin_dirs": [str(folder)]}, "instrument": [{"symbol": "BTCUSDT", "strategy": strategy}]}
    )
    return [one for one in check(config, REGISTRY) if one.path.startswith("instrument[0]")]


def test_a_strategy_that_a_plugin_file_speaks_of_is_doubtful_only(tmp_path: Path) -> None:
    (tmp_path / "strategy_tiny.py").write_text("class Tiny:\n    name = 'tiny'\n")
    (one,) = elsewhere(tmp_path, "tiny")
    assert (one.severity, one.path) == ("warning", "instrument[0].strategy")
    assert "strategy_tiny.py" in one.text and "nobody checks its filled grid" in one.text


def test_a_strategy_found_nowhere_is_wrong_and_says_where_was_looked(tmp_path: Path) -> None:
    (tmp_path / "strategy_tiny.py").write_text("class Tiny:\n    name: str = 'tiny'\n")
    (one,) = elsewhere(tmp_path, "tinny")
    assert one.severity == "error" and "did you mean 'tiny'?" in one.text
    assert str(tmp_path) in one.text and "/etc/hedgegridd/plugins" in one.text
    (one,) = elsewhere(tmp_path / "nowhere", "hedge_gird")
    assert one.severity == "error" and "did you mean 'hedge_grid'?" in one.text


# --- speed --------------------------------------------------------------------------------------------------------------


def test_check_is_quick() -> None:
    """Half a second is the promise; the bound here is wide, for a busy machine."""
    began = time.monotonic()
    code = f"from hedgegridd.check import command; from pathlib import Path; command(Path({str(PAPER)!r}))"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert time.monotonic() - began < 15.0


@pytest.mark.parametrize(
    ("tiers", "path"),
    [
        ({"reduce_drawdown_pct": 4.5}, ""),
        ({"reduce_drawdown_pct": 5.0}, "breaker.drawdown.reduce_drawdown_pct"),
        ({"reduce_drawdown_pct": 3.0}, "breaker.drawdown.warn_fraction"),
        ({"reduce_drawdown_pct": 3.0, "warn_fraction": 0.5}, ""),
    ],
)
def test_the_tiers_of_the_equity_stop_are_in_order(tiers: dict[str, Any], path: str) -> None:
    """E30: warn < reduce < stop."""
    told = found({"breaker": {"drawdown": {"max_drawdown_pct": 5.0, **tiers}}})
    assert {one for one in told if one.startswith("breaker.drawdown")} == ({path} if path else set())


def test_a_window_of_maintenance_that_cannot_be_is_an_error() -> None:
    told = found({"maintenance": [{"start": "2:00", "end": "03:00"}]})
    assert {path: severity for path, (severity, _) in told.items() if path.startswith("maintenance")} == {"maintenance[0].start": "error"}


@pytest.mark.parametrize("kind", ["breaker", "alert", "service"])
def test_a_table_whose_name_a_plugin_file_speaks_of_is_that_file_s(kind: str, tmp_path: Path) -> None:
    name = {"breaker": "funding_cost", "alert": "slack2", "service": "prometheus2"}[kind]  # each near to one that ships
    over = {"daemon": {"plugin_dirs": [str(tmp_path)]}, kind: {name: {"limit": 5}}}
    assert found(over)[f"{kind}.{name}"][0] == "error"
    (tmp_path / "mine.py").write_text(f'class It:\n    name = "{name}"\n')
    assert f"{kind}.{name}" not in found(over)


def test_cheap_coins_have_prices_and_not_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cheap = PAPER.read_text().replace("start_price = 100000.0", "start_price = 0.0000123")
    cheap = cheap.replace("tick_size = 0.1", "tick_size = 0.00000001").replace("lot_size = 0.001", "lot_size = 1")
    path = tmp_path / "cheap.toml"
    path.write_text(cheap.replace("base_qty = 0.002 ", "base_qty = 10_000_000 "))
    command(path)
    said = capsys.readouterr().out
    assert "long full at 0.0000123: 159,374,24" in said
    assert "up to a price of 0.0000" in said


def test_a_variable_that_tightens_does_not_forbid_the_start() -> None:
    path = "instrument[0].params.risk_management.max_drawdown_pct"
    assert found({}, {"MAX_DRAWDOWN_PERCENT": "3"})[path][0] == "warning"
    assert found({"breaker": {"drawdown": {"max_drawdown_pct": 3.0}}})[path][0] == "error"
