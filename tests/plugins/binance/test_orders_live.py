"""Orders over real sockets: placing, amending, cancelling, and every way an answer can fail to come."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from plugins.binance.harness import BTC, CLOSE, ENTRY, PROFIT, STOP, L, S, run, running

from hedgegridd.model import Accepted, Amended, Cancelled, Fill, Rejected, Report, Trouble, Unsure

POST, BATCH = "POST /fapi/v1/order", "POST /fapi/v1/batchOrders"


def test_forty_rungs_leave_in_eight_batches() -> None:
    async def test() -> None:
        async with running() as it:
            orders = [it.order(L, ENTRY, 499_000 - 100 * step) for step in range(20)] + [
                it.order(S, ENTRY, 501_000 + 100 * step) for step in range(20)
            ]
            it.exchange.place(orders)
            await it.log.until(lambda: len(it.log.of(Accepted)) == 40)
            assert len(it.asked(BATCH)) == 8 and not it.asked(POST)
            resting = (await it.report()).orders
            assert {order.client_id for order in resting} == {order.client_id for order in orders}
            assert {(o.leg, o.side, o.price, o.qty) for o in resting} == {(o.leg, o.side, o.price, o.qty) for o in orders}
            it.exchange.cancel(orders)
            await it.log.until(lambda: len(it.log.of(Cancelled)) == 40)
            assert len(it.asked("DELETE /fapi/v1/allOpenOrders")) == 1 and not it.asked("DELETE /fapi/v1/batchOrders")

    run(test)


def test_a_close_leaves_before_an_opener() -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 4)
            start = len(it.sim.requests)
            it.exchange.place(
                [it.order(S, ENTRY, 510_000), it.order(L, PROFIT, 520_000, 4), it.order(L, STOP, 450_000, 4), it.order(L, CLOSE, 0, 1)]
            )
            await it.log.until(lambda: len([seen for seen in it.sim.requests[start:] if seen.method == "POST"]) == 4)
            sent = [seen.params.get("type") for seen in it.sim.requests[start:] if seen.method == "POST"]
            assert sent == ["MARKET", "STOP_MARKET", "LIMIT", "LIMIT"]

    run(test)


def test_a_close_fills_and_the_leg_is_zero() -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 5)
            close = it.order(L, CLOSE, 0, 5)
            it.exchange.place([close])
            await it.log.until(lambda: {"Accepted", "Fill"} <= set(it.log.told(close)))
            fill = next(event for event in it.log.about(close) if isinstance(event, Fill))
            assert (fill.qty, fill.side, fill.leg, fill.maker, fill.reason) == (5, -1, L, False, "")
            assert all(held.qty == 0 for held in (await it.report()).held)

    run(test)


def test_what_is_refused_is_told_with_its_code() -> None:
    async def test() -> None:
        async with running() as it:
            taker = it.order(L, ENTRY, 510_000)
            small = it.order(L, ENTRY, 490_000, 1)
            it.exchange.place([taker])
            it.exchange.place([small])
            told = await it.log.until(lambda: len(it.log.of(Rejected)) == 2 and it.log.of(Rejected))
            assert {event.client_id: event.code for event in told} == {taker.client_id: -5022, small.client_id: -4164}
            assert not it.log.of(Trouble)

    run(test)


def test_one_element_of_a_batch_is_refused_and_the_rest_rests() -> None:
    async def test() -> None:
        async with running() as it:
            good, bad = it.order(L, ENTRY, 490_000), it.order(L, ENTRY, 510_000)
            it.exchange.place([good, bad])
            await it.log.until(lambda: it.log.told(good) == ["Accepted"] and it.log.told(bad) == ["Rejected"])

    run(test)


def test_too_little_margin_withholds_openers_for_a_while() -> None:
    async def test() -> None:
        async with running(balance_usdt=20.0) as it:
            it.exchange.place([it.order(L, ENTRY, 490_000, 1000)])
            rejected, trouble = await it.log.next(Rejected), it.log.of(Trouble)[0]
            assert rejected.code == -2019 and trouble.kind == "slow" and trouble.until > trouble.time

    run(test)


def test_amending_changes_the_quantity_alone() -> None:
    async def test() -> None:
        async with running() as it:
            order = it.order(S, ENTRY, 510_000)
            it.exchange.place([order])
            await it.log.until(lambda: it.log.of(Accepted))
            it.exchange.amend(order.client_id, 7)
            assert (await it.log.next(Amended)).qty == 7
            it.exchange.amend(order.client_id, 7)
            assert (await it.log.next(Amended)).qty == 7, "nothing to change is done"
            (resting,) = (await it.report()).orders
            assert (resting.qty, resting.price, resting.side) == (7, 510_000, -1)

    run(test)


def test_amending_what_is_gone_is_refused() -> None:
    async def test() -> None:
        async with running() as it:
            it.exchange.amend(it.order(S, ENTRY, 510_000).client_id, 7)
            assert (await it.log.next(Rejected)).code == -2013
            it.exchange.amend("web_1", 7)
            await it.log.until(lambda: len(it.log.of(Rejected)) == 2)

    run(test)


def test_some_of_many_are_cancelled_by_name_and_others_orders_are_left_alone() -> None:
    async def test() -> None:
        async with running() as it:
            orders = [it.order(L, ENTRY, 490_000 - 100 * step) for step in range(12)]
            it.exchange.place(orders)
            await it.log.until(lambda: len(it.log.of(Accepted)) == 12)
            it.sim.foreign_order(BTC, "LONG", "BUY", 0.01, 40_000.0, "web_1")
            await asyncio.sleep(0.05)
            it.exchange.cancel(orders)
            await it.log.until(lambda: len(it.log.of(Cancelled)) == 12)
            assert len(it.asked("DELETE /fapi/v1/batchOrders")) == 2 and not it.asked("DELETE /fapi/v1/allOpenOrders")
            assert [order.client_id for order in (await it.report()).orders] == ["web_1"]

    run(test)


def test_cancelling_what_filled_tells_the_fill_first() -> None:
    async def test() -> None:
        async with running() as it:
            order = it.order(L, ENTRY, 499_000)
            it.exchange.place([order])
            await it.log.until(lambda: it.log.of(Accepted))
            it.sim.faults.event("drop", "ORDER_TRADE_UPDATE", times=-1)
            it.sim.price(BTC, 49_800.0)
            it.exchange.cancel([order])
            await it.log.until(lambda: "Cancelled" in it.log.told(order))
            assert it.log.told(order) == ["Accepted", "Fill", "Cancelled"]

    run(test)


def test_cancelling_what_nobody_knows() -> None:
    async def test() -> None:
        async with running() as it:
            it.exchange.cancel([it.order(L, ENTRY, 499_000), it.order(L, ENTRY, 498_000), it.order(L, STOP, 450_000)])
            await it.log.until(lambda: [event.reason for event in it.log.of(Cancelled)] == ["unknown"] * 3)

    run(test)


def test_a_sweep_whose_events_are_lost_is_looked_up() -> None:
    async def test() -> None:
        async with running() as it:
            orders = [it.order(L, ENTRY, 490_000 - 100 * step) for step in range(3)]
            it.exchange.place(orders)
            await it.log.until(lambda: len(it.log.of(Accepted)) == 3)
            it.sim.faults.event("drop", "ORDER_TRADE_UPDATE", times=3)
            it.exchange.cancel(orders)
            await it.log.until(lambda: len(it.log.of(Cancelled)) == 3)
            assert {event.reason for event in it.log.of(Cancelled)} == {"cancelled"}

    run(test)


# --- answers that do not come -----------------------------------------------------------------------------------------

LOST = ["reset_executed", "reset_not_executed", "unknown_executed", "unknown_not_executed", "timeout_executed", "timeout_not_executed",
        "html", "html_executed", "html_ok", "empty", "empty_executed"]  # fmt: skip


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_answer_is_unsure_and_settled_by_name(kind: str) -> None:
    """Never rejected, never sent again; asked for, it is there or it is absent."""

    async def test() -> None:
        async with running() as it:
            it.sim.faults.event("drop", "ORDER_TRADE_UPDATE", times=-1)
            order = it.order(L, ENTRY, 490_000)
            it.sim.faults.add(kind, "POST /fapi/v1/order")
            it.exchange.place([order])
            await it.log.until(lambda: it.log.told(order) == ["Unsure"])
            assert len(it.asked(POST)) == 1
            report = await it.report(order)
            there = "not_executed" not in kind and "executed" in kind
            assert [order.client_id] * there == [one.client_id for one in report.orders]
            assert report.absent == (() if there else (order.client_id,))

    run(test)


@pytest.mark.parametrize("kind", LOST)
def test_a_batch_whose_answer_is_lost(kind: str) -> None:
    async def test() -> None:
        async with running() as it:
            it.sim.faults.event("drop", "ORDER_TRADE_UPDATE", times=-1)
            orders = [it.order(L, ENTRY, 490_000 - step) for step in range(3)]
            it.sim.faults.add(kind, "POST /fapi/v1/batchOrders")
            it.exchange.place(orders)
            await it.log.until(lambda: all(it.log.told(order) == ["Unsure"] for order in orders))
            report = await it.report(*orders)
            assert len(report.orders) + len(report.absent) == 3

    run(test)


def _alone(it: Any) -> list[Any]:
    """Closes that left in a request of their own."""
    return [seen for seen in it.asked(POST) if seen.params["type"] == "MARKET"]


def test_few_closes_leave_side_by_side_and_many_in_batches() -> None:
    """Each has its own answer all the same, and the one that is refused holds up nobody."""

    async def test() -> None:
        async with running() as it:
            await it.hold(L, 9)
            few = [it.order(L, CLOSE, 0, 1) for _ in range(4)]
            for close in few:
                it.exchange.place([close])
            await it.log.until(lambda: all("Fill" in it.log.told(close) for close in few))
            assert len(_alone(it)) == 4 and not it.asked(BATCH)
            many = [it.order(L, CLOSE, 0, 1) for _ in range(6)]
            for close in many:
                it.exchange.place([close])
            await it.log.until(lambda: sum("Fill" in it.log.told(close) for close in many) == 5 and it.log.of(Rejected))
            assert len(it.asked(BATCH)) == 1 and len(_alone(it)) == 5
            assert [event.code for event in it.log.of(Rejected)] == [-2022]
            assert all(held.qty == 0 for held in (await it.report()).held)

    run(test)


@pytest.mark.parametrize("kind", ["unavailable", "internal"])
def test_closes_of_a_batch_that_failed_are_sent_again(kind: str) -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 9)
            closes = [it.order(L, CLOSE, 0, 1) for _ in range(5)]
            it.sim.faults.add(kind, BATCH)
            it.exchange.place(closes)
            await it.log.until(lambda: all("Fill" in it.log.told(close) for close in closes))
            assert sum(held.qty for held in (await it.report()).held) == 4

    run(test)


@pytest.mark.parametrize("kind", LOST)
def test_closes_of_a_batch_whose_answer_is_lost_are_never_sent_twice(kind: str) -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 9)
            closes = [it.order(L, CLOSE, 0, 1) for _ in range(5)]
            it.sim.faults.add(kind, BATCH)
            it.exchange.place(closes)
            await it.log.until(lambda: all("Unsure" in it.log.told(close) for close in closes))
            report = await it.report(*closes)
            there = 9 - sum(held.qty for held in report.held)
            assert there in (0, 5) and len(report.absent) == 5 - there and not _alone(it)

    run(test)


@pytest.mark.parametrize("kind", ["unavailable", "internal"])
def test_a_definite_failure_is_tried_again_for_a_close_and_told_for_an_opener(kind: str) -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 5)
            close = it.order(L, CLOSE, 0, 5)
            it.sim.faults.add(kind, "POST /fapi/v1/order", times=2)
            it.exchange.place([close])
            await it.log.until(lambda: "Fill" in it.log.told(close))
            it.sim.faults.add(kind, "POST /fapi/v1/order")
            opener = it.order(L, ENTRY, 400_000)
            it.exchange.place([opener])
            await it.log.until(lambda: it.log.told(opener) == ["Rejected"])
            assert {trouble.kind for trouble in it.log.of(Trouble)} == {"slow"}

    run(test)


def test_a_clock_that_ran_away_is_set_and_the_same_order_sent_again() -> None:
    async def test() -> None:
        async with running() as it:
            it.sim.clock_offset_ms = 20_000
            order = it.order(L, ENTRY, 490_000)
            it.exchange.place([order])
            await it.log.until(lambda: it.log.told(order) == ["Accepted"])
            assert abs(it.exchange.health().time_offset_ms - 20_000) < 200
            for kind in ("clock", "expired_at_engine"):
                it.sim.faults.add(kind, "POST /fapi/v1/order")
                order = it.order(L, ENTRY, 480_000)
                it.exchange.place([order])
                await it.log.until(lambda order=order: it.log.told(order) == ["Accepted"])

    run(test)


@pytest.mark.parametrize("count", [1, 3])
def test_an_opener_refused_for_the_clock_does_not_leave_again_once_it_is_taken_back(count: int) -> None:
    async def test() -> None:
        async with running() as it:
            orders = [it.order(L, ENTRY, 490_000 - step * 100) for step in range(count)]
            it.sim.faults.add("clock", "POST /fapi/v1/*rder*")
            it.sim.faults.add("delay", "GET /fapi/v1/time", times=-1, ms=300)
            it.exchange.place(orders)
            await it.log.until(lambda: it.asked(POST, "POST /fapi/v1/batchOrders"))
            it.exchange.cancel(orders)
            await it.log.until(lambda: all("Rejected" in it.log.told(order) for order in orders))
            assert len(it.asked(POST, "POST /fapi/v1/batchOrders")) == 1

    run(test)


def test_an_order_that_is_there_already_is_unsure() -> None:
    async def test() -> None:
        async with running() as it:
            order = it.order(L, ENTRY, 490_000)
            it.exchange.place([order])
            await it.log.until(lambda: it.log.of(Accepted))
            it.exchange.place([order])
            await it.log.until(lambda: it.log.of(Unsure))
            assert len((await it.report(order)).orders) == 1

    run(test)


def test_while_banned_nothing_is_sent() -> None:
    async def test() -> None:
        async with running() as it:
            it.sim.ban(2)
            first = it.order(L, ENTRY, 490_000)
            it.exchange.place([first])
            await it.log.until(lambda: it.log.told(first) == ["Rejected"])
            trouble = next(event for event in it.log.of(Trouble) if event.kind == "ban")
            assert trouble.until >= trouble.time + 1000
            await asyncio.sleep(0.1)
            seen = len(it.sim.requests)
            orders = [it.order(L, ENTRY, 489_000), it.order(L, CLOSE, 0), it.order(L, STOP, 450_000)]
            it.exchange.place(orders)
            it.exchange.report()
            assert [event.code for order in orders for event in it.log.about(order)] == [-1003] * 3
            await it.log.next(Report, seconds=30)
            others = [one for one in it.sim.requests[seen:] if one.time < trouble.until]
            assert not others

    run(test)


def test_a_firewall_makes_openers_wait_and_is_asked_again_by_what_closes() -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 5)
            resting = it.order(L, ENTRY, 480_000)
            it.exchange.place([resting])
            await it.log.until(lambda: it.log.told(resting) == ["Accepted"])
            began = time.monotonic()
            for path in ("POST /fapi/v1/order", "POST /fapi/v1/algoOrder", "DELETE /fapi/v1/order"):
                it.sim.faults.add("forbidden", path, times=3)
            close, stop = it.order(L, CLOSE, 0, 2), it.order(L, STOP, 450_000, 3)
            it.exchange.place([close, stop])
            it.exchange.cancel([resting])
            await it.log.until(
                lambda: "Fill" in it.log.told(close) and "Accepted" in it.log.told(stop) and "Cancelled" in it.log.told(resting)
            )
            assert time.monotonic() - began < 20.0, "a wide sanity bound"
            troubles = it.log.of(Trouble)
            assert {trouble.kind for trouble in troubles} == {"wall"} and troubles[0].until - troubles[0].time > 55_000
            it.sim.faults.add("forbidden", "POST /fapi/v1/order")
            opener = it.order(L, ENTRY, 470_000)
            sent = len(it.asked(POST))
            it.exchange.place([opener])
            await it.log.until(lambda: it.log.told(opener) == ["Rejected"])
            assert len(it.asked(POST)) == sent + 1 and it.log.about(opener)[0].code == -2

    run(test)


def test_too_many_requests_make_openers_wait() -> None:
    async def test() -> None:
        async with running() as it:
            it.sim.faults.add("too_many", "POST /fapi/v1/order", seconds=30)
            it.exchange.place([it.order(L, ENTRY, 490_000)])
            trouble = await it.log.next(Trouble)
            assert trouble.kind == "slow" and 25_000 < trouble.until - trouble.time < 31_000
            it.exchange.place([it.order(L, ENTRY, 489_000)])
            await it.log.until(lambda: len(it.log.of(Rejected)) == 2)
            assert len(it.asked(POST)) == 1, "the second was not sent"

    run(test)


def test_the_reserve_lets_a_close_through() -> None:
    async def test() -> None:
        async with running(setup=lambda sim: setattr(sim.limits, "orders_10s", 300)) as it:
            await it.hold(L, 3)
            budget: Any = it.exchange._line.wire.budget
            budget.counters["orders_10s"].limit = 5
            budget.counters["orders_10s"].window += 1_000  # no new window during this test
            budget.counters["orders_10s"].used = 4
            opener, close = it.order(L, ENTRY, 480_000), it.order(L, CLOSE, 0)
            it.exchange.place([opener, close])
            await it.log.until(lambda: it.log.told(opener) == ["Rejected"] and "Fill" in it.log.told(close))
            assert it.log.of(Trouble)[0].kind == "slow"

    run(test)


@pytest.mark.parametrize(("code", "symbol"), [(-2015, ""), (-1022, ""), (-4061, ""), (-4140, BTC), (-9998, BTC)])
def test_what_a_person_must_see(code: int, symbol: str) -> None:
    async def test() -> None:
        async with running() as it:
            it.sim.faults.add("error", "POST /fapi/v1/order", code=code, status=401 if code == -2015 else 400)
            it.exchange.place([it.order(L, ENTRY, 490_000)])
            trouble = await it.log.next(Trouble)
            assert (trouble.kind, trouble.symbol) == ("halt", symbol)
            assert it.log.of(Rejected)[0].code == code

    run(test)


def test_the_mode_was_changed_behind_our_back() -> None:
    async def test() -> None:
        async with running() as it:
            it.sim.set_position_mode(False)
            it.exchange.place([it.order(L, ENTRY, 490_000)])
            assert (await it.log.next(Trouble)).kind == "halt"

    run(test)


def test_no_secret_in_anything_told() -> None:
    async def test() -> None:
        async with running() as it:
            for kind in LOST:
                it.sim.faults.add(kind, "POST /fapi/v1/order")
                it.exchange.place([it.order(L, ENTRY, 490_000)])
            await asyncio.sleep(0.3)
            text = repr(it.log) + repr(vars(it.exchange)) + repr(it.exchange._line)
            assert it.sim.api_secret not in text and it.sim.api_key not in text and "signature=" not in text

    run(test)


def test_a_stop_and_a_cancel_given_with_the_last_breath_arrive() -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 5)
            stop, opener = it.order(L, STOP, 450_000), it.order(L, ENTRY, 480_000)
            it.exchange.place([opener])
            await it.log.until(lambda: "Accepted" in it.log.told(opener))
            it.exchange.place([stop])
            it.exchange.cancel([opener])
            it.exchange.stop()
            await it.exchange.closed()
            assert [one.client_id for one in it.sim.venue.open_algos()] == [stop.client_id]
            assert not it.sim.venue.open_orders()

    run(test)
