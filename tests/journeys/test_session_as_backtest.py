"""A paper session is played again as a backtest: the same decisions, bit for bit, through a restart; and where one differs, it is named."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from journeys.daemon_process import DaemonProcess

from hedgegridd.research.backtest import text

Home = Callable[..., DaemonProcess]


def backtest(daemon: DaemonProcess, out: Path, *words: str) -> dict[str, Any]:
    """The command as a script runs it."""
    data = next(daemon.home.glob("*.csv"))
    command = ["backtest", "--config", str(daemon.config_path), "--data", str(data), "--against", str(daemon.state), "--engine", "full"]
    done = subprocess.run([sys.executable, "-m", "hedgegridd.cli", *command, "--out", str(out), "--json", *words],
                          env=daemon._environ(), capture_output=True, text=True, check=False, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_session_and_its_backtest_decide_the_same_bit_for_bit(home: Home, tmp_path: Path) -> None:
    daemon = home(minutes=3_000, backtest={"fill_models": False})
    daemon.start(ready=False)
    assert daemon.ended() == 0, daemon.log[-2000:]
    found = backtest(daemon, tmp_path / "out")
    assert found["against"]["hashes_equal"] and found["against"]["differing"] == 0, found["against"]["differences"][:3]
    assert found["against"]["decisions"] > 500 and found["fills"] == len(daemon.fills())
    part = backtest(daemon, tmp_path / "part", "--to", "2025-01-02T00:00:00Z")["against"]
    assert part["differing"] == 0 and part["hashes_equal"] is None, part["differences"][:3]  # that it ends earlier is no difference
    assert 0 < part["decisions"] < found["against"]["decisions"]


def test_a_session_that_was_interfered_with_is_told_apart_decision_by_decision(home: Home, tmp_path: Path) -> None:
    daemon = home(minutes=20_000, backtest={"fill_models": False})
    daemon.start()
    daemon.until(lambda status: status["counts"]["fills"] > 40)
    daemon.call("pause")
    daemon.until(lambda status: not any(sum(row["ladders"].values()) for row in status["instruments"]))
    daemon.signal(signal.SIGTERM)
    assert daemon.ended() == 0
    whole = backtest(daemon, tmp_path / "out")
    found = whole["against"]
    assert f"{found['differing']:,} differences" in text(whole) and found["differences"][0]["what"] in text(whole)
    assert not found["hashes_equal"] and found["differing"] > 0
    assert all(one["time"] and one["what"] and one["where"] in ("session", "backtest") for one in found["differences"])
    assert any(one["where"] == "session" and "cancel" in one["what"] for one in found["differences"])
