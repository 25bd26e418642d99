"""Attacks on the kill path: races with the disk, odd words from hosts and people, refusals, faults. The heart must end shut, never open."""

from __future__ import annotations

import json
import math
import random
from collections import deque
from typing import Any

import pytest
from rig import MINUTE, REGISTRY, START, Rig, check, config_of, steady

from hedgegridd.heart.breakers import Guard, heard, judge
from hedgegridd.heart.build import build
from hedgegridd.heart.effects import Reply
from hedgegridd.heart.engine import Engine
from hedgegridd.heart.snapshot import picture
from hedgegridd.live.memory import account_of, last_seen
from hedgegridd.model import (
    Answer,
    DiskFailed,
    Durable,
    Fill,
    Funding,
    FundingPaid,
    Held,
    KillFile,
    Leg,
    Level,
    Missed,
    OrderState,
    PluginChanged,
    Rejected,
    Report,
    Role,
    Stopping,
    Timer,
)
from hedgegridd.views import Measure, Snapshot, Trip


class SlowDisk(Rig):
    """A disk that answers only when it is told to: what lies between an event and its durability can be attacked."""

    slow = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.syncs: deque[Any] = deque()
        self.twin: Engine | None = None

    def _sync(self, effect: Any) -> None:
        if self.slow:
            self.syncs.append(effect)
        else:
            super()._sync(effect)

    def _handle(self, event: Any) -> list[Any]:
        effects = super()._handle(event)
        if self.twin is not None:
            again = [effect for effect in self.twin.handle(self.inputs[-1]) if not isinstance(effect, Reply)]
            made = [effect for effect in effects if not isinstance(effect, Reply)]
            assert again == made, f"a heart from a checkpoint does otherwise: {event}"
        return effects

    def checkpoint(self) -> None:
        """From here on a second heart, begun from this checkpoint as a replay does it, must do the same."""
        self.twin = build(self.config, REGISTRY, carries=self.carries, cadence_ms=self.cadence_ms)
        self.twin.load(json.loads(json.dumps(self.engine.dump())))

    def settle(self, failure: str = "") -> None:
        """The disk did the oldest thing asked of it, or failed at it."""
        effect = self.syncs.popleft()
        if failure:
            self.take(DiskFailed(self.engine.now, effect.mark, failure))
            return
        if effect.latch is not None:
            self.latch = effect.latch
        self.take(Durable(self.engine.now, effect.mark))


def openers(rig: Rig) -> list[Any]:
    return [order for order in rig.sent if order.role == Role.ENTRY]


def halted() -> SlowDisk:
    """A grid that was stopped at halt and has nothing left to do."""
    rig = steady(SlowDisk().start())
    reply = rig.verb("activate", reason="drill", level="halt")
    assert reply is not None and reply.result is not None and rig.engine.kill.phase == "idle"
    rig.slow = True
    return rig


def holding(**tables: Any) -> SlowDisk:
    """A grid that holds a long leg, its stop resting."""
    rig = steady(SlowDisk(config_of(**tables) if tables else None).start())
    rig.market(Funding("BTCUSDT", rig.engine.now + 1, 0.0, 28_800_000))
    price = rig.desk().bar.close
    for _ in range(30):
        price -= 800
        rig.bars([price])
        if rig.desk().held(Leg.LONG):
            break
    assert rig.desk().held(Leg.LONG) and rig.resting(Role.STOP)
    return rig


# --- a deactivation and what comes in its way -----------------------------------------------------------------------------


def test_a_kill_file_written_while_the_switch_is_let_go_wins() -> None:
    rig = halted()
    assert rig.verb("deactivate", reason="all fine") is None
    rig.take(KillFile(rig.engine.now, True, "halt", "another hand"))
    while rig.syncs:
        rig.settle()
    reply = rig.replies[rig.ticket]
    assert rig.engine.kill.active and rig.latch is not None and rig.latch["active"]
    assert reply.result is None and "another hand" in reply.refusal


def test_an_unreadable_file_while_the_switch_is_let_go_wins() -> None:
    rig = halted()
    rig.verb("deactivate", reason="all fine")
    rig.take(KillFile(rig.engine.now, None))
    while rig.syncs:
        rig.settle()
    assert rig.engine.kill.active and rig.latch is not None and rig.latch["active"] and rig.replies[rig.ticket].result is None


