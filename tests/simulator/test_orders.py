"""Classic orders over the wire: acks, fills, refusals, by the exchange's codes."""

from __future__ import annotations

import asyncio
import json

import pytest
from exchange_simulator import Simulator
from exchange_simulator.client import Client, Reply
from exchange_simulator.story import hold, play

ORDER = "/fapi/v1/order"


def test_an_ack_says_new_and_no_money() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        reply = await client.market("LONG", "BUY", "0.010", newClientOrderId="a")
        assert reply.status == 200
        assert reply.body["status"] == "NEW"
        assert reply.body["executedQty"] == "0.000"
        assert not {"avgPrice", "cumQuote"} & reply.body.keys()
        assert {"x-mbx-used-weight-1m", "x-mbx-order-count-10s", "x-mbx-order-count-1m"} <= reply.headers.keys()
        found = (await client.get(ORDER, symbol="BTCUSDT", origClientOrderId="a")).body
        assert (found["status"], found["avgPrice"], found["cumQuote"]) == ("FILLED", "50000.10000", "500.00100")

    play(story)


def test_a_result_waits_for_the_state_and_not_for_the_money() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        body = (await client.market("SHORT", "SELL", "0.010", newOrderRespType="RESULT")).body
        assert (body["status"], body["executedQty"]) == ("FILLED", "0.010")
        assert not {"avgPrice", "cumQuote"} & body.keys()

    play(story)


def test_a_resting_order_fills_at_its_own_price_once_the_market_goes_through() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await client.limit("LONG", "BUY", "49900.00", "0.010", "a")
        sim.price("BTCUSDT", 49_900.0)
        assert (await client.get("/fapi/v1/openOrders", symbol="BTCUSDT")).body[0]["clientOrderId"] == "a"
        sim.price("BTCUSDT", 49_899.9)
        assert (await client.get("/fapi/v1/openOrders", symbol="BTCUSDT")).body == []
        (trade,) = (await client.get("/fapi/v1/userTrades", symbol="BTCUSDT")).body
        assert (trade["price"], trade["maker"], trade["commission"], trade["positionSide"]) == ("49900.00", True, "0.09980000", "LONG")

    play(story)


def test_a_trade_of_a_size_fills_no_more_than_that() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await client.limit("LONG", "BUY", "49900.00", "0.010", "a")
        sim.price("BTCUSDT", 49_899.0, qty=0.004)
        found = (await client.get(ORDER, symbol="BTCUSDT", origClientOrderId="a")).body
        assert (found["status"], found["executedQty"]) == ("PARTIALLY_FILLED", "0.004")
        gone = (await client.delete(ORDER, symbol="BTCUSDT", origClientOrderId="a")).body
        assert (gone["status"], gone["executedQty"]) == ("CANCELED", "0.004")
        assert not {"avgPrice", "cumQuote"} & gone.keys()

    play(story)


def test_a_close_realises_and_pays() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client)
        sim.price("BTCUSDT", 51_000.0)
        await client.market("LONG", "SELL", "0.010")
        rows = (await client.get("/fapi/v1/income")).body
        kinds = [row["incomeType"] for row in rows]
        assert kinds == ["COMMISSION", "REALIZED_PNL", "COMMISSION"]
        assert float(rows[1]["income"]) == pytest.approx(9.999)
        assert (await client.get("/fapi/v3/positionRisk")).body == []
        only = (await client.get("/fapi/v1/income", incomeType="REALIZED_PNL", limit=5)).body
        assert [row["tradeId"] for row in only] == [rows[1]["tradeId"]]
        (usdt,) = (row for row in (await client.get("/fapi/v3/balance")).body if row["asset"] == "USDT")
        assert float(usdt["balance"]) == pytest.approx(10_000 + sum(float(row["income"]) for row in rows))

    play(story)


