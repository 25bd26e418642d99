from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hedgegridd.errors import FeedError
from hedgegridd.feed.bars import BarTape
from hedgegridd.model import Bar, Gap, Instrument

MINUTE, HOUR = 60_000, 3_600_000
T0 = 1_700_006_400_000
NAMES = "open_time,open,high,low,close,volume"
Writer = Callable[..., Path]


def tape(btc: Instrument, *files: Path, interval: int = MINUTE) -> BarTape:
    return BarTape("BTCUSDT", btc, files, interval, HOUR)


def test_a_row_becomes_a_bar_at_its_completion(tmp_path: Path, btc: Instrument, text: Writer, klines: Any) -> None:
    path = text(tmp_path / "b.csv", klines(1), NAMES)
    assert list(tape(btc, path).events(0)) == [Bar("BTCUSDT", T0 + MINUTE, 1000, 1002, 999, 1001, 1500, MINUTE)]


def test_parquet_csv_and_parts_tell_the_same(tmp_path: Path, btc: Instrument, text: Writer, parquet: Writer, klines: Any) -> None:
    rows = klines(50)
    whole = list(tape(btc, parquet(tmp_path / "b.parquet", NAMES, rows)).events(0))
    parts = [text(tmp_path / "1.csv", rows[:20], NAMES), text(tmp_path / "2.csv", rows[20:])]
    assert len(whole) == 50
    assert whole == list(tape(btc, *parts).events(0))


def test_only_long_holes_are_told(tmp_path: Path, btc: Instrument, text: Writer, klines: Any) -> None:
    late, later = T0 + 3 * MINUTE + HOUR, T0 + 5 * MINUTE + 2 * HOUR + MINUTE
    path = text(tmp_path / "b.csv", klines(3) + klines(2, late) + klines(2, later))
    events = list(tape(btc, path).events(0))
    assert [e for e in events if isinstance(e, Gap)] == [Gap("BTCUSDT", later, late + 2 * MINUTE)]
    assert isinstance(events[5], Gap)
    assert tape(btc, path).windows() == [(T0, late + 2 * MINUTE), (later, later + 2 * MINUTE)]


def test_taken_up_anywhere_it_is_the_suffix(tmp_path: Path, btc: Instrument, parquet: Writer, klines: Any) -> None:
    path = parquet(tmp_path / "b.parquet", NAMES, klines(12) + klines(12, T0 + 5 * HOUR))
    full = list(tape(btc, path).events(0))
    times = {e.time for e in full} | {T0, T0 + 30_000, T0 + 2 * HOUR, T0 + 5 * HOUR + 1, T0 + 9 * HOUR}
    for after in times:
        assert list(tape(btc, path).events(after)) == [e for e in full if e.time > after]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({4: (0, T0 + 3 * MINUTE)}, r"row 5: open_time .* appears twice"),
        ({4: (0, T0 + MINUTE)}, "row 5: open_time .* is earlier than the row before it"),
        ({4: (0, T0 + 3 * MINUTE + 1000)}, "row 5: only 1 s after the row before it"),
        ({2: (2, 99.0)}, "row 3: no bar can be open 100.2 high 99"),
        ({2: (3, 0.0)}, "row 3: no bar can be"),
        ({2: (5, -1.0)}, "row 3: no bar can be"),
        ({1: (4, 100.15)}, r"row 2: close 100\.15 is not a multiple of tick_size 0\.1"),
        ({1: (5, "x")}, "row 2: volume is 'x', expected a number"),
        ({1: (5, float("nan"))}, "row 2: volume is nan, expected a number"),
        ({3: (1, "")}, "row 4: open is '', expected a number"),
    ],
)
def test_what_cannot_be_believed_names_its_row(
    tmp_path: Path, btc: Instrument, text: Writer, klines: Any, change: dict[int, tuple[int, Any]], words: str
) -> None:
    rows = klines(6)
    for row, (column, value) in change.items():
        rows[row][column] = value
    path = text(tmp_path / "b.csv", rows)
    with pytest.raises(FeedError, match=words) as caught:
        list(tape(btc, path).events(0))
    assert str(path) in str(caught.value)


def test_duplicates_between_files_are_found(tmp_path: Path, btc: Instrument, text: Writer, klines: Any) -> None:
    files = [text(tmp_path / "1.csv", klines(3)), text(tmp_path / "2.csv", klines(3, T0 + 2 * MINUTE))]
    with pytest.raises(FeedError, match=r"2\.csv, row 1: .* appears twice"):
        list(tape(btc, *files).events(0))


def test_bars_of_a_longer_interval_are_not_mistaken_for_holes(tmp_path: Path, btc: Instrument, text: Writer, klines: Any) -> None:
    path = text(tmp_path / "b.csv", klines(5, step=15 * MINUTE))
    with pytest.raises(FeedError, match="at least 900 s apart, expected an interval of 60 s"):
        list(tape(btc, path).events(0))


def test_reading_streams(tmp_path: Path, btc: Instrument, text: Writer, klines: Any) -> None:
    rows = klines(9000)
    rows[8999][1] = "broken"
    events = tape(btc, text(tmp_path / "b.csv", rows)).events(0)
    assert next(events).time == T0 + MINUTE  # the end was not looked at yet


def test_an_empty_table_is_an_error(tmp_path: Path, btc: Instrument, text: Writer) -> None:
    with pytest.raises(FeedError, match="no rows"):
        tape(btc, text(tmp_path / "b.csv", [], NAMES)).first()


@pytest.mark.parametrize(("volume", "lots"), [(14.155000000000001, 14_155), (0.0005, 0), (0.0029999, 2), (7.0, 7_000)])
def test_a_volume_between_lots_is_counted_in_the_full_ones(
    tmp_path: Path, btc: Instrument, text: Writer, klines: Any, volume: float, lots: int
) -> None:
    rows = klines(2)
    rows[1][5] = volume
    assert [event.volume for event in tape(btc, text(tmp_path / "b.csv", rows)).events(0) if isinstance(event, Bar)][1] == lots
