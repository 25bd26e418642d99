"""Every alert's text is fixed by a golden text, and every switch silences its own rule and no other."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.heart import notices
from hedgegridd.heart.breakers import Guard
from hedgegridd.model import Fill, Instrument, Leg, Level, Severity, Side
from hedgegridd.views import Alert, Trip

TIME = 1_736_951_025_900  # 2025-01-15 14:23:45.900 UTC
BTC = Instrument(0.1, 0.001, 1, 1000, 500, 5.0, 2.0, 5.0)
THRESHOLDS = SimpleNamespace(
    large_loss_threshold_usdt=100.0,
    max_single_loss_pct=2.0,
    max_daily_loss_pct=5.0,
    max_position_size_usd=10_000.0,
    high_funding_threshold_bps=15.0,
)
SCOPE = [("BTCUSDT", 0), ("BTCUSDT", 1)]
GUARD = Guard("drawdown", "breaker_drawdown.py", value=4.2, threshold=5.0, unit="%")
RESULT = {
    "cancelled_orders": 15,
    "closing_positions": [
        {"symbol": "BTCUSDT", "side": "long", "size": 0.5, "order_id": "a"},
        {"symbol": "BTCUSDT", "side": "long", "size": 0.25, "order_id": "b"},
        {"symbol": "BTCUSDT", "side": "short", "size": 0.3, "order_id": "c"},
    ],
    "reason": "drawdown",
}
FILL = Fill("BTCUSDT", TIME, Leg.LONG, Side.BUY, 1_000_005, 12, 0.24, True, "hg1", "77", "p1")

GOLDEN: dict[str, tuple[Alert | None, str]] = {
    "kill_activated": (
        notices.kill_activated(TIME, Level.FLATTEN, "exchange rumour", "verb", "alice"),
        "CRITICAL Kill switch engaged: flatten|Reason: exchange rumour|Source: verb|By: alice|"
        "Action: flatten: openers and take-profits cancelled, both legs closed at once",
    ),
    "kill_deactivated": (
        notices.kill_deactivated(TIME, "all is well", "alice", ["drawdown"]),
        "WARNING Kill switch released|Reason: all is well|By: alice|Disarmed until the next UTC day: drawdown|"
        "Action: openers may leave again",
    ),
    "breaker_tripped": (
        notices.breaker_tripped(TIME, "drawdown", Trip("5.23 % >= 5 %", 5.234, 5.0), Level.FLATTEN, "%"),
        "CRITICAL Breaker tripped: drawdown|Breaker: drawdown|Value: 5.23 %|Threshold: 5.00 %|"
        "Action: flatten: openers and take-profits cancelled, both legs closed at once|Reason: 5.23 % >= 5 %",
    ),
    "breaker_near": (
        notices.breaker_noticed(TIME, GUARD, "near", "84% of the threshold"),
        "WARNING Breaker near its threshold: drawdown|Breaker: drawdown|Value: 4.20 %|Threshold: 5.00 %|Said: 84% of the threshold|"
        "Action: none yet",
    ),
    "breaker_unknown": (
        notices.breaker_noticed(TIME, Guard("margin", "f.py"), "unknown", "no mark price"),
        "WARNING Breaker is blind: margin|Breaker: margin|Said: no mark price|"
        "Action: openers withheld; it trips at halt after its grace time",
    ),
    "breaker_error": (
        notices.breaker_noticed(TIME, Guard("mine", "f.py"), "error", "KeyError: 'x'"),
        "WARNING Breaker is broken: mine|Breaker: mine|Said: KeyError: 'x'|Action: none: it guards nothing until it is mended",
    ),
    "breaker_would_trip": (
        notices.breaker_noticed(TIME, Guard("mine", "f.py"), "would_trip", "42 bps >= 30 bps"),
        "WARNING New breaker would trip at once: mine|Breaker: mine|Said: 42 bps >= 30 bps|"
        "Action: held back until `hedgegridctl breakers arm`",
    ),
    "breaker_cleared": (
        notices.breaker_noticed(TIME, Guard("mine", "f.py"), "cleared", "no longer in breach"),
        "INFO Breaker no longer in breach: mine|Breaker: mine|Said: no longer in breach|Action: none",
    ),
    "flatten_started": (
        notices.flatten_started(TIME, "drawdown", SCOPE),
        "CRITICAL Flatten started|Reason: drawdown|Legs: BTCUSDT long, BTCUSDT short",
    ),
    "flatten_done": (
        notices.flatten_done(TIME, RESULT, 1234),
        "CRITICAL Flat: the exchange reports zero|Reason: drawdown|Legs: BTCUSDT long, BTCUSDT short|Orders cancelled: 15|"
        "Positions closed: 2|"
        "Details: BTCUSDT long 0.5 (order a); BTCUSDT long 0.25 (order b); BTCUSDT short 0.3 (order c)|Took: 1.2 s",
    ),
    "flatten_failed": (
        notices.flatten_failed(TIME, "drawdown", "closing", ["BTCUSDT long: 0.5 held"]),
        "CRITICAL FLATTEN_FAILED: not flat|Reason: drawdown|Phase: closing|Unresolved: BTCUSDT long: 0.5 held|"
        "Action: still trying, and paging again; close by hand at the exchange if this goes on",
    ),
    "unprotected": (
        notices.emergency_stop_placed(TIME, "BTCUSDT", Leg.SHORT, 0.0),
        "CRITICAL UNPROTECTED: BTCUSDT short|Leg: BTCUSDT short|Action: its price is beyond the stop already: closing it at once",
    ),
    "emergency_stop_placed": (
        notices.emergency_stop_placed(TIME, "BTCUSDT", Leg.LONG, 95_000.5),
        "CRITICAL Emergency stop placed: BTCUSDT long|Event: EMERGENCY_SL_PLACED|Leg: BTCUSDT long|Stop: 95000.5|"
        "Why: the leg was held with no stop",
    ),
    "large_loss": (
        notices.large_loss(TIME, "BTCUSDT", Leg.LONG, 100.0, THRESHOLDS),
        "WARNING Large loss: 100.00 USDT|Leg: BTCUSDT long|Loss: 100.00 USDT|Threshold: 100.00 USDT",
    ),
    "single_loss": (
        notices.single_loss(TIME, "BTCUSDT", Leg.LONG, 250.0, 10_000.0, THRESHOLDS),
        "WARNING One close lost 2.50 % of equity|Leg: BTCUSDT long|Loss: 2.50 % of equity (250.00 USDT of 10000.00 USDT)|Threshold: 2.00 %",
    ),
    "day_loss": (
        notices.day_loss(TIME, 500.0, 10_000.0, THRESHOLDS),
        "CRITICAL Daily loss: 5.00 %|Loss today: 5.00 % (500.00 USDT)|Equity at 00:00 UTC: 10000.00 USDT|Threshold: 5.00 %",
    ),
    "position_size": (
        notices.position_size(TIME, "BTCUSDT", Leg.SHORT, 10_000.0, THRESHOLDS),
        "CRITICAL Position too large: BTCUSDT short|Leg: BTCUSDT short|Size: 10000.00 USDT|Threshold: 10000.00 USDT",
    ),
    "high_funding": (
        notices.high_funding(TIME, "BTCUSDT", Leg.LONG, 22.5, 56.25, THRESHOLDS),
        "WARNING High funding: 22.50 bps|Instrument: BTCUSDT|Paying leg: long|Funding: 22.50 bps per 8 h|Projected 8 h cost: 56.25 USDT|"
        "Threshold: 15.00 bps",
    ),
    "fill": (
        notices.fill(TIME, BTC, FILL, -1.5),
        "INFO Fill: BTCUSDT long BUY 0.012 @ 100000.5|Leg: BTCUSDT long|Did: BUY 0.012 @ 100000.5|"
        "Fee: 0.24 USDT|Realized: -1.50 USDT|Order: hg1",
    ),
    "order_error": (
        notices.order_error(TIME, "BTCUSDT", "hg1", -4164, "min notional"),
        "WARNING Order refused: BTCUSDT -4164|Instrument: BTCUSDT|Order: hg1|Code: -4164|Reason: min notional",
    ),
    "state_change": (
        notices.state_change(TIME, "breaker drawdown disarmed", "alice: tests"),
        "INFO Changed: breaker drawdown disarmed|Why: alice: tests",
    ),
    "dead_man_warning": (
        notices.dead_man_warning(TIME, 30 * 60_000),
        "WARNING Dead man's switch: confirm within 30 min|Acts in: 30 min|To prevent it: hedgegridctl confirm",
    ),
    "dead_man_acted": (
        notices.dead_man_acted(TIME, "halt"),
        "CRITICAL Dead man's switch acted: halt|Why: no sign of the operator|"
        "Action: halt: openers cancelled and refused, take-profits and stops stay",
    ),
    "not_durable": (
        notices.not_durable(TIME, "no space left"),
        "CRITICAL Kill switch active, NOT durable|Why: no space left|Action: active, NOT durable: do not restart before the disk is sound",
    ),
    "disk_failed": (
        notices.disk_failed(TIME, "no space left"),
        "CRITICAL Disk failed: openers withheld|Why: no space left|"
        "Action: openers withheld until a write succeeds; cancels, stops and closes go on",
    ),
    "plugin_quarantined": (
        notices.plugin_quarantined(TIME, "breaker_x.py", "died three times"),
        "WARNING Plugin quarantined: breaker_x.py|File: breaker_x.py|Why: died three times|"
        "Action: asked no more; what it guarded counts as unknown",
    ),
    "system_error": (
        notices.system_error(TIME, "the position changed without us"),
        "CRITICAL System error|Error: the position changed without us|Action: a person must look",
    ),
    "started": (
        notices.started(TIME, "paper", "0.1.0", kill_reason="drawdown"),
        "INFO Started: paper|Mode: paper|Version: 0.1.0|Kill switch: ENGAGED (drawdown)",
    ),
    "stopped": (
        notices.stopped(TIME, "SIGTERM", ["BTCUSDT long: 0.5 held"]),
        "INFO Stopped|Reason: SIGTERM|Kept: BTCUSDT long: 0.5 held",
    ),
    "journal_head": (
        notices.journal_head(TIME),
        "INFO The journal's head|Keep it: hedgegridctl journal verify --head HEAD proves it later",
    ),
    "test": (notices.test(TIME), "INFO Test alert|Action: none: this only proves that this channel delivers"),
}


def test_every_rule_has_a_golden_text() -> None:
    assert GOLDEN.keys() == notices.RULES.keys()


@pytest.mark.parametrize("rule", GOLDEN)
def test_golden_text(rule: str) -> None:
    alert, golden = GOLDEN[rule]
    assert alert is not None
    first, *rest = alert.text.split("\n")
    assert first == "Time: 2025-01-15 14:23:45 UTC"
    assert f"{alert.severity} {alert.title}|{'|'.join(rest)}" == golden
    assert (alert.rule, alert.severity, alert.time) == (rule, notices.RULES[rule], TIME)
    json.dumps(alert.fields, allow_nan=False)


def test_severities_that_the_requirements_name() -> None:
    critical = {"breaker_tripped", "flatten_started", "flatten_done", "flatten_failed", "position_size", "day_loss", "kill_activated"}
    assert {notices.RULES[rule] for rule in critical | {"system_error"}} == {Severity.CRITICAL}
    assert notices.RULES["high_funding"] == notices.RULES["single_loss"] == Severity.WARNING
    assert notices.RULES["test"] == Severity.INFO


@pytest.mark.parametrize("switch", sorted(set(notices.SWITCHES.values())))
def test_a_switch_silences_only_its_rule(switch: str) -> None:
    alerts = SimpleNamespace(enabled=True, **dict.fromkeys(notices.SWITCHES.values(), True))
    setattr(alerts, switch, False)
    silenced = {rule for rule, (alert, _) in GOLDEN.items() if alert and not notices.wanted(alert, alerts)}
    assert silenced == {rule for rule in GOLDEN if not notices.on(rule, alerts)}
    assert silenced == {rule for rule, name in notices.SWITCHES.items() if name == switch}


def test_the_rules_that_no_switch_of_their_own_silences() -> None:
    loud = {"kill_activated", "flatten_failed", "unprotected", "emergency_stop_placed", "not_durable", "disk_failed", "system_error"}
    assert not loud & notices.SWITCHES.keys()


def test_the_master_switch_silences_all() -> None:
    assert not any(notices.wanted(alert, SimpleNamespace(enabled=False)) for alert, _ in GOLDEN.values() if alert)


def test_a_switch_the_configuration_lacks_is_on() -> None:
    assert all(notices.wanted(alert, SimpleNamespace()) for alert, _ in GOLDEN.values() if alert)


@pytest.mark.parametrize(
    ("below", "at"),
    [
        (lambda x: notices.large_loss(TIME, "S", 0, x * 100, THRESHOLDS), "large_loss"),
        (lambda x: notices.single_loss(TIME, "S", 0, x * 20, 1000.0, THRESHOLDS), "single_loss"),
        (lambda x: notices.day_loss(TIME, x * 50, 1000.0, THRESHOLDS), "day_loss"),
        (lambda x: notices.position_size(TIME, "S", 0, x * 10_000, THRESHOLDS), "position_size"),
        (lambda x: notices.high_funding(TIME, "S", 0, x * 15, 1.0, THRESHOLDS), "high_funding"),
    ],
)
def test_a_threshold_is_reached_when_it_is_equalled(below: Any, at: str) -> None:
    assert below(0.999) is None
    assert below(1.0).rule == at


def test_a_loss_with_no_equity_left_is_told() -> None:
    alert = notices.day_loss(TIME, 10.0, 0.0, THRESHOLDS)
    assert alert is not None and alert.fields["loss_pct"] is None


def test_what_a_trip_does_not_know_is_called_unknown() -> None:
    assert "Value: unknown\nThreshold: unknown" in notices.breaker_tripped(TIME, "b", Trip("odd"), Level.HALT).text


@settings(max_examples=100)
@given(st.integers(0, 4_000_000_000_000), st.text(max_size=40), st.text(max_size=40), st.sampled_from(Level))
def test_whatever_reasons_hold_an_alert_stands(time: int, reason: str, source: str, level: Level) -> None:
    alert = notices.kill_activated(time, level, reason, source)
    assert alert.text.startswith("Time: ") and " UTC" in alert.text
    assert json.loads(json.dumps(alert.fields))["reason"] == reason
