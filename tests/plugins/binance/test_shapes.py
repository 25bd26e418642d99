"""Texts to ticks and lots and back; client ids; orders as they are sent; every recorded payload."""

from __future__ import annotations

import gzip
import json
import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgegridd.heart.orders import client_id, parse
from hedgegridd.model import Instrument, Leg, Order, Role, Side, entry_side
from plugins._binance import errors, shapes, survey
from plugins._binance.shapes import Scale, scale, scale_of

SHARED = Path(os.environ.get("HEDGEGRIDD_SHARED", Path(__file__).resolve().parents[4] / "shared"))
PAYLOADS = SHARED / "data" / "payloads"
BTC = scale("BTCUSDT", Decimal("0.1"), Decimal("0.001"))
ANY = scale("ANY", Decimal("0.00000001"), Decimal("0.00000001"))
SIZES = st.sampled_from(
    ["100", "10", "1", "0.5", "0.1", "0.05", "0.01", "0.001", "0.0001", "0.00001", "0.000001", "0.0000001", "0.00000001"]
)
UNITS = st.integers(0, 10**11)


def order(role: int = Role.ENTRY, leg: int = Leg.LONG, price: int = 500_000, qty: int = 3) -> Order:
    side = entry_side(leg) * (1 if role == Role.ENTRY else -1)
    return Order(client_id("BTCUSDT", leg, role, price, 77), "BTCUSDT", int(leg), int(role), side, price, qty)


@pytest.mark.parametrize(("amount", "lots"), [("0.000", 0), ("-0.0004", 1), ("0.0004", 1), ("4E-4", 1), ("0.0016", 2), ("-0.005", 5)])
def test_what_is_held_is_never_nothing(amount: str, lots: int) -> None:
    row = {"symbol": "BTCUSDT", "positionSide": "LONG", "positionAmt": amount, "entryPrice": "5E+4"}
    assert shapes.held_of(row, BTC) == ("BTCUSDT", Leg.LONG, lots, pytest.approx(500_000.0))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-inf", float("nan"), "1e999"])
def test_no_sum_is_made_with_what_is_no_number(text: Any) -> None:
    row = {"symbol": "BTCUSDT", "positionSide": "LONG", "positionAmt": "0.001", "entryPrice": text}
    for look in (shapes.number, BTC.ticks, BTC.lots, lambda text: shapes.usdt_of([{"asset": "USDT", "balance": text}])):
        with pytest.raises((ValueError, OverflowError)):
            look(text)
    with pytest.raises(ValueError, match="finite"):
        shapes.held_of(row, BTC)


# --- numbers ----------------------------------------------------------------------------------------------------------


@given(UNITS, SIZES, SIZES)
def test_there_and_back(units: int, tick: str, lot: str) -> None:
    by = scale("X", Decimal(tick), Decimal(lot))
    for text, back in ((by.price(units), by.ticks), (by.qty(units), by.lots)):
        assert re.fullmatch(r"\d+(\.\d*[1-9])?", text), text
        assert back(text) == units
    assert Decimal(by.price(units)) == units * Decimal(tick)


@given(UNITS, SIZES, SIZES)
def test_the_daemons_floats_mean_the_exchanges_texts(units: int, tick: str, lot: str) -> None:
    by = scale_of("X", Instrument(float(tick), float(lot), 1, 1, 1, 0.0, 0.0, 0.0))
    assert (by.tick, by.lot) == (Decimal(repr(float(tick))), Decimal(repr(float(lot))))
    assert Decimal(by.price(units)) == units * Decimal(tick)


def test_small_numbers_are_plain() -> None:
    assert scale("X", Decimal("0.0000001"), Decimal("1")).price(1) == "0.0000001"
    assert BTC.price(500_000) == "50000" and BTC.price(500_001) == "50000.1" and BTC.price(0) == "0"


@given(st.integers(1, 10**9), st.floats(-0.4, 0.4))
def test_off_the_tick_is_rounded(ticks: int, off: float) -> None:
    assert BTC.ticks(f"{(ticks + off) * 0.1:.10f}") == ticks


def test_no_number_is_zero() -> None:
    assert BTC.ticks(None) == 0 and BTC.lots("") == 0 and shapes.whole(None) == 0


# --- ids --------------------------------------------------------------------------------------------------------------


@given(st.sampled_from(list(Leg)), st.sampled_from(list(Role)), st.integers(0, 10**8), st.integers(0, 10**6))
def test_our_ids_are_read_as_the_daemon_reads_them(leg: Leg, role: Role, price: int, generation: int) -> None:
    name = client_id("1000PEPEUSDT", leg, role, price, generation)
    ours, theirs = shapes.named(name), parse(name)
    assert ours is not None and theirs is not None
    assert (ours.symbol, ours.leg, ours.role, ours.price) == (theirs.symbol, theirs.leg, theirs.role, theirs.price)
    bridge = shapes.bridge_id(name)
    assert len(bridge) <= 36 and re.fullmatch(r"[\.A-Z\:/a-z0-9_-]{1,36}", bridge)
    assert shapes.is_bridge(bridge) and not shapes.is_bridge(name)