def test_the_same_reason_again_while_the_switch_is_let_go_wins() -> None:
    rig = halted()
    rig.verb("deactivate", reason="all fine")
    let_go = rig.ticket
    rig.verb("activate", reason="drill", level="halt")
    while rig.syncs:
        rig.settle()
    assert rig.engine.kill.active and rig.latch is not None and rig.latch["active"]
    assert rig.replies[let_go].result is None
    assert rig.replies[rig.ticket].result is not None and rig.replies[rig.ticket].result["active"]  # type: ignore[index]


def test_a_deactivation_that_the_disk_refuses_is_refused() -> None:
    rig = halted()
    rig.verb("deactivate", reason="all fine")
    rig.settle("no space left")
    reply = rig.replies[rig.ticket]
    assert rig.engine.kill.active
    assert reply.result is None and "no space left" in reply.refusal
    assert rig.of("kill")[-1]["active"], "the journal's last word on the kill switch must not be a release that never was"
    rig.slow = False
    while rig.syncs:
        rig.settle()
    rig.timer(2)
    assert rig.latch is not None and rig.latch["active"]


def test_nothing_writes_an_engaged_file_over_a_release() -> None:
    rig = halted()
    rig.engine.gate.storage_failed = "an earlier failure"
    rig.verb("deactivate", reason="all fine")
    rig.timer(5)
    while rig.syncs:
        rig.settle()
    assert rig.latch is not None and rig.engine.kill.active == rig.latch["active"]


def test_durable_is_said_of_the_sync_that_covers_the_kill() -> None:
    rig = steady(SlowDisk().start())
    rig.slow = True
    rig.bars([497_000])  # openers wait for the disk
    waiting = len(rig.syncs)
    rig.verb("activate", reason="drill")
    for _ in range(waiting):
        rig.settle()
    if waiting:
        assert not rig.engine.kill.durable
    while rig.syncs:
        rig.settle()
    assert rig.engine.kill.durable


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("pause", {}),
        ("throttle", {"factor": 0.5}),
        ("breakers.disarm", {"name": "drawdown", "reason": "r"}),
        ("confirm", {}),
        ("flatten", {"reason": "r"}),
    ],
)
def test_no_verb_is_acknowledged_before_the_disk_has_it(name: str, params: dict[str, Any]) -> None:
    rig = steady(SlowDisk().start())
    rig.slow = True
    assert rig.verb(name, **params) is None
    rig.settle("no space left")
    reply = rig.replies[rig.ticket].result
    assert reply is not None and not reply["durable"] and "NOT durable" in reply["warning"], "done, and said so"
    rig.verb(name, **params)
    while rig.syncs:
        rig.settle()
    again = rig.replies[rig.ticket].result
    assert again is not None and "warning" not in again


def test_openers_that_wait_for_the_disk_die_with_the_kill() -> None:
    rig = SlowDisk().start()
    rig.slow = False
    rig.bars([500_000 + (i % 3) * 10 for i in range(20)])
    rig.slow = True
    rig.bars([500_000 + (i % 3) * 10 for i in range(40)])
    assert rig.syncs and any(order.state == OrderState.PENDING for order in rig.resting(Role.ENTRY))
    before = len(openers(rig))
    rig.verb("activate", reason="drill", level="halt")
    assert not [order for order in rig.resting(Role.ENTRY) if order.state == OrderState.PENDING]
    while rig.syncs:
        rig.settle()
    assert len(openers(rig)) == before and rig.engine.kill.phase == "idle"


def test_a_stop_ends_though_the_disk_holds_openers_back() -> None:
    rig = SlowDisk().start()
    rig.bars([500_000 + (i % 3) * 10 for i in range(20)])
    rig.slow = True
    rig.bars([500_000 + (i % 3) * 10 for i in range(40)])
    assert rig.syncs
    rig.take(Stopping(rig.engine.now, False, "SIGTERM"))
    assert rig.finished is not None


# --- legs without a stop --------------------------------------------------------------------------------------------------


