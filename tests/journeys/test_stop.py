"""The ends of a daemon: SIGTERM with either policy, the end of a feed, a second instance, a bad configuration; and going on after."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from journeys.daemon_process import DaemonProcess, equity_adds_up, holding, positions

Home = Callable[..., DaemonProcess]
MINUTES = 1_200


def test_sigterm_keeps_positions_with_their_closers_and_stops(home: Home) -> None:
    daemon = holding(home(minutes=4_000))
    assert daemon.stop() == 0
    daemon.sound()
    assert positions(daemon.fills()) != (0, 0)
    assert json.loads((daemon.state / "last_stop.json").read_text())["open_positions"] > 0
    assert "stop summary" in daemon.log
    assert not daemon.socket.exists()
    found = daemon.start(speed="1").status()
    orders = daemon.call("orders")["orders"]
    held = [leg for leg in ("long", "short") if found["instruments"][0][leg]["qty"]]
    assert held
    assert all({"stop", "take_profit"} <= {order["role"] for order in orders if order["leg"] == leg} for leg in held), orders
    assert not found["degraded"]


def test_sigterm_flattens_where_the_policy_says_so(home: Home) -> None:
    daemon = holding(home(minutes=4_000, daemon={"on_stop": "flatten"}))
    assert daemon.stop() == 0
    daemon.sound()
    assert positions(daemon.fills()) == (0, 0)
    assert not daemon.kill_file.exists() or not daemon.engaged()["active"]


def test_stopped_before_flat_is_4(home: Home) -> None:
    daemon = holding(home(minutes=4_000, daemon={"on_stop": "flatten", "stop_timeout_seconds": 0.0}))
    code = daemon.stop()  # no time at all: it may or may not come to closing, but it must know which
    assert code == (0 if positions(daemon.fills()) == (0, 0) else 4)
    daemon.sound()


def test_a_service_manager_is_told_to_wait_for_a_flatten(home: Home, tmp_path: Path) -> None:
    daemon = holding(home(minutes=4_000, daemon={"on_stop": "flatten", "stop_timeout_seconds": 3_600.0}))
    daemon.kill()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "n"))
        manager.settimeout(20)
        daemon.env["NOTIFY_SOCKET"] = str(tmp_path / "n")
        daemon.start(speed="1")
        daemon.signal(signal.SIGTERM)
        said = ""
        while "STOPPING=1" not in said:
            said = manager.recv(4096).decode()
        while not said.startswith("EXTEND_TIMEOUT_USEC="):
            said = manager.recv(4096).decode()
        assert int(said.split("=")[1]) >= 10_000_000
    assert daemon.ended() == 0


def test_a_second_instance_is_75_and_leaves_the_first_alone(home: Home) -> None:
    first = home(minutes=2_000).start(speed="1")
    other = home(minutes=2_000, name="other", state=first.state).start(ready=False)
    assert other.ended() == 75
    assert str(first.pid) in other.log
    assert first.status()["pid"] == first.pid
    same_socket = home(minutes=2_000, name="third")
    same_socket.socket = first.socket
    assert same_socket.start(ready=False).ended() == 75
    assert first.status()["pid"] == first.pid


@pytest.mark.parametrize(
    ("tables", "word"),
    [
        ({"limits": {"max_exposur_pct": 5}}, "max_exposure_pct"),
        ({"mode": "live"}, "allow_live_trading"),
        ({"breaker": {"position_size": {"max_position_usdt": 100.0}}}, "max_position_usdt"),
    ],
)
def test_a_refused_configuration_is_78_and_says_why(home: Home, tables: dict[str, object], word: str) -> None:
    daemon = home(minutes=50, **tables).start(ready=False)
    assert daemon.ended() == 78
    assert word in daemon.log
    assert not daemon.state.exists()


def test_the_end_of_a_finite_feed_is_0_with_a_summary_and_positions_kept(home: Home) -> None:
    daemon = home(minutes=700).start(ready=False)
    assert daemon.ended() == 0
    summary = json.loads((daemon.state / "last_stop.json").read_text())
    assert summary["bars"] == 700
    daemon.sound()
    held = positions(daemon.fills())
    assert summary["open_positions"] == sum(lots > 0 for lots in held)
    assert daemon.start(ready=False).ended() == 0  # nothing is left to play: it ends again, with the same account
    assert json.loads((daemon.state / "last_stop.json").read_text())["current_equity_usdt"] == summary["current_equity_usdt"]
    assert positions(daemon.fills()) == held


def test_a_run_cut_in_three_has_the_fills_of_one_run(home: Home) -> None:
    whole = home(minutes=MINUTES, name="whole").start(ready=False)
    assert whole.ended() == 0
    cut = home(minutes=MINUTES, name="cut")
    for end in (signal.SIGTERM, signal.SIGKILL):
        cut.start(speed="12000").until(
            lambda status, wanted=MINUTES // 4 if end == signal.SIGTERM else MINUTES // 2: status["counts"]["bars"] >= wanted
        )
        cut.signal(end)
        cut.ended()
        time.sleep(0.05)
    assert cut.start(ready=False).ended() == 0
    cut.sound()
    rows = [[fill._replace(client_id="", order_id="", trade_id="") for fill in daemon.fills()] for daemon in (whole, cut)]
    assert len(rows[0]) > 100
    assert rows[0] == rows[1]
    stops = [json.loads((daemon.state / "last_stop.json").read_text()) for daemon in (whole, cut)]
    assert stops[0]["current_equity_usdt"] == pytest.approx(stops[1]["current_equity_usdt"], rel=1e-12)
    assert stops[0]["bars"] == stops[1]["bars"] == MINUTES


def test_the_account_is_the_same_before_and_after_a_kill(home: Home) -> None:
    daemon = holding(home(minutes=4_000))
    daemon.call("pause")  # no order comes or goes while we compare
    daemon.call("throttle", factor=0.5)
    before = daemon.status()
    daemon.kill()
    after = daemon.start(speed="1").status()
    equity_adds_up(after)
    assert after["instruments"][0]["paused"]
    assert after["instruments"][0]["throttle"] == 0.5
    assert (after["session"]["start_equity_usdt"], after["session"]["started_at"]) == (
        before["session"]["start_equity_usdt"],
        before["session"]["started_at"],
    )
