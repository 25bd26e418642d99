from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgegridd.errors import FeedError
from hedgegridd.feed.funding import EIGHT_HOURS_MS, HOUR_MS, Schedule, next_grid
from hedgegridd.model import Funding

T0 = 1_700_006_400_000
NAMES = "funding_time,funding_rate"
EIGHT = EIGHT_HOURS_MS
Writer = Callable[..., Path]


def test_recorded_rows_keep_their_time_and_rate(tmp_path: Path, text: Writer) -> None:
    path = text(tmp_path / "f.csv", [(T0, 0.0001), (T0 + EIGHT + 8, -0.0002)], NAMES)
    assert list(Schedule("X", [path]).after(T0 - 1)) == [Funding("X", T0, 0.0001, EIGHT), Funding("X", T0 + EIGHT + 8, -0.0002, EIGHT)]


def test_intervals_come_from_the_row_or_the_distance(tmp_path: Path, text: Writer) -> None:
    near = text(tmp_path / "f.csv", [(T0 + i * 4 * HOUR_MS, 0.0001) for i in range(3)], NAMES)
    assert [row.interval_ms // HOUR_MS for row in Schedule("X", [near]).rows] == [8, 4, 4]
    said = text(tmp_path / "g.csv", [(T0, 4, 0.0001), (T0 + 40 * HOUR_MS, 4, 0.0001)], "calc_time,funding_interval_hours,last_funding_rate")
    assert [row.interval_ms // HOUR_MS for row in Schedule("X", [said]).rows] == [4, 4]


def test_a_constant_fills_only_what_is_not_recorded(tmp_path: Path, text: Writer) -> None:
    path = text(tmp_path / "f.csv", [(T0 + 8, 0.0003), (T0 + 3 * EIGHT + 5, 0.0004)], NAMES)
    rows = takewhile(lambda row: row.time <= T0 + 5 * EIGHT, Schedule("X", [path], 0.0001).after(T0 - EIGHT - 1))
    assert [(row.time - T0, row.rate) for row in rows] == [
        (-EIGHT, 0.0001), (8, 0.0003), (EIGHT, 0.0001), (2 * EIGHT, 0.0001),
        (3 * EIGHT + 5, 0.0004), (4 * EIGHT, 0.0001), (5 * EIGHT, 0.0001),
    ]  # fmt: skip


@given(st.integers(T0 - 2 * EIGHT, T0 + 6 * EIGHT))
def test_taken_up_anywhere_it_is_the_suffix(after: int) -> None:
    schedule = Schedule("X", (), 0.0001)
    schedule.rows = [Funding("X", T0 + 8, 0.0003, EIGHT), Funding("X", T0 + 3 * EIGHT + 5, 0.0004, EIGHT)]
    schedule._times = [row.time for row in schedule.rows]

    def until(begin: int) -> list[Funding]:
        return list(takewhile(lambda row: row.time < T0 + 7 * EIGHT, schedule.after(begin)))

    assert until(after) == [row for row in until(T0 - 3 * EIGHT) if row.time > after]


def test_the_next_time_is_known_but_only_the_last_rate(tmp_path: Path, text: Writer) -> None:
    schedule = Schedule("X", [text(tmp_path / "f.csv", [(T0 + 8, 0.0003), (T0 + EIGHT + 5, 0.0004)], NAMES)])
    assert schedule.next(T0 + HOUR_MS) == (T0 + EIGHT + 5, 0.0003)
    assert schedule.next(T0 - HOUR_MS) == (T0 + 8, None)
    assert schedule.next(T0 + EIGHT + HOUR_MS) == (T0 + 2 * EIGHT, 0.0004)
    assert schedule.next(T0 + 5 * EIGHT) == (T0 + 6 * EIGHT, None)


def test_missing_settlements_are_counted(tmp_path: Path, text: Writer) -> None:
    schedule = Schedule("X", [text(tmp_path / "f.csv", [(T0 + 8, 0.0003), (T0 + 3 * EIGHT, 0.0004)], NAMES)])
    assert schedule.missing(T0, T0 + 3 * EIGHT) == [T0 + EIGHT, T0 + 2 * EIGHT]
    assert Schedule("X", (), 0.0).missing(T0, T0 + 9 * EIGHT) == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(T0, 0.0001), (T0, 0.0001)], "row 3: funding_time .* is not later"),
        ([(T0, 10.0)], "row 2: funding_rate is 10.0, expected a fraction"),
        ([("x", 0.1)], "row 2: funding_time is 'x', expected a number"),
        ([(T0, "nan")], "row 2: funding_rate is nan"),
    ],
)
def test_errors_name_the_row(tmp_path: Path, text: Writer, rows: list[tuple[Any, Any]], words: str) -> None:
    with pytest.raises(FeedError, match=words):
        Schedule("X", [text(tmp_path / "f.csv", rows, NAMES)])


def test_bars_are_no_funding(tmp_path: Path, text: Writer, klines: Any) -> None:
    with pytest.raises(FeedError, match="holds klines, expected funding"):
        Schedule("X", [text(tmp_path / "f.csv", klines(2))])


def test_the_grid_is_every_eight_hours_utc() -> None:
    assert next_grid(T0) == T0 + EIGHT
    assert next_grid(T0 - 1) == T0
