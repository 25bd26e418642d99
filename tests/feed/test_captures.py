import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hedgegridd.errors import FeedError
from hedgegridd.feed.captures import CaptureTape
from hedgegridd.model import Bar, Funding, Gap, Instrument, Mark, Quote, Trade

MINUTE, HOUR, EIGHT = 60_000, 3_600_000, 28_800_000
T0 = 1_700_006_400_000


def quote(time: int, number: int, bid: str = "100.0", ask: str = "100.1") -> dict[str, Any]:
    return {"e": "bookTicker", "u": number, "s": "BTCUSDT", "b": bid, "B": "1.5", "a": ask, "A": "2", "T": time, "E": time}


def trade(time: int, number: int, price: str = "100.0", **more: Any) -> dict[str, Any]:
    return {"e": "trade", "E": time, "T": time, "s": "BTCUSDT", "t": number, "p": price, "q": "0.5", "X": "MARKET", "m": True, **more}


def mark(time: int, settles: int, rate: str = "0.0001") -> dict[str, Any]:
    return {"e": "markPriceUpdate", "E": time, "s": "BTCUSDT", "p": "100.04", "i": "100.02", "r": rate, "T": settles}


def write(path: Path, messages: list[dict[str, Any]], tail: str = "") -> Path:
    lines = [f"{1} {json.dumps({'stream': 'x', 'data': m})}\n" for m in messages]  # the collector's clock says 1 throughout
    path.write_bytes(gzip.compress(("".join(lines) + tail).encode()))
    return path


def tape(btc: Instrument, *files: Path) -> CaptureTape:
    return CaptureTape({"BTCUSDT": btc}, files, MINUTE, HOUR)


def test_each_message_becomes_its_event(tmp_path: Path, btc: Instrument) -> None:
    path = write(tmp_path / "c.gz", [quote(T0, 1), trade(T0 + 1, 1), mark(T0 + 2, T0 + EIGHT)])
    found = tape(btc, path)
    assert list(found.events(0)) == [
        Quote("BTCUSDT", T0, 1000, 1500, 1001, 2000),
        Trade("BTCUSDT", T0 + 1, 1000, 500, True),
        Mark("BTCUSDT", T0 + 2, 100.04 / 0.1, 100.02 / 0.1, 0.0001, T0 + EIGHT),
    ]
    assert found.carries == {"quotes", "trades", "bars", "volume", "marks", "index", "funding"}


def test_depth_and_foreign_symbols_and_snapshots_are_passed_over(tmp_path: Path, btc: Instrument) -> None:
    others = [
        {"e": "depthUpdate", "E": T0, "s": "BTCUSDT"},
        {**quote(T0, 1), "s": "XRPUSDT"},
        {"lastUpdateId": 5},
        {"e": "kline", "s": "BTCUSDT"},
    ]
    assert [type(e) for e in tape(btc, write(tmp_path / "c.gz", [*others, quote(T0, 2)])).events(0)] == [Quote]


def test_time_never_goes_back(tmp_path: Path, btc: Instrument) -> None:
    path = write(tmp_path / "c.gz", [quote(T0 + 50, 1), trade(T0 + 20, 1), quote(T0 + 60, 2)])
    assert [e.time - T0 for e in tape(btc, path).events(0)] == [50, 50, 60]


def test_repeated_deliveries_and_prints_off_the_market_are_dropped(tmp_path: Path, btc: Instrument) -> None:
    messages = [trade(T0, 7), trade(T0, 7), trade(T0, 6), trade(T0, 8, "150.0", X="INSURANCE_FUND"), trade(T0, 9)]
    path = write(tmp_path / "c.gz", [*messages, quote(T0, 2), quote(T0, 1), quote(T0, 2)])
    assert [type(e) for e in tape(btc, path).events(0)] == [Trade, Trade, Quote]


def test_trades_are_counted_once_where_both_streams_run(tmp_path: Path, btc: Instrument) -> None:
    whole = {"e": "aggTrade", "E": T0, "T": T0, "s": "BTCUSDT", "a": 4, "p": "100.0", "q": "1.0", "m": False}
    path = write(tmp_path / "c.gz", [whole, trade(T0, 1), trade(T0, 2), {**whole, "a": 5}])
    assert [e.qty for e in tape(btc, path).events(0) if isinstance(e, Trade)] == [1000, 1000]


