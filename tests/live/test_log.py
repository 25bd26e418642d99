"""Secrets never leave, fields arrive, and a log that cannot be written stops nothing."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger

from hedgegridd.live import log
from hedgegridd.model import Leg, Severity

SECRET = 'k3y/with "odd" characters+\\'


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """What `setup` changes for a whole process is put back."""
    root, level, show = list(logging.root.handlers), logging.root.level, warnings.showwarning
    yield
    logging.captureWarnings(False)
    logging.root.handlers[:], logging.root.level, warnings.showwarning = root, level, show
    logger.remove()
    log.register([])


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "journal"))
        server.settimeout(20)
        yield server


def _native(server: socket.socket) -> log.JournalSink:
    sink = log.JournalSink(server.getsockname())
    logger.remove()
    logger.add(sink, level="DEBUG", format="{message}", diagnose=False, backtrace=False, catch=False)
    return sink


def _parse(raw: bytes) -> dict[str, str]:
    """journald's own reading of its native form."""
    fields = {}
    while raw:
        line, _, rest = raw.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + size], rest[8 + size + 1 :]
        fields[name.decode()] = value.decode()
        raw = rest
    return fields


def _heard(server: socket.socket) -> dict[str, str]:
    return _parse(server.recv(1 << 20))


def _lines(level: str = "INFO", secrets: tuple[str, ...] = ()) -> io.StringIO:
    stream = io.StringIO()
    log.setup(level, secrets, stream=stream)
    return stream


# --- lines ----------------------------------------------------------------------------------------------------------------


def test_a_line_says_that_it_is_utc() -> None:
    stream = _lines()
    log.event("INFO", "ready {not a format}", symbol="BTCUSDT")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC INFO     ready \{not a format\}\n", stream.getvalue())


def test_a_terminal_gets_colours() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    log.setup("INFO", stream=stream)
    log.event(Severity.CRITICAL, "kill <switch>")
    assert "\x1b[" in stream.getvalue() and "kill <switch>" in stream.getvalue()


def test_the_level_is_kept() -> None:
    stream = _lines("warning")
    log.event("INFO", "quiet")
    log.act("accepted", {"client_id": "a"})
    log.event("WARNING", "loud")
    assert "loud" in stream.getvalue() and "quiet" not in stream.getvalue() and "accepted" not in stream.getvalue()


def test_control_characters_cannot_dress_up_a_line() -> None:
    stream = _lines()
    log.event("INFO", "bad \x1b[2J news")
    assert "\x1b" not in stream.getvalue() and "\\x1b[2J" in stream.getvalue()


def test_a_closed_stream_stops_nothing() -> None:
    stream = _lines()
    stream.close()
    log.event("INFO", "nobody hears")


def test_libraries_are_heard_and_masked() -> None:
    stream = _lines("INFO", ("tok-123456",))
    logging.getLogger("urllib3").warning("retrying /bot%s/sendMessage", "tok-123456")
    logging.getLogger("urllib3").warning("%d", "tok-123456")
    assert "WARNING  retrying /bot***/sendMessage" in stream.getvalue()
    assert "unreadable log record: TypeError" in stream.getvalue()
    assert "tok-123456" not in stream.getvalue()


# --- secrets --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [SECRET, json.dumps({"key": SECRET}), repr([SECRET]), "https://x/?k=k3y%2Fwith%20%22odd%22%20characters%2B%5C"],
    ids=["plain", "json", "repr", "url"],
)
def test_a_secret_is_masked_in_every_dress(shape: str, journald: socket.socket) -> None:
    stream = _lines("INFO", (SECRET,))
    log.event("INFO", f"sent {shape}")
    assert "odd" not in stream.getvalue() and "***" in stream.getvalue()
    _native(journald)
    log.event("INFO", f"sent {shape}", url=shape, nested={"deep": [shape]})
    assert not any("odd" in value for value in _heard(journald).values())


def test_a_secret_in_a_traceback_is_masked_and_no_variable_is_shown() -> None:
    stream = _lines("INFO", (SECRET,))
    other = "not-registered-but-local"
    try:
        raise ValueError(f"refused key {SECRET}", len(other))
    except ValueError:
        logger.exception("failed")
    assert "ValueError" in stream.getvalue() and "odd" not in stream.getvalue() and other not in stream.getvalue()


