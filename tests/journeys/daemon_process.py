"""A real daemon in a process of its own, as a test starts it, asks it, hurts it and looks at what it left.

One law: it goes by the doors that people have (command line, socket, files, signals); nothing here reaches into the daemon.
The market is small files of one-minute klines in the exchange's archive format, written by `wave`.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from hedgegridd import journal
from hedgegridd.control.client import Client, Unreachable
from hedgegridd.journal.segments import INPUT, Record
from hedgegridd.live.replay import Replayed, replay
from hedgegridd.model import Fill
from hedgegridd.plugins import load_shipped

ROOT = Path(__file__).resolve().parents[2]
MINUTE = 60_000
START = 1_735_689_600_000  # 2025-01-01T00:00:00Z
SYMBOL = "BTCUSDT"
PRICE = 50_000.0
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"  # the archive's
)
PATIENCE_SECONDS = 60.0  # what is waited for comes at once on a quiet machine; how long a busy one may take
KEPT: list[Path] = []  # where a session of tests keeps a state directory with both legs held

#: The grid's own settings: small, and warm after some twenty bars.
GRID: dict[str, dict[str, Any]] = {
    "grid": {"base_qty": 0.002, "grid_step_bps": 25.0},
    "exit": {"tp_steps": 4, "sl_steps": 8},
    "regime": {"ema_fast": 3, "ema_slow": 5, "adx_len": 3, "atr_len": 3},
    "risk_management": {"max_drawdown_pct": 4.0},
}


def wave(folder: Path, minutes: int, *, price: float = PRICE, reach: float = 0.012, beat: int = 9, name: str = "BTCUSDT-1m.csv") -> Path:
    """A market that swings by `reach` around `price`, once in about 6 x `beat` minutes, so that both legs open and close for ever."""

    def at(minute: int) -> float:
        return round(price * (1 + reach * math.sin(minute / beat) + reach / 3 * math.sin(minute / 3.1)), 1)

    rows = [HEADER]
    for i in range(minutes):
        opened, closed, begin = at(i), at(i + 1), START + i * MINUTE
        high, low = max(opened, closed) + 10, min(opened, closed) - 10
        rows.append(f"{begin},{opened:.1f},{high:.1f},{low:.1f},{closed:.1f},100,{begin + MINUTE - 1},0,1,0,0,0")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return path


def settings(feed: Path | None, **tables: Any) -> dict[str, Any]:
    """A paper configuration; `tables` are laid over it, table by table. No feed = the synthetic market."""
    source = {"kind": "recorded", "path": str(feed), "funding_bps": 1.0} if feed else {"kind": "synthetic", "seed": 7, "start_price": PRICE}
    instrument = {
        "symbol": SYMBOL,
        "leverage": 10.0,
        "reference_price": PRICE,
        "filters": {"tick_size": 0.1, "lot_size": 0.001, "min_notional": 5.0},
        "params": GRID,
    }
    whole: dict[str, Any] = {"mode": "paper", "feed": source, "limits": {"max_exposure_pct": 80.0}, "instrument": [instrument]}
    for name, table in tables.items():
        whole[name] = {**whole.get(name, {}), **table} if isinstance(table, dict) else table
    return whole


class DaemonProcess:
    """One daemon's home (configuration, state, socket) and the process that lives in it now, if any."""

    def __init__(self, home: Path, config: Mapping[str, Any], *, state: Path | None = None) -> None:
        self.home, self.state, self.socket = home, state or home / "state", home / "s"
        self.config_path, self.log_path = home / "hedgegridd.toml", home / "log"
        home.mkdir(parents=True, exist_ok=True)
        self.configure(config)
        self.process: subprocess.Popen[bytes] | None = None
        self.client = Client(str(self.socket))
        self.env: dict[str, str] = {}

    # --- life -------------------------------------------------------------------------------------------------------

    def configure(self, config: Mapping[str, Any]) -> None:
        """Write the configuration that the next start reads."""
        self.config_path.write_text(tomli_w.dumps(dict(config)))
        self.config_path.chmod(0o600)

    def start(self, *options: str, ready: bool = True, speed: str = "max", before: Sequence[str] = ()) -> DaemonProcess:
        """`hedgegridd run` in the foreground of a process of its own; `before` = words in front of it, such as strace's."""
        assert self.process is None or self.process.poll() is not None, "it still runs"
        self.client.close()
        run = ["run", "--config", str(self.config_path), "--state-dir", str(self.state), "--socket", str(self.socket), "--speed", speed]
        with self.log_path.open("ab") as log:
            command = [*before, sys.executable, "-m", "hedgegridd.cli", *run, *options]
            self.process = subprocess.Popen(command, env=self._environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self.wait_ready() if ready else self

    def _environ(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "PYTHONPATH": str(ROOT), **self.env}

    def wait_ready(self) -> DaemonProcess:
        """Until it answers and the exchange has reported."""
        self.until(lambda found: found["ready"])
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9, and gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)
        self.client.close()

    def stop(self, seconds: float = PATIENCE_SECONDS) -> int:
        """SIGTERM; the exit code."""
        if self.runs:
            self.signal(signal.SIGTERM)
        return self.ended(seconds)

    def ended(self, seconds: float = 2 * PATIENCE_SECONDS) -> int:
        """Wait for the end; the exit code."""
        assert self.process is not None
        code = self.process.wait(seconds)
        self.client.close()
        return code

    def clean_up(self) -> None:
        """Nothing of it may outlive the test."""
        if self.runs:
            self.signal(signal.SIGCONT)
            self.kill()
        self.client.close()

    # --- asking -----------------------------------------------------------------------------------------------------

    def call(self, verb: str, patience: float = 30.0, **params: Any) -> dict[str, Any]:
        """A verb over the socket, by the client's own code."""
        return self.client.call(verb, params, patience)

    def status(self) -> dict[str, Any]:
        return self.call("status")

    def ctl(self, *words: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """`hedgegridctl` as a person runs it."""
        program = [sys.executable, "-m", "hedgegridd.control.cli"]
        if not words[0].startswith("-"):
            program = [sys.executable, "-c", "from hedgegridd.control.cli import main; main()"]
        named = ["--socket", str(self.socket), "--state-dir", str(self.state)]
        return subprocess.run([*program, *named, *words], env=self._environ(), check=False, capture_output=True, text=True, timeout=seconds)

    def hedgegridd(self, *words: str, seconds: float = 120.0, **env: str) -> subprocess.CompletedProcess[str]:
        """Any other command of `hedgegridd`."""
        command = [sys.executable, "-m", "hedgegridd.cli", *words]
        return subprocess.run(command, env={**self._environ(), **env}, check=False, capture_output=True, text=True, timeout=seconds)

    def until(self, true: Callable[[dict[str, Any]], Any], seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Ask for `status` until it is as wished; the status. A daemon that dies meanwhile fails the test with its log."""
        end, found = time.monotonic() + seconds, {}
        while time.monotonic() < end:
            assert self.runs, f"the daemon ended with {self.process and self.process.returncode}:\n{self.log[-3000:]}"
            try:
                found = self.status()
                if true(found):
                    return found
            except Unreachable:
                pass
            time.sleep(0.01)
        raise AssertionError(f"waited {seconds} s in vain; status {json.dumps(found)[:3000]}\n{self.log[-2000:]}")

    def flat(self, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
        """Until the kill switch's work is done and nothing is held or ordered."""
        found = self.until(lambda status: status["kill_switch"]["phase"] == "flat", seconds)
        for row in found["instruments"]:
            assert (row["long"]["qty"], row["short"]["qty"], row["open_orders"]) == (0, 0, 0), row
        return found

    # --- what it left -----------------------------------------------------------------------------------------------

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def kill_file(self) -> Path:
        return self.state / "killswitch.json"

    @property
    def journal(self) -> Path:
        return self.state / "journal"

    def engaged(self) -> dict[str, Any]:
        """The kill switch file."""
        return dict(json.loads(self.kill_file.read_text()))

    def records(self) -> list[Record]:
        """Everything in the journal."""
        return list(journal.replayable(self.journal))

    def sound(self) -> Replayed:
        """The journal's chain holds, and every decision in it comes out the same again."""
        checked = journal.verify(self.journal)
        assert checked.ok, checked
        again = replay(self.journal, load_shipped())
        assert not again.mismatches, again.mismatches[:3]
        return again

    def fills(self) -> list[Fill]:
        """Every execution the heart was told of, in order."""
        return [record.data for record in self.records() if record.kind == INPUT and isinstance(record.data, Fill)]

    def acts(self, kind: str) -> list[dict[str, Any]]:
        """The acts of one kind."""
        return [record.data for record in self.records() if record.kind == kind]


def holding(daemon: DaemonProcess, speed: str = "6000") -> DaemonProcess:
    """Run until both legs hold something."""
    daemon.start(speed=speed)
    daemon.until(lambda status: all(row["long"]["qty"] and row["short"]["qty"] for row in status["instruments"]))
    return daemon


def held(daemon: DaemonProcess) -> DaemonProcess:
    """Dead, with both legs held. The first who asks lives through it, the others get a copy of what is left."""
    if KEPT and KEPT[0].exists():
        shutil.copytree(KEPT[0], daemon.state, dirs_exist_ok=True)
        return daemon
    holding(daemon).kill()
    if KEPT:
        shutil.copytree(daemon.state, KEPT[0])
    return daemon


def held_and_quiet(daemon: DaemonProcess) -> DaemonProcess:
    """Both legs are held, the market stands still (the feed runs in real time), and what a start writes is written."""
    held(daemon).start(speed="1")
    end, size, since = time.monotonic() + PATIENCE_SECONDS, -1, time.monotonic()
    while time.monotonic() - since < 0.15:
        assert time.monotonic() < end, "the journal never rests"
        if (now := written(daemon)) != size:
            size, since = now, time.monotonic()
        time.sleep(0.01)
    return daemon


def written(daemon: DaemonProcess) -> int:
    """Bytes in the newest segments of the journal; 0 while one is being packed away."""
    try:
        return sum(path.stat().st_size for path in daemon.journal.glob("*.jsonl"))
    except FileNotFoundError:
        return 0


def positions(fills: Sequence[Fill]) -> tuple[int, int]:
    """Lots held (long, short) after these executions, none of which may count twice or close more than is held."""
    held = [0, 0]
    names = [fill.trade_id for fill in fills]
    assert len(names) == len(set(names)), "an execution was told twice"
    for fill in fills:
        opens = (fill.side > 0) == (fill.leg == 0)
        held[fill.leg] += fill.qty if opens else -fill.qty
        assert held[fill.leg] >= 0, f"more closed than held: {fill}"
    return held[0], held[1]


def equity_adds_up(status: dict[str, Any], start: float = 10_000.0) -> None:
    """equity = start + realised - fees - funding + unrealised."""
    money = status["account"]
    total = start + money["realized_pnl_usdt"] - money["fees_usdt"] - money["funding_paid_usdt"] + money["unrealized_pnl_usdt"]
    assert abs(total - money["equity_usdt"]) <= 1e-9 * total, money


def seconds_in(text: str) -> float:
    """The first 'N s' of a text."""
    found = re.search(r"([\d.]+) s\b", text)
    assert found, text
    return float(found[1])
