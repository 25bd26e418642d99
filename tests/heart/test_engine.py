"""The engine whole: the order of thought, what people and breakers set going, and that equal events make equal acts."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from rig import BARS, MINUTE, NO_FILE, REGISTRY, Rig, calm, check, config_of, hold, instrument_table, settle, steady

from hedgegridd.heart.build import build
from hedgegridd.heart.effects import Ask, Write
from hedgegridd.model import Bar, Fill, Funding, Leg, Level, Mark, Mode, Outlook, PluginChanged, Role


def entries(rig: Rig, leg: int | None = None, symbol: str = "BTCUSDT") -> list[Any]:
    return [order for order in rig.resting(Role.ENTRY, symbol) if leg is None or order.leg == leg]


# --- equal events, equal acts ---------------------------------------------------------------------------------------------------


def eventful() -> Rig:
    """A day with fills, verbs, a kill and its release."""
    rig = hold(calm(), "long", "short")
    settle(rig)
    rig.verb("throttle", factor=0.5, leg="long")
    rig.bars([499_000, 503_000, 492_000, 505_000])
    rig.verb("activate", reason="drill", level="halt")
    rig.verb("deactivate", reason="over")
    rig.bars([500_000, 496_000, 501_000])
    return rig


def test_the_same_events_make_the_same_acts() -> None:
    rig, again = eventful(), build(eventful().config, REGISTRY, carries=BARS, cadence_ms=MINUTE)
    acts = [effect for event in rig.inputs for effect in again.handle(event) if isinstance(effect, Write)]
    assert acts == rig.acts and again.decisions.hash == rig.engine.decisions.hash != ""


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_heart_from_a_checkpoint_goes_on_the_same(part: float) -> None:
    rig = eventful()
    at = int(len(rig.inputs) * part)
    first, second = (build(rig.config, REGISTRY, carries=BARS, cadence_ms=MINUTE) for _ in range(2))
    for event in rig.inputs[:at]:
        first.handle(event)
    second.load(json.loads(json.dumps(first.dump())))
    for event in rig.inputs[at:]:
        one, other = ([effect for effect in engine.handle(event) if isinstance(effect, Write)] for engine in (first, second))
        assert one == other
    assert first.decisions.hash == second.decisions.hash and json.dumps(first.dump()) == json.dumps(second.dump())


def test_the_hash_is_of_decisions_and_fills_and_not_of_wall_time() -> None:
    rig, later = Rig(config_of()), Rig(config_of())
    rig.start()
    later.engine.wall = 10**15
    later.start()
    for one in (rig, later):
        hold(steady(one), "long")
    assert rig.engine.decisions.hash == later.engine.decisions.hash != ""


def test_risk_looks_before_the_strategy_orders() -> None:
    """Row 56: in the acts of the bar that trips, the trip comes first and no opener after it."""
    rig = hold(calm(breaker={"session_loss": {"max_loss_amount_usdt": 3.0}}), "long")
    before = len(rig.acts)
    rig.bars([480_000])
    kinds = [(act.kind, act.data.get("role")) for act in rig.acts[before:]]
    assert ("trip", None) in kinds and ("order", 0) not in kinds[kinds.index(("trip", None)) :]


def test_every_event_keeps_the_books() -> None:
    rig = calm()
    price = 500_000
    for i in range(60):
        price += 2_500 if (i // 7) % 2 else -2_400
        rig.bars([price])
        check(rig)
    assert rig.engine.counts["fills"] > 10


# --- breakers ---------------------------------------------------------------------------------------------------------------------


def test_a_breaker_that_trips_flattens_and_keeps_what_it_saw() -> None:
    rig = hold(calm(breaker={"session_loss": {"max_loss_amount_usdt": 3.0}}), "long", "short")
    rig.bars([490_000, 486_000, 482_000, 476_000])
    guard = rig.engine.panel.guards["session_loss"]
    assert guard.state == "tripped" and rig.engine.kill.source == "breaker.session_loss" and not rig.engine.held_legs()
    act = rig.of("trip")[-1]
    assert act["name"] == "session_loss" and act["level"] == "flatten" and act["value"] >= act["threshold"] == 3.0
    assert act["inputs"] == guard.inputs
    assert abs(guard.inputs["session_start_equity"] - guard.inputs["equity"] - act["value"]) < 1e-9, "`explain` recomputes it"
    assert "breaker_tripped" in [alert.rule for alert in rig.alerts]


def test_what_tripped_it_survives_a_restart() -> None:
    rig = hold(calm(breaker={"session_loss": {"max_loss_amount_usdt": 3.0}}), "long")
    rig.bars([480_000])
    other = rig.restarted().engine.panel.guards["session_loss"]
    assert other.inputs == json.loads(json.dumps(rig.engine.panel.guards["session_loss"].inputs)) and other.state == "tripped"


def test_a_fill_that_crosses_the_line_latches_before_the_next_order() -> None:
    """Row 27."""
    rig = calm(breaker={"daily_loss": {"max_daily_loss_pct": 100.0, "daily_loss_limit_usdt": 0.01}})
    rig.bars([497_490], reach=0)
    trip = next(at for at, act in enumerate(rig.acts) if act.kind == "trip")
    assert not [act for act in rig.acts[trip:] if act.kind == "order" and act.data["role"] == Role.ENTRY]
    assert rig.engine.kill.active and isinstance(rig.inputs[-1], Bar)
    fill = next(at for at, event in enumerate(rig.inputs) if isinstance(event, Fill))
    assert rig.engine.kill.since == rig.inputs[fill].time


def test_three_storms_of_refused_orders_are_a_halt() -> None:
    table = instrument_table("BTCUSDT", risk_management={"enable_circuit_breaker": False})
    rig = calm(instrument=[table], breaker={"order_errors": {"max_errors_per_minute": 3, "cooldown_seconds": 60}})
    rig.refuse = lambda order: -1000 if order.role == Role.ENTRY else 0
    rig.verb("throttle", factor=0)
    for storm in range(3):
        assert not rig.engine.kill.active
        rig.verb("throttle", factor=1)
        assert rig.engine.panel.guards["order_errors"].state == "tripped", storm
        rig.verb("throttle", factor=0)
        for _ in range(5):
            rig.timer(30)
    assert rig.engine.kill.active and rig.engine.kill.level == Level.HALT and "3 pauses within an hour" in rig.engine.kill.reason


def test_a_pause_withholds_openers_lets_closers_and_ends_by_itself() -> None:
    table = instrument_table("BTCUSDT", risk_management={"enable_circuit_breaker": False})
    rig = hold(calm(instrument=[table], breaker={"order_errors": {"max_errors_per_minute": 3, "cooldown_seconds": 60}}), "long")
    rig.verb("pause")
    rig.refuse = lambda order: -1000 if order.role == Role.ENTRY else 0
    rig.verb("resume")
    assert "order_errors" in rig.engine.gate.hold() and not entries(rig) and rig.resting(Role.STOP) and rig.resting(Role.TAKE_PROFIT)
    rig.refuse = lambda order: 0
    rig.bars([502_600, 500_000])
    assert not rig.desk().books.long_qty, "the take-profit still worked"
    rig.bars([500_000] * 4)
    assert entries(rig) and not rig.engine.kill.active


def forget_funding(rig: Rig) -> None:
    """A window begins of which nothing is known."""
    rig.take(Outlook("BTCUSDT", rig.engine.now, None, rig.engine.now + 60 * MINUTE))


def test_an_unknown_rate_withholds_at_once_and_halts_after_the_grace() -> None:
    rig = calm(breaker={"funding": {"enabled": True, "grace_seconds": 90}})
    forget_funding(rig)
    assert not rig.engine.gate.hold(), "nothing held, nothing to know"
    hold(rig, "long")
    assert "funding" in rig.engine.gate.hold() and not entries(rig) and not rig.engine.kill.active
    settle(rig)
    assert not rig.engine.gate.hold()
    rig.bars([497_500])
    assert entries(rig)


def test_unknown_past_the_grace_halts_and_never_closes_blind() -> None:
    rig = hold(calm(breaker={"funding": {"enabled": True, "grace_seconds": 90, "on_trip": "flatten"}}), "long")
    forget_funding(rig)
    rig.bars([497_490, 497_490])
    assert rig.engine.kill.level == Level.HALT and rig.desk().books.long_qty and rig.resting(Role.STOP)


def test_near_its_line_a_breaker_warns_before_it_trips() -> None:
    rig = hold(calm(breaker={"session_loss": {"max_loss_amount_usdt": 4.0}}), "long")
    for price in range(497_000, 470_000, -250):
        rig.bars([price], reach=0)
    rules = [alert.rule for alert in rig.alerts]
    assert rig.engine.kill.active and rules.index("breaker_near") < rules.index("breaker_tripped")
    assert rules.count("breaker_near") == 1


def test_the_mark_between_bars_is_looked_at_too() -> None:
    """E17."""
    breakers = {"funding": {"enabled": False}, "session_loss": {"max_loss_amount_usdt": 1.0}}
    rig = Rig(config_of(breaker=breakers), BARS | {"marks"}).start()
    rig.market(Mark("BTCUSDT", rig.engine.now + 1, 500_000.0))
    hold(steady(rig), "long")
    rig.mark(490_000.0)
    assert rig.engine.kill.active


def loaded(sha: str = "a" * 64, **more: Any) -> PluginChanged:
    return PluginChanged(0, "breaker_spread.py", sha, "breaker", ("spread",), "loaded", "", **more)


def test_a_foreign_breaker_is_asked_armed_and_obeyed() -> None:
    rig = hold(calm(), "long")
    rig.take(loaded(on_trip=("flatten",)))
    ask = rig.asked[-1]
    assert isinstance(ask, Ask) and ask.name == "spread" and rig.engine.panel.guards["spread"].state == "armed"
    rig.answer(measure=[1.0, 30.0, "bps", ""])
    rig.timer(1)
    rig.answer(trip=["42 bps >= 30 bps", 42.0, 30.0, None])
    assert rig.engine.kill.active and rig.engine.kill.reason == "breaker spread: 42 bps >= 30 bps" and not rig.engine.held_legs()


def test_one_that_would_trip_at_its_first_look_waits_for_a_person() -> None:
    rig = calm()
    rig.take(loaded())
    rig.answer(trip=["42 bps >= 30 bps", 42.0, 30.0, None])
    assert rig.engine.panel.guards["spread"].state == "would_trip" and not rig.engine.kill.active
    rig.verb("breakers.arm", name="spread", reason="meant so")
    rig.answer(trip=["42 bps >= 30 bps", 42.0, 30.0, None])
    assert rig.engine.kill.active


def test_an_answer_to_a_question_of_the_last_life_is_dropped() -> None:
    rig = calm()
    rig.take(loaded())
    rig.answer()
    rig.timer(1)
    old = rig.asked[-1]
    other = rig.restarted()
    other.asked.append(old)
    other.answer(trip=["late", 1.0, 1.0, None])
    assert not other.engine.kill.active


# --- people -------------------------------------------------------------------------------------------------------------------------


def test_a_flatten_keeps_what_it_closed_paused_until_resume() -> None:
    rig = hold(calm(), "long", "short")
    reply = rig.verb("flatten", leg="long", reason="out")
    assert reply.result["status"] == "flat" and reply.result["reason"] == "out" and reply.result["cancelled_orders"] > 0
    assert [(row["symbol"], row["side"]) for row in reply.result["closing_positions"]] == [("BTCUSDT", "long")]
    assert not rig.desk().books.long_qty and rig.desk().books.short_qty and not entries(rig, Leg.LONG) and entries(rig, Leg.SHORT)
    rig.bars([497_400, 500_000])
    assert not entries(rig, Leg.LONG) and not rig.engine.kill.active
    rig.verb("resume", leg="long")
    assert entries(rig, Leg.LONG)


def test_a_refused_close_is_fired_again_later_and_later() -> None:
    rig = hold(calm(), "long")
    tries: list[int] = []
    rig.refuse = lambda order: -1001 if order.role == Role.CLOSE and not tries.append(rig.engine.now) else 0
    rig.verb("flatten", reason="out")
    for _ in range(40):
        rig.timer(0.25)
    waits = [after - before for before, after in itertools.pairwise(tries)]
    assert waits[:5] == [250, 500, 1000, 2000, 4000] and all(wait <= 5000 for wait in waits)
    rig.refuse = lambda order: 0
    for _ in range(6):
        rig.timer(1)
    assert not rig.desk().books.long_qty and not rig.engine.active()


def test_pause_is_per_symbol_and_leg() -> None:
    rig = calm(instrument=[instrument_table("BTCUSDT"), instrument_table("ETHUSDT", base_qty=0.01)])
    rig.bars([200_000 + i % 3 for i in range(60)], "ETHUSDT")
    assert all(entries(rig, leg, symbol) for leg in (0, 1) for symbol in ("BTCUSDT", "ETHUSDT"))
    rig.verb("pause", symbol="ETHUSDT", leg="short")
    assert not entries(rig, Leg.SHORT, "ETHUSDT")
    assert entries(rig, Leg.LONG, "ETHUSDT") and entries(rig, Leg.SHORT)


def test_a_throttle_scales_one_leg_s_openers_only() -> None:
    rig = calm(instrument=[instrument_table("BTCUSDT", base_qty=0.01)])
    before = {(order.leg, order.price): order.qty for order in entries(rig)}
    rig.verb("throttle", factor=0.5, leg="long")
    after = {(order.leg, order.price): order.qty for order in entries(rig)}
    assert before.keys() == after.keys()
    for key, qty in before.items():
        assert after[key] == (int(qty * 0.5) if key[0] == Leg.LONG else qty) or abs(after[key] - qty / 2) <= 1


# --- modes --------------------------------------------------------------------------------------------------------------------------


def test_monitor_thinks_and_sends_nothing() -> None:
    rig = Rig(config_of(mode="monitor")).start()
    steady(rig)
    rig.bars([497_000, 503_000])
    assert rig.engine.mode == Mode.MONITOR and not rig.sent and rig.engine.counts["signals"] > 0 and not rig.of("order")


def test_dry_run_decides_and_marks_every_order() -> None:
    rig = Rig(config_of(mode="dry_run")).start()
    steady(rig)
    assert rig.of("order") and all(act["is_dry_run"] for act in rig.of("order"))


# --- restart at any moment ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fired", [0, 1, 2])
def test_a_restart_amid_a_flatten_finishes_it_before_anything_opens(fired: int) -> None:
    rig = hold(calm(instrument=[small_market()]), "long", "short")
    closes: list[Any] = []
    rig.refuse = lambda order: -1001 if order.role == Role.CLOSE and (closes.append(order) or len(closes) > fired) else 0
    rig.verb("activate", reason="drill")
    assert rig.engine.held_legs() and rig.engine.kill.phase != "flat"
    other = rig.restarted(file=NO_FILE)
    assert not other.engine.held_legs() and other.engine.kill.phase == "flat" and not other.desk().orders.open
    assert not [order for order in other.sent if order.role == Role.ENTRY]
    assert other.latch and other.latch["phase"] == "flat"


def small_market() -> dict[str, Any]:
    """An instrument whose largest market order is one lot."""
    table = instrument_table("BTCUSDT")
    table["filters"]["market_max_qty"] = 0.001
    return table


def test_a_person_s_flatten_goes_on_after_a_restart_too() -> None:
    rig = hold(calm(), "long", "short")
    rig.refuse = lambda order: -1001 if order.role == Role.CLOSE else 0
    rig.verb("flatten", leg="long", reason="out")
    other = rig.restarted()
    for _ in range(4):
        other.timer(1)
    assert not other.desk().books.long_qty and other.desk().books.short_qty and not other.engine.kill.active
    assert not entries(other, Leg.LONG) and entries(other, Leg.SHORT)


def test_a_restart_of_a_quiet_grid_sends_nothing() -> None:
    rig = hold(calm(), "long")
    other = rig.restarted()
    assert not other.sent and not other.of("cancel") and set(other.desk().orders.open) == set(rig.desk().orders.open)
    other.bars([497_495])
    assert not other.sent


def test_funding_paid_between_crash_and_settlement_counts_once() -> None:
    rig = hold(calm(), "long")
    settle(rig, 0.001)
    before = rig.engine.account.wallet
    paid = next(event for event in reversed(rig.inputs) if type(event).__name__ == "FundingPaid")
    rig.take(paid)
    assert rig.engine.account.wallet == before
    rig.market(Funding("BTCUSDT", rig.engine.now + 1, 0.001, 28_800_000))
    assert rig.engine.account.wallet < before
