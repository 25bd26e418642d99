"""Strategies that think elsewhere: asked moment by moment, answered by events, and no danger to anybody while they are lost.

The host is the child's own `step`, called here in this process with everything through JSON, as on the socket.
"""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import tiny_grid
from rig import MINUTE, REGISTRY, START, Rig, check, config_of, instrument_table

from hedgegridd.heart.build import build
from hedgegridd.heart.effects import Ask, Write
from hedgegridd.heart.remote import MOST_WAITING, RemoteDesk, shared
from hedgegridd.live.pluginchild import step
from hedgegridd.model import Answer, Bar, Gap, Market, Missed, Moment, PluginChanged, Role, Warmup

CALM = {"funding": {"enabled": False}, "drawdown": {"max_drawdown_pct": 50.0}, "daily_loss": {"max_daily_loss_pct": 50.0}}
WAVES = [500_000 + int(6000 * math.sin(i / 9) + 1500 * math.sin(i / 3)) for i in range(400)]
FLAT = [500_000] * 8


class Far(Rig):
    """A rig whose strategy is foreign: `think` answers its questions one by one, `mute` leaves them open."""

    def __init__(self, name: str = "tiny", thing: Any = None, **options: Any) -> None:
        table = instrument_table("BTCUSDT") | {"strategy": name}
        if thing is None:
            table["params"] = {}
        super().__init__(config_of(instrument=[table], breaker=CALM), **options)
        self.thing, self.name = thing or tiny_grid.Tiny(), name
        self.mute, self.answered = False, 0

    def load(self, version: str = "a") -> Far:
        """Its file's host said hello."""
        self.take(PluginChanged(self.engine.now, f"/p/{self.name}.py", version * 64, "strategy", (self.name,), "loaded", ""))
        return self

    @property
    def steps(self) -> list[Ask]:
        return [ask for ask in self.asked if ask.kind == "step"]

    def take(self, event: Any) -> list[Any]:
        effects = super().take(event)
        while not self.mute and self.answered < len(self.steps):
            effects += self.think()
        return effects

    def think(self, **instead: Any) -> list[Any]:
        """Answer the oldest open question, or say something else instead."""
        ask = self.steps[self.answered]
        self.answered += 1
        value = instead or step(self.thing, json.loads(json.dumps(ask.payload)))
        return super().take(Answer(self.engine.now, ask.host, ask.seq, json.loads(json.dumps(value))))

    def silence(self, why: str = "no answer within 1 s") -> list[Any]:
        """The oldest open question is missed."""
        ask = self.steps[self.answered]
        self.answered += 1
        return super().take(Missed(self.engine.now, ask.host, ask.seq, why))

    @property
    def open(self) -> int:
        return len(self.steps) - self.answered

    @property
    def asked_of(self) -> list[int | None]:
        """The moments asked about, in order; None = the state alone."""
        return [None if ask.payload["market"] is None else ask.payload["market"][1] for ask in self.steps]


def trading(**options: Any) -> Far:
    """A tiny grid, warm, with its four entries resting."""
    rig = Far(**options).start().load()  # type: ignore[attr-defined]
    rig.bars(FLAT)
    assert len(rig.resting(Role.ENTRY)) == 4
    return rig


def fall(rig: Rig, to: int) -> None:
    """One bar down through a price."""
    rig.bars([to], reach=0)


def fills(rig: Rig) -> list[tuple[Any, ...]]:
    return [tuple(row[key] for key in ("t", "leg", "side", "role", "price", "qty")) for row in rig.of("fill")]


# --- thinking -----------------------------------------------------------------------------------------------------------


def test_the_same_strategy_trades_the_same_near_and_far() -> None:
    near, far = Rig(config_of(breaker=CALM)).start(), Far("grid_elsewhere", REGISTRY.strategies["hedge_grid"].thing).start().load()  # type: ignore[attr-defined]
    near.bars(WAVES)
    far.bars(WAVES)
    assert len(fills(near)) > 20
    assert fills(far) == fills(near)
    assert far.engine.account.equity == near.engine.account.equity