def test_each_line_of_a_long_key_is_masked() -> None:
    key = "-----BEGIN-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END-----"
    stream = _lines("INFO", (key,))
    log.event("INFO", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC")
    assert "MIIE" not in stream.getvalue()


def test_of_an_address_what_its_server_sees_is_masked_too() -> None:
    """A page that refuses an address mostly shows its path, without the host."""
    log.register(["https://hooks.slack.com/services/T0MARK/B0MARK/XsLaCkToKeN0123456789"])
    for shown in (
        "Not found: /services/T0MARK/B0MARK/XsLaCkToKeN0123456789",
        "token XsLaCkToKeN0123456789",
        "GET services%2FT0MARK%2FB0MARK%2FXsLaCkToKeN0123456789",
    ):
        assert "XsLaCkToKeN0123456789" not in log.hide(shown)
    assert log.hide("no answer from hooks.slack.com") == "no answer from hooks.slack.com"


def test_blank_and_tiny_values_do_not_blank_the_log() -> None:
    stream = _lines("INFO", ("", "  ", "ab"))
    log.event("INFO", "a table about   nothing")
    assert "a table about   nothing" in stream.getvalue()


@settings(max_examples=100)
@given(st.text(min_size=4).filter(lambda text: len(text.strip()) >= 4 and "*" not in text), st.text(), st.text())
def test_no_registered_secret_survives_hide(secret: str, before: str, after: str) -> None:
    log.register([secret])
    assert secret.strip() not in log.hide(f"{before}{secret}{after}").replace(log.MASK, "\0" * 3)
    log.register([])


# --- journald -------------------------------------------------------------------------------------------------------------


def test_fields_arrive_natively(journald: socket.socket) -> None:
    _native(journald)
    log.event("CRITICAL", "drawdown: 5 %\n>= 5 %", "trip", breaker="drawdown", order_id=None, leg=Leg.LONG, value=5.25)
    heard = _heard(journald)
    assert heard["MESSAGE"] == "drawdown: 5 %\n>= 5 %"
    assert heard["PRIORITY"] == "2" and heard["SYSLOG_IDENTIFIER"] == "hedgegridd"
    assert heard["MESSAGE_ID"] == log.MESSAGE_IDS["trip"]
    assert (heard["HEDGEGRIDD_BREAKER"], heard["HEDGEGRIDD_LEG"], heard["HEDGEGRIDD_VALUE"]) == ("drawdown", "long", "5.25")
    assert "HEDGEGRIDD_ORDER_ID" not in heard
    assert heard["CODE_FILE"] == __file__ and heard["CODE_FUNC"] == "test_fields_arrive_natively"


@pytest.mark.parametrize(
    ("level", "priority"), [("CRITICAL", 2), ("ERROR", 3), ("WARNING", 4), ("SUCCESS", 5), ("INFO", 6), ("DEBUG", 7), ("TRACE", 7)]
)
def test_priorities(level: str, priority: int) -> None:
    assert log.priority(logger.level(level).no) == priority


def test_message_ids_are_distinct_and_well_formed() -> None:
    assert all(re.fullmatch(r"[0-9a-f]{32}", value) for value in log.MESSAGE_IDS.values())
    assert len(set(log.MESSAGE_IDS.values())) == len(log.MESSAGE_IDS)


def test_a_traceback_stays_one_entry_and_a_giant_is_cut(journald: socket.socket) -> None:
    _native(journald)
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("failed")
    assert "Traceback" in (text := _heard(journald)["MESSAGE"]) and text.endswith("ValueError: boom")
    log.event("INFO", "é" * 100_000)
    assert len(_heard(journald)["MESSAGE"].encode()) <= log.MESSAGE_LIMIT


def test_a_hung_journald_delays_once_then_lines_are_counted(journald: socket.socket) -> None:
    sink = _native(journald)
    while not sink.lost:
        log.event("INFO", "x" * 1000)
    began = time.monotonic()
    for _ in range(100):
        log.event("INFO", "more")
    assert time.monotonic() - began < 10.0
    assert sink.lost >= 100
    journald.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            journald.recv(1 << 20)
    journald.settimeout(2)
    log.event("INFO", "back")
    assert _heard(journald)["MESSAGE"] == "back"
    assert "log lines were lost" in _heard(journald)["MESSAGE"]
    assert sink.lost == 0


def test_a_journald_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    logger.remove()
    logger.add(log.JournalSink(str(tmp_path / "gone")), catch=False)
    log.event("INFO", "nobody hears")


def test_only_the_stream_that_systemd_connected_counts(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as stream:
        stat = os.fstat(stream.fileno())
        assert log.under_journald({"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}, stream.fileno())
        assert not log.under_journald({"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino + 1}"}, stream.fileno())
        assert not log.under_journald({}, stream.fileno())
        closed = os.dup(stream.fileno())
    os.close(closed)
    assert not log.under_journald({"JOURNAL_STREAM": "0:0"}, closed)


def test_setup_on_standard_error_of_a_real_process() -> None:
    code = "from hedgegridd.live import log; log.setup('INFO', ['s3cret-value']); log.event('INFO', 'ready s3cret-value')"
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0 and run.stderr.endswith(" UTC INFO     ready ***\n") and "\x1b" not in run.stderr


# --- acts -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data", "message", "fields"),
    [
        (
            "trip",
            {"name": "drawdown", "level": "flatten", "reason": "5 % >= 5 %", "value": 5.0, "inputs": {"a": 1}},
            "breaker drawdown tripped at flatten: 5 % >= 5 %",
            {"MESSAGE_ID": log.MESSAGE_IDS["trip"], "HEDGEGRIDD_BREAKER": "drawdown", "PRIORITY": "2"},
        ),
        (
            "kill",
            {"active": True, "level": 3, "reason": "rumour", "source": "verb", "actor": "alice"},
            "kill switch engaged at flatten: rumour (source verb, by alice)",
            {"MESSAGE_ID": log.MESSAGE_IDS["kill"], "PRIORITY": "2"},
        ),
        ("kill", {"active": False, "reason": "rumour"}, "kill switch released (was: rumour)", {"PRIORITY": "4"}),
        ("flat", {"reason": "r", "cancelled_orders": 3}, "flat: r (3 orders cancelled)", {"MESSAGE_ID": log.MESSAGE_IDS["flat"]}),
        (
            "emergency_stop",
            {"symbol": "BTCUSDT", "leg": 1, "trigger": 105510.1},
            "BTCUSDT short unprotected: emergency stop at 105,510.1 (0 = closed)",
            {"MESSAGE_ID": log.MESSAGE_IDS["unprotected"], "HEDGEGRIDD_SYMBOL": "BTCUSDT", "HEDGEGRIDD_LEG": "short"},
        ),
        (
            "fill",
            {"symbol": "BTCUSDT", "leg": 0, "side": -1, "qty": 0.001, "price": 99509.5, "role": 1, "realized": 0.74013, "fee": 0.02},
            "fill BTCUSDT long sell 0.001 @ 99,509.5, take_profit, realised +0.7401 USDT",
            {"HEDGEGRIDD_PRICE": "99509.5", "HEDGEGRIDD_REALIZED": "0.74013"},
        ),
        ("fill", {"realized": 0.0, "price": 5.0, "qty": 1.0, "leg": 0, "side": 1, "role": 0}, "fill ? long buy 1 @ 5, entry", {}),
        ("funding", {"symbol": "X", "leg": 1, "amount": -0.01447512}, "funding X short: received 0.0145 USDT", {}),
        ("storage", {"ok": False, "why": "full"}, "the disk failed, openers are withheld: full", {"PRIORITY": "2"}),
        ("reconciled", {"what": "gone", "client_id": "hg1"}, "reconciled with the exchange: gone, hg1", {"HEDGEGRIDD_ORDER_ID": "hg1"}),
        ("reconciled", {"what": "qty", "symbol": "X", "leg": 0}, "reconciled with the exchange: qty, X long", {"HEDGEGRIDD_SYMBOL": "X"}),
        ("rejected", {"client_id": "hg1"}, "order hg1 refused: ? ?", {"HEDGEGRIDD_ORDER_ID": "hg1"}),
        ("accepted", {"client_id": "hg1"}, 'accepted {"client_id": "hg1"}', {"PRIORITY": "7"}),
    ],
)
def test_acts_are_told(journald: socket.socket, kind: str, data: dict[str, Any], message: str, fields: dict[str, str]) -> None:
    log.setup("DEBUG", stream=io.StringIO())
    _native(journald)
    log.act(kind, data)
    heard = _heard(journald)
    assert heard["MESSAGE"] == message
    assert fields.items() <= heard.items()
    assert heard["HEDGEGRIDD_ACT"] == kind
