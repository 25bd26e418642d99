"""Signed endpoints about the account: balances, positions, settings, income, listen keys.

Its one law: every number comes from the venue's books; what is written nowhere else is zero, never left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exchange_simulator import events
from exchange_simulator.checks import pit_of
from exchange_simulator.digits import fixed, money
from exchange_simulator.params import Params
from exchange_simulator.records import Json
from exchange_simulator.refusals import Refused
from exchange_simulator.rest_trade import WEEK, page, span
from exchange_simulator.routes import Asks, by_symbol, route
from exchange_simulator.venue import Pit
from hedgegridd.kernel import ledger
from hedgegridd.model import Leg

if TYPE_CHECKING:
    from exchange_simulator.simulator import Simulator

SIGNED, KEY = Asks.SIGNATURE, Asks.KEY
SUCCESS = {"code": 200, "msg": "success"}
ZERO = "0.00000000"
OTHER_ASSETS = ("FDUSD", "BNB", "BTC")  # USDT is not row 0


# --- balances -------------------------------------------------------------------------------------------------------------


@route("GET", "/fapi/v2/balance", "/fapi/v3/balance", asks=SIGNED, weight=5)
def balance(sim: Simulator, params: Params) -> list[Json]:
    venue = sim.venue

    def row(asset: str, wallet: str, unrealized: str, available: str) -> Json:
        return {
            "accountAlias": "SgsRsRmY", "asset": asset, "balance": wallet, "crossWalletBalance": wallet, "crossUnPnl": unrealized,
            "availableBalance": available, "maxWithdrawAmount": available, "marginAvailable": True, "updateTime": sim.now(),
        }  # fmt: skip

    free = money(max(venue.available, 0.0))
    return [*(row(asset, ZERO, ZERO, ZERO) for asset in OTHER_ASSETS), row("USDT", money(venue.wallet), money(venue.unrealized), free)]


def _openers_margin(pit: Pit) -> float:
    """Initial margin of resting openers, USDT."""
    return float(pit.book.openers[0] + pit.book.openers[1]) * pit.terms.unit / pit.leverage


def _legs_margin(pit: Pit) -> float:
    return ledger.initial_margin(pit.books, pit.terms.unit, pit.book.mark[0], float(pit.leverage))


def _totals(sim: Simulator) -> Json:
    venue = sim.venue
    held = sum(_legs_margin(pit) for pit in venue.pits.values())
    openers = sum(_openers_margin(pit) for pit in venue.pits.values())
    free = money(max(venue.available, 0.0))
    return {
        "totalInitialMargin": money(held + openers), "totalMaintMargin": money(venue.maint), "totalWalletBalance": money(venue.wallet),
        "totalUnrealizedProfit": money(venue.unrealized), "totalMarginBalance": money(venue.wallet + venue.unrealized),
        "totalPositionInitialMargin": money(held), "totalOpenOrderInitialMargin": money(openers),
        "totalCrossWalletBalance": money(venue.wallet), "totalCrossUnPnl": money(venue.unrealized), "availableBalance": free,
        "maxWithdrawAmount": free,
    }  # fmt: skip


def _assets(sim: Simulator, full: bool) -> list[Json]:
    totals = _totals(sim)

    def row(asset: str, get: Any) -> Json:
        shape = {
            "asset": asset, "walletBalance": get("totalWalletBalance"), "unrealizedProfit": get("totalUnrealizedProfit"),
            "marginBalance": get("totalMarginBalance"), "maintMargin": get("totalMaintMargin"), "initialMargin": get("totalInitialMargin"),
            "positionInitialMargin": get("totalPositionInitialMargin"), "openOrderInitialMargin": get("totalOpenOrderInitialMargin"),
            "crossWalletBalance": get("totalCrossWalletBalance"), "crossUnPnl": get("totalCrossUnPnl"),
            "availableBalance": get("availableBalance"), "maxWithdrawAmount": get("maxWithdrawAmount"), "updateTime": sim.now(),
        }  # fmt: skip
        return {**shape, "marginAvailable": True} if full else shape

    return [*(row(asset, lambda _: ZERO) for asset in OTHER_ASSETS), row("USDT", totals.__getitem__)]


@route("GET", "/fapi/v2/account", asks=SIGNED, weight=5)
def account_v2(sim: Simulator, params: Params) -> Json:
    positions = []
    for pit in sim.venue.pits.values():
        for where in ("BOTH", "LONG", "SHORT"):
            risk = _risk(sim, pit, where)
            positions.append({
                "symbol": pit.symbol.name, "initialMargin": risk["initialMargin"], "maintMargin": risk["maintMargin"],
                "unrealizedProfit": risk["unRealizedProfit"], "positionInitialMargin": risk["positionInitialMargin"],
                "openOrderInitialMargin": risk["openOrderInitialMargin"], "leverage": str(pit.leverage),
                "isolated": pit.margin_type != "cross", "entryPrice": risk["entryPrice"], "breakEvenPrice": risk["breakEvenPrice"],
                "maxNotional": str(pit.symbol.max_notional(pit.leverage)), "bidNotional": "0", "askNotional": "0",
                "positionSide": where, "positionAmt": risk["positionAmt"], "notional": risk["notional"], "isolatedWallet": "0",
                "updateTime": risk["updateTime"],
            })  # fmt: skip
    config = account_config(sim, params)
    return {**config, **_totals(sim), "assets": _assets(sim, full=True), "positions": positions}


@route("GET", "/fapi/v3/account", asks=SIGNED, weight=5)
def account_v3(sim: Simulator, params: Params) -> Json:
    keys = {"symbol": "symbol", "positionSide": "positionSide", "positionAmt": "positionAmt", "unrealizedProfit": "unRealizedProfit",
            "isolatedMargin": "isolatedMargin", "notional": "notional", "isolatedWallet": "isolatedWallet",
            "initialMargin": "initialMargin", "maintMargin": "maintMargin", "updateTime": "updateTime"}  # fmt: skip
    rows = [_risk(sim, pit, leg.name) for pit in sim.venue.pits.values() if _shown(pit) for leg in Leg]
    positions = [{key: row[name] for key, name in keys.items()} for row in rows]
    return {**_totals(sim), "assets": _assets(sim, full=False), "positions": positions}


# --- positions ------------------------------------------------------------------------------------------------------------


def _shown(pit: Pit) -> bool:
    """v3 shows a symbol with a position or an open order."""
    return bool(pit.held(0) or pit.held(1) or pit.resting)


def _risk(sim: Simulator, pit: Pit, where: str) -> Json:
    """All there is to say of one leg (or of the BOTH row, which is empty in hedge mode)."""
    leg = Leg[where] if where in Leg.__members__ else None
    qty = pit.held(leg) if leg is not None else 0
    entry = pit.symbol.exact(pit.entry(leg)) if leg is not None and qty else 0.0
    worth = pit.notional(leg) if leg is not None and qty else 0.0
    sign = -1 if leg == Leg.SHORT else 1
    maint = ledger.leg_maint(worth, pit.terms.tiers) if qty else 0.0
    openers = float(pit.book.openers[leg]) * pit.terms.unit / pit.leverage if leg is not None else 0.0
    return {
        "symbol": pit.symbol.name, "positionSide": where, "positionAmt": pit.symbol.qty(sign * qty), "entryPrice": _entry(entry),
        "breakEvenPrice": _entry(entry), "markPrice": sim.floor.boards[pit.symbol.name].exact(pit.book.mark[0]),
        "unRealizedProfit": money(pit.unrealized(leg) if leg is not None else 0.0),
        "liquidationPrice": _death(sim, pit, leg) if qty and leg is not None else "0", "isolatedMargin": ZERO,
        "notional": money(sign * worth) if qty else "0", "marginAsset": "USDT", "isolatedWallet": "0",
        "initialMargin": money(worth / pit.leverage + openers), "maintMargin": money(maint),
        "positionInitialMargin": money(worth / pit.leverage), "openOrderInitialMargin": money(openers), "adl": 1 if qty else 0,
        "bidNotional": "0", "askNotional": "0", "updateTime": pit.changed[leg] if leg is not None else 0,
    }  # fmt: skip


def _entry(price: float) -> str:
    return fixed(price, 8) if price else "0.0"


def _death(sim: Simulator, pit: Pit, leg: Leg) -> str:
    span = sim.venue.span(pit)
    ticks = span.low if leg == Leg.LONG else span.high
    return fixed(pit.symbol.exact(ticks), 8) if 0 < ticks < 1e15 else "0"


def _asked(sim: Simulator, params: Params) -> list[Pit]:
    return [pit_of(sim.venue, params)] if params.text("symbol") else list(sim.venue.pits.values())


@route("GET", "/fapi/v3/positionRisk", asks=SIGNED, weight=5)
def position_risk_v3(sim: Simulator, params: Params) -> list[Json]:
    return [_risk(sim, pit, leg.name) for pit in _asked(sim, params) if _shown(pit) for leg in Leg]


@route("GET", "/fapi/v2/positionRisk", asks=SIGNED, weight=5)
def position_risk_v2(sim: Simulator, params: Params) -> list[Json]:
    rows = []
    kept = ("entryPrice", "breakEvenPrice", "isolatedMargin", "liquidationPrice", "markPrice", "positionAmt", "notional", "isolatedWallet",
            "symbol", "unRealizedProfit", "positionSide", "updateTime")  # fmt: skip
    for pit in _asked(sim, params):
        for where in ("BOTH", "LONG", "SHORT"):
            risk = _risk(sim, pit, where)
            rows.append({
                **{key: risk[key] for key in kept}, "marginType": pit.margin_type, "isAutoAddMargin": "false",
                "leverage": str(pit.leverage), "maxNotionalValue": str(pit.symbol.max_notional(pit.leverage)),
            })  # fmt: skip
    return rows


# --- settings -------------------------------------------------------------------------------------------------------------


@route("GET", "/fapi/v1/symbolConfig", asks=SIGNED, weight=5)
def symbol_config(sim: Simulator, params: Params) -> list[Json]:
    return [
        {"symbol": pit.symbol.name, "marginType": "CROSSED" if pit.margin_type == "cross" else "ISOLATED", "isAutoAddMargin": "false",
         "leverage": pit.leverage, "maxNotionalValue": str(pit.symbol.max_notional(pit.leverage))}
        for pit in _asked(sim, params)
    ]  # fmt: skip


@route("GET", "/fapi/v1/accountConfig", asks=SIGNED, weight=5)
def account_config(sim: Simulator, params: Params) -> Json:
    return {
        "feeTier": 0, "canTrade": True, "canDeposit": True, "canWithdraw": True, "dualSidePosition": sim.venue.hedge, "updateTime": 0,
        "multiAssetsMargin": sim.venue.multi_assets, "tradeGroupId": -1,
    }  # fmt: skip


@route("GET", "/fapi/v1/positionSide/dual", asks=SIGNED, weight=30)
def position_mode(sim: Simulator, params: Params) -> Json:
    return {"dualSidePosition": sim.venue.hedge}


@route("POST", "/fapi/v1/positionSide/dual", asks=SIGNED)
def set_position_mode(sim: Simulator, params: Params) -> Json:
    params.need("dualSidePosition")
    hedge = params.flag("dualSidePosition")
    if hedge == sim.venue.hedge:
        raise Refused(-4059)
    if sim.venue.open_orders() or sim.venue.open_algos():
        raise Refused(-4067)
    if any(pit.held(leg) for pit in sim.venue.pits.values() for leg in Leg):
        raise Refused(-4068)
    sim.venue.hedge = hedge
    return SUCCESS


@route("GET", "/fapi/v1/multiAssetsMargin", asks=SIGNED, weight=30)
def multi_assets(sim: Simulator, params: Params) -> Json:
    return {"multiAssetsMargin": sim.venue.multi_assets}


@route("POST", "/fapi/v1/multiAssetsMargin", asks=SIGNED)
def set_multi_assets(sim: Simulator, params: Params) -> Json:
    params.need("multiAssetsMargin")
    wanted = params.flag("multiAssetsMargin")
    if wanted == sim.venue.multi_assets:
        raise Refused(-4171)
    sim.venue.multi_assets = wanted
    sim.venue.emit(events.config_update(sim.now(), ai={"j": wanted}))
    return SUCCESS


@route("POST", "/fapi/v1/leverage", asks=SIGNED)
def leverage(sim: Simulator, params: Params) -> Json:
    pit = pit_of(sim.venue, params)
    wanted = params.whole("leverage")
    if not 1 <= wanted <= pit.symbol.max_leverage:
        raise Refused(-4028, leverage=wanted)
    more = (_legs_margin(pit) + _openers_margin(pit)) * (pit.leverage / wanted - 1)
    if more > sim.venue.available:
        raise Refused(-2028)
    if pit.notional(0) + pit.notional(1) > pit.symbol.max_notional(wanted):
        raise Refused(-2027)
    sim.set_leverage(pit.symbol.name, wanted)
    return {"leverage": wanted, "maxNotionalValue": str(pit.symbol.max_notional(wanted)), "symbol": pit.symbol.name}


@route("POST", "/fapi/v1/marginType", asks=SIGNED)
def margin_type(sim: Simulator, params: Params) -> Json:
    pit = pit_of(sim.venue, params)
    wanted = {"CROSSED": "cross", "ISOLATED": "isolated"}.get(params.need("marginType"))
    if wanted is None:
        raise Refused(-1130, name="marginType")
    if wanted == pit.margin_type:
        raise Refused(-4046)
    if pit.resting or sim.venue.open_algos(pit.symbol.name):
        raise Refused(-4047)
    if pit.held(0) or pit.held(1):
        raise Refused(-4048)
    pit.margin_type = wanted
    return SUCCESS


@route("GET", "/fapi/v1/commissionRate", asks=SIGNED, weight=20)
def commission_rate(sim: Simulator, params: Params) -> Json:
    terms = pit_of(sim.venue, params).terms
    rates = {"makerCommissionRate": terms.maker, "takerCommissionRate": terms.taker}
    return {"symbol": params.text("symbol"), **{name: format(rate, ".6f") for name, rate in rates.items()}, "rpiCommissionRate": "0.000050"}


@route("GET", "/fapi/v1/leverageBracket", asks=SIGNED)
def leverage_bracket(sim: Simulator, params: Params) -> list[Json]:
    return [{"symbol": pit.symbol.name, "notionalCoef": 1.0, "brackets": pit.symbol.brackets} for pit in _asked(sim, params)]


@route("GET", "/fapi/v1/apiTradingStatus", asks=SIGNED, weight=by_symbol(1, 10))
def trading_status(sim: Simulator, params: Params) -> Json:
    return {"indicators": {}, "updateTime": sim.now()}


@route("GET", "/fapi/v1/rateLimit/order", asks=SIGNED)
def order_limits(sim: Simulator, params: Params) -> list[Json]:
    return [row for row in sim.limits.published() if row["rateLimitType"] == "ORDERS"]


@route("GET", "/sapi/v1/account/apiRestrictions", asks=SIGNED)
def restrictions(sim: Simulator, params: Params) -> Json:
    return {
        "ipRestrict": True, "createTime": 1_698_645_219_000, "enableReading": True, "enableFutures": True, "enableWithdrawals": False,
        "enableInternalTransfer": False, "permitsUniversalTransfer": False, "enableMargin": False, "enableVanillaOptions": False,
        "enableSpotAndMarginTrading": False, "enablePortfolioMarginTrading": False,
    }  # fmt: skip


# --- history --------------------------------------------------------------------------------------------------------------


@route("GET", "/fapi/v1/income", asks=SIGNED, weight=30)
def income(sim: Simulator, params: Params) -> list[Json]:
    symbol = pit_of(sim.venue, params).symbol.name if params.text("symbol") else ""
    kind = params.text("incomeType")
    start, end = span(sim, params, 100 * WEEK) if "startTime" in params else span(sim, params)
    rows = [
        one.shown() for one in sim.venue.income
        if symbol in ("", one.symbol) and kind in ("", one.kind) and start <= one.time <= end
    ]  # fmt: skip
    number = params.whole("page", 1)
    size = params.limit(100, 1000)
    return rows[(number - 1) * size :][:size] if "page" in params else page(rows, params, "startTime" in params, default=100)


# --- listen keys ----------------------------------------------------------------------------------------------------------


@route("POST", "/fapi/v1/listenKey", asks=KEY)
def create_key(sim: Simulator, params: Params) -> Json:
    return {"listenKey": sim.keys.create(sim.now())}


@route("PUT", "/fapi/v1/listenKey", asks=KEY)
def prolong_key(sim: Simulator, params: Params) -> Json:
    return {"listenKey": sim.keys.prolong(sim.now())}


@route("DELETE", "/fapi/v1/listenKey", asks=KEY)
def drop_key(sim: Simulator, params: Params) -> Json:
    sim.keys.drop()
    return {}
