"""No alert is lost by an outage, a crash or a hang, and nobody waits for a channel. Hand-written channels, real files and processes."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loguru import logger

from hedgegridd.errors import PluginError
from hedgegridd.heart import notices
from hedgegridd.live import log
from hedgegridd.live.alerts import Alerts, Pace, decode, encode
from hedgegridd.model import Severity
from hedgegridd.views import Alert

QUICK = Pace(first_seconds=0.01, longest_seconds=0.05)


class Recorder:
    """A channel that remembers; while `broken` it refuses, while `gate` is closed it hangs."""

    def __init__(self, name: str = "good") -> None:
        self.name = name
        self.heard: list[str] = []
        self.tries: list[str] = []
        self.broken: Callable[[Alert], BaseException | None] = lambda alert: None
        self.gate = threading.Event()
        self.gate.set()

    def send(self, alert: Alert) -> None:
        self.tries.append(alert.title)
        self.gate.wait(30)
        if error := self.broken(alert):
            raise error
        self.heard.append(alert.title)


def _alert(title: str, severity: Severity = Severity.WARNING) -> Alert:
    return Alert(1, severity, "state_change", title, "Time: then", {"symbol": "BTCUSDT"})


def _until(done: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def told() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logger.remove()
    sink = logger.add(stream, format="{level} {message}")
    yield stream
    logger.remove(sink)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.json"))


def test_what_is_put_is_delivered_and_its_file_removed(tmp_path: Path) -> None:
    one, two = Recorder("one"), Recorder("two")
    alerts = Alerts(tmp_path, [one, two])
    alerts.put(_alert("a"))
    _until(lambda: alerts.counts() == {"sent": 2, "queued": 0, "undelivered": 0})
    assert one.heard == two.heard == ["a"]
    alerts.close()
    assert not _files(tmp_path)


def test_only_the_owner_may_read_the_spool(tmp_path: Path) -> None:
    channel = Recorder()
    channel.gate.clear()
    alerts = Alerts(tmp_path / "alerts", [channel])
    alerts.put(_alert("a"))
    (file,) = _files(tmp_path)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    channel.gate.set()
    alerts.close()


def test_an_outage_loses_nothing_and_the_loudest_goes_first(tmp_path: Path) -> None:
    channel = Recorder()
    channel.broken = lambda alert: ConnectionError("down")
    alerts = Alerts(tmp_path, [channel], pace=QUICK)
    for n in range(5):
        alerts.put(_alert(f"info {n}", Severity.INFO))
    alerts.put(_alert("kill", Severity.CRITICAL))
    _until(lambda: len(channel.tries) > 8)
    assert alerts.counts() == {"sent": 0, "queued": 6, "undelivered": 0}
    assert alerts.channels()[0]["error"] == "ConnectionError: down"
    channel.broken = lambda alert: None
    _until(lambda: alerts.counts()["sent"] == 6)
    assert sorted(channel.heard) == ["info 0", "info 1", "info 2", "info 3", "info 4", "kill"]
    assert "kill" in channel.heard[:2]  # at once, or right after the one whose try found the channel mended
    assert alerts.channels()[0]["error"] == ""
    alerts.close()


def test_an_alert_the_channel_never_takes_does_not_block_the_rest(tmp_path: Path) -> None:
    channel = Recorder()
    channel.broken = lambda alert: ValueError("400") if alert.title == "poison" else None
    alerts = Alerts(tmp_path, [channel], pace=QUICK)
    alerts.put(_alert("poison", Severity.CRITICAL))
    for n in range(5):
        alerts.put(_alert(str(n)))
    _until(lambda: len(channel.heard) == 5)
    assert alerts.counts()["queued"] == 1
    alerts.close(0.1)


def test_a_hung_channel_delays_neither_put_nor_others(tmp_path: Path) -> None:
    hung, good = Recorder("hung"), Recorder("good")
    hung.gate.clear()
    alerts = Alerts(tmp_path, [hung, good])
    began = time.monotonic()
    for n in range(100):
        alerts.put(_alert(str(n)))
    assert time.monotonic() - began < 5.0
    _until(lambda: len(good.heard) == 100)
    assert good.heard == [str(n) for n in range(100)]
    assert alerts.counts() == {"sent": 100, "queued": 100, "undelivered": 0}
    began = time.monotonic()
    alerts.close(0.2)
    assert time.monotonic() - began < 5.0
    hung.gate.set()


CRASH = """
import sys, time
from pathlib import Path
from hedgegridd.heart import notices
from hedgegridd.live.alerts import Alerts

