"""Stops over real sockets: one closes a leg, a second takes its place without the leg ever being bare, a trigger is ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from plugins.binance.harness import BTC, CLOSE, STOP, L, Running, S, run, running

from hedgegridd.model import Accepted, Cancelled, Fill, Rejected, Trouble
from plugins._binance.shapes import is_bridge

PLACE, REMOVE = "POST /fapi/v1/algoOrder", "DELETE /fapi/v1/algoOrder"


def resting(it: Running) -> list[str]:
    """The client ids of the stops that rest on the exchange."""
    return [algo.client_id for algo in it.sim.venue.open_algos(BTC)]


async def stopped(it: Running, qty: int = 4, price: int = 450_000) -> Any:
    await it.hold(L, qty)
    stop = it.order(L, STOP, price, qty)
    it.exchange.place([stop])
    await it.log.until(lambda: it.log.told(stop) == ["Accepted"])
    return stop


def test_a_stop_rests_and_is_reported() -> None:
    async def test() -> None:
        async with running() as it:
            stop = await stopped(it)
            (told,) = (await it.report()).orders
            assert (told.client_id, told.price, told.leg, told.side, told.role) == (stop.client_id, 450_000, L, -1, STOP)
            it.exchange.cancel([stop])
            await it.log.until(lambda: it.log.told(stop) == ["Accepted", "Cancelled"])

    run(test)


def test_a_stop_without_a_position_is_refused() -> None:
    async def test() -> None:
        async with running() as it:
            it.exchange.place([it.order(S, STOP, 550_000)])
            assert (await it.log.next(Rejected)).code == -4509

    run(test)


def test_a_stop_the_mark_has_passed_is_refused() -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 4)
            it.exchange.place([it.order(L, STOP, 550_000)])
            assert (await it.log.next(Rejected)).code == -2021

    run(test)


def test_replacing_a_stop_never_leaves_the_leg_bare() -> None:
    async def test() -> None:
        async with running() as it:
            old = await stopped(it)
            it.sim.rtt_ms = 20
            new = it.order(L, STOP, 460_000, 4)
            start, least = len(it.sim.requests), 99
            it.exchange.place([new])
            while "Accepted" not in it.log.told(new):
                least = min(least, len(resting(it)))
                await asyncio.sleep(0.001)
            assert least >= 1
            await it.log.until(lambda: it.log.told(old) == ["Accepted", "Cancelled"])
            told = [event for event in it.log if getattr(event, "client_id", "") in (old.client_id, new.client_id)]
            assert [type(event).__name__ for event in told[-2:]] == ["Accepted", "Cancelled"]
            await asyncio.sleep(0.15)
            asked = [f"{seen.method} {seen.path}" for seen in it.sim.requests[start:] if "algoOrder" in seen.path]
            assert asked == [PLACE, REMOVE, PLACE, REMOVE]
            assert [order.client_id for order in (await it.report()).orders] == [new.client_id]
            assert not any(is_bridge(getattr(event, "client_id", "")) for event in it.log)

    run(test)


def test_where_the_new_stop_is_refused_the_bridge_stays() -> None:
    async def test() -> None:
        async with running() as it:
            old = await stopped(it)
            it.sim.faults.add("error", PLACE, skip=1, code=-4045)
            new = it.order(L, STOP, 460_000, 4)
            it.exchange.place([new])
            await it.log.until(lambda: it.log.told(new) == ["Rejected"] and it.log.told(old)[-1] == "Cancelled")
            assert (await it.report()).orders == (), "a bridge is nobody's order"
            (bridge,) = resting(it)
            assert is_bridge(bridge)
            third = it.order(L, STOP, 461_000, 4)
            it.exchange.place([third])
            await it.log.until(lambda: it.log.told(third) == ["Accepted"])
            await it.log.until(lambda: resting(it) == [third.client_id])

    run(test)


def test_where_no_bridge_can_be_had_the_old_stop_stays() -> None:
    async def test() -> None:
        async with running() as it:
            old = await stopped(it)
            it.sim.faults.add("error", PLACE, code=-4045)
            new = it.order(L, STOP, 460_000, 4)
            it.exchange.place([new])
            await it.log.until(lambda: it.log.told(new) == ["Rejected"])
            assert [order.client_id for order in (await it.report()).orders] == [old.client_id]

    run(test)


@pytest.mark.parametrize("kind", ["reset_executed", "unknown_executed", "reset_not_executed", "unavailable"])
@pytest.mark.parametrize("step", [0, 1])
def test_replacing_with_a_lost_answer(kind: str, step: int) -> None:
    """Whatever is lost, in the end one stop rests, or it is unsure and the bridge does."""

    async def test() -> None:
        async with running() as it:
            await stopped(it)
            it.sim.faults.add(kind, PLACE, skip=step)
            new = it.order(L, STOP, 460_000, 4)
            it.exchange.place([new])
            await it.log.until(lambda: it.log.told(new))
            assert resting(it)
            await it.report(new)
            await asyncio.sleep(0.05)
            assert resting(it)

    run(test)


def test_a_leftover_bridge_is_removed_by_a_report() -> None:
    async def test() -> None:
        async with running() as it:
            stop = await stopped(it)
            line: Any = it.exchange._line
            sent = await line.wire.ask(__import__("plugins._binance.wire", fromlist=["x"]).PLACE_ALGO, {
                "algoType": "CONDITIONAL", "symbol": BTC, "side": "SELL", "positionSide": "LONG", "type": "STOP_MARKET",
                "triggerPrice": "44000", "workingType": "MARK_PRICE", "quantity": "0.004", "clientAlgoId": stop.client_id + "B",
            })  # fmt: skip
            assert sent["algoId"]
            await it.report()
            await it.log.until(lambda: resting(it) == [stop.client_id])

    run(test)


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("fault", ["", "drop_algo", "late_algo", "drop_order", "drop_all"])
def test_what_a_stop_executes_is_told_as_the_stops(keeps: bool, fault: str) -> None:
    async def test() -> None:
        async with running() as it:
            it.sim.venue.child_keeps_client_id = keeps
            stop = await stopped(it)
            if fault == "drop_algo":
                it.sim.faults.event("drop", "ALGO_UPDATE", times=-1)
            elif fault == "late_algo":
                it.sim.faults.event("late", "ALGO_UPDATE", times=-1, ms=400)
            elif fault == "drop_order":
                it.sim.faults.event("drop", "ORDER_TRADE_UPDATE", times=-1)
            elif fault == "drop_all":
                it.sim.faults.event("drop", "*", times=-1)
            it.sim.price(BTC, 44_990.0)
            if fault == "drop_all":
                await asyncio.sleep(0.1)
                it.exchange.report([stop])
            await it.log.until(lambda: it.log.told(stop) == ["Accepted", "Fill", "Cancelled"])
            (fill,) = [event for event in it.log.of(Fill) if event.side == -1]
            assert (fill.client_id, fill.qty, fill.leg) == (stop.client_id, 4, L)
            assert it.log.about(stop)[-1].reason == "stop filled"

    run(test)


def test_a_stop_dies_with_its_position() -> None:
    async def test() -> None:
        async with running() as it:
            stop = await stopped(it)
            it.exchange.place([it.order(L, CLOSE, 0, 4)])
            await it.log.until(lambda: it.log.told(stop)[-1] == "Cancelled")

    run(test)


def test_a_trigger_that_is_rejected_is_told() -> None:
    async def test() -> None:
        async with running() as it:
            stop = await stopped(it)
            it.sim.venue.triggers_rejected = True
            it.sim.price(BTC, 44_990.0)
            await it.log.until(lambda: it.log.told(stop)[-1] == "Cancelled")
            assert "rejected" in it.log.about(stop)[-1].reason

    run(test)


def test_a_stop_of_somebody_else_is_in_the_way() -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 4)
            it.sim.foreign_algo(BTC, "LONG", 44_000.0, "web_9")
            it.exchange.place([it.order(L, STOP, 450_000, 4)])
            assert (await it.log.next(Rejected)).code == -4130
            assert not [event for event in it.log.of(Trouble) if event.kind == "halt"]
            assert [order.client_id for order in (await it.report()).orders] == ["web_9"]

    run(test)


def test_a_stop_of_an_earlier_life_is_replaced() -> None:
    """The exchange says that one is there before anybody here knows it."""

    async def test() -> None:
        async with running() as it:
            old = await stopped(it)
            told: Any = it.exchange._line._told
            told.live.clear()
            new = it.order(L, STOP, 455_000, 4)
            it.exchange.place([new])
            await it.log.until(lambda: it.log.told(new) == ["Accepted"] and it.log.told(old)[-1] == "Cancelled")
            assert len(it.log.of(Accepted)) == 3 and it.log.of(Cancelled)

    run(test)
