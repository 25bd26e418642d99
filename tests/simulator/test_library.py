"""python-binance's own client against the simulator: orders, conditional orders, streams, and each fault as it sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from exchange_simulator import Simulator
from exchange_simulator.library import library

# Its exceptions' home; importing `library` has silenced what the package warns of when it is first imported.
from binance.exceptions import BinanceAPIException, BinanceRequestException  # isort: skip

LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "positionSide": "LONG", "type": "LIMIT", "timeInForce": "GTX", "quantity": "0.010"}
STOP = {"symbol": "BTCUSDT", "side": "SELL", "positionSide": "LONG", "type": "STOP_MARKET", "closePosition": True,
        "workingType": "MARK_PRICE"}  # fmt: skip


def play(story: Callable[[Simulator, Any, Any], Awaitable[None]], **options: Any) -> None:
    """One simulator, the library's client and its socket manager."""

    async def whole() -> None:
        async with Simulator(**options) as sim, asyncio.timeout(20):
            clients, sockets = library(sim.rest_url, sim.ws_url)
            client = await clients.create(sim.api_key, sim.api_secret, requests_params={"timeout": 1})
            try:
                await story(sim, client, sockets(client))
            finally:
                await client.close_connection()

    asyncio.run(whole())


def test_only_create_asks_for_the_spot_clock() -> None:
    async def story(sim: Simulator, client: Any, sockets: Any) -> None:
        assert [one.path for one in sim.requests] == ["/api/v3/ping", "/api/v3/time"]
        await client.futures_time()
        assert sim.requests[-1].path == "/fapi/v1/time"

    play(story)


def test_orders_are_placed_seen_changed_and_cancelled() -> None:
    async def story(sim: Simulator, client: Any, sockets: Any) -> None:
        ack = await client.futures_create_order(**LIMIT, price="49900.0", newClientOrderId="hg.BTCUSDT-L_1")
        assert ack["status"] == "NEW"
        assert ack["orderId"] > 2**53
        found = await client.futures_get_order(symbol="BTCUSDT", origClientOrderId="hg.BTCUSDT-L_1")
        assert (found["orderId"], found["price"]) == (ack["orderId"], "49900.00")
        changed = await client.futures_modify_order(symbol="BTCUSDT", orderId=ack["orderId"], side="BUY", quantity="0.020", price="49800.0")
        assert changed["origQty"] == "0.020"
        batch = await client.futures_place_batch_order(batchOrders=[
            {**LIMIT, "price": "49700.0", "newClientOrderId": "b1"}, {**LIMIT, "price": "49600.0", "newClientOrderId": "b2"},
        ])  # fmt: skip
        assert [one["clientOrderId"] for one in batch] == ["b1", "b2"]
        assert len(await client.futures_get_open_orders(symbol="BTCUSDT")) == 3
        gone = await client.futures_cancel_orders(symbol="BTCUSDT", orderidlist=[batch[0]["orderId"], 1])
        assert [one.get("code", one.get("status")) for one in gone] == ["CANCELED", -2011]
        await client.futures_cancel_order(symbol="BTCUSDT", orderId=ack["orderId"])
        await client.futures_cancel_all_open_orders(symbol="BTCUSDT")
        assert await client.futures_get_open_orders() == []

    play(story)


def test_it_signs_what_it_does_not_send_where_an_id_needs_escaping() -> None:
    async def story(sim: Simulator, client: Any, sockets: Any) -> None:
        for name in ("a:b", "a/b"):
            with pytest.raises(BinanceAPIException) as refused:
                await client.futures_create_order(**LIMIT, price="49900.0", newClientOrderId=name)
            assert refused.value.code == -1022

    play(story)


