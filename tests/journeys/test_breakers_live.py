"""Faults of machine and path reach their breakers in a real daemon: measured by the shell, journaled, decided by the heart, replayed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from exchange_simulator.inthread import Threaded
from journeys.daemon_process import PATIENCE_SECONDS
from journeys.live_process import LiveProcess, live, live_settings

OF_VITALS = ("order_latency", "api_latency", "error_rate", "stream_gaps", "loop_lag", "journal_time", "backlog", "disk_free", "memory",
             "clock_skew")  # fmt: skip


def with_breakers(**tables: dict[str, Any]) -> Callable[[Threaded], dict[str, Any]]:
    return lambda sim: live_settings(sim, breaker=tables)


def row(daemon: LiveProcess, name: str) -> dict[str, Any]:
    return next(dict(one) for one in daemon.status()["breakers"] if one["name"] == name)


def until_tripped(daemon: LiveProcess, name: str, seconds: float = PATIENCE_SECONDS) -> dict[str, Any]:
    """Until it trips and no opener rests any more; its row."""
    daemon.until(lambda status: any(one["name"] == name and one["state"] == "tripped" for one in status["breakers"]), seconds)
    daemon.until(lambda _: not any(order["role"] == "entry" for order in daemon.call("orders")["orders"]), seconds)
    assert name in daemon.status()["hold"] and not daemon.status()["kill_switch"]["active"]
    return row(daemon, name)


def test_a_sound_machine_trips_none_and_every_figure_is_known(tmp_path: Path) -> None:
    with live(tmp_path / "d") as daemon:
        daemon.grid()
        known = {*OF_VITALS, "mark_index"} - {"error_rate"}  # which needs some requests more

        def all_known(status: dict[str, Any]) -> bool:
            return known <= {one["name"] for one in status["breakers"] if one["value"] is not None}

        found = daemon.until(all_known)
        assert {one["state"] for one in found["breakers"] if one["name"] in known | {"error_rate"}} == {"armed"}, found["breakers"]
        assert daemon.stop() == 0
        daemon.sound()


def test_a_disk_that_is_too_full_pauses(tmp_path: Path) -> None:
    with live(tmp_path / "d", with_breakers(disk_free={"max_disk_used_pct": 0.001})) as daemon:
        found = until_tripped(daemon.start(), "disk_free")
        assert found["value"] > 0.001 and "disk is" in found["reason"]
        assert daemon.stop() == 0
        daemon.sound()


def test_a_loop_that_stood_still_pauses(tmp_path: Path) -> None:
    with live(tmp_path / "d", with_breakers(loop_lag={"cooldown_seconds": 300.0})) as daemon:
        daemon.grid()
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGSTOP)
        time.sleep(3.0)
        daemon.process.send_signal(signal.SIGCONT)
        assert until_tripped(daemon, "loop_lag")["value"] >= 2000
        assert daemon.stop() == 0
        daemon.sound()


def test_orders_that_wait_for_their_answers_pause(tmp_path: Path) -> None:
    with live(tmp_path / "d", with_breakers(order_latency={"max_order_latency_ms": 1500.0})) as daemon:
        daemon.sim.fault("hang_not_executed", "POST /fapi/v1/batchOrders", times=-1)
        daemon.start()
        found = until_tripped(daemon, "order_latency")
        assert found["value"] >= 1500 and "wait" in found["reason"]
        assert daemon.call("breakers.explain", name="order_latency")
        daemon.sim.do(lambda sim: sim.faults.clear())
        assert daemon.stop() == 0
        daemon.sound()
