"""Each fault once, over the plain client; and the same by HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from exchange_simulator import Simulator
from exchange_simulator.client import Client
from exchange_simulator.faults import KINDS
from exchange_simulator.story import hold, play

ORDER = "/fapi/v1/order"
EXECUTED = [name for name, kind in KINDS.items() if kind.executed and kind.way != "pass"]


async def known(client: Client, name: str) -> bool:
    return (await client.get(ORDER, symbol="BTCUSDT", origClientOrderId=name)).status == 200


@pytest.mark.parametrize("executed", [True, False])
def test_a_lost_acknowledgement(executed: bool) -> None:
    word = "executed" if executed else "not_executed"

    async def story(sim: Simulator, client: Client) -> None:
        sim.faults.add(f"reset_{word}", f"POST {ORDER}")
        with pytest.raises(aiohttp.ClientError):
            await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        assert await known(client, "a") == executed
        assert sim.requests[0].status == 0
        sim.faults.add(f"hang_{word}", f"POST {ORDER}")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.limit("LONG", "BUY", "49800.0", "0.010", "b")
        assert await known(client, "b") == executed

    play(story)


ANSWERS: list[tuple[str, int, int, str]] = [
    ("unknown_executed", 503, -1000, "Unknown error, please check your request or try again later."),
    ("unknown_not_executed", 503, -1000, "Unknown error, please check your request or try again later."),
    ("unavailable", 503, -1000, "Service Unavailable."),
    ("internal", 503, -1000, "Internal error; unable to process"),
    ("timeout_executed", 408, -1007, "execution status unknown"),
    ("timeout_not_executed", 408, -1007, "execution status unknown"),
    ("overloaded", 503, -1008, "overloaded"),
    ("too_many", 429, -1003, "Too many requests"),
    ("too_many_orders", 429, -1015, "Too many new orders"),
    ("clock", 400, -1021, "recvWindow"),
    ("expired_at_engine", 400, -5028, "ME recvWindow"),
]


@pytest.mark.parametrize(("kind", "status", "code", "words"), ANSWERS, ids=[row[0] for row in ANSWERS])
def test_an_answer_that_is_none(kind: str, status: int, code: int, words: str) -> None:
    async def story(sim: Simulator, client: Client) -> None:
        sim.faults.add(kind, f"POST {ORDER}", seconds=3)
        reply = await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        assert (reply.status, reply.code) == (status, code)
        assert words in reply.body["msg"]
        assert await known(client, "a") == (kind in EXECUTED)
        if status == 429:
            assert reply.headers["retry-after"] == "3"
        assert (await client.limit("LONG", "BUY", "49900.0", "0.010", "b")).status == 200

    play(story)


BODIES = [
    ("html", 502, "<html>"), ("html_executed", 502, "<html>"), ("html_ok", 200, "<html>"),
    ("forbidden", 403, "<html>"), ("empty", 200, ""), ("empty_executed", 200, ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "status", "start"), BODIES, ids=[row[0] for row in BODIES])
def test_an_answer_that_is_no_json(kind: str, status: int, start: str) -> None:
    async def story(sim: Simulator, client: Client) -> None:
        sim.faults.add(kind, f"POST {ORDER}")
        reply = await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        assert reply.status == status
        assert reply.body[:6] == start
        assert await known(client, "a") == (kind in EXECUTED)

    play(story)


def test_a_ban_is_for_everything_and_for_its_time() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        sim.faults.add("banned", "GET /fapi/v1/ping", seconds=1)
        replies = [await client.public("/fapi/v1/ping"), await client.public("/fapi/v1/time"), await client.get("/fapi/v1/openOrders")]
        assert [(one.status, one.code, one.headers["retry-after"]) for one in replies] == [(418, -1003, "1")] * 3
        await asyncio.sleep(1.05)
        assert (await client.public("/fapi/v1/ping")).status == 200

    play(story)


def test_overload_sheds_no_close_and_no_cancel() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client)
        await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        sim.faults.add("overloaded", times=-1)
        assert (await client.limit("LONG", "BUY", "49800.0", "0.010")).code == -1008
        assert (await client.delete(ORDER, symbol="BTCUSDT", origClientOrderId="a")).status == 200
        assert (await client.stop("LONG", "49000.0")).status == 200
        assert (await client.market("LONG", "SELL", "0.010")).status == 200
        sim.faults.clear()
        assert (await client.limit("LONG", "BUY", "49800.0", "0.010")).status == 200

    play(story)


def test_rules_choose_by_path_count_and_parameters() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        rule = sim.faults.add("error", "*/order", times=2, skip=1, code=-2010, params={"side": "BUY", "newClientOrderId": "x-*"})
        codes = [(await client.limit("LONG", "BUY", f"49{n}00.0", "0.010", f"x-{n}")).code for n in range(5)]
        assert codes == [0, -2010, -2010, 0, 0]
        assert rule.hits == 2
        with pytest.raises(KeyError):
            sim.faults.add("bad_luck")

    play(story)


def test_what_was_lost_may_still_be_done_later() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        sim.faults.add("reset_executed_late", f"POST {ORDER}", ms=500)
        with pytest.raises(aiohttp.ClientError):
            await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        assert not await known(client, "a")
        await sim.until(lambda: sim.venue.orders)
        assert await known(client, "a")
        sim.query_lag_ms = 10_000
        assert not await known(client, "a")

    play(story)


def test_delays() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        loop = asyncio.get_running_loop()
        sim.faults.add("delay", ms=100, after_ms=100)
        begun = loop.time()
        assert (await client.public("/fapi/v1/ping")).status == 200
        assert loop.time() - begun > 0.19
        begun = loop.time()
        sim.freeze(0.2)
        assert (await client.public("/fapi/v1/ping")).status == 200
        assert loop.time() - begun > 0.18

    play(story)


def test_a_server_that_is_gone() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        user = await client.listen(sim.ws_url)
        sim.down(0.2)
        assert await user.ended()
        with pytest.raises(aiohttp.ClientError):
            await client.public("/fapi/v1/ping")
        await asyncio.sleep(0.25)
        assert (await client.public("/fapi/v1/ping")).status == 200

    play(story)


def test_black_holes_and_cuts() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        user = await client.listen(sim.ws_url)
        book = await client.connect(f"{sim.ws_url}/public/ws/btcusdt@bookTicker")
        sim.silence("private")
        sim.deposit(1.0)
        assert await user.silent(0.05)
        sim.speak("private")
        sim.deposit(2.0)
        assert (await user.next())["a"]["B"][0]["bc"] == "2.00000000"
        assert sim.cut("private") == 1
        assert await user.ended()
        sim.price("BTCUSDT", 50_100.0)
        assert (await book.next())["e"] == "bookTicker"
        sim.freeze(1.0)
        sim.price("BTCUSDT", 50_200.0)
        assert await book.silent(0.05)

    play(story)


def test_events_are_lost_doubled_late_and_overtaken() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        user = await client.listen(sim.ws_url)

        async def told(count: int) -> list[str]:
            return [(await user.next())["a"]["B"][0]["bc"][:1] for _ in range(count)]

        sim.faults.event("drop", "ACCOUNT_UPDATE")
        sim.deposit(1)
        sim.deposit(2)
        assert await told(1) == ["2"]
        sim.faults.event("duplicate")
        sim.deposit(3)
        assert await told(2) == ["3", "3"]
        sim.faults.event("late", ms=100)
        sim.deposit(4)
        sim.deposit(5)
        assert await told(2) == ["5", "4"]
        sim.faults.event("reorder")
        sim.deposit(6)
        sim.deposit(7)
        assert await told(2) == ["7", "6"]
        with pytest.raises(KeyError):
            sim.faults.event("explode")

    play(story)


def test_chance_comes_from_the_seed() -> None:
    heard: list[list[str]] = []

    async def story(sim: Simulator, client: Client) -> None:
        sim.faults.events(drop=0.3, duplicate=0.2)
        fates = [len(sim.faults.fate({"e": "ACCOUNT_UPDATE"}).delays) for _ in range(200)]
        assert {0, 1, 2} == set(fates)
        heard.append([str(one) for one in fates])

    for seed in (1, 1, 2):
        play(story, seed=seed)
    assert heard[0] == heard[1] != heard[2]


def test_all_of_it_by_http() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        async def control(asked: Any) -> Any:
            async with client.session.post(f"{sim.url}/control", json=asked) as response:
                return response.status, await response.json()

        assert await control({"do": "price", "symbol": "BTCUSDT", "price": 51_000.0}) == (200, None)
        status, answers = await control([
            {"do": "manual", "symbol": "BTCUSDT", "leg": "LONG", "qty": 0.01},
            {"do": "fault", "kind": "error", "path": "GET */ping", "code": -1000},
            {"do": "event", "what": "drop", "event": "ACCOUNT_UPDATE"},
            {"do": "events", "late": 0.1},
            {"do": "set", "rtt_ms": 5, "weight_1m": 5000, "triggers_rejected": True},
        ])  # fmt: skip
        assert status == 200
        assert answers[0]["status"] == "FILLED"
        assert (sim.rtt_ms, sim.limits.weight_1m, sim.venue.triggers_rejected) == (5, 5000, True)
        assert (await client.public("/fapi/v1/ping")).code == -1000
        async with client.session.get(f"{sim.url}/control?what=positions,fills,requests") as response:
            shown = await response.json()
        assert shown.keys() == {"positions", "fills", "requests"}
        assert shown["positions"]["BTCUSDT"]["LONG"]["qty"] == 0.01
        assert shown["requests"][0]["path"] == "/fapi/v1/ping"
        async with client.session.get(f"{sim.url}/control") as response:
            assert {"orders", "algos", "income", "account", "events", "sockets", "faults"} <= (await response.json()).keys()
        assert (await control({"do": "manual", "symbol": "BTCUSDT", "leg": "LONG", "qty": -1.0}))[1]["code"] == -2022
        assert (await control({"do": "magic"}))[0] == 422
        assert (await control({"do": "clear_faults"}))[0] == 200

    play(story)


def test_handshakes_fail_and_sockets_are_closed_politely() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        address = f"{sim.ws_url}/public/ws/btcusdt@bookTicker"
        sim.faults.add("reset_not_executed", "WS /public/*", times=2)  # aiohttp tries a GET that was torn once more
        with pytest.raises(aiohttp.ClientError):
            await client.connect(address)
        sim.faults.add("error", "WS /public/*", status=403)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.connect(address)
        assert refused.value.status == 403
        book = await client.connect(address)
        assert sim.cut("public", politely=True) == 1
        assert await book.ended()
        await sim.until(lambda: not sim.streams.sockets)
        assert book.ws.close_code == 1001

    play(story)
