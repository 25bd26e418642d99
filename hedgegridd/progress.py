"""A progress bar for a recording played as fast as it goes. One law: never on a pipe, never more than ten times a second."""

from __future__ import annotations

import time
from typing import TextIO

from hedgegridd.times import iso

WIDTH = 32


class Progress:
    """Shows how far data time has come between the feed's first and last event."""

    def __init__(self, span: tuple[int, int] | None, stream: TextIO) -> None:
        self._span, self._stream = span, stream
        self._shows = stream.isatty() and span is not None
        self._started = time.monotonic()
        self._next = 0.0

    def show(self, now: int) -> None:
        """Data time is `now`, ms UTC."""
        clock = time.monotonic()
        if not self._shows or clock < self._next or self._span is None:
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
