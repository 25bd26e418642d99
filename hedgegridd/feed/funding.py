"""Funding settlements of one symbol: recorded ones, and a constant rate where the configuration names one.

One law: a recorded rate wins; the constant stands only where nothing was recorded, and without it nothing is made up there.
The list is small (three rows a day), so it is held whole.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path

from hedgegridd.errors import FeedError
from hedgegridd.feed.steps import to_times
from hedgegridd.feed.tables import batches, shape
from hedgegridd.model import Funding

HOUR_MS = 3_600_000
EIGHT_HOURS_MS = 8 * HOUR_MS
SLACK_MS = 60_000  #: settlements nearer than this are one and the same


def next_grid(after: int) -> int:
    """The next 00:00, 08:00 or 16:00 UTC later than `after`."""
    return (after // EIGHT_HOURS_MS + 1) * EIGHT_HOURS_MS


class Schedule:
    """When one symbol settles, and at which rate. Times ms, rates per interval."""

    def __init__(self, symbol: str, files: Sequence[Path] = (), constant: float | None = None) -> None:
        self.symbol, self.constant = symbol, constant
        self.rows: list[Funding] = []
        for path in files:
            self._read(path)
        self._times = [row.time for row in self.rows]

    def after(self, time: int) -> Iterator[Funding]:
        """Every settlement later than `time`; without end where a constant rate is set."""
        for row in self.rows[bisect_right(self._times, time) :]:
            yield from self._constant(time, row.time - SLACK_MS)
            yield row
            time = row.time + SLACK_MS
        yield from self._constant(time, None)

    def next(self, after: int) -> tuple[int, float | None]:
        """The next settlement time later than `after`, and the rate of the last one, which is all that is known of it before."""
        at = bisect_right(self._times, after)
        upcoming = next_grid(after)
        if at < len(self.rows) and self._times[at] <= upcoming + SLACK_MS:
            upcoming = self._times[at]
        if at and after - self._times[at - 1] <= EIGHT_HOURS_MS + SLACK_MS:
            return upcoming, self.rows[at - 1].rate
        return upcoming, self.constant

    def missing(self, first: int, last: int) -> list[int]:
        """Times of the eight hour grid from `first` to before `last` at which no settlement is recorded."""
        grid = range(next_grid(first - 1), last, EIGHT_HOURS_MS)
        return [] if self.constant is not None else [time for time in grid if not self._recorded(time)]

    def _recorded(self, time: int) -> bool:
        at = bisect_left(self._times, time - SLACK_MS)
        return at < len(self._times) and self._times[at] <= time + SLACK_MS

    def _constant(self, after: int, before: int | None) -> Iterator[Funding]:
        time = next_grid(after)
        while self.constant is not None and (before is None or time < before):
            yield Funding(self.symbol, time, self.constant, EIGHT_HOURS_MS)
            time += EIGHT_HOURS_MS

    def _read(self, path: Path) -> None:
        form = shape(path)
        if form.kind != "funding":
            raise FeedError(f"{path}: holds {form.kind}, expected funding rates")
        for batch in batches(path, form):
            times = to_times(batch.column(0), "funding_time", batch.place)
            for i, (time, rate, hours) in enumerate(zip(times, batch.column(1), batch.column(2), strict=True)):
                if not isinstance(rate, float | int) or not -1 < rate < 1:
                    raise batch.place.error(f"funding_rate is {rate!r}, expected a fraction per interval, such as 0.0001", i)
                if self.rows and time <= self.rows[-1].time:
                    raise batch.place.error(f"funding_time {time} is not later than the row before it", i)
                self.rows.append(Funding(self.symbol, time, float(rate), self._interval(time, hours)))

    def _interval(self, time: int, hours: float | None) -> int:
        """The row's own hours, else the distance to the row before it, in whole hours; eight where that is a hole."""
        if hours:
            return round(hours) * HOUR_MS
        since = round((time - self.rows[-1].time) / HOUR_MS) * HOUR_MS if self.rows else EIGHT_HOURS_MS
        return since if HOUR_MS <= since <= EIGHT_HOURS_MS else EIGHT_HOURS_MS
