from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hedgegridd.cli import main
from hedgegridd.errors import FeedError
from hedgegridd.feed.inventory import cells, inventory, parts

T0, DAY, MINUTE, HOUR = 1_700_006_400_000, 86_400_000, 60_000, 3_600_000  # 2023-11-15 00:00 UTC
Writer = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path, text: Writer, klines: Any) -> Path:
    """Two symbols, one of them with a hole of two days between its parts, and funding of the other."""
    text(tmp_path / "klines/1m/BTCUSDT.csv", klines(60))
    text(tmp_path / "klines/1m/ETHUSDT/2023-11-15.csv", klines(3))
    text(tmp_path / "klines/1m/ETHUSDT/2023-11-17.csv", klines(4, T0 + 2 * DAY))
    text(tmp_path / "funding/BTCUSDT.csv", [(T0 + n * 8 * HOUR, 0.0001) for n in (0, 1, 5)], "funding_time,funding_rate")
    return tmp_path


def test_rows_times_and_holes_are_told_by_symbol(root: Path) -> None:
    btc, eth, funding = inventory(root)
    assert (btc.symbol, btc.interval, btc.rows, btc.parts) == ("BTCUSDT", "1m", 60, [(T0, T0 + HOUR)])
    assert (eth.files, eth.rows, eth.parts) == (2, 7, [(T0, T0 + 3 * MINUTE), (T0 + 2 * DAY, T0 + 2 * DAY + 4 * MINUTE)])
    assert eth.hole_ms == 2 * DAY - 3 * MINUTE
    assert (funding.kind, funding.symbol, funding.rows, funding.hole_ms) == ("funding", "BTCUSDT", 3, 32 * HOUR)
    assert eth.row()["longest_hole_seconds"] == eth.hole_ms / 1000 and eth.row()["from"] == "2023-11-15T00:00:00.000Z"


def test_the_parts_are_said_as_options_of_a_backtest(root: Path) -> None:
    assert parts(inventory(root)) == [
        "ETHUSDT 1m, unbroken:",
        "  --from 2023-11-15T00:00Z --to 2023-11-15T00:03Z  0 h 3 min",
        "  --from 2023-11-17T00:00Z --to 2023-11-17T00:04Z  0 h 4 min",
    ]
    assert cells(inventory(root))[0] == ["klines", "BTCUSDT", "1m", "1", "60", "2023-11-15 00:00 UTC", "2023-11-15 01:00 UTC", "1", "-"]


def test_a_file_alone_and_a_capture(root: Path, tmp_path: Path) -> None:
    (btc, funding) = inventory(root / "klines/1m/BTCUSDT.csv")
    assert (btc.rows, funding.rows) == (60, 3)
    capture = tmp_path / "captured" / "btcusdt_20230404.dat"
    capture.parent.mkdir()
    capture.write_text('1680652800000 {"stream":"btcusdt@trade","data":{}}\n')
    found = inventory(capture)[0]
    assert (found.kind, found.rows, found.parts) == ("capture", None, [])
    assert cells([found])[0][4:7] == ["?", "?", "?"]


def test_what_goes_back_in_time_or_is_nothing_is_named(root: Path, tmp_path: Path, text: Writer, klines: Any) -> None:
    text(root / "klines/1m/ETHUSDT/2023-11-18.csv", klines(1))
    with pytest.raises(FeedError, match=r"2023-11-18\.csv, row .* comes after"):
        inventory(root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FeedError, match="holds nothing"):
        inventory(tmp_path / "empty")


def test_as_a_person_types_it(root: Path) -> None:
    done = CliRunner().invoke(main, ["data", "info", str(root)])
    assert done.exit_code == 0 and "BTCUSDT" in done.output and "unbroken" in done.output
    wrong = CliRunner().invoke(main, ["data", "info", str(root / "none")])
    assert wrong.exit_code == 2 and "does not exist" in wrong.output
