"""What the shell measures of machine and lines, and when it is worth an event."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hedgegridd.heart.effects import Place, Sync
from hedgegridd.hookspecs import Health
from hedgegridd.live.disk import Disk
from hedgegridd.live.vitals import Gauges
from hedgegridd.model import Accepted, Cancelled, Ended, Order, Unsure

SOUND = Health(True, (), 12.0, 3.0, 80.0, 50, 2)


class Shell:
    """As much of a daemon as is measured."""

    def __init__(self) -> None:
        self.state, self.rows, self.channels_ = SOUND, list[dict[str, Any]](), list[dict[str, Any]]()
        self.lags, self.inbox, self.urgent = deque([1.0, 40.0, 2.0]), deque([1, 2]), deque([3])
        self.source = SimpleNamespace(health=lambda: self.state)
        self.disk = SimpleNamespace(slowest_ms=lambda seconds: 7.0, behind=4)
        self.hosts, self.alerts = SimpleNamespace(rows=lambda: self.rows), SimpleNamespace(channels=lambda: self.channels_)
        self.open: dict[str, Order] = {}
        self.engine = SimpleNamespace(desks={"BTCUSDT": SimpleNamespace(orders=SimpleNamespace(open=self.open))})

    def place(self, gauges: Gauges, *names: str) -> None:
        orders = [Order(name, "BTCUSDT", 0, 0, 1, 100, 1) for name in names]
        self.open.update({order.client_id: order for order in orders})
        gauges.note(None, [Place(tuple(orders))])


@pytest.fixture
def shell() -> Shell:
    return Shell()


@pytest.fixture
def gauges(shell: Shell, tmp_path: Path) -> Gauges:
    return Gauges(shell, tmp_path)  # type: ignore[arg-type]


def test_every_figure_is_what_its_source_says(gauges: Gauges) -> None:
    found = gauges.measure(5, 6)
    assert found[:5] == (5, 6, 40.0, 7.0, 7)
    assert (found.api_latency_ms, found.requests_1m, found.errors_1m, found.clock_offset_ms) == (80.0, 50, 2, 12.0)
    assert found.disk_used_pct is not None and found.memory_used_pct is not None
    assert 0 < found.disk_used_pct < 100 and 0 < found.memory_used_pct < 100
    assert (found.order_latency_ms, found.breaks_1h, found.unresponsive_seconds, found.unresponsive) == (0.0, 0, 0.0, "")


def test_only_the_last_ten_seconds_of_lag_count(shell: Shell, gauges: Gauges) -> None:
    shell.lags = deque([5000.0] + [1.0] * 40)
    assert gauges.measure(1, 1).loop_lag_ms == 1.0


def test_an_exchange_that_does_not_tell_is_not_known_and_one_that_is_not_asked_is_not_slow(shell: Shell, gauges: Gauges) -> None:
    shell.state = Health(True)
    assert gauges.measure(1, 1)[6:9] == (None, None, None)
    shell.state = SOUND._replace(latency_ms=None, requests_1m=2)
    assert gauges.measure(1, 1)[6:9] == (0.0, 2, 2)


def test_a_disk_that_is_not_there_is_not_known(shell: Shell, tmp_path: Path) -> None:
    assert Gauges(shell, tmp_path / "gone").measure(1, 1).disk_used_pct is None  # type: ignore[arg-type]


def test_orders_without_an_answer_count_as_long_as_they_wait_and_two_slow_ones_do_not(shell: Shell, gauges: Gauges) -> None:
    shell.place(gauges, "a", "b")
    time.sleep(0.05)
    assert gauges.measure(1, 1).order_latency_ms == 0.0
    shell.place(gauges, "c")
    time.sleep(0.05)
    waits = gauges.measure(1, 1).order_latency_ms
    assert waits is not None and 50 <= waits < 5_000
    for name in ("a", "b", "c"):
        gauges.note(Accepted(name, "1", 1) if name != "b" else Unsure(name, 1, "lost"), [])
    answered = gauges.measure(1, 1).order_latency_ms
    assert answered is not None and 50 <= answered <= gauges.measure(1, 1).order_latency_ms + 1  # type: ignore[operator]


def test_an_end_that_is_told_with_others_is_an_answer_too(shell: Shell, gauges: Gauges) -> None:
    shell.place(gauges, "a", "b", "c")
    time.sleep(0.05)
    gauges.note(Ended(1, tuple(Cancelled(name, 1, "cancelled") for name in ("a", "b", "c"))), [])
    answered = gauges.measure(1, 1).order_latency_ms
    time.sleep(0.02)
    assert answered is not None and answered >= 50 and gauges.measure(1, 1).order_latency_ms == answered


def test_an_order_that_is_forgotten_waits_no_more(shell: Shell, gauges: Gauges) -> None:
    shell.place(gauges, "a", "b", "c")
    shell.open.clear()
    assert gauges.measure(1, 1).order_latency_ms == 0.0


def test_each_loss_of_the_line_counts_once(shell: Shell, gauges: Gauges) -> None:
    for connected in (False, True, True, False, False, True, False):
        shell.state = SOUND._replace(connected=connected)
        found = gauges.measure(1, 1)
    assert found.breaks_1h == 2


def test_what_does_not_work_is_named_with_how_long(shell: Shell, gauges: Gauges) -> None:
    shell.rows = [{"file": "x.py", "state": "loaded"}, {"file": "y.py", "state": "quarantined"}]
    assert gauges.measure(1, 1).unresponsive == "plugin y.py"
    time.sleep(0.06)
    shell.channels_ = [{"name": "slack", "error": "down", "queued": 3}, {"name": "log", "error": "", "queued": 0}]
    found = gauges.measure(1, 1)
    assert found.unresponsive == "plugin y.py" and 0.1 <= (found.unresponsive_seconds or 0.0) < 5.0
    shell.rows = []
    assert gauges.measure(1, 1).unresponsive == "alert channel slack"


def test_much_the_same_is_said_once_and_a_change_at_once(shell: Shell, gauges: Gauges) -> None:
    shell.source.health = lambda: SOUND
    assert gauges.look(1, 1) is not None
    shell.lags = deque([45.0])
    assert gauges.look(2, 2) is None
    shell.lags = deque([2100.0])
    said = gauges.look(3, 3)
    assert said is not None and said.loop_lag_ms == 2100.0
    gauges._said_at -= 10
    assert gauges.look(4, 4) is not None


# --- the disk -------------------------------------------------------------------------------------------------------------


class SlowJournal:
    """A journal on a disk that takes its time."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def sync(self) -> None:
        self.go.wait(10)


def test_a_write_under_way_counts_as_long_as_it_takes_and_is_forgotten_later() -> None:
    async def play() -> tuple[float, float, float, float]:
        journal, over = SlowJournal(), asyncio.Event()
        disk = Disk(journal, None, lambda why: None, lambda mark, failure: over.set())
        before = disk.slowest_ms(10)
        disk.sync(Sync(1, None, False))
        await asyncio.sleep(0.1)
        under_way = disk.slowest_ms(10)
        journal.go.set()
        await over.wait()
        after, later = disk.slowest_ms(10), disk.slowest_ms(-1)
        await disk.close()
        return before, under_way, after, later

    before, under_way, after, later = asyncio.run(play())
    assert before == 0.0 and 100 <= under_way <= after and later == 0.0
