"""The recorder: text of numbers, days, and files that two engines write alike."""

from __future__ import annotations

import csv
import hashlib
import random
from pathlib import Path

import numpy
import pytest

from hedgegridd.errors import HedgegriddError
from hedgegridd.kernel.metrics import midnights
from hedgegridd.model import Instrument
from hedgegridd.research.recorder import LINES, ROW, Course, Recorder, Table, Units, moment, number, quoted

BTC = Instrument(0.1, 0.001, 1, 10**9, 10**9, 5.0, 2.0, 5.0)
DAY = 86_400_000
START = 1_735_689_600_000


def row(time: int, equity: float) -> tuple[float, ...]:
    values = dict.fromkeys(ROW, 0) | {"time": time, "close": 500_001, "equity": equity, "funding_rate": float("nan")}
    return tuple(values[name] for name in ROW)


@pytest.mark.parametrize(("tick", "ticks", "text"), [(0.1, 293_163, "29316.3"), (0.01, 7, "0.07"), (1.0, 42, "42"), (1e-7, 3, "0.0000003")])
def test_prices_are_written_with_the_tick_s_decimals(tick: float, ticks: int, text: str) -> None:
    assert Units(BTC._replace(tick_size=tick)).price(ticks) == text


def test_numbers_read_back_as_they_were() -> None:
    rng = random.Random(1)
    assert number(-0.0) == "0.0" and moment(0) == "" and moment(START) == "2025-01-01T00:00:00.000Z"
    assert all(float(number(value)) == value for value in (rng.gauss(0, 10.0**e) for e in range(-12, 12)))
    assert next(csv.reader([quoted('he said "no", twice')])) == ['he said "no", twice']


def test_equity_at_each_midnight_is_that_of_the_last_bar_complete_by_then() -> None:
    course = Course(None, {"X": Units(BTC)}, 100.0)
    course.begin(START + DAY - 5)
    for at, equity in ((-2, 101.0), (0, 102.0), (3, 103.0), (DAY + 1, 104.0), (3 * DAY + 7, 105.0)):
        course.add("X", row(START + DAY + at, equity))
    course.flush()
    assert course.days(105.0) == [100.0, 102.0, 103.0, 104.0, 104.0, 105.0]
    assert len(course.days(105.0)) == midnights(course.first, course.last) + 2


@pytest.mark.parametrize("seed", range(20))
def test_how_bars_are_handed_over_changes_nothing(seed: int, tmp_path: Path) -> None:
    rng, time, made = random.Random(seed), START + seed * 1_111_111, []
    for _ in range(200):
        time += rng.choice([60_000, 60_000, 3_600_000, DAY * 2])
        made.append(row(time, 100 + rng.gauss(0, 5)))
    bytes_of = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        course = Course(tmp_path / name, {"X": Units(BTC)}, 100.0)
        course.begin(made[0][0] - 60_000)  # type: ignore[arg-type]
        for part in range(0, 200, 200 if name == "one" else 50):
            chunk = made[part : part + (200 if name == "one" else 50)]
            course.extend(["X"] * len(chunk), {key: numpy.array(column) for key, column in zip(ROW, zip(*chunk, strict=True), strict=True)})
        days, peak = course.days(made[-1][ROW.index("equity")]), course.peak
        course.close()
        bytes_of.append((days, peak))
    assert bytes_of[0] == bytes_of[1] and len(bytes_of[0][0]) == midnights(course.first, course.last) + 2


def test_a_run_without_a_bar_is_an_error_and_leaves_no_file_open(tmp_path: Path) -> None:
    with pytest.raises(HedgegriddError, match="no bar"), Recorder(tmp_path, {"X": BTC}, 100.0) as recorder:
        recorder.close()


@pytest.mark.parametrize("rows", [0, 1, LINES - 1, LINES, 3 * LINES + 7])
def test_a_table_is_whole_and_its_hash_is_that_of_the_file_however_many_lines(rows: int, tmp_path: Path) -> None:
    table, bare = Table(tmp_path / "t.csv", "a,b"), Table(None, "a,b")
    for row in range(rows):
        table.line(f"{row},\u20ac")
        bare.line(f"{row},\u20ac")
    digest = table.close()
    assert digest == table.close() == bare.close() == hashlib.sha256((tmp_path / "t.csv").read_bytes()).hexdigest()
    assert (tmp_path / "t.csv").read_text("utf-8") == "".join(f"{line}\n" for line in ["a,b", *(f"{row},\u20ac" for row in range(rows))])


def test_one_symbol_for_all_rows_is_written_as_one_for_each(tmp_path: Path) -> None:
    made = [row(START + minute * 60_000, 100.0 + minute % 7) for minute in range(500)]
    columns = {key: numpy.array(column) for key, column in zip(ROW, zip(*made, strict=True), strict=True)}
    for name, symbols in (("one", "X"), ("each", ["X"] * 500)):
        (tmp_path / name).mkdir()
        course = Course(tmp_path / name, {"X": Units(BTC)}, 100.0)
        course.begin(START)
        course.extend(symbols, columns)
        course.close()
    assert (tmp_path / "one/equity.parquet").read_bytes() == (tmp_path / "each/equity.parquet").read_bytes()
