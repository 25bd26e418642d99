from hypothesis import given
from hypothesis import strategies as st

from hedgegridd.feed.merge import by_time, ending, with_funding
from hedgegridd.model import Bar, FeedEnd, Funding, Gap, MarketEvent


def bar(time: int, symbol: str = "A") -> Bar:
    return Bar(symbol, time, 1, 1, 1, 1, 0, 60_000)


def pay(time: int) -> Funding:
    return Funding("A", time, 0.0001, 1)


def test_equal_times_keep_the_order_of_the_streams() -> None:
    events = list(by_time([iter([bar(1, "A"), bar(2, "A")]), iter([bar(1, "B"), bar(2, "B")])]))
    assert [(e.time, e.symbol) for e in events] == [(1, "A"), (1, "B"), (2, "A"), (2, "B")]


@given(st.lists(st.lists(st.integers(0, 50)), min_size=1, max_size=4), st.integers(0, 50))
def test_a_suffix_is_merged_like_the_whole(times: list[list[int]], after: int) -> None:
    streams = [[bar(t, str(i)) for t in sorted(row)] for i, row in enumerate(times)]
    whole = list(by_time([iter(s) for s in streams]))
    cut = list(by_time([iter([e for e in s if e.time > after]) for s in streams]))
    assert cut == [e for e in whole if e.time > after]
    assert [e.time for e in whole] == sorted(e.time for e in whole)


def test_a_settlement_follows_what_happened_at_its_time() -> None:
    events = list(with_funding(iter([bar(10_000), bar(20_000)]), iter([pay(10_000), pay(15_000), pay(20_008), pay(30_000)]), 0))
    assert events == [bar(10_000), pay(10_000), pay(15_000), bar(20_000), pay(20_008)]


def test_none_is_settled_inside_a_gap() -> None:
    market: list[MarketEvent] = [bar(10_000), Gap("A", 90_000, 10_000), bar(100_000)]
    dues = [pay(10_008), pay(50_000), pay(95_000)]
    assert list(with_funding(iter(market), iter(dues), 0)) == [bar(10_000), pay(10_008), market[1], pay(95_000), bar(100_000)]
    assert list(with_funding(iter(market[1:]), iter(dues[1:]), 49_990)) == [market[1], pay(95_000), bar(100_000)]


def test_the_end_is_told_once_at_the_last_time() -> None:
    assert list(ending(iter([bar(1), bar(2), bar(3)]), 0, 2)) == [bar(1), bar(2), FeedEnd(2)]
    assert list(ending(iter([]), 7, None)) == [FeedEnd(7)]