def test_a_desk_with_a_shipped_strategy_is_no_other_desk() -> None:
    rig = Rig()
    assert rig.engine.remotes == [] and not isinstance(rig.desk(), RemoteDesk)
    rig.start().bars(FLAT)
    assert not rig.asked


def test_moments_are_asked_about_one_at_a_time_in_order_and_no_fill_is_lost() -> None:
    rig = trading()
    rig.mute = True
    begun = len(rig.steps)
    fall(rig, 498_000)  # through the first long rung at 498 750
    rig.bars([499_000, 499_100], reach=0)
    rig.verb("throttle", factor=0.5)
    assert rig.open == 1
    while rig.open:
        rig.think()
    asked = rig.asked_of[begun:]
    assert asked.count(Moment.FILL) == 1 and asked.count(Moment.BAR) == 3 and asked[-1] == Moment.LOOK
    assert asked.index(Moment.FILL) < 2
    check(rig)


def test_what_a_fill_has_served_is_not_ordered_again_before_the_strategy_has_spoken() -> None:
    rig = trading()
    rig.mute = True
    fall(rig, 498_000)
    fall(rig, 499_500)
    assert rig.desk().held(0) == 2
    assert sum(order.price == 498_750 for order in rig.desk().orders.open.values()) == 0
    rig.mute = False
    rig.think()
    rig.timer()
    assert len(rig.resting(Role.TAKE_PROFIT)) == 1
    check(rig)


def test_an_answer_from_before_a_fill_does_not_order_its_rung_again() -> None:
    rig = trading()
    rig.mute = True
    rig.bars([500_000])  # asked about this one ...
    assert rig.open == 1
    fall(rig, 498_000)  # ... when the first rung fills
    rig.think()
    assert [order.price for order in rig.resting(Role.ENTRY) if order.leg == 0] == [497_500]
    check(rig)


def test_until_the_first_answer_nothing_opens() -> None:
    rig = Far().start()
    rig.bars(FLAT)
    assert not rig.asked and not rig.resting(Role.ENTRY)
    rig.mute = True
    rig.load()
    rig.bars([500_000])
    assert rig.asked_of == [None] and not rig.resting(Role.ENTRY)


def test_nothing_opens_before_the_bars_it_said_it_needs() -> None:
    rig = Far().start().load()
    rig.bars([500_000] * 4)
    assert not rig.desk().ready and not rig.resting(Role.ENTRY)
    rig.bars([500_000])
    assert rig.desk().ready and len(rig.resting(Role.ENTRY)) == 4


def test_history_warms_it_up() -> None:
    rig = Far().start().load()
    past = tuple(Bar("BTCUSDT", START - (9 - i) * MINUTE, *[500_000] * 4, 1, MINUTE) for i in range(8))
    rig.take(Warmup("BTCUSDT", past[-1].time, past))
    assert rig.desk().ready
    assert rig.desk().strategy.warmup_bars(None) == 5


def test_a_gap_makes_it_learn_again() -> None:
    rig = trading()
    rig.take(Gap("BTCUSDT", rig.engine.now + 1, rig.engine.now))
    assert not rig.desk().ready and not rig.resting(Role.ENTRY)
    rig.bars(FLAT)
    assert rig.desk().ready and len(rig.resting(Role.ENTRY)) == 4


def test_its_first_fill_is_protected_at_once_and_pages_nobody() -> None:
    rig = trading()
    rig.mute = True
    fall(rig, 498_000)
    assert len(rig.of("emergency_stop")) == 1
    while rig.open:
        rig.think()
    assert not [alert for alert in rig.alerts if alert.rule == "emergency_stop_placed"]
    stops = rig.resting(Role.STOP)
    assert len(stops) == 1 and stops[0].price == round(498_750 * (1 - 3 * 0.0025))


# --- lost ---------------------------------------------------------------------------------------------------------------


