"""What becomes of closed inputs segments: compressed, and after their time removed. One law: acts and the newest two stay.

Called from a thread beside the writer; each step may be cut short by a crash and is done again the next time.
"""

from __future__ import annotations

import gzip
import os
import shutil
from contextlib import suppress
from pathlib import Path

from hedgegridd.journal.segments import INPUTS, Segment, fingerprint, segments, size_of, sum_of
from hedgegridd.savefile import give_to_owner, plain, save, sync_folder

_KEPT = 2  # the newest segments: the open one, and the one it follows


def tidy(folder: Path, oldest_ms: float, max_bytes: float) -> None:
    """Remove closed inputs last written before `oldest_ms` (wall clock), and the oldest while the journal is larger than
    `max_bytes`; compress the rest. OSError where the disk refuses.
    """
    prune(folder, oldest_ms, max_bytes)
    for segment in segments(folder, INPUTS)[:-1]:
        if segment.path.suffix != ".gz":
            compress(segment)


def prune(folder: Path, oldest_ms: float, max_bytes: float) -> None:
    """Oldest first, so that what remains is without a hole wherever this is cut short."""
    total = sum(size_of(path) for path in folder.iterdir())
    for segment in segments(folder, INPUTS)[:-_KEPT]:
        found = segment.path.stat()
        if found.st_mtime_ns / 1e6 >= oldest_ms and total <= max_bytes:
            break
        total -= found.st_size
        for path in (segment.path, _packed(segment), sum_of(_packed(segment))):
            with suppress(FileNotFoundError):
                path.unlink()
    sync_folder(folder)


def compress(segment: Segment) -> None:
    """Put the compressed segment in place, durably, then remove the plain one. Its time stays the time of its last record."""
    packed = _packed(segment)
    stage = packed.with_name(f".{packed.name}.tmp")
    try:
        with plain(segment.path) as text, stage.open("wb") as raw:
            os.fchmod(raw.fileno(), 0o640)
            give_to_owner(raw.fileno(), packed.parent)
            with gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
                shutil.copyfileobj(text, file, 1 << 18)
            raw.flush()
            times = os.fstat(text.fileno())
            os.utime(raw.fileno(), ns=(times.st_atime_ns, times.st_mtime_ns))
            os.fsync(raw.fileno())
        save(sum_of(packed), f"{fingerprint(stage)}\n")  # first: an archive without its sum could not be told from a changed one
        stage.replace(packed)
    except OSError:
        with suppress(OSError):
            stage.unlink()
        raise
    sync_folder(packed.parent)
    segment.path.unlink()


def _packed(segment: Segment) -> Path:
    return segment.path.with_name(segment.name + ".gz")
