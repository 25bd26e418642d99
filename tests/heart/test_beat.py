"""The exchange's countdown is beaten while something of ours rests there, short while a flatten goes on, and taken off by a clean stop."""

from __future__ import annotations

from typing import Any

import pytest
from rig import START, Rig, config_of, steady

from hedgegridd.heart.beat import SHORT_MS
from hedgegridd.heart.effects import Countdown
from hedgegridd.model import Stopping


@pytest.fixture
def rig() -> Rig:
    """A grid that rests, in live."""
    config = config_of(mode="live", limits={"equity_usdt": 10_000.0, "max_exposure_pct": 400.0, "max_position_pct": 400.0})
    made = Rig(config)
    made.exchange = _paper()
    made.exchange.start(made.inbox.append, {"BTCUSDT": made.desk().instrument}, made.config.exchange.paper)
    return steady(made.start())


def _paper() -> Any:
    from hedgegridd.plugins import load_shipped

    return load_shipped().exchanges["paper"].thing()


def beats(effects: list[Any]) -> list[Countdown]:
    return [effect for effect in effects if isinstance(effect, Countdown)]


def test_it_is_armed_with_the_first_order_and_beaten_by_the_clock(rig: Rig) -> None:
    first = beats(rig.timer(1.0))
    assert [(one.symbols, one.ms) for one in first] == [(("BTCUSDT",), 120_000)]
    assert not beats(rig.timer(1.0))
    assert len(beats([effect for _ in range(60) for effect in rig.timer(1.0)])) == 2


def test_a_flatten_shortens_it_before_anything_else(rig: Rig) -> None:
    rig.timer(1.0)
    effects = rig.take_only("activate", reason="stop", level="flatten")
    assert [one.ms for one in beats(effects)] == [SHORT_MS]


def test_a_stop_on_purpose_takes_it_off(rig: Rig) -> None:
    rig.timer(1.0)
    effects = rig.take(Stopping(rig.engine.now, False, "SIGTERM"))
    assert [one.ms for one in beats(effects)] == [0]


def test_a_new_life_beats_at_once(rig: Rig) -> None:
    rig.timer(1.0)
    rig.start(time=max(rig.engine.now, START))
    assert beats(rig.timer(1.0))


def test_it_is_for_live_alone() -> None:
    rig = steady(Rig().start())
    assert not beats([effect for _ in range(40) for effect in rig.timer(1.0)])


def test_a_flatten_of_one_leg_leaves_the_other_with_the_long_one(rig: Rig) -> None:
    rig.timer(1.0)
    assert [one.ms for one in beats(rig.take_only("flatten", leg="long", reason="one leg"))] == [SHORT_MS]
    rig.drain()
    after = [effect for _ in range(8) for effect in rig.timer(1.0)]
    assert not rig.engine.active()
    assert beats(after)[-1].ms == 120_000, "else the other leg's orders go in ten seconds"


def test_where_nothing_of_ours_rests_it_is_taken_off(rig: Rig) -> None:
    """It would take other people's orders."""
    rig.timer(1.0)
    rig.verb("activate", reason="stop", level="flatten")
    after = [effect for _ in range(8) for effect in rig.timer(1.0)]
    assert rig.engine.kill.phase == "flat"
    assert [(one.symbols, one.ms) for one in beats(after)][-1] == (("BTCUSDT",), 0)
