"""Our answers against the recorded ones: every key they have, with the same JSON type.

Left out are the changes since they were recorded, each named below, and what only order types have that are no classic orders any more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from exchange_simulator import Simulator
from exchange_simulator.client import Client
from exchange_simulator.routes import ROUTES
from exchange_simulator.story import hold, play

PAYLOADS = Path(os.environ.get("HEDGEGRIDD_SHARED", Path(__file__).parents[2] / ".." / "shared")) / "data" / "payloads"
pytestmark = pytest.mark.skipif(not PAYLOADS.exists(), reason="HEDGEGRIDD_SHARED: no recorded payloads there")

TRAILING = {"activatePrice", "priceRate"}  # of TRAILING_STOP_MARKET, which the algo service has now
NO_MONEY = {"avgPrice", "cumQuote"}  # gone from acknowledgements in July 2026
LEFT_OUT: dict[tuple[str, str], set[str]] = {
    ("POST", "/fapi/v1/order"): NO_MONEY | TRAILING,
    ("PUT", "/fapi/v1/order"): NO_MONEY,
    ("DELETE", "/fapi/v1/order"): NO_MONEY | TRAILING,
    ("POST", "/fapi/v1/batchOrders"): NO_MONEY | TRAILING,
    ("PUT", "/fapi/v1/batchOrders"): NO_MONEY,
    ("DELETE", "/fapi/v1/batchOrders"): NO_MONEY | TRAILING,
    ("GET", "/fapi/v1/order"): TRAILING,
    ("GET", "/fapi/v1/openOrder"): TRAILING,
    ("GET", "/fapi/v1/openOrders"): TRAILING,
    ("GET", "/fapi/v1/allOrders"): TRAILING,
    ("GET", "/fapi/v3/positionRisk"): {"leverage", "marginType", "maxNotionalValue", "isAutoAddMargin"},  # of version 2
    ("GET", "/fapi/v1/income"): {"tradeId"},  # a number and a string in one recording
    ("GET", "/fapi/v1/exchangeInfo"): {"autoAssetExchange"},  # a number here, a string there
    ("GET", "/fapi/v1/apiTradingStatus"): {"BTCUSDT", "ETHUSDT", "ACCOUNT"},  # indicators of accounts in trouble
}
BTC = {"symbol": "BTCUSDT"}
GOOD = {**BTC, "side": "BUY", "positionSide": "LONG", "type": "LIMIT", "timeInForce": "GTX", "price": "49000", "quantity": "0.010"}
CHANGE = {**BTC, "side": "BUY", "price": "48900", "quantity": "0.010"}
STOP = {**BTC, "algoType": "CONDITIONAL", "side": "SELL", "positionSide": "LONG", "type": "STOP_MARKET", "triggerPrice": "45000",
        "quantity": "0.010", "clientAlgoId": "new"}  # fmt: skip
#: What each endpoint is asked for; those not named are asked for BTCUSDT. In this order, so that there is something to change and cancel.
CALLS: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/fapi/v1/order"): {**GOOD, "newClientOrderId": "mine"},
    ("GET", "/fapi/v1/order"): {**BTC, "origClientOrderId": "mine"},
    ("GET", "/fapi/v1/openOrder"): {**BTC, "origClientOrderId": "mine"},
    ("PUT", "/fapi/v1/order"): {**CHANGE, "origClientOrderId": "mine"},
    ("DELETE", "/fapi/v1/order"): {**BTC, "origClientOrderId": "mine"},
    ("POST", "/fapi/v1/batchOrders"): {"batchOrders": json.dumps([{**GOOD, "newClientOrderId": "batch"}])},
    ("PUT", "/fapi/v1/batchOrders"): {"batchOrders": json.dumps([{**CHANGE, "origClientOrderId": "batch"}])},
    ("DELETE", "/fapi/v1/batchOrders"): {**BTC, "origClientOrderIdList": '["batch"]'},
    ("POST", "/fapi/v1/algoOrder"): STOP,
    ("GET", "/fapi/v1/algoOrder"): {**BTC, "clientAlgoId": "done"},
    ("DELETE", "/fapi/v1/algoOrder"): {**BTC, "clientAlgoId": "new"},
    ("GET", "/fapi/v1/klines"): {**BTC, "interval": "1m"},
    ("GET", "/fapi/v1/markPriceKlines"): {**BTC, "interval": "1m"},
    ("GET", "/fapi/v1/indexPriceKlines"): {"pair": "BTCUSDT", "interval": "1m"},
    ("GET", "/fapi/v1/continuousKlines"): {"pair": "BTCUSDT", "contractType": "PERPETUAL", "interval": "1m"},
    ("POST", "/fapi/v1/leverage"): {**BTC, "leverage": 21},
    ("POST", "/fapi/v1/marginType"): {"symbol": "ETHUSDT", "marginType": "ISOLATED"},
    ("POST", "/fapi/v1/multiAssetsMargin"): {"multiAssetsMargin": "true"},
    ("POST", "/fapi/v1/countdownCancelAll"): {**BTC, "countdownTime": 100_000},
    ("GET", "/fapi/v1/income"): {},
}
#: Needs a flat account, and is tried last.
FLAT: dict[tuple[str, str], dict[str, Any]] = {("POST", "/fapi/v1/positionSide/dual"): {"dualSidePosition": "false"}}
#: The last ones: they take away what the others look at.
SWEEPING = [("DELETE", "/fapi/v1/allOpenOrders"), ("DELETE", "/fapi/v1/algoOpenOrders"), ("DELETE", "/fapi/v1/listenKey")]


def rows(name: str) -> Iterator[dict[str, Any]]:
    if PAYLOADS.exists():
        for line in (PAYLOADS / name).read_text().splitlines():
            yield json.loads(line)


def kind_of(value: Any) -> str:
    """The JSON type."""
    names = {bool: "bool", int: "number", float: "number", str: "string", list: "list", dict: "object"}
    return "null" if value is None else names[type(value)]


def differs(recorded: Any, ours: Any, left_out: set[str], where: str = "") -> list[str]:
    """Where ours lacks something, or has another type. Of lists the first elements are compared; a recorded null may be anything."""
    if recorded is None or (ours is None and where.endswith(("AP", "cr"))):
        return []
    if kind_of(recorded) != kind_of(ours):
        return [f"{where}: {kind_of(recorded)} is {kind_of(ours)} here"]
    if isinstance(recorded, dict):
        found = []
        for key, value in recorded.items():
            if key in left_out:
                continue
            found += differs(value, ours[key], left_out, f"{where}.{key}") if key in ours else [f"{where}.{key} is missing"]
        return found
    if isinstance(recorded, list) and recorded:
        if isinstance(recorded[0], dict | list):
            return differs(recorded[0], ours[0], left_out, f"{where}[0]") if ours else [f"{where} is empty here"]
        return [one for at, pair in enumerate(zip(recorded, ours, strict=False)) for one in differs(*pair, left_out, f"{where}[{at}]")]
    return []


def rest_fixtures() -> dict[tuple[str, str], list[Any]]:
    """Recorded answers of endpoints that we serve."""
    found: dict[tuple[str, str], list[Any]] = {}
    for row in rows("fixtures_binance_net.jsonl"):
        request = row.get("request") or {}
        key = (str(request.get("method")), str(request.get("path")))
        if row["channel"] == "rest" and key in ROUTES:
            found.setdefault(key, []).append(row["payload"])
    return found


async def populate(sim: Simulator, client: Client) -> None:
    """Something of everything: legs, orders, conditional orders alive and done, funding, transfers."""
    await client.ask("POST", "/fapi/v1/listenKey")
    await hold(client, qty="0.100")
    await hold(client, "SHORT", "0.020")
    await client.post("/fapi/v1/algoOrder", **{**STOP, "clientAlgoId": "done", "triggerPrice": "49900"})
    sim.price("BTCUSDT", 49_890.0)
    await client.post("/fapi/v1/algoOrder", **{**STOP, "clientAlgoId": "open"})
    await client.limit("LONG", "BUY", "48000", "0.010", "resting")
    sim.funding("BTCUSDT")
    sim.deposit(10.0)


async def answers(sim: Simulator, client: Client, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], Any]:
    first = [key for key in CALLS if key in wanted]
    middle = sorted(wanted - set(first) - set(SWEEPING) - set(FLAT))
    got = {}
    for method, path in (*first, *middle, *(key for key in SWEEPING if key in wanted), *(key for key in FLAT if key in wanted)):
        if (method, path) in FLAT:
            for leg, side, qty in (("LONG", "SELL", "0.090"), ("SHORT", "BUY", "0.020")):
                assert (await client.market(leg, side, qty)).status == 200
        params = CALLS.get((method, path), FLAT.get((method, path), BTC))
        if path == "/fapi/v1/listenKey":
            reply = await client.ask(method, path)
        else:
            reply = await client.ask(method, path, client.signed(params))
        assert reply.status == 200, (method, path, reply.body)
        got[method, path] = reply.body
    return got


def test_rest_answers_have_all_that_was_recorded() -> None:
    fixtures = rest_fixtures()
    assert len(fixtures) >= 50

    async def story(sim: Simulator, client: Client) -> None:
        sim.limits.weight_1m = 1_000_000
        await populate(sim, client)
        ours = await answers(sim, client, set(fixtures))
        found = []
        for key, recorded in fixtures.items():
            for one in recorded:
                mine = ours[key]
                if isinstance(one, dict) and isinstance(mine, list):
                    mine = mine[0]
                if isinstance(one, list) and isinstance(mine, dict):
                    mine = [mine]
                found += [f"{' '.join(key)} {text}" for text in differs(one, mine, LEFT_OUT.get(key, set()))]
        assert not found

    play(story)


NAMED = {
    "account_info_v2": ("GET", "/fapi/v2/account"),
    "balance": ("GET", "/fapi/v2/balance"),
    "position_risk": ("GET", "/fapi/v2/positionRisk"),
    "http_futures_account_orders": ("GET", "/fapi/v1/allOrders"),
    "http_futures_account_position_side_dual": ("GET", "/fapi/v1/positionSide/dual"),
    "http_futures_account_positions_hedge": ("GET", "/fapi/v2/positionRisk"),
    "http_futures_account_trades": ("GET", "/fapi/v1/userTrades"),
    "http_futures_market_agg_trades": ("GET", "/fapi/v1/aggTrades"),
    "http_futures_market_book_ticker": ("GET", "/fapi/v1/ticker/bookTicker"),
    "http_futures_market_depth": ("GET", "/fapi/v1/depth"),
    "http_futures_market_exchange_info": ("GET", "/fapi/v1/exchangeInfo"),
    "http_futures_market_funding_rate": ("GET", "/fapi/v1/fundingRate"),
    "http_futures_market_klines": ("GET", "/fapi/v1/klines"),
    "http_futures_market_premium_index": ("GET", "/fapi/v1/premiumIndex"),
    "http_futures_market_ticker_24hr": ("GET", "/fapi/v1/ticker/24hr"),
    "http_futures_market_ticker_price": ("GET", "/fapi/v1/ticker/price"),
    "http_futures_wallet_commission_rate_btcusdt": ("GET", "/fapi/v1/commissionRate"),
}


def test_rest_answers_have_all_that_another_library_saw() -> None:
    recorded = {row["name"]: row["payload"] for row in rows("fixtures_nautilus.jsonl") if row["name"] in NAMED}
    assert recorded.keys() == NAMED.keys()

    async def story(sim: Simulator, client: Client) -> None:
        await populate(sim, client)
        sim.limits.weight_1m = 1_000_000
        found = []
        for name, key in NAMED.items():
            reply = await client.ask(*key, client.signed(CALLS.get(key, BTC)))
            found += [f"{name} {text}" for text in differs(recorded[name], reply.body, LEFT_OUT.get(key, set()))]
        assert not found

    play(story)


#: Of events: AP and cr are a trailing stop's; W is nowhere documented and in no message recorded on the wire.
IN_NO_EVENT = {"AP", "cr", "W"}


def event_fixtures() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in ("fixtures_binance_net.jsonl", "fixtures_nautilus.jsonl", "recorded_issues.jsonl"):
        for row in rows(name):
            payload = row["payload"]
            event = payload.get("data", payload) if isinstance(payload, dict) else {}
            if row["channel"] == "ws" and isinstance(event, dict) and "e" in event and row.get("complete", True):
                yield f"{row['name']} ({name})", event


async def all_user_events(sim: Simulator, client: Client) -> list[dict[str, Any]]:
    await populate(sim, client)
    await client.put("/fapi/v1/order", **CHANGE, origClientOrderId="resting")
    await client.delete("/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="resting")
    await client.post("/fapi/v1/leverage", symbol="BTCUSDT", leverage=21)
    await client.post("/fapi/v1/multiAssetsMargin", multiAssetsMargin="true")
    sim.adl("BTCUSDT", "SHORT", 0.01)
    sim.venue.triggers_rejected = True
    sim.price("BTCUSDT", 44_000.0)
    sim.liquidate("BTCUSDT")
    sim.expire_listen_key()
    return sim.events


def test_events_have_all_that_was_recorded() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        board, now = sim.floor.boards["BTCUSDT"], sim.now()
        bar = board.bars.at(board.bars.newest)
        public = [
            board.book_ticker(now), board.agg_trade(board.prints[-1], now), board.mark_price(now), board.kline("1m", bar, True, now),
            board.continuous_kline("1m", bar, True, now), board.depth_update(5, now), board.ticker(now),
        ]  # fmt: skip
        ours = [*public, *await all_user_events(sim, client)]
        kinds = {one["e"] for one in ours}
        found, compared = [], set()
        for name, recorded in event_fixtures():
            if recorded["e"] not in kinds:
                continue
            compared.add(recorded["e"])
            best = min((differs(recorded, one, IN_NO_EVENT) for one in ours if one["e"] == recorded["e"]), key=len)
            found += [f"{name} {text}" for text in best]
        assert not found
        assert {"ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ALGO_UPDATE", "TRADE_LITE", "ACCOUNT_CONFIG_UPDATE", "bookTicker", "aggTrade",
                "markPriceUpdate", "kline", "continuous_kline", "depthUpdate", "24hrTicker"} <= compared  # fmt: skip

    play(story)


def test_refusals_are_worded_as_recorded() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        errors = [row["payload"] for row in rows("recorded_issues.jsonl") if row["name"].startswith("error_")]
        recorded = {one["code"]: one["msg"] for one in errors}
        replies = [
            await client.limit("LONG", "BUY", "49900", "0"),
            await client.limit("LONG", "BUY", "49900", "0.010", reduceOnly="true"),
            await client.limit("LONG", "BUY", "49900", "5"),
            await client.limit("LONG", "SELL", "50100", "5"),
        ]
        for reply in replies:
            assert reply.body["msg"] == recorded[reply.code]
        async with Client(sim.rest_url, key="B" * 64) as stranger:
            reply = await stranger.get("/fapi/v3/balance")
            assert reply.body["msg"] == recorded[reply.code]

    play(story)
