"""A full disk: nothing new is opened, `activate` closes all the same and says that it is not durable; with room again all is well."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from journeys.daemon_process import PATIENCE_SECONDS, DaemonProcess, held, held_and_quiet, positions

from hedgegridd.control.client import Unreachable
from hedgegridd.journal.segments import sum_of

Home = Callable[..., DaemonProcess]


class SmallDisk:
    """A file system of 4 MB under the state directory, filled by a file that can be taken away."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.filler = daemon.state / "filler"

    def fill(self) -> None:
        with self.filler.open("wb", buffering=0) as file:
            for size in (65_536, 4_096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue

    def free(self) -> None:
        self.filler.unlink()


class FileLimit:
    """The kernel refuses the daemon every longer file: what any user can do to a process of his own."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self.daemon = daemon

    def fill(self) -> None:
        resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def free(self) -> None:
        if self.daemon.runs:
            resource.prlimit(self.daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


Disk = SmallDisk | FileLimit


@pytest.fixture(params=["small disk", "file limit"])
def house(request: pytest.FixtureRequest, home: Home, tmp_path: Path) -> Iterator[tuple[DaemonProcess, Disk]]:
    """A daemon with both legs held, and a disk that can be filled."""
    daemon = home(minutes=9_000)
    if request.param == "file limit":
        held_and_quiet(daemon)
        yield daemon, FileLimit(daemon)
        return
    daemon.state.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "hedgegridd-test", str(daemon.state)], check=False, capture_output=True
    )
    if os.geteuid() != 0 or mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        held_and_quiet(daemon)
        yield daemon, SmallDisk(daemon)
    finally:
        daemon.clean_up()
        subprocess.run(["umount", str(daemon.state)], check=True)


def test_activate_flattens_all_the_same_and_says_not_durable(house: tuple[DaemonProcess, Disk]) -> None:
    """The row "the disk is full or fails" of what dies and what still protects."""
    daemon, disk = house
    disk.fill()
    begun = time.monotonic()
    said = daemon.call("activate", reason="before the disk")
    assert said["durable"] is False, said
    assert "NOT durable" in said["warning"]
    found = daemon.flat()
    assert time.monotonic() - begun < 15
    assert not found["kill_switch"]["durable"]
    assert any("NOT durable" in text for text in found["degraded"])
    assert any("journal cannot be written" in text for text in found["degraded"])
    disk.free()
    found = daemon.until(lambda status: status["kill_switch"]["durable"] and not status["degraded"])
    assert daemon.engaged()["active"]
    assert daemon.engaged()["reason"] == "before the disk"
    daemon.kill()
    daemon.sound()
    assert positions(daemon.fills()) == (0, 0)
    found = daemon.start(speed="1").flat()["kill_switch"]
    assert (found["active"], found["reason"], found["durable"]) == (True, "before the disk", True)


def test_the_command_line_says_it_too(house: tuple[DaemonProcess, Disk]) -> None:
    daemon, disk = house
    disk.fill()
    done = daemon.ctl("activate", "--reason", "x")
    assert (done.returncode, "NOT durable" in done.stderr, "flat" in done.stdout) == (0, True, True), done
    disk.free()


def test_killed_while_the_disk_is_full_it_starts_again_and_knows_what_it_can(house: tuple[DaemonProcess, Disk]) -> None:
    daemon, disk = house
    disk.fill()
    daemon.call("activate", reason="not durable")
    daemon.flat()
    daemon.kill()  # nothing of it was written, and that is what it said
    disk.free()
    daemon.start(speed="1")
    daemon.call("activate", reason="durable")
    daemon.flat()
    daemon.until(lambda status: status["kill_switch"]["durable"])
    assert daemon.stop() == 0
    daemon.sound()
    assert positions(daemon.fills()) == (0, 0)


def test_no_opener_leaves_while_the_disk_is_full_and_trading_goes_on_after(house: tuple[DaemonProcess, Disk]) -> None:
    daemon, disk = house
    daemon.kill()
    daemon.start(speed="3000")
    disk.fill()
    found = daemon.until(lambda status: any("journal cannot be written" in text for text in status["degraded"]))
    assert "journal cannot be written" in found["hold"]
    daemon.until(lambda status: not any(sum(row["ladders"].values()) for row in status["instruments"]))
    time.sleep(0.5)
    assert not any(order["role"] == "entry" for order in daemon.call("orders")["orders"])
    disk.free()
    daemon.until(lambda status: not status["degraded"] and sum(status["instruments"][0]["ladders"].values()) > 0)
    daemon.call("activate", reason="enough")
    daemon.flat()
    daemon.until(lambda status: status["kill_switch"]["durable"])
    assert daemon.stop() == 0
    daemon.sound()
    assert positions(daemon.fills()) == (0, 0)


@pytest.mark.parametrize("house", ["small disk"], indirect=True)  # a limit of one process would not outlive it
def test_a_start_on_a_full_disk_is_refused_or_holds_what_it_has(house: tuple[DaemonProcess, Disk]) -> None:
    daemon, disk = house
    daemon.call("activate", reason="kept")
    daemon.kill()
    disk.fill()
    daemon.start(ready=False, speed="1")
    if came_up(daemon):
        assert daemon.flat()["kill_switch"]["reason"] == "kept"
    else:
        assert daemon.ended() in (1, 78), daemon.log[-2000:]
    assert daemon.engaged()["active"]
    daemon.clean_up()
    disk.free()
    assert daemon.start(speed="1").flat()["kill_switch"]["reason"] == "kept"


def came_up(daemon: DaemonProcess) -> bool:
    """Whether it answers, or else has ended: it is waited for until it has done one of both."""
    end = time.monotonic() + PATIENCE_SECONDS
    while daemon.runs:
        assert time.monotonic() < end, daemon.log[-2000:]
        with suppress(Unreachable):
            if daemon.status()["ready"]:
                return True
        time.sleep(0.05)
    return False


def test_what_cannot_be_compressed_or_pruned_is_told(home: Home) -> None:
    """Or the disk fills, and nobody knows why."""
    daemon = home(50)
    daemon.start()
    assert daemon.stop() == 0
    first = min(daemon.journal.glob("inputs-*.jsonl"))
    sum_of(daemon.journal / f"{first.name}.gz").mkdir()  # in the way of what belongs to the archive
    daemon.start()
    daemon.until(lambda found: any("compressed or pruned" in text for text in found["degraded"]))
    assert daemon.stop() == 0


@pytest.mark.parametrize("how", ["folder", "pipe"])
def test_a_segment_that_is_no_file_any_more_halts_and_what_cannot_be_tidied_is_told(home: Home, how: str) -> None:
    daemon = held(home(minutes=3_000))
    newest = max(daemon.journal.glob("inputs-*.jsonl"))
    newest.unlink()
    newest.mkdir() if how == "folder" else os.mkfifo(newest)  # nobody will ever write into it
    daemon.start(speed="1")
    found = daemon.until(lambda status: any("compressed or pruned" in text for text in status["degraded"]))
    assert found["kill_switch"]["active"] and newest.name in found["kill_switch"]["reason"]
    assert daemon.call("activate", reason="out", level="flatten")["durable"]
    daemon.flat()
    assert daemon.stop() == 0
