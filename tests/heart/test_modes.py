"""What a leg may still do: a machine only makes it stricter, a person milder; it outlives restarts, and acts no wider than said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig import MINUTE, Rig, calm, config_of, hold, instrument_table

from hedgegridd.heart import risk
from hedgegridd.heart.breakers import Guard, judge
from hedgegridd.heart.effects import AskReport
from hedgegridd.heart.modes import WORDS, LegMode, Standing
from hedgegridd.live.pluginchild import plain
from hedgegridd.model import Fill, Held, Leg, Level, Report, Role
from hedgegridd.views import Snapshot, Trip

LONG, SHORT = Leg.LONG, Leg.SHORT


def entries(rig: Rig, leg: int, symbol: str = "BTCUSDT") -> list[Any]:
    return [order for order in rig.resting(Role.ENTRY, symbol) if order.leg == leg]


def modes(rig: Rig, symbol: str = "BTCUSDT") -> list[str]:
    return [standing.mode.word for standing in rig.desk(symbol).standing]


def test_a_standing_survives_as_json() -> None:
    one = Standing(LegMode.GRACEFUL, "why", "ctl", 5, True)
    assert Standing.of(json.loads(json.dumps(one.row()))) == one
    assert list(WORDS) == ["normal", "graceful", "take-profit-only", "flatten"], "from the mildest to the strictest"


def test_take_profit_only_withdraws_openers_and_nothing_else() -> None:
    rig = hold(calm(), "long", "short")
    closers = {order.client_id for role in (Role.TAKE_PROFIT, Role.STOP) for order in rig.resting(role)}
    reply = rig.verb("mode", mode="take-profit-only", leg="long", reason="too long")
    assert reply and reply.result == {"mode": "take-profit-only", "symbols": ["BTCUSDT"], "legs": ["long"]}
    assert not entries(rig, LONG) and entries(rig, SHORT)
    assert closers <= set(rig.desk().orders.open)
    assert any("mode take-profit-only: too long" in why for *_, why in rig.desk().withheld)
    assert rig.of("mode")[-1] == {"symbol": "BTCUSDT", "leg": 0, "mode": "take-profit-only", "was": "normal", "reason": "too long",
                                  "source": "ctl"}  # fmt: skip


def test_graceful_works_out_what_is_held_and_then_stays_out() -> None:
    rig = hold(calm(), "long")
    rig.verb("mode", mode="graceful", reason="the end of it")
    assert entries(rig, LONG), "what is held is worked out like on any day, re-entries too"
    assert not entries(rig, SHORT), "a leg that is flat makes no first entry"
    rig.bars([495_000])
    assert rig.desk().held(LONG) and entries(rig, LONG)
    rig.bars([506_000], reach=0)
    assert not rig.desk().held(LONG) and rig.desk().standing[LONG].out
    rig.bars([500_000, 497_000, 494_000])
    assert not entries(rig, LONG) and not rig.desk().held(LONG)
    again = rig.restarted()
    again.bars([500_000])
    assert not again.resting(Role.ENTRY) and modes(again) == ["graceful", "graceful"]
    again.verb("mode", mode="normal", reason="on with it")
    again.bars([500_000])
    assert entries(again, LONG) and entries(again, SHORT)


def test_a_late_fill_of_a_graceful_leg_is_worked_out_and_not_added_to() -> None:
    rig = calm()
    rig.verb("mode", mode="graceful", reason="the end of it")
    assert rig.desk().standing[LONG].out
    books = rig.exchange.pits["BTCUSDT"].books
    rig.exchange.pits["BTCUSDT"].books = books._replace(long_qty=3, long_entry=497_000.0)
    rig.take(Fill("BTCUSDT", rig.engine.now, LONG, 1, 497_000, 3, 0.0, True, "hg-BTCUSDT-LE-497000-zz", "late", "late-1"))
    rig.bars([497_000])
    assert rig.desk().held(LONG) == 3 and not entries(rig, LONG)


def test_flatten_closes_the_leg_and_keeps_it_closed() -> None:
    rig = hold(calm(), "long", "short")
    reply = rig.verb("mode", mode="flatten", leg="long", reason="out of it")
    assert reply and reply.result["mode"] == "flatten"
    assert not rig.desk().held(LONG) and rig.desk().held(SHORT)
    assert not rig.engine.kill.active
    books = rig.exchange.pits["BTCUSDT"].books
    rig.exchange.pits["BTCUSDT"].books = books._replace(long_qty=3, long_entry=497_000.0)
    rig.take(Fill("BTCUSDT", rig.engine.now, LONG, 1, 497_000, 3, 0.0, True, "hg-BTCUSDT-LE-497000-zz", "late", "late-1"))
    rig.timer(1)
    assert not rig.desk().held(LONG) and not rig.engine.active(), "what came to be held there was closed again"
    assert rig.desk().held(SHORT) and modes(rig) == ["flatten", "normal"]


def test_the_verb_flatten_and_pause_are_modes_too() -> None:
    rig = hold(calm(), "long")
    rig.verb("flatten", leg="long", reason="out of it")
    assert modes(rig) == ["flatten", "normal"]
    rig.verb("pause")
    assert modes(rig) == ["flatten", "take-profit-only"], "a pause makes nothing milder"
    rig.verb("resume")
    assert modes(rig) == ["normal", "normal"]


def test_a_checkpoint_of_a_version_without_modes_keeps_its_pause() -> None:
    rig = calm()
    old = {**rig.desk().dump(), "paused": [False, True]}
    del old["modes"]
    rig.desk().load(old)
    assert modes(rig) == ["normal", "take-profit-only"]


@pytest.mark.parametrize(("params", "told"), [({"mode": "gracefully"}, "take-profit-only"), ({"mode": "graceful"}, "--reason")])
def test_nonsense_is_refused(params: dict[str, str], told: str) -> None:
    reply = calm().verb("mode", **params)
    assert reply and reply.result is None and told in reply.refusal


# --- breakers that name a place -------------------------------------------------------------------------------------------


class Places:
    name, on_trip = "places", "halt"

    def __init__(self) -> None:
        self.trip: Trip | None = None

    def check(self, snapshot: Snapshot) -> Trip | None:
        return self.trip


def two(level: Level, **guard: Any) -> tuple[Rig, Places, Guard]:
    """Two symbols, and a breaker that trips as it is told."""
    quiet = {"funding": {"enabled": False}, "stale_data": {"enabled": False}}
    tables = [instrument_table("BTCUSDT"), instrument_table("ETHUSDT", tick=0.01, base_qty=0.05)]
    rig = Rig(config_of(instrument=tables, breaker=quiet)).start()
    for close in range(60):
        rig.bars([500_000 + close % 3 * 10])
        rig.bars([300_000 + close % 3 * 10], "ETHUSDT")
    places = Places()
    guard_ = Guard("places", "breaker_places.py", places, "s", on_trip=level, **guard)
    rig.engine.panel.add(guard_)
    assert entries(rig, LONG) and entries(rig, LONG, "ETHUSDT")
    return rig, places, guard_


def test_a_trip_that_names_a_leg_stops_that_leg_alone() -> None:
    rig, places, guard = two(Level.HALT)
    places.trip = Trip("deep", 2.0, 1.0, None, "ETHUSDT", LONG)
    rig.timer(1)
    assert not rig.engine.kill.active
    assert not entries(rig, LONG, "ETHUSDT") and entries(rig, SHORT, "ETHUSDT") and entries(rig, LONG)
    assert modes(rig, "ETHUSDT") == ["take-profit-only", "normal"]
    assert rig.desk("ETHUSDT").standing[LONG].source == "breaker.places"
    assert (rig.of("trip")[-1]["symbol"], rig.of("trip")[-1]["leg"]) == ("ETHUSDT", 0)
    assert guard.row()["where"] == ["ETHUSDT long"]
    trips = len(rig.of("trip"))
    rig.timer(1)
    assert len(rig.of("trip")) == trips, "told once"


def test_the_configured_level_is_the_least_and_flatten_closes_that_symbol() -> None:
    rig, places, _ = two(Level.FLATTEN)
    rig.bars([497_490], reach=0)
    rig.bars([298_490], "ETHUSDT", reach=0)
    assert rig.desk().held(LONG) and rig.desk("ETHUSDT").held(LONG)
    places.trip = Trip("deep", 2.0, 1.0, Level.HALT, "ETHUSDT")
    rig.timer(1)
    rig.timer(1)
    assert modes(rig, "ETHUSDT") == ["flatten", "flatten"] and modes(rig) == ["normal", "normal"]
    assert not rig.desk("ETHUSDT").held(LONG) and rig.desk().held(LONG) and not rig.engine.kill.active


def test_a_second_place_and_the_account_are_trips_of_their_own() -> None:
    rig, places, guard = two(Level.HALT)
    places.trip = Trip("deep", 2.0, 1.0, None, "ETHUSDT", LONG)
    rig.timer(1)
    places.trip = Trip("deep", 2.0, 1.0, None, "", SHORT)
    rig.timer(1)
    assert (modes(rig), modes(rig, "ETHUSDT")) == (["normal", "take-profit-only"], ["take-profit-only", "take-profit-only"])
    assert guard.row()["where"] == ["ETHUSDT long", "every symbol short"]
    places.trip = Trip("deep", 2.0, 1.0)
    rig.timer(1)
    assert rig.engine.kill.active and rig.engine.kill.level == Level.HALT
    assert guard.row()["where"][-1] == "account"


def test_a_pause_of_one_leg_ends_by_itself() -> None:
    rig, places, _ = two(Level.PAUSE, cooldown_ms=2 * MINUTE)
    places.trip = Trip("hasty", 2.0, 1.0, None, "ETHUSDT", LONG)
    rig.timer(1)
    assert "breaker places: paused" in rig.engine.gate.leg_hold(rig.desk("ETHUSDT"), LONG)
    assert not rig.engine.gate.leg_hold(rig.desk("ETHUSDT"), SHORT) and not rig.engine.gate.hold()
    places.trip = None
    rig.timer(121)
    assert not rig.engine.gate.leg_hold(rig.desk("ETHUSDT"), LONG)


@pytest.mark.parametrize("trip", [Trip("deep", 2.0, 1.0, None, "DOGEUSDT"), Trip("deep", 2.0, 1.0, None, "ETHUSDT", 7)])
@pytest.mark.parametrize("shipped", [True, False])
def test_a_trip_for_a_place_that_is_not_there_shuts_the_gate_and_halts_when_it_stays(trip: Trip, shipped: bool) -> None:
    rig, places, guard = two(Level.FLATTEN, grace_ms=30_000)
    places.trip = trip
    if not shipped:  # its file answers from a host
        guard.breaker, guard.host = None, "places.py@1"
    for seconds in (1, 28, 3):
        rig.timer(seconds)
        if not shipped:
            risk.hear_host(rig.engine, guard.host, guard.name, judge(places, None))  # type: ignore[arg-type]
        assert "breaker places" in rig.engine.gate.hold()
    assert rig.engine.kill.active and rig.engine.kill.level == Level.HALT and guard.state == "tripped"


def test_a_leg_is_not_resumed_while_its_breaker_is_in_breach() -> None:
    rig, places, guard = two(Level.HALT)
    places.trip = Trip("deep", 2.0, 1.0, None, "ETHUSDT", LONG)
    rig.timer(1)
    refused = rig.verb("resume", symbol="ETHUSDT")
    assert refused and "places (deep)" in refused.refusal and modes(rig, "ETHUSDT")[0] == "take-profit-only"
    assert rig.verb("resume", symbol="BTCUSDT").result, "the others are not its matter"  # type: ignore[union-attr]
    places.trip = None
    rig.timer(1)
    assert rig.verb("mode", mode="normal", symbol="ETHUSDT", reason="it is over").result  # type: ignore[union-attr]
    assert modes(rig, "ETHUSDT") == ["normal", "normal"] and guard.state == "armed"


def test_a_breach_of_one_leg_does_not_stand_against_letting_the_account_go() -> None:
    rig, places, _ = two(Level.HALT)
    places.trip = Trip("deep", 2.0, 1.0, None, "ETHUSDT", LONG)
    rig.timer(1)
    rig.verb("activate", reason="x", level="halt")
    reply = rig.verb("deactivate", reason="over")
    assert reply and reply.result and modes(rig, "ETHUSDT")[0] == "take-profit-only"


@pytest.mark.parametrize("trip", [Trip("odd", symbol="DOGEUSDT"), Trip("odd", leg=7)])
def test_a_place_that_is_not_there_is_no_place_to_stop_and_no_reason_to_trust(trip: Trip) -> None:
    rig, places, guard = two(Level.FLATTEN, grace_ms=30_000)
    places.trip = trip
    rig.timer(1)
    assert guard.state == "unknown" and "expected" in guard.why and not rig.engine.kill.active
    rig.timer(31)
    assert rig.engine.kill.active and rig.engine.kill.level == Level.HALT, "a blind guard halts, past its grace"


def test_what_a_leg_is_in_comes_out_of_the_journal_again() -> None:
    rig, places, _ = two(Level.HALT)
    places.trip = Trip("deep", 2.0, 1.0, None, "ETHUSDT", LONG)
    rig.timer(1)
    again = rig.restarted()
    assert modes(again, "ETHUSDT") == ["take-profit-only", "normal"]
    again.bars([300_000], "ETHUSDT")
    assert not entries(again, LONG, "ETHUSDT")


def test_a_host_may_name_a_place() -> None:
    assert plain(Trip("deep", 2.0, 1.0, Level.HALT, "ETHUSDT", Leg.SHORT)) == ["deep", 2.0, 1.0, 2, "ETHUSDT", 1]
    assert plain(Trip("all")) == ["all", None, None, None]


def test_a_leg_that_is_stopped_as_the_kill_gets_flat_does_not_make_the_kill_wait_for_ever() -> None:
    rig, places, _ = two(Level.FLATTEN)
    rig.bars([497_490], reach=0)
    rig.lose = lambda effect: isinstance(effect, AskReport)
    rig.verb("activate", reason="x")
    assert rig.engine.kill.phase == "verifying"
    places.trip = Trip("deep", 2.0, 1.0, None, "ETHUSDT", LONG)
    held = tuple(Held(symbol, leg, 0, 0.0) for symbol in ("BTCUSDT", "ETHUSDT") for leg in (LONG, SHORT))
    rig.take(Report(rig.engine.now, 10_000.0, held, ()))
    rig.lose = lambda effect: False
    for _ in range(7):
        rig.timer(1)
    assert not rig.engine.active()
    assert rig.engine.kill.phase == "flat"
    assert rig.latch and rig.latch["phase"] == "flat"
    reply = rig.verb("deactivate", reason="over")
    assert reply and reply.result, reply.refusal
