import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hedgegridd.errors import FeedError
from hedgegridd.feed.source import open_recorded
from hedgegridd.model import Bar, FeedEnd, Funding, Gap, Instrument

MINUTE, HOUR, EIGHT = 60_000, 3_600_000, 28_800_000
T0 = 1_700_006_400_000
NAMES = "open_time,open,high,low,close,volume"
Both = dict[str, Instrument]
Writer = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path, parquet: Writer, klines: Any) -> Path:
    """Both symbols, two windows with a settlement in each and five in the hole; ETH begins 10 minutes late."""
    begin, again = T0 - 30 * MINUTE, T0 + 5 * EIGHT + 7 * HOUR + 30 * MINUTE
    for symbol, late in (("BTCUSDT", 0), ("ETHUSDT", 10)):
        rows = klines(60 - late, begin + late * MINUTE) + klines(60, again)
        parquet(tmp_path / f"klines/1m/{symbol}.parquet", NAMES, rows)
        parquet(tmp_path / f"funding/{symbol}.parquet", "funding_time,funding_rate", [(T0 + i * EIGHT + 8, 0.0001) for i in range(-3, 9)])
    return tmp_path


def test_symbols_are_merged_and_settled_inside_their_windows(root: Path, instruments: Both) -> None:
    feed = open_recorded(root, instruments)
    events = list(feed.events(0))
    assert [e.time for e in events] == sorted(e.time for e in events)
    assert [sum(type(e) is kind for e in events) for kind in (Bar, Gap, Funding, FeedEnd)] == [230, 2, 4, 1]
    assert [e.time - T0 for e in events if isinstance(e, Funding)] == [8, 8, 6 * EIGHT + 8, 6 * EIGHT + 8]
    assert feed.span() == (T0 - 30 * MINUTE, events[-1].time)
    assert feed.carries == {"bars", "volume", "funding"}
    assert feed.cadence_ms == MINUTE


def test_taken_up_anywhere_it_is_the_suffix(root: Path, instruments: Both) -> None:
    feed = open_recorded(root, instruments)
    full = list(feed.events(0))
    for after in sorted({e.time for e in full} | {T0 + 7, T0 + HOUR, T0 + 3 * EIGHT}):
        assert list(feed.events(after))[:-1] == [e for e in full[:-1] if e.time > after]


def test_a_window_has_what_lies_before_as_warmup(root: Path, instruments: Both) -> None:
    feed = open_recorded(root, instruments, since=T0, until=T0 + 5 * MINUTE)
    assert [b.time for b in feed.warmup("BTCUSDT", 5)] == [T0 - i * MINUTE for i in (4, 3, 2, 1, 0)]
    assert len(feed.warmup("ETHUSDT", 100)) == 20
    events = list(feed.events(0))
    assert (events[0].time, events[-1]) == (T0 + 8, FeedEnd(T0 + 5 * MINUTE))
    assert feed.span() == (T0, T0 + 5 * MINUTE)
    assert open_recorded(root, instruments).warmup("BTCUSDT", 5) == []


def test_warmup_does_not_reach_over_a_gap(root: Path, instruments: Both) -> None:
    feed = open_recorded(root, instruments, since=T0 + 6 * EIGHT)
    assert len(feed.warmup("BTCUSDT", 2000)) == 30


def test_next_funding_tells_the_time_and_the_last_rate(root: Path, instruments: Both) -> None:
    assert open_recorded(root, instruments).next_funding("BTCUSDT", T0 + HOUR) == (T0 + EIGHT + 8, 0.0001)


def test_no_funding_is_refused_unless_a_rate_is_set(tmp_path: Path, instruments: Both, text: Writer, klines: Any) -> None:
    path = text(tmp_path / "BTCUSDT.csv", klines(20, T0 - 10 * MINUTE))
    with pytest.raises(FeedError, match=r"no funding data for BTCUSDT .* set backtest.funding_bps, for a daemon feed.funding_bps"):
        open_recorded(path, instruments)
    events = list(open_recorded(path, instruments, funding_bps=1.0).events(0))
    assert [e for e in events if isinstance(e, Funding)] == [Funding("BTCUSDT", T0, 0.0001, EIGHT)]
    assert isinstance(events[events.index(Funding("BTCUSDT", T0, 0.0001, EIGHT)) - 1], Bar)
    assert not any(e.rate for e in open_recorded(path, instruments, funding_bps=0.0).events(0) if isinstance(e, Funding))


def test_what_funding_lacks_is_noted(root: Path, instruments: Both, parquet: Writer) -> None:
    parquet(root / "funding/BTCUSDT.parquet", "funding_time,funding_rate", [(T0 + 6 * EIGHT, 0.0001)])
    feed = open_recorded(root, instruments)
    assert feed.notes() == ["BTCUSDT: no funding recorded for 1 settlements, 2023-11-15T00:00:00.000Z to 2023-11-15T00:00:00.000Z"]


def test_two_kinds_of_data_for_one_symbol_are_refused(tmp_path: Path, instruments: Both, text: Writer, klines: Any) -> None:
    text(tmp_path / "BTCUSDT-1m.csv", klines(20))
    text(tmp_path / "BTCUSDT-5m.csv", klines(20, T0, 5 * MINUTE))
    with pytest.raises(FeedError, match="more than one kind of data for BTCUSDT"):
        open_recorded(tmp_path, instruments, funding_bps=0.0)


# --- the real data ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("symbol", "bars", "windows"), [("BTCUSDT", 159_537, 3), ("ETHUSDT", 223_604, 4)])
def test_the_real_minutes(shared: Path, instruments: Both, symbol: str, bars: int, windows: int) -> None:
    feed = open_recorded(shared / f"klines/1m/{symbol}.parquet", {symbol: instruments[symbol]})
    counts = dict.fromkeys((Bar, Gap, Funding, FeedEnd), 0)
    empty = 0
    for event in feed.events(0):
        counts[type(event)] += 1
        empty += isinstance(event, Bar) and event.volume == 0
    assert (counts[Bar], counts[Gap], counts[FeedEnd]) == (bars, windows - 1, 1)
    assert empty == {"BTCUSDT": 17, "ETHUSDT": 20}[symbol]
    assert counts[Funding] == {"BTCUSDT": 333, "ETHUSDT": 433}[symbol]


def test_the_real_quarters_have_no_gap(shared: Path, instruments: Both) -> None:
    feed = open_recorded(shared, instruments, interval="15m")
    events = list(feed.events(0))
    assert sum(isinstance(e, Bar) for e in events) == 2 * 52_512
    assert not any(isinstance(e, Gap) for e in events)
    assert feed.notes() == []


def test_the_real_feed_taken_up_in_the_middle(shared: Path, instruments: Both) -> None:
    feed = open_recorded(shared / "klines/1m", instruments)
    full = [repr(e) for e in feed.events(1_750_000_000_000)]
    again = list(feed.events(1_750_400_000_000))
    assert full[-len(again) :] == [repr(e) for e in again]
    assert (
        hashlib.sha256("".join(full).encode()).hexdigest()
        == hashlib.sha256("".join(map(repr, feed.events(1_750_000_000_000))).encode()).hexdigest()
    )


def test_real_captures_need_no_rate_where_marks_tell_it(shared: Path, instruments: Both, tmp_path: Path) -> None:
    path = tmp_path / "btcusdt_20230404.dat.gz"
    path.write_bytes((shared / "captures" / path.name).read_bytes())
    assert "funding" in open_recorded(path, instruments).carries
    assert "marks" in open_recorded(shared / "captures", instruments).tapes[0].carries
