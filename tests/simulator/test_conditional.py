"""Conditional orders: taken, triggered, refused, and dead with their position."""

from __future__ import annotations

from typing import Any

from exchange_simulator import Simulator
from exchange_simulator.client import Client, Listener
from exchange_simulator.story import hold, play

ALGO = "/fapi/v1/algoOrder"


async def states(user: Listener, count: int) -> list[Any]:
    """The next so many states of conditional orders."""
    return [(await user.next("ALGO_UPDATE"))["o"] for _ in range(count)]


def test_a_stop_is_triggered_by_the_mark_and_becomes_a_market_order() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client)
        ack = (await client.stop("LONG", "49000.0", "s")).body
        assert (ack["algoStatus"], ack["orderType"], ack["closePosition"], ack["triggerPrice"]) == ("NEW", "STOP_MARKET", True, "49000.00")
        user = await client.listen(sim.ws_url)
        sim.price("BTCUSDT", 48_900.0, mark=49_001.0)
        assert await user.silent()
        sim.mark("BTCUSDT", 49_000.0)
        seen = [await user.next() for _ in range(7)]
        kinds = [(one["e"], one.get("o", {}).get("x") or one.get("o", {}).get("X")) for one in seen]
        assert kinds == [
            ("ALGO_UPDATE", "TRIGGERING"), ("ALGO_UPDATE", "TRIGGERED"), ("ORDER_TRADE_UPDATE", "NEW"), ("TRADE_LITE", None),
            ("ACCOUNT_UPDATE", None), ("ORDER_TRADE_UPDATE", "TRADE"), ("ALGO_UPDATE", "FINISHED"),
        ]  # fmt: skip
        child = seen[5]["o"]
        assert child["c"] != "s"
        assert (child["L"], child["ot"], child["cp"]) == ("48900.00", "STOP_MARKET", True)
        assert seen[6]["o"]["ai"] == str(child["i"])
        assert (seen[6]["o"]["ap"], seen[6]["o"]["aq"]) == ("48900.00000", "0.010")
        shown = (await client.get(ALGO, symbol="BTCUSDT", clientAlgoId="s")).body
        assert (shown["algoStatus"], shown["actualOrderId"], shown["actualPrice"]) == ("FINISHED", str(child["i"]), "48900.00000")
        assert (await client.get("/fapi/v1/openAlgoOrders", symbol="BTCUSDT")).body == []

    play(story)


def test_a_stop_dies_with_its_position() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client)
        await client.stop("LONG", "49000.0", "s")
        user = await client.listen(sim.ws_url)
        await client.market("LONG", "SELL", "0.010")
        (dead,) = await states(user, 1)
        assert (dead["caid"], dead["X"]) == ("s", "EXPIRED")
        assert (await client.delete(ALGO, symbol="BTCUSDT", clientAlgoId="s")).code == -2011

    play(story)


def test_refusals_of_conditional_orders() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        assert (await client.stop("LONG", "49000.0")).code == -4509
        await hold(client)
        await hold(client, "SHORT")
        refused = [
            (-2021, {"triggerPrice": "50000.0"}),
            (-4014, {"triggerPrice": "49000.05"}),
            (-4006, {"triggerPrice": "0"}),
            (-4137, {"quantity": "0.010"}),
            (-1106, {"reduceOnly": "true"}),
            (-4061, {"positionSide": "BOTH"}),
            (-2022, {"side": "BUY", "triggerPrice": "51000.0"}),
            (-4136, {"type": "STOP", "price": "48900.0"}),
            (-1102, {"algoType": ""}),
            (-1102, {"triggerPrice": ""}),
            (-1116, {"type": "LIMIT"}),
            (-1100, {"clientAlgoId": "a b"}),
        ]
        good = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "positionSide": "LONG", "side": "SELL", "type": "STOP_MARKET",
                "triggerPrice": "49000.0", "closePosition": "true", "workingType": "MARK_PRICE"}  # fmt: skip
        for code, wrong in refused:
            reply = await client.post(ALGO, **{**good, **wrong})
            assert (reply.status, reply.code) == (400, code), (wrong, reply.body)
        assert sim.venue.algos == {}
        assert (await client.stop("LONG", "49000.0", "s")).status == 200
        assert (await client.stop("LONG", "48000.0", "t")).code == -4130
        assert (await client.stop("LONG", "51000.0", "t", type="TAKE_PROFIT_MARKET")).status == 200
        assert (await client.stop("SHORT", "51000.0", "s")).code == -4117
        assert (await client.get(ALGO, symbol="BTCUSDT", clientAlgoId="x")).code == -2013

    play(story)


