"""The account over real sockets: reports, fills that were not heard, payments, and who else trades here."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from plugins.binance.harness import BTC, CLOSE, ENTRY, PROFIT, STOP, L, S, run, running

from hedgegridd.model import BOTH, Accepted, Cancelled, Fill, FundingPaid, Rejected, Report, Transfer, Trouble


def test_a_report_has_both_legs_the_wallet_and_every_order() -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 4)
            await it.hold(S, 4)
            it.sim.foreign_order(BTC, "LONG", "BUY", 0.01, 40_000.0, "web_1")
            report = await it.report()
            assert [(held.leg, held.qty) for held in report.held] == [(L, 4), (S, 4)]
            assert all(abs(held.entry - 500_000) < 2_000 for held in report.held)
            assert report.wallet == pytest.approx(it.sim.venue.wallet, abs=1e-6)
            assert [order.client_id for order in report.orders] == ["web_1"]
            assert report.since <= report.time and report.time - report.since < 2_000

    run(test)


def test_every_fill_is_told_once_whatever_the_stream_does() -> None:
    async def test() -> None:
        async with running() as it:
            it.sim.faults.events(duplicate=0.4, reorder=0.3, drop=0.2, late=0.1, late_ms=300)
            orders = [it.order(L, ENTRY, 499_900 - 10 * step) for step in range(30)]
            it.exchange.place(orders)
            await it.log.until(lambda: len(it.sim.venue.open_orders(BTC)) == 30)
            it.sim.price(BTC, 49_900.0)
            await asyncio.sleep(0.5)  # for what is late, doubled or out of order
            await it.report()
            await it.report()
            fills = await it.log.until(lambda: len(it.log.of(Fill)) >= 30 and it.log.of(Fill))
            assert len(fills) == 30 == len({fill.trade_id for fill in fills})
            assert {fill.client_id for fill in fills} == {order.client_id for order in orders}

    run(test)


def test_a_missed_fill_is_told_before_the_report() -> None:
    async def test() -> None:
        async with running() as it:
            it.sim.faults.event("drop", "*", times=-1)
            order = it.order(L, ENTRY, 499_900)
            it.exchange.place([order])
            await it.log.until(lambda: it.log.of(Accepted))
            it.sim.price(BTC, 49_900.0)
            await it.report()
            told = [type(event).__name__ for event in it.log if isinstance(event, Fill | Report)]
            assert told[-2:] == ["Fill", "Report"] and it.log.of(Fill)[0].client_id == order.client_id

    run(test)


def test_a_lost_fill_is_noticed_by_what_the_leg_became() -> None:
    """Nobody asks for a report: the account's own event does not fit."""

    async def test() -> None:
        async with running() as it:
            it.sim.faults.event("drop", "ORDER_TRADE_UPDATE", times=1, execution="TRADE")
            it.exchange.place([it.order(L, ENTRY, 499_900)])
            await it.log.until(lambda: it.log.of(Accepted))
            it.sim.price(BTC, 49_900.0)
            await it.log.until(lambda: it.log.of(Fill))

    run(test)


def test_a_missed_fill_between_two_heard_ones_is_found() -> None:
    async def test() -> None:
        async with running() as it:
            it.exchange.place([it.order(L, ENTRY, 499_900 - 10 * step) for step in range(3)])
            await it.log.until(lambda: len(it.log.of(Accepted)) == 3)
            it.sim.price(BTC, 49_989.5)
            await it.log.until(lambda: len(it.log.of(Fill)) == 1)
            it.sim.faults.event("drop", "ORDER_TRADE_UPDATE", times=1, execution="TRADE")
            it.sim.price(BTC, 49_988.5)
            it.sim.price(BTC, 49_987.5)
            await it.log.until(lambda: len(it.log.of(Fill)) == 2)
            await it.report()
            assert len(it.log.of(Fill)) == 3

    run(test)


