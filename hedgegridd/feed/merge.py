"""Joining streams of market events into one, in the order of data time.

One law: equal streams give one and the same order, whatever the point they are joined from, so that a resumed feed is the
suffix of the whole one. At equal times the earlier stream goes first. It never changes an event.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TypeVar

from hedgegridd.model import FeedEnd, Funding, Gap, MarketEvent

JITTER_MS = 1000  #: a settlement is stamped a few ms late: up to here it still belongs to the data before it

Event = TypeVar("Event", bound=MarketEvent)

_time = attrgetter("time")


def by_time(streams: Sequence[Iterator[Event]]) -> Iterator[Event]:
    """All events of several streams, each in order of time already."""
    if len(streams) == 1:
        return streams[0]
    return heapq.merge(*streams, key=_time)


def with_funding(events: Iterator[MarketEvent], settlements: Iterator[Funding], after: int) -> Iterator[MarketEvent]:
    """`events` with the settlements that fall inside their windows; one at the time of an event follows it.

    Settlements inside a Gap are dropped: no price is known there to settle at, and the windows of a recording are runs of
    their own.
    """
    due, last = next(settlements, None), after
    for event in events:
        until = event.since + JITTER_MS if isinstance(event, Gap) else event.time
        while due is not None and due.time < event.time:
            if due.time <= until:
                yield due
            due = next(settlements, None)
        yield event
        last = event.time
    while due is not None and due.time <= last + JITTER_MS:
        yield due
        due = next(settlements, None)


def ending(events: Iterator[MarketEvent], after: int, until: int | None) -> Iterator[MarketEvent | FeedEnd]:
    """`events` up to and including time `until`, then one FeedEnd at the time of the last."""
    last = after
    for event in events:
        if until is not None and event.time > until:
            break
        last = event.time
        yield event
    yield FeedEnd(last)
