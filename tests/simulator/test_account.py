"""The account over the wire: balances, positions, settings, and what happens behind the client's back."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from exchange_simulator import Simulator
from exchange_simulator.client import Client
from exchange_simulator.story import hold, play


async def usdt(client: Client) -> dict[str, Any]:
    rows: list[dict[str, Any]] = (await client.get("/fapi/v2/balance")).body
    assert rows[0]["asset"] != "USDT"
    return next(row for row in rows if row["asset"] == "USDT")


def test_positions_by_version() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        assert (await client.get("/fapi/v3/positionRisk")).body == []
        assert len((await client.get("/fapi/v2/positionRisk")).body) == 6
        await hold(client, "SHORT", "0.020")
        sim.price("BTCUSDT", 49_000.0)
        long, short = (await client.get("/fapi/v3/positionRisk")).body
        assert (long["positionSide"], long["positionAmt"], long["entryPrice"]) == ("LONG", "0.000", "0.0")
        assert (short["positionSide"], short["positionAmt"], short["unRealizedProfit"]) == ("SHORT", "-0.020", "20.00000000")
        assert float(short["liquidationPrice"]) > 400_000
        assert not {"leverage", "marginType"} & short.keys()
        both, _, old = (await client.get("/fapi/v2/positionRisk", symbol="BTCUSDT")).body
        assert (both["positionSide"], both["positionAmt"], old["leverage"]) == ("BOTH", "0.000", "20")

    play(story)


def test_the_account_adds_up() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client)
        await client.limit("LONG", "BUY", "49000.0", "0.010")
        sim.price("BTCUSDT", 50_500.0)
        for version in (2, 3):
            account = (await client.get(f"/fapi/v{version}/account")).body
            total = float(account["totalWalletBalance"]) + float(account["totalUnrealizedProfit"])
            assert float(account["totalMarginBalance"]) == pytest.approx(total)
            assert float(account["totalInitialMargin"]) == pytest.approx((505 + 490) / 20)
            assert float(account["availableBalance"]) == pytest.approx(total - (505 + 490) / 20)
            assert {row["positionSide"] for row in account["positions"]} >= {"LONG", "SHORT"}
        assert float((await usdt(client))["availableBalance"]) == pytest.approx(total - (505 + 490) / 20)

    play(story)


def test_modes_change_only_when_flat() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        mode, margin = "/fapi/v1/positionSide/dual", "/fapi/v1/marginType"
        assert (await client.get(mode)).body == {"dualSidePosition": True}
        assert (await client.post(mode, dualSidePosition="true")).code == -4059
        assert (await client.post(margin, symbol="BTCUSDT", marginType="CROSSED")).code == -4046
        await client.limit("LONG", "BUY", "49000.0", "0.010", "a")
        assert (await client.post(mode, dualSidePosition="false")).code == -4067
        assert (await client.post(margin, symbol="BTCUSDT", marginType="ISOLATED")).code == -4047
        await client.delete("/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="a")
        await hold(client)
        assert (await client.post(mode, dualSidePosition="false")).code == -4068
        assert (await client.post(margin, symbol="BTCUSDT", marginType="ISOLATED")).code == -4048
        await client.market("LONG", "SELL", "0.010")
        assert (await client.post(mode, dualSidePosition="false")).body == {"code": 200, "msg": "success"}
        assert (await client.market("LONG", "BUY", "0.010")).code == -4061
        assert (await client.post("/fapi/v1/multiAssetsMargin", multiAssetsMargin="true")).status == 200
        assert (await client.get("/fapi/v1/multiAssetsMargin")).body == {"multiAssetsMargin": True}

    play(story)


def test_leverage() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        path = "/fapi/v1/leverage"
        user = await client.listen(sim.ws_url)
        assert (await client.post(path, symbol="BTCUSDT", leverage=10)).body["leverage"] == 10
        assert (await user.next("ACCOUNT_CONFIG_UPDATE"))["ac"] == {"s": "BTCUSDT", "l": 10}
        assert (await client.post(path, symbol="BTCUSDT", leverage=126)).code == -4028
        await hold(client, qty="1")
        assert (await client.post(path, symbol="BTCUSDT", leverage=1)).code == -2028
        rows = (await client.get("/fapi/v1/symbolConfig", symbol="BTCUSDT")).body
        assert (rows[0]["leverage"], rows[0]["marginType"]) == (10, "CROSSED")
        sim.set_leverage("BTCUSDT", 7)
        assert (await user.next("ACCOUNT_CONFIG_UPDATE"))["ac"]["l"] == 7

    play(story)


def test_funding_is_paid_by_both_legs_and_told_without_positions() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client, qty="0.020")
        await hold(client, "SHORT", "0.010")
        user = await client.listen(sim.ws_url)
        paid = sim.funding("BTCUSDT", 0.001)
        assert paid == pytest.approx(0.5)
        told = (await user.next("ACCOUNT_UPDATE"))["a"]
        assert (told["m"], told["S"], told["P"]) == ("FUNDING_FEE", "BTCUSDT", [])
        rows = (await client.get("/fapi/v1/income", incomeType="FUNDING_FEE")).body
        assert [float(row["income"]) for row in rows] == pytest.approx([-1.0, 0.5])
        assert (await client.public("/fapi/v1/fundingRate", symbol="BTCUSDT", limit=1)).body[0]["fundingRate"] == "0.00100000"

    play(story)


def test_money_moves() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        user = await client.listen(sim.ws_url)
        sim.deposit(500.0)
        sim.withdraw(200.0)
        told = [(await user.next("ACCOUNT_UPDATE"))["a"] for _ in range(2)]
        assert [(one["m"], one["B"][0]["bc"]) for one in told] == [("DEPOSIT", "500.00000000"), ("WITHDRAW", "-200.00000000")]
        rows = (await client.get("/fapi/v1/income", incomeType="TRANSFER")).body
        assert len({row["tranId"] for row in rows}) == 2
        assert float((await usdt(client))["balance"]) == 10_300.0

    play(story)


def test_liquidation_sweeps_everything_and_names_itself() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client, qty="2")
        await client.limit("LONG", "BUY", "45000.0", "0.010", "a")
        await client.stop("LONG", "20000.0", "s")
        sim.manual("ETHUSDT", "SHORT", 1.0)
        user = await client.listen(sim.ws_url)
        sim.price("BTCUSDT", 45_100.0)
        assert (await user.next("ORDER_TRADE_UPDATE"))["o"]["x"] == "CANCELED"
        forced = (await user.next("ORDER_TRADE_UPDATE/CALCULATED"))["o"]
        assert forced["c"].startswith("autoclose-")
        assert (forced["X"], forced["z"], forced["ps"]) == ("FILLED", "2.000", "LONG")
        assert (await user.next("ALGO_UPDATE"))["o"]["X"] == "EXPIRED"
        assert (await user.next("ORDER_TRADE_UPDATE/CALCULATED"))["o"]["s"] == "ETHUSDT"
        assert (await client.get("/fapi/v3/positionRisk")).body == []
        assert sim.venue.wallet >= 0.0

    play(story)


def test_deleveraging_takes_a_part() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client)
        user = await client.listen(sim.ws_url)
        sim.adl("BTCUSDT", "LONG", 0.004)
        forced = (await user.next("ORDER_TRADE_UPDATE"))["o"]
        assert (forced["c"], forced["x"], forced["z"]) == ("adl_autoclose", "CALCULATED", "0.004")
        assert sim.venue.pits["BTCUSDT"].held(0) == 6

    play(story)


def test_strangers_trade_on_the_account() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        user = await client.listen(sim.ws_url)
        sim.manual("BTCUSDT", "LONG", 0.01)
        assert (await user.next("ORDER_TRADE_UPDATE/TRADE"))["o"]["c"].startswith("ios_")
        sim.manual("BTCUSDT", "LONG", -0.004)
        sim.foreign_order("BTCUSDT", "SHORT", "SELL", 0.01, 50_500.0)
        sim.foreign_algo("BTCUSDT", "LONG", 49_000.0)
        assert [one["clientOrderId"][:4] for one in (await client.get("/fapi/v1/openOrders")).body] == ["web_"]
        assert len((await client.get("/fapi/v1/openAlgoOrders")).body) == 1
        assert sim.venue.pits["BTCUSDT"].held(0) == 6
        sim.set_position_mode(hedge=False)
        assert (await client.market("LONG", "SELL", "0.001")).code == -4061
        sim.set_position_mode(hedge=True)
        sim.set_status("BTCUSDT", "SETTLING")
        assert (await client.market("LONG", "BUY", "0.010")).code == -4140
        assert (await client.market("LONG", "SELL", "0.001")).status == 200

    play(story)


def test_small_settings() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        rate = (await client.get("/fapi/v1/commissionRate", symbol="BTCUSDT")).body
        assert (rate["makerCommissionRate"], rate["takerCommissionRate"]) == ("0.000200", "0.000500")
        brackets = (await client.get("/fapi/v1/leverageBracket", symbol="BTCUSDT")).body[0]["brackets"]
        for before, after in pairwise(brackets):
            worth = after["notionalFloor"]
            assert worth * before["maintMarginRatio"] - before["cum"] == pytest.approx(worth * after["maintMarginRatio"] - after["cum"])
        assert (await client.get("/fapi/v1/accountConfig")).body["dualSidePosition"] is True
        assert (await client.get("/fapi/v1/apiTradingStatus")).body["indicators"] == {}
        assert {row["limit"] for row in (await client.get("/fapi/v1/rateLimit/order")).body} == {300, 1200}
        assert (await client.get("/sapi/v1/account/apiRestrictions")).body["enableWithdrawals"] is False

    play(story)


def test_a_thin_market_leaves_market_orders_unfilled() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client, qty="0.020")
        user = await client.listen(sim.ws_url)
        sim.thin("BTCUSDT", 0.008)
        await client.market("LONG", "SELL", "0.020", newClientOrderId="c")
        gone = (await user.next("ORDER_TRADE_UPDATE/EXPIRED"))["o"]
        assert (gone["c"], gone["z"], gone["er"]) == ("c", "0.008", "9")
        await client.market("LONG", "SELL", "0.012", newClientOrderId="d")
        assert (await user.next("ORDER_TRADE_UPDATE/EXPIRED"))["o"]["z"] == "0.000"
        sim.thin("BTCUSDT", None)
        await client.market("LONG", "SELL", "0.012")
        assert (await client.get("/fapi/v3/positionRisk")).body == []

    play(story)


def test_filters_change_at_run_time() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        sim.set_filter("BTCUSDT", "PRICE_FILTER", tickSize="0.50")
        sim.set_filter("BTCUSDT", "MIN_NOTIONAL", notional="200")
        assert (await client.limit("LONG", "BUY", "49900.1", "0.010")).code == -4014
        assert (await client.limit("LONG", "BUY", "49900.5", "0.004")).code == -4164
        assert (await client.limit("LONG", "BUY", "49900.5", "0.005")).status == 200
        info = (await client.public("/fapi/v1/exchangeInfo")).body["symbols"][0]
        assert {"tickSize": "0.50"}.items() <= info["filters"][0].items()
        with pytest.raises(ValueError, match="multiple"):
            sim.set_filter("BTCUSDT", "PRICE_FILTER", tickSize="0.25")
        with pytest.raises(KeyError):
            sim.set_filter("BTCUSDT", "PRICE_FILTER", notional="1")

    play(story)


def test_somebody_cancels() -> None:
    async def story(sim: Simulator, client: Client) -> None:
        await hold(client)
        await client.limit("LONG", "BUY", "49900.0", "0.010", "a")
        await client.stop("LONG", "49000.0", "s")
        user = await client.listen(sim.ws_url)
        assert sim.foreign_cancel("BTCUSDT", "a")
        assert sim.foreign_cancel("BTCUSDT", "s")
        assert not sim.foreign_cancel("BTCUSDT", "a")
        assert (await user.next())["o"]["x"] == "CANCELED"
        assert (await user.next())["o"]["X"] == "CANCELED"

    play(story)