class Refusing:
    """An exchange that refuses some orders, behind which is the real one."""

    def __init__(self, rig: Rig, refuse: Any, code: int) -> None:
        self.inner, self.refuse, self.code, self.rig, self.seen = rig.exchange, refuse, code, rig, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def place(self, orders: Any) -> None:
        for order in orders:
            if self.refuse(order):
                self.seen += 1
                assert self.seen < 50, "a storm of orders"
                self.rig.inbox.append(Rejected(order.client_id, self.rig.engine.now, self.code, "no"))
            else:
                self.inner.place((order,))


def bare(rig: Rig) -> None:
    """Another hand withdraws every stop."""
    rig.exchange.cancel(rig.resting(Role.STOP))


def test_a_leg_whose_stops_are_refused_is_closed() -> None:
    rig = holding()
    rig.exchange = Refusing(rig, lambda order: order.role == Role.STOP, -4120)
    bare(rig)
    for _ in range(10):
        rig.timer(1)
    assert not rig.desk().held(Leg.LONG), "a leg that nobody will protect must be closed"
    assert rig.exchange.seen < 12
    check(rig)


def test_a_close_that_is_refused_is_no_storm() -> None:
    rig = holding()
    rig.exchange = Refusing(rig, lambda order: order.role in (Role.STOP, Role.CLOSE), -4131)
    bare(rig)
    for _ in range(5):
        rig.timer(1)
    assert rig.exchange.seen < 20


