"""What became of each alert in one channel, as rows on the disk. One law: it may lose a row, never a delivery.

A row is one write without fsync, beside the queue and after what it tells; a disk that refuses it is passed over. Two files of at most
`MOST_BYTES` are kept, the older one is thrown away. Rows name the alert by rule and title, never its text, and an error as it was
hidden for the log. Nothing that trades, and no replay, reads them: they are for the incident report.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from hedgegridd.live import log
from hedgegridd.model import Severity
from hedgegridd.savefile import give_to_owner, load
from hedgegridd.views import Alert

MOST_BYTES = 1 << 20
LONGEST = 300  #: characters of a title or an error
ENDING, OLDER = ".deliveries.jsonl", ".deliveries.old.jsonl"  #: no channel's folder can have such a name: there is a dot in it
QUEUED, FAILED, DELIVERED, GIVEN_UP = "queued", "failed", "delivered", "given_up"


class Row(NamedTuple):
    """One turn of one alert. `at` = wall clock, ms; `time` = the alert's own, of the data's clock; `file` names it in the queue."""

    at: int
    what: str
    file: str
    time: int
    severity: str
    rule: str
    title: str
    error: str = ""


class Deliveries:
    """The rows of one channel, written from any thread."""

    def __init__(self, folder: Path, channel: str) -> None:
        self._path, self._old = folder / f"{channel}{ENDING}", folder / f"{channel}{OLDER}"
        self._turning = Lock()

    def note(self, at: float, what: str, file: str, alert: Alert, error: str = "") -> None:
        """Add a row, `at` in seconds. Nothing is raised, nobody waits for another thread."""
        told = [log.hide(text)[:LONGEST] for text in (alert.title, error)]
        row = Row(int(at * 1000), what, file, alert.time, Severity(alert.severity).value, alert.rule, *told)
        try:
            self._append(json.dumps(row).encode() + b"\n")
        except OSError:  # a full disk, say: the log and the counts still tell
            pass

    def _append(self, text: bytes) -> None:
        if self._size() + len(text) > MOST_BYTES:
            self._turn()
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o640)
        try:
            if not os.fstat(fd).st_size:
                give_to_owner(fd, self._path.parent)
            os.write(fd, text)  # whole or torn: a reader passes over what is no row
        finally:
            os.close(fd)

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _turn(self) -> None:
        """Begin a new file. One thread does it; OSError where it cannot be done, and then nothing grows."""
        if self._turning.acquire(blocking=False):
            try:
                if self._size() > MOST_BYTES // 2:
                    self._path.replace(self._old)
            finally:
                self._turning.release()


def read(folder: Path) -> dict[str, list[Row]] | None:
    """Every row there is by channel, oldest first; None where none was ever kept (by an older version, or without a channel)."""
    names = sorted({path.name.removesuffix(OLDER).removesuffix(ENDING) for path in folder.glob("*.jsonl")})
    return {name: [*_rows(folder / f"{name}{OLDER}"), *_rows(folder / f"{name}{ENDING}")] for name in names} or None


def _rows(path: Path) -> Iterator[Row]:
    try:
        text = load(path).decode(errors="replace")
    except OSError:  # turned just now, or not ours to read
        return
    for line in text.splitlines():
        try:
            row = Row(*json.loads(line))
        except (ValueError, TypeError):
            continue
        if isinstance(row.at, int) and isinstance(row.time, int):
            yield row


def told(folder: Path, since: int, until: int | None) -> list[dict[str, Any]] | None:
    """Each alert of this time of the data, once a channel, and what became of it; oldest first. None where no row was ever kept."""
    found = read(folder)
    if found is None:
        return None
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for channel, of_channel in found.items():
        for row in of_channel:
            if row.time >= since and (until is None or row.time <= until):
                _take(rows.setdefault((row.file, channel), _new(row, channel)), row)
    return [rows[key] for key in sorted(rows, key=lambda key: (rows[key]["time"], *key))]


def _new(row: Row, channel: str) -> dict[str, Any]:
    facts = {"time": row.time, "severity": row.severity, "rule": row.rule, "title": row.title, "channel": channel}
    return {**facts, "state": None, "queued_at": None, "delivered_at": None, "given_up_at": None, "failures_noted": 0, "error": None}


def _take(one: dict[str, Any], row: Row) -> None:
    """A further turn. What was delivered stays delivered: an alert may come twice after a crash."""
    if row.what == FAILED:
        one["failures_noted"] += 1
    elif f"{row.what}_at" in one:
        one[f"{row.what}_at"] = one[f"{row.what}_at"] or row.at
    one["error"] = row.error or one["error"]
    if one["state"] != DELIVERED:
        one["state"] = row.what
