"""Market data over real sockets, without a key: bars whole and in order, quotes that moved, marks, settlements, trades."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from plugins.binance.harness import BTC, MINUTE, Running, run, running

from hedgegridd.model import Bar, Funding, Mark, Quote, Trade, Trouble
from plugins._binance import streams

SHARED = Path(os.environ.get("HEDGEGRIDD_SHARED", Path(__file__).resolve().parents[4] / "shared"))
PAYLOADS = SHARED / "data" / "payloads"


def feed(it: Running) -> Any:
    line: Any = it.exchange._line
    return line.feed


def kline(time: int, closed: bool = True, close: str = "50000.1") -> str:
    """A bar that completed at `time`, as the stream says it."""
    k = {
        "t": time - MINUTE,
        "T": time - 1,
        "s": BTC,
        "i": "1m",
        "o": "50000",
        "c": close,
        "h": "50010",
        "l": "49990",
        "v": "1.5",
        "x": closed,
    }
    return json.dumps({"stream": "btcusdt@kline_1m", "data": {"e": "kline", "E": time, "s": BTC, "k": k, "st": 1}})


def test_no_key_is_needed_and_nothing_is_signed() -> None:
    async def test() -> None:
        async with running(trading=False, trades=True) as it:
            await it.log.until(lambda: it.log.of(Mark))
            it.sim.price(BTC, 50_100.0)
            quote = await it.log.next(Quote)
            await it.log.until(lambda: it.log.of(Trade))
            assert quote.bid < quote.ask and quote.bid_qty > 0
            await it.log.until(lambda: it.exchange.health().connected)
            assert not [seen for seen in it.sim.requests if "signature" in seen.params or seen.path.endswith("listenKey")]
            assert {stream.name for stream in it.exchange.health().streams} == {"market", "public"}

    run(test)


def test_a_mark_says_index_rate_and_next_settlement() -> None:
    async def test() -> None:
        async with running(trading=False) as it:
            mark = await it.log.next(Mark)
            assert mark.price == pytest.approx(500_000, rel=0.01) and mark.index == pytest.approx(500_000, rel=0.01)
            assert mark.funding_rate == pytest.approx(0.0001) and mark.next_funding > mark.time

    run(test)


def test_a_settlement_is_told_when_the_next_one_takes_its_place() -> None:
    async def test() -> None:
        async with running(trading=False) as it:
            await it.log.next(Mark)
            settles = it.log.of(Mark)[-1].next_funding
            it.sim.funding(BTC, 0.0007)
            it.sim.funding_rate(BTC, 0.0002, settles + 8 * 3_600_000)
            funding = await it.log.next(Funding)
            assert funding.interval_ms == 8 * 3_600_000
            assert funding.time <= it.sim.now() < settles, "an event of hours to come would take the daemon's time along"

    run(test)


def test_a_quote_is_told_where_the_best_price_moved() -> None:
    async def test() -> None:
        async with running(trading=False) as it:
            await asyncio.sleep(0.2)
            start = len(it.log.of(Quote))
            for _ in range(3):
                it.sim.quote(BTC, 50_050.0, 50_050.1)
            it.sim.quote(BTC, 50_050.0, 50_050.2)
            await it.log.until(lambda: len(it.log.of(Quote)) >= start + 2)
            await asyncio.sleep(0.1)
            assert [(q.bid, q.ask) for q in it.log.of(Quote)[start:]] == [(500_500, 500_501), (500_500, 500_502)]

    run(test)


def test_history_is_complete_and_the_bars_go_on_from_it() -> None:
    async def test() -> None:
        async with running(trading=False) as it:
            bars = await it.exchange.history(BTC, MINUTE, 30)
            assert len(bars) == 30 and all(b.time - a.time == MINUTE for a, b in itertools.pairwise(bars))
            assert bars[-1].time <= it.sim.now() < bars[-1].time + MINUTE
            assert len(await it.exchange.history(BTC, MINUTE, 1200)) <= 1200

    run(test)


def test_only_complete_bars_each_once_in_order() -> None:
    async def test() -> None:
        async with running(trading=False) as it:
            bars = feed(it).bars[BTC]
            first = bars.told + MINUTE
            for text in (kline(first, False), kline(first), kline(first), kline(first - MINUTE), kline(first + MINUTE)):
                feed(it)._hear(text)
            assert [bar.time for bar in it.log.of(Bar)] == [first, first + MINUTE]
            assert it.log.of(Bar)[0] == Bar(BTC, first, 500_000, 500_100, 499_900, 500_001, 1_500, MINUTE)

    run(test)


def test_a_missed_bar_is_read_before_the_next_is_told() -> None:
    async def test() -> None:
        async with running(trading=False) as it:
            bars = feed(it).bars[BTC]
            newest = bars.told
            bars.told -= 5 * MINUTE
            feed(it)._hear(kline(newest))
            await it.log.until(lambda: len(it.log.of(Bar)) == 5)
            assert [bar.time for bar in it.log.of(Bar)] == [newest - k * MINUTE for k in (4, 3, 2, 1, 0)]

    run(test)


def test_a_bar_that_does_not_come_is_read() -> None:
    async def test() -> None:
        async with running(trading=False) as it:
            bars = feed(it).bars[BTC]
            bars.told -= 2 * MINUTE
            it.sim.faults.add("html", "GET /fapi/v1/klines")
            await it.log.until(lambda: len(it.log.of(Bar)) >= 2)

    run(test)


@pytest.mark.parametrize("route", ["market", "public"])
def test_a_torn_or_silent_stream_heals(route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with running(trading=False) as it:
            it.sim.start_walk(BTC, 20)
            stream = getattr(feed(it), route)
            stream.silence_s = 1.5
            await it.log.until(lambda: it.exchange.health().connected)
            it.sim.cut(route)
            await it.log.until(lambda: stream.opened == 2 and it.exchange.health().connected)
            it.sim.silence(route)
            await it.log.until(lambda: not it.exchange.health().connected)
            it.sim.speak(route)
            await it.log.until(lambda: it.exchange.health().connected, 10)

    monkeypatch.setattr(streams, "LOOK_S", 0.1)
    run(test)


def test_a_moment_far_ahead_is_not_believed() -> None:
    async def test() -> None:
        async with running(trading=False) as it:
            far = it.sim.now() + 3_600_000
            said = {"e": "markPriceUpdate", "E": far, "s": BTC, "p": "50000", "i": "50000", "r": "0.0001", "T": far}
            feed(it)._hear(json.dumps(said))
            assert it.log.of(Mark)[-1].time <= it.sim.now() + 50

    run(test)


@pytest.mark.parametrize("price", ["0.00000000", "0", "", "-1", "NaN", "Infinity"])
def test_a_mark_that_is_no_price_is_not_told(price: str) -> None:
    async def test() -> None:
        async with running(trading=False) as it:
            before, now = feed(it).passed_over, it.sim.now() + 2_000
            said = {"e": "markPriceUpdate", "E": now, "s": BTC, "p": price, "i": "50000", "r": "0.0001", "T": now}
            feed(it)._hear(json.dumps(said))
            assert feed(it).passed_over == before + 1
            feed(it)._hear(json.dumps({**said, "p": "50000", "i": "0"}))
            mark = it.log.of(Mark)[-1]
            assert (mark.price, mark.index, mark.time) == (500_000.0, None, now)

    run(test)


def test_strange_messages_are_passed_over() -> None:
    async def test() -> None:
        async with running(trading=False) as it:
            before = feed(it).passed_over
            for text in ("", "{}", "[]", '{"data":5}', '{"e":"kline","s":"BTCUSDT"}', '{"e":"bookTicker","s":"BTCUSDT","b":"x"}'):
                feed(it)._hear(text)
            assert feed(it).passed_over == before + 6

    run(test)


@pytest.mark.skipif(not PAYLOADS.is_dir(), reason="the recorded payloads are not here: set HEDGEGRIDD_SHARED")
def test_recorded_messages_break_no_stream() -> None:
    async def test() -> None:
        async with running() as it:
            line: Any = it.exchange._line
            for file in sorted(PAYLOADS.glob("*.jsonl")):
                for text in file.read_text().splitlines():
                    payload = json.dumps(json.loads(text)["payload"]).replace("ETHUSDT", BTC)
                    line.feed._hear(payload)
                    line.listener._hear(payload)
            await it.report()

    run(test)


def test_an_optional_list_that_the_exchange_does_not_have_stops_nobody() -> None:
    async def test() -> None:
        def without(sim: Any) -> None:
            sim.faults.add("html", "GET /fapi/v1/fundingInfo", times=-1, status=404)

        async with running(setup=without) as it:
            await it.log.until(lambda: it.asked("GET /fapi/v1/fundingInfo"))
            await it.log.next(Mark)
            assert not it.log.of(Trouble)

    run(test)