def test_bars_are_built_of_whole_minutes(tmp_path: Path, btc: Instrument) -> None:
    messages = [trade(T0 + 30_000, 1), trade(T0 + MINUTE, 2, "101.0"), trade(T0 + MINUTE + 5, 3, "100.5"), quote(T0 + 2 * MINUTE, 1)]
    events = list(tape(btc, write(tmp_path / "c.gz", messages)).events(0))
    assert [e for e in events if isinstance(e, Bar)] == [Bar("BTCUSDT", T0 + 2 * MINUTE, 1010, 1010, 1005, 1005, 1000, MINUTE)]


def test_a_settlement_is_seen_when_the_next_is_announced(tmp_path: Path, btc: Instrument) -> None:
    messages = [mark(T0 - 1000, T0, "0.0003"), mark(T0 + 5, T0 + EIGHT, "0.0001")]
    events = list(tape(btc, write(tmp_path / "c.gz", messages)).events(0))
    assert events[1] == Funding("BTCUSDT", T0 + 5, 0.0003, EIGHT)


def test_a_hole_between_two_files_is_a_gap(tmp_path: Path, btc: Instrument) -> None:
    files = [write(tmp_path / "1.gz", [quote(T0, 1)]), write(tmp_path / "2.gz", [quote(T0 + 2 * HOUR, 2)])]
    assert list(tape(btc, *files).events(0))[1] == Gap("BTCUSDT", T0 + 2 * HOUR, T0)


def test_json_lines_with_the_payload_as_text(tmp_path: Path, btc: Instrument) -> None:
    path = tmp_path / "c.jsonl"
    rows = [{"t": "header"}, {"t": "recv", "ts": 1.5, "data": json.dumps({"stream": "x", "data": quote(T0, 1)})}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [type(e) for e in tape(btc, path).events(0)] == [Quote]


def test_a_line_cut_at_the_end_is_dropped_elsewhere_refused(tmp_path: Path, btc: Instrument) -> None:
    assert len(list(tape(btc, write(tmp_path / "a.gz", [quote(T0, 1)], '1 {"stream":"x","da')).events(0))) == 1
    with pytest.raises(FeedError, match="row 2: not a line of a capture"):
        tape(btc, write(tmp_path / "b.gz", [quote(T0, 1)], '1 {"stream":\n'))


def test_a_malformed_message_names_its_row(tmp_path: Path, btc: Instrument) -> None:
    broken = {key: value for key, value in quote(T0, 2).items() if key != "b"}
    with pytest.raises(FeedError, match="row 2: malformed bookTicker message: KeyError"):
        list(tape(btc, write(tmp_path / "c.gz", [quote(T0, 1), broken])).events(0))
    with pytest.raises(FeedError, match=r"row 1: bid 100\.05 is not a multiple"):
        list(tape(btc, write(tmp_path / "d.gz", [quote(T0, 1, "100.05")])).events(0))


@pytest.mark.parametrize(
    ("name", "quotes", "trades", "marks"),
    [("btcusdt_20230404.dat.gz", 6765, 2197, 99), ("btcusdt_20230405.dat.gz", 37440, 10737, 415), ("btcusdt_20240718.gz", 7113, 974, 0)],
)
def test_the_real_captures(shared: Path, btc: Instrument, name: str, quotes: int, trades: int, marks: int) -> None:
    events = list(tape(btc, shared / "captures" / name).events(0))
    assert [sum(type(e) is kind for e in events) for kind in (Quote, Trade, Mark)] == [quotes, trades, marks]
    assert all(a.time <= b.time for a, b in pairwise(events))
    assert any(isinstance(e, Bar) for e in events)


def test_the_real_json_lines(shared: Path, btc: Instrument) -> None:
    sushi = btc._replace(tick_size=0.001, lot_size=1.0)
    path = shared / "captures" / "cryptofeed_binance_futures_20210722.jsonl.gz"
    found = CaptureTape({"SUSHIUSDT": sushi, "BTCUSDT": btc}, [path], MINUTE, HOUR)
    kinds = {type(e) for e in found.events(0)}
    assert found.symbols == ("SUSHIUSDT",)
    assert {Quote, Trade} <= kinds
