"""Recorded bars as whole columns: what `feed.bars` and `feed.merge` tell one by one, told a batch at a time.

One law: it tells the very same, in the same order. Every check of the feed is made here too, on a whole batch at once; where one does
not hold, or a column is not of plain numbers, the feed itself goes on where this stopped, and says what is wrong in its own words.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from hedgegridd.errors import FeedError
from hedgegridd.feed.bars import BarTape
from hedgegridd.feed.merge import JITTER_MS
from hedgegridd.feed.recorded import Recorded
from hedgegridd.feed.steps import FLOAT_NOISE, OFF_STEP
from hedgegridd.feed.tables import BATCH, Shape, magic, shape
from hedgegridd.model import FeedEnd, Funding, Gap

EXACT = float(1 << 53)  #: up to here a float holds every whole number


class Block(NamedTuple):
    """Bars that follow one another, as numpy columns of ticks and lots; `time` is when each completed."""

    time: Any
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any

    def part(self, first: int, last: int) -> Block:
        """Some of them."""
        return Block(*(column[first:last] for column in self))


class Odd(Exception):
    """Something that the feed has to look at itself."""


def readable(feed: Any) -> bool:
    """Can this feed be read in columns: one recording of bars, out of Parquet files?"""
    if not (isinstance(feed, Recorded) and len(feed.tapes) == 1 and type(feed.tapes[0]) is BarTape):
        return False
    try:
        import numpy
        import pyarrow
    except ImportError:
        return False
    return bool(numpy and pyarrow)


def pieces(feed: Recorded) -> Iterator[Block | Any]:
    """All that `feed.events()` tells: bars in blocks, everything else as it is."""
    told = Told(feed)
    try:
        yield from told.quickly()
        return
    except Odd:
        pass  # the feed reads it again, goes on, and says what is wrong if something is
    yield from islice(feed.events(), told.count, None)


class Told:
    """How far a feed was told: `count` events up to time `last`; `due` is the settlement that comes next."""

    def __init__(self, feed: Recorded) -> None:
        tape = feed.tapes[0]
        assert isinstance(tape, BarTape)
        self.feed, self.tape, self.after = feed, tape, feed.since
        self.count, self.last = 0, self.after
        self.newest = self.after  # time of the newest bar or gap
        self.until = feed.until
        self.settlements: Iterator[Funding] = iter(())
        self.due: Funding | None = None
        self.ended = False

    def quickly(self) -> Iterator[Block | Any]:
        """Until the end, or Odd."""
        previous: int | None = None
        for path in self.tape.files:
            for batch in _batches(path):
                opens = batch.opens(self.tape.interval_ms, previous is None)
                if previous is None:
                    self._schedule(int(opens[0]))
                if opens[-1] + self.tape.interval_ms > self.after:
                    yield from self._batch(opens, batch.bars(self.tape, opens), previous)
                    if self.ended:
                        break
                previous = int(opens[-1])
            if self.ended:
                break
        if previous is None and not self.ended:
            raise Odd
        while not self.ended and self.due is not None and self.due.time <= self.newest + JITTER_MS:
            yield from self._settle()
        yield FeedEnd(self.last)

    def _schedule(self, first: int) -> None:
        schedule = self.feed.schedules.get(self.tape.symbol)
        if schedule is not None:
            self.settlements = schedule.after(max(self.after, first - 1))
            self.due = next(self.settlements, None)

    def _batch(self, opens: Any, bars: Block, previous: int | None) -> Iterator[Block | Any]:
        """The bars of a batch after `after`, with the gaps and settlements among them."""
        import numpy

        interval, steps = self.tape.interval_ms, numpy.diff(opens, prepend=opens[0] if previous is None else previous)
        if previous is None:
            steps[0] = interval
        if (steps < interval).any():
            raise Odd
        at = int(numpy.searchsorted(bars.time, self.after, "right"))
        holes = numpy.nonzero((steps > interval + self.tape.max_gap_ms) & (opens > self.after))[0]
        for hole in (*holes.tolist(), len(opens)):
            yield from self._bars(bars.part(at, hole))
            at = max(at, hole)
            if hole < len(opens) and not self.ended:
                yield from self._gap(Gap(self.tape.symbol, int(opens[hole]), int(opens[hole] - steps[hole]) + interval))
            if self.ended:
                return

    def _bars(self, bars: Block) -> Iterator[Block | Any]:
        """Bars without a hole among them, and the settlements that come between."""
        import numpy

        at, end = 0, len(bars.time)
        while at < end and not self.ended:
            to = end if self.due is None else int(numpy.searchsorted(bars.time, self.due.time, "right"))
            if to > at:
                yield from self._stretch(bars.part(at, to))
                at = to
            if at < end and not self.ended:
                yield from self._settle()

    def _stretch(self, bars: Block) -> Iterator[Block]:
        import numpy

        count = len(bars.time)
        if self.until is not None:
            count = int(numpy.searchsorted(bars.time, self.until, "right"))
            self.ended = count < len(bars.time)
        if count:
            self.last = self.newest = int(bars.time[count - 1])
            self.count += count
            yield bars.part(0, count)

    def _gap(self, gap: Gap) -> Iterator[Any]:
        """A hole, after the settlements before it; those inside it are dropped."""
        while self.due is not None and self.due.time < gap.time and not self.ended:
            if self.due.time <= gap.since + JITTER_MS:
                yield from self._settle()
            else:
                self.due = next(self.settlements, None)
        if not self.ended:
            self.newest = gap.time
            yield from self._single(gap)

    def _settle(self) -> Iterator[Any]:
        assert self.due is not None
        yield from self._single(self.due)
        self.due = next(self.settlements, None)

    def _single(self, event: Any) -> Iterator[Any]:
        if self.until is not None and event.time > self.until:
            self.ended = True
        else:
            self.last = event.time
            self.count += 1
            yield event


# --- a batch of a file ----------------------------------------------------------------------------------------------------


class Batch:
    """Some rows of a Parquet file, as the feed would read them."""

    def __init__(self, rows: Any, form: Shape) -> None:
        self.rows, self.form = rows, form

    def opens(self, interval_ms: int, first: bool) -> Any:
        """Opening times, ms. `first`: the spacing is looked at."""
        import numpy

        times = self._numbers(0, whole=True)
        if times[0] > 10**14:
            times = times // 1000
        if not 10**11 < times[0] < 10**14:
            raise Odd
        if first and (len(times) < 2 or numpy.diff(times).min() > interval_ms):
            raise Odd
        return times

    def bars(self, tape: BarTape, opens: Any) -> Block:
        """In ticks and lots."""
        tick, lot = tape.instrument.tick_size, tape.instrument.lot_size
        o, high, low, close = (self._steps(column, tick) for column in (1, 2, 3, 4))
        volume = self._steps(5, lot, whole=False)
        sound = (low > 0) & (low <= o) & (o <= high) & (low <= close) & (close <= high) & (volume >= 0)
        if not sound.all():
            raise Odd
        return Block(opens + tape.interval_ms, o, high, low, close, volume)

    def _steps(self, column: int, step: float, *, whole: bool = True) -> Any:
        """`feed.steps.to_steps` of a whole column; `to_lots` where it need not be `whole` steps."""
        import numpy

        exact = self._numbers(column, whole=False) / step
        if not (numpy.abs(exact) < EXACT).all():
            raise Odd
        if not whole:
            return numpy.floor(exact + OFF_STEP + FLOAT_NOISE * exact).astype(numpy.int64)
        count = numpy.rint(exact)
        if (numpy.abs(exact - count) > OFF_STEP + FLOAT_NOISE * exact).any():
            raise Odd
        return count.astype(numpy.int64)

    def _numbers(self, column: int, *, whole: bool) -> Any:
        """A column of plain numbers."""
        import pyarrow

        cells = self.rows.column(self.form.places[column])
        if whole and pyarrow.types.is_timestamp(cells.type):
            cells = cells.cast(pyarrow.timestamp("ms", cells.type.tz), safe=False).cast(pyarrow.int64())
        if cells.null_count or cells.type != (pyarrow.int64() if whole else pyarrow.float64()):
            raise Odd
        return cells.to_numpy(zero_copy_only=False)


def _batches(path: Path) -> Iterator[Batch]:
    """The batches in which the feed reads a file."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        if magic(path) != b"PAR1":
            raise Odd
        form = shape(path)
        if form.kind != "klines":
            raise Odd
        with ParquetFile(path) as file:
            for rows in file.iter_batches(batch_size=4 * BATCH, columns=list(form.places)):
                if rows.num_rows:
                    yield Batch(rows, form)
    except (OSError, pyarrow.ArrowException, FeedError):
        raise Odd from None
