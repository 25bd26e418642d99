"""What recordings hold: from when to when, how much, and where nothing is. One law: only the times are read, and none is made up.

The unbroken parts are what a backtest can play without a warm-up in the middle: `--from` and `--to` for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hedgegridd.feed.layout import SUFFIXES, Source, find, funding_files, interval_text
from hedgegridd.feed.steps import to_times
from hedgegridd.feed.tables import batches, shape
from hedgegridd.times import iso

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
TIMES = {"klines": (0, "open_time"), "trades": (3, "time"), "funding": (0, "funding_time")}  #: the column of times, by kind
LONGEST_MS = {"trades": 60 * MINUTE_MS, "funding": 12 * HOUR_MS}  #: from one row to the next within a part; of bars it is their interval


class Holding(NamedTuple):
    """What there is of one symbol: `parts` = (from, to) in ms UTC without a hole; none of a capture, which only playing would tell."""

    kind: str
    symbol: str
    interval: str
    files: int
    rows: int | None
    parts: list[tuple[int, int]]

    def row(self) -> dict[str, Any]:
        """As JSON."""
        first, last = (self.parts[0][0], self.parts[-1][1]) if self.parts else (None, None)
        parts = [{"from": iso(begin), "to": iso(end)} for begin, end in self.parts]
        return {**self._asdict(), "from": iso(first), "to": iso(last), "longest_hole_seconds": self.hole_ms / 1000, "parts": parts}

    @property
    def hole_ms(self) -> int:
        """The longest time without anything, between two parts."""
        return max((later[0] - earlier[1] for earlier, later in zip(self.parts, self.parts[1:], strict=False)), default=0)


def inventory(path: Path) -> list[Holding]:
    """Everything recorded at `path`: bars and trades by symbol and interval, and the funding beside them. FeedError where nothing is."""
    found = [_holding(source) for source in _sources(path)]
    for symbol in dict.fromkeys(one.symbol for one in found if one.kind != "funding"):
        if files := funding_files(path, symbol):
            found.append(_holding(Source(symbol, "funding", files, 0)))
    return found


def _sources(path: Path) -> Iterator[Source]:
    folder = path / "klines"
    if not folder.is_dir():
        files = [path] if path.is_file() else [file for file in path.glob("*") if file.is_file()]
        yield from find(path, sorted({_symbol(file) for file in files}) or [""])
        return
    for interval in sorted(child for child in folder.iterdir() if child.is_dir()):
        for symbol in sorted({_symbol(child) for child in interval.iterdir() if child.is_dir() or child.name.endswith(SUFFIXES)}):
            yield from find(path, [symbol], interval.name)


def _symbol(file: Path) -> str:
    return file.name.replace("_", "-").replace(".", "-").partition("-")[0].upper()


def _holding(source: Source) -> Holding:
    if source.kind not in TIMES:
        return Holding(source.kind, source.symbol, "", len(source.files), None, [])
    column, name = TIMES[source.kind]
    step = source.interval_ms if source.kind == "klines" else 0
    longest, count = LONGEST_MS.get(source.kind, step), 0
    parts, begin, last = list[tuple[int, int]](), 0, 0
    for time in _times(source, column, name):
        count += 1
        if last and time - last > longest:
            parts.append((begin, last + step))
            begin = time
        begin, last = begin or time, time
    return Holding(source.kind, source.symbol, interval_text(step) if step else "", len(source.files), count,
                   [*parts, (begin, last + step)] if count else [])  # fmt: skip


def _times(source: Source, column: int, name: str) -> Iterator[int]:
    """Every time of its rows; a FeedError names file and row of one that is earlier than the one before it."""
    last = 0
    for path in source.files:
        for batch in batches(path, shape(path)):
            for at, time in enumerate(to_times(batch.column(column), name, batch.place)):
                if time < last:
                    raise batch.place.error(f"{name} {iso(time)} comes after {iso(last)}, expected times that do not go back", at)
                last = time
                yield time


# --- as text --------------------------------------------------------------------------------------------------------------

HEADS = ("kind", "symbol", "interval", "files", "rows", "from", "to", "parts", "longest hole")
MOST_PARTS = 12


def cells(found: list[Holding]) -> list[list[str]]:
    """Cells under HEADS."""
    return [
        [one.kind, one.symbol, one.interval or "-", f"{one.files:,}",
         "?" if one.rows is None else f"{one.rows:,}", _minute(one.parts[0][0] if one.parts else None),
         _minute(one.parts[-1][1] if one.parts else None), f"{len(one.parts):,}", _long(one.hole_ms)]
        for one in found
    ]  # fmt: skip


def parts(found: list[Holding]) -> list[str]:
    """The unbroken parts of the bars, where they are few enough to be read."""
    broken = [one for one in found if one.kind == "klines" and 1 < len(one.parts) <= MOST_PARTS]
    said = []
    for one in broken:
        said.append(f"{one.symbol} {one.interval}, unbroken:")
        said += [f"  --from {_option(begin)} --to {_option(end)}  {_long(end - begin)}" for begin, end in one.parts]
    return said


def _option(time: int) -> str:
    return f"{(iso(time) or '')[:16]}Z"


def _minute(time: int | None) -> str:
    return f"{_option(time)[:-1].replace('T', ' ')} UTC" if time else "?"


def _long(length_ms: int) -> str:
    if not length_ms:
        return "-"
    hours, rest = divmod(length_ms, HOUR_MS)
    return f"{hours // 24} d {hours % 24} h" if hours >= 24 else f"{hours} h {rest // MINUTE_MS} min"