def held(rig: Far) -> Far:
    """With a long position, its take-profit and its stop."""
    fall(rig, 498_000)
    assert rig.desk().held(0) == 2 and rig.resting(Role.TAKE_PROFIT) and rig.resting(Role.STOP)
    return rig


def test_a_lost_strategy_opens_nothing_and_closes_as_before() -> None:
    rig = held(trading())
    closers = {order.client_id for order in rig.resting(Role.TAKE_PROFIT) + rig.resting(Role.STOP)}
    rig.mute = True
    rig.bars([498_100], reach=0)
    rig.silence()
    assert not rig.resting(Role.ENTRY)
    assert {order.client_id for order in rig.desk().orders.open.values()} == closers
    assert "no answer within 1 s" in rig.desk().guarded
    assert any("no answer within 1 s" in why for *_, why in rig.desk().withheld)
    fall(rig, 499_996)
    rig.bars([500_100])  # through the take-profit
    assert rig.desk().held(0) == 0 and not rig.desk().orders.open
    check(rig)


def test_it_is_asked_again_as_time_passes_and_goes_on_where_it_was() -> None:
    rig = held(trading())
    rig.mute = True
    rig.bars([498_100], reach=0)
    rig.silence()
    before = len(rig.steps)
    rig.bars([498_200, 498_300], reach=0)
    assert len(rig.steps) == before
    rig.mute = False
    rig.timer()
    assert not rig.desk().guarded and not rig.desk().strategy.waiting
    assert rig.asked_of[before:] == [Moment.BAR] * 3
    assert rig.resting(Role.ENTRY)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"error": "ZeroDivisionError: division by zero (line 9)"}, "line 9"),
        ({"nothing": 1}, "warmup_bars"),
        ({"state": ["x"]}, "numbers"),
        ({"state": {"a": 1}}, "numbers"),
        ({"state": None}, "numbers"),
        ({"wish": [[0, 0, 0, 1]]}, "wish"),
        ({"wish": [[0, 3, 5, 1]]}, "wish"),
        ({"wish": [[2, 0, 5, 1]]}, "wish"),
        ({"wish": [[0, 0, 10**400, 1]]}, "wish"),
        ({"wish": [[0, 0, 5.5, 1]]}, "wish"),
        ({"wish": [[0, 0, 5]]}, "unpack"),
        ({"wish": [[0, 0, 5, 1], [0, 0, 5, 2]]}, "two rows"),
        ({"wish": [[0, 0, i + 1, 1] for i in range(600)]}, "rows"),
        ({"wish": 7}, "TypeError"),
        ({"warmup_bars": -1}, "warmup_bars"),
        ({"warmup_bars": 10**9}, "warmup_bars"),
        ({"describe": [1]}, "AttributeError"),
        ({"describe": {"regime": "up"}}, "TypeError"),
    ],
)
def test_nonsense_is_as_good_as_no_answer(said: dict[str, Any], words: str) -> None:
    rig = trading()
    rig.mute = True
    rig.bars([500_100])
    good = step(rig.thing, json.loads(json.dumps(rig.steps[-1].payload)))
    rig.think(**(said if "nothing" in said else {**good, **said}))
    assert words in rig.desk().guarded
    assert not rig.resting(Role.ENTRY)
    rig.mute = False
    rig.timer()
    assert not rig.desk().guarded and len(rig.resting(Role.ENTRY)) == 4


def test_a_state_deeper_than_any_is_refused_without_harm() -> None:
    rig = trading()
    rig.mute = True
    rig.bars([500_100])
    deep: list[Any] = []
    for _ in range(400):
        deep = [deep]
    rig.think(state=deep, wish=[], warmup_bars=0, describe={})
    assert "deep" in rig.desk().guarded


