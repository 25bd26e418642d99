"""The disk: the journal and the kill switch file, in order. One law: what it refuses is kept and tried again before the next record.

Records are appended at once, in the loop's thread; what waits (fsync) is done in a thread of its own, which only reports back. It
decides nothing: `failed` and `synced` tell the daemon, whose heart knows what must wait.
"""

from __future__ import annotations

import asyncio
import time as clock
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hedgegridd.heart.effects import Sync
from hedgegridd.live import log

BACKLOG = 100_000  # records kept in memory while the disk refuses them


class Disk:
    """One journal, one latch. `failed(why)`: a record was refused; `synced(mark, failure)`: a sync ended, "" = it is on the disk."""

    def __init__(self, journal: Any, latch: Any, failed: Callable[[str], None], synced: Callable[[int, str], None]) -> None:
        self.journal, self.latch, self.syncing = journal, latch, 0
        self._failed, self._tell = failed, synced
        self._backlog: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque(maxlen=BACKLOG)
        self._asked: deque[float] = deque()  # monotonic seconds of the syncs under way
        self._took: deque[tuple[float, float]] = deque(maxlen=512)  # (when a sync ended, ms since it was asked for)
        self._thread = ThreadPoolExecutor(1, "disk")
        self._loop = asyncio.get_running_loop()

    @property
    def behind(self) -> int:
        """Records that wait for the disk."""
        return len(self._backlog)

    @property
    def busy(self) -> bool:
        """Is anything unwritten?"""
        return bool(self.syncing or self._backlog)

    @property
    def held_up(self) -> bool:
        """The data's time waits for the disk, while there is room left for what must not wait."""
        return self.syncing > 0 or len(self._backlog) > BACKLOG // 2

    def record(self, write: Callable[..., Any], *what: Any) -> None:
        """Journal, in order."""
        self._backlog.append((write, what))
        try:
            self._flush()
        except OSError as error:
            self._failed(str(error))

    def _flush(self) -> None:
        while self._backlog:
            write, what = self._backlog.popleft()
            try:
                write(*what)
            except OSError:
                self._backlog.appendleft((write, what))
                raise

    def sync(self, effect: Sync) -> None:
        """Put what was recorded until now on the disk, with the kill switch file where the effect carries it."""
        self.syncing += 1
        self._asked.append(clock.monotonic())
        self._loop.run_in_executor(self._thread, self._to_disk, effect, bool(self._backlog))

    def _to_disk(self, effect: Sync, incomplete: bool) -> None:
        """In the disk's thread: file and journal in the order that leaves "active" in one of them at any crash.

        `incomplete`: records that this sync must cover could not be written when it was asked for.
        """
        failures = ["records wait for the disk"] if incomplete else []
        steps: list[Callable[[], Any]] = [self.journal.sync]
        if effect.latch is not None:
            content = effect.latch
            steps.insert(1 if effect.latch_last else 0, lambda: self.latch.write(content))
        for step in steps:
            if failures and effect.latch_last:
                break  # a release whose record is not on the disk must not reach the file
            try:
                step()
            except Exception as error:  # a fence: whatever happens in this thread, the heart must hear of it
                failures.append(str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}")
        self._loop.call_soon_threadsafe(self._synced, effect.mark, "; ".join(failures))

    def _synced(self, mark: int, failure: str) -> None:
        self.syncing -= 1
        now = clock.monotonic()
        self._took.append((now, (now - self._asked.popleft()) * 1000))
        self._tell(mark, failure)

    def slowest_ms(self, seconds: float) -> float:
        """The longest that a sync took which ended within the last `seconds`, or takes now; 0 = there was none."""
        now = clock.monotonic()
        waits = [ms for ended, ms in self._took if now - ended <= seconds]
        return max([*waits, *((now - asked) * 1000 for asked in list(self._asked)[:1])], default=0.0)

    def engage(self, content: dict[str, Any]) -> None:
        """Write the kill switch file, after whatever is being written now."""
        self._loop.run_in_executor(self._thread, self.latch.write, content)

    async def close(self) -> None:
        """The last words, as far as the disk takes them."""
        await self._loop.run_in_executor(self._thread, self._last_words)
        self._thread.shutdown()

    def _last_words(self) -> None:
        try:
            self._flush()
            self.journal.sync()
        except OSError as error:
            log.event("ERROR", f"the journal could not be completed: {error}")
