"""kill -9, whenever it may come: what was acknowledged stays, what was begun is finished, nothing is half."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from journeys.daemon_process import PATIENCE_SECONDS, DaemonProcess, equity_adds_up, held_and_quiet, positions, written

KILLS = int(os.environ.get("HEDGEGRIDD_KILLS", "30"))
STRIDE = 1 if KILLS >= 200 else 6  # of 48 places in the journal's growth
STEPS = {"write": 14, "fdatasync": 2, "fsync": 3, "rename": 1, "openat": 5, "sendto": 3}  # every so many, unless all are asked for
Home = Callable[..., DaemonProcess]


def test_at_random_moments_while_trading_at_full_speed(home: Home) -> None:
    daemon, draw = home(minutes=2_000 * KILLS), random.Random(KILLS)
    acknowledged = ""
    for number in range(KILLS):
        daemon.start(ready=draw.random() < 0.7, speed="60000")
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
    assert len(fills) > KILLS  # how many there is time for between two kills is the machine's affair
    assert positions(fills) == (0, 0)


# --- every step of an activation ------------------------------------------------------------------------------------------


class Order:
    """`activate` on a line of its own; its answer is not waited for."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.line = socket.socket(socket.AF_UNIX)
        self.line.connect(str(daemon.socket))

    def send(self) -> None:
        frame = {"jsonrpc": "2.0", "id": 1, "method": "activate", "params": {"reason": "the test"}}
        with suppress(OSError):  # it is dead already
            self.line.sendall(json.dumps(frame).encode() + b"\n")

    def acknowledged(self) -> bool:
        """Whether an answer had come before the daemon died."""
        self.line.settimeout(5)
        said = b""
        with suppress(OSError), self.line:
            said = self.line.recv(65_536)
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


def test_after_every_record_of_an_activation(home: Home) -> None:
    """The test watches the journal grow and kills after so many bytes of it."""
    whole = held_and_quiet(home(minutes=3_000, name="whole"))
    before = written(whole)
    whole.call("activate", reason="the test")
    whole.flat()
    size = written(whole) - before
    whole.kill()
    outcomes = set()
    for number in range(0, 49, STRIDE):
        daemon = held_and_quiet(home(minutes=3_000, name=f"step{number}"))
        order, line = Order(daemon), written(daemon) + size * number // 48
        order.send()
        end = time.monotonic() + 2
        while number and written(daemon) < line and time.monotonic() < end:
            pass
        daemon.kill()
        acknowledged = order.acknowledged()
        outcomes.add((acknowledged, judge(daemon, acknowledged)))
    assert (False, True) in outcomes or (True, True) in outcomes


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace, to kill at a system call")
@pytest.mark.parametrize("call", STEPS)
def test_at_every_system_call_of_an_activation(home: Home, call: str, tmp_path: Path) -> None:
    """The kernel's tracer kills the daemon on its way into the n-th call since the order came; in each of its threads."""
    number = 1
    while number < 200:
        daemon = held_and_quiet(home(minutes=3_000, name=f"{call}{number}"))
        order = Order(daemon)
        with traced(daemon, call, number, tmp_path):
            order.send()
            survived = not dies(daemon)
        acknowledged = order.acknowledged()
        daemon.kill()
        active = judge(daemon, acknowledged)
        if survived:  # there is no n-th call: the activation is over
            assert active
            return
        number += STEPS[call] if KILLS < 200 else 1
    raise AssertionError(f"more than {number} {call} in one activation")


@contextmanager
def traced(daemon: DaemonProcess, call: str, number: int, folder: Path) -> Iterator[None]:
    """Under strace, which kills the daemon on the way into the `number`-th such call of a thread."""
    words = ["strace", "-f", "-qq", "-o", str(folder / "trace"), "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={number}"]
    with (folder / "errors").open("wb") as errors:
        tracer = subprocess.Popen([*words, "-p", str(daemon.pid)], stderr=errors)
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while daemon.runs and untraced(daemon):
            if tracer.poll() is not None and daemon.runs:
                pytest.skip(f"strace may not trace here: {(folder / 'errors').read_text()[:200]}")
            assert time.monotonic() < end
            time.sleep(0.005)
        yield
    finally:
        tracer.terminate()
        tracer.wait(10)


def untraced(daemon: DaemonProcess) -> bool:
    """Whether a thread of it has no tracer yet."""
    said = ""
    for path in Path(f"/proc/{daemon.pid}/task").glob("*/status"):
        with suppress(OSError):  # it ended since it was listed
            said += path.read_text()
    return "TracerPid:\t0" in said


def dies(daemon: DaemonProcess, quiet_seconds: float = 0.5) -> bool:
    """Whether it died before it was flat, by its file, and what follows was done: it is not asked, for an answer takes system calls."""
    end = time.monotonic() + PATIENCE_SECONDS
    while daemon.runs and not told_flat(daemon):
        assert time.monotonic() < end, daemon.log[-2000:]
        time.sleep(0.005)
    end = time.monotonic() + quiet_seconds
    while daemon.runs and time.monotonic() < end:
        time.sleep(0.005)
    return not daemon.runs


def told_flat(daemon: DaemonProcess) -> bool:
    """Whether the kill switch file says that the work is done."""
    with suppress(OSError, ValueError, KeyError):
        return bool(daemon.engaged()["phase"] == "flat")
    return False
