"""The line that a newcomer sees now and then: on a terminal, one per symbol, with the figures of `status`."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from control.conftest import document

from hedgegridd.live import pulse

ROOT = Path(__file__).resolve().parents[2]


def test_a_line_says_market_legs_and_money() -> None:
    doc = document()
    doc["instruments"][0]["ready"] = True
    assert pulse.lines(doc) == [
        "BTCUSDT 2026-01-02 03:04 50,000.5 sideways | long 0.01 @ 49,900.0 (10 rungs), short 0.014 @ 50,100.0 (9 rungs) | "
        "equity 10,037.50 (-12.50 today)"
    ]


def test_what_is_not_known_is_said() -> None:
    doc = document()
    doc["instruments"][0].update(ready=False, mark_price=None, last_bar_at=None, long={"qty": 0.0}, short={"qty": 0.0})
    doc["kill_switch"].update(active=True, reason="exchange rumour")
    assert pulse.lines(doc) == [
        "BTCUSDT no price yet warming up | long flat (10 rungs), short flat (9 rungs) | kill switch ACTIVE: exchange rumour"
    ]


def test_on_a_terminal_it_is_shown_with_how_to_look_and_how_to_stop(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    run = [
        sys.executable,
        "-m",
        "hedgegridd.cli",
        "run",
        "--config",
        "etc/paper.toml",
        "--state-dir",
        tmp_path / "state",
        "--socket",
        tmp_path / "s",
    ]
    with subprocess.Popen(run, cwd=ROOT, stdout=theirs, stderr=theirs, env={**os.environ, "COLUMNS": "200"}) as daemon:
        os.close(theirs)
        seen, end = b"", time.monotonic() + 90
        while b"| equity" not in seen and time.monotonic() < end:
            if select.select([ours], [], [], 1)[0]:
                seen += os.read(ours, 65536)
        daemon.send_signal(signal.SIGINT)
        while True:  # it must not wait for us
            try:
                seen += (chunk := os.read(ours, 65536))
            except OSError:  # the terminal is gone with its last user
                break
            if not chunk:
                break
        assert daemon.wait(60) == 0
    os.close(ours)
    for part in (b"hedgegridctl status", b"BTCUSDT 2025-01-01", b"long flat", b"stop summary"):
        assert part in seen, seen.decode()
