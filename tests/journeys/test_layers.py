"""What dies, what still protects, within how long: the README's table, each row a test that names it; here those with no better place."""

from __future__ import annotations

import ast
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from journeys.daemon_process import DaemonProcess, holding, positions
from journeys.live_process import LiveProcess, live, live_settings

ROOT = Path(__file__).resolve().parents[2]
TABLE = (ROOT / "README.md").read_text().split("**What dies, what still protects you**")[1].split("\n\n")[1]  # after its paragraph
ROWS = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in TABLE.strip().splitlines()[2:]]
COUNTDOWN_S = 5
Home = Callable[..., DaemonProcess]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_row_has_its_test_that_names_it(row: list[str]) -> None:
    what, protects, within, test = row
    assert protects and within
    found = re.fullmatch(r"`(tests/\S+\.py)::(test_\w+)`", test)
    assert found, f"{what}: {test!r} names no test"
    tree = ast.parse((ROOT / found[1]).read_text())
    named = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == found[2]]
    assert named, f"{what}: there is no {found[2]} in {found[1]}"
    said = re.sub(r"\s+", " ", ast.get_docstring(named[0]) or "")
    assert what in said, f"{found[2]} does not name its row, {what!r}"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[LiveProcess]:
    """Live, with an exchange countdown short enough to be waited for."""
    countdown = {"countdown_seconds": COUNTDOWN_S, "beat_seconds": 1}
    with live(tmp_path / "d", lambda sim: live_settings(sim, exchange_countdown=countdown)) as made:
        made.both_held()
        made.until(lambda _: made.sim.show("account")["countdowns"])
        yield made


def openers(daemon: LiveProcess) -> set[str]:
    return {name for name in daemon.truth()[1] if name.split("-")[2].endswith("E")}


def protected(daemon: LiveProcess, held: dict[str, float]) -> None:
    """On the exchange: the legs as they were, a stop under each, nothing that opens."""
    now, _, _, stops = daemon.truth()
    assert now == held and stops == dict.fromkeys(held, 1)
    assert not openers(daemon)


def withdrawn(daemon: LiveProcess) -> float:
    """Seconds until the exchange itself has withdrawn what opens."""
    begun = time.monotonic()
    while openers(daemon):
        assert time.monotonic() - begun < COUNTDOWN_S + 15
        time.sleep(0.05)
    return time.monotonic() - begun


def test_the_machine_dies(daemon: LiveProcess) -> None:
    """The row "the machine or its power dies": nobody comes back, and what protects is on the exchange."""
    held = daemon.truth()[0]
    assert openers(daemon)
    daemon.kill()
    took = withdrawn(daemon)
    protected(daemon, held)
    assert took < COUNTDOWN_S + 5


def test_the_network_is_lost_and_comes_back(daemon: LiveProcess) -> None:
    """The row "the network is lost": the exchange withdraws openers by itself, stops rest; when it is back, so is the grid."""
    held = daemon.truth()[0]
    daemon.sim.down(COUNTDOWN_S + 3.0)
    withdrawn(daemon)
    protected(daemon, held)
    daemon.until(lambda status: not status["degraded"])
    daemon.until(lambda _: openers(daemon))
    daemon.until_sound()
    assert daemon.truth()[0] == held


def children(pid: int) -> set[int]:
    """The processes that this one started, and that live."""
    found = set()
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):  # it ended since it was listed
            if child.status() != psutil.STATUS_ZOMBIE:
                found.add(child.pid)
    return found


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
HUNG = """
import time
from hedgegridd import hookimpl

class Hung:
    name = "hung"
    def send(self, alert):
        time.sleep(3600)

@hookimpl
def register_alerts(register):
    register(Hung)
"""


def guard(status: dict[str, Any]) -> dict[str, Any]:
    return next((row for row in status["breakers"] if row["name"] == "good"), {})


def test_every_plugin_host_dies(home: Home) -> None:
    """The row "every plugin host dies": they are begun anew, and the way out is as open as before."""
    daemon = home(minutes=60_000, daemon={"plugin_dirs": ["plugins"]})
    folder = daemon.home / "plugins"
    folder.mkdir()
    (folder / "breaker_good.py").write_text(GOOD)
    holding(daemon, speed="600")
    daemon.until(lambda status: guard(status).get("state") == "armed")
    hosts = children(daemon.pid)
    assert hosts
    for host in hosts:
        os.kill(host, signal.SIGKILL)
    begun = time.monotonic()
    while not (after := children(daemon.pid)) or after & hosts:
        assert time.monotonic() - begun < 30
        time.sleep(0.02)
    found = daemon.until(lambda status: guard(status).get("state") == "armed")
    assert all(not row[leg]["qty"] or row[leg]["protected"] for row in found["instruments"] for leg in ("long", "short"))
    assert daemon.call("activate", reason="the way out")["durable"]
    daemon.flat()
    assert positions(daemon.fills()) == (0, 0)


def test_an_alert_channel_hangs(home: Home) -> None:
    """The row "an alert channel hangs": its alerts wait, and nothing else does."""
    daemon = home(minutes=60_000, daemon={"plugin_dirs": ["plugins"]}, alert={"hung": {}})
    (daemon.home / "plugins").mkdir()
    (daemon.home / "plugins" / "alert_hung.py").write_text(HUNG)
    holding(daemon, speed="600")
    daemon.until(lambda _: any(row["name"] == "hung" for row in daemon.call("alerts")["channels"]))
    begun = time.monotonic()
    assert daemon.call("activate", reason="nobody hears")["durable"]
    daemon.flat()
    assert time.monotonic() - begun < 15

    def channel(name: str) -> dict[str, Any]:
        return next(row for row in daemon.call("alerts")["channels"] if row["name"] == name)

    daemon.until(lambda _: channel("log")["sent"])
    assert channel("hung")["queued"] and not channel("hung")["sent"]
