"""Every benchmark runs, at tiny sizes. How fast it is is no test's business; the figures must only be there and make sense."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in ("all", "stage", "test_bench", "w1_grid"))


@pytest.fixture(autouse=True)
def as_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks import each other as the scripts they are."""
    monkeypatch.syspath_prepend(str(HERE))


@pytest.mark.parametrize("name", NAMES)
def test_measures_something(name: str) -> None:
    rows = import_module(name).measure(True)
    assert rows
    assert all(math.isfinite(row.value) and 0 < row.value < 1e12 for row in rows), rows


def test_the_table_of_all_has_every_benchmark() -> None:
    assert {module.__name__ for module in import_module("all").BENCHMARKS} == set(NAMES)


def test_the_table_lines_up() -> None:
    stage = import_module("stage")
    lines = stage.table([stage.Row("long name of a figure", 12_345.6, "1/s", "> 1", "note"), stage.Row("x", 0.00123, "s")]).splitlines()
    assert len(lines) == 3
    assert {line.index(word) + len(word) for line, word in zip(lines, ("measured", "12,346", "0.00123"), strict=True)} == {
        lines[0].index("measured") + 8
    }


def test_w1_sees_the_equity_of_every_bar_though_it_skips_most() -> None:
    """Peak and deepest fall are those of an account that is looked at after each single bar."""
    w1, grid = import_module("w1"), import_module("w1_grid")
    bars, peak, deepest = w1.made_up(20_000), grid.CASH, 0.0

    def bar_by_bar(run: Any, terms: Any, _: Any, first: int, last: int) -> None:
        nonlocal peak, deepest
        for at in range(first, last):
            grid.play(run, terms, bars, at, at + 1)
            seen = run.x[grid.AT_ZERO] + run.x[grid.A_TICK] * bars[3 * at + 2]
            peak = max(peak, seen)
            deepest = max(deepest, (peak - seen) / peak)

    _, slow = w1.played(w1.PLAIN._replace(play=bar_by_bar), bars)
    _, whole = w1.played(w1.PLAIN, bars)
    assert slow == whole
    assert (whole.all[1][grid.PEAK], whole.deepest) == (peak, deepest)
    assert whole.counts["entries"] > 50 and peak > grid.CASH and deepest > 0
