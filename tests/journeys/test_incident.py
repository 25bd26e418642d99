"""A real paper daemon is stopped, by a breaker and by a person; the incident file tells how."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from journeys.daemon_process import DaemonProcess, holding, settings
from journeys.test_breaker_dropped import drop, house
from journeys.test_breaker_dropped import row as row_of

REASON = "<script>alert(1)</script> by hand"


def test_a_breakers_trip_becomes_an_incident_file(home: Callable[..., DaemonProcess], tmp_path: Path) -> None:
    daemon, folder = house(home)
    drop(folder, 40_000)
    daemon.until(lambda status: row_of(status).get("state") == "would_trip")
    daemon.call("breakers.arm", name="height", reason="I mean it")
    daemon.flat()
    daemon.until(lambda status: status["kill_switch"]["durable"])
    assert daemon.stop() == 0
    words = ("report", "incident", "--state-dir", str(daemon.state))
    (row,) = json.loads(daemon.hedgegridd(*words, "--json").stdout)["incident"]
    done = daemon.hedgegridd(*words, str(row["id"]), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "breaker.height" in done.stdout and "hashes hold" in done.stdout
    found = json.loads((tmp_path / "out" / f"incident-{row['id']}.json").read_text())
    (trip,) = [one for one in daemon.acts("trip") if one["name"] == "height"]
    assert found["trigger"]["inputs"] == trip["inputs"] and found["trigger"]["value"] == trip["value"]
    assert found["certificates"][0]["legs"] and found["certificates"][0]["proof"]["reads"] >= 1
    closed = [one for one in found["fills"] if one["role"] == "close"]
    assert closed and all(one["slippage_usdt"] is not None for one in closed)
    disk = found["durable"]
    assert disk["confirmed"] and disk["answered_mark"] >= disk["mark"] and disk["act"] == row["id"]
    assert found["integrity"]["verified"] and not found["end"]["over"]
    stood = {one["name"]: one for one in found["breakers"]}
    assert stood["height"]["triggered"] and stood["height"]["value"] == trip["value"]
    assert stood["margin"]["fraction"] == stood["margin"]["value"] / stood["margin"]["threshold"]
    assert found["next_breaker"]["known"] and found["next_breaker"]["said"]
    by_rule = {one["rule"]: one for one in found["alerts"]}
    assert by_rule["kill_activated"]["channel"] == "log" and by_rule["kill_activated"]["delivered_at"]


def test_a_running_daemon_tells_its_incident_and_trades_on(home: Callable[..., DaemonProcess]) -> None:
    daemon = home(2_000)
    daemon.configure(settings(daemon.home / "BTCUSDT-1m.csv", daemon={"state_dir": str(daemon.state)}))
    holding(daemon)
    assert "no incident" in daemon.ctl("incident").stdout
    assert daemon.ctl("activate", "--level", "flatten", "--reason", REASON).returncode == 0
    daemon.until(lambda status: status["kill_switch"]["durable"])
    (row,) = json.loads(daemon.ctl("incident", "--json").stdout)["incident"]
    done = daemon.ctl("incident", str(row["id"]))
    assert done.returncode == 0, done.stderr
    for part in (
        f"incident {row['id']}",
        "certificate  flat",
        "hashes hold",
        "was on the disk",
        f"report incident {row['id']} --state-dir",
    ):
        assert part in done.stdout, done.stdout
    found = json.loads(daemon.ctl("incident", str(row["id"]), "--json").stdout)
    assert found["certificates"][0]["legs"] and found["prices"] is None and found["breakers"]
    assert daemon.ctl("incident", "1").returncode == 1
    assert daemon.status()["kill_switch"]["phase"] == "flat"
    assert daemon.stop() == 0
    daemon.sound()
    named = json.loads(daemon.hedgegridd("report", "incident", str(row["id"]), "--config", str(daemon.config_path), "--json").stdout)
    assert named["timeline"][0] == found["timeline"][0]


def test_what_a_person_stopped_is_told_and_a_damaged_journal_is_named(home: Callable[..., DaemonProcess], tmp_path: Path) -> None:
    daemon = holding(home(2_000))
    assert daemon.ctl("activate", "--level", "flatten", "--reason", REASON).returncode == 0
    assert daemon.ctl("deactivate", "--reason", "understood").returncode == 0
    assert daemon.stop() == 0
    words = ("report", "incident", "--state-dir", str(daemon.state))
    (row,) = json.loads(daemon.hedgegridd(*words, "--json").stdout)["incident"]
    out = tmp_path / "out"
    assert daemon.hedgegridd(*words, str(row["id"]), "--out", str(out)).returncode == 0
    html = (out / f"incident-{row['id']}.html").read_text()
    assert "<script" not in html and "&lt;script&gt;alert(1)&lt;/script&gt; by hand" in html
    found = json.loads((out / f"incident-{row['id']}.json").read_text())
    assert found["end"]["over"] and found["end"]["reason"] == "understood" and found["trigger"]["kind"] == "verb"
    closed = [one for one in found["fills"] if one["role"] == "close"]
    assert closed and all(one["market_usdt"] is not None for one in closed)  # however long nothing was done before
    assert found["prices"]["BTCUSDT"][0]["time"] < found["time"]
    newest = max(daemon.journal.glob("acts-*.jsonl"))
    newest.write_bytes(newest.read_bytes().replace(b"by hand", b"by HAND", 1))
    damaged = json.loads(daemon.hedgegridd(*words, str(row["id"]), "--json").stdout)
    assert damaged["integrity"]["verified"] is False and damaged["integrity"]["why"]


def test_an_id_that_is_none_is_refused_with_those_there_are(home: Callable[..., DaemonProcess], tmp_path: Path) -> None:
    daemon = home(50)
    daemon.start()
    assert daemon.stop() == 0
    done = daemon.hedgegridd("report", "incident", "7", "--state-dir", str(daemon.state))
    assert done.returncode == 78 and "incident 7" in done.stderr
    assert "no incident" in daemon.hedgegridd("report", "incident", "--state-dir", str(daemon.state)).stdout
    lost = daemon.hedgegridd("report", "incident", "--state-dir", str(tmp_path))
    assert lost.returncode == 78 and "no journal" in lost.stderr


def test_a_session_is_reported_while_it_goes_on_and_afterwards(home: Callable[..., DaemonProcess], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install -e '.[data]'")
    daemon = holding(home(2_000))
    running = json.loads(daemon.hedgegridd("report", "--state-dir", str(daemon.state), "--json").stdout)
    assert running["fills"] and not running["stops"] and not running["kill_switch"]["active"]
    assert daemon.ctl("activate", "--level", "flatten", "--reason", REASON).returncode == 0
    status = daemon.status()
    assert daemon.stop() == 0
    out = tmp_path / "out"
    done = daemon.hedgegridd("report", "--state-dir", str(daemon.state), "--out", str(out))
    assert done.returncode == 0, done.stderr
    found = json.loads((out / "summary.json").read_text())
    assert found["fills"] == len(daemon.fills()) and not any("otherwise" in note for note in found["notes"])
    money = status["account"]
    assert abs(found["realized_usdt"] - money["realized_pnl_usdt"]) < 1e-6 and abs(found["fees_usdt"] - money["fees_usdt"]) < 1e-6
    assert abs(found["equity_end_usdt"] - money["equity_usdt"]) < 1e-6
    (stop,) = found["stops"]
    html = (out / "report.html").read_text()
    assert f">{stop['id']}<" in html and "&lt;script&gt;alert(1)" in html and "<script>alert(1)" not in html
    wrong = daemon.hedgegridd("report", "--state-dir", str(daemon.state), "--from", "yesterday")
    assert wrong.returncode == 2 and "expected a time" in wrong.stderr
