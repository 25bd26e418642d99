"""Alerts in the log: one line each with its fields, in the daemon's log or in a file of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from loguru import logger
from rig import plugin_module

from hedgegridd import Alert, Severity
from hedgegridd.heart import notices

TIME = 1_736_951_025_000


alert_log = plugin_module("alert_log")


@pytest.fixture
def records() -> Iterator[list[Any]]:
    heard: list[Any] = []
    logger.remove()
    sink = logger.add(lambda message: heard.append(message.record), format="{message}")
    yield heard
    logger.remove(sink)


def test_it_registers_one_channel() -> None:
    registered: list[Any] = []
    alert_log.register_alerts(registered.append)
    assert [thing.name for thing in registered] == ["log"]


def test_one_line_with_the_alerts_severity_and_fields(records: list[Any]) -> None:
    alert_log.LogAlerts().send(notices.plugin_quarantined(TIME, "spread.py", "min {notional}"))
    (record,) = records
    assert record["message"] == (
        "alert: Plugin quarantined: spread.py (Time: 2025-01-15 14:23:45 UTC; File: spread.py; Why: min {notional}; "
        "Action: asked no more; what it guarded counts as unknown)"
    )
    assert record["level"].name == "WARNING"
    assert record["extra"] == {"rule": "plugin_quarantined", "file": "spread.py", "reason": "min {notional}"}


def test_what_the_log_tells_as_an_act_is_not_told_twice(records: list[Any]) -> None:
    alert_log.LogAlerts().send(notices.order_error(TIME, "BTCUSDT", "hg1", -4164, "too small"))
    assert not records


def test_a_file_of_its_own(tmp_path: Path, records: list[Any]) -> None:
    channel = alert_log.LogAlerts()
    channel.settings = SimpleNamespace(path=str(tmp_path / "alerts.log"))
    channel.send(notices.disk_failed(TIME, "full\nfake line"))
    channel.send(Alert(TIME, Severity.INFO, "test", "Test alert", "", {}))
    first, second = (tmp_path / "alerts.log").read_text().splitlines()
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC CRITICAL Disk failed: openers withheld \(Time: 2025", first)
    assert second.endswith("UTC INFO Test alert ()")
    assert not records


def test_a_file_that_cannot_be_written_is_not_delivered(tmp_path: Path) -> None:
    channel = alert_log.LogAlerts()
    channel.settings = SimpleNamespace(path=str(tmp_path / "missing" / "alerts.log"))
    with pytest.raises(OSError, match="No such file"):
        channel.send(notices.test(TIME))
