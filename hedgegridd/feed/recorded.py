"""A finite feed out of recorded files: bars, trades or raw captures of one or more symbols, with their funding.

One law: what it tells after time T is the same whether it was read from the beginning or taken up at T.
It makes nothing up: no Mark from bars, no settlement where neither a record nor `funding_bps` says one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from hedgegridd.feed.funding import Schedule, next_grid
from hedgegridd.feed.merge import by_time, ending, with_funding
from hedgegridd.model import Bar, FeedEnd, Funding, Gap, MarketEvent
from hedgegridd.times import iso


class Tape(Protocol):
    """Recorded market events of some symbols, without funding."""

    symbols: tuple[str, ...]
    cadence_ms: int
    interval_ms: int

    @property
    def carries(self) -> frozenset[str]:
        """What it tells: "bars" "trades" "quotes" "marks" "funding" "index" "volume"."""

    def events(self, after: int) -> Iterator[MarketEvent]:
        """Every event later than `after`, in order of time."""

    def first(self) -> int:
        """Time at which the recording begins."""

    def windows(self) -> list[tuple[int, int]]:
        """From when to when there are data without a Gap among them; empty where that is not cheap to know."""


class Recorded:
    """The feed. `since` and `until` (ms) cut a window out; what lies before `since` is its warm-up."""

    def __init__(
        self, tapes: Sequence[Tape], schedules: Mapping[str, Schedule], *, since: int | None = None, until: int | None = None
    ) -> None:
        self.tapes, self.schedules = tuple(tapes), dict(schedules)
        self.since, self.until = since or 0, until
        self.symbols = tuple(dict.fromkeys(symbol for tape in self.tapes for symbol in tape.symbols))
        self.pushed = False
        self.cadence_ms = max(tape.cadence_ms for tape in self.tapes)
        self.interval_ms = max(tape.interval_ms for tape in self.tapes)
        funding = {"funding"} if all(symbol in self.schedules for symbol in self.symbols) else set[str]()
        self.carries = frozenset.intersection(*(tape.carries | funding for tape in self.tapes))

    def events(self, after: int = 0) -> Iterator[MarketEvent | FeedEnd]:
        """Every event later than `after`; one FeedEnd at the end."""
        after = max(after, self.since)
        return ending(by_time([self._funded(tape, after) for tape in self.tapes]), after, self.until)

    def warmup(self, symbol: str, bars: int) -> list[Bar]:
        """The last bars before `since`, at most `bars`, without a Gap among them; none where the feed begins at its beginning."""
        kept: deque[Bar] = deque(maxlen=bars)
        tape = next((tape for tape in self.tapes if symbol in tape.symbols), None)
        if tape is None or not self.since:
            return []
        for event in tape.events(self.since - 2 * bars * tape.interval_ms):
            if event.time > self.since:
                break
            if event.symbol == symbol and isinstance(event, Bar):
                kept.append(event)
            elif event.symbol == symbol and isinstance(event, Gap):
                kept.clear()
        return list(kept)

    def span(self) -> tuple[int, int] | None:
        """First and last time of all symbols within the window; None where only reading everything would tell."""
        windows = [tape.windows() for tape in self.tapes]
        if not all(windows):
            return None
        last = max(rows[-1][1] for rows in windows)
        return max(self.since, min(rows[0][0] for rows in windows)), last if self.until is None else min(last, self.until)

    def next_funding(self, symbol: str, after: int) -> tuple[int, float | None]:
        """The next settlement later than `after` and the rate of the last one: bars tell no rate ahead. None = not known."""
        schedule = self.schedules.get(symbol)
        return schedule.next(after) if schedule else (next_grid(after), None)

    def notes(self) -> list[str]:
        """What a person should know of these data, one line each."""
        lines = []
        for tape in self.tapes:
            for schedule in (self.schedules[symbol] for symbol in tape.symbols if symbol in self.schedules):
                if schedule.constant is not None:  # nothing can be missing, and to find the windows takes reading all times there are
                    continue
                gone = [time for first, last in tape.windows() for time in schedule.missing(first, last)]
                missing = [time for time in gone if self.since <= time and (self.until is None or time <= self.until)]
                if missing:
                    span = f"{iso(missing[0])} to {iso(missing[-1])}"
                    lines.append(f"{schedule.symbol}: no funding recorded for {len(missing)} settlements, {span}")
        return lines

    def _funded(self, tape: Tape, after: int) -> Iterator[MarketEvent]:
        """A tape with its settlements; where none are recorded beside it, those it tells itself."""
        begin = max(after, tape.first() - 1)
        events = tape.events(after)
        schedules = [self.schedules[symbol].after(begin) for symbol in tape.symbols if symbol in self.schedules]
        if not schedules:
            return events
        if "marks" in tape.carries:
            events = (event for event in events if not isinstance(event, Funding))
        return with_funding(events, by_time(schedules), after)
