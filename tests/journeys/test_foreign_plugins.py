"""Three files dropped in: a strategy that trades, an alert channel and a service that write what they get. No other file is touched."""

from __future__ import annotations

import json
import re
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny_grid
from journeys.daemon_process import DaemonProcess, equity_adds_up, positions, settings

Home = Callable[..., DaemonProcess]

CHANNEL = """
import json, pathlib
from hedgegridd import hookimpl
class Note:
    name = "note"
    class Settings:
        path: str = ""
    def send(self, alert):
        with pathlib.Path(self.settings.path).open("a") as file:
            file.write(json.dumps([alert.rule, alert.title]) + "\\n")
@hookimpl
def register_alerts(register): register(Note)
"""
BOARD = """
import json, os, pathlib
from hedgegridd import hookimpl
class Board:
    name = "board"
    class Settings:
        path: str = ""
    def start(self): pass
    def update(self, status):
        temporary = pathlib.Path(self.settings.path + ".new")
        temporary.write_text(json.dumps(status))
        temporary.replace(self.settings.path)
@hookimpl
def register_services(register): register(Board)
"""


def house(home: Home, minutes: int, strategy: str = "tiny", **tables: Any) -> DaemonProcess:
    """A home whose instrument is thought about by a file in its plugin folder."""
    instrument = settings(None)["instrument"][0] | {"strategy": strategy, "params": {"grid": {"step_bps": 30.0}}}
    daemon = home(minutes=minutes, instrument=[instrument], daemon={"plugin_dirs": ["plugins"]}, **tables)
    (daemon.home / "plugins").mkdir()
    shutil.copy(tiny_grid.__file__, daemon.home / "plugins" / "strategy_tiny.py")
    return daemon


def drop(daemon: DaemonProcess, name: str, text: str) -> None:
    (daemon.home / "plugins" / name).write_text(text)


def test_a_recording_is_traded_by_dropped_in_files_alone_and_replays_exactly(home: Home, tmp_path: Path) -> None:
    notes, board = tmp_path / "notes", tmp_path / "board"
    # Long enough to be still under way when service and channel have spoken: they are processes of their own, and nobody waits for them.
    daemon = house(home, 20_000, alert={"note": {"path": str(notes)}}, service={"board": {"path": str(board)}})
    drop(daemon, "alert_note.py", CHANNEL)
    drop(daemon, "service_board.py", BOARD)
    daemon.start(ready=False, speed="12000")
    found = daemon.until(lambda status: board.exists() and notes.exists() and status["counts"]["fills"] > 20)
    assert json.loads(board.read_text())["pid"] == daemon.pid
    assert {row["kind"] for row in found["plugins"] if row["state"] == "loaded" and str(daemon.home) in row["file"]} == {
        "strategy",
        "alert",
        "service",
    }
    assert daemon.stop() == 0, daemon.log[-3000:]
    fills = daemon.fills()
    positions(fills)
    assert len(fills) > 20 and {fill.leg for fill in fills} == {0, 1}
    heard = [json.loads(line)[0] for line in notes.read_text().splitlines()]
    assert "started" in heard and "emergency_stop_placed" not in heard
    assert daemon.sound().decisions_hash


def test_a_strategy_that_breaks_opens_nothing_more_and_the_way_out_stays_open(home: Home) -> None:
    """The row "a strategy file breaks or hangs" of what dies and what still protects."""
    daemon = house(home, 20_000)
    daemon.start(speed="3000")
    daemon.until(lambda status: any(row[leg]["qty"] for row in status["instruments"] for leg in ("long", "short")))
    file = daemon.home / "plugins" / "strategy_tiny.py"
    good = file.read_text()
    file.write_text(good.replace("bars, center = state", "bars, center = state / 0", 1))
    found = daemon.until(lambda status: any("TypeError" in text for text in status["degraded"]))
    daemon.until(lambda status: status["instruments"][0]["ladders"] == {"long": 0, "short": 0})
    why = daemon.call("why")["why"]
    assert any("strategy tiny: TypeError" in row["reason"] for row in why), why
    equity_adds_up(found)
    file.write_text(good)
    daemon.until(lambda status: not status["degraded"] and sum(status["instruments"][0]["ladders"].values()))
    file.write_text("import time\n" + good.replace("bars, center = state", "time.sleep(3600)", 1))
    daemon.until(lambda status: any("strategy tiny" in text for text in status["degraded"]))
    begun = time.monotonic()
    daemon.call("activate", reason="a strategy that hangs", level="flatten")
    daemon.flat()
    assert time.monotonic() - begun < 15
    assert daemon.stop() == 0
    daemon.sound()


