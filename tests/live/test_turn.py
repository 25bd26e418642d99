"""A start under a service manager waits for whoever has the account."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from hedgegridd.errors import AlreadyRunning
from hedgegridd.journal import Journal
from hedgegridd.live.turn import in_turn


def opened(folder: Path) -> Journal:
    """The journal there, held by this object alone."""
    journal = Journal(folder)
    journal.open()
    return journal


def test_a_person_is_told_at_once(tmp_path: Path) -> None:
    first = opened(tmp_path / "journal")
    with pytest.raises(AlreadyRunning):
        asyncio.run(in_turn(lambda: opened(tmp_path / "journal"), {}, 60.0))
    first.close()


def test_under_a_manager_it_waits_and_asks_for_time(tmp_path: Path) -> None:
    async def test() -> None:
        first, begun = opened(tmp_path / "journal"), asyncio.get_running_loop().time()
        asyncio.get_running_loop().call_later(0.5, first.close)
        (await in_turn(lambda: opened(tmp_path / "journal"), env, 60.0)).close()
        assert asyncio.get_running_loop().time() - begun >= 0.5

    env = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(env["NOTIFY_SOCKET"])
        asyncio.run(test())
        assert manager.recv(4096).startswith(b"STATUS=waiting") and manager.recv(4096).startswith(b"EXTEND_TIMEOUT_USEC=")


def test_it_does_not_wait_for_ever(tmp_path: Path) -> None:
    first, env = opened(tmp_path / "journal"), {"NOTIFY_SOCKET": str(tmp_path / "notify")}
    with pytest.raises(AlreadyRunning):
        asyncio.run(in_turn(lambda: opened(tmp_path / "journal"), env, 0.3))
    first.close()
