"""`hedgegridd flatten`: the account is closed with the daemon alive, hung or dead, and stays killed."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable

import pytest
from journeys.daemon_process import DaemonProcess, held_and_quiet, positions

Home = Callable[..., DaemonProcess]


def flatten(daemon: DaemonProcess, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line of somebody in a hurry."""
    places = ["--config", str(daemon.config_path), "--state-dir", str(daemon.state), "--socket", str(daemon.socket)]
    return daemon.hedgegridd("flatten", *places, *words)


@pytest.mark.parametrize("how", ["alive", "stopped", "dead", "dead by SIGTERM"])
def test_closes_everything(home: Home, how: str) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    if how == "stopped":
        daemon.signal(signal.SIGSTOP)
    elif how == "dead":
        daemon.kill()
    elif how == "dead by SIGTERM":
        assert daemon.stop() == 0
    assert positions(daemon.fills()) != (0, 0)
    done = flatten(daemon, "--yes")
    assert done.returncode == 0, (done.stdout, done.stderr, daemon.log[-2000:])
    assert "flat" in done.stdout
    assert all(" UTC " in line for line in done.stderr.splitlines()) and "DEBUG" not in done.stderr
    assert daemon.runs == (how == "alive")
    if how == "alive":
        daemon.flat()
        daemon.kill()
    assert positions(daemon.fills()) == (0, 0)
    daemon.sound()
    assert (daemon.engaged()["active"], daemon.engaged()["level"]) == (True, "flatten")
    found = daemon.start(speed="1").flat()["kill_switch"]
    assert (found["active"], found["reason"]) == (True, "hedgegridd flatten")


@pytest.mark.parametrize("how", ["alive", "dead"])
def test_closes_one_leg_and_halts_the_rest(home: Home, how: str) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    if how == "dead":
        daemon.kill()
    done = flatten(daemon, "--leg", "long", "--yes")
    assert done.returncode == 0, (done.stdout, done.stderr, daemon.log[-2000:])
    if how == "dead":
        daemon.start(speed="1")
    found = daemon.status()
    row = found["instruments"][0]
    assert (row["long"]["qty"], row["short"]["qty"] > 0, row["short"]["protected"]) == (0, True, True)
    assert (found["kill_switch"]["active"], found["kill_switch"]["level"]) == (True, "halt")


@pytest.mark.parametrize("how", ["alive", "dead"])
def test_a_halt_before_is_no_excuse(home: Home, how: str) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    daemon.call("activate", level="halt", reason="only halt")
    if how == "dead":
        daemon.kill()
    done = flatten(daemon, "--yes")
    assert done.returncode == 0, (done.stdout, done.stderr, daemon.log[-2000:])
    if how == "alive":
        daemon.kill()
    assert positions(daemon.fills()) == (0, 0)
    assert (daemon.engaged()["reason"], daemon.engaged()["level"]) == ("only halt", "flatten")


def test_without_yes_nothing_is_done(home: Home) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    daemon.kill()
    done = flatten(daemon)
    assert (done.returncode, "--yes" in done.stderr) == (2, True)
    assert not daemon.kill_file.exists()


def test_on_a_home_nobody_lived_in(home: Home) -> None:
    daemon = home(minutes=50)
    done = flatten(daemon, "--yes")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert json.loads(daemon.kill_file.read_text())["active"]
    assert daemon.start(speed="1").status()["kill_switch"]["active"]