REFUSED: list[tuple[int, dict[str, str]]] = [
    (-1121, {"symbol": "NOPEUSDT"}),
    (-1102, {"quantity": ""}),
    (-1102, {"timeInForce": ""}),
    (-1115, {"timeInForce": "DAY"}),
    (-1116, {"type": "GUESS"}),
    (-1117, {"side": "HOLD"}),
    (-4120, {"type": "STOP_MARKET", "stopPrice": "49000"}),
    (-4120, {"type": "TRAILING_STOP_MARKET"}),
    (-1106, {"reduceOnly": "false"}),
    (-4061, {"positionSide": "BOTH"}),
    (-4061, {"positionSide": ""}),
    (-1100, {"quantity": "1e-2"}),
    (-1100, {"newClientOrderId": "no blanks"}),
    (-4015, {"newClientOrderId": "a" * 37}),
    (-4003, {"quantity": "0"}),
    (-1111, {"quantity": "0.0105"}),
    (-4005, {"quantity": "1001"}),
    (-1111, {"price": "49900.001"}),
    (-4014, {"price": "49900.05"}),
    (-4001, {"price": "0"}),
    (-4002, {"price": "9999999"}),
    (-4013, {"price": "10"}),
    (-4016, {"price": "53000"}),
    (-4164, {"quantity": "0.001"}),
    (-2019, {"quantity": "5"}),
    (-2027, {"quantity": "300"}),
    (-5022, {"price": "50000.1"}),
    (-5021, {"timeInForce": "FOK"}),
    (-5040, {"timeInForce": "GTD", "goodTillDate": "1"}),
    (-2022, {"side": "SELL", "price": "50100"}),
    (-1130, {"newOrderRespType": "FULL"}),
]


def test_what_is_wrong_is_refused_by_its_code_and_leaves_no_trace() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        for code, wrong in REFUSED:
            good = {"symbol": "BTCUSDT", "side": "BUY", "positionSide": "LONG", "type": "LIMIT", "timeInForce": "GTX"}
            reply = await client.post(ORDER, **{**good, "price": "49900.0", "quantity": "0.010", **wrong})
            assert (reply.status, reply.code) == (400, code), (wrong, reply.body)
        assert sim.venue.orders == {}
        assert (await client.market("LONG", "BUY", "0.010", price="49900")).code == -1106
        assert (await client.market("LONG", "BUY", "0.010", timeInForce="GTC")).code == -1106
        assert (await client.market("LONG", "BUY", "121")).code == -4005
        assert sim.venue.orders == {}

    play(story)


def test_steps_that_are_no_decimal_power() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        rules = sim.venue.pits["BTCUSDT"].symbol
        assert rules.qty(1) == "0.001"
        assert (await client.limit("LONG", "BUY", "49900", "0.01000", "trailing-zeros")).status == 200

    play(story)


def test_client_ids_are_unique_among_the_open_only() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        assert (await client.limit("LONG", "BUY", "49800.0", "0.010", "a")).code == -4116
        await client.delete(ORDER, symbol="BTCUSDT", origClientOrderId="a")
        assert (await client.delete(ORDER, symbol="BTCUSDT", origClientOrderId="a")).code == -2011
        assert (await client.limit("LONG", "BUY", "49800.0", "0.010", "a")).status == 200
        assert (await client.get(ORDER, symbol="BTCUSDT", origClientOrderId="a")).body["price"] == "49800.00"
        assert (await client.get(ORDER, symbol="BTCUSDT", origClientOrderId="b")).code == -2013

    play(story)


def test_no_more_is_closed_than_held() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client)
        assert (await client.limit("LONG", "SELL", "50100", "0.011")).code == -2022
        assert (await client.limit("LONG", "SELL", "50100", "0.006", "tp1")).status == 200
        assert (await client.limit("LONG", "SELL", "50200", "0.006")).code == -4118
        assert (await client.limit("LONG", "SELL", "50200", "0.004", "tp2")).body["reduceOnly"] is True
        assert (await client.market("LONG", "SELL", "0.020")).code == -2022
        user = await client.listen(sim.ws_url)
        assert (await client.market("LONG", "SELL", "0.005")).status == 200
        gone = [(await user.next("ORDER_TRADE_UPDATE/EXPIRED"))["o"] for _ in range(2)]
        assert [(one["c"], one["er"]) for one in gone] == [("tp2", "4"), ("tp1", "4")]

    play(story)