def test_a_rescue_closes_in_pieces_that_the_exchange_takes() -> None:
    rig = holding()
    desk = rig.desk()
    most = max(1, desk.held(Leg.LONG) // 3)
    desk.instrument = desk.instrument._replace(market_max_qty=most)
    pit = rig.exchange.pits["BTCUSDT"]
    pit.terms = pit.terms._replace(instrument=desk.instrument)
    rig.exchange = Refusing(rig, lambda order: order.role == Role.STOP, -2021)
    bare(rig)
    rig.timer(1)
    assert not desk.held(Leg.LONG)
    assert all(order.qty <= most for order in rig.sent if order.role == Role.CLOSE)


def test_no_more_is_closed_than_is_held() -> None:
    """A stop is refused as triggered while a flatten's close is on its way."""
    rig = holding()
    desk = rig.desk()
    held = desk.held(Leg.LONG)
    stop = rig.resting(Role.STOP)[0]
    quiet = Refusing(rig, lambda order: False, 0)
    silent = {name: lambda self, *asked: None for name in ("place", "cancel", "report")}
    quiet.inner = type("Deaf", (), silent)()
    rig.exchange = quiet
    rig.verb("activate", reason="drill")
    rig.take(Rejected(stop.client_id, rig.engine.now, -2021, "would trigger"))
    desk.orders.open.pop(stop.client_id, None)
    asked = sum(order.qty for order in rig.sent if order.role == Role.CLOSE and order.leg == Leg.LONG)
    assert asked == held


# --- words that make no sense -----------------------------------------------------------------------------------------------

NONSENSE: list[Any] = [
    {"measure": ["x", 5.0, "bps", ""]},
    {"measure": [None, 5.0, "bps", ""]},
    {"measure": [1.0, "y", "bps", ""]},
    {"measure": [math.nan, 5.0, "bps", ""]},
    {"measure": [True, 5.0, "bps", ""]},
    {"measure": {"value": 1}},
    {"measure": [[1], [2], 3, 4]},
    {"trip": ["bad", "1.0", 5.0, None]},
    {"trip": ["bad", 1.0, {"a": 1}, 3]},
    {"trip": ["bad", 1.0, 5.0, 9]},
    {"trip": ["bad", 1.0, 5.0, "halt"]},
    {"trip": "halt"},
    {"trip": 5},
    {"error": ["x"]},
    [],
    None,
    "fine",
    7,
]


@pytest.mark.parametrize("said", NONSENSE, ids=repr)
def test_a_host_that_talks_nonsense_costs_nothing_but_itself(said: Any) -> None:
    rig = steady(Rig().start())
    sha = "a" * 64
    rig.take(PluginChanged(rig.engine.now, "/p/breaker_x.py", sha, "breaker", ("x",), "loaded", "", ("flatten",), ()))
    value = {"trip": None, "measure": None, "unknown": "", "error": "", **said} if isinstance(said, dict) else said
    ask = rig.asked[-1]
    rig.take(Answer(rig.engine.now, ask.host, ask.seq, value))
    guard = rig.engine.panel.guards["x"]
    assert guard.state != "armed", guard
    guard.row()
    rig.bars([500_000])
    assert not rig.engine.kill.active


def snapshot(rig: Rig) -> Snapshot:
    return picture(rig.engine)


class Says:
    """A breaker that measures what it was given."""

    name, on_trip = "says", "halt"

    def __init__(self, value: Any) -> None:
        self.value = value

    def measure(self, _: Snapshot) -> Any:
        return self.value


def test_not_a_number_is_unknown_never_fine() -> None:
    verdict = judge(Says(Measure(math.nan, 5.0, "%")), snapshot(Rig().start()))
    assert verdict.unknown or verdict.error
    assert judge(Says(Measure("1", 5.0, "%")), snapshot(Rig().start())).error  # type: ignore[arg-type]
    assert heard({"trip": None, "measure": [math.nan, 5.0, "%", ""], "unknown": "", "error": ""}).trip is None
    assert judge(Says(Measure(math.inf, 5.0, "%")), snapshot(Rig().start())).trip is not None


@pytest.mark.parametrize("level", ["halt", 7, [3], math.nan, {}])
def test_a_trip_counts_whatever_its_level(level: Any) -> None:
    class Trips:
        name, on_trip = "trips", "halt"

        def check(self, snapshot: Snapshot) -> Trip:
            return Trip("bad", None, None, level)

    rig = steady(Rig().start())
    rig.engine.panel.add(Guard("trips", "breaker_trips.py", Trips(), "s", on_trip=Level.HALT))
    rig.timer(1)
    assert rig.engine.kill.active and rig.engine.kill.level == Level.HALT


class Broken:
    name, on_trip = "broken", "warn"

    def check(self, snapshot: Snapshot) -> Trip | None:
        raise ZeroDivisionError("our own fault")


def test_a_shipped_breaker_that_raises_is_blind_not_content() -> None:
    """Pain 11: the kill switch itself threw and trading went on."""
    rig = steady(Rig().start())
    rig.engine.panel.add(Guard("broken", "breaker_broken.py", Broken(), "s", grace_ms=30_000))
    rig.timer(1)
    assert "broken" in rig.engine.gate.hold()
    rig.timer(40)
    assert rig.engine.kill.active and rig.engine.kill.source == "breaker.broken"


ODD: list[tuple[str, dict[str, Any]]] = [
    ("activate", {"reason": 5, "level": 7}),
    ("activate", {"reason": "x", "level": ["halt"]}),
    ("activate", {}),
    ("activate", {"reason": "   "}),
    ("flatten", {"reason": "r", "symbol": ["BTCUSDT"]}),
    ("flatten", {"reason": "r", "symbol": {"a": 1}}),
    ("flatten", {"reason": "r", "leg": ["long"]}),
    ("flatten", {"leg": "long"}),
    ("throttle", {"factor": math.nan}),
    ("throttle", {"factor": "1"}),
    ("throttle", {"factor": True}),
    ("throttle", {"factor": 0.5, "symbol": 3}),
    ("pause", {"leg": "sideways"}),
    ("resume", {"symbol": "x" * 100_000}),
    ("breakers.arm", {"name": ["drawdown"], "reason": "r"}),
    ("breakers.reset", {"name": None, "reason": "r"}),
    ("breakers.disarm", {"name": "drawdown"}),
    ("deactivate", {"reason": {}}),
    ("no.such.verb", {}),
]


@pytest.mark.parametrize(("name", "params"), ODD, ids=repr)
def test_an_odd_verb_is_refused(name: str, params: dict[str, Any]) -> None:
    rig = steady(Rig().start())
    reply = rig.verb(name, **params)
    assert isinstance(reply, Reply) and reply.result is None and reply.refusal
    assert not rig.engine.kill.active and not rig.engine.active()


# --- limits and numbers that are none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["equity", "mark"])
def test_the_gate_lets_nothing_through_on_numbers_that_are_none(field: str) -> None:
    rig = holding()
    desk, gate = rig.desk(), rig.engine.gate
    assert not gate.refuse(desk, Leg.SHORT, desk.bar.close + 50_000, 2)
    if field == "equity":
        rig.engine.account.mark("BTCUSDT", math.nan, 0.0)
    else:
        desk.mark = math.nan
    assert gate.refuse(desk, Leg.LONG, desk.bar.close - 50_000, 2)


# --- faults ------------------------------------------------------------------------------------------------------------------


def test_a_strategy_that_fails_stops_its_symbol_and_keeps_its_stops() -> None:
    rig = holding()
    desk = rig.desk()
    real = desk.strategy

    class Faulty:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def step(self, params: Any, state: Any, market: Any, wish: Any) -> Any:
            wish.count[0] = 0
            raise ValueError("cannot convert float NaN to integer")

    stops, profits = rig.resting(Role.STOP), rig.resting(Role.TAKE_PROFIT)
    desk.strategy = Faulty()
    rig.bars([desk.bar.close])
    assert desk.halted and "NaN" in desk.halted
    assert not rig.resting(Role.ENTRY)
    assert [o.client_id for o in rig.resting(Role.STOP)] == [o.client_id for o in stops]
    assert [o.client_id for o in rig.resting(Role.TAKE_PROFIT)] == [o.client_id for o in profits]
    assert any(alert.rule == "system_error" for alert in rig.alerts)
    told = len(rig.alerts)
    rig.bars([desk.bar.close] * 3)
    assert len(rig.alerts) == told, "told once"
    desk.strategy = real
    rig.verb("resume")
    rig.bars([desk.bar.close + (i % 3) * 10 for i in range(60)])
    assert not desk.halted and rig.resting(Role.ENTRY) and rig.resting(Role.STOP)
    check(rig)


def test_a_fill_of_a_symbol_we_do_not_trade_is_told_not_fatal() -> None:
    rig = steady(Rig().start())
    rig.take(Fill("DOGEUSDT", rig.engine.now, 0, 1, 10, 5, 0.0, False, "", "1", "t1"))
    rig.take(FundingPaid("DOGEUSDT", rig.engine.now, 0, 1.0))
    assert any("DOGEUSDT" in alert.text for alert in rig.alerts)


def test_a_leg_is_never_less_than_nothing() -> None:
    """A closing fill whose opening one was never heard of: no profit is made of it."""
    rig = steady(Rig().start())
    equity = rig.engine.account.equity
    rig.take(Fill("BTCUSDT", rig.engine.now, 0, -1, 500_000, 5, 0.0, False, "", "1", "t1"))
    assert rig.desk().held(Leg.LONG) == 0 and rig.desk().halted
    assert rig.engine.account.equity == equity
    check(rig)


def test_a_loss_that_vanishes_with_its_leg_stays_a_loss() -> None:
    """Another hand closed it, and only the report says so."""
    rig = holding()
    rig.bars([rig.desk().bar.close - 2_000])
    desk, equity = rig.desk(), rig.engine.account.equity
    assert desk.held(Leg.LONG) and desk.unrealized() < 0
    rig.take(Report(rig.engine.now, 0.0, (), tuple(desk.orders.open.values())))
    assert not desk.held(Leg.LONG) and desk.halted
    assert abs(rig.engine.account.equity - equity) < 1e-6


def test_live_on_a_new_journal_with_a_position_is_halted() -> None:
    rig = Rig(config_of(mode="live", limits={"equity_usdt": 10_000.0}))
    rig.exchange.report = lambda doubted, now: rig.inbox.append(Report(START, 10_000.0, (Held("BTCUSDT", 0, 5, 500_000.0),), ()))
    rig.start()
    assert rig.engine.kill.active and rig.engine.kill.level == Level.HALT and rig.engine.kill.source == "start"
    assert any(order.role == Role.STOP and order.leg == Leg.LONG for order in rig.sent), "and looked after"


# --- baselines ---------------------------------------------------------------------------------------------------------------


def test_resetting_the_drawdown_leaves_the_session_s_loss_alone() -> None:
    rig = steady(Rig().start())
    account = rig.engine.account
    account.mark("BTCUSDT", 500.0, 0.0)
    account.mark("BTCUSDT", -300.0, 0.0)
    start = account.session.start
    rig.verb("breakers.reset", name="drawdown", reason="tested")
    assert account.session.start == start and account.session.peak == account.equity
    rig.verb("breakers.reset", name="session_loss", reason="tested")
    assert account.session.start == account.equity


def test_the_operator_s_switch_works_again_after_a_deactivation() -> None:
    rig = steady(Rig(config_of(dead_mans_switch={"enabled": True, "timeout_minutes": 10, "warning_minutes": 2})).start())
    rig.timer()
    rig.timer(700)
    assert rig.engine.kill.active and rig.engine.kill.source == "dead_mans_switch"
    rig.bars([500_000] * 3)
    reply = rig.verb("deactivate", reason="I am here")
    assert reply is not None and reply.result is not None, reply
    rig.timer(700)
    assert rig.engine.kill.active, "it acts every time, not once in a life"


# --- configuration and state ------------------------------------------------------------------------------------------------


def test_what_the_configuration_disarmed_it_may_arm_again() -> None:
    rig = steady(Rig(config_of(breaker={"stale_data": {"enabled": False}})).start())
    assert rig.engine.panel.guards["stale_data"].state == "disarmed"
    again = build(config_of(), REGISTRY, carries=rig.carries, cadence_ms=MINUTE)
    again.take_over(rig.engine)
    assert again.panel.guards["stale_data"].state == "armed"
    back = build(rig.config, REGISTRY, carries=rig.carries, cadence_ms=MINUTE)
    back.take_over(again)
    assert back.panel.guards["stale_data"].state == "disarmed"


def test_a_person_s_disarming_outlives_configurations() -> None:
    rig = steady(Rig().start())
    rig.verb("breakers.disarm", name="drawdown", reason="I know")
    again = build(config_of(), REGISTRY, carries=rig.carries, cadence_ms=MINUTE)
    again.take_over(rig.engine)
    assert again.panel.guards["drawdown"].state == "disarmed"


def test_a_reload_keeps_the_flatten_s_reply() -> None:
    rig = holding()
    rig.exchange = Refusing(rig, lambda order: order.role == Role.CLOSE, -1008)
    assert rig.verb("flatten", reason="drill") is None
    again = build(config_of(), REGISTRY, carries=rig.carries, cadence_ms=MINUTE)
    again.take_over(rig.engine)
    rig.exchange, rig.engine = rig.exchange.inner, again
    for _ in range(10):
        rig.timer(1)
    assert rig.replies[rig.ticket].result is not None and rig.replies[rig.ticket].result["status"] == "flat"  # type: ignore[index]


def test_a_kill_file_s_words_are_bounded() -> None:
    rig = steady(Rig().start())
    rig.take(KillFile(rig.engine.now, True, "", "x" * 60_000))
    for i in range(200):
        rig.verb("activate", reason=f"{i} " + "y" * 900)
    assert len(json.dumps(rig.engine.kill.as_file())) < 32_000
    assert rig.engine.kill.reason.startswith("xxx")


def test_started_twice_is_one_flatten() -> None:
    rig = holding()
    rig.exchange = Refusing(rig, lambda order: order.role == Role.CLOSE, -1008)
    rig.verb("activate", reason="drill")
    again = rig.restarted(file=KillFile(START, True, "flatten", "drill"))
    assert len([f for f in again.engine.flattens if f.by_kill]) == 1 and not again.engine.held_legs()


# --- a storm -----------------------------------------------------------------------------------------------------------------


class Storm:
    """People, hands on the file, a slow and failing disk, deaths of the process and of the machine, in any order.

    What must hold: no opener leaves while the switch is active; what was acknowledged as durably active is active until a
    deactivation is acknowledged, over every death; an acknowledgement says what is so.
    """

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.rig = SlowDisk().start()
        self.rig.bars([500_000 + (i % 3) * 10 for i in range(30)])
        self.rig.slow = True
        self.promised = False  # "durably active" was said, and no release since
        self.safe = (len(self.rig.inputs), len(self.rig.acts))  # on the disk for sure
        self.base = 0, ""  # where a start begins: after so many inputs, with this state
        self.asked: dict[int, bool] = {}  # ticket -> was it an activation?
        self.log: list[str] = []

    def step(self) -> None:
        name = self.draw.choices(list(STEPS), [weight for weight, _ in STEPS.values()])[0]
        self.log.append(name)
        rig, sent, was = self.rig, len(self.rig.sent), self.rig.engine.kill.active
        STEPS[name][1](self)
        if rig is self.rig:
            assert not (was and rig.engine.kill.active and any(order.role == Role.ENTRY for order in rig.sent[sent:])), "an opener left"
        self._hear()
        assert not self.promised or self.rig.engine.kill.active, "an acknowledged kill was lost"

    def _hear(self) -> None:
        for ticket in [ticket for ticket in self.asked if ticket in self.rig.replies]:
            result = self.rig.replies[ticket].result
            engaged = self.asked.pop(ticket)
            if result is not None and result.get("durable", True):
                assert result["active"] == engaged == self.rig.engine.kill.active, "an acknowledgement that is not so"
                self.promised = engaged
                assert not engaged or (self.rig.latch or {}).get("active") or self.wrote(), "said to be durable, and is not"

    def wrote(self) -> bool:
        """The journal's word that is on the disk."""
        kills = [act.data["active"] for act in self.rig.acts[: self.safe[1]] if act.kind == "kill"]
        return bool(kills and kills[-1])

    def ask(self, name: str, **params: Any) -> None:
        self.rig.verb(name, reason=self.draw.choice(("a", "b")), **params)
        self.asked[self.rig.ticket] = name == "activate"

    def settle(self, failure: str = "") -> None:
        if not self.rig.syncs:
            return
        if not failure:
            self.safe = (len(self.rig.inputs), len(self.rig.acts))
        self.rig.settle(failure)

    def hand(self, text: dict[str, Any] | None) -> None:
        """Another hand writes, spoils or removes the file; the daemon sees it."""
        self.rig.latch = text
        time = self.rig.engine.now
        file = KillFile(time, False, missing=True) if text is None else KillFile(time, text["active"], "", "by hand")
        self.rig.take(file)

    def plugin(self) -> None:
        """A foreign breaker is dropped in, or edited."""
        sha, level = self.draw.choice("abc") * 64, self.draw.choice(("pause", "halt", "flatten"))
        self.rig.take(PluginChanged(self.rig.engine.now, "/p/breaker_x.py", sha, "breaker", ("x",), "loaded", "", (level,), ()))

    def host(self) -> None:
        """Its host says something, or nothing."""
        if not self.rig.asked:
            return
        ask = self.draw.choice(self.rig.asked[-3:])
        said = self.draw.choice(
            ({}, {}, {"trip": ["bad", 2.0, 1.0, None]}, {"unknown": "stale"}, {"error": "broken"}, {"measure": [1, 2, "x", ""]})
        )
        time, whole = self.rig.engine.now, {"trip": None, "measure": None, "unknown": "", "error": "", **said}
        answer = Missed(time, ask.host, ask.seq, "dead") if self.draw.random() < 0.2 else Answer(time, ask.host, ask.seq, whole)
        self.rig.take(answer)

    def reload(self) -> None:
        """Other settings, between two events."""
        rig = self.rig
        if rig.syncs or rig.inbox:
            return
        breaker = self.draw.choice(({}, {"stale_data": {"enabled": False}}, {"x": {"on_trip": "warn"}}))
        again = build(config_of(breaker=breaker), REGISTRY, carries=rig.carries, cadence_ms=MINUTE)
        again.take_over(rig.engine)
        rig.engine, rig.config = again, again.config
        rig.checkpoint()
        self.safe = (len(rig.inputs), len(rig.acts))
        self.base = len(rig.inputs), json.dumps(again.dump())
        rig.take(Timer(again.now, again.wall))

    def stop(self) -> None:
        """SIGTERM, and a new life once it has ended."""
        self.rig.take(Stopping(self.rig.engine.now, self.draw.random() < 0.3, "SIGTERM"))
        for _ in range(40):
            if self.rig.finished is None:
                self.rig.timer(1)
        assert self.rig.finished is not None, "a stop that never ends"
        assert not [order for order in self.rig.resting(Role.ENTRY) if order.state != OrderState.UNKNOWN]
        while self.rig.syncs:
            self.settle()
            self._hear()
        self.die(power=False)

    def die(self, power: bool) -> None:
        """A new life from what is on the disk: all of the journal, or after a loss of power any part of what was not brought there."""
        old, inputs, acts = self.rig, self.rig.inputs, self.rig.acts
        if power:
            inputs = inputs[: self.draw.randint(self.safe[0], len(inputs))]
            acts = acts[: self.draw.randint(self.safe[1], len(acts))]
        new = SlowDisk(old.config)
        since, state = self.base
        if state:
            new.engine.load(json.loads(state))
        for event in inputs[since:]:
            new.engine.handle(event)
        kills = [act.data for act in acts if act.kind == "kill"]
        if kills and kills[-1]["active"] and not new.engine.kill.active:
            new.engine.kill.load(kills[-1])
        new.exchange.restore(account_of(new.engine), last_seen(new.engine))
        new.inputs, new.acts, new.latch, new.slow = list(inputs), list(acts), old.latch, True
        self.rig, self.asked, self.safe = new, {}, (len(inputs), len(acts))
        latch = (
            KillFile(START, False, missing=True) if old.latch is None else KillFile(START, old.latch["active"], old.latch.get("level", ""))
        )
        new.start(latch, time=max(new.engine.now, START))


STEPS: dict[str, tuple[int, Any]] = {
    "bar": (6, lambda storm: storm.rig.bars([storm.rig.desk().bar.close + storm.draw.randint(-1500, 1500)])),
    "timer": (2, lambda storm: storm.rig.timer(storm.draw.choice((0.3, 2, 70)))),
    "disk": (10, lambda storm: storm.settle()),
    "disk fails": (2, lambda storm: storm.settle("no space left")),
    "activate": (2, lambda storm: storm.ask("activate", level=storm.draw.choice(("halt", "flatten")))),
    "deactivate": (3, lambda storm: storm.ask("deactivate", force=True)),
    "hand engages": (1, lambda storm: storm.hand({"active": True})),
    "hand releases": (1, lambda storm: storm.hand({"active": False})),
    "hand spoils": (1, lambda storm: storm.hand({"active": None})),
    "hand removes": (1, lambda storm: storm.hand(None)),
    "flatten": (1, lambda storm: storm.rig.verb("flatten", leg=storm.draw.choice(("long", "both")), reason="a")),
    "resume": (2, lambda storm: storm.rig.verb("resume")),
    "arm": (1, lambda storm: storm.rig.verb("breakers.arm", name="x", reason="a")),
    "disarm": (1, lambda storm: storm.rig.verb("breakers.disarm", name=storm.draw.choice(("x", "drawdown")), reason="a")),
    "plugin": (1, lambda storm: storm.plugin()),
    "host": (3, lambda storm: storm.host()),
    "reload": (1, lambda storm: storm.reload()),
    "stop": (1, lambda storm: storm.stop()),
    "checkpoint": (2, lambda storm: storm.rig.syncs or storm.rig.checkpoint()),
    "kill -9": (1, lambda storm: storm.die(power=False)),
    "power loss": (1, lambda storm: storm.die(power=True)),
}


@pytest.mark.parametrize("seed", range(40))
def test_a_storm(seed: int) -> None:
    storm = Storm(seed)
    try:
        for _ in range(120):
            storm.step()
    except AssertionError as error:
        raise AssertionError(f"{error} after {storm.log[-12:]}") from error
    for _ in range(60):
        storm.settle()
        storm.rig.timer(2)
    assert not storm.rig.syncs
    engine = storm.rig.engine
    assert not engine.active(), "a flatten that never ends"
    assert not (engine.kill.active and engine.kill.level == Level.FLATTEN and engine.held_legs())
    latch = storm.rig.latch
    assert storm.rig.engine.kill.active == bool(latch and latch["active"]) or not storm.rig.engine.kill.active
