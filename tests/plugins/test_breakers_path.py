"""The breakers of path and machine: each figure over its line and below it, unknown, and not measured yet; then by the whole heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rig import BARS, START, Rig, config_of

from hedgegridd.errors import Unknown
from hedgegridd.heart.breakers import judge
from hedgegridd.heart.snapshot import picture
from hedgegridd.model import Timer
from hedgegridd.plugins import equip, load_shipped
from hedgegridd.views import Snapshot, Vitals

BREAKERS = load_shipped(Path(__file__).resolve().parents[2] / "plugins").breakers
SOUND = Vitals(START, START, 3.0, 4.0, 2, 40.0, 30.0, 100, 1, 0, 15.0, 30.0, 40.0, 0.0)
LIVE = BARS | {"vitals", "requests"}

#: name -> (figure, just below the line, at the line)
LINES: dict[str, tuple[str, float, float]] = {
    "order_latency": ("order_latency_ms", 4999.0, 5000.0),
    "api_latency": ("api_latency_ms", 4999.0, 5000.0),
    "error_rate": ("errors_1m", 49, 50),
    "stream_gaps": ("breaks_1h", 5, 6),
    "loop_lag": ("loop_lag_ms", 1999.0, 2000.0),
    "journal_time": ("journal_ms", 4999.0, 5000.0),
    "backlog": ("backlog", 4999, 5000),
    "disk_free": ("disk_used_pct", 96.9, 97.0),
    "memory": ("memory_used_pct", 94.9, 95.0),
    "clock_skew": ("clock_offset_ms", -29_999.0, -30_000.0),
    "components": ("unresponsive_seconds", 59.0, 60.0),
}


def breaker(name: str, **values: Any) -> Any:
    one, problems = equip(BREAKERS[name].thing, values, name)
    assert not problems
    return one


def seen(vitals: Vitals | None) -> Snapshot:
    return Snapshot(1, 1e4, 1e4, 0.0, 0.0, 0.0, 0.0, 0.0, 1e4, 1e4, 1e4, 1e4, 0.0, 0.0, 0, (), vitals)


@pytest.mark.parametrize("name", LINES)
def test_each_trips_at_its_line_and_not_below(name: str) -> None:
    figure, below, at = LINES[name]
    one = breaker(name)
    assert judge(one, seen(SOUND)).trip is None and judge(one, seen(SOUND)).measure is not None
    assert judge(one, seen(SOUND._replace(**{figure: below}))).trip is None
    trip = judge(one, seen(SOUND._replace(**{figure: at}))).trip
    assert trip is not None and trip.value == trip.threshold and trip.reason


@pytest.mark.parametrize("name", LINES)
def test_a_figure_that_could_not_be_measured_is_unknown_and_none_at_all_is_no_measure(name: str) -> None:
    with pytest.raises(Unknown):
        breaker(name).measure(seen(SOUND._replace(**{LINES[name][0]: None})))
    verdict = judge(breaker(name), seen(None))
    assert (verdict.trip, verdict.measure, verdict.unknown, verdict.error) == (None, None, "", "")


def test_of_few_requests_no_share_is_taken() -> None:
    assert breaker("error_rate").measure(seen(SOUND._replace(requests_1m=19, errors_1m=19))) is None
    assert breaker("error_rate", min_requests=5).measure(seen(SOUND._replace(requests_1m=19, errors_1m=19))).trip() is not None


def test_a_component_s_name_is_said_whatever_it_is() -> None:
    measure = breaker("components").measure(seen(SOUND._replace(unresponsive_seconds=61.0, unresponsive="plugin {0}.py")))
    assert measure.reason == "plugin 0.py has not worked for 61 s"


# --- by the whole heart ---------------------------------------------------------------------------------------------------


def rig(**breakers: Any) -> Rig:
    it = Rig(config_of(breaker=breakers), carries=LIVE)
    it.start()
    return it


def tell(it: Rig, seconds: float = 1.0, **figures: Any) -> None:
    """A second passes, and the shell says how the machine is."""
    it.timer(seconds)
    it.take(SOUND._replace(time=it.engine.now, wall=it.engine.wall, **figures))


def test_without_a_live_feed_they_are_out_of_force_and_say_why() -> None:
    guards = Rig(config_of()).engine.panel.guards
    assert {guards[name].why for name in LINES if BREAKERS[name].thing.needs == ("vitals",) and name != "components"} == {
        "the feed does not carry vitals"
    }
    told_by_exchange = Rig(config_of(), carries=BARS | {"vitals"}).engine.panel.guards
    assert told_by_exchange["api_latency"].why == "the feed does not carry requests"
    assert told_by_exchange["order_latency"].state == "armed"


@pytest.mark.parametrize("name", [name for name in LINES if name != "components"])
def test_a_fault_pauses_openers_and_is_over_after_the_cooldown(name: str) -> None:
    it = rig()
    tell(it)
    assert it.engine.panel.guards[name].state == "armed" and not it.engine.gate.hold()
    tell(it, **{LINES[name][0]: LINES[name][2]})
    assert it.engine.panel.guards[name].state == "tripped" and name in it.engine.gate.hold()
    assert not it.engine.kill.active
    tell(it)
    assert name in it.engine.gate.hold()
    tell(it, seconds=301.0)
    assert not it.engine.gate.hold()


def test_a_tick_of_the_market_asks_those_alone_that_it_concerns() -> None:
    it = Rig(config_of(), carries=LIVE | {"marks"}, cadence_ms=1000)
    it.start()
    tell(it)
    it.engine.vitals = SOUND._replace(wall=it.engine.wall, loop_lag_ms=9_000.0)
    it.mark(1_000_000.0, seconds=0.1)
    assert it.engine.panel.guards["loop_lag"].state == "armed"
    it.timer()
    assert it.engine.panel.guards["loop_lag"].state == "tripped", "time asks them all"


def test_three_pauses_within_an_hour_are_a_halt() -> None:
    it = rig()
    for _ in range(3):
        tell(it, loop_lag_ms=9_000.0)
        tell(it, seconds=301.0)
    assert it.engine.kill.active and it.engine.kill.source == "breaker.loop_lag"


def test_a_measurement_that_is_too_old_is_no_measurement() -> None:
    it = rig()
    tell(it)
    it.take(Timer(it.engine.now + 29_000, it.engine.wall + 29_000))
    assert picture(it.engine).vitals is not None and not it.engine.gate.hold()
    it.take(Timer(it.engine.now + 2_000, it.engine.wall + 2_000))
    assert "unknown" in it.engine.gate.hold()
    it.take(Timer(it.engine.now + 31_000, it.engine.wall + 31_000))
    assert it.engine.kill.active, "blind past the grace time"


def test_a_new_life_waits_for_its_own_measurement_and_a_checkpoint_keeps_the_last() -> None:
    it = rig()
    tell(it, loop_lag_ms=7.0)
    other = rig()
    other.engine.load(it.engine.dump())
    assert other.engine.vitals == it.engine.vitals and other.engine.dump() == it.engine.dump()
    other.start(time=it.engine.now)
    assert other.engine.vitals is None and not other.engine.panel.in_breach()


def test_what_was_decided_comes_out_again_from_the_events_alone() -> None:
    it = rig()
    for lag in (3.0, 2500.0, 1.0):
        tell(it, loop_lag_ms=lag)
    again = Rig(config_of(), carries=LIVE)
    acts = [(effect.kind, effect.data) for event in it.inputs for effect in again.engine.handle(event) if hasattr(effect, "kind")]
    assert [(act.kind, act.data) for act in it.acts] == [act for act in acts if act[0] in {one.kind for one in it.acts}]
    assert again.engine.dump() == it.engine.dump()
