import gzip
import sys
import zipfile
from pathlib import Path

import pytest

from hedgegridd.errors import FeedError
from hedgegridd.feed import tables

KLINE = "1700006400000,100.0,100.2,99.9,100.1,1.5,1700006459999,150.0,3,0.5,50.0,0\n"
KLINE_HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"


def read(path: Path) -> list[tuple[int, list[object]]]:
    form = tables.shape(path)
    width = len(tables.KINDS[form.kind].columns)
    return [(b.place.row, [b.column(i) for i in range(width)]) for b in tables.batches(path, form)]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (KLINE, "klines"),
        (KLINE_HEADER + KLINE, "klines"),
        ("1,100.0,0.5,7,9,1700006400000,true\n", "trades"),
        (
            "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n1,1,1,1,1,1700006400000,false\n",
            "trades",
        ),
        ("1,100.0,0.5,50.0,1700006400000,false\n", "trades"),
        ("id,price,qty,quote_qty,time,is_buyer_maker\n1,1,1,1,1700006400000,true\n", "trades"),
        ("calc_time,funding_interval_hours,last_funding_rate\n1700006400000,8,0.0001\n", "funding"),
        ("fundingTime,fundingRate\n1700006400000,0.0001\n", "funding"),
        ("1700006400000,8,0.0001\n", "funding"),
        ('1680652700423575 {"stream":"x","data":{}}\n', "capture"),
        ('{"t":"recv"}\n', "capture"),
    ],
)
def test_a_file_is_known_by_its_content(tmp_path: Path, content: str, kind: str) -> None:
    path = tmp_path / "data"
    path.write_text(content)
    assert tables.shape(path).kind == kind


@pytest.mark.parametrize("pack", ["plain", "gzip", "zip"])
def test_rows_come_out_of_every_packing(tmp_path: Path, pack: str) -> None:
    path = tmp_path / "BTCUSDT-1m-2023-11-15"
    if pack == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("BTCUSDT-1m.csv", KLINE_HEADER + KLINE)
    else:
        path.write_bytes(gzip.compress((KLINE_HEADER + KLINE).encode()) if pack == "gzip" else (KLINE_HEADER + KLINE).encode())
    assert read(path) == [(2, [[1700006400000.0], [100.0], [100.2], [99.9], [100.1], [1.5]])]


def test_flags_become_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("1,100.0,0.5,7,9,1700006400000,True\n2,100.0,0.5,7,9,1700006400000,false\n")
    assert read(path)[0][1][4] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (KLINE + "1700006460000,100.0\n", "row 2: 2 cells, expected 12"),
        (KLINE + KLINE.replace("99.9", "abc"), "row 2: low is 'abc', expected a number"),
        ("1,2,3,4\n", "row 1: 4 cells and no header"),
        ("date,price\n2024,1\n", "columns date, price: expected those of one of klines: open_time"),
        ("", "no header"),
    ],
)
def test_errors_teach(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(FeedError, match=words):
        read(path)


def test_a_cut_gzip_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(KLINE.encode() * 500)[:-40])
    with pytest.raises(FeedError, match="damaged or cut short"):
        read(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="No such file"):
        tables.shape(tmp_path / "none")


def test_parquet_columns_by_name_whatever_their_order_and_type(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    times = pa.array([1700006400000, 1700006460000]).cast(pa.timestamp("ms")).cast(pa.timestamp("us", "UTC"))
    columns = {"volume": pa.array(["1.5", "2"]), "extra": [0, 0], "open_time": times, "open": [1, 2], "high": [1.5, 2.5]}
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({**columns, "low": [1.0, 2.0], "close": [1.0, 2.0]}), path)
    [(row, values)] = read(path)
    assert (row, values[0], values[5]) == (1, [1700006400000, 1700006460000], [1.5, 2.0])


def test_mark_klines_are_no_bars(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({name: [1.0] for name in ("open_time", "open", "high", "low", "close")}), path)
    with pytest.raises(FeedError, match="expected those of one of klines"):
        tables.shape(path)


def test_a_broken_parquet_file_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(FeedError, match="not a readable Parquet file"):
        tables.shape(path)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FeedError, match=r"hedgegridd\[data\]"):
        tables.shape(path)
