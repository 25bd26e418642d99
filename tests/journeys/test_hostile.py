"""Hostile plugin files beside a good one: `activate` is as quick as without them, and so is `status`."""

from __future__ import annotations

import os
import runpy
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from figures import note, percentile
from journeys.daemon_process import DaemonProcess, holding, positions

Home = Callable[..., DaemonProcess]
ACTIVATIONS = int(os.environ.get("HEDGEGRIDD_ACTIVATIONS", "20"))
HOSTILE: dict[str, tuple[str, str, str]] = runpy.run_path(str(Path(__file__).parents[1] / "live" / "hostile.py"))["FILES"]
FLAT_SECONDS, STATUS_SECONDS = 1.0, 0.1
SLACK = float(os.environ.get("HEDGEGRIDD_SLACK", "15"))  # a wide sanity bound; the promise itself is 1, for a machine of its own

GOOD = """
from hedgegridd import Measure, hookimpl

class Good:
    name = "good"
    def measure(self, snapshot):
        return Measure(snapshot.equity, 1e9, "USDT")

@hookimpl
def register_breakers(register):
    register(Good)
"""


class Watcher(threading.Thread):
    """Asks `status` again and again on a line of its own; how long each answer took, seconds."""

    def __init__(self, daemon: DaemonProcess) -> None:
        super().__init__(daemon=True)
        from hedgegridd.control.client import Client

        self.line, self.took, self.over = Client(str(daemon.socket)), [], threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.01):
            begun = time.monotonic()
            self.line.call("status", {}, 10.0)
            self.took.append(time.monotonic() - begun)
        self.line.close()


@pytest.fixture
def besieged(home: Home) -> DaemonProcess:
    """A daemon with every hostile file and a good one in its folder, trading."""
    assert len(HOSTILE) >= 12
    daemon = home(minutes=60_000, daemon={"plugin_dirs": ["plugins"]})
    folder = daemon.home / "plugins"
    folder.mkdir()
    (folder / "breaker_good.py").write_text(GOOD)
    holding(daemon, speed="3000").until(well)
    for name, (text, _, _) in HOSTILE.items():
        (folder / f"{name}.py").write_text(text)
    daemon.until(lambda status: len({row["file"] for row in status["plugins"]} & {str(folder / f"{name}.py") for name in HOSTILE}) > 6)
    return daemon


def well(status: dict[str, Any]) -> bool:
    """Whether the good one guards."""
    return any(guard["name"] == "good" and guard["state"] == "armed" and guard["value"] for guard in status["breakers"])


def let_go(daemon: DaemonProcess) -> None:
    """Back to trading, until both legs are held again."""
    for guard in daemon.status()["breakers"]:
        if guard["state"] == "tripped":
            daemon.call("breakers.disarm", name=guard["name"], reason="hostile")
    daemon.call("deactivate", reason="next one", force=True)
    daemon.until(lambda status: any(status["instruments"][0][leg]["qty"] for leg in ("long", "short")))


def test_activate_is_flat_in_time_and_status_answers(besieged: DaemonProcess) -> None:
    """The row "a breaker file hangs, dies or holds the interpreter" of what dies and what still protects."""
    daemon, to_flat = besieged, []
    watcher = Watcher(daemon)
    watcher.start()
    for number in range(ACTIVATIONS):
        if daemon.status()["kill_switch"]["active"]:
            let_go(daemon)
        begun = time.monotonic()
        assert daemon.call("activate", reason=f"number {number}")["durable"]
        daemon.flat()
        to_flat.append(time.monotonic() - begun)
        let_go(daemon)
    watcher.over.set()
    watcher.join(10)
    note("activate to flat beside hostile plugins", to_flat)
    note("status beside hostile plugins", watcher.took)
    assert percentile(to_flat, 0.99) < FLAT_SECONDS * SLACK
    assert percentile(watcher.took, 0.99) < STATUS_SECONDS * SLACK
    daemon.until(well)
    refused = {name for name, (_, state, _) in HOSTILE.items() if state == "refused"}
    daemon.until(lambda status: refused <= {Path(row["file"]).stem for row in status["plugins"] if row["state"] == "refused"})
    shutil.rmtree(daemon.home / "plugins")  # nothing hostile may come back with the next start
    assert daemon.stop() == 0
    daemon.sound()
    positions(daemon.fills())
    assert not children(daemon.pid)


def children(pid: int) -> list[Any]:
    """Processes that name this one as their parent."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if path.read_text().rpartition(")")[2].split()[1] == str(pid):
                found.append(path)
        except OSError:
            continue
    return found
