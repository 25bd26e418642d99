"""What is asked of a request: key, signature, time, limits; and what is noted of it."""

from __future__ import annotations

import asyncio
from typing import Any

from exchange_simulator import Simulator
from exchange_simulator.client import Client
from exchange_simulator.story import play

BALANCE = "/fapi/v3/balance"


def test_keys_and_signatures() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        assert (await client.get(BALANCE)).status == 200
        for key, code in (("", -2014), ("not a key", -2014), ("A" * 64, -2015)):
            async with Client(sim.rest_url, key=key) as stranger:
                reply = await stranger.get(BALANCE)
                assert (reply.status, reply.code) == (401, code)
        async with Client(sim.rest_url, secret="wrong") as forger:
            reply = await forger.get(BALANCE)
            assert (reply.status, reply.code) == (400, -1022)
        assert (await client.ask("GET", BALANCE, client.signed({}).replace("timestamp", "recvWindow=5000&timestamp"))).code == -1022
        assert (await client.ask("GET", BALANCE, "timestamp=1")).code == -1102
        assert (await client.ask("GET", BALANCE)).code == -1102

    play(story)


def test_the_clock_may_be_a_second_ahead_and_a_window_behind() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        for ahead, more, code in ((800, {}, 0), (1_500, {}, -1021), (1_500, {"recvWindow": 60_000}, -1021), (-4_000, {}, 0),
                                  (-5_500, {}, -1021), (-5_500, {"recvWindow": 9_000}, 0), (0, {"recvWindow": 60_001}, -1131)):  # fmt: skip
            client.ahead_ms = ahead
            assert (await client.get(BALANCE, **more)).code == code, (ahead, more)
        client.ahead_ms = 0
        sim.clock_offset_ms = -3_000
        assert (await client.get(BALANCE)).code == -1021
        skew = (await client.public("/fapi/v1/time")).body["serverTime"] - sim.now()
        assert abs(skew) < 500

    play(story)


def test_weights_are_counted_and_told() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        sim.limits.weight_1m = 100_000
        many = {"symbol": "BTCUSDT", "limit": 1000}
        steps: list[tuple[str, dict[str, Any], int]] = [
            ("/fapi/v1/openOrders", {}, 40),
            ("/fapi/v1/openOrders", {"symbol": "BTCUSDT"}, 1),
            ("/fapi/v1/income", {}, 30),
            (BALANCE, {}, 5),
            ("/fapi/v1/klines", {**many, "interval": "1m"}, 5),
            ("/fapi/v1/depth", many, 20),
            ("/fapi/v1/ticker/24hr", {}, 40),
        ]
        used = int((await client.public("/fapi/v1/ping")).headers["x-mbx-used-weight-1m"])
        for path, params, weight in steps:
            now = int((await client.get(path, **params)).headers["x-mbx-used-weight-1m"])
            if now > used:  # else a minute began
                assert now - used == weight, path
            used = now

    play(story)


def test_too_much_is_429_and_going_on_is_a_ban() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        sim.limits.weight_1m, sim.limits.patience, sim.limits.ban_s = 0, 2, 7
        replies = [await client.public("/fapi/v1/ping") for _ in range(5)]
        assert [one.status for one in replies] == [429, 429, 429, 418, 418]
        assert {one.code for one in replies} == {-1003}
        assert 1 <= int(replies[0].headers["retry-after"]) <= 60
        assert int(replies[4].headers["retry-after"]) in (6, 7)
        assert "banned until" in replies[4].body["msg"]
        sim.limits.weight_1m = 2400
        assert (await client.public("/fapi/v1/ping")).status == 418
        sim.limits.pardon()
        assert (await client.public("/fapi/v1/ping")).status == 200

    play(story)


def test_too_many_orders() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        sim.limits.orders_10s = 2
        replies = [await client.limit("LONG", "BUY", f"49{number}00.0", "0.010") for number in range(5)]
        late = [one for one in replies if one.status == 429]
        assert late
        assert {one.code for one in late} == {-1015}
        assert (await client.get("/fapi/v1/openOrders", symbol="BTCUSDT")).status == 200

    play(story)


def test_every_request_is_noted() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await client.public("/api/v3/ping")
        await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        await client.public("/fapi/v1/nothing")
        ping, order, nothing = sim.requests
        assert (ping.method, ping.path, ping.status) == ("GET", "/api/v3/ping", 200)
        assert order.params["newClientOrderId"] == "a"
        assert "signature" not in order.params
        assert (order.ip, order.port > 0, abs(order.time - sim.now()) < 5_000) == ("127.0.0.1", True, True)
        assert (nothing.status, nothing.code) == (404, -5000)

    play(story)


def test_a_round_trip_takes_its_time_and_requests_overlap() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        sim.rtt_ms = 150
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.gather(*(client.get(BALANCE) for _ in range(10)))
        assert 0.14 < loop.time() - begun < 0.8
        user = await client.listen(sim.ws_url)
        begun = loop.time()
        sim.deposit(1.0)
        await user.next("ACCOUNT_UPDATE")
        assert loop.time() - begun > 0.07

    play(story)


def test_parameters_are_found_whatever_their_case() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        assert (await client.get("/fapi/v1/order", SYMBOL="BTCUSDT", origclientorderid="a", nobodyKnows="this")).status == 200

    play(story)
