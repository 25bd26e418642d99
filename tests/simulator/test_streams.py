"""Websockets: which path carries what, listen keys, user events."""

from __future__ import annotations

import json

from exchange_simulator import Simulator
from exchange_simulator.client import Client
from exchange_simulator.story import hold, play

MUTE = ("/market/ws/btcusdt@bookTicker", "/public/ws/btcusdt@aggTrade", "/ws/btcusdt@markPrice", "/market/ws/btcusdt@depth5")


def test_each_path_carries_its_own_and_nothing_else() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        wrong = [await client.connect(f"{sim.ws_url}{path}") for path in MUTE]
        book = await client.connect(f"{sim.ws_url}/public/stream?streams=btcusdt@bookTicker/btcusdt@depth5@100ms")
        legacy = await client.connect(f"{sim.ws_url}/ws/btcusdt@bookTicker")
        market = await client.connect(f"{sim.ws_url}/market/stream?streams=btcusdt@aggTrade/btcusdt@markPrice@1s")
        sim.price("BTCUSDT", 50_100.0)
        first, second = await book.next(), await book.next()
        assert (first["stream"], first["data"]["b"], first["data"]["a"]) == ("btcusdt@bookTicker", "50100.00", "50100.10")
        assert second["stream"] == "btcusdt@depth5@100ms"
        assert [len(second["data"][key]) for key in "ba"] == [5, 5]
        assert (await legacy.next())["e"] == "bookTicker"
        seen = {(await market.next())["data"]["e"] for _ in range(2)}
        assert seen <= {"aggTrade", "markPriceUpdate"}
        for one in wrong:
            assert await one.silent(0.05)

    play(story)


def test_subscriptions_are_taken_and_given_back() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        stream = await client.connect(f"{sim.ws_url}/market/ws")
        await stream.ws.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade", "btcusdt@bookTicker"], "id": 1})
        assert await stream.next() == {"result": None, "id": 1}
        sim.price("BTCUSDT", 50_100.0)
        assert (await stream.next())["e"] == "aggTrade"
        await stream.ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 2})
        assert await stream.next() == {"result": ["btcusdt@aggTrade", "btcusdt@bookTicker"], "id": 2}
        await stream.ws.send_json({"method": "UNSUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 3})
        assert (await stream.next())["id"] == 3
        sim.price("BTCUSDT", 50_200.0)
        assert await stream.silent(0.05)
        for number in range(12):
            await stream.ws.send_str(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        assert await stream.ended()

    play(story)


def test_ticker_and_continuous_bars() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        stream = await client.connect(f"{sim.ws_url}/market/stream?streams=btcusdt@ticker/btcusdt_perpetual@continuousKline_1m")
        sim.price("BTCUSDT", 50_100.0)
        bar = await stream.next("continuous_kline")
        assert (bar["stream"], bar["data"]["k"]["c"]) == ("btcusdt_perpetual@continuousKline_1m", "50100.00")
        assert (await stream.next("24hrTicker"))["data"]["c"] == "50100.00"

    play(story)


def test_a_listen_key_lives_is_prolonged_and_dies() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        path = "/fapi/v1/listenKey"
        assert (await client.ask("PUT", path)).code == -1125
        key = (await client.ask("POST", path)).body["listenKey"]
        assert (await client.ask("POST", path)).body["listenKey"] == key
        assert (await client.ask("PUT", path)).status == 200
        user = await client.connect(f"{sim.ws_url}/private/ws?listenKey={key}")
        sim.deposit(1.0)
        assert (await user.next())["e"] == "ACCOUNT_UPDATE"
        sim.expire_listen_key()
        assert (await user.next())["listenKey"] == key
        sim.deposit(1.0)
        assert await user.silent(0.05)
        stale = await client.connect(f"{sim.ws_url}/private/ws?listenKey={key}")
        sim.deposit(1.0)
        assert await stale.silent(0.05)
        fresh = (await client.ask("POST", path)).body["listenKey"]
        assert fresh != key
        wrong = await client.connect(f"{sim.ws_url}/ws/{fresh}")
        sim.deposit(1.0)
        assert await wrong.silent(0.05)
        await client.ask("DELETE", path)
        assert (await client.ask("PUT", path)).code == -1125

    play(story)


def test_a_key_nobody_prolongs_expires_by_itself() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        user = await client.listen(sim.ws_url)
        assert (await user.next())["e"] == "listenKeyExpired"
        assert (await client.ask("PUT", "/fapi/v1/listenKey")).code == -1125

    play(story, key_life_ms=1_000)  # it must not end before somebody listens


def test_events_are_let_through_by_a_list() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        user = await client.listen(sim.ws_url, events="ACCOUNT_UPDATE/listenKeyExpired")
        await hold(client)
        sim.expire_listen_key()
        assert [(await user.next())["e"] for _ in range(2)] == ["ACCOUNT_UPDATE", "listenKeyExpired"]

    play(story)


def test_an_order_from_new_to_filled() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        user = await client.listen(sim.ws_url)
        await client.limit("SHORT", "SELL", "50100.0", "0.010", "a")
        sim.price("BTCUSDT", 50_101.0, qty=0.004)
        sim.price("BTCUSDT", 50_102.0)
        seen = [await user.next() for _ in range(7)]
        assert [one["e"] for one in seen] == ["ORDER_TRADE_UPDATE", *["TRADE_LITE", "ACCOUNT_UPDATE", "ORDER_TRADE_UPDATE"] * 2]
        new, part, whole = (seen[index]["o"] for index in (0, 3, 6))
        assert [(one["x"], one["X"], one["l"], one["z"]) for one in (new, part, whole)] == [
            ("NEW", "NEW", "0.000", "0.000"), ("TRADE", "PARTIALLY_FILLED", "0.004", "0.004"), ("TRADE", "FILLED", "0.006", "0.010"),
        ]  # fmt: skip
        assert part["t"] < whole["t"]
        assert seen[2]["a"]["P"] == [{**seen[2]["a"]["P"][0], "s": "BTCUSDT", "pa": "-0.004", "ps": "SHORT", "ep": "50100.00000000"}]

    play(story)


def test_the_server_asks_whether_we_live() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        sim.ping_s = 0.05
        stream = await client.connect(f"{sim.ws_url}/public/ws/btcusdt@bookTicker")
        assert await stream.silent(0.2)
        sim.price("BTCUSDT", 50_100.0)
        assert (await stream.next())["e"] == "bookTicker"
        deaf = await client.session.ws_connect(f"{sim.ws_url}/public/ws/btcusdt@bookTicker", autoping=False)
        assert await stream.silent(0.25)
        assert len(sim.streams.sockets) == 1
        await deaf.close()

    play(story)
