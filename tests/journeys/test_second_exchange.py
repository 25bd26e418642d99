"""A second exchange is one file: named in the configuration, written from the contract, and traded on by the same daemon."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from journeys.daemon_process import DaemonProcess, settings

FILE = Path(__file__).parents[1] / "exchanges" / "exchange_tiny.py"


def tiny(home: Path, **tables: Any) -> DaemonProcess:
    home.mkdir(parents=True)
    shutil.copy(FILE, home / FILE.name)
    (home / FILE.name).chmod(0o644)
    live = {"mode": "live", "allow_live_trading": True, "feed": {"kind": "live"}}
    exchange = {"name": "tiny", "file": FILE.name, "tiny": {"account": "small"}}
    limits = {"equity_usdt": 10_000.0, "max_exposure_pct": 160.0}
    config = {**settings(None, exchange=exchange, limits=limits), **live, **tables}
    return DaemonProcess(home, config)


def test_the_grid_trades_on_it_and_is_flattened(tmp_path: Path) -> None:
    daemon = tiny(tmp_path / "d")
    try:
        daemon.start("--confirm-live", "small", speed="1")
        daemon.until(lambda status: len(daemon.call("fills")["fills"]) >= 4)
        daemon.until(lambda status: all(row[leg]["protected"] for row in status["instruments"] for leg in ("long", "short")))
        assert daemon.status()["exchange"]["name"] == "tiny"
        daemon.call("activate", reason="that will do")
        daemon.flat()
        assert daemon.stop() == 0
        daemon.sound()
    finally:
        daemon.clean_up()


@pytest.mark.parametrize(
    ("text", "word"),
    [("", "registers nothing"), ("raise RuntimeError('no')", "RuntimeError: no")],
)
def test_a_file_that_is_none_is_refused_with_the_reason(tmp_path: Path, text: str, word: str) -> None:
    daemon = tiny(tmp_path / "d")
    (daemon.home / FILE.name).write_text(text)
    checked = daemon.hedgegridd("check", "--config", str(daemon.config_path))
    assert checked.returncode == 1 and "exchange.file" in checked.stdout and word in checked.stdout
    daemon.start("--confirm-live", "small", ready=False)
    assert daemon.ended() != 0
    assert word in daemon.log


def test_a_file_that_others_may_write_is_not_run(tmp_path: Path) -> None:
    daemon = tiny(tmp_path / "d")
    (daemon.home / FILE.name).chmod(0o666)
    checked = daemon.hedgegridd("check", "--config", str(daemon.config_path))
    assert checked.returncode == 1 and "writable" in checked.stdout
