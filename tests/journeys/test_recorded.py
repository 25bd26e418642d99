"""A week of recorded minutes through the real process, twice, as fast as it goes: the same journal hash, and the sums add up."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from figures import remark
from journeys.daemon_process import ROOT, SYMBOL, DaemonProcess, positions

from hedgegridd.model import Bar

Home = Callable[..., DaemonProcess]
FIRST = 1_738_281_600_000  # 2025-01-31, three days before the crash of 2025-02-03
WEEK = 7 * 24 * 60


@pytest.fixture
def week(tmp_path: Path) -> Path:
    """A root of recorded data with one week of minutes, and its funding beside it."""
    data = Path(os.environ.get("HEDGEGRIDD_SHARED", ROOT.parent / "shared")) / "data"
    if not data.is_dir():
        pytest.skip("recorded data not here: set HEDGEGRIDD_SHARED")
    parquet = pytest.importorskip("pyarrow.parquet")
    root = tmp_path / "data"
    table = parquet.read_table(data / "klines" / "1m" / f"{SYMBOL}.parquet", filters=[("open_time", ">=", FIRST)])
    (root / "klines" / "1m").mkdir(parents=True)
    (root / "funding").mkdir()
    parquet.write_table(table.slice(0, WEEK), root / "klines" / "1m" / f"{SYMBOL}.parquet")
    parquet.write_table(parquet.read_table(data / "funding" / f"{SYMBOL}.parquet"), root / "funding" / f"{SYMBOL}.parquet")
    return root


def tables() -> dict[str, Any]:
    """A usual grid, wide enough to live through a crash, or to be stopped by its breakers."""
    params = {"grid": {"base_qty": 0.002, "grid_step_bps": 25.0}, "risk_management": {"max_drawdown_pct": 4.0}}
    instrument = {
        "symbol": SYMBOL,
        "leverage": 5.0,
        "reference_price": 100_000.0,
        "filters": {"tick_size": 0.1, "lot_size": 0.001, "min_notional": 100.0},
        "params": params,
    }
    return {"instrument": [instrument]}


def played(home: Home, week: Path, name: str) -> tuple[DaemonProcess, dict[str, Any], float]:
    """One whole run; its stop summary and seconds."""
    daemon = home(feed=week, name=name, **tables())
    begun = time.monotonic()
    assert daemon.start(ready=False).ended(240) == 0, daemon.log[-2000:]
    return daemon, json.loads((daemon.state / "last_stop.json").read_text()), time.monotonic() - begun


def test_the_same_week_twice(home: Home, week: Path) -> None:
    one, first, took = played(home, week, "one")
    two, second, _ = played(home, week, "two")
    assert first["bars"] == WEEK
    assert first["fills"] > 50
    assert first["decisions_hash"] == second["decisions_hash"]
    assert first["current_equity_usdt"] == second["current_equity_usdt"]
    assert one.fills() == two.fills()
    positions(one.fills())
    assert one.acts("funding"), "funding was recorded, and none was paid"
    _the_sums(one, first["current_equity_usdt"])
    again = one.sound()
    assert again.decisions_hash == first["decisions_hash"]
    done = one.hedgegridd("replay", "--state-dir", str(one.state))
    assert (done.returncode, "came out the same" in done.stdout) == (0, True), done
    ended = first["kill_switch_reason"] or "trading to the end"
    remark(f"a week of minutes at --speed max: {took:.1f} s, {WEEK / took:.0f} bars/s, {first['fills']} fills, {ended}")


def _the_sums(daemon: DaemonProcess, equity: float) -> None:
    """start + realised - fees - funding, and what is held at the last price: the equity that the daemon says."""
    fills, paid = daemon.acts("fill"), sum(row["amount"] for row in daemon.acts("funding"))
    wallet = 10_000.0 + sum(fill["realized"] - fill["fee"] for fill in fills) - paid
    cost, held = [0.0, 0.0], [0, 0]
    for fill in fills:
        leg, sign = fill["leg"], 1 if (fill["side"] > 0) == (fill["leg"] == 0) else -1
        cost[leg] += fill["price"] * fill["qty"] if sign > 0 else -cost[leg] * fill["qty"] / held[leg]
        held[leg] += sign * fill["qty"]
    last = [record.data for record in daemon.records() if isinstance(record.data, Bar)][-1].close
    unrealized = ((last * held[0] - cost[0]) - (last * held[1] - cost[1])) * 0.1 * 0.001
    assert wallet + unrealized == pytest.approx(equity, rel=1e-9)