def test_conditional_orders_go_their_own_way() -> None:
    async def story(sim: Simulator, client: Any, sockets: Any) -> None:
        await client.futures_create_order(symbol="BTCUSDT", side="BUY", positionSide="LONG", type="MARKET", quantity="0.010")
        ack = await client.futures_create_order(**STOP, stopPrice="49000", clientAlgoId="s")
        assert (ack["algoStatus"], ack["clientAlgoId"]) == ("NEW", "s")
        assert await client.futures_get_open_orders(symbol="BTCUSDT") == []
        assert len(await client.futures_get_open_algo_orders(symbol="BTCUSDT")) == 1
        await client.futures_cancel_all_open_orders(symbol="BTCUSDT")
        assert (await client.futures_get_algo_order(symbol="BTCUSDT", clientAlgoId="s"))["algoStatus"] == "NEW"
        with pytest.raises(BinanceAPIException) as refused:
            await client.futures_create_order(**STOP, stopPrice="48000")
        assert refused.value.code == -4130
        await client.futures_cancel_algo_order(symbol="BTCUSDT", clientAlgoId="s")
        batch = await client.futures_place_batch_order(batchOrders=[{**STOP, "closePosition": "true", "stopPrice": "49000"}])
        assert batch[0]["code"] == -4120
        assert (await client.futures_countdown_cancel_all(symbol="BTCUSDT", countdownTime=120_000))["countdownTime"] == "120000"

    play(story)


def test_everything_it_reads() -> None:
    async def story(sim: Simulator, client: Any, sockets: Any) -> None:
        await client.futures_create_order(symbol="BTCUSDT", side="SELL", positionSide="SHORT", type="MARKET", quantity="0.010")
        reads = [
            client.futures_account, client.futures_account_balance, client.futures_position_information, client.futures_income_history,
            client.futures_get_position_mode, client.futures_get_multi_assets_mode, client.futures_leverage_bracket,
            client.futures_exchange_info, client.futures_mark_price, client.futures_funding_rate, client.futures_ping,
            client.futures_symbol_ticker, client.futures_orderbook_ticker, client.futures_ticker,
        ]  # fmt: skip
        for read in reads:
            assert await read() is not None, read.__name__
        of_symbol = (
            client.futures_account_trades, client.futures_order_book, client.futures_aggregate_trades, client.futures_commission_rate,
        )  # fmt: skip
        for read in of_symbol:
            assert await read(symbol="BTCUSDT"), read.__name__
        assert len(await client.futures_klines(symbol="BTCUSDT", interval="5m", limit=20)) == 20
        assert (await client.futures_change_leverage(symbol="BTCUSDT", leverage=10))["leverage"] == 10
        for act, code in (
            (client.futures_change_position_mode(dualSidePosition=True), -4059),
            (client.futures_change_margin_type(symbol="BTCUSDT", marginType="CROSSED"), -4046),
        ):
            with pytest.raises(BinanceAPIException) as refused:
                await act
            assert refused.value.code == code

    play(story)


def test_its_sockets_hear_the_market_and_the_account() -> None:
    async def story(sim: Simulator, client: Any, sockets: Any) -> None:
        market = sockets.futures_multiplex_socket(["btcusdt@aggTrade", "btcusdt@bookTicker"], category="market")
        public = sockets.futures_multiplex_socket(["btcusdt@bookTicker"], category="public")
        user = sockets.futures_user_socket()
        for one in (market, public, user):
            one.TIMEOUT = 0.2  # leaving takes so long where a socket is mute; ten seconds by default
        async with market as trades, public as quotes, user as account:
            sim.price("BTCUSDT", 50_100.0)
            assert (await quotes.recv())["data"]["b"] == "50100.00"
            heard = [(await trades.recv())["stream"]]
            assert heard == ["btcusdt@aggTrade"]
            await client.futures_create_order(**LIMIT, price="49900.0", newClientOrderId="a")
            assert (await account.recv())["o"]["c"] == "a"
            key = await client.futures_stream_get_listen_key()
            await client.futures_stream_keepalive(key)
            sim.expire_listen_key()
            assert (await account.recv())["e"] == "listenKeyExpired"
            sim.deposit(1.0)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(account.recv(), 0.1)

    play(story)


