"""The equity stop's three tiers with a real daemon: it warns, makes openers smaller, stops; and a kill -9 in between changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from journeys.daemon_process import GRID, DaemonProcess, settings, wave

from hedgegridd.model import Fill

Home = Callable[..., DaemonProcess]


def tiers(pause_pct: float, **drawdown: Any) -> dict[str, Any]:
    """The drawdown breaker's table; `pause_pct` is the strategy's own limit, which comes before the breaker's."""
    (instrument,) = settings(None)["instrument"]
    params = {**GRID, "risk_management": {"max_drawdown_pct": pause_pct}}
    return {"breaker": {"drawdown": {"reduced_size_factor": 0.5, **drawdown}}, "instrument": [{**instrument, "params": params}]}


def opened(fills: Sequence[Fill]) -> set[int]:
    """Lots of the executions that opened."""
    return {fill.qty for fill in fills if (fill.side > 0) == (fill.leg == 0)}


def test_openers_are_smaller_below_the_line_and_whole_again_well_above_it(home: Home) -> None:
    daemon = home(minutes=12_000, **tiers(4.0, reduce_drawdown_pct=0.05, warn_fraction=0.005)).start(speed="6000")
    found = daemon.until(lambda status: status["size_factor"] == 0.5)
    assert any("x 0.5 of their size" in line for line in found["degraded"] + found.get("notes", [])), found["degraded"]
    daemon.kill()
    assert daemon.start(speed="1").status()["size_factor"] == 0.5, "what made it smaller is still so after kill -9"
    daemon.kill()
    daemon.start(speed="6000").until(lambda status: status["size_factor"] == 1.0)
    daemon.kill()
    acts = daemon.acts("size")
    assert [act["factor"] for act in acts[:2]] == [0.5, 1.0] and {act["by"] for act in acts[::2]} == {"drawdown"}
    assert len(opened(daemon.fills())) > 1, "whole and halved"
    daemon.sound()


def test_the_tiers_come_in_order_and_the_last_one_flattens(home: Home, tmp_path: Path) -> None:
    stops = tiers(0.9, max_drawdown_pct=0.91, reduce_drawdown_pct=0.5, warn_fraction=0.4)
    daemon = home(feed=wave(tmp_path / "market", 6_000, reach=0.05), **stops).start(speed="6000")
    daemon.until(lambda status: status["kill_switch"]["active"] and status["kill_switch"]["durable"])
    daemon.flat()
    assert daemon.engaged()["source"] == "breaker.drawdown"
    daemon.kill()
    smaller, trip = daemon.acts("size")[0], daemon.acts("trip")[0]
    warned = daemon.log.index("drawdown")
    assert smaller["factor"] == 0.5 and trip["name"] == "drawdown" and warned < daemon.log.index("size x 1 -> x 0.5")
    daemon.sound()
