"""Every benchmark runs, at tiny sizes. How fast it is is no test's business; the figures must only be there and make sense."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in ("all", "stage", "test_bench"))


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