def test_figures_for_people_that_are_none_do_not_spread() -> None:
    rig = trading()
    rig.mute = True
    rig.bars([500_100])
    good = step(rig.thing, json.loads(json.dumps(rig.steps[-1].payload)))
    rig.think(**{**good, "describe": {"ready": 1, "regime": 7, "center": None, "strength": float("inf"), "else": 1}})
    seen = rig.desk().strategy.describe(None, None)
    assert (seen["regime"], seen["center"], seen["strength"], seen["ready"]) == (0.0, 0.0, 0.0, 1.0)
    assert math.isnan(seen["change_24h_pct"])


def test_kill_and_flatten_need_no_strategy() -> None:
    rig = held(trading())
    rig.mute = True
    rig.bars([498_100], reach=0)
    rig.silence()
    rig.verb("activate", reason="test", level="flatten")
    for _ in range(5):
        rig.timer()
    assert rig.desk().held(0) == 0 and not rig.desk().orders.open
    assert rig.engine.kill.phase == "flat"


def test_a_position_without_a_stop_is_protected_though_the_strategy_is_lost() -> None:
    rig = trading()
    rig.mute = True
    rig.bars([500_000])
    rig.silence()
    rig.load("b")
    rig.think()  # it is back ...
    fall(rig, 498_000)  # ... and lost again as its rung fills
    rig.silence()
    assert rig.desk().held(0) == 2
    assert len(rig.resting(Role.STOP)) == 1
    rig.bars([498_200] * 5, reach=0)
    assert len(rig.resting(Role.STOP)) == 1 and len(rig.of("emergency_stop")) == 1
    check(rig)


def test_one_that_nobody_brings_is_told_after_a_while() -> None:
    rig = Far().start()
    rig.bars(FLAT)
    rig.timer(5)
    assert not rig.desk().guarded
    rig.timer(6)
    assert "no plugin file that registers it is loaded" in rig.desk().guarded
    rig.load()
    assert not rig.desk().guarded and rig.resting(Role.ENTRY)


def test_what_it_missed_for_too_long_is_a_hole_and_fills_are_kept() -> None:
    rig = trading()
    rig.mute = True
    rig.bars([500_000])
    fall(rig, 498_000)
    rig.silence()
    rig.bars([498_100] * (MOST_WAITING + 5), reach=0)
    waiting = [market.moment for market in rig.desk().strategy.waiting]
    assert len(waiting) <= MOST_WAITING
    assert waiting.count(Moment.FILL) == 1 and waiting.count(Moment.RESET) == 1
    rig.mute = False
    rig.timer()
    rig.bars([498_100] * 6, reach=0)
    assert rig.desk().ready and rig.desk().held(0) == 2 and not rig.desk().guarded


# --- versions -----------------------------------------------------------------------------------------------------------


class Other(tiny_grid.Tiny):
    """The next version, with another state."""

    class State(tiny_grid.NamedTuple):  # type: ignore[misc]
        bars: int

    def initial(self, params: Any) -> Any:
        return self.State(0)

    def step(self, params: Any, state: Any, market: Market, wish: Any) -> Any:
        wish.count[0] = 0
        return self.State(state.bars + 1)

    def describe(self, params: Any, state: Any) -> dict[str, float]:
        return {"ready": 1.0}


def test_an_edited_file_takes_over_and_the_old_ones_answer_is_dropped() -> None:
    rig = trading()
    rig.mute = True
    rig.bars([500_100])
    old = rig.steps[-1]
    rig.answered = len(rig.steps)
    rig.load("b")
    assert rig.steps[-1].host == f"/p/tiny.py@{'b' * 12}" and rig.steps[-1].payload["market"] == old.payload["market"]
    rig.take(Missed(rig.engine.now, old.host, old.seq, "the host was stopped"))
    assert not rig.desk().guarded
    rig.think()
    assert len(rig.resting(Role.ENTRY)) == 4 and not rig.desk().strategy.waiting


def test_a_version_that_cannot_read_the_old_state_begins_anew() -> None:
    rig = trading()
    rig.thing = Other()
    rig.load("b")
    rig.bars([500_100])
    assert rig.desk().state == [1] and not rig.desk().guarded
    assert any("begins anew" in row["reason"] for row in rig.of("guarded"))


