"""The service manager hears what it needs, on real sockets, and a daemon without one works too."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hedgegridd.live.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.settimeout(20)
        yield server


def _notifier(server: socket.socket, **environ: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": server.getsockname(), **environ})


def _heard(server: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in server.recv(4096).decode().split("\n"))


def test_the_words_of_the_protocol(manager: socket.socket) -> None:
    notifier = _notifier(manager)
    assert notifier.ready("paper,\nflat")
    assert _heard(manager) == {"READY": "1", "STATUS": "paper, flat"}
    assert notifier.status("warm-up")
    assert _heard(manager) == {"STATUS": "warm-up"}
    assert notifier.stopping("flattening")
    assert _heard(manager) == {"STOPPING": "1", "STATUS": "flattening"}
    assert notifier.extend_timeout(2.5)
    assert _heard(manager) == {"EXTEND_TIMEOUT_USEC": "2500000"}
    notifier.close()
    assert not notifier.ready()


def test_reloading_carries_the_monotonic_clock(manager: socket.socket) -> None:
    notifier = _notifier(manager)
    before = time.monotonic_ns() // 1000
    assert notifier.reloading()
    heard = _heard(manager)
    assert heard["RELOADING"] == "1"
    assert before <= int(heard["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    notifier.close()


def test_the_beat_is_sent_four_times_per_interval_however_often_the_loop_turns(manager: socket.socket) -> None:
    notifier = _notifier(manager, WATCHDOG_USEC="8000000", WATCHDOG_PID=str(os.getpid()))
    assert notifier.watchdog_seconds == 8.0
    assert [notifier.watchdog() for _ in range(100)] == [True] + [False] * 99
    assert _heard(manager) == {"WATCHDOG": "1"}
    notifier.close()


def test_a_beat_asked_of_another_process_is_not_ours(manager: socket.socket) -> None:
    notifier = _notifier(manager, WATCHDOG_USEC="8000000", WATCHDOG_PID="1")
    assert notifier.watchdog_seconds == 0.0
    assert not notifier.watchdog()
    notifier.close()


def test_an_abstract_socket_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"\0hedgegridd-test-{os.getpid()}")
        server.settimeout(20)
        notifier = Notifier({"NOTIFY_SOCKET": f"@hedgegridd-test-{os.getpid()}"})
        assert notifier.ready()
        assert _heard(server) == {"READY": "1"}
        notifier.close()


def test_no_manager_no_trouble(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        notifier = Notifier(environ)
        assert not notifier.ready("x") and not notifier.watchdog() and not notifier.stopping()
        notifier.close()


def test_a_manager_that_does_not_read_stops_no_beat_for_long(manager: socket.socket) -> None:
    notifier = _notifier(manager)
    while notifier.status("x"):
        pass
    began = time.monotonic()
    assert not notifier.status("y")
    assert time.monotonic() - began < 5.0
    notifier.close()
