"""The door for requests: keys of every kind, answers that never come, texts that say no more than they may."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64decode
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
from aiohttp import ClientTimeout, web
from Crypto.Hash import SHA256
from Crypto.PublicKey import ECC, RSA
from Crypto.Signature import eddsa, pkcs1_15
from exchange_simulator.simulator import Simulator
from plugins.binance.harness import BTC, CLOSE, ENTRY, L, run, running, settings

from hedgegridd.model import Trouble
from plugins._binance import line
from plugins._binance import wire as door
from plugins._binance.errors import Act, Fault
from plugins._binance.wire import Reply, Wire

BATCHED = '[{"symbol":"BTCUSDT","price":"1.5"},{"symbol":"1000ÄUSDT","price":"2 & 3"}]'
ED, RSA_KEY = ECC.generate(curve="ed25519"), RSA.generate(2048)


def verified(kind: str, query: str) -> bool:
    """Is this what the exchange would verify: everything before the signature, as it was sent?"""
    text, _, signature = query.rpartition("&signature=")
    raw = b64decode(unquote(signature))
    try:
        if kind == "ed25519":
            eddsa.new(ED.public_key(), "rfc8032").verify(text.encode(), raw)
        else:
            pkcs1_15.new(RSA_KEY.public_key()).verify(SHA256.new(text.encode()), raw)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_keys_that_are_pairs(kind: str) -> None:
    pem = ED.export_key(format="PEM") if kind == "ed25519" else RSA_KEY.export_key().decode()

    async def test() -> None:
        asked: list[tuple[str, bool, dict[str, str]]] = []

        async def serve(request: web.Request) -> web.Response:
            query = request.rel_url.raw_query_string or await request.text()
            asked.append((request.method, verified(kind, query), dict(parse_qsl(query))))
            return web.json_response({"orderId": 1})

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", serve)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        sim: Any = type("Where", (), {"rest_url": f"http://127.0.0.1:{port}", "ws_url": "ws://x", "api_key": "k", "api_secret": pem})
        wire = Wire(settings(sim), lambda trouble: None)
        try:
            for call in (door.PLACE, door.FIND, door.CANCEL, door.AMEND):
                await wire.ask(call, {"symbol": "BTCUSDT", "price": "1.5", "newClientOrderId": "hg-BTCUSDT-LE-1-1"})
            await wire.ask(door.PLACE_BATCH, {"batchOrders": BATCHED})
        finally:
            await wire.close()
            await runner.cleanup()
        assert [method for method, *_ in asked] == ["POST", "GET", "DELETE", "PUT", "POST"] and all(good for _, good, _ in asked)
        assert asked[-1][2]["batchOrders"] == BATCHED

    run(test)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_answer_that_points_elsewhere_is_followed(status: int) -> None:
    """Whoever stands there would be handed the key, and the order a second time."""

    async def test() -> None:
        asked: list[str] = []

        async def moved(request: web.Request) -> web.Response:
            asked.append(request.path)
            return web.Response(status=status, headers={"Location": f"http://localhost:{port}/elsewhere"})

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", moved)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        sim: Any = type(
            "Where", (), {"rest_url": f"http://127.0.0.1:{port}", "ws_url": "ws://x", "api_key": "KEYKEY", "api_secret": "SECRET"}
        )
        wire = Wire(settings(sim), lambda trouble: None)
        for call in (door.PLACE, door.FIND):
            with pytest.raises(Fault) as raised:
                await wire.ask(call, {"symbol": "BTCUSDT"})
            assert raised.value.act is Act.UNKNOWN
        assert asked == ["/fapi/v1/order", "/fapi/v1/order"]
        await wire.close()
        await runner.cleanup()

    run(test)


@pytest.mark.parametrize("kind", ["hang_executed", "hang_not_executed"])
def test_an_answer_that_never_comes_is_unsure(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "PLACE", door.PLACE._replace(timeout=ClientTimeout(total=0.3)))

    async def test() -> None:
        async with running() as it:
            it.sim.faults.event("drop", "ORDER_TRADE_UPDATE", times=-1)
            it.sim.faults.add(kind, "POST /fapi/v1/order")
            order, began = it.order(L, ENTRY, 490_000), time.monotonic()
            it.exchange.place([order])
            await it.log.until(lambda: it.log.told(order) == ["Unsure"])
            assert 0.25 < time.monotonic() - began < 10.0

    run(test)


def test_an_exchange_that_is_not_there() -> None:
    async def test() -> None:
        sim: Any = type("Where", (), {"rest_url": "http://127.0.0.1:9", "ws_url": "ws://x", "api_key": "k", "api_secret": "s"})
        wire = Wire(settings(sim), lambda trouble: None)
        with pytest.raises(Fault) as raised:
            await wire.ask(door.PLACE, {"symbol": "BTCUSDT"})
        assert raised.value.act is Act.FAILED
        assert all(counter.pending == 0 for counter in wire.budget.counters.values())
        await wire.close()

    run(test)


def test_what_is_told_of_trouble() -> None:
    async def test() -> None:
        told: list[Trouble] = []
        sim: Any = type("Where", (), {"rest_url": "http://127.0.0.1:9", "ws_url": "ws://x", "api_key": "KEYKEY", "api_secret": "SECRET"})
        wire = Wire(settings(sim), told.append)

        def answered(status: int, text: str, **headers: str) -> Fault:
            with pytest.raises(Fault) as raised:
                wire.decoded(Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, text))
            wire.complain(raised.value, "BTCUSDT")
            return raised.value

        now = wire.clock.now()
        assert answered(418, json.dumps({"code": -1003, "msg": f"IP(1.2.3.4) banned until {now + 90_000}."})).act is Act.REFUSED
        assert told[-1].kind == "ban" and told[-1].until == now + 90_000 == wire.budget.banned_until
        answered(418, "", retry_after="30")
        assert len(told) == 1, "that it lasts so long is known"
        answered(429, '{"code":-1003,"msg":"Too many requests."}', retry_after="5")
        assert told[-1].kind == "slow" and abs(told[-1].until - now - 5_000) < 100
        time.sleep(0.002)  # it left after the first was heard
        answered(429, "<html>no</html>", retry_after="200")
        assert told[-1].kind == "ban", "the second in a row"
        assert "SECRET" not in str(answered(400, '{"code":-9000,"msg":"for KEYKEY SECRET"}')) and told[-1].kind == "halt"
        for filler in range(180, 300):  # wherever a long text is cut
            for text in (json.dumps({"code": -9000, "msg": "x" * filler + "KEYKEY"}), "x" * filler + "KEYKEY"):
                assert "K" not in answered(400, text).text
        assert answered(200, "<html>").code == -3 and answered(502, "<html>x</html>").text == "no reason given"
        assert wire.decoded(Reply(200, {}, "")) == {} and wire.decoded(Reply(200, {}, "[]")) == []
        assert "SECRET" not in repr(told) + repr(vars(wire.urls) if hasattr(wire.urls, "__dict__") else wire.urls)
        await wire.close()

    run(test)


def test_many_ask_for_the_time_at_once_and_one_asks_the_exchange() -> None:
    async def test() -> None:
        async with running() as it:
            line: Any = it.exchange._line
            before = len(it.asked("GET /fapi/v1/time"))
            await asyncio.gather(*(line.wire.resync() for _ in range(8)))
            assert len(it.asked("GET /fapi/v1/time")) - before <= 3

    run(test)


def test_an_empty_answer_does_not_end_the_keeping_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "RETRY_S", 0.1)

    async def test() -> None:
        def without(sim: Any) -> None:
            sim.faults.add("empty", "GET /fapi/v1/time", times=2)

        async with running(setup=without) as it:
            await it.log.until(lambda: len(it.asked("GET /fapi/v1/time")) >= 16)

    run(test)


def test_one_answer_that_names_another_time_does_not_move_ours() -> None:
    async def test() -> None:
        async with running() as it:
            wire = it.exchange._line.wire  # type: ignore[union-attr]
            it.sim.faults.add("year_2100", "GET /fapi/v1/time", times=1)
            with pytest.raises(Fault):
                await wire.resync()
            assert abs(wire.clock.now() - it.sim.now()) < 1_000
            it.sim.clock_offset_ms = 3_600_000  # we slept for an hour: all answers say so
            await wire.resync()
            assert abs(wire.clock.now() - it.sim.now()) < 1_000

    run(test)


def test_requests_that_were_too_many_together_do_not_keep_a_close_from_leaving() -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 5)
            it.sim.faults.add("too_many", "GET /fapi/*", times=4, seconds=60)
            it.exchange.report()
            await it.log.until(lambda: [event for event in it.log.of(Trouble) if event.kind == "slow"])
            await asyncio.sleep(0.05)
            close = it.order(L, CLOSE, 0, 5)
            it.exchange.place([close])
            await it.log.until(lambda: "Fill" in it.log.told(close) or "Rejected" in it.log.told(close))
            assert "Rejected" not in it.log.told(close) and not [event for event in it.log.of(Trouble) if event.kind == "ban"]

    run(test)


@pytest.mark.parametrize(("symbols", "count"), [(1, 16), (4, 34), (50, 48)])
def test_a_flatten_of_so_many_symbols_finds_a_connection_open_for_each_of_its_requests(symbols: int, count: int) -> None:
    async def test() -> None:
        async with Simulator(symbols={BTC: 50_000.0}) as sim:
            sim.rtt_ms = 100.0
            wire = Wire(settings(sim), lambda trouble: None)
            await wire.warm(symbols)
            there = {seen.port for seen in sim.requests}
            assert len(there) == len(sim.requests) == count
            await asyncio.gather(*(wire.ask(door.OPEN, {"symbol": BTC}) for _ in range(count)))
            assert {seen.port for seen in sim.requests} == there
            await wire.close()

    run(test)
