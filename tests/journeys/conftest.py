"""What the journeys share: homes for daemons, none of which outlives its test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from journeys.daemon_process import KEPT, DaemonProcess, settings, wave


@pytest.fixture(scope="session", autouse=True)
def kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A place for the account with both legs held that many journeys begin with."""
    KEPT[:] = [tmp_path_factory.mktemp("held") / "state"]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Callable[..., DaemonProcess]]:
    """Make a daemon's home: `home(minutes=..., name=..., **tables)`; `minutes` of a swinging market, 0 = the synthetic one."""
    made: list[DaemonProcess] = []

    def make(minutes: int = 0, name: str = "d", feed: Path | None = None, state: Path | None = None, **tables: Any) -> DaemonProcess:
        folder = tmp_path / name
        feed = wave(folder, minutes) if minutes else feed
        made.append(DaemonProcess(folder, settings(feed, **tables), state=state))
        return made[-1]

    yield make
    for daemon in made:
        daemon.clean_up()