SEEN: list[tuple[str, type[Exception], int]] = [
    ("reset_executed", aiohttp.ClientError, 0),
    ("reset_not_executed", aiohttp.ClientError, 0),
    ("hang_executed", TimeoutError, 0),
    ("hang_not_executed", TimeoutError, 0),
    ("unknown_executed", BinanceAPIException, -1000),
    ("unknown_not_executed", BinanceAPIException, -1000),
    ("unavailable", BinanceAPIException, -1000),
    ("internal", BinanceAPIException, -1000),
    ("timeout_executed", BinanceAPIException, -1007),
    ("timeout_not_executed", BinanceAPIException, -1007),
    ("overloaded", BinanceAPIException, -1008),
    ("too_many", BinanceAPIException, -1003),
    ("too_many_orders", BinanceAPIException, -1015),
    ("banned", BinanceAPIException, -1003),
    ("clock", BinanceAPIException, -1021),
    ("expired_at_engine", BinanceAPIException, -5028),
    ("html", BinanceAPIException, 0),
    ("html_executed", BinanceAPIException, 0),
    ("forbidden", BinanceAPIException, 0),
    ("html_ok", (BinanceRequestException, aiohttp.ContentTypeError), 0),  # type: ignore[list-item]
    ("reset_executed_late", aiohttp.ClientError, 0),
    ("error", BinanceAPIException, -1000),
]


@pytest.mark.parametrize(("kind", "error", "code"), SEEN, ids=[row[0] for row in SEEN])
def test_each_fault_as_the_library_sees_it(kind: str, error: type[Exception], code: int) -> None:
    async def story(sim: Simulator, client: Any, sockets: Any) -> None:
        sim.faults.add(kind, "POST /fapi/v1/order", seconds=60)
        with pytest.raises(error) as seen:
            await client.futures_create_order(**LIMIT, price="49900.0", newClientOrderId="a")
        if isinstance(seen.value, BinanceAPIException):
            assert seen.value.code == code
        await asyncio.sleep(0.01)
        placed = [order.client_id for order in sim.venue.orders.values()]
        assert placed == (["a"] if kind.endswith(("_executed", "_late")) and "not" not in kind else [])

    play(story)


def test_a_cancel_that_was_torn_is_asked_again_by_itself() -> None:
    """aiohttp repeats what it holds to be repeatable, PUT and DELETE too: the second answer is that of an order that is gone."""

    async def story(sim: Simulator, client: Any, sockets: Any) -> None:
        await client.futures_create_order(**LIMIT, price="49900.0", newClientOrderId="a")
        sim.faults.add("reset_executed", "DELETE /fapi/v1/order")
        with pytest.raises(BinanceAPIException) as refused:
            await client.futures_cancel_order(symbol="BTCUSDT", origClientOrderId="a")
        assert refused.value.code == -2011
        assert [one.method for one in sim.requests].count("DELETE") == 2
        assert [order.status for order in sim.venue.orders.values()] == ["CANCELED"]

    play(story)


def test_an_empty_answer_and_a_delay_are_no_errors_to_it() -> None:
    async def story(sim: Simulator, client: Any, sockets: Any) -> None:
        for kind in ("empty", "empty_executed"):
            sim.faults.add(kind, "POST /fapi/v1/order")
            assert await client.futures_create_order(**LIMIT, price="49900.0", newClientOrderId=kind) == {}
        assert [order.client_id for order in sim.venue.orders.values()] == ["empty_executed"]
        sim.faults.add("delay", "POST /fapi/v1/order", ms=200)
        begun = time.monotonic()
        assert (await client.futures_create_order(**LIMIT, price="49800.0"))["status"] == "NEW"
        assert time.monotonic() - begun > 0.19

    play(story)
