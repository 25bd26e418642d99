"""Events as columns: exactly what the feed tells, in its order, with its words where something is wrong."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from hedgegridd.errors import FeedError
from hedgegridd.feed.source import open_recorded
from hedgegridd.model import Bar, FeedEnd, Funding, Gap, Instrument
from hedgegridd.research.columns import Chunks
from hedgegridd.research.fast.shapes import BAR, FEED_END, FUNDING, GAP, OUTLOOK, WARM

SHARED = Path(os.environ.get("HEDGEGRIDD_SHARED", Path(__file__).parents[2] / ".." / "shared")) / "data"
BTC = Instrument(0.1, 0.001, 1, 10**9, 10**9, 5.0, 2.0, 5.0)
START, MINUTE, HOUR = 1_735_689_600_000, 60_000, 3_600_000


def write(root: Path, rows: list[tuple[Any, ...]], funding: list[tuple[int, float]]) -> Path:
    """A root with bars and settlements."""
    names = ("open_time", "open", "high", "low", "close", "volume")
    for folder in ("klines/1m", "funding"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    parquet.write_table(
        pyarrow.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), root / "klines/1m/BTCUSDT.parquet"
    )
    columns = list(zip(*funding, strict=True)) or [(), ()]
    types = (pyarrow.array(columns[0], pyarrow.int64()), pyarrow.array(columns[1], pyarrow.float64()))
    parquet.write_table(pyarrow.table(dict(zip(("funding_time", "funding_rate"), types, strict=True))), root / "funding/BTCUSDT.parquet")
    return root


def made(rng: random.Random, count: int = 700) -> tuple[list[tuple[Any, ...]], list[tuple[int, float]]]:
    """Bars with short and long holes, and settlements inside and outside of them."""
    time, price, rows, paid = START + rng.randrange(500) * MINUTE, 500_000, [], []
    for _ in range(count):
        hole = rng.random()
        time += MINUTE * (rng.randrange(62, 900) if hole < 0.01 else rng.randrange(1, 40) if hole < 0.03 else 1)
        close = max(10, price + round(rng.gauss(0, 80)))
        finer = rng.choice((0.0, 0.0, 0.0004))  # a volume need not be in whole lots
        high, low = max(price, close) + rng.randrange(40), max(1, min(price, close) - rng.randrange(40))
        rows.append((time, price / 10, high / 10, low / 10, close / 10, rng.randrange(0, 90_000) / 1000 + finer))
        price = close
    for at in range(START // (8 * HOUR), rows[-1][0] // (8 * HOUR) + 2):
        if rng.random() < 0.9:
            paid.append((at * 8 * HOUR + rng.choice([0, 3, 29]), rng.gauss(0, 1e-4)))
    return rows, paid


def told(feed: Any, size: int) -> tuple[list[tuple[Any, ...]], int | None]:
    """Every event of the columns, as rows; and when the first began."""
    rows: list[tuple[Any, ...]] = []
    begins, chunks = None, Chunks(feed, "BTCUSDT", 20, size)
    for events, count in chunks:
        begins = begins or chunks.begins
        rows += zip(*(list(column[:count]) for column in events), strict=True)
    return rows, begins


def expected(feed: Any) -> list[tuple[Any, ...]]:
    """The same from the feed, one by one."""
    rows: list[tuple[Any, ...]] = []

    def ahead(time: int) -> tuple[int, Any]:
        return feed.next_funding("BTCUSDT", time)  # type: ignore[no-any-return]

    for event in feed.events():
        if not rows:
            rows += [(WARM, bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume, 0.0) for bar in feed.warmup("BTCUSDT", 20)]
            due, rate = ahead(event.time)
            rows.append((OUTLOOK, event.time, 0, 0, 0, 0, due, rate))
        if isinstance(event, Bar):
            rows.append((BAR, event.time, event.open, event.high, event.low, event.close, event.volume, 0.0))
        elif isinstance(event, Funding):
            rows.append((FUNDING, event.time, 0, 0, 0, 0, event.interval_ms, event.rate))
        elif isinstance(event, Gap):
            due, rate = ahead(event.time)
            rows.append((GAP, event.time, 1, 0, 0, 0, due, rate))
        else:
            assert isinstance(event, FeedEnd)
            rows.append((FEED_END, event.time, 0, 0, 0, 0, 0, 0.0))
    return rows


def plain(rows: list[tuple[Any, ...]]) -> list[tuple[str, ...]]:
    """nan and None (no rate known) as one word."""
    return [tuple("-" if cell is None or cell != cell else repr(float(cell)) for cell in row) for row in rows]


@pytest.mark.parametrize("seed", range(40))
def test_columns_tell_what_the_feed_tells(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    root = write(tmp_path, *made(rng))
    window = {"since": START + rng.randrange(2_000) * MINUTE if rng.random() < 0.5 else None,
              "until": START + rng.randrange(2_500, 9_000) * MINUTE if rng.random() < 0.5 else None}  # fmt: skip
    feed = open_recorded(root, {"BTCUSDT": BTC}, **window)  # type: ignore[arg-type]
    wanted = expected(feed)
    for size in (64, 16_384):
        rows, begins = told(feed, size)
        assert plain(rows) == plain(wanted)
        assert begins == next(row[1] for row in wanted if row[0] == OUTLOOK)


BAD = {
    "off the tick": lambda row: (*row[:4], row[4] + 0.03, row[5]),
    "no bar": lambda row: (row[0], row[1], row[3] - 1.0, *row[3:]),
    "twice": lambda row: (row[0] - MINUTE, *row[1:]),
    "not a number": lambda row: (*row[:5], float("nan")),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_said_in_the_feed_s_words(name: str, tmp_path: Path) -> None:
    rows = [(START + i * MINUTE, 50_000.0, 50_001.0, 49_999.0, 50_000.5, 1.0) for i in range(9_000)]
    rows[7_000] = BAD[name](rows[7_000])
    feed = open_recorded(write(tmp_path, rows, [(START, 1e-4)]), {"BTCUSDT": BTC})
    with pytest.raises(FeedError) as theirs:
        list(feed.events())
    with pytest.raises(FeedError) as ours:
        told(feed, 512)
    assert str(ours.value) == str(theirs.value)


@pytest.mark.skipif(not SHARED.exists(), reason="HEDGEGRIDD_SHARED: no recorded data there")
@pytest.mark.parametrize("file", ["klines/1m/BTCUSDT.parquet", "klines/15m/BTCUSDT.parquet"])
def test_recordings_are_told_alike(file: str) -> None:
    feed = open_recorded(SHARED / file, {"BTCUSDT": BTC}, until=1_740_000_000_000, interval=Path(file).parent.name)
    assert plain(told(feed, 16_384)[0]) == plain(expected(feed))
