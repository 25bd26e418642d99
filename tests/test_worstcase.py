"""The worst case against each limit, one limit at a time, on the shipped paper configuration."""

from pathlib import Path
from typing import Any

import pytest

from hedgegridd import worstcase
from hedgegridd.check import check, command, examine
from hedgegridd.config import load
from hedgegridd.plugins import load_shipped, shipped

PAPER = shipped("etc") / "paper.toml"
REGISTRY = load_shipped()


def found(overrides: dict[str, Any], path: Path = PAPER) -> dict[str, str]:
    return {one.path: one.text for one in check(load(path, {}, overrides=overrides), REGISTRY) if one.severity == "error"}


def grid(**values: Any) -> dict[str, Any]:
    return {"instrument": [{"symbol": "BTCUSDT", "params": {"grid": values}}]}


@pytest.mark.parametrize(
    ("path", "overrides", "figure"),
    [
        ("breaker.position_size.max_position_usdt", {"breaker": {"position_size": {"max_position_usdt": 2_800}}}, "2,835 USDT >= 2,800"),
        ("limits.max_position_pct", {"limits": {"max_position_pct": 28}}, "28 %"),
        ("limits.max_exposure_pct", {"limits": {"max_exposure_pct": 50}}, "54.5 %"),
        ("limits.max_risk_per_trade_pct", {"limits": {"max_risk_per_trade_pct": 0.2}}, "one order of BTCUSDT"),
        ("limits.max_open_trades", {"limits": {"max_open_trades": 1}}, "at least 2"),
        ("breaker.margin.max_initial_margin_use_pct", {"breaker": {"margin": {"max_initial_margin_use_pct": 54}}}, "initial margin"),
        ("breaker.margin.max_maint_margin_pct", {"breaker": {"margin": {"max_maint_margin_pct": 0.21}}}, "maintenance margin"),
        ("breaker.drawdown.max_drawdown_pct", {"breaker": {"drawdown": {"max_drawdown_pct": 0.7}}}, "0.71 %"),
        ("breaker.session_loss.max_loss_amount_usdt", {"breaker": {"session_loss": {"max_loss_amount_usdt": 71}}}, "71.04 USDT"),
        ("breaker.daily_loss.max_daily_loss_pct", {"breaker": {"daily_loss": {"max_daily_loss_pct": 0.7}}}, "fee included"),
        ("breaker.daily_loss.daily_loss_limit_usdt", {"breaker": {"daily_loss": {"daily_loss_limit_usdt": 60}}}, "its stop"),
        (
            "breaker.session_loss.max_loss_amount_usdt",
            {"breaker": {"session_loss": {"max_loss_amount_usdt": 10_000}}},
            "less than the equity",
        ),
    ],
)
def test_each_limit_is_compared(path: str, overrides: dict[str, Any], figure: str) -> None:
    assert figure in found(overrides)[path]


def test_maintenance_margin_is_that_of_each_legs_bracket() -> None:
    """Both legs full are 2,835 USDT or less each: beyond 2,000 a tenth of the rest is needed."""
    limit = {"breaker": {"margin": {"max_maint_margin_pct": 1.0}}}
    rows = [{"notional_floor_usdt": 0.0, "maint_margin_pct": 0.4}, {"notional_floor_usdt": 2_000.0, "maint_margin_pct": 10.4}]
    assert found(limit) == {}
    text = found({**limit, "instrument": [{"symbol": "BTCUSDT", "brackets": rows}]})["breaker.margin.max_maint_margin_pct"]
    assert "1.7 %: all legs full bind 167 USDT maintenance margin" in text


def test_the_filled_grid_shows_its_maintenance_margin(capsys: pytest.CaptureFixture[str]) -> None:
    rows = worstcase.grid_rows(examine(load(PAPER, {}), REGISTRY)[0])
    assert all(row["maint_margin_usdt"] == pytest.approx(row["notional_usdt"] * 0.004) for row in rows)
    assert command(PAPER) == 0
    assert f"maintenance margin {rows[0]['maint_margin_usdt']:,.0f} USDT" in capsys.readouterr().out


def test_a_breaker_that_is_off_is_not_compared() -> None:
    off = {"breaker": {"position_size": {"max_position_usdt": 100, "enabled": False}}}
    assert "breaker.position_size.max_position_usdt" not in found(off)


def test_leverage_makes_room_for_margin() -> None:
    tight = {"breaker": {"margin": {"max_initial_margin_use_pct": 30}}}
    assert "breaker.margin.max_initial_margin_use_pct" in found(tight)
    assert found({**tight, "instrument": [{"symbol": "BTCUSDT", "leverage": 2}]}) == {}


def test_an_isolated_leg_is_stopped_before_it_is_liquidated() -> None:
    table = {"symbol": "BTCUSDT", "margin_type": "isolated", "leverage": 50}
    assert "liquidated" in found({"instrument": [table]})["instrument[0].leverage"]
    assert found({"instrument": [{**table, "leverage": 5}]}) == {}


def test_a_grid_that_trades_nothing_is_told() -> None:
    assert "the strategy wishes none" in found({"instrument": [{"symbol": "BTCUSDT", "reference_price": 1_000.0}]})["instrument[0].params"]


def test_the_documents_defaults_are_refused_with_their_figure() -> None:
    text = found(grid(base_qty=0.01, grid_levels_long=10, grid_levels_short=10))["breaker.position_size.max_position_usdt"]
    assert "15,937 USDT" in text and ">= 10,000 USDT" in text and "holds up to a price of" in text


def test_the_size_limit_holds_up_to_the_price_that_is_told() -> None:
    limit = {"position_size": {"max_position_usdt": 2_800}}
    hint = found({"breaker": limit})["breaker.position_size.max_position_usdt"].split("up to a price of ")[1]
    price = float(hint.split(";")[0].replace(",", ""))
    for factor, refused in ((0.99, False), (1.01, True)):
        one = {"symbol": "BTCUSDT", "reference_price": price * factor}
        assert ("breaker.position_size.max_position_usdt" in found({"breaker": limit, "instrument": [one]})) is refused
