"""The control socket when it is removed, when a stranger knocks, and when nobody is behind it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from journeys.daemon_process import ROOT, DaemonProcess, held_and_quiet, positions, settings

Home = Callable[..., DaemonProcess]
NOBODY = 65_534
AS_ANOTHER = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")


@pytest.mark.parametrize("instead", ["nothing", "dead socket", "file"])
def test_removed_while_running_it_is_made_again(home: Home, instead: str) -> None:
    daemon = home(minutes=100).start(speed="1")
    daemon.client.close()
    before = daemon.socket.lstat().st_ino
    daemon.socket.unlink()
    if instead == "dead socket":
        subprocess.run([sys.executable, "-c", f"import socket; socket.socket(socket.AF_UNIX).bind({str(daemon.socket)!r})"], check=True)
    elif instead == "file":
        daemon.socket.touch()
        time.sleep(0.6)  # what another put there is left alone
        daemon.socket.unlink()
    begun = time.monotonic()
    while not daemon.socket.exists() or daemon.socket.lstat().st_ino == before:
        assert time.monotonic() - begun < 30
        time.sleep(0.01)
    assert daemon.until(lambda status: status["ready"])["pid"] == daemon.pid
    assert stat.S_IMODE(daemon.socket.lstat().st_mode) == 0o660
    assert daemon.call("activate", reason="still heard")["durable"]


def test_a_connection_made_before_goes_on_without_the_socket(home: Home) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    daemon.status()  # connected
    daemon.socket.unlink()
    assert daemon.call("activate", reason="through the open line")["durable"]
    daemon.flat()


def test_no_daemon_and_activate_writes_the_file_and_says_what_it_did_not_do(home: Home) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    daemon.kill()
    asked = daemon.ctl("activate", "--reason", "nobody home")
    assert asked.returncode == 3
    assert "NOT closed" in asked.stderr
    assert "hedgegridd flatten" in asked.stderr
    found = daemon.engaged()
    assert (found["active"], found["reason"], found["level"]) == (True, "nobody home", "flatten")
    assert stat.S_IMODE(daemon.kill_file.stat().st_mode) == 0o640
    looked = daemon.ctl("status", "--json")
    assert looked.returncode == 3
    assert json.loads(looked.stdout)["kill_switch"]["reason"] == "nobody home"
    assert daemon.start(speed="1").flat()["kill_switch"]["reason"] == "nobody home"
    daemon.kill()
    assert positions(daemon.fills()) == (0, 0)


def test_a_hung_daemon_is_not_waited_for_and_obeys_when_it_wakes(home: Home) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    daemon.signal(19)  # SIGSTOP
    begun = time.monotonic()
    asked = daemon.ctl("activate", "--reason", "it hangs")
    assert (asked.returncode, time.monotonic() - begun < 5) == (3, True)
    daemon.signal(18)  # SIGCONT
    found = daemon.flat()["kill_switch"]
    assert found["active"]
    assert "it hangs" in {found["reason"], *(text.rpartition(": ")[2] for text in found["later"])}


def test_the_command_line_follows_until_flat(home: Home) -> None:
    daemon = held_and_quiet(home(minutes=3_000))
    asked = daemon.ctl("activate", "--reason", "done for today")
    assert (asked.returncode, "flat" in asked.stdout, "2 legs closed" in asked.stdout) == (0, True, True), asked
    assert daemon.ctl("status").returncode == 5


# --- another user on the machine ------------------------------------------------------------------------------------------


@pytest.fixture
def open_house(tmp_path: Path) -> Iterator[Path]:
    """A folder that everybody may look into: only the socket's own rights stand between a stranger and the daemon."""
    folder = Path("/tmp") / f"hg{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


ASK = """
import json, os, sys, _json
from hedgegridd.control.client import Client, Unreachable
from hedgegridd.control.protocol import Fault
os.setgroups([]); os.setgid({gid}); os.setuid({uid})
said = []
for verb, params in json.loads(sys.argv[2]):
    try:
        said.append(["done", Client(sys.argv[1]).call(verb, params, 5)])
    except Unreachable as error:
        said.append(["forbidden" if error.forbidden else "unreachable", str(error)])
    except Fault as error:
        said.append([error.code, str(error)])
print(json.dumps(said))
"""

WRITES: list[tuple[str, dict[str, Any]]] = [
    ("activate", {"reason": "x"}), ("deactivate", {"reason": "x"}), ("flatten", {"reason": "x"}), ("pause", {}), ("resume", {}),
    ("throttle", {"factor": 0.0}), ("breakers.disarm", {"name": "drawdown", "reason": "x"}),
    ("breakers.reset", {"all": True, "reason": "x"}),
    ("reload", {}), ("confirm", {}), ("advance", {"reason": "x"}), ("alert.test", {}),
]  # fmt: skip


def as_stranger(daemon: DaemonProcess, calls: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """What user 65534 gets for its calls. What it needs is imported before: it may not be able to read this checkout."""
    program = ASK.format(uid=NOBODY, gid=NOBODY)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-c", program, str(daemon.socket), json.dumps(calls)]
    done = subprocess.run(words, env=env, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@AS_ANOTHER
@pytest.mark.parametrize("group", ["", "nogroup"])
def test_another_user_cannot_write_and_reads_only_as_a_member_of_the_group(open_house: Path, group: str) -> None:
    daemon = DaemonProcess(open_house / "d", settings(None, daemon={"group": group}))
    daemon.home.chmod(0o755)
    try:
        daemon.start(speed="60")
        said = as_stranger(daemon, [*WRITES, ("status", {}), ("orders", {})])
        wanted = -32003 if group else "forbidden"
        assert [row[0] for row in said[: len(WRITES)]] == [wanted] * len(WRITES), said
        assert [row[0] for row in said[len(WRITES) :]] == ["done" if group else "forbidden"] * 2
        found = daemon.status()
        assert not found["kill_switch"]["active"]
        assert found["instruments"][0]["throttle"] == 1.0
        assert not any(act["name"] for act in daemon.acts("verb"))
    finally:
        daemon.clean_up()


@AS_ANOTHER
def test_another_user_without_the_right_changes_nothing_and_is_told_the_sudo_line(open_house: Path) -> None:
    daemon = DaemonProcess(open_house / "d", settings(None))
    daemon.home.chmod(0o755)
    try:
        daemon.start(speed="60")
        daemon.kill()
        words = ["--socket", str(daemon.socket), "--state-dir", str(daemon.state), "activate", "--reason", "let me"]
        imports = "import os, pwd, tomllib, _json; from hedgegridd.control import cli, offline"
        program = f"{imports}; os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})"
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", f"{program}; cli.main()", *words], check=False, env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 3, done
        assert "sudo" in done.stderr
        assert not daemon.kill_file.exists()
    finally:
        daemon.clean_up()
