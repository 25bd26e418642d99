"""The kill switch file in other hands: made, spoiled, taken away or contradicted, with the daemon running and before it starts."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from figures import gather
from journeys.daemon_process import DaemonProcess, held, held_and_quiet, positions

Home = Callable[..., DaemonProcess]
NOTICED_SECONDS = 10.0  # a wide sanity bound: the promise is 1, and how long it took is told
STRANGER = 65_534


def by_strangers(path: Path, text: str) -> None:
    """As another program writes it: beside its place, then moved there."""
    path.with_name("theirs").write_text(text)
    path.with_name("theirs").replace(path)


def noticed(daemon: DaemonProcess, since: float, level: str) -> float:
    """Until the kill switch is active at that level; how long it took."""
    daemon.until(lambda status: status["kill_switch"]["active"] and status["kill_switch"]["level"] == level)
    took = time.monotonic() - since
    gather("kill switch file written by others to active", took)
    return took


def engaged_by(daemon: DaemonProcess, reason: str) -> None:
    """Until the file says so again: it is written beside the trading."""

    def says_so(_: object) -> bool:
        try:
            return daemon.engaged()["active"] is True and daemon.engaged()["reason"] == reason
        except (OSError, ValueError, KeyError):  # not yet
            return False

    daemon.until(says_so)


def spoil(path: Path, how: str) -> None:
    """Make the file say nothing that can be believed."""
    if how == "directory":
        while not path.is_dir():
            path.unlink(missing_ok=True)
            with suppress(FileExistsError):  # the daemon may write its own again in between
                path.mkdir()
        (path / "something").touch()
        return
    texts = {
        "empty": "",
        "torn": '{"active": fal',
        "binary": "\x00\x01",
        "number": "3",
        "word": '{"active": "no"}',
        "stranger": '{"active": false}',
    }
    path.write_text(texts[how])
    if how == "stranger":
        os.chown(path, STRANGER, STRANGER)


SPOILED = [
    "directory",
    "empty",
    "torn",
    "binary",
    "number",
    "word",
    pytest.param("stranger", marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root")),
]


# --- while it runs --------------------------------------------------------------------------------------------------------


def test_made_by_another_program_while_running(home: Home) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    begun = time.monotonic()
    by_strangers(daemon.kill_file, json.dumps({"active": True, "reason": "the market maker is drunk"}))
    assert noticed(daemon, begun, "flatten") < NOTICED_SECONDS
    found = daemon.flat()["kill_switch"]
    assert (found["reason"], found["source"]) == ("the market maker is drunk", "file")
    daemon.until(lambda _: daemon.engaged().get("phase") == "flat")  # the daemon filled in the rest
    daemon.kill()
    daemon.sound()
    assert positions(daemon.fills()) == (0, 0)
    assert daemon.start(speed="1").status()["kill_switch"]["reason"] == "the market maker is drunk"


def test_the_level_of_the_file_is_obeyed_and_only_rises(home: Home) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    begun = time.monotonic()
    by_strangers(daemon.kill_file, json.dumps({"active": True, "level": "halt", "reason": "look first"}))
    assert noticed(daemon, begun, "halt") < NOTICED_SECONDS
    found = daemon.until(lambda status: status["kill_switch"]["phase"] == "idle")
    assert any(found["instruments"][0][leg]["qty"] for leg in ("long", "short"))
    assert {order["role"] for order in daemon.call("orders")["orders"]} == {"take_profit", "stop"}
    daemon.until(lambda _: daemon.engaged().get("phase") == "idle")  # the daemon's own last word is written
    begun = time.monotonic()
    by_strangers(daemon.kill_file, json.dumps({"active": True, "level": "flatten", "reason": "seen enough"}))
    assert noticed(daemon, begun, "flatten") < NOTICED_SECONDS
    daemon.flat()
    by_strangers(daemon.kill_file, json.dumps({"active": True, "level": "halt", "reason": "lower"}))
    time.sleep(0.6)
    assert daemon.status()["kill_switch"]["level"] == "flatten"


@pytest.mark.parametrize("how", SPOILED)
def test_spoiled_while_running_is_a_halt(home: Home, how: str) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    begun = time.monotonic()
    spoil(daemon.kill_file, how)
    assert noticed(daemon, begun, "halt") < NOTICED_SECONDS
    found = daemon.until(lambda status: status["kill_switch"]["phase"] == "idle")
    assert not any(order["role"] == "entry" for order in daemon.call("orders")["orders"])
    assert any(found["instruments"][0][leg]["qty"] for leg in ("long", "short"))
    daemon.kill()
    assert daemon.start(speed="1").status()["kill_switch"]["active"]  # the journal knows, whatever lies there


@pytest.mark.parametrize("how", ["deleted", "false", "directory"])
def test_taken_away_while_active_changes_nothing(home: Home, how: str) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    assert daemon.call("activate", reason="mine")["durable"]
    daemon.flat()
    daemon.until(lambda _: daemon.engaged()["phase"] == "flat")  # the daemon's own last word is written
    if how == "deleted":
        daemon.kill_file.unlink()
    elif how == "false":
        by_strangers(daemon.kill_file, json.dumps({"active": False}))
    else:
        spoil(daemon.kill_file, "directory")
    time.sleep(0.8)
    found = daemon.status()["kill_switch"]
    assert (found["active"], found["level"], found["reason"]) == (True, "flatten", "mine")
    if how != "directory":  # what can be written again is
        engaged_by(daemon, "mine")
    else:
        daemon.until(lambda status: not status["kill_switch"]["durable"] or daemon.kill_file.is_file())
    daemon.kill()
    found = daemon.start(speed="1").status()["kill_switch"]
    assert (found["active"], found["level"], found["reason"]) == (True, "flatten", "mine")


# --- before it starts -----------------------------------------------------------------------------------------------------


def test_made_before_the_start(home: Home) -> None:
    daemon = held(home(minutes=3_000))
    by_strangers(daemon.kill_file, json.dumps({"active": True, "reason": "while you slept"}))
    found = daemon.start(speed="1").flat()["kill_switch"]
    assert (found["level"], found["reason"]) == ("flatten", "while you slept")


@pytest.mark.parametrize("how", SPOILED)
def test_spoiled_before_the_start_is_a_halt(home: Home, how: str) -> None:
    daemon = home(minutes=100)
    daemon.state.mkdir(mode=0o750)
    spoil(daemon.kill_file, how)
    found = daemon.start(speed="1").status()["kill_switch"]
    assert (found["active"], found["level"]) == (True, "halt")
    assert any(why in found["reason"] for why in ("cannot be read", "is no JSON", "expected true or false", "expected {"))
    assert daemon.call("orders")["orders"] == []


@pytest.mark.parametrize("how", ["deleted", "false", "torn"])
def test_taken_away_before_the_start_while_the_journal_says_active(home: Home, how: str) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    daemon.call("activate", reason="mine")
    daemon.flat()
    daemon.kill()
    if how == "deleted":
        daemon.kill_file.unlink()
    elif how == "false":
        by_strangers(daemon.kill_file, json.dumps({"active": False}))
    else:
        spoil(daemon.kill_file, how)
    found = daemon.start(speed="1").flat()["kill_switch"]
    assert (found["active"], found["level"], found["reason"]) == (True, "flatten", "mine")
    engaged_by(daemon, "mine")


def test_the_file_survives_a_lost_journal(home: Home) -> None:
    daemon = home(minutes=3_000).start(speed="1")
    daemon.call("activate", reason="mine", level="halt")
    daemon.kill()
    shutil.rmtree(daemon.journal)
    found = daemon.start(speed="1").status()["kill_switch"]
    assert (found["active"], found["level"], found["reason"]) == (True, "halt", "mine")


def test_the_environment_engages_at_the_start_and_cannot_be_let_go(home: Home) -> None:
    daemon = held(home(minutes=3_000))
    daemon.env["HEDGEGRIDD_KILL_SWITCH"] = "yes"
    found = daemon.start(speed="1").flat()["kill_switch"]
    assert (found["source"], found["env_engaged"]) == ("environment", True)
    refused = daemon.ctl("deactivate", "--reason", "please")
    assert (refused.returncode, "env" in refused.stderr) == (1, True)
    daemon.kill()
    del daemon.env["HEDGEGRIDD_KILL_SWITCH"]
    assert daemon.start(speed="1").status()["kill_switch"]["active"]  # unset does not clear what is latched
    daemon.call("deactivate", reason="all clear")
    assert not daemon.status()["kill_switch"]["active"]
    assert not daemon.engaged()["active"]
    daemon.kill()
    assert not daemon.start(speed="1").status()["kill_switch"]["active"]
