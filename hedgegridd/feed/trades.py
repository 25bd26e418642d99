"""Recorded public trades of one symbol, and the bars built out of trades.

One law: a bar stands for a whole interval that was seen from its beginning; the first part of one, before the recording began
or after a hole, is told by no bar. Trades have no book around them: no Quote and no Mark is made of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hedgegridd.errors import FeedError
from hedgegridd.feed.steps import Place, to_steps, to_times
from hedgegridd.feed.tables import Batch, batches, shape
from hedgegridd.model import Bar, Gap, Instrument, Trade
from hedgegridd.times import iso

LATE_START_MS = 5000  #: a recording that begins this soon after the start of an interval has seen the whole of it


class BarBuilder:
    """Bars of several symbols from their trades. Feed it in order of time: first `roll(time)`, then `add` what happened then."""

    def __init__(self, symbols: Sequence[str], interval_ms: int, *, quiet: bool) -> None:
        self.interval_ms = interval_ms
        self.quiet = quiet  # True: an interval without any event passed quietly; False: it was not recorded
        self.end = 0
        self.whole = False
        self.open: dict[str, list[int]] = {}  # open, high, low, close, volume of the interval so far
        self.close: dict[str, int] = {}  # last price known
        self.symbols = tuple(symbols)

    def add(self, symbol: str, price: int, qty: int) -> None:
        """A trade at the time of the last `roll`."""
        bar = self.open.get(symbol)
        self.close[symbol] = price
        if bar is None:
            self.open[symbol] = [price, price, price, price, qty]
            return
        if price > bar[1]:
            bar[1] = price
        elif price < bar[2]:
            bar[2] = price
        bar[3] = price
        bar[4] += qty

    def roll(self, time: int) -> list[Bar]:
        """Go on to `time`: the bars complete by then."""
        if time < self.end:
            return []
        bars = self._complete() if self.whole else []
        self.open.clear()
        begin = time - time % self.interval_ms
        while self.quiet and self.whole and self.end < begin:
            self.end += self.interval_ms
            bars += self._complete()
        self.whole = begin == self.end or time - begin <= LATE_START_MS
        self.end = begin + self.interval_ms
        return bars

    def forget(self) -> None:
        """A window ended: the interval under way will not be whole."""
        self.whole, self.end = False, 0
        self.open.clear()
        self.close.clear()

    def _complete(self) -> list[Bar]:
        bars = []
        for symbol in self.symbols:
            if symbol in self.close:
                o, high, low, close, volume = self.open.get(symbol) or [self.close[symbol]] * 4 + [0]
                bars.append(Bar(symbol, self.end, o, high, low, close, volume, self.interval_ms))
        return bars


class TradeTape:
    """Trades of one symbol from tables of trades or aggregated trades, and bars built from them."""

    carries = frozenset(("bars", "trades", "volume"))

    def __init__(self, symbol: str, instrument: Instrument, files: Sequence[Path], interval_ms: int, max_gap_ms: int) -> None:
        self.symbols: tuple[str, ...] = (symbol,)
        self.symbol, self.instrument = symbol, instrument
        self.interval_ms, self.max_gap_ms = interval_ms, max_gap_ms
        self.cadence_ms = interval_ms
        self.files = tuple(files)

    def events(self, after: int) -> Iterator[Bar | Trade | Gap]:
        """Every event later than `after`. Reads from the beginning: a bar depends on all trades of its interval."""
        return (event for event in self._events() if event.time > after)

    def first(self) -> int:
        """Time of the first trade."""
        return next(self._trades()).time

    def windows(self) -> list[tuple[int, int]]:
        """Not known without reading everything."""
        return []

    def _events(self) -> Iterator[Bar | Trade | Gap]:
        builder = BarBuilder(self.symbols, self.interval_ms, quiet=True)
        last = 0
        for trade in self._trades():
            if last and trade.time - last > self.max_gap_ms:
                builder.forget()
                yield Gap(self.symbol, trade.time, last)
            last = trade.time
            yield from builder.roll(last)
            builder.add(self.symbol, trade.price, trade.qty)
            yield trade

    def _trades(self) -> Iterator[Trade]:
        last_id, last_time = -1.0, 0
        for path in self.files:
            form = shape(path)
            if form.kind != "trades":
                raise FeedError(f"{path}: holds {form.kind}, expected trades")
            for batch in batches(path, form):
                for row, (number, trade) in enumerate(zip(batch.column(0), self._batch(batch), strict=True)):
                    if number <= last_id or trade.time < last_time:
                        raise batch.place.error(self._disorder(number, last_id, trade.time), row)
                    last_id, last_time = number, trade.time
                    yield trade

    def _batch(self, batch: Batch) -> Iterator[Trade]:
        place: Place = batch.place
        prices = to_steps(batch.column(1), self.instrument.tick_size, "price", place)
        sizes = to_steps(batch.column(2), self.instrument.lot_size, "quantity", place)
        times = to_times(batch.column(3), "time", place)
        for time, price, qty, maker in zip(times, prices, sizes, batch.column(4), strict=True):
            yield Trade(self.symbol, time, price, qty, bool(maker))

    def _disorder(self, number: float, last_id: float, time: int) -> str:
        what = "appears twice" if number == last_id else "is out of order"
        return f"trade {number:.0f} at {time} ({iso(time)}) {what}"
