from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hedgegridd.errors import FeedError
from hedgegridd.feed.layout import find, funding_files, interval_ms, interval_text

T0, DAY = 1_700_006_400_000, 86_400_000
BOTH = ["BTCUSDT", "ETHUSDT"]
Writer = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path, text: Writer, klines: Any) -> Path:
    text(tmp_path / "klines/1m/BTCUSDT.csv", klines(3))
    text(tmp_path / "klines/1m/ETHUSDT/2023-11-16.csv", klines(3, T0 + DAY))
    text(tmp_path / "klines/1m/ETHUSDT/2023-11-15.csv", klines(3))
    text(tmp_path / "klines/15m/BTCUSDT.csv", klines(3))
    text(tmp_path / "funding/BTCUSDT.csv", [(T0, 0.0001)], "funding_time,funding_rate")
    return tmp_path


def test_a_root_holds_one_file_or_a_folder_of_parts_for_each_symbol(root: Path) -> None:
    btc, eth = find(root, BOTH)
    assert (btc.symbol, btc.kind, [f.name for f in btc.files]) == ("BTCUSDT", "klines", ["BTCUSDT.csv"])
    assert [f.name for f in eth.files] == ["2023-11-15.csv", "2023-11-16.csv"]
    assert [s.symbol for s in find(root, BOTH, symbol="ETHUSDT")] == ["ETHUSDT"]


def test_a_file_under_a_root_finds_its_interval_and_funding(root: Path) -> None:
    path = root / "klines/15m/BTCUSDT.csv"
    [source] = find(path, BOTH)
    assert (source.symbol, source.interval_ms) == ("BTCUSDT", 15 * 60_000)
    assert funding_files(path, "BTCUSDT") == (root / "funding/BTCUSDT.csv",)
    assert funding_files(root, "ETHUSDT") == ()


def test_archive_files_follow_one_another(tmp_path: Path, text: Writer, klines: Any) -> None:
    for name, start in (("BTCUSDT-5m-2023-12", T0 + 30 * DAY), ("BTCUSDT-5m-2023-11", T0), ("XRPUSDT-5m-2023-11", T0)):
        text(tmp_path / f"{name}.csv", klines(3, start, 300_000))
    text(tmp_path / "BTCUSDT-fundingRate-2023-11.csv", [(T0, 8, 0.0001)])
    [source] = find(tmp_path, BOTH)
    assert (source.symbol, source.interval_ms) == ("BTCUSDT", 300_000)
    assert [f.name for f in source.files] == ["BTCUSDT-5m-2023-11.csv", "BTCUSDT-5m-2023-12.csv"]
    assert [f.name for f in funding_files(tmp_path, "BTCUSDT")] == ["BTCUSDT-fundingRate-2023-11.csv"]


def test_a_nameless_file_belongs_to_the_only_instrument_or_to_the_one_named(tmp_path: Path, text: Writer, klines: Any) -> None:
    path = text(tmp_path / "prices.csv", klines(3))
    assert find(path, ["BTCUSDT"])[0].symbol == "BTCUSDT"
    assert find(path, BOTH, symbol="ETHUSDT")[0].symbol == "ETHUSDT"
    with pytest.raises(FeedError, match=r"holds PRICES, the configuration has BTCUSDT, ETHUSDT \(`backtest --symbol"):
        find(path, BOTH)


@pytest.mark.parametrize(
    ("where", "options", "words"),
    [
        ("", {"symbols": ["BTCUSD"]}, r"no data for BTCUSD \(did you mean BTCUSDT\?\); there is BTCUSDT, ETHUSDT"),
        ("", {"interval": "5m"}, "no such folder; intervals there: 15m, 1m"),
        ("", {"interval": "5x"}, "interval '5x': expected a number and one of s m h d"),
        ("", {"symbol": "XRPUSDT"}, "not an .*instrument.* of the configuration"),
        ("none", {}, "no such file or folder"),
        ("klines/15m/BTCUSDT.csv", {"interval": "5m"}, "holds bars of 15m by its name, expected 5m"),
        ("klines/1m/BTCUSDT.csv", {"symbols": ["ETHUSDT"]}, "holds BTCUSDT, the configuration has ETHUSDT"),
    ],
)
def test_errors_say_where_and_what_is_there(root: Path, where: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(FeedError, match=words):
        find(root / where, **{"symbols": BOTH, **options})


def test_intervals() -> None:
    assert [interval_ms(text) for text in ("1m", "15m", "1h", "1d")] == [60_000, 900_000, 3_600_000, DAY]
    assert [interval_text(length) for length in (1_000, 60_000, 900_000, 5_400_000, 3_600_000, DAY)] == [
        "1s",
        "1m",
        "15m",
        "90m",
        "1h",
        "1d",
    ]
