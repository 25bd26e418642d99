"""A daemon without a heart: the real server on a real socket, in a thread, with a hand-written handler behind it."""

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hedgegridd.control.server import Server
from hedgegridd.errors import Refused

LEG = {"qty": 0.0, "entry_price": None, "unrealized_pnl_usdt": 0.0, "stop_price": None, "protected": True}
ROOT = Path(__file__).parents[2]


def document() -> dict[str, Any]:
    """A status document with everything the interface fixes."""
    return {
        "schema": 1, "version": "0.1.0", "pid": 42, "uptime_seconds": 3723.4, "mode": "paper", "instance": "", "ready": True,
        "degraded": [],
        "kill_switch": {"enabled": True, "monitoring": True, "active": False, "durable": True, "level": None, "phase": "idle",
                        "flatten_in_progress": False, "reason": None, "source": None, "actor": None, "since": None, "env_engaged": False},
        "recovery": {"stage": "full", "size_factor": 1.0},
        "breakers": [{"name": "drawdown", "state": "armed", "value": 1.0, "threshold": 5.0, "unit": "%", "fraction": 0.2,
                      "since": None,
                      "on_trip": "flatten", "file": "breaker_drawdown.py"},
                     {"name": "funding", "state": "unknown", "value": None, "threshold": None, "unit": "bps", "fraction": None,
                      "since": None,
                      "on_trip": "halt", "file": "breaker_funding.py"}],
        "session": {"started_at": "2026-01-01T00:00:00.000Z", "start_equity_usdt": 10000.0, "peak_equity_usdt": 10100.0,
                    "daily_reset_at": "2026-01-02T00:00:00.000Z", "daily_start_equity_usdt": 10050.0, "daily_peak_equity_usdt": 10100.0,
                    "daily_pnl_usdt": -12.5},
        "account": {"equity_usdt": 10037.5, "wallet_usdt": 10030.0, "realized_pnl_usdt": 40.0, "unrealized_pnl_usdt": 7.5,
                    "total_pnl_usdt": 37.5, "funding_paid_usdt": 1.5, "fees_usdt": 8.5, "margin_ratio": 0.01, "initial_margin_use": 0.1,
                    "drawdown_pct": 1.0, "long_inventory_usdt": 500.0, "short_inventory_usdt": 700.0, "net_inventory_usdt": -200.0,
                    "maker_ratio": None},
        "instruments": [{"symbol": "BTCUSDT", "mark_price": 50000.5, "regime": "sideways", "grid_center": 50000.0, "throttle": 1.0,
                         "paused": False, "ladders": {"long": 10, "short": 9}, "open_orders": 23,
                         "long": {"qty": 0.01, "entry_price": 49900.0, "unrealized_pnl_usdt": 1.0, "stop_price": 47000.0,
                                  "protected": True},
                         "short": {"qty": 0.014, "entry_price": 50100.0, "unrealized_pnl_usdt": 1.4, "stop_price": 53000.0,
                                   "protected": False},
                         "funding_rate": 0.0001, "next_funding_at": "2026-01-02T08:00:00.000Z", "funding_cost_1h_projected_usdt": -0.0025,
                         "basis_bps": None, "last_bar_at": "2026-01-02T03:04:00.000Z"}],
        "exchange": {"name": "paper", "connected": True, "streams": [{"name": "BTCUSDT@market", "age_ms": 12}], "time_offset_ms": 0,
                     "weight_used_pct": 0.0, "unknown_orders": 0},
        "plugins": [{"name": "drawdown", "kind": "breaker", "file": "breaker_drawdown.py", "state": "loaded", "reason": ""}],
        "alerts": {"sent": 1, "queued": 0, "undelivered": 0}, "loop_lag_ms_p99": 0.8,
    }  # fmt: skip


class FakeDaemon:
    """Answers like a daemon whose account goes flat at once, through every phase, one a look."""

    PHASES = ("cancelling", "closing", "verifying", "flat")

    def __init__(self) -> None:
        self.doc = document()
        self.asked: list[tuple[str, dict[str, Any], str]] = []
        self.phases: list[str] = []
        self.raises: dict[str, Exception] = {}
        self.answers: dict[str, dict[str, Any]] = {}

    async def handle(self, verb: str, params: dict[str, Any], actor: str) -> dict[str, Any]:
        self.asked.append((verb, params, actor))
        if verb in self.raises:
            raise self.raises[verb]
        own: Callable[[dict[str, Any], str], dict[str, Any]] | None = getattr(self, f"on_{verb}", None)
        return own(params, actor) if own else self.answers.get(verb, {"schema": 1, verb: []})

    def on_status(self, _: dict[str, Any], __: str) -> dict[str, Any]:
        if self.phases:
            self.doc["kill_switch"]["phase"] = self.phases.pop(0)
        if self.doc["kill_switch"]["phase"] == "flat":
            for leg in ("long", "short"):
                self.doc["instruments"][0][leg] = dict(LEG)
        return self.doc

    def on_activate(self, params: dict[str, Any], actor: str) -> dict[str, Any]:
        level = params.get("level", "flatten")
        self.doc["kill_switch"].update(active=True, level=level, phase="requested", reason=params["reason"], actor=actor, source="ctl",
                                       since="2026-01-02T03:04:05.000Z")  # fmt: skip
        self.phases = self.phases or (list(self.PHASES) if level == "flatten" else ["cancelling", "idle"])
        return {"schema": 1, "active": True, "durable": True, "level": level}

    def on_deactivate(self, _: dict[str, Any], __: str) -> dict[str, Any]:
        raise Refused("still in breach: drawdown")


class Running:
    """The server in its thread."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.daemon = FakeDaemon()
        self.path = folder / "s"
        self.loop = asyncio.new_event_loop()
        self.server = Server(self.path, self.daemon.handle, **options)
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.wait(self.server.start())

    def wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def stop(self) -> None:
        self.wait(self.server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short private folder: a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="hg") as made:
        yield Path(made)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Running]]:
    """Start a server in `folder`; stopped at the end of the test."""
    made: list[Running] = []

    def begin(**options: Any) -> Running:
        made.append(Running(folder, **options))
        return made[-1]

    yield begin
    for running in made:
        running.stop()


@pytest.fixture
def running(start: Callable[..., Running]) -> Running:
    return start()


@pytest.fixture
def ctl(folder: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run `hedgegridctl` as a process of its own, with nothing of ours in the environment."""

    def run(*words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), **env}
        program = "import sys; from hedgegridd.control.cli import main; sys.exit(main())"
        command = [sys.executable, "-W", "error", "-c", program, *words]
        return subprocess.run(command, env=clean, capture_output=True, text=True, timeout=60, check=False)

    return run