def test_two_hundred_conditional_orders_and_no_more() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        for number in range(201):
            reply = await client.post(
                ALGO, algoType="CONDITIONAL", symbol="BTCUSDT", positionSide="LONG", side="BUY", type="STOP_MARKET",
                triggerPrice=str(51_000 + number), quantity="0.010",
            )  # fmt: skip
            assert reply.code == (0 if number < 200 else -4045)

    play(story)


def test_a_rejected_trigger_leaves_the_leg_as_it_is() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client)
        await client.stop("LONG", "49000.0", "s")
        sim.venue.triggers_rejected = True
        user = await client.listen(sim.ws_url)
        sim.price("BTCUSDT", 48_990.0)
        seen = await states(user, 2)
        assert [one["X"] for one in seen] == ["TRIGGERING", "REJECTED"]
        assert seen[1]["rm"] == "Margin is insufficient."
        assert sim.venue.pits["BTCUSDT"].held(0) == 10

    play(story)


def test_an_opener_waits_without_margin_and_is_asked_for_it_when_triggered() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        said = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "positionSide": "LONG", "side": "BUY", "type": "STOP_MARKET",
                "triggerPrice": "50100.0", "quantity": "100", "workingType": "CONTRACT_PRICE"}  # fmt: skip
        assert (await client.post(ALGO, **said)).status == 200
        user = await client.listen(sim.ws_url)
        sim.price("BTCUSDT", 50_100.0)
        assert [one["X"] for one in await states(user, 2)] == ["TRIGGERING", "REJECTED"]

    play(story)


def test_limit_and_trailing_kinds() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client, qty="0.020")
        half = {"closePosition": "false", "quantity": "0.010", "workingType": "CONTRACT_PRICE"}
        assert (await client.stop("LONG", "50500.0", "tp", type="TAKE_PROFIT", price="50600.0", **half)).body["price"] == "50600.00"
        trailing = {"type": "TRAILING_STOP_MARKET", "callbackRate": "1", "activatePrice": "50400.0", "triggerPrice": ""}
        assert (await client.stop("LONG", "", "trail", **half, **{key: value for key, value in trailing.items() if value})).status == 200
        sim.price("BTCUSDT", 50_500.0)
        (resting,) = (await client.get("/fapi/v1/openOrders", symbol="BTCUSDT")).body
        assert (resting["type"], resting["origType"], resting["price"], resting["reduceOnly"]) == ("LIMIT", "TAKE_PROFIT", "50600.00", True)
        sim.price("BTCUSDT", 50_550.0)
        sim.price("BTCUSDT", 50_040.0)
        assert (await client.get(ALGO, symbol="BTCUSDT", clientAlgoId="trail")).body["algoStatus"] == "FINISHED"
        assert sim.venue.pits["BTCUSDT"].held(0) == 10

    play(story)


def test_whichever_is_nearer_stop_or_death() -> None:
    for trigger, liquidated in (("41000.0", False), ("40100.0", True)):

        async def story(sim: Simulator, client: Client, trigger: str = trigger, liquidated: bool = liquidated) -> None:
            await hold(client, qty="1")
            await client.stop("LONG", trigger, "s")
            sim.price("BTCUSDT", 39_000.0)
            (closed,) = (order for order in sim.venue.orders.values() if order.closes)
            assert closed.client_id.startswith("autoclose-") == liquidated
            (algo,) = sim.venue.algos.values()
            assert algo.status == ("EXPIRED" if liquidated else "FINISHED")
            assert sim.venue.pits["BTCUSDT"].held(0) == 0

        play(story)


def test_cancelling_conditional_orders() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client)
        await hold(client, "SHORT")
        ack = (await client.stop("LONG", "49000.0", "s")).body
        await client.stop("SHORT", "51000.0", "t")
        gone = (await client.delete(ALGO, symbol="BTCUSDT", algoId=ack["algoId"])).body
        assert gone["algoStatus"] == "CANCELED"
        assert (await client.delete("/fapi/v1/algoOpenOrders", symbol="BTCUSDT")).body["code"] == 200
        rows = (await client.get("/fapi/v1/allAlgoOrders", symbol="BTCUSDT")).body
        assert [(one["clientAlgoId"], one["algoStatus"]) for one in rows] == [("s", "CANCELED"), ("t", "CANCELED")]

    play(story)