class Hung:
    name = "good"
    def send(self, alert): time.sleep(600)

alerts = Alerts(Path(sys.argv[1]), [Hung()])
for n in range(20):
    alerts.put(notices.system_error(n, f"error {n}"))
print("put", flush=True)
time.sleep(600)
"""


def test_kill_9_loses_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", CRASH, str(tmp_path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "put\n"
        os.kill(child.pid, signal.SIGKILL)
    channel = Recorder()
    alerts = Alerts(tmp_path, [channel])
    _until(lambda: alerts.counts()["sent"] == 20)
    alerts.close()
    assert not _files(tmp_path)


def test_files_that_are_torn_are_cleared_away_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    (folder / "1.json").write_text("")
    (folder / "2.json").write_text('{"spooled": 1}')
    alerts = Alerts(tmp_path, [Recorder()])
    assert alerts.counts() == {"sent": 0, "queued": 0, "undelivered": 2}
    assert list(folder.iterdir()) == []
    alerts.close()


def test_too_old_is_given_up_counted_and_named(tmp_path: Path, told: io.StringIO) -> None:
    now = [1000.0]
    channel = Recorder()
    channel.broken = lambda alert: ConnectionError("down")
    alerts = Alerts(tmp_path, [channel], pace=QUICK._replace(max_age_seconds=60.0), wall=lambda: now[0])
    alerts.put(_alert("old news"))
    _until(lambda: len(channel.tries) > 1)
    now[0] += 61
    _until(lambda: alerts.counts() == {"sent": 0, "queued": 0, "undelivered": 1})
    alerts.close()
    assert not _files(tmp_path)
    assert "ERROR alert 'old news' was not delivered by good" in told.getvalue()


def test_too_many_gives_up_the_least_important(tmp_path: Path) -> None:
    channel = Recorder()
    channel.gate.clear()
    alerts = Alerts(tmp_path, [channel], pace=Pace(max_queued=3))
    alerts.put(_alert("first", Severity.CRITICAL))
    _until(lambda: channel.tries == ["first"])
    for title in ("a", "b", "c"):
        alerts.put(_alert(title, Severity.INFO))
    alerts.put(_alert("kill", Severity.CRITICAL))
    channel.gate.set()
    _until(lambda: alerts.counts() == {"sent": 3, "queued": 0, "undelivered": 2})
    assert channel.heard == ["first", "kill", "a"]
    alerts.close()


def test_the_least_severity_of_a_channel(tmp_path: Path) -> None:
    all_of_it, loud = Recorder("all"), Recorder("loud")
    alerts = Alerts(tmp_path, [all_of_it, loud], min_severity={"loud": Severity.CRITICAL})
    for severity in Severity:
        alerts.put(_alert(severity.value, severity))
    _until(lambda: alerts.counts()["sent"] == 4)
    assert loud.heard == ["CRITICAL"]
    alerts.close()


def test_a_folder_that_cannot_be_written_silences_nobody(tmp_path: Path, told: io.StringIO) -> None:
    channel = Recorder()
    alerts = Alerts(tmp_path, [channel])
    (tmp_path / "good").rmdir()
    alerts.put(_alert("disk failed"))
    _until(lambda: channel.heard == ["disk failed"])
    assert "in memory only" in told.getvalue()
    alerts.close()


def test_a_channel_that_was_told_to_wait_waits(tmp_path: Path) -> None:
    class LaterError(Exception):
        retry_after = 0.3

    channel = Recorder()
    channel.broken = lambda alert: LaterError() if len(channel.tries) == 1 else None
    alerts = Alerts(tmp_path, [channel], pace=Pace(first_seconds=0.0, longest_seconds=5.0))
    began = time.monotonic()
    alerts.put(_alert("a"))
    _until(lambda: channel.heard == ["a"])
    assert time.monotonic() - began >= 0.3
    alerts.close()


def test_even_an_exit_in_a_channel_is_only_a_failure(tmp_path: Path) -> None:
    channel = Recorder()
    channel.broken = lambda alert: SystemExit(1) if len(channel.tries) == 1 else None
    alerts = Alerts(tmp_path, [channel], pace=QUICK)
    alerts.put(_alert("a"))
    _until(lambda: channel.heard == ["a"])
    alerts.close()


def test_a_secret_in_a_channels_error_is_masked(tmp_path: Path, told: io.StringIO) -> None:
    log.register(["tok-123456"])
    channel = Recorder()
    channel.broken = lambda alert: ConnectionError("https://api/bottok-123456/send")
    alerts = Alerts(tmp_path, [channel], pace=QUICK)
    alerts.put(_alert("a"))
    _until(lambda: bool(alerts.channels()[0]["error"]))
    assert "tok-123456" not in str(alerts.channels()) and "tok-123456" not in str(alerts.test())
    alerts.close()
    log.register([])
    assert "tok-123456" not in told.getvalue() and "***" in told.getvalue()


def test_the_test_proves_each_channel(tmp_path: Path) -> None:
    good, bad, hung = Recorder("good"), Recorder("bad"), Recorder("hung")
    bad.broken = lambda alert: ConnectionError("down")
    hung.gate.clear()
    alerts = Alerts(tmp_path, [good, bad, hung], min_severity={"good": Severity.CRITICAL})
    results = alerts.test(timeout=1.0)
    assert good.heard == [notices.test(0).title]
    assert {name: row["ok"] for name, row in results.items()} == {"good": True, "bad": False, "hung": False}
    assert results["bad"]["error"] == "ConnectionError: down"
    assert "has not returned for 1 s" in results["hung"]["error"]
    assert alerts.counts()["queued"] == 0
    hung.gate.set()
    alerts.close()


def test_closing_sends_what_can_be_sent_and_keeps_the_rest(tmp_path: Path) -> None:
    good, bad = Recorder("good"), Recorder("bad")
    bad.broken = lambda alert: ConnectionError("down")
    alerts = Alerts(tmp_path, [good, bad])
    for n in range(20):
        alerts.put(_alert(str(n)))
    alerts.close(60.0)
    assert len(good.heard) == 20
    assert [file.parent.name for file in _files(tmp_path)] == ["bad"] * 20


def test_a_channel_added_later_takes_up_what_its_predecessor_left(tmp_path: Path) -> None:
    bad, good = Recorder("chat"), Recorder("chat")
    bad.broken = lambda alert: ConnectionError("down")
    alerts = Alerts(tmp_path, [bad])
    alerts.put(_alert("a"))
    _until(lambda: len(bad.tries) == 1)
    alerts.add(good)
    _until(lambda: good.heard == ["a"])
    alerts.close()


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "ä"])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PluginError, match="expected letters"):
        Alerts(tmp_path, [Recorder(name)])


@settings(max_examples=50)
@given(
    st.integers(0, 2**45),
    st.sampled_from(Severity),
    st.text(),
    st.text(),
    st.dictionaries(st.text(), st.none() | st.integers() | st.text()),
)
def test_a_spool_file_gives_back_what_was_put(time: int, severity: Severity, title: str, text: str, fields: dict[str, object]) -> None:
    alert = Alert(time, severity, "fill", title, text, fields)
    assert decode(encode(alert, 12.5)) == (alert, 12.5)


def _no_folder(path: Path) -> None:
    path.write_text("a file")


def _a_link_to_nowhere(path: Path) -> None:
    path.symlink_to("/nowhere/at/all")


@pytest.mark.parametrize("spoil", [_no_folder, _a_link_to_nowhere])
@pytest.mark.parametrize("what", ["alerts", "alerts/good"])
def test_a_folder_that_cannot_be_used_is_said_and_stops_neither_the_start_nor_an_alert(
    tmp_path: Path, told: io.StringIO, what: str, spoil: Callable[[Path], None]
) -> None:
    (tmp_path / what).parent.mkdir(exist_ok=True)
    spoil(tmp_path / what)
    channel = Recorder()
    alerts = Alerts(tmp_path / "alerts", [channel])
    alerts.put(_alert("a"))
    _until(lambda: channel.heard == ["a"])
    alerts.close()
    assert "alerts for good are kept in memory only" in told.getvalue()


def test_what_lies_in_the_spool_and_is_no_alert_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "good"
    (folder / "1-folder.json").mkdir(parents=True)
    os.mkfifo(folder / "2-pipe.json")  # nobody will ever write into it
    (folder / "3-deep.json").write_text("[" * 100_000)
    (folder / "4-bytes.json").write_bytes(b"\xff\x00" * 50)
    (folder / "5-good.json").write_text(encode(_alert("left over"), time.time()))
    channel = Recorder()
    alerts = Alerts(tmp_path, [channel])
    _until(lambda: channel.heard == ["left over"])
    assert alerts.counts()["undelivered"] == 4
    alerts.close()
    assert [path.name for path in folder.iterdir()] == ["1-folder.json"], "a folder is left to who made it"
