"""What a feed is, and how the configuration's `[feed]` becomes one.

One law: a feed is deterministic: opened again on the same data, `events(after=T)` is what the first one told after T.
It only tells; pacing, journaling and judging are its user's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from hedgegridd.errors import FeedError
from hedgegridd.feed import layout
from hedgegridd.feed.bars import BarTape
from hedgegridd.feed.captures import CaptureTape
from hedgegridd.feed.funding import Schedule
from hedgegridd.feed.recorded import Recorded, Tape
from hedgegridd.feed.synthetic import DEFAULT_START_MS, Synthetic
from hedgegridd.feed.trades import TradeTape
from hedgegridd.model import Bar, FeedEnd, Instrument, MarketEvent
from hedgegridd.times import ms


class Feed(Protocol):
    """Market data in. All times ms; events of several symbols come in one stream, in order of time."""

    symbols: tuple[str, ...]
    cadence_ms: int  #: how far apart its events of one symbol are expected to be
    pushed: bool  #: an exchange emits the events as they happen; `events` has none

    @property
    def carries(self) -> frozenset[str]:
        """What it can tell: "bars" "trades" "quotes" "marks" "funding" "index" "volume"."""

    def warmup(self, symbol: str, bars: int) -> list[Bar]:
        """History before the start, at most `bars` bars, oldest first; none where the first bars must serve."""

    def events(self, after: int = 0) -> Iterator[MarketEvent | FeedEnd]:
        """Every event strictly later than data time `after`; a finite feed ends with one FeedEnd. Raises FeedError while read."""

    def span(self) -> tuple[int, int] | None:
        """First and last time where they are known, for progress."""

    def next_funding(self, symbol: str, after: int) -> tuple[int, float | None]:
        """When `symbol` settles next after `after`, and the last rate settled (None = not known)."""

    def notes(self) -> list[str]:
        """What a person should know of these data, one line each."""


def open_feed(
    config: Any,
    instruments: Mapping[str, Instrument],
    override: Path | None = None,
    *,
    symbol: str | None = None,
    interval: str | None = None,
    funding_bps: float | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Feed:
    """The feed that `[feed]` (any object with its keys as attributes) asks for; `override` = a path given by --feed or --data.

    `symbol`, `interval`, `funding_bps` override the table's; `since` and `until` cut a window out of recorded data.
    Raises FeedError for data that are not there, not readable, or have no funding and no `funding_bps`.
    """
    path = override or (Path(config.path) if config.kind == "recorded" and getattr(config, "path", None) else None)
    length = interval or getattr(config, "interval", None) or layout.DEFAULT_INTERVAL
    if path is not None:
        rate = funding_bps if funding_bps is not None else getattr(config, "funding_bps", None)
        gap_ms = int(getattr(config, "max_gap_minutes", 60) * 60_000)
        return open_recorded(
            path, instruments, interval=length, max_gap_ms=gap_ms, funding_bps=rate, symbol=symbol, since=since, until=until
        )
    if config.kind == "recorded":
        raise FeedError("feed.path: not set, expected a file or folder of recorded data (or give --feed PATH)")
    price = getattr(config, "start_price", None)
    return Synthetic(
        instruments,
        seed=int(getattr(config, "seed", 1)),
        start=_time(getattr(config, "start", None)),
        prices=dict.fromkeys(instruments, float(price)) if price else None,
        interval_ms=layout.interval_ms(length),
        until=until,
    )


def open_recorded(
    path: Path,
    instruments: Mapping[str, Instrument],
    *,
    interval: str = layout.DEFAULT_INTERVAL,
    max_gap_ms: int = 3_600_000,
    funding_bps: float | None = None,
    symbol: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Recorded:
    """The feed of a file, a folder or a root; see `layout` for what may lie there."""
    found = layout.find(path, list(instruments), interval, symbol)
    tapes = [tape for tape in (_tape(source, instruments, max_gap_ms) for source in found) if tape.symbols]
    if not tapes:
        raise FeedError(f"{path}: no bookTicker, trade or markPrice of {', '.join(instruments)} among its first messages")
    schedules = dict[str, Schedule]()
    names = [name for tape in tapes for name in tape.symbols]
    if len(set(names)) < len(names):
        raise FeedError(f"{path}: more than one kind of data for {max(names, key=names.count)}, expected one: name a file")
    for tape in tapes:
        for name in tape.symbols:
            files = layout.funding_files(path, name)
            if files or funding_bps is not None:
                schedules[name] = Schedule(name, files, None if funding_bps is None else funding_bps / 10_000)
            elif "funding" not in tape.carries:
                raise FeedError(
                    f"{path}: no funding data for {name} (looked for funding/{name}.parquet around it): "
                    "set backtest.funding_bps, for a daemon feed.funding_bps, to a rate per settlement; 0 = none was paid"
                )
    return Recorded(tapes, schedules, since=since, until=until)


def _tape(source: layout.Source, instruments: Mapping[str, Instrument], max_gap_ms: int) -> Tape:
    if source.kind == "capture":
        mine = {source.symbol: instruments[source.symbol]} if source.symbol else instruments
        return CaptureTape(mine, source.files, source.interval_ms, max_gap_ms)
    readers: dict[str, type[BarTape] | type[TradeTape]] = {"klines": BarTape, "trades": TradeTape}
    reader = readers.get(source.kind)
    if reader is None:
        raise FeedError(f"{source.files[0]}: holds {source.kind}, expected klines, trades or a capture")
    return reader(source.symbol, instruments[source.symbol], source.files, source.interval_ms, max_gap_ms)


def _time(start: Any) -> int:
    """The configured start, ISO text, a date and time or ms, as ms."""
    if not start:
        return DEFAULT_START_MS
    if isinstance(start, datetime):
        start = start.isoformat()
    try:
        return ms(str(start))
    except ValueError:
        raise FeedError(f"feed.start: is {start!r}, expected a time such as 2025-01-01T00:00:00Z") from None