def test_after_a_restart_what_the_journal_has_is_not_told_again() -> None:
    async def test() -> None:
        first: list[int] = []

        def before(sim: object) -> None:
            sim.manual(BTC, "LONG", 0.004)  # type: ignore[attr-defined]
            first.append(max(trade.trade_id for trade in sim.venue.executions))  # type: ignore[attr-defined]
            sim.manual(BTC, "LONG", 0.003)  # type: ignore[attr-defined]

        async with running(setup=before) as it:
            assert not it.log.of(Fill), "without a journal, from now on"
        async with running(setup=before, last_trade={BTC: first[0]}) as it:
            assert [fill.qty for fill in it.log.of(Fill)] == [3]
            assert isinstance(it.log[-1], Report) or it.log.of(Report)

    run(test)


@pytest.mark.parametrize("fate", ["rests", "filled", "cancelled", "absent", "stop rests", "stop filled", "stop cancelled"])
def test_what_became_of_a_doubted_order(fate: str) -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 4)
            order = it.order(L, STOP, 450_000, 4) if "stop" in fate else it.order(L, ENTRY, 490_000)
            if fate != "absent":
                it.exchange.place([order])
                await it.log.until(lambda: it.log.about(order))
            it.sim.faults.event("drop", "*", times=-1)
            if "filled" in fate:
                it.sim.price(BTC, 44_000.0)
            elif fate == "cancelled":
                it.sim.venue.cancel(it.sim.venue.open_orders(BTC)[0])
            elif fate == "stop cancelled":
                it.sim.manual(BTC, "LONG", -0.004)
            report = await it.report(order)
            names = [one.client_id for one in report.orders]
            told = it.log.told(order)
            if "rests" in fate:
                assert names == [order.client_id] and not report.absent
            elif fate == "absent":
                assert report.absent == (order.client_id,) and not told
            elif "filled" in fate:
                assert told[-2:] == ["Fill", "Cancelled"] and not names and not report.absent
            else:
                assert told[-1] == "Cancelled" and not names

    run(test)


def test_one_report_at_a_time_and_one_more_for_all_that_was_asked_meanwhile() -> None:
    async def test() -> None:
        async with running() as it:
            it.sim.rtt_ms = 50
            start = len(it.log.of(Report))
            for _ in range(5):
                it.exchange.report()
            await asyncio.sleep(0.03)
            for _ in range(5):
                it.exchange.report()
            await it.log.until(lambda: len(it.log.of(Report)) >= start + 2)
            await asyncio.sleep(0.3)
            assert len(it.log.of(Report)) == start + 2

    run(test)


@pytest.mark.parametrize("kind", ["html", "html_ok", "empty", "reset_executed", "unknown_executed", "unavailable"])
@pytest.mark.parametrize("path", ["/fapi/v3/positionRisk", "/fapi/v3/balance", "/fapi/v1/openOrders", "/fapi/v1/openAlgoOrders"])
def test_no_report_is_invented(kind: str, path: str) -> None:
    async def test() -> None:
        async with running() as it:
            before = len(it.log)
            it.sim.faults.add(kind, f"GET {path}", times=2)
            report = await it.report()
            told = [event for event in it.log[before:] if isinstance(event, Trouble | Report)]
            kinds = [event.kind if isinstance(event, Trouble) else "report" for event in told]
            assert "deaf" in kinds and kinds[-1] == "report" and kinds.count("report") == 1
            assert report.since >= max(event.time for event in told if isinstance(event, Trouble))

    run(test)


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("closing", [False, True])
def test_a_list_without_positions_is_not_believed_while_the_balance_says_otherwise(times: int, closing: bool) -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 5)
            await it.report()
            it.sim.faults.add("empty_list", "GET /fapi/v3/positionRisk", times=times)
            if closing:  # a flatten waits for it, and its close never arrives
                it.sim.faults.add("unavailable", "POST /fapi/v1/order", times=-1)
                it.exchange.place([it.order(L, CLOSE, 0, 5)])
            report = await it.report()
            assert {held.leg: held.qty for held in report.held} == {L: 5, S: 0}
            assert (times > 1) == ("the account cannot be read" in str(it.log.of(Trouble)))

    run(test)