def test_dust_may_be_closed() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client)
        assert (await client.market("LONG", "SELL", "0.009")).status == 200
        assert (await client.market("LONG", "SELL", "0.001")).status == 200
        assert (await client.get("/fapi/v3/positionRisk")).body == []

    play(story)


def test_a_crossing_limit_order_takes() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await client.limit("LONG", "BUY", "50010.0", "0.010", "a", timeInForce="GTC")
        await client.limit("LONG", "BUY", "49000.0", "0.010", "b", timeInForce="IOC")
        await client.limit("LONG", "SELL", "49900.0", "0.004", "c", timeInForce="FOK")
        states = {
            name: (await client.get(ORDER, symbol="BTCUSDT", origClientOrderId=name)).body for name in ("a", "b", "c")
        }  # fmt: skip
        assert {name: one["status"] for name, one in states.items()} == {"a": "FILLED", "b": "EXPIRED", "c": "FILLED"}
        trades = (await client.get("/fapi/v1/userTrades", symbol="BTCUSDT")).body
        assert [(one["price"], one["maker"]) for one in trades] == [("50000.10", False), ("50000.00", False)]
        assert trades[0]["commission"] == "0.25000050"

    play(story)


def test_an_order_is_modified() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        user = await client.listen(sim.ws_url)
        await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        said = {"symbol": "BTCUSDT", "origClientOrderId": "a", "side": "BUY"}
        reply = await client.put(ORDER, **said, price="49800.0", quantity="0.012", modifyId="7")
        assert (reply.body["price"], reply.body["origQty"], reply.body["modifyId"]) == ("49800.00", "0.012", "7")
        told = (await user.next("ORDER_TRADE_UPDATE/AMENDMENT"))["o"]
        assert (told["p"], told["q"], told["X"], told["M"]) == ("49800.00", "0.012", "NEW", "7")
        assert (await client.put(ORDER, **said, price="49800.0", quantity="0.012")).code == -5027
        assert (await client.put(ORDER, **said, price="49800.05", quantity="0.012")).code == -4014
        sim.price("BTCUSDT", 49_799.0, qty=0.005)
        await client.put(ORDER, **said, price="49700.0", quantity="0.005")
        assert (await user.next("ORDER_TRADE_UPDATE/CANCELED"))["o"]["z"] == "0.005"
        assert (await client.put(ORDER, **said, price="49700.0", quantity="0.005")).code == -2013

    play(story)


def test_a_modified_post_only_order_that_would_take_is_cancelled() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        said = {"symbol": "BTCUSDT", "origClientOrderId": "a", "side": "BUY"}
        assert (await client.put(ORDER, **said, price="50100.0", quantity="0.010")).body["status"] == "CANCELED"

    play(story)


def test_batches_answer_one_by_one() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        good = {"symbol": "BTCUSDT", "side": "BUY", "positionSide": "LONG", "type": "LIMIT", "timeInForce": "GTX", "price": "49900",
                "quantity": "0.010", "newClientOrderId": "a"}  # fmt: skip
        small, stop = {**good, "quantity": "0.001"}, {**good, "type": "STOP_MARKET", "newClientOrderId": "b"}
        path = "/fapi/v1/batchOrders"
        reply = await client.post(path, batchOrders=json.dumps([good, small, stop]))
        assert [one.get("code", one.get("status")) for one in reply.body] == ["NEW", -4164, -4120]
        assert (await client.post(path, batchOrders=json.dumps([good] * 6))).code == -4082
        change = {"symbol": "BTCUSDT", "origClientOrderId": "a", "side": "BUY", "price": "49800", "quantity": "0.010"}
        reply = await client.put(path, batchOrders=json.dumps([change, change]))
        assert [one.get("code", one.get("price")) for one in reply.body] == ["49800.00", -5027]
        reply = await client.delete(path, symbol="BTCUSDT", origClientOrderIdList='["a","x"]')
        assert [one.get("code", one.get("status")) for one in reply.body] == ["CANCELED", -2011]

    play(story)


