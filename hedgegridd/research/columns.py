"""A feed's events as columns of numbers, a stretch at a time: what the fast engine reads.

One law: it tells exactly what the feed tells, in the feed's order. Recorded bars come as whole columns where the files allow it
(`quickbars`), which is checked as strictly as one by one. A stretch is valid until the next one is taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from hedgegridd.model import Bar, FeedEnd, Funding, Gap
from hedgegridd.research.fast.shapes import BAR, FEED_END, FUNDING, GAP, OUTLOOK, WARM, Events
from hedgegridd.research.quickbars import Block, pieces, readable

Row = tuple[int, int, int, int, int, int, int, float]


def new_events(size: int) -> Events:
    """Room for a stretch."""
    return Events(*([0] * size for _ in Events._fields[:-1]), [0.0] * size)  # type: ignore[call-arg]


class Chunks:
    """Stretches of at most `size` events, in `room`: an `Events` of that size, of lists or of arrays. `begins` is the time of the first
    event while the first stretch is told, else None."""

    def __init__(self, feed: Any, symbol: str, warmup: int, size: int, room: Events | None = None) -> None:
        self.feed, self.symbol, self.warmup, self.size = feed, symbol, warmup, size
        self.room = new_events(size) if room is None else room
        self.columns: list[Any] = [getattr(self.room, name) for name in Events._fields]
        self.count, self.begun = 0, False
        self.begins: int | None = None
        self.foresees = "funding" in feed.carries

    def __iter__(self) -> Iterator[tuple[Events, int]]:
        for piece in self._pieces():
            if isinstance(piece, Block):
                at = 0
                while at < len(piece.time):
                    at += self._put_bars(piece, at)
                    yield from self._full()
            else:
                self._put(piece)
                yield from self._full()
        if self.count:
            yield self.room, self.count

    def _pieces(self) -> Iterator[Block | Row]:
        """What there is to learn from, and what is known of funding, before the first event; then the events."""
        for event in pieces(self.feed) if readable(self.feed) else self.feed.events():
            if not self.begun:
                self.begun, self.begins = True, int(event.time[0]) if isinstance(event, Block) else event.time
                yield from self._before(self.begins)
            yield event if isinstance(event, Block) else self._row(event)

    def _full(self) -> Iterator[tuple[Events, int]]:
        if self.count == self.size:
            yield self.room, self.count
            self.count, self.begins = 0, None

    def _put(self, row: Row) -> None:
        for column, cell in zip(self.columns, row, strict=True):
            column[self.count] = cell
        self.count += 1

    def _put_bars(self, bars: Block, first: int) -> int:
        """As many as there is room for."""
        at, count = self.count, min(self.size - self.count, len(bars.time) - first)
        kind, *prices, rate = self.columns
        for column, values in zip(prices, bars, strict=True):
            _write(column, at, values[first : first + count])
        _fill(kind, at, count, BAR)
        _fill(rate, at, count, 0.0)
        self.count += count
        return count

    def _before(self, time: int) -> list[Row]:
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


def _bar(kind: int, bar: Bar) -> Row:
    return kind, bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume, 0.0


def _write(column: Any, at: int, values: Any) -> None:
    column[at : at + len(values)] = values.tolist() if isinstance(column, list) else values


def _fill(column: Any, at: int, count: int, value: float) -> None:
    column[at : at + count] = [value] * count if isinstance(column, list) else value
