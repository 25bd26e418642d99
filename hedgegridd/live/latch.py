"""The kill switch file. One law: it reports what is written there and never reads doubt as "inactive".

Anybody with the right to write in the state directory may engage through it, the daemon's own hand or not; what a found file
means (others may never deactivate) is the heart's to judge. Unreadable, of unknown form, in strange hands, or no plain file
at all: `active` None. Looking costs one stat; reading and writing may block on the disk.
"""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hedgegridd.model import KillFile
from hedgegridd.savefile import save

MODE = 0o640
_LARGEST = 65536  # bytes; a longer file is not a kill switch file
_Mark = tuple[int, int, int, int, int]  # what tells one text of the file from the next without reading it
_NOWHERE: _Mark = (0, 0, 0, 0, 0)
_NEVER: _Mark = (-1, 0, 0, 0, 0)


class Latch:
    """The file at `path`. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.overlooked: KillFile | None = None  #: what another hand wrote and `write` found in its way: still to be obeyed
        self._seen: _Mark | None = _NEVER

    def read(self, time: int = 0) -> KillFile:
        """The file as it is now; `time` (ms) is put in the answer. Never raises: what cannot be read is `active` None, with the why."""
        before = self._now()
        try:
            text = self._text()
        except FileNotFoundError:
            self._seen = _NOWHERE
            return KillFile(time, active=False, missing=True)
        except (OSError, ValueError) as error:
            self._seen = before
            return KillFile(time, None, reason=f"kill switch file {self.path} cannot be read: {error}")
        return _parse(time, text, self.path)

    def write(self, content: dict[str, Any]) -> None:
        """Replace the file durably. A `since` in ms is written as ISO 8601. OSError where the disk refuses."""
        text = json.dumps({**content, "since": _iso(content.get("since", ""))}, indent=1).encode() + b"\n"
        found = self.read() if self._seen != _NEVER and self.changed() else None
        save(self.path, text, MODE)
        if found is not None and found.active is not False:
            self.overlooked = found
        seen = self._seen
        try:
            if self._text() != text:  # another hand was quicker: leave it to be noticed
                self._seen = seen
        except (OSError, ValueError):
            self._seen = seen

    def changed(self) -> bool:
        """Whether the file differs from what was last read or written here. One stat, a few microseconds; never raises.

        Left open: a rewrite in place, of the same size, within one tick of the file system's clock after a read.
        """
        return self._now() != self._seen

    def _text(self) -> bytes:
        """The text, noting which file it came from. ValueError where no such file may be believed."""
        # O_NONBLOCK: a pipe in its place must not hang the daemon
        fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise ValueError("not a plain file")
            text = os.read(fd, _LARGEST + 1)
        finally:
            os.close(fd)
        if len(text) > _LARGEST:
            raise ValueError(f"longer than {_LARGEST} bytes")
        self._seen = _mark(found)
        if not self._trusted(found.st_uid) and not _engaged(text):
            raise ValueError(f"it belongs to uid {found.st_uid}, neither root, nor this daemon, nor the owner of the folder")
        return text

    def _trusted(self, uid: int) -> bool:
        return uid in (0, os.geteuid()) or uid == self.path.parent.stat().st_uid

    def _now(self) -> _Mark | None:
        try:
            return _mark(os.lstat(self.path))
        except FileNotFoundError:
            return _NOWHERE
        except OSError:
            return None


def _mark(found: os.stat_result) -> _Mark:
    return found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode, found.st_uid


def _engaged(text: bytes) -> bool:
    """Whether it says `active: true`: obeyed from any hand."""
    return _parse(0, text, Path()).active is True


def _parse(time: int, text: bytes, path: Path) -> KillFile:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        return KillFile(time, None, reason=f"kill switch file {path} is no JSON: {error}")
    if not isinstance(content, dict):
        return KillFile(
            time, None, reason=f'kill switch file {path}: is {str(content)[:40]!r}, expected {{"active": true, "reason": "..."}}'
        )
    active = content.get("active")
    if not isinstance(active, bool):
        said = f"is {str(active)[:40]!r}" if "active" in content else "is missing"
        return KillFile(time, None, reason=f"kill switch file {path}: active {said}, expected true or false")
    return KillFile(time, active, _word(content.get("level")), _word(content.get("reason")), source=_word(content.get("source")))


def _word(value: object) -> str:
    """Strangers write this file: what is no text names nothing."""
    return value if isinstance(value, str) else ""


def _iso(since: object) -> object:
    """Milliseconds as ISO 8601 UTC; 0 = never engaged, "". What is text already stays."""
    if not isinstance(since, int):
        return since
    return datetime.fromtimestamp(since / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if since else ""
