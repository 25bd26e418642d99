"""Recorded bars of one symbol, out of one file or several that follow one another.

One law: the rows must be bars, each later than the one before it by at least the interval; anything else is a FeedError that
names the row. A hole longer than `max_gap_ms` is told by a Gap; a shorter one by nothing. No bar is ever made up.
A bar is complete, and told, at its opening time plus the interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from hedgegridd.errors import FeedError
from hedgegridd.feed.steps import Place, to_lots, to_steps, to_times
from hedgegridd.feed.tables import Batch, batches, shape
from hedgegridd.model import Bar, Gap, Instrument
from hedgegridd.times import iso

_PRICES = ("open", "high", "low", "close")


class BarTape:
    """Bars of one symbol from tables of klines, in the order of `files`."""

    carries = frozenset(("bars", "volume"))

    def __init__(self, symbol: str, instrument: Instrument, files: Sequence[Path], interval_ms: int, max_gap_ms: int) -> None:
        self.symbols: tuple[str, ...] = (symbol,)
        self.symbol, self.instrument = symbol, instrument
        self.interval_ms, self.max_gap_ms = interval_ms, max_gap_ms
        self.cadence_ms = interval_ms
        self.files = tuple(files)

    def events(self, after: int) -> Iterator[Bar | Gap]:
        """Every Bar and Gap later than `after`, read as they are taken."""
        symbol, interval = self.symbol, self.interval_ms
        longest = interval + self.max_gap_ms
        previous: int | None = None  # opening time of the bar before, told or not
        for batch, opens in self._batches():
            if opens[-1] + interval <= after:
                previous = opens[-1]
                continue
            for row, (opened, bar) in enumerate(zip(opens, self._bars(batch, opens), strict=True)):
                if previous is not None:
                    step = opened - previous
                    if step < interval:
                        raise batch.place.error(self._disorder(opened, previous), row)
                    if step > longest and opened > after:
                        yield Gap(symbol, opened, previous + interval)
                previous = opened
                if bar.time > after:
                    yield bar

    def first(self) -> int:
        """When the first bar opened."""
        for _, opens in self._batches():
            return opens[0]
        raise FeedError(f"{self.files[0]}: no rows")

    def windows(self) -> list[tuple[int, int]]:
        """From when to when there are bars without a Gap among them. Reads only the column of times."""
        longest = self.interval_ms + self.max_gap_ms
        edges, previous = [self.first()], 0
        for _, opens in self._batches():
            for opened in opens:
                if previous and opened - previous > longest:
                    edges += (previous + self.interval_ms, opened)
                previous = opened
        edges.append(previous + self.interval_ms)
        return list(zip(edges[::2], edges[1::2], strict=True))

    def _batches(self) -> Iterator[tuple[Batch, list[int]]]:
        checked = False
        for path in self.files:
            form = shape(path)
            if form.kind != "klines":
                raise FeedError(f"{path}: holds {form.kind}, expected klines")
            for batch in batches(path, form):
                opens = to_times(batch.column(0), "open_time", batch.place)
                checked = checked or self._spacing(opens, batch.place)
                yield batch, opens

    def _spacing(self, opens: list[int], place: Place) -> bool:
        """Refuse bars of a longer interval than was said: they would look like holes, too short to tell, all the way."""
        steps = [later - earlier for earlier, later in pairwise(opens)]
        if steps and min(steps) > self.interval_ms:
            raise place.error(f"bars are at least {min(steps) // 1000} s apart, expected an interval of {self.interval_ms // 1000} s")
        return bool(steps)

    def _disorder(self, opened: int, previous: int) -> str:
        if opened == previous:
            return f"open_time {opened} ({iso(opened)}) appears twice"
        if opened < previous:
            return f"open_time {opened} ({iso(opened)}) is earlier than the row before it, {previous} ({iso(previous)})"
        return f"only {(opened - previous) // 1000} s after the row before it, expected an interval of {self.interval_ms // 1000} s"

    def _bars(self, batch: Batch, opens: list[int]) -> list[Bar]:
        place, tick = batch.place, self.instrument.tick_size
        columns = [to_steps(batch.column(i), tick, name, place) for i, name in enumerate(_PRICES, 1)]
        volumes = to_lots(batch.column(5), self.instrument.lot_size, "volume", place)
        symbol, interval, bars = self.symbol, self.interval_ms, list[Bar]()
        for opened, o, high, low, close, volume in zip(opens, *columns, volumes, strict=True):
            if not (0 < low <= o <= high and low <= close <= high and volume >= 0):
                prices = " ".join(f"{name} {n * tick:.10g}" for name, n in zip(_PRICES, (o, high, low, close), strict=True))
                raise place.error(f"no bar can be {prices} volume {volume * self.instrument.lot_size:.10g}", len(bars))
            bars.append(Bar(symbol, opened + interval, o, high, low, close, volume, interval))
        return bars