# --- the past -----------------------------------------------------------------------------------------------------------


def replayed(rig: Far, inputs: list[Any], checkpoint: dict[str, Any] | None = None) -> tuple[Any, list[Write]]:
    """A new heart, given the same inputs."""
    engine = build(rig.config, REGISTRY, carries=rig.carries, cadence_ms=rig.cadence_ms)
    if checkpoint is not None:
        engine.load(json.loads(json.dumps(checkpoint, allow_nan=False)))
    acts: list[Write] = []
    for event in inputs:
        acts += [effect for effect in engine.handle(event) if isinstance(effect, Write)]
    return engine, acts


def test_a_run_is_replayed_exactly_from_its_inputs() -> None:
    rig = Far().start().load()
    rig.bars(WAVES[:150])
    rig.mute = True
    rig.bars(WAVES[150:153])
    rig.silence()
    rig.mute = False
    rig.timer()
    rig.bars(WAVES[153:250])
    assert len(rig.of("fill")) > 10
    engine, acts = replayed(rig, rig.inputs)
    assert acts == rig.acts
    assert engine.dump() == rig.engine.dump()


@pytest.mark.parametrize("waiting", [0, 1, 4])
def test_a_checkpoint_with_a_question_under_way_loses_nothing(waiting: int) -> None:
    rig = Far().start().load()
    rig.bars(WAVES[:120])
    rig.mute = True
    rig.bars(WAVES[120 : 120 + waiting])
    checkpoint, since, told = json.loads(json.dumps(rig.engine.dump(), allow_nan=False)), len(rig.inputs), len(rig.acts)
    rig.mute = False
    rig.timer()
    rig.bars(WAVES[120 + waiting : 250])
    engine, acts = replayed(rig, rig.inputs[since:], checkpoint)
    assert acts == rig.acts[told:]
    assert engine.decisions.hash == rig.engine.decisions.hash


def test_after_a_restart_nothing_opens_until_it_answers_and_closers_stay() -> None:
    rig = held(trading())
    closers = {order.client_id for order in rig.resting(Role.TAKE_PROFIT) + rig.resting(Role.STOP)}
    rig.mute = True
    rig.bars([498_100], reach=0)  # a question is out when the process dies
    again = Far()
    again.engine.load(json.loads(json.dumps(rig.engine.dump(), allow_nan=False)))
    from hedgegridd.live.memory import account_of, last_seen

    again.exchange.restore(account_of(again.engine), last_seen(again.engine))
    again.start(time=again.engine.now)
    assert {order.client_id for order in again.desk().orders.open.values()} == closers
    assert not again.asked
    again.load()
    assert again.asked_of == [None, Moment.BAR]
    assert again.resting(Role.ENTRY) and closers <= set(again.desk().orders.open)
    again.bars(WAVES[:60])
    check(again)


def test_settings_that_are_the_engines_are_read_here() -> None:
    table = {"grid": {"step": 1}, "execution": {"price_tolerance_bps": 2, "post_only": True}, "risk_management": {"max_drawdown_pct": 3}}
    settings, problems = shared(table, "instrument[0].params")
    assert not problems
    assert settings.execution.price_tolerance_bps == 2.0 and settings.position is None
    assert settings.risk_management is not None and settings.risk_management.max_drawdown_pct == 3.0
    _, problems = shared({"position": {"max_position_pct": "x"}}, "instrument[0].params")
    assert [problem.path for problem in problems] == ["instrument[0].params.position.max_position_pct"]


def test_sections_of_the_engine_reach_only_a_strategy_that_declares_them() -> None:
    rig = Far()
    payload = {"settings": {"grid": {"qty": 0.004}, "execution": {}}, "shared": ["execution"], "state": None, "market": None}
    instrument = rig.desk().strategy.ask("h", 1, None).payload["instrument"]
    assert "error" not in step(tiny_grid.Tiny(), payload | {"instrument": instrument})
