from itertools import islice, pairwise, takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.errors import FeedError
from hedgegridd.feed.synthetic import DEFAULT_START_MS, Synthetic
from hedgegridd.model import Bar, FeedEnd, Funding, Instrument, Mark, MarketEvent, Quote, Trade

MINUTE, HOUR, EIGHT = 60_000, 3_600_000, 28_800_000
START = DEFAULT_START_MS
UNITS = {
    "BTCUSDT": Instrument(0.1, 0.001, 1, 10**6, 10**5, 5.0, 2.0, 5.0),
    "ETHUSDT": Instrument(0.01, 0.001, 1, 10**6, 10**5, 5.0, 2.0, 5.0),
}
BTC = {"BTCUSDT": UNITS["BTCUSDT"]}


def until(feed: Synthetic, after: int, last: int) -> list[MarketEvent | FeedEnd]:
    return list(takewhile(lambda event: event.time <= last, feed.events(after)))


LAST = START + 2 * HOUR + 5 * MINUTE
FULL = until(Synthetic(UNITS, seed=3), 0, LAST)


@settings(max_examples=25, deadline=None)
@given(st.integers(-5000, 2 * HOUR + 4 * MINUTE) | st.sampled_from([0, HOUR - 1, HOUR, HOUR + 1, 2 * HOUR, MINUTE]))
def test_taken_up_anywhere_it_is_the_suffix(offset: int) -> None:
    after = START + offset
    assert until(Synthetic(UNITS, seed=3), after, LAST) == [e for e in FULL if e.time > after]


def test_seed_and_symbol_make_the_path() -> None:
    assert until(Synthetic(UNITS, seed=3), 0, START + HOUR) == [e for e in FULL if e.time <= START + HOUR]
    other = until(Synthetic(UNITS, seed=4), 0, START + HOUR)
    assert [e for e in other if isinstance(e, Bar)] != [e for e in FULL if isinstance(e, Bar) and e.time <= START + HOUR]
    alone = until(Synthetic(BTC, seed=3), 0, LAST)
    assert alone == [e for e in FULL if not isinstance(e, FeedEnd) and e.symbol == "BTCUSDT"]


def test_a_bar_is_the_path_of_its_marks_and_trades() -> None:
    marks, traded = list[float](), 0
    bars = 0
    for event in (e for e in FULL if not isinstance(e, FeedEnd) and e.symbol == "BTCUSDT"):
        if isinstance(event, Bar):
            assert (event.open, event.high, event.low, event.close) == (marks[0], max(marks), min(marks), marks[-1])
            assert (event.volume, len(marks), event.time % MINUTE) == (traded, 60, 0)
            marks, traded, bars = [], 0, bars + 1
        elif isinstance(event, Mark):
            marks.append(event.price)
        elif isinstance(event, Trade):
            traded += event.qty
    assert bars == 125


def test_each_second_has_one_mark_and_the_book_stands_around_the_trade() -> None:
    times = [e.time for e in FULL if isinstance(e, Mark) and e.symbol == "ETHUSDT"]
    assert times == list(range(START, LAST + 1, 1000))
    assert [e.time for e in FULL] == sorted(e.time for e in FULL)
    trade: Trade | None = None
    for event in FULL:
        if isinstance(event, Trade):
            trade = event
        elif isinstance(event, Quote):
            assert trade is not None
            assert 0 < event.bid < event.ask
            assert trade.price == (event.bid if trade.buyer_is_maker else event.ask)
            assert min(event.bid_qty, event.ask_qty, trade.qty) > 0


def test_settlements_follow_the_grid_at_the_announced_rate() -> None:
    feed = Synthetic(BTC, seed=3, start=START + EIGHT - 10 * MINUTE)
    events = until(feed, 0, START + EIGHT + MINUTE)
    [paid] = [e for e in events if isinstance(e, Funding)]
    before = [e for e in events if isinstance(e, Mark) and e.time < paid.time]
    assert paid.time == START + EIGHT
    assert {(m.funding_rate, m.next_funding) for m in before} == {(paid.rate, paid.time)}
    assert feed.next_funding("BTCUSDT", paid.time) == (START + 2 * EIGHT, paid.rate)
    assert isinstance(events[events.index(paid) - 1], Bar)


def test_warmup_leads_up_to_the_start() -> None:
    feed = Synthetic(BTC, seed=3)
    bars = feed.warmup("BTCUSDT", 130)
    assert [b.time for b in bars] == [START - i * MINUTE for i in range(129, -1, -1)]
    first = next(iter(feed.events(0)))
    assert isinstance(first, Trade)
    assert abs(first.price / bars[-1].close - 1) < 0.01
    assert first.price == 900_000
    assert feed.warmup("BTCUSDT", 0) == []


def test_the_market_has_trends_both_ways_quiet_and_jumps() -> None:
    bars = Synthetic(BTC, seed=1).warmup("BTCUSDT", 60 * 24 * 10)
    moves = [b.close / a.close - 1 for a, b in zip(bars[::360], bars[360::360], strict=False)]
    assert max(moves) > 0.008
    assert min(moves) < -0.008
    assert any(abs(move) < 0.004 for move in moves)
    assert max(abs(b.high / b.low - 1) for b in bars) > 0.004
    assert all(30_000 < b.close / 10 < 270_000 for b in bars)
    assert all(a.close != 0 and abs(b.open / a.close - 1) < 0.03 for a, b in pairwise(bars))


def test_other_intervals_and_prices() -> None:
    feed = Synthetic({"XRPUSDT": Instrument(0.0001, 1.0, 1, 10**6, 10**5, 5.0, 2.0, 5.0)}, prices={"XRPUSDT": 0.5}, interval_ms=5 * MINUTE)
    first = next(e for e in feed.events(0) if isinstance(e, Bar))
    assert (first.time, first.interval_ms) == (START + 5 * MINUTE, 5 * MINUTE)
    assert abs(first.open - 5000) < 100
    with pytest.raises(FeedError, match="minutes that divide an hour"):
        Synthetic(BTC, interval_ms=7 * MINUTE)


def test_it_can_be_made_finite() -> None:
    feed = Synthetic(BTC, until=START + MINUTE)
    assert list(feed.events(0))[-1] == FeedEnd(START + MINUTE)
    assert feed.span() == (START, START + MINUTE)
    assert Synthetic(BTC).span() is None


def test_far_away_costs_no_more_than_near() -> None:
    feed = Synthetic(BTC)
    far = START + 3650 * 24 * HOUR + 123
    assert [e.time > far for e in islice(feed.events(far), 3)] == [True] * 3