@pytest.mark.parametrize(
    "name", ["", "hg-", "hg-X-LE-1", "hg-X-QE-1-1", "hg-X-LQ-1-1", "hg-X-LE-x-1", "web_abc", "autoclose-1", "xhg-X-LE-1-1"]
)
def test_foreign_ids_are_not_ours(name: str) -> None:
    assert shapes.named(name) is None


def test_a_bridge_has_room() -> None:
    longest = "hg-1000000MOGUSDT-LS-123456789-zzzzz"
    assert len(longest) == 36 and len(shapes.bridge_id(longest)) == 36


@pytest.mark.parametrize(("name", "why"), [
    ("autoclose-123", "liquidation"), ("adl_autoclose", "adl"), ("adl_autoclose_12", "adl"), ("settlement_autoclose-9", "settlement"),
    ("hg-X-LE-1-1", ""), ("web", ""),
])  # fmt: skip
def test_who_forced_it(name: str, why: str) -> None:
    assert shapes.forced(name) == why


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_openers_and_take_profits_are_post_only() -> None:
    for role, side in ((Role.ENTRY, "BUY"), (Role.TAKE_PROFIT, "SELL")):
        sent = shapes.limit_params(order(role), BTC)
        assert sent == {"symbol": "BTCUSDT", "side": side, "positionSide": "LONG", "type": "LIMIT", "timeInForce": "GTX", "price": "50000",
                        "quantity": "0.003", "newClientOrderId": order(role).client_id, "newOrderRespType": "ACK"}  # fmt: skip


def test_a_close_is_a_market_order() -> None:
    sent = shapes.market_params(order(Role.CLOSE, Leg.SHORT, 0), BTC)
    assert (sent["type"], sent["side"], sent["positionSide"], sent["quantity"]) == ("MARKET", "BUY", "SHORT", "0.003")
    assert "price" not in sent and "timeInForce" not in sent


def test_a_close_with_a_price_is_immediate_or_cancel() -> None:
    sent = shapes.close_params(order(Role.CLOSE, Leg.SHORT), BTC)
    assert (sent["type"], sent["timeInForce"], sent["price"]) == ("LIMIT", "IOC", "50000")
    assert (sent["side"], sent["positionSide"], sent["quantity"]) == ("BUY", "SHORT", "0.003")
    assert shapes.close_params(order(Role.CLOSE, Leg.SHORT, 0), BTC) == shapes.market_params(order(Role.CLOSE, Leg.SHORT, 0), BTC)


def test_a_stop_closes_the_position_at_the_mark() -> None:
    sent = shapes.stop_params(order(Role.STOP), BTC)
    assert sent == {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "positionSide": "LONG", "type": "STOP_MARKET",
                    "triggerPrice": "50000", "workingType": "MARK_PRICE", "closePosition": "true",
                    "clientAlgoId": order(Role.STOP).client_id}  # fmt: skip
    bridge = shapes.bridge_params(order(Role.STOP), BTC, 9)
    assert bridge["quantity"] == "0.009" and "closePosition" not in bridge and shapes.is_bridge(bridge["clientAlgoId"])


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("leg", list(Leg))
def test_hedge_mode_knows_no_reduce_only(role: Role, leg: Leg) -> None:
    made = (shapes.limit_params, shapes.stop_params, shapes.limit_params, shapes.market_params)
    sent = made[role](order(role, leg), BTC)
    assert not {"reduceOnly", "reduceonly"} & set(sent) and sent["positionSide"] in ("LONG", "SHORT")


def test_an_amend_says_all_the_rest_again() -> None:
    name = client_id("BTCUSDT", Leg.SHORT, Role.TAKE_PROFIT, 490_001, 5)
    assert shapes.amend_params(name, 4, BTC) == {
        "symbol": "BTCUSDT", "origClientOrderId": name, "side": "BUY", "quantity": "0.004", "price": "49000.1"
    }  # fmt: skip
    with pytest.raises(ValueError):
        shapes.amend_params("web_1", 4, BTC)


# --- what comes in ----------------------------------------------------------------------------------------------------


