"""Breakers asked of what moved alone say what they would say of the whole picture: two hearts side by side through wild runs."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from rig import REGISTRY, Rig
from wild import Wild, fresh

from hedgegridd.heart.breakers import Guard, Verdict
from hedgegridd.heart.build import build
from hedgegridd.heart.ease import Ease, rests
from hedgegridd.heart.engine import Engine
from hedgegridd.heart.sights import Sights
from hedgegridd.views import Measure, Trip


class Thorough(Ease):
    """Asks every breaker of the whole picture at every look."""

    def restless(self, now: int, errors: int, vitals: Any, asked: Any, tick: bool) -> Any:
        guards = [*self._panel.guards.values(), *self._panel.candidates.values()]
        return [(guard, None) for guard in guards if (guard.state != "disarmed" or guard.disarmed_until) and not (tick and guard.of_vitals)]


class Anew(Sights):
    """Makes each picture from nothing."""

    engine: Engine

    def picture(self, now: int, errors: int, vitals: Any) -> Any:
        return fresh(self.engine)


def thorough(rig: Rig) -> Engine:
    """A heart that keeps nothing, where the rig's is now."""
    made = build(rig.config, REGISTRY, carries=rig.carries, cadence_ms=rig.cadence_ms)
    made.ease, made.sights.__class__ = Thorough(made.panel, made.sights), Anew
    made.sights.engine = made  # type: ignore[attr-defined]
    return made


class Twins:
    """Feeds the thorough one what the rig's heart was fed, and compares all that they said and are."""

    def __init__(self) -> None:
        self.twin: Engine | None = None
        self.of: Engine | None = None
        self.trips: Counter[str] = Counter()
        self.events = 0

    def __call__(self, rig: Rig, event: Any, effects: list[Any]) -> None:
        if self.twin is None or rig.engine is not self.of:
            before, self.twin, self.of = self.twin, thorough(rig), rig.engine
            if before is not None:
                self.twin.load(json.loads(json.dumps(before.dump())))
                self.twin.flattens, self.twin.foreign = before.flattens, before.foreign
        assert self.twin.handle(event) == effects, event
        self.events += 1
        self.trips.update(effect.data["name"] for effect in effects if getattr(effect, "kind", "") == "trip")
        if self.events % 7 == 0:
            assert self.twin.panel.dump() == rig.engine.panel.dump()
        assert self.twin.decisions.hash == rig.engine.decisions.hash


@pytest.mark.parametrize("seed", range(8))
def test_the_same_trips_figures_and_decisions(seed: int) -> None:
    twins = Twins()
    Wild(seed, twins).run(250)
    assert twins.events > 250


@pytest.mark.parametrize(
    ("measure", "change", "answer"),
    [
        (Measure(0.5, 1.0, "%"), {}, True),
        (Measure(-0.5, 1.0, "%"), {}, True),
        (Measure(0.8, 1.0, "%"), {}, False),
        (Measure(1.0, 1.0, "%"), {}, False),
        (Measure(0.5, 0.0, "%"), {}, False),
        (Measure(float("nan"), 1.0, "%"), {}, False),
        (Measure(0.5, 1.0, "%", "", (0.5, 0.6, 0.5)), {}, True),
        (Measure(0.5, 1.0, "%", "", (0.6, 0.6, 0.5)), {}, False),
        (None, {}, False),
        *((Measure(0.5, 1.0, "%"), change, False) for change in (
            {"state": "tripped"}, {"state": "unknown"}, {"warned": True}, {"in_breach": True}, {"unknown_since": 1}, {"first": True},
            {"size_factor": 0.5},
        )),
    ],
)  # fmt: skip
def test_only_a_guard_at_ease_whose_measure_is_far_from_every_line_rests(measure: Any, change: dict[str, Any], answer: bool) -> None:
    guard = Guard("x", "breaker_x.py", object(), **change)
    assert rests(guard, Verdict(measure=measure)) is answer
    assert (guard.value is not None) is answer


def test_a_trip_is_always_heard() -> None:
    assert not rests(Guard("x", "breaker_x.py", object()), Verdict(Trip("now"), Measure(0.1, 1.0, "%")))
