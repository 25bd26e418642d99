"""The public side: history, prices, books, and bars that were put."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from exchange_simulator import Simulator
from exchange_simulator.client import Client
from exchange_simulator.story import play

KLINES = "/fapi/v1/klines"


def test_history_is_whole_steady_and_joined_from_minutes() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        rows = (await client.public(KLINES, symbol="BTCUSDT", interval="1m", limit=600)).body
        assert len(rows) == 600
        assert all(after[0] - before[0] == 60_000 for before, after in pairwise(rows))
        assert all(float(row[3]) <= min(float(row[1]), float(row[4])) and float(row[2]) >= float(row[1]) for row in rows)
        again = (await client.public(KLINES, symbol="BTCUSDT", interval="1m", limit=600)).body
        assert again[:-2] == [row for row in rows if row[0] <= again[-3][0]][-len(again[:-2]) :]
        hours = (await client.public(KLINES, symbol="BTCUSDT", interval="1h", limit=3)).body
        inside = [row for row in rows if hours[1][0] <= row[0] < hours[2][0]]
        assert (hours[1][1], hours[1][4]) == (inside[0][1], inside[-1][4])
        assert float(hours[1][2]) == max(float(row[2]) for row in inside)
        span = (await client.public(KLINES, symbol="BTCUSDT", interval="1m", startTime=rows[5][0], endTime=rows[8][0])).body
        assert [row[0] for row in span] == [row[0] for row in rows[5:9]]
        assert (await client.public(KLINES, symbol="BTCUSDT", interval="7m")).code == -1120
        pair = (await client.public("/fapi/v1/continuousKlines", pair="BTCUSDT", contractType="PERPETUAL", interval="1m", limit=9)).body
        assert pair[0][:2] == next(row for row in rows if row[0] == pair[0][0])[:2]

    play(story)


def test_the_same_seed_is_the_same_past() -> None:
    pasts = []

    async def story(sim: Simulator, client: Client) -> None:
        rows = (await client.public(KLINES, symbol="BTCUSDT", interval="1m", limit=50)).body
        pasts.append([row[1:5] for row in rows if row[0] < sim.floor.boards["BTCUSDT"].bars.born])

    for seed in (5, 5, 6):
        play(story, seed=seed)
    common = min(len(past) for past in pasts)
    assert pasts[0][-common:] == pasts[1][-common:] != pasts[2][-common:]


def test_a_price_moves_everything_public() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        sim.price("BTCUSDT", 50_123.46, mark=50_120.0)
        assert (await client.public("/fapi/v2/ticker/price", symbol="BTCUSDT")).body["price"] == "50123.50"
        book = (await client.public("/fapi/v1/ticker/bookTicker", symbol="BTCUSDT")).body
        assert (book["bidPrice"], book["askPrice"]) == ("50123.50", "50123.60")
        depth = (await client.public("/fapi/v1/depth", symbol="BTCUSDT", limit=5)).body
        assert [row[0] for row in depth["asks"]] == ["50123.60", "50123.70", "50123.80", "50123.90", "50124.00"]
        assert (await client.public("/fapi/v1/depth", symbol="BTCUSDT", limit=7)).code == -1130
        mark = (await client.public("/fapi/v1/premiumIndex", symbol="BTCUSDT")).body
        assert (mark["markPrice"], mark["indexPrice"]) == ("50120.00000000", "50123.46000000")
        assert (await client.public("/fapi/v1/aggTrades", symbol="BTCUSDT", limit=1)).body[0]["p"] == "50123.50"
        assert (await client.public("/fapi/v1/ticker/24hr", symbol="BTCUSDT")).body["lastPrice"] == "50123.50"
        assert (await client.public(KLINES, symbol="BTCUSDT", interval="1m", limit=1)).body[0][4] == "50123.50"
        assert len((await client.public("/fapi/v1/premiumIndex")).body) == 2

    play(story)


def test_filters_are_published() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        info = (await client.public("/fapi/v1/exchangeInfo")).body
        assert {row["limit"] for row in info["rateLimits"]} == {2400, 300, 1200}
        btc = next(one for one in info["symbols"] if one["symbol"] == "BTCUSDT")
        kinds = {one["filterType"] for one in btc["filters"]}
        assert {"PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MIN_NOTIONAL", "PERCENT_PRICE", "MAX_NUM_ORDERS"} <= kinds
        assert (await client.public("/fapi/v1/fundingInfo")).body[0]["fundingIntervalHours"] == 8

    play(story)


def test_whole_bars_fill_and_close_on_the_stream() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        stream = await client.connect(f"{sim.ws_url}/market/stream?streams=btcusdt@kline_1m/btcusdt@kline_5m")
        await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        times = [sim.bar("BTCUSDT", 50_000, 50_050, 49_890, 49_950) for _ in range(6)]
        assert [after - before for before, after in pairwise(times)] == [60_000] * 5
        assert sim.venue.pits["BTCUSDT"].held(0) == 10
        closed: list[tuple[int, str, str, str, str]] = []
        while len(closed) < 6:
            message = await stream.next("kline")
            bar = message["data"]["k"]
            if bar["x"] and bar["i"] == "1m" and bar["t"] in times:
                closed.append((bar["t"], bar["o"], bar["h"], bar["l"], bar["c"]))
        assert closed == [(time, "50000.00", "50050.00", "49890.00", "49950.00") for time in times]
        rows = (await client.public(KLINES, symbol="BTCUSDT", interval="1m", limit=7)).body
        assert [row[0] for row in rows] == [*times, times[-1] + 60_000]

    play(story)


def test_a_walk_goes_on_by_itself() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        begun = sim.floor.boards["BTCUSDT"].trade_id
        sim.start_walk("BTCUSDT", per_second=200)
        await asyncio.sleep(0.25)
        sim.stop_walk("BTCUSDT")
        went = sim.floor.boards["BTCUSDT"].trade_id
        assert 5 < went - begun < 80
        await asyncio.sleep(0.05)
        assert sim.floor.boards["BTCUSDT"].trade_id == went

    play(story)
