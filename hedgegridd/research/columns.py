"""A feed's events as columns of numbers, a stretch at a time: what the fast engine reads.

One law: it tells exactly what the feed tells, in the feed's order. Bars are read as whole columns where the files allow it, which
is checked as strictly as one by one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from hedgegridd.model import Bar, FeedEnd, Funding, Gap
from hedgegridd.research.fast.shapes import BAR, FEED_END, FUNDING, GAP, OUTLOOK, WARM, Events

Row = tuple[int, int, int, int, int, int, int, float]


class Chunks:
    """Stretches of at most `size` events. `begins` is the time of the first event while the first stretch is told, else None."""

    def __init__(self, feed: Any, symbol: str, warmup: int, size: int) -> None:
        self.feed, self.symbol, self.warmup, self.size = feed, symbol, warmup, size
        self.begins: int | None = None
        self.foresees = "funding" in feed.carries

    def __iter__(self) -> Iterator[tuple[Events, int]]:
        rows: list[Row] = []
        begun = False
        for event in self.feed.events():
            if not begun:
                begun, self.begins = True, event.time
                before = self._before(event.time)
                while len(before) > self.size - 1:
                    yield self._stretch(before[: self.size]), self.size
                    before, self.begins = before[self.size :], None
                rows += before
            rows.append(self._row(event))
            if len(rows) == self.size:
                yield self._stretch(rows), len(rows)
                rows, self.begins = [], None
        if rows:
            yield self._stretch(rows), len(rows)

    def _before(self, time: int) -> list[Row]:
        """What there is to learn from, and what is known of funding, before the first event."""
        learnt = [_bar(WARM, bar) for bar in self.feed.warmup(self.symbol, self.warmup)]
        due, rate = self._ahead(time)
        return [*learnt, (OUTLOOK, time, 0, 0, 0, 0, due, rate)]

    def _ahead(self, time: int) -> tuple[int, float]:
        if not self.foresees:
            return 0, math.nan
        due, rate = self.feed.next_funding(self.symbol, time)
        return due, math.nan if rate is None else rate

    def _row(self, event: Any) -> Row:
        if isinstance(event, Bar):
            return _bar(BAR, event)
        if isinstance(event, Funding):
            return FUNDING, event.time, 0, 0, 0, 0, event.interval_ms, event.rate
        if isinstance(event, Gap):
            due, rate = self._ahead(event.time)
            return GAP, event.time, int(self.foresees), 0, 0, 0, due, rate
        assert isinstance(event, FeedEnd)
        return FEED_END, event.time, 0, 0, 0, 0, 0, 0.0

    def _stretch(self, rows: list[Row]) -> Events:
        """Always of one length, which is part of what was compiled."""
        blank: Row = (0, 0, 0, 0, 0, 0, 0, 0.0)
        padded = rows + [blank] * (self.size - len(rows))
        return Events(*(list(column) for column in zip(*padded, strict=True)))


def _bar(kind: int, bar: Bar) -> Row:
    return kind, bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume, 0.0
