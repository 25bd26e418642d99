"""A breaker file is dropped into the folder of a running daemon: armed without a restart, trips, is edited, taken away, refused."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from figures import gather
from journeys.daemon_process import DaemonProcess, held_and_quiet, positions

Home = Callable[..., DaemonProcess]
ARMED_SECONDS = 15.0  # a wide sanity bound: the aim is 1, and the machine of a test may be busy

HEIGHT = """
from hedgegridd import Measure, hookimpl

class Height:
    name = "height"
    on_trip = "{on_trip}"
    class Settings:
        max_price_usdt: float = {limit}
    def measure(self, snapshot):
        return Measure(snapshot.instruments[0].last_price or 0.0, self.settings.max_price_usdt, "USDT")

@hookimpl
def register_breakers(register):
    register(Height)
"""


def drop(folder: Path, limit: float, name: str = "breaker_height.py", on_trip: str = "flatten") -> float:
    """Put the file there as an editor does it; when."""
    folder.mkdir(exist_ok=True)
    temporary = folder / f".{name}.swp"
    temporary.write_text(HEIGHT.format(limit=limit, on_trip=on_trip))
    temporary.replace(folder / name)
    return time.monotonic()


def row(status: dict[str, Any], name: str = "height") -> dict[str, Any]:
    return next((found for found in status["breakers"] if found["name"] == name), {})


def waiting(daemon: DaemonProcess) -> list[dict[str, Any]]:
    """New versions that are not in force."""
    return [guard for guard in daemon.call("breakers")["breakers"] if guard.get("candidate")]


def within(daemon: DaemonProcess, begun: float, true: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    found = daemon.until(true)
    took = time.monotonic() - begun
    assert took < ARMED_SECONDS, took
    return found


def armed(daemon: DaemonProcess, begun: float, limit: float) -> dict[str, Any]:
    found = within(daemon, begun, lambda status: row(status).get("state") == "armed" and row(status).get("threshold") == limit)
    gather("breaker file dropped in to armed", time.monotonic() - begun)
    return found


def house(home: Home, minutes: int = 3_000) -> tuple[DaemonProcess, Path]:
    """A daemon that holds both legs in a market that stands still, and its plugin folder."""
    daemon = home(minutes=minutes, daemon={"plugin_dirs": ["plugins"]})
    folder = daemon.home / "plugins"
    folder.mkdir()
    return held_and_quiet(daemon), folder


def test_dropped_in_it_is_armed_edited_it_trips_and_the_account_is_flat(home: Home) -> None:
    daemon, folder = house(home)
    pid = daemon.pid
    found = armed(daemon, drop(folder, 90_000), 90_000)
    assert row(found)["file"].endswith("breaker_height.py")
    assert row(found)["on_trip"] == "flatten"
    assert not found["degraded"]
    # an edit of a version that is armed: below the price now, so its first look is held back and the old one goes on
    drop(folder, 40_000)
    daemon.until(lambda _: [guard["state"] for guard in waiting(daemon)] == ["would_trip"])
    found = daemon.status()
    assert not found["kill_switch"]["active"]
    assert row(found)["threshold"] == 90_000
    # a person vouches for it: now it trips, and the road of `activate` begins
    begun = time.monotonic()
    daemon.call("breakers.arm", name="height", reason="I mean it")
    within(daemon, begun, lambda status: status["kill_switch"]["active"])
    found = daemon.flat()
    assert found["kill_switch"]["source"] == "breaker.height"
    assert "height" in found["kill_switch"]["reason"]
    assert row(found)["state"] == "tripped"
    assert daemon.call("breakers.explain", name="height")["inputs"]
    assert found["pid"] == pid
    assert daemon.stop() == 0
    daemon.sound()
    assert positions(daemon.fills()) == (0, 0)


def test_one_that_would_trip_at_its_first_look_is_held_until_armed_by_a_person(home: Home) -> None:
    daemon, folder = house(home)
    within(daemon, drop(folder, 40_000), lambda status: row(status).get("state") == "would_trip")
    found = daemon.status()
    assert not found["kill_switch"]["active"]
    assert any("height" in text and "would_trip" in text for text in found["degraded"])
    assert daemon.ctl("status").returncode == 6
    assert daemon.ctl("breakers", "arm", "height", "--reason", "tested").returncode == 0
    assert daemon.flat()["kill_switch"]["source"] == "breaker.height"


def test_armed_once_it_trips_at_once_after_a_restart(home: Home) -> None:
    daemon, folder = house(home)
    armed(daemon, drop(folder, 90_000), 90_000)
    assert daemon.stop() == 0
    config = daemon.config_path.read_text()
    daemon.config_path.write_text(f"{config}\n[breaker.height]\nmax_price_usdt = 40000.0\n")
    assert daemon.start(speed="1").flat()["kill_switch"]["source"] == "breaker.height"


def test_taken_away_it_keeps_guarding_until_disarmed(home: Home) -> None:
    daemon, folder = house(home)
    armed(daemon, drop(folder, 90_000), 90_000)
    begun = time.monotonic()
    (folder / "breaker_height.py").unlink()
    within(daemon, begun, lambda status: any(plugin["state"] == "removed" for plugin in status["plugins"]))
    assert row(daemon.status())["state"] == "armed"
    assert row(daemon.status())["value"]
    daemon.call("breakers.disarm", name="height", reason="not needed")
    found = daemon.until(lambda status: not any(plugin["name"] == "height" for plugin in status["plugins"]))
    assert row(found)["state"] == "disarmed"
    assert not found["kill_switch"]["active"]


def test_a_file_that_others_can_write_is_refused_and_says_so(home: Home) -> None:
    daemon, folder = house(home)
    (folder / "breaker_height.py").write_text(HEIGHT.format(limit=40_000, on_trip="flatten"))
    (folder / "breaker_height.py").chmod(0o666)
    found = within(daemon, time.monotonic(), lambda status: any(plugin["state"] == "refused" for plugin in status["plugins"]))
    why = next(plugin["reason"] for plugin in found["plugins"] if plugin["state"] == "refused")
    assert "writ" in why
    assert not row(found)
    assert not found["kill_switch"]["active"]
    if os.geteuid() == 0:
        begun = time.monotonic()
        (folder / "breaker_height.py").chmod(0o644)
        os.chown(folder / "breaker_height.py", 65_534, 65_534)
        time.sleep(0.5)
        assert not row(daemon.status())
        os.chown(folder / "breaker_height.py", 0, 0)
        assert begun
    else:
        (folder / "breaker_height.py").chmod(0o644)
    daemon.until(lambda status: row(status).get("state") == "would_trip")


def test_no_event_is_missed_while_files_come_and_go(home: Home) -> None:
    daemon = home(minutes=4_000, daemon={"plugin_dirs": ["plugins"]})
    folder = daemon.home / "plugins"
    folder.mkdir()
    daemon.start(speed="60000")
    for number in range(6):
        drop(folder, 90_000 + number)
        drop(folder, 90_000 + number, f"breaker_other{number}.py")
        time.sleep(0.1)
    assert daemon.ended() == 0
    daemon.sound()
    assert daemon.acts("stop")[-1]["bars"] == 4_000
