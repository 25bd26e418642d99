"""A progress bar for a recording played as fast as it goes. One law: never on a pipe, never more than ten times a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO, TypeVar

from hedgegridd.times import iso

WIDTH = 32


class _Dated(Protocol):
    @property
    def time(self) -> int: ...


Dated = TypeVar("Dated", bound=_Dated)


class Progress:
    """Shows how far data time has come between the feed's first and last event."""

    def __init__(self, span: tuple[int, int] | None, stream: TextIO) -> None:
        self._span, self._stream = span, stream
        self._shows = stream.isatty() and span is not None
        self._started = time.monotonic()
        self._next = 0.0

    def show(self, now: int) -> None:
        """Data time is `now`, ms UTC."""
        if not self._shows or self._span is None or (clock := time.monotonic()) < self._next:
            return
        self._next = clock + 0.1
        first, last = self._span
        part = min(1.0, max(0.0, (now - first) / max(1, last - first)))
        spent = clock - self._started
        left = f"{spent / part - spent:4.0f} s left" if part > 0.01 else ""
        bar = "█" * int(part * WIDTH) + "░" * (WIDTH - int(part * WIDTH))
        self._stream.write(f"\r\x1b[K{bar} {part:6.1%}  {(iso(now) or '')[:16]}  {left}")
        self._stream.flush()

    def close(self) -> None:
        """Leave the line clean."""
        if self._shows:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


@contextmanager
def watched(span: Callable[[], tuple[int, int] | None], stream: TextIO | None = None) -> Iterator[Callable[[int], None]]:
    """A bar for as long as this lasts, on standard error; the span takes reading, so only a terminal asks for it."""
    stream = stream or sys.stderr
    bar = Progress(span() if stream.isatty() else None, stream)
    try:
        yield bar.show
    finally:
        bar.close()


def passing(rows: Iterable[Dated], show: Callable[[int], None]) -> Iterator[Dated]:
    """The same rows, each shown as it passes."""
    for row in rows:
        show(row.time)
        yield row
