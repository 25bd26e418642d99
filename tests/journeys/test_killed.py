"""kill -9, whenever it may come: what was acknowledged stays, what was begun is finished, nothing is half."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from journeys.daemon_process import DaemonProcess, equity_adds_up, held_and_quiet, positions

KILLS = int(os.environ.get("HEDGEGRIDD_KILLS", "30"))
STRIDE = 1 if KILLS >= 200 else 4  # of the steps of an activation
Home = Callable[..., DaemonProcess]


def test_at_random_moments_while_trading_at_full_speed(home: Home) -> None:
    daemon, draw = home(minutes=2_000 * KILLS), random.Random(KILLS)
    acknowledged = ""
    for number in range(KILLS):
        daemon.start(ready=draw.random() < 0.7)
        time.sleep(draw.random() * 0.6)
        if draw.random() < 0.3:
            daemon.wait_ready()
            acknowledged = acknowledged or f"kill {number}"
            assert daemon.call("activate", reason=f"kill {number}")["durable"]
            time.sleep(draw.random() ** 4 * 0.1)
        elif acknowledged and draw.random() < 0.7:
            found = daemon.wait_ready().flat()
            assert (found["kill_switch"]["active"], found["kill_switch"]["reason"]) == (True, acknowledged)
            daemon.call("deactivate", reason="on with it")
            acknowledged = ""
            time.sleep(draw.random() * 0.3)
        daemon.kill()
        if acknowledged:
            assert (daemon.engaged()["active"], daemon.engaged()["reason"]) == (True, acknowledged)
    found = daemon.start().status()
    assert found["kill_switch"]["active"] == bool(acknowledged)
    daemon.call("activate", reason="the end")
    equity_adds_up(daemon.flat())
    assert daemon.stop() == 0
    daemon.sound()
    fills = daemon.fills()
    assert len(fills) > 10 * KILLS
    assert positions(fills) == (0, 0)


# --- every step of an activation ------------------------------------------------------------------------------------------


@pytest.fixture
def held(home: Home) -> DaemonProcess:
    """A home whose daemon was killed with both legs held: every test of a step begins with a copy of it."""
    daemon = held_and_quiet(home(minutes=3_000))
    daemon.kill()
    return daemon


def lived_in(home: Home, held: DaemonProcess, name: str) -> DaemonProcess:
    """A new home with the same account, its daemon running in a market that stands still."""
    daemon = home(feed=held.home / "BTCUSDT-1m.csv", name=name)
    shutil.copytree(held.state, daemon.state)
    return daemon.start(speed="1")


def written(daemon: DaemonProcess) -> int:
    """Bytes in the newest segments of the journal."""
    return sum(path.stat().st_size for path in daemon.journal.glob("*.jsonl"))


class Order:
    """`activate` sent, its answer not waited for."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.line = socket.socket(socket.AF_UNIX)
        self.line.connect(str(daemon.socket))
        frame = {"jsonrpc": "2.0", "id": 1, "method": "activate", "params": {"reason": "the test"}}
        self.line.sendall(json.dumps(frame).encode() + b"\n")

    def acknowledged(self) -> bool:
        """Whether an answer had come before the daemon died."""
        self.line.settimeout(5)
        try:
            said = self.line.recv(65_536)
        except OSError:
            said = b""
        self.line.close()
        return b'"durable": true' in said


def judge(daemon: DaemonProcess, acknowledged: bool) -> bool:
    """After the kill: acknowledged is still active; not acknowledged is latched or absent; whatever it is, nothing is half."""
    found = daemon.start(speed="1").status()
    active = found["kill_switch"]["active"]
    assert active or not acknowledged
    if active:
        found = daemon.flat()
        assert found["kill_switch"]["reason"] == "the test"
    else:
        row = found["instruments"][0]
        assert row["long"]["qty"] and row["short"]["qty"], "something was closed that nobody ordered"
    equity_adds_up(found)
    daemon.kill()
    daemon.sound()
    assert (positions(daemon.fills()) == (0, 0)) == active
    return bool(active)


def test_after_every_record_of_an_activation(home: Home, held: DaemonProcess) -> None:
    """The test watches the journal grow and kills after so many bytes of it."""
    whole = lived_in(home, held, "whole")
    before = written(whole)
    whole.call("activate", reason="the test")
    whole.flat()
    size = written(whole) - before
    whole.kill()
    outcomes = set()
    for number in range(0, 49, STRIDE):
        daemon = lived_in(home, held, f"step{number}")
        line = written(daemon) + size * number // 48
        order = Order(daemon)
        end = time.monotonic() + 2
        while number and written(daemon) < line and time.monotonic() < end:
            pass
        daemon.kill()
        acknowledged = order.acknowledged()
        outcomes.add((acknowledged, judge(daemon, acknowledged)))
    assert (False, True) in outcomes or (True, True) in outcomes


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, to kill at a system call")
@pytest.mark.parametrize("call", ["write", "fdatasync", "fsync", "rename", "openat", "sendto"])
def test_at_every_system_call_of_an_activation(home: Home, held: DaemonProcess, call: str, tmp_path: Path) -> None:
    """The kernel's tracer kills the daemon on its way into the n-th call since the order came; in each of its threads."""
    number = 1
    while number < 200:
        daemon = lived_in(home, held, f"{call}{number}")
        tracer = trace(daemon, f"inject={call}:signal=SIGKILL:when={number}", tmp_path / "trace")
        order = Order(daemon)
        survived = not dies(daemon, 1.0)
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
        if survived:
            daemon.kill()
        else:
            daemon.ended()
        acknowledged = order.acknowledged()
        active = judge(daemon, acknowledged)
        if survived:
            assert acknowledged
            assert active
            return
        number += STRIDE if call in ("write", "openat") else 1
    raise AssertionError(f"more than {number} {call} in one activation")


def trace(daemon: DaemonProcess, what: str, path: Path) -> "subprocess.Popen[bytes]":
    """strace on every thread of the daemon; returns once it holds them."""
    words = ["strace", "-f", "-qq", "-o", str(path), "-e", f"trace={what.split('=')[1].split(':')[0]}", "-e", what, "-p", str(daemon.pid)]
    tracer = subprocess.Popen(words, stderr=subprocess.PIPE)
    end = time.monotonic() + 5
    tasks = Path(f"/proc/{daemon.pid}/task")
    while not all("TracerPid:\t0" not in (task / "status").read_text() for task in tasks.iterdir()):
        if tracer.poll() is not None:
            assert tracer.stderr is not None
            pytest.skip(f"strace may not trace here: {tracer.stderr.read().decode()[:200]}")
        assert time.monotonic() < end
        time.sleep(0.01)
    return tracer


def dies(daemon: DaemonProcess, seconds: float) -> bool:
    """Whether it died before it was flat and quiet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not daemon.runs:
            return True
        time.sleep(0.005)
    return not daemon.runs