def test_a_restart_goes_on_with_the_state_it_had(home: Home) -> None:
    daemon = house(home, 20_000)
    daemon.start(speed="3000")
    daemon.until(lambda status: status["counts"]["fills"] > 3)
    daemon.kill()
    before = len(daemon.fills())
    daemon.start(speed="3000")
    daemon.until(lambda status: status["counts"]["fills"] > before + 3)
    assert daemon.stop() == 0
    positions(daemon.fills())
    daemon.sound()


def test_a_strategy_that_is_found_nowhere_is_named_with_what_was_meant(home: Home) -> None:
    daemon = house(home, 100, strategy="tinny")
    folder = str(daemon.home / "plugins")
    said = daemon.hedgegridd("check", "--config", str(daemon.config_path))
    assert said.returncode == 1
    for words in ("instrument[0].strategy: is 'tinny'", "did you mean 'tiny'?", folder, "/etc/hedgegridd/plugins", "hedge_grid"):
        assert words in said.stdout, said.stdout
    said = daemon.hedgegridd("run", "--config", str(daemon.config_path), "--state-dir", str(daemon.state), "--socket", str(daemon.socket))
    assert said.returncode == 78 and "did you mean 'tiny'?" in said.stderr


def test_a_strategy_in_a_folder_is_a_warning_only(home: Home) -> None:
    daemon = house(home, 100)
    said = daemon.hedgegridd("check", "--config", str(daemon.config_path), "--json")
    findings = json.loads(said.stdout)["findings"]
    assert said.returncode == 0
    (found,) = [row for row in findings if row["path"] == "instrument[0].strategy"]
    assert found["severity"] == "warning" and "strategy_tiny.py" in found["text"]


def test_prometheus_scrapes_what_status_says(home: Home) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    daemon = home(minutes=400, metrics={"enabled": True, "port": port})
    daemon.start(speed="60")

    def scraped(status: dict[str, Any]) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
                return str(answer.read().decode())
        except OSError:  # not up yet
            return ""

    daemon.until(scraped)
    names = set(re.findall(r"^(hedgegridd_\w+) ", scraped({}), re.MULTILINE))
    said = {f"hedgegridd_{name}" for name in daemon.call("metrics")["metrics"]}  # what is unknown is NaN to the one, null to the other
    assert names and names <= said
    found = [row for row in daemon.status()["plugins"] if row["kind"] == "service"]
    assert [(row["name"], row["state"]) for row in found] == [("prometheus", "loaded")]
    assert daemon.stop() == 0


def test_history_warms_it_up_and_a_reload_reaches_it(home: Home) -> None:
    daemon = house(home, 0)
    daemon.start(speed="1")
    daemon.until(lambda status: status["instruments"][0]["ladders"] == {"long": 2, "short": 2})
    before = {order["price"] for order in daemon.call("orders")["orders"]}
    instrument = settings(None)["instrument"][0] | {"strategy": "tiny", "params": {"grid": {"step_bps": 47.0}}}
    daemon.configure(settings(None, instrument=[instrument], daemon={"plugin_dirs": ["plugins"]}))
    assert daemon.call("reload")["changed"] == ["instrument"]
    daemon.call("throttle", factor=1.0)  # it is asked again
    daemon.until(lambda _: not before & {order["price"] for order in daemon.call("orders")["orders"]})
    daemon.until(lambda status: status["instruments"][0]["ladders"] == {"long": 2, "short": 2})
    assert daemon.stop() == 0
    daemon.sound()
