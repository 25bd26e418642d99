"""The journal: everything that went into the heart and everything it did. One law: what was returned as written stays readable.

One thread writes: `act` and `input` hand a whole record to the kernel before they return, so that it survives the death of the
process; `sync`, which another thread may call, brings it to the disk, so that it survives the machine's. A write that fails
leaves no half record behind. `rotate` opens new segments with a checkpoint, in steps of which each leaves a readable journal.
At the start only the newest segments are read, however long the journal is; `verify` reads all. The form of the files is in
`segments`, the readers in `records`. It knows no trading: kinds and data are the heart's, but for "kill", "input" and its own.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time as clock
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Any, NamedTuple

from hedgegridd.codec import encode
from hedgegridd.errors import AlreadyRunning, StateError
from hedgegridd.journal.retention import tidy
from hedgegridd.journal.segments import (
    ACTS,
    CHECKPOINT,
    FORMAT,
    HEAD,
    INPUT,
    INPUTS,
    KILL,
    RECOVERED,
    STREAMS,
    Segment,
    head,
    line,
    missing_head,
    noted_firsts,
    segment_name,
    segments,
)
from hedgegridd.journal.survey import End, inputs_after, last_kill, lost_runs, survey
from hedgegridd.savefile import give_to_owner, save

_INPUTS_BETWEEN = 10_000  # inputs after which a new checkpoint is due, so that a start replays few
_PATIENCE = 1_000  # records after a failed rotation before it is tried again
_DAY_MS = 86_400_000
_TIDY_AGAIN_SECONDS = 5.0  # after it could not be done, and a sync has shown that the disk works


class Recovered(NamedTuple):
    """What a start finds. `cut` = what a crash left unfinished, and records that never reached the disk; `damage` = what it
    cannot explain (None = sound): then `inputs` end where the damage begins.
    """

    checkpoint: dict[str, Any] | None
    inputs: list[tuple[int, Any]]
    last_kill: dict[str, Any] | None
    seq: int
    cut: list[str]
    damage: str | None


class _Stream:
    """The open segment of one stream."""

    def __init__(self, segment: Segment, size: int, synced: int, digest: str) -> None:
        self.segment = segment
        self.fd = os.open(segment.path, os.O_RDWR | os.O_NOFOLLOW)
        self.size, self.synced, self.hash = size, synced, digest
        self.head = (0, "")  # number and hash of the last record that this life wrote, as one value: another thread reads it
        self.half = True  # bytes after `size` may have been left: cut before the next write
        self.suspect = False  # the kernel may have dropped unsynced bytes

    def write(self, text: bytes) -> None:
        """Append a whole record or nothing. OSError where the disk refuses."""
        if self.half:
            self.cut()
        try:
            done = os.write(self.fd, text)
            while done < len(text):
                done += os.write(self.fd, text[done:])
        except BaseException:
            self.half = True
            with suppress(OSError):
                self.cut()
            raise
        self.size += done

    def cut(self) -> None:
        """Back to the end of the last whole record."""
        os.ftruncate(self.fd, self.size)
        os.lseek(self.fd, self.size, os.SEEK_SET)
        self.half = False

    def sync(self) -> None:
        """Bring what is written to the disk: one fsync, none where nothing is new. OSError where that failed."""
        end = self.size
        if end == self.synced:
            return
        if self.suspect:  # after a failed fsync the kernel calls the pages clean: a second one would succeed and write nothing
            os.pwrite(self.fd, os.pread(self.fd, end - self.synced, self.synced), self.synced)
        self.suspect = True
        os.fdatasync(self.fd)
        self.synced, self.suspect = end, False


def _resumed(end: End) -> _Stream | None:
    """Go on in the newest segment, without what was torn; None where there is nothing to go on with."""
    if end.segment is None or not end.size:
        return None
    stream = _Stream(end.segment, end.size, 0, end.hash)
    stream.cut()
    return stream


class Journal:
    """The journal in `folder`, held by this process alone between `open` and `close`."""

    def __init__(
        self,
        folder: Path,
        *,
        max_segment_bytes: int = 8 << 20,
        keep_inputs_days: float = 14,
        max_mb: float = 1024,
        wall: Callable[[], int] = lambda: clock.time_ns() // 1_000_000,
    ) -> None:
        self.folder = folder
        self.seq = 0  #: number of the last record
        self.heads: dict[str, tuple[int, str]] = {}  #: stream -> (number, hash) of its last record that is on the disk
        self.tidy_failure = ""  #: why closed inputs could not be compressed or pruned the last time
        self._max_bytes, self._keep_ms, self._max_total = max_segment_bytes, keep_inputs_days * _DAY_MS, max_mb * 1e6
        self._wall = wall
        self._lock = -1
        self._disk = Lock()  # held while files are synced or exchanged
        self._last_kill: dict[str, Any] | None = None
        self._last_time = 0
        self._inputs_since = 0
        self._not_before = 0
        self._overdue = False
        self._tidying: Thread | None = None
        self._tidied_at = 0.0  # by the clock that nobody sets

    # --- the start ------------------------------------------------------------------------------------------------------

    def open(self) -> Recovered:
        """Take the journal, cut what a crash tore, and read from the last checkpoint on.

        AlreadyRunning where another process has it; StateError where a newer version wrote it or the folder cannot be used.
        Damage is reported, never raised, and never repaired: the next rotation leaves it behind for `verify` to name.
        """
        try:
            self._make_folder()
            self._take_lock()
            return self._recover()
        except OSError as error:
            self._release_lock()
            raise StateError(f"journal {self.folder} cannot be used: {error}") from error
        except BaseException:
            self._release_lock()
            raise

    def _recover(self) -> Recovered:
        rows = {stream: segments(self.folder, stream) for stream in STREAMS}
        wrong = missing_head(self.folder, rows)
        ends = {stream: survey(row) for stream, row in rows.items()}
        for left in self.folder.glob(".*.tmp"):
            left.unlink()
        start = max((end for end in ends.values() if end.says), key=lambda end: end.records[0].seq, default=End())
        inputs, strange = inputs_after(ends[INPUTS], start)
        damage = "; ".join(text for text in (wrong, ends[ACTS].damage, ends[INPUTS].damage, strange) if text)
        lost = [] if damage else lost_runs(ends)
        cut = [end.cut for end in ends.values() if end.cut] + [f"records {a} to {b} never reached the disk" for a, b in lost]
        self._inputs_since, self._overdue = len(inputs), bool(damage)
        self._resume(ends, start)
        if cut or damage:
            with suppress(OSError):  # on a full disk the start still goes on; the next one finds the same again
                self.act(RECOVERED, self._last_time, {"cut": cut, "lost": lost, "damage": damage})
        return Recovered(start.says.state if start.says else None, inputs, self._last_kill, self.seq, cut, damage or None)

    def _resume(self, ends: dict[str, End], start: End) -> None:
        """Be ready to write after the last record of each stream."""
        known = [record for end in ends.values() for record in (*end.records, *end.strays)]
        firsts = [end.segment.first for end in ends.values() if end.segment]  # of use where not even a header can be read,
        noted = noted_firsts(self.folder)  # and these where a segment is gone: its name must not be given again
        self.seq = max((*firsts, *noted, *(record.seq for record in known)), default=0) + sum(end.unread for end in ends.values())
        self._last_time = max((record.time for record in known), default=0)
        self._last_kill = last_kill(ends[ACTS], start)
        state = start.says.state if start.says else None
        self._streams = {stream: _resumed(ends[stream]) or self._begin(stream, ends[stream], state) for stream in (INPUTS, ACTS)}
        self._acts, self._inputs = self._streams[ACTS], self._streams[INPUTS]
        if not self._overdue and head(self.folder) != self._names():  # a note that shows what is gone stays until the next rotation
            self._note_head()
        self._tidy()

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o750, parents=True)
            fd = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            give_to_owner(fd, self.folder.parent)
            os.close(fd)

    def _take_lock(self) -> None:
        """The lock lives as long as the process, and no child inherits it."""
        fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o640)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode(errors="replace").strip()
            os.close(fd)
            raise AlreadyRunning(
                f"journal {self.folder} is held by process {holder or '?'}: only one daemon may hold it. `hedgegridctl status` shows that "
                "one; for another beside it name a --state-dir and a --socket of its own"
            ) from None
        self._lock = fd
        give_to_owner(fd, self.folder)
        with suppress(OSError):  # only a courtesy to the reader of the message above
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)

    def _release_lock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # --- writing --------------------------------------------------------------------------------------------------------

    def input(self, event: Any) -> int:
        """Record an event that goes into the heart; answers its number. OSError: nothing was written."""
        seq = self._append(self._inputs, event.time, INPUT, encode(event))
        self._inputs_since += 1
        return seq

    def act(self, kind: str, time: int, data: dict[str, Any]) -> int:
        """Record something done, `time` in ms of the data's clock; answers its number. OSError: nothing was written."""
        seq = self._append(self._acts, time, kind, data)
        if kind == KILL:
            self._last_kill = data
        return seq

    def _append(self, stream: _Stream, time: int, kind: str, data: Any) -> int:
        seq = self.seq + 1
        text, digest = line(stream.hash, seq, time, self._wall(), kind, data)
        stream.write(text)
        stream.hash, self.seq, self._last_time = digest, seq, time
        stream.head = (seq, digest)  # last: who reads it may rely on the bytes
        return seq

    def check_place(self) -> None:
        """OSError where the folder is no longer the one that was opened: what is written would be found by nobody. One stat."""
        try:
            there = (self.folder / "lock").stat().st_ino
        except FileNotFoundError:
            there = 0
        if there != os.fstat(self._lock).st_ino:
            raise OSError(errno.ENOENT, "the state directory was deleted or moved away under the running daemon", str(self.folder))

    def sync(self) -> int:
        """Bring both streams to the disk; answers the number up to which every record is there. OSError: try again."""
        with self._disk:
            self.check_place()
            seq = self.seq
            heads = {name: stream.head for name, stream in self._streams.items() if stream.head[0]}
            for stream in (self._inputs, self._acts):
                stream.sync()
            self.heads = {**self.heads, **heads}
            if self.tidy_failure and clock.monotonic() - self._tidied_at >= _TIDY_AGAIN_SECONDS:  # the disk works again, it seems
                self._tidy()
            return seq

    @property
    def wants_rotation(self) -> bool:
        """A new checkpoint is due: by size, by inputs since the last, or to leave damage behind."""
        if self.seq < self._not_before:
            return False
        largest = max(self._inputs.size, self._acts.size)
        return self._overdue or self._inputs_since >= _INPUTS_BETWEEN or largest >= self._max_bytes

    def rotate(self, checkpoint: dict[str, Any]) -> None:
        """Begin new segments with this state, which must be the heart's after all inputs so far. About eight fsyncs.

        OSError: the journal goes on in the segments it has, and `wants_rotation` rests for a while.
        """
        self._not_before = self.seq + _PATIENCE
        self.sync()
        with self._disk:
            for name in (INPUTS, ACTS):
                old = self._streams[name]
                self._streams[name] = self._begin(name, End(segment=old.segment, hash=old.hash), checkpoint)
                self._acts, self._inputs = self._streams[ACTS], self._streams[INPUTS]
                os.close(old.fd)
                self._inputs_since = 0
            self._overdue, self._not_before = False, 0
            self._note_head()
        self._tidy()

    def _begin(self, name: str, end: End, state: dict[str, Any] | None) -> _Stream:
        """A new segment after `end`, its checkpoint durable before anything goes by its name."""
        seq = self.seq + 1
        previous = end.segment.name if end.segment else ""
        says = {"format": FORMAT, "stream": name, "previous": previous, "prev": end.hash, "last_kill": self._last_kill, "state": state}
        text, digest = line(end.hash, seq, self._last_time, self._wall(), CHECKPOINT, says)
        path = self.folder / segment_name(name, seq)
        save(path, text)
        self.seq = seq
        stream = _Stream(Segment(name, seq, path), len(text), len(text), digest)
        stream.head = (seq, digest)
        self.heads = {**self.heads, name: stream.head}
        return stream

    def _note_head(self) -> None:
        """Last of all: a note of segments that are not there would be damage, one of older segments is not."""
        save(self.folder / HEAD, json.dumps({"format": FORMAT, **self._names()}) + "\n")

    def _names(self) -> dict[str, str]:
        return {name: stream.segment.name for name, stream in self._streams.items()}

    def _tidy(self) -> None:
        """Compress and prune beside the writer. One at a time: what is left over, the next one takes along."""
        if self._tidying is None or not self._tidying.is_alive():
            self._tidied_at = clock.monotonic()
            self._tidying = Thread(target=self._tidy_now, name="journal-tidy", daemon=True)
            self._tidying.start()

    def _tidy_now(self) -> None:
        try:
            tidy(self.folder, self._wall() - self._keep_ms, self._max_total)
            self.tidy_failure = ""
        except OSError as error:  # a full disk, say: a sync some seconds later, or the next rotation, tries again
            self.tidy_failure = str(error)

    def close(self) -> None:
        """Sync, wait for the tidying, let the journal go. OSError where the last sync failed; it is let go all the same."""
        if self._lock < 0:
            return
        try:
            self.sync()
        finally:
            if self._tidying:
                self._tidying.join()
            for stream in self._streams.values():
                os.close(stream.fd)
            self._release_lock()
