"""The panel: what a breaker says, and what becomes of it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hedgegridd.errors import Unknown
from hedgegridd.heart.breakers import Guard, Noticed, Panel, Tripped, Verdict, heard, judge
from hedgegridd.model import Level
from hedgegridd.views import Measure, Trip


class Says:
    """A breaker that says what it is told to."""

    name = "says"

    def __init__(self, what: Any) -> None:
        self.what = what

    def check(self, _: Any) -> Any:
        if isinstance(self.what, Exception):
            raise self.what
        return self.what


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (None, Verdict()),
        (Trip("r", 2.0, 1.0), Verdict(Trip("r", 2.0, 1.0))),
        (Unknown("no price"), Verdict(unknown="no price")),
        (ValueError("boom"), Verdict(error="ValueError: boom")),
    ],
)
def test_judge_turns_whatever_happens_into_a_verdict(what: Any, expected: Verdict) -> None:
    assert judge(Says(what), None) == expected  # type: ignore[arg-type]


def test_nonsense_is_an_error_and_not_a_number_is_unknown() -> None:
    assert "expected Trip or None" in judge(Says("yes"), None).error  # type: ignore[arg-type]

    class Blind:
        def measure(self, _: Any) -> Measure:
            return Measure(math.nan, 1.0, "x")

    assert judge(Blind(), None).unknown  # type: ignore[arg-type]


@pytest.mark.parametrize("said", [None, 3, {}, {"trip": 1, "measure": None, "unknown": "", "error": ""}, {"error": ""}])
def test_a_hosts_nonsense_is_an_error(said: Any) -> None:
    assert heard(said).error


def panel(live: bool = False, **settings: Any) -> tuple[Panel, Guard]:
    made, guard = Panel(live), Guard("says", "says.py", Says(None), **settings)
    made.add(guard)
    return made, guard


TRIP = Verdict(Trip("over", 2.0, 1.0))
FINE = Verdict(measure=Measure(0.1, 1.0, "x"))


def test_a_trip_is_told_once_and_holds_until_a_person_resets_it() -> None:
    made, guard = panel(on_trip=Level.HALT)
    assert isinstance(made.hear(guard, TRIP, 1), Tripped)
    assert made.hear(guard, TRIP, 2) is None
    made.hear(guard, FINE, 3)
    assert guard.state == "tripped"
    assert not made.in_breach()
    made.reset(guard, 4)
    assert guard.state == "armed"
    assert isinstance(made.hear(guard, TRIP, 5), Tripped), "re-trips at once if still true"


def test_a_pause_resumes_after_its_cooldown_and_three_in_an_hour_halt() -> None:
    made, guard = panel(on_trip=Level.PAUSE, cooldown_ms=1_000)
    levels = []
    for minute in (0, 10, 20):
        outcome = made.hear(guard, TRIP, minute * 60_000)
        assert isinstance(outcome, Tripped)
        levels.append(outcome.level)
        assert made.hold() or outcome.level == Level.HALT
        made.hear(guard, FINE, minute * 60_000 + 999)
        assert guard.state == "tripped"
        made.hear(guard, FINE, minute * 60_000 + 1_000)
    assert levels == [Level.PAUSE, Level.PAUSE, Level.HALT]
    assert guard.state == "tripped", "a halt does not resume by itself"


@pytest.mark.parametrize("looks", [1, 2, 5])
def test_three_pauses_are_a_halt_however_long_the_third_breach_lasts(looks: int) -> None:
    made, guard = panel(on_trip=Level.PAUSE, cooldown_ms=1_000)
    for minute in (0, 10, 20):
        for look in range(looks):
            made.hear(guard, TRIP, minute * 60_000 + look)
        made.hear(guard, FINE, minute * 60_000 + 2_000)
    assert guard.state == "tripped" and not made.in_breach() and not made.hold()
    made.hear(guard, FINE, 10**9)
    assert guard.state == "tripped", "a halt does not resume by itself"
    made.reset(guard, 10**9)
    assert guard.state == "armed" and not guard.acted


def test_one_symbol_that_was_halted_lets_the_pause_of_another_end() -> None:
    made, guard = panel(on_trip=Level.PAUSE, cooldown_ms=1_000)
    here, there = (Verdict(Trip("over", 2.0, 1.0, symbol=symbol)) for symbol in ("BTCUSDT", "ETHUSDT"))
    for minute in (0, 10, 20):
        made.hear(guard, here, minute * 60_000)
        made.hear(guard, FINE, minute * 60_000 + 1_000)
    made.hear(guard, there, 2 * 3_600_000)
    assert made.hold("ETHUSDT")
    made.hear(guard, FINE, 2 * 3_600_000 + 1_000)
    assert not made.hold("ETHUSDT") and guard.state == "tripped"
    assert guard.reaches("BTCUSDT", 0, Level.HALT) and not guard.reaches("ETHUSDT", 0)


def test_unknown_withholds_at_once_and_trips_at_halt_after_its_grace() -> None:
    made, guard = panel(on_trip=Level.WARN, grace_ms=30_000)
    blind = Verdict(unknown="stale")
    assert isinstance(made.hear(guard, blind, 1_000), Noticed)
    assert "unknown" in made.hold()
    assert made.hear(guard, blind, 30_999) is None
    outcome = made.hear(guard, blind, 31_000)
    assert isinstance(outcome, Tripped)
    assert outcome.level == Level.HALT


def test_a_breach_seen_after_blindness_acts_at_its_own_level_once() -> None:
    made, guard = panel(on_trip=Level.FLATTEN, grace_ms=30_000)
    made.hear(guard, Verdict(unknown="stale"), 1_000)
    blind = made.hear(guard, Verdict(unknown="stale"), 31_000)
    assert isinstance(blind, Tripped) and blind.level == Level.HALT
    seen = made.hear(guard, TRIP, 32_000)
    assert isinstance(seen, Tripped) and seen.level == Level.FLATTEN, "halted for being blind, it sees what it must flatten for"
    assert made.hear(guard, TRIP, 33_000) is None
    assert guard.everywhere


def test_a_breach_of_a_halt_seen_after_blindness_is_no_second_trip() -> None:
    made, guard = panel(on_trip=Level.HALT, grace_ms=30_000)
    made.hear(guard, Verdict(unknown="stale"), 1_000)
    made.hear(guard, Verdict(unknown="stale"), 31_000)
    assert made.hear(guard, TRIP, 32_000) is None


@pytest.mark.parametrize(("level", "trip"), [(Level.HALT, Trip("over", symbol="ETHUSDT", leg=0)), (Level.WARN, Trip("over"))])
def test_one_that_warned_or_stopped_a_leg_withholds_openers_while_it_is_blind(level: Level, trip: Trip) -> None:
    made, guard = panel(on_trip=level)
    made.hear(guard, Verdict(trip), 0)
    assert not made.hold()
    made.hear(guard, Verdict(unknown="stale"), 1_000)
    assert "unknown" in made.hold() and "unknown" in made.hold("BTCUSDT", 1)
    made.hear(guard, Verdict(trip), 2_000)
    assert not made.hold()


@pytest.mark.parametrize(("level", "trip"), [(Level.HALT, Trip("over", symbol="ETHUSDT", leg=0)), (Level.WARN, Trip("over"))])
def test_a_guard_that_stopped_less_than_the_account_halts_it_when_it_is_blind(level: Level, trip: Trip) -> None:
    made, guard = panel(on_trip=level, grace_ms=30_000)
    assert isinstance(made.hear(guard, Verdict(trip), 1), Tripped)
    assert made.hear(guard, Verdict(unknown="stale"), 1_000) is None
    outcome = made.hear(guard, Verdict(unknown="stale"), 31_000)
    assert isinstance(outcome, Tripped) and outcome.level == Level.HALT and not outcome.trip.narrow
    assert guard.everywhere and guard.reaches(trip.symbol, 0)
    assert made.hear(guard, Verdict(unknown="stale"), 62_000) is None


def test_inputs_that_come_back_in_time_clear_it() -> None:
    made, guard = panel()
    made.hear(guard, Verdict(unknown="stale"), 0)
    outcome = made.hear(guard, FINE, 10_000)
    assert isinstance(outcome, Noticed)
    assert outcome.kind == "cleared"
    assert made.hold() == ""


def test_a_warning_comes_before_the_trip_once() -> None:
    made, guard = panel(warn_fraction=0.8)
    near = Verdict(measure=Measure(0.85, 1.0, "x"))
    outcome = made.hear(guard, near, 1)
    assert isinstance(outcome, Noticed)
    assert outcome.kind == "near"
    assert made.hear(guard, near, 2) is None


def foreign(live: bool = False) -> tuple[Panel, Guard]:
    made, guard = Panel(live), Guard("drop", "/p/drop.py", None, "abc", "/p/drop.py@abc", trusted=False, on_trip=Level.FLATTEN)
    made.add(guard)
    return made, guard


def test_a_new_file_that_would_trip_on_its_first_look_is_held_for_a_person() -> None:
    made, guard = foreign()
    outcome = made.hear(guard, TRIP, 1)
    assert isinstance(outcome, Noticed)
    assert guard.state == "would_trip"
    made.arm(guard, 2)
    assert isinstance(made.hear(guard, TRIP, 3), Tripped)


def test_a_file_armed_before_trips_at_once() -> None:
    made, guard = foreign()
    made.hear(guard, FINE, 1)
    again = Panel(False)
    again.load(made.dump())
    again.add(Guard("drop", "/p/drop.py", None, "abc", "/p/drop.py@abc", trusted=False))
    assert isinstance(again.hear(again.guards["drop"], TRIP, 2), Tripped)


def test_in_live_an_unvouched_file_acts_at_most_at_halt() -> None:
    made, guard = foreign(live=True)
    made.hear(guard, FINE, 1)
    outcome = made.hear(guard, TRIP, 2)
    assert isinstance(outcome, Tripped)
    assert outcome.level == Level.HALT


def test_an_edit_keeps_the_old_version_in_force_until_the_new_one_is_fine() -> None:
    made, guard = foreign()
    made.hear(guard, FINE, 1)
    made.add(Guard("drop", "/p/drop.py", None, "def", "/p/drop.py@def", trusted=False))
    assert made.guards["drop"].sha256 == "abc"
    candidate = made.candidates["drop"]
    assert made.hear_candidate(candidate, Verdict(error="raises"), 2)
    assert made.guards["drop"].sha256 == "abc"
    noticed = made.hear_candidate(candidate, FINE, 3)
    assert noticed is not None
    assert noticed.kind == "armed"
    assert made.guards["drop"].sha256 == "def"


def test_a_broken_foreign_breaker_costs_nothing_but_itself() -> None:
    made, guard = foreign()
    made.hear(guard, FINE, 1)
    outcome = made.hear(guard, Verdict(error="boom"), 2)
    assert isinstance(outcome, Noticed)
    assert guard.state == "check_error"
    assert made.hold() == ""


def test_dump_and_load_keep_every_guard() -> None:
    made, guard = panel(on_trip=Level.HALT)
    made.hear(guard, TRIP, 7)
    other, _ = panel(on_trip=Level.HALT)
    other.load(made.dump())
    assert other.dump() == made.dump()