def test_funding_and_transfers_are_told_once() -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 40)
            it.sim.funding(BTC, 0.001)
            paid = await it.log.next(FundingPaid)
            assert (paid.symbol, paid.leg) == (BTC, BOTH) and paid.amount == pytest.approx(0.001 * 0.04 * 50_000, rel=0.02)
            it.sim.deposit(500.0)
            it.sim.withdraw(100.0)
            await it.log.until(lambda: [event.amount for event in it.log.of(Transfer)] == [500.0, -100.0])
            for _ in range(3):
                await it.report()
            assert len(it.log.of(FundingPaid)) == 1 and len(it.log.of(Transfer)) == 2
            assert len({event.income_id for event in it.log.of(FundingPaid, Transfer)}) == 3

    run(test)


def test_payments_that_were_not_heard_are_read_at_the_start() -> None:
    async def test() -> None:
        at = int(time.time() * 1000) - 30_000
        async with running(setup=lambda sim: sim.deposit(70.0), income_time=at) as it:
            assert [event.amount for event in it.log.of(Transfer)] == [70.0]

    run(test)


@pytest.mark.parametrize(("move", "reason"), [("liquidate", "liquidation"), ("adl", "adl")])
def test_what_the_exchange_closes_is_told_with_its_reason(move: str, reason: str) -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 4)
            it.sim.liquidate(BTC) if move == "liquidate" else it.sim.adl(BTC, "LONG")
            await it.log.until(lambda: [fill for fill in it.log.of(Fill) if fill.reason == reason])

    run(test)


def test_a_manual_trade_is_a_foreign_fill() -> None:
    async def test() -> None:
        async with running() as it:
            it.sim.manual(BTC, "SHORT", 0.005)
            fill = await it.log.next(Fill)
            assert (fill.leg, fill.side, fill.qty) == (S, -1, 5) and not fill.client_id.startswith("hg-")

    run(test)


def test_leverage_changed_behind_our_back_halts_the_symbol() -> None:
    async def test() -> None:
        async with running() as it:
            it.sim.set_leverage(BTC, 50)
            trouble = await it.log.next(Trouble)
            assert (trouble.kind, trouble.symbol) == ("halt", BTC)

    run(test)


def test_a_full_size_take_profit_does_not_keep_a_close_from_filling() -> None:
    async def test() -> None:
        async with running() as it:
            await it.hold(L, 4)
            profit, close = it.order(L, PROFIT, 520_000, 4), it.order(L, CLOSE, 0, 4)
            it.exchange.place([profit])
            await it.log.until(lambda: it.log.told(profit) == ["Accepted"])
            it.exchange.place([close])
            await it.log.until(lambda: it.log.of(Cancelled) or it.log.of(Rejected))
            assert "Fill" in it.log.told(close) or it.log.told(close)[-1] == "Rejected"

    run(test)


@pytest.mark.parametrize("kind", ["html", "unavailable", "empty"])
def test_an_income_list_that_does_not_answer_keeps_no_report_back(kind: str) -> None:
    def without(sim: Any) -> None:
        sim.faults.add(kind, "GET /fapi/v1/income", times=-1)

    async def test() -> None:
        async with running(setup=without) as it:
            assert (await it.report()).wallet > 0
            it.sim.faults.clear()
            it.sim.deposit(250.0)
            assert (await it.log.next(Transfer)).amount == 250.0

    run(test)


def test_a_payment_that_is_not_listed_yet_keeps_no_report_back() -> None:
    async def test() -> None:
        async with running() as it:
            line: Any = it.exchange._line
            line.account.payments_due()
            await it.log.until(lambda: not line.account._payments_due)
            begun = time.monotonic()
            await it.report()
            assert time.monotonic() - begun < 1.0

    run(test)


def test_a_transfer_that_no_list_has_is_told_all_the_same_and_once() -> None:
    """A withdrawal that passed for a loss would trip the loss breakers."""

    async def test() -> None:
        async with running() as it:
            line: Any = it.exchange._line
            line.account.unlisted_ms = 300
            it.sim.faults.add("html", "GET /fapi/v1/income", times=-1)
            it.sim.withdraw(400.0)
            assert (await it.log.next(Transfer)).amount == -400.0
            it.sim.faults.clear()
            line.account.payments_due()
            await asyncio.sleep(3.0)
            assert [event.amount for event in it.log.of(Transfer)] == [-400.0], "the list has it at last, and it was told already"
            it.sim.withdraw(400.0)
            await it.log.until(lambda: len(it.log.of(Transfer)) == 2)

    run(test)
