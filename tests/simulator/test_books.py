"""Whatever is done, the books agree: history, positions, wallet and events tell one story."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from exchange_simulator import Simulator
from exchange_simulator.client import Client
from exchange_simulator.story import play

LEGS = ("LONG", "SHORT")
SYMBOLS = {"BTCUSDT": 50_000.0, "ETHUSDT": 2_500.0}
QTY = {"BTCUSDT": (0.004, 0.02), "ETHUSDT": (0.02, 0.4)}


async def act(chance: random.Random, sim: Simulator, client: Client, number: int) -> None:
    """One thing at random, asked for over the wire."""
    symbol, leg = chance.choice(list(SYMBOLS)), chance.choice(LEGS)
    pit = sim.venue.pits[symbol]
    opens, closes = ("BUY", "SELL") if leg == "LONG" else ("SELL", "BUY")
    order = {"symbol": symbol, "positionSide": leg, "side": opens, "newClientOrderId": f"n{number}"}
    qty = pit.symbol.qty(pit.symbol.lots(chance.uniform(*QTY[symbol])))
    away = 1 + chance.uniform(0.0, 0.004) * (-1 if leg == "LONG" else 1)
    what = chance.random()
    if what < 0.35:
        price = pit.symbol.price(round(pit.last * away))
        await client.post(
            "/fapi/v1/order", **order, type="LIMIT", timeInForce=chance.choice(["GTX", "GTC", "IOC"]), price=price, quantity=qty
        )
    elif what < 0.5:
        price = pit.symbol.price(round(pit.last * (2 - away)))
        await client.post("/fapi/v1/order", **{**order, "side": closes}, type="LIMIT", timeInForce="GTX", price=price, quantity=qty)
    elif what < 0.65:
        await client.post("/fapi/v1/order", **{**order, "side": chance.choice([opens, closes])}, type="MARKET", quantity=qty)
    elif what < 0.75:
        trigger = pit.symbol.price(round(pit.last * (0.996 if leg == "LONG" else 1.004)))
        await client.stop(leg, trigger, f"s{number}", symbol=symbol)
    elif what < 0.85 and pit.resting:
        await client.delete("/fapi/v1/order", symbol=symbol, orderId=chance.choice(list(pit.resting.values())).order_id)
    elif what < 0.93 and pit.resting:
        one = chance.choice(list(pit.resting.values()))
        change = {"symbol": symbol, "orderId": one.order_id, "price": pit.symbol.price(one.price - 10), "quantity": qty}
        await client.put("/fapi/v1/order", **change)
    else:
        sim.funding(symbol, chance.uniform(-0.001, 0.001))
    if chance.random() < 0.5:
        sim.price(symbol, float(pit.symbol.price(pit.last)) * (1 + chance.gauss(0, 0.001)), qty=chance.choice([None, None, 0.01]))
    else:
        sim.walk(symbol, 3, 8.0)


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in events if one["e"] == kind]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_history_positions_wallet_and_events_agree(seed: int) -> None:
    async def story(sim: Simulator, client: Client) -> None:
        sim.limits.orders_10s = sim.limits.orders_1m = sim.limits.weight_1m = 10**9
        chance = random.Random(seed)
        for number in range(350):
            await act(chance, sim, client, number)
        venue = sim.venue
        assert len(venue.executions) > 100
        income = (await client.get("/fapi/v1/income", limit=1000)).body
        rows = [one.shown() for one in venue.income]
        assert income == rows[-1000:]
        assert venue.wallet == pytest.approx(venue.start + sum(float(row["income"]) for row in rows), abs=1e-4)
        held: Counter[tuple[str, str]] = Counter()
        for symbol in SYMBOLS:
            for trade in (await client.get("/fapi/v1/userTrades", symbol=symbol, fromId=1, limit=1000)).body:
                sign = 1 if (trade["side"] == "BUY") == (trade["positionSide"] == "LONG") else -1
                held[symbol, trade["positionSide"]] += sign * round(float(trade["qty"]) * 1000)
        for row in (await client.get("/fapi/v2/positionRisk")).body:
            if row["positionSide"] != "BOTH":
                assert abs(round(float(row["positionAmt"]) * 1000)) == held[row["symbol"], row["positionSide"]]
        told = [one["o"] for one in of(sim.events, "ORDER_TRADE_UPDATE")]
        fills = [(one["s"], one["t"], one["l"]) for one in told if one["x"] in ("TRADE", "CALCULATED")]
        assert fills == [(one.order.symbol.name, one.trade_id, one.order.symbol.qty(one.qty)) for one in venue.executions]
        last = {one["i"]: one["X"] for one in told}
        assert last == {number: order.status for number, order in venue.orders.items()}
        resting = {order.order_id for order in venue.open_orders()}
        assert resting == {number for number, order in venue.orders.items() if order.is_open}
        states = {one["o"]["aid"]: one["o"]["X"] for one in of(sim.events, "ALGO_UPDATE")}
        assert states == {number: algo.status for number, algo in venue.algos.items()}
        assert "FINISHED" in states.values()
        assert {"FILLED", "CANCELED", "EXPIRED"} <= set(last.values())

    play(story, patience_s=120.0, symbols=SYMBOLS, seed=seed)
