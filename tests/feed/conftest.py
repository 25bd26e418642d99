"""What the feed's tests share: two instruments, and writers of small real files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hedgegridd.model import Instrument

MINUTE = 60_000
T0 = 1_700_006_400_000  # 2023-11-15 00:00 UTC


@pytest.fixture
def btc() -> Instrument:
    return Instrument(0.1, 0.001, 1, 10**6, 10**5, 5.0, 2.0, 5.0)


@pytest.fixture
def instruments(btc: Instrument) -> dict[str, Instrument]:
    return {"BTCUSDT": btc, "ETHUSDT": btc._replace(tick_size=0.01)}


@pytest.fixture
def shared() -> Path:
    folder = Path(os.environ.get("HEDGEGRIDD_SHARED", Path(__file__).parents[3] / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip("recorded data not here: set HEDGEGRIDD_SHARED")
    return folder


@pytest.fixture
def klines() -> Callable[..., list[list[float]]]:
    """Rows of klines: `count` minutes from `start`, prices going up a tick a minute."""

    def rows(count: int, start: int = T0, step: int = MINUTE) -> list[list[float]]:
        return [[start + i * step, 100.0 + i / 10, 100.2 + i / 10, 99.9 + i / 10, 100.1 + i / 10, 1.5] for i in range(count)]

    return rows


@pytest.fixture
def parquet() -> Callable[[Path, str, Sequence[Sequence[float]]], Path]:
    """Write rows under the comma separated names, in row groups of 7."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    def write(path: Path, names: str, rows: Sequence[Sequence[float]]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names.split(",")]
        write_table(pyarrow.table(columns, names=names.split(",")), path, row_group_size=7)
        return path

    return write


@pytest.fixture
def text() -> Callable[..., Path]:
    """Write rows as CSV, with a first line where one is given."""

    def write(path: Path, rows: Sequence[Sequence[object]], header: str = "") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [header] if header else []
        path.write_text("\n".join(lines + [",".join(map(str, row)) for row in rows]) + "\n")
        return path

    return write