def test_all_open_orders_are_cancelled_and_stops_stay() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client)
        await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        await client.limit("LONG", "SELL", "50100.0", "0.010", "b")
        await client.stop("LONG", "49000.0", "s")
        assert (await client.delete("/fapi/v1/allOpenOrders", symbol="BTCUSDT")).body["code"] == 200
        assert (await client.get("/fapi/v1/openOrders")).body == []
        assert [one["clientAlgoId"] for one in (await client.get("/fapi/v1/openAlgoOrders")).body] == ["s"]

    play(story)


def test_a_countdown_cancels_the_symbols_orders() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        path = "/fapi/v1/countdownCancelAll"
        await hold(client)
        await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        await client.stop("LONG", "49000.0", "s")
        assert (await client.post(path, symbol="BTCUSDT", countdownTime=60_000)).body == {"symbol": "BTCUSDT", "countdownTime": "60000"}
        await client.post(path, symbol="BTCUSDT", countdownTime=0)
        await client.post(path, symbol="ETHUSDT", countdownTime=1)
        await asyncio.sleep(0.05)
        assert len(sim.venue.open_orders()) == 1
        user = await client.listen(sim.ws_url)
        await client.post(path, symbol="BTCUSDT", countdownTime=30)
        assert (await user.next("ORDER_TRADE_UPDATE/CANCELED"))["o"]["c"] == "a"
        assert [algo.client_id for algo in sim.venue.open_algos()] == ["s"]
        sim.countdown_takes_algos = True
        await client.post(path, symbol="BTCUSDT", countdownTime=30)
        assert (await user.next("ALGO_UPDATE/CANCELED"))["o"]["caid"] == "s"

    play(story)


def test_history_is_paged() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        for _ in range(5):
            await hold(client)
        trades = (await client.get("/fapi/v1/userTrades", symbol="BTCUSDT")).body
        first = trades[1]["id"]
        assert [one["id"] for one in (await client.get("/fapi/v1/userTrades", symbol="BTCUSDT", fromId=first, limit=2)).body] == [
            first,
            first + 1,
        ]
        assert len((await client.get("/fapi/v1/userTrades", symbol="BTCUSDT", orderId=trades[2]["orderId"])).body) == 1
        assert len((await client.get("/fapi/v1/userTrades", symbol="BTCUSDT", limit=3)).body) == 3
        assert (await client.get("/fapi/v1/userTrades", symbol="BTCUSDT", startTime=1, endTime=604_800_002)).code == -1127
        assert (await client.get("/fapi/v1/userTrades", symbol="BTCUSDT", startTime=1, fromId=1)).code == -1128
        assert (await client.get("/fapi/v1/userTrades", symbol="BTCUSDT", limit=1001)).code == -1130
        assert len((await client.get("/fapi/v1/allOrders")).body) == 5
        assert len((await client.get("/fapi/v1/allOrders", symbol="BTCUSDT", orderId=trades[3]["orderId"])).body) == 2

    play(story)


def test_two_hundred_orders_and_no_more() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        for number in range(200):
            sim.foreign_order("DOGEUSDT", "LONG", "BUY", 100, 0.15 + number * 0.0001)
        said = {"symbol": "DOGEUSDT", "positionSide": "LONG", "side": "BUY", "type": "LIMIT", "timeInForce": "GTX"}
        reply: Reply = await client.post(ORDER, **said, price="0.14", quantity="100")
        assert reply.code == -2025

    play(story, symbols={"DOGEUSDT": 0.2})


def test_an_order_is_good_till_its_date() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        until = sim.now() + 601_000
        reply = await client.limit("LONG", "BUY", "49900.0", "0.010", timeInForce="GTD", goodTillDate=until)
        assert reply.body["goodTillDate"] == until
        user = await client.listen(sim.ws_url)
        sim.clock_offset_ms += 602_000
        gone = (await user.next("ORDER_TRADE_UPDATE/EXPIRED"))["o"]
        assert (gone["gtd"], gone["z"]) == (until, "0.000")

    play(story)
