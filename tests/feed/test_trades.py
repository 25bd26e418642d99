from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgegridd.errors import FeedError
from hedgegridd.feed.trades import BarBuilder, TradeTape
from hedgegridd.model import Bar, Gap, Instrument, Trade

MINUTE = 60_000
T0 = 1_700_006_400_000
Writer = Callable[..., Path]
Rows = list[tuple[object, ...]]


def agg(number: int, time: int, price: float = 100.0, qty: float = 0.5) -> tuple[object, ...]:
    return (number, price, qty, number, number, time, "true")


def tape(btc: Instrument, path: Path) -> TradeTape:
    return TradeTape("BTCUSDT", btc, [path], MINUTE, 3_600_000)


def test_trades_and_the_bars_out_of_them(tmp_path: Path, btc: Instrument, text: Writer) -> None:
    rows = [agg(1, T0 + 1000), agg(2, T0 + 2000, 99.0), agg(3, T0 + 3000, 101.0, 1.0), agg(4, T0 + MINUTE, 100.5)]
    events = list(tape(btc, text(tmp_path / "t.csv", rows)).events(0))
    assert events[0] == Trade("BTCUSDT", T0 + 1000, 1000, 500, True)
    assert events[3:] == [Bar("BTCUSDT", T0 + MINUTE, 1000, 1010, 990, 1010, 2000, MINUTE), Trade("BTCUSDT", T0 + MINUTE, 1005, 500, True)]


def test_a_late_beginning_makes_no_bar_and_a_quiet_minute_a_flat_one(tmp_path: Path, btc: Instrument, text: Writer) -> None:
    rows = [agg(1, T0 + 30_000), agg(2, T0 + MINUTE + 1), agg(3, T0 + 3 * MINUTE + 1, 101.0)]
    bars = [e for e in tape(btc, text(tmp_path / "t.csv", rows)).events(0) if isinstance(e, Bar)]
    assert [(b.time - T0, b.volume, b.close) for b in bars] == [(2 * MINUTE, 500, 1000), (3 * MINUTE, 0, 1000)]


def test_a_gap_is_told_and_bars_begin_anew(tmp_path: Path, btc: Instrument, text: Writer) -> None:
    rows = [agg(1, T0), agg(2, T0 + 100 * MINUTE + 30_000), agg(3, T0 + 101 * MINUTE)]
    events = list(tape(btc, text(tmp_path / "t.csv", rows)).events(0))
    assert [e for e in events if isinstance(e, Bar | Gap)] == [Gap("BTCUSDT", T0 + 100 * MINUTE + 30_000, T0)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([agg(1, T0), agg(1, T0)], "row 2: trade 1 .* appears twice"),
        ([agg(5, T0), agg(4, T0)], "row 2: trade 4 .* out of order"),
        ([agg(1, T0), agg(2, T0 - 1)], "row 2: trade 2 .* out of order"),
        ([agg(1, T0), agg(2, T0, 100.05)], "row 2: price 100.05 is not a multiple"),
    ],
)
def test_errors_name_the_row(tmp_path: Path, btc: Instrument, text: Writer, rows: Rows, words: str) -> None:
    with pytest.raises(FeedError, match=words):
        list(tape(btc, text(tmp_path / "t.csv", rows)).events(0))


@given(st.lists(st.tuples(st.integers(0, 90_000), st.integers(1, 50), st.integers(1, 9)), max_size=60))
def test_bars_are_the_trades_of_their_minute(steps: list[tuple[int, int, int]]) -> None:
    builder, time, trades, bars = BarBuilder(["A"], MINUTE, quiet=True), T0, list[tuple[int, int, int]](), list[Bar]()
    for wait, price, qty in steps:
        time += wait
        bars += builder.roll(time)
        builder.add("A", price, qty)
        trades.append((time, price, qty))
    for bar in bars:
        inside = [(p, q) for t, p, q in trades if bar.time - MINUTE <= t < bar.time]
        prices = [p for p, _ in inside] or [bar.close]
        assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
        assert bar.volume == sum(q for _, q in inside)
    assert [b.time for b in bars] == sorted({b.time for b in bars})


def test_unrecorded_minutes_are_not_made_up() -> None:
    builder = BarBuilder(["A"], MINUTE, quiet=False)
    builder.roll(T0)
    builder.add("A", 5, 1)
    assert [b.time for b in builder.roll(T0 + 10 * MINUTE + 30_000)] == [T0 + MINUTE]
    assert builder.roll(T0 + 11 * MINUTE) == []
