"""What became of each alert is kept, small and without secrets, and costs no delivery whatever the disk does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hedgegridd.live import deliveries, log
from hedgegridd.live.alerts import Alerts, Pace
from hedgegridd.live.deliveries import DELIVERED, FAILED, GIVEN_UP, MOST_BYTES, QUEUED, Deliveries, read, told
from hedgegridd.model import Severity
from hedgegridd.views import Alert

QUICK = Pace(first_seconds=0.005, longest_seconds=0.01)


class Channel:
    """Refuses as often as it is told to, then takes everything."""

    def __init__(self, name: str = "pager", refusals: int = 0) -> None:
        self.name, self.refusals, self.heard = name, refusals, list[str]()

    def send(self, alert: Alert) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError("the line with token s3cret-token is down")
        self.heard.append(alert.title)


def alert(title: str = "Kill switch engaged", moment: int = 1_000) -> Alert:
    return Alert(moment, Severity.CRITICAL, "kill", title, "the text is not kept", {})


def until(done: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


def test_a_delivery_is_told_with_its_times(tmp_path: Path) -> None:
    alerts = Alerts(tmp_path, [Channel("one"), Channel("two")], wall=lambda: 1_700_000_000.25)
    alerts.put(alert())
    until(lambda: alerts.counts()["sent"] == 2)
    alerts.close()
    found = told(tmp_path, 0, None)
    assert found is not None and [one["channel"] for one in found] == ["one", "two"]
    for one in found:
        assert (one["state"], one["queued_at"], one["delivered_at"], one["given_up_at"]) == (
            DELIVERED,
            1_700_000_000_250,
            1_700_000_000_250,
            None,
        )
        assert (one["title"], one["severity"], one["rule"], one["time"]) == ("Kill switch engaged", "CRITICAL", "kill", 1_000)
    assert "the text is not kept" not in (tmp_path / "one.deliveries.jsonl").read_text()


def test_a_failure_is_told_without_its_secret_and_the_delivery_after_it_counts(tmp_path: Path) -> None:
    log.setup("INFO", ["s3cret-token"])
    alerts = Alerts(tmp_path, [Channel(refusals=2)], pace=QUICK)
    alerts.put(alert())
    until(lambda: alerts.counts()["sent"])
    alerts.close()
    found = told(tmp_path, 0, None)
    assert found is not None
    (one,) = found
    assert (one["state"], one["failures_noted"]) == (DELIVERED, 1) and "is down" in one["error"]
    assert "s3cret" not in (tmp_path / "pager.deliveries.jsonl").read_text()


def test_what_is_given_up_says_why(tmp_path: Path) -> None:
    alerts = Alerts(tmp_path, [Channel(refusals=10**6)], pace=QUICK._replace(max_queued=1))
    alerts.put(alert("first"))
    alerts.put(alert("second"))
    until(lambda: alerts.counts()["undelivered"])
    alerts.close(0.1)
    states = {one["title"]: one["state"] for one in told(tmp_path, 0, None) or ()}
    assert states["second"] == GIVEN_UP and states["first"] in (QUEUED, FAILED)
    (lost,) = [one for one in told(tmp_path, 0, None) or () if one["title"] == "second"]
    assert "more than 1 are waiting" in lost["error"] and lost["given_up_at"]


def test_only_the_time_asked_for_is_told(tmp_path: Path) -> None:
    rows = Deliveries(tmp_path, "pager")
    for moment in (10, 20, 30):
        rows.note(1.0, QUEUED, f"{moment}.json", alert(moment=moment))
    assert [one["time"] for one in told(tmp_path, 15, 25) or ()] == [20]
    assert [one["time"] for one in told(tmp_path, 15, None) or ()] == [20, 30]
    assert told(tmp_path / "nobody", 0, None) is None


def test_it_stays_small_and_keeps_the_newest(tmp_path: Path) -> None:
    rows = Deliveries(tmp_path, "pager")
    for at in range(9_000):
        rows.note(float(at), QUEUED, f"{at}.json", alert("t" * 250))
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) == 2 and all(size <= MOST_BYTES for size in sizes) and sum(sizes) > MOST_BYTES
    found = (read(tmp_path) or {})["pager"]
    assert found[-1].file == "8999.json" and [row.at for row in found] == sorted(row.at for row in found)


def test_many_threads_lose_no_row_and_throw_no_file_away(tmp_path: Path) -> None:
    rows = Deliveries(tmp_path, "pager")

    def write(thread: int) -> None:
        for at in range(1_500):
            rows.note(0.0, QUEUED, f"{thread}-{at}", alert("t" * 100))

    threads = [threading.Thread(target=write, args=(at,)) for at in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len((read(tmp_path) or {})["pager"]) == 6_000


def test_a_disk_that_refuses_costs_the_row_and_no_delivery(tmp_path: Path) -> None:
    (tmp_path / "pager.deliveries.jsonl").mkdir()  # whatever is opened there fails, also for root
    channel = Channel()
    alerts = Alerts(tmp_path, [channel])
    alerts.put(alert())
    until(lambda: channel.heard)
    alerts.close()
    assert alerts.counts() == {"sent": 1, "queued": 0, "undelivered": 0}


def test_a_torn_or_strange_row_is_passed_over(tmp_path: Path) -> None:
    rows = Deliveries(tmp_path, "pager")
    rows.note(1.0, QUEUED, "a.json", alert())
    with (tmp_path / "pager.deliveries.jsonl").open("a") as file:
        file.write('[1, "del\n{"a": 1}\n["x", "queued", "f", "y", "", "", ""]\n[]\n')
    rows.note(2.0, DELIVERED, "a.json", alert())
    assert [row.what for row in (read(tmp_path) or {})["pager"]] == [QUEUED, DELIVERED]


def test_a_channels_queue_is_not_disturbed_by_the_rows(tmp_path: Path) -> None:
    Deliveries(tmp_path, "pager").note(1.0, QUEUED, "a.json", alert())
    channel = Channel()
    alerts = Alerts(tmp_path, [channel])
    alerts.close()
    assert alerts.counts()["undelivered"] == 0 and not channel.heard
    assert deliveries.ENDING.startswith(".")  # a channel's name has no dot: no folder of one can stand in its way


def test_a_pipe_in_the_place_of_the_rows_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pager.deliveries.jsonl")
    pager = Channel()
    alerts = Alerts(tmp_path, [pager])
    alerts.put(alert())
    until(lambda: pager.heard)
    alerts.close()
    assert read(tmp_path) == {"pager": []}
