"""Alerts on their way to people. One law: an alert that was put is delivered, whatever hangs, dies or restarts meanwhile.

`put` writes one small file per alert and channel and returns; each channel has a thread of its own that sends, and removes the
file when `send` returned. What is left after a crash is sent at the next start, so an alert may come twice but not never: only
one older than `max_age_seconds`, or beyond `max_queued`, is given up, counted and named in the log. Trading never waits here; what
became of each is kept for a while (`deliveries`).
It decides neither what is worth an alert (`heart/notices`) nor how it looks in a channel (the plugin).
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import re
import threading
import time
from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hedgegridd.errors import PluginError
from hedgegridd.heart import notices
from hedgegridd.live import deliveries, log
from hedgegridd.live.deliveries import Deliveries
from hedgegridd.model import Severity
from hedgegridd.savefile import load
from hedgegridd.views import Alert

_RANK = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}
_CHANNEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_REMIND_EVERY = 10  # failures in a row between two lines in the log


class Channel(Protocol):
    """What this room needs of an `AlertChannel`."""

    @property
    def name(self) -> str: ...

    def send(self, alert: Alert) -> None: ...


class Pace(NamedTuple):
    """How patient a lane is. The n-th failure in a row waits first_seconds * 2^(n-1), at most longest_seconds, each half to whole."""

    first_seconds: float = 1.0
    longest_seconds: float = 300.0
    max_age_seconds: float = 86_400.0
    max_queued: int = 10_000


class _Waiting(NamedTuple):
    """One alert in one lane. Sorted as it stands: the loudest first, then the oldest; `file` is unique."""

    rank: int
    file: str
    spooled: float  # wall clock, seconds
    alert: Alert


def encode(alert: Alert, spooled: float) -> str:
    """What a spool file holds."""
    return json.dumps({"spooled": spooled, **alert._asdict()}, default=str)


def decode(text: str) -> tuple[Alert, float]:
    """The inverse of `encode`; raises ValueError, KeyError or TypeError where it is not one."""
    data = json.loads(text)
    spooled = float(data.pop("spooled"))
    return Alert(**{**data, "severity": Severity(data["severity"])}), spooled


class _Lane:
    """One channel: its folder, its queue, its thread."""

    def __init__(self, channel: Channel, folder: Path, minimum: Severity, pace: Pace, seed: int, wall: Callable[[], float]) -> None:
        self.channel, self.folder, self.minimum, self.pace, self.wall = channel, folder, minimum, pace, wall
        self.sent = self.undelivered = self.failures = 0
        self.error = ""
        self._random = random.Random(f"{seed}/{channel.name}")
        self._retry_at = 0.0
        self._closing = False
        self._wake = threading.Condition()
        self._sending = threading.Lock()  # one send at a time, the test's included
        self._deliveries = Deliveries(folder.parent, channel.name)
        self._queue: list[_Waiting] = self._recover()
        self._thread = threading.Thread(target=self._run, name=f"alert-{channel.name}", daemon=True)
        self._thread.start()

    # --- in ---------------------------------------------------------------------------------------------------------

    def _recover(self) -> list[_Waiting]:
        """What an earlier run left. A folder that cannot be used is said, and is no reason not to start."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = sorted(self.folder.iterdir())
        except OSError as error:
            log.event("ERROR", f"alerts for {self.channel.name} are kept in memory only: {error}", channel=self.channel.name)
            return []
        return sorted(item for path in found if (item := self._spooled(path)))

    def _spooled(self, path: Path) -> _Waiting | None:
        """The alert in a file of the folder; what is none, torn by a crash or a power cut say, is counted and thrown away."""
        try:
            alert, spooled = decode(load(path).decode())
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            self.undelivered += 1
            with suppress(OSError):  # a folder, or a disk that can only be read
                path.unlink()
            return None
        return _Waiting(_RANK[alert.severity], path.name, spooled, alert)

    def put(self, alert: Alert, file: str, text: str, spooled: float) -> None:
        """Spool and wake. Not fsynced here, for the caller is trading: it survives kill -9, and `_fails` fsyncs what must wait."""
        if _RANK[alert.severity] > _RANK[self.minimum]:
            return
        try:
            _write(self.folder / file, text)
        except OSError as error:  # a full disk is no reason to keep silent about it
            log.event("WARNING", f"alert {alert.rule} for {self.channel.name} is in memory only: {error}", channel=self.channel.name)
        with self._wake:
            insort(self._queue, _Waiting(_RANK[alert.severity], file, spooled, alert))
            given_up = self._queue.pop() if len(self._queue) > self.pace.max_queued else None
            self._wake.notify()
        self._deliveries.note(spooled, deliveries.QUEUED, file, alert)
        if given_up:
            self._give_up(given_up, f"more than {self.pace.max_queued} are waiting")

    # --- out --------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (item := self._next()) is not None:
            if self.wall() - item.spooled > self.pace.max_age_seconds:
                self._take(item)
                self._give_up(item, f"not delivered for {self.pace.max_age_seconds:g} s: {self.error or 'never tried'}")
                continue
            try:
                with self._sending:
                    self.channel.send(item.alert)
            except (Exception, SystemExit) as error:  # a fence: plugin code
                self._fails(item, error)
            else:
                self._delivered(item)

    def _next(self) -> _Waiting | None:
        """Wait for an alert that may be tried now; None when the lane is closed.

        While sends fail each try takes the next in line, so that one which the channel will never take does not block the rest.
        """
        with self._wake:
            while not (self._closing and (self.failures or not self._queue)):
                wait = self._retry_at - time.monotonic()
                if self._queue and wait <= 0:
                    return self._queue[self.failures % len(self._queue)]
                self._wake.wait(wait if self._queue else None)
            return None

    def _take(self, item: _Waiting) -> None:
        """Out of the queue and off the disk."""
        with self._wake:
            if item in self._queue:
                self._queue.remove(item)
        self._remove(item)

    def _remove(self, item: _Waiting) -> None:
        try:
            (self.folder / item.file).unlink(missing_ok=True)
        except OSError as error:  # it will be sent again at the next start
            log.event("WARNING", f"cannot remove {item.file} of {self.channel.name}: {error}", channel=self.channel.name)

    def _delivered(self, item: _Waiting) -> None:
        self.sent += 1
        if self.failures:
            log.event("INFO", f"alert channel {self.channel.name} delivers again", channel=self.channel.name)
        self.failures, self.error, self._retry_at = 0, "", 0.0
        self._take(item)
        self._deliveries.note(self.wall(), deliveries.DELIVERED, item.file, item.alert)

    def _fails(self, item: _Waiting, error: BaseException) -> None:
        self.error = log.hide(f"{type(error).__name__}: {error}")
        self.failures += 1
        delay = min(self.pace.longest_seconds, self.pace.first_seconds * 2 ** min(self.failures - 1, 30))
        delay *= 0.5 + self._random.random() / 2
        asked = getattr(error, "retry_after", 0.0)  # a channel that was told to wait says so
        self._retry_at = time.monotonic() + max(delay, min(float(asked), self.pace.longest_seconds))
        _settle(self.folder / item.file)
        if self.failures % _REMIND_EVERY == 1:
            text = f"alert channel {self.channel.name} failed {self.failures} times, {len(self._queue)} waiting: {self.error}"
            log.event("WARNING", text, channel=self.channel.name)
            self._deliveries.note(self.wall(), deliveries.FAILED, item.file, item.alert, self.error)

    def _give_up(self, item: _Waiting, why: str) -> None:
        self.undelivered += 1
        self._remove(item)
        log.event("ERROR", f"alert {item.alert.title!r} was not delivered by {self.channel.name}: {why}", channel=self.channel.name)
        self._deliveries.note(self.wall(), deliveries.GIVEN_UP, item.file, item.alert, why)

    # --- asked ------------------------------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        return len(self._queue)

    def prove(self, alert: Alert, timeout: float) -> str:
        """Send now, past the queue. "" = delivered, else why not."""
        if not self._sending.acquire(timeout=timeout):
            return f"an earlier send has not returned for {timeout:g} s"
        try:
            self.channel.send(alert)
        except (Exception, SystemExit) as error:  # a fence: plugin code
            return log.hide(f"{type(error).__name__}: {error}")
        finally:
            self._sending.release()
        return ""

    def close(self) -> None:
        """Send what can be sent at once, then end; the rest stays on the disk."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    def join(self, seconds: float) -> None:
        self._thread.join(max(0.0, seconds))


def _write(path: Path, text: str) -> None:
    """In one write, so that a crash leaves all of it or nothing worth having."""
    data = text.encode(errors="replace")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, data) < len(data):
            os.ftruncate(fd, 0)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(fd)


def _settle(path: Path) -> None:
    """An alert that has to wait is brought to the disk, so that a power cut does not take it."""
    try:
        for name in (path, path.parent):
            fd = os.open(name, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
    except OSError:  # in memory only, or the disk is failing: said elsewhere
        pass


class Alerts:
    """Every channel's lane. `min_severity` by channel name, INFO where it has none; `folder` belongs to this object alone."""

    def __init__(
        self,
        folder: Path,
        channels: Sequence[Channel] = (),
        *,
        min_severity: Mapping[str, Severity] | None = None,
        pace: Pace | None = None,
        seed: int = 0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._pace, self._seed, self._wall = folder, pace or Pace(), seed, wall
        self._lanes: dict[str, _Lane] = {}
        self._count = itertools.count()
        for channel in channels:
            self.add(channel, (min_severity or {}).get(channel.name, Severity.INFO))

    def add(self, channel: Channel, minimum: Severity = Severity.INFO) -> None:
        """Take up a channel, with whatever an earlier run left for it. One of the same name is replaced."""
        if not _CHANNEL_NAME.fullmatch(channel.name):
            raise PluginError(f"alert channel name {channel.name!r}: expected letters, digits, '-' and '_'")
        self.drop(channel.name)
        folder = self._folder / channel.name
        self._lanes[channel.name] = _Lane(channel, folder, Severity(minimum), self._pace, self._seed, self._wall)

    def drop(self, name: str) -> None:
        """Let go of a channel; what waits for it stays on the disk until it is added again."""
        if lane := self._lanes.pop(name, None):
            lane.close()

    def put(self, alert: Alert) -> None:
        """Hand over an alert. Costs one small file per channel, no fsync; never raises for a channel or a disk."""
        file = f"{time.time_ns():020d}-{os.getpid()}-{next(self._count):06d}.json"
        spooled = self._wall()
        text = encode(alert, spooled)
        for lane in list(self._lanes.values()):
            lane.put(alert, file, text, spooled)

    def counts(self) -> dict[str, int]:
        """For `status`: sent since the start, waiting now, given up since the start; an alert counts once per channel."""
        rows = self.channels()
        return {key: sum(row[key] for row in rows) for key in ("sent", "queued", "undelivered")}

    def channels(self) -> list[dict[str, Any]]:
        """For `alerts`: each channel's counts and what its last failure was ("" = it delivers)."""
        return [
            {"name": name, "sent": lane.sent, "queued": lane.queued, "undelivered": lane.undelivered, "error": lane.error}
            for name, lane in list(self._lanes.items())
        ]

    def test(self, timeout: float = 12.0) -> dict[str, dict[str, Any]]:
        """Send a test alert by every channel, past queues, switches and severities. Blocks up to `timeout` seconds.

        By channel name: {"ok", "error", "seconds"}.
        """
        began, alert = time.monotonic(), notices.test(int(self._wall() * 1000))
        late = {"ok": False, "error": f"send has not returned for {timeout:g} s", "seconds": timeout}
        results: dict[str, dict[str, Any]] = dict.fromkeys(self._lanes, late)

        def prove(name: str, lane: _Lane) -> None:
            error = lane.prove(alert, timeout)
            results[name] = {"ok": not error, "error": error, "seconds": round(time.monotonic() - began, 3)}

        threads = [threading.Thread(target=prove, args=item, daemon=True) for item in list(self._lanes.items())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, began + timeout - time.monotonic()))
        return dict(results)

    def close(self, timeout: float = 5.0) -> None:
        """Send what can be sent at once, for up to `timeout` seconds in all; the rest stays on the disk for the next start."""
        deadline = time.monotonic() + timeout
        for lane in self._lanes.values():
            lane.close()
        for lane in self._lanes.values():
            lane.join(deadline - time.monotonic())