def test_lists_are_read() -> None:
    row = {"clientOrderId": "abc", "symbol": "BTCUSDT", "side": "BUY", "positionSide": "SHORT", "price": "5", "origQty": "0.40",
           "executedQty": "0.1", "orderId": 8389765519993908929, "time": 1579276756075, "unheardOf": {}}  # fmt: skip
    read = shapes.order_of(row, BTC)
    assert (read.role, read.leg, read.qty, read.filled, read.order_id) == (Role.TAKE_PROFIT, Leg.SHORT, 400, 100, "8389765519993908929")
    assert shapes.order_of({**row, "side": "SELL"}, BTC).role == Role.ENTRY
    ours = order(Role.TAKE_PROFIT).client_id
    assert shapes.order_of({**row, "clientOrderId": ours}, BTC).role == Role.TAKE_PROFIT


def test_a_fee_in_another_coin_does_not_move_the_wallet() -> None:
    row = {"id": 1, "orderId": 2, "side": "BUY", "positionSide": "LONG", "price": "1", "qty": "1", "commission": "0.1", "time": 5}
    assert shapes.fill_of({**row, "commissionAsset": "USDT"}, BTC, "x").fee == 0.1
    assert shapes.fill_of({**row, "commissionAsset": "BNB"}, BTC, "x").fee == 0.0


def test_usdt_is_found_by_name() -> None:
    assert shapes.usdt_of([{"asset": "BNB", "balance": "1"}, {"asset": "USDT", "balance": "2.5"}]) == 2.5
    assert shapes.usdt_of([]) is None


# --- everything that was recorded -------------------------------------------------------------------------------------


def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(PAYLOADS.glob("*.jsonl")) for line in file.read_text().splitlines()]


def read_all(payload: Any, by: Scale) -> int:
    """Read a payload by whichever of our readers it is for; how many were."""
    rows = payload if isinstance(payload, list) else [payload]
    return sum(read_one(row, by) for row in rows if isinstance(row, dict))


def read_one(row: dict[str, Any], by: Scale) -> int:
    row = row.get("data", row) if isinstance(row.get("data", row), dict) else {}
    if row.get("e") == "ORDER_TRADE_UPDATE" or {"s", "c", "S", "X"} <= row.keys():
        shapes.order_told(row.get("o", row) if isinstance(row.get("o"), dict) else row, by)
    elif row.get("e") == "ALGO_UPDATE":
        shapes.algo_told(row["o"], by)
    elif row.get("e") == "kline":
        shapes.bar_told(row["k"], by, 60_000)
    elif {"clientAlgoId", "algoType", "symbol"} <= row.keys() and row.get("algoType") == "CONDITIONAL":
        shapes.algo_of(row, by)
    elif {"clientOrderId", "orderId", "origQty", "side"} <= row.keys():
        shapes.order_of(row, by)
    elif {"positionAmt", "entryPrice"} <= row.keys():
        shapes.held_of(row, by)
    elif {"commission", "orderId", "qty", "id"} <= row.keys():
        shapes.fill_of(row, by, "x")
    elif {"symbol", "brackets"} <= row.keys():
        survey.brackets_of(row)
    elif {"code", "msg"} <= row.keys():
        errors.fault_in(400, row)
    else:
        return 0
    return 1


@pytest.mark.skipif(not PAYLOADS.is_dir(), reason="the recorded payloads are not here: set HEDGEGRIDD_SHARED")
def test_every_recorded_payload_is_read() -> None:
    assert sum(read_all(one["payload"], ANY) for one in recorded()) >= 70


@pytest.mark.skipif(not PAYLOADS.is_dir(), reason="the recorded payloads are not here: set HEDGEGRIDD_SHARED")
def test_every_recorded_symbol_has_sizes_and_brackets() -> None:
    from hedgegridd.hookspecs import Terms

    info = json.loads(gzip.decompress((PAYLOADS / "exchange_info_symbols_202503.json.gz").read_bytes()))
    brackets = json.loads(gzip.decompress((PAYLOADS / "leverage_brackets_202410.json.gz").read_bytes()))
    table = {row["symbol"]: survey.brackets_of(row) for row in brackets}
    for row in info["symbols"]:
        steps = table.get(row["symbol"], ())
        made = survey.instrument_of(row, Terms(5.0, "cross", 2.0, 5.0, 0.4), (2.0, 5.0), steps)
        assert made.tick_size > 0 and made.lot_size > 0 and 1 <= made.min_qty <= made.market_max_qty <= made.max_qty
        assert not steps or (made.brackets[0].floor == 0 and made.maint_margin_pct == made.brackets[0].maint_margin_pct)


def test_an_expiry_says_why() -> None:
    row = {"s": "BTCUSDT", "c": "x", "S": "SELL", "x": "EXPIRED", "X": "EXPIRED", "i": 1, "ps": "LONG", "q": "1", "z": "0.4", "er": "4"}
    told = shapes.order_told(row, BTC)
    assert (told.why, told.filled, told.trade_id, told.side) == ("reduce-only knocked out", 400, "1-400", Side.SELL)
