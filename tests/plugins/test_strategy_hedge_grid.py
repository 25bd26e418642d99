"""The shipped strategy: teaching settings, the fixed order's effects, and what must hold on any path of the market."""

import copy
import importlib.util
import json
import math
import random
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hedgegridd.model import Instrument, Leg, Market, Moment, Regime, Role, new_wish

FILE = Path(__file__).resolve().parents[2] / "plugins" / "strategy_hedge_grid.py"
SPEC = importlib.util.spec_from_file_location("strategy_hedge_grid_under_test", FILE)
hg = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = hg
SPEC.loader.exec_module(hg)

BTC = Instrument(0.1, 1e-4, 1, 10**7, 10**6, 5.0, 2.0, 5.0)
MINUTE, HOUR, C = 60_000, 3_600_000, 1_000_000


def made(**sections):
    chosen = hg.Settings()
    for section, values in sections.items():
        for key, value in values.items():
            setattr(getattr(chosen, section), key, value)
    return hg.params(chosen, BTC)


class Table:
    """A strategy at a table of its own: fills what the bar touches, keeps the position, and hands on every moment."""

    def __init__(self, params):
        self.params, self.state, self.wish = params, hg.initial(params), new_wish()
        self.held, self.entry, self.throttle = [0, 0], [0.0, 0.0], [1.0, 1.0]
        self.rate, self.next_funding, self.time = math.nan, 0, 1_700_000_040_000
        self.bar = (C, C, C, C)

    def call(self, moment, leg=0, role=0, price=0, qty=0):
        market = Market(
            *(int(moment), self.time, *self.bar, float(self.bar[3]), self.rate, 8 * HOUR, self.next_funding, leg, role, price, qty),
            *(self.held[0], self.entry[0], self.held[1], self.entry[1], *self.throttle, 10_000.0),
        )
        before, again = copy.deepcopy(self.state), new_wish()
        self.state = hg.step(self.params, self.state, market, self.wish)
        same = hg.step(self.params, before, market, again)
        assert json.dumps(same) == json.dumps(self.state)
        assert self.rows(again) == self.rows()
        return self.rows()

    def rows(self, wish=None):
        wish = wish or self.wish
        return [tuple(column[i] for column in wish[1:]) for i in range(wish.count[0])]

    def of(self, leg, role):
        return {price: qty for a, b, price, qty in self.rows() if (a, b) == (leg, role)}

    def bar_at(self, close, high=None, low=None):
        self.time += MINUTE
        self.bar = (self.bar[3], high or close, low or close, close)
        return self.call(Moment.BAR)

    def warm(self, close=C):
        for _ in range(self.params.warmup):
            self.bar_at(close)
        return self

    def fill(self, leg, role, price, qty):
        if role == Role.ENTRY:
            self.entry[leg] = (self.entry[leg] * self.held[leg] + price * qty) / (self.held[leg] + qty)
            self.held[leg] += qty
        else:
            self.held[leg] -= qty
            self.entry[leg] = self.entry[leg] if self.held[leg] else 0.0
        return self.call(Moment.FILL, int(leg), int(role), price, qty)


@pytest.fixture
def table():
    return Table(made()).warm()


LONG, SHORT = Leg.LONG, Leg.SHORT
SIZES = [int(100 * 1.1**k + 1e-9) for k in range(10)]


def test_nothing_opens_before_the_indicators_are_warm():
    table = Table(made())
    for _ in range(table.params.warmup - 1):
        assert table.bar_at(C) == []
        assert hg.describe(table.params, table.state)["ready"] == 0.0
    assert len(table.bar_at(C)) == 20
    assert hg.describe(table.params, table.state)["ready"] == 1.0
    assert hg.warmup_bars(table.params) == table.params.warmup == 118


def test_the_documents_grid(table):
    assert list(table.of(LONG, Role.ENTRY).items()) == [(C - 5000 * (k + 1), SIZES[k]) for k in range(10)]
    assert list(table.of(SHORT, Role.ENTRY).items()) == [(C + 5000 * (k + 1), SIZES[k]) for k in range(10)]


def test_an_unchanged_market_changes_no_wish(table):
    before = table.rows()
    assert all(table.bar_at(C) == before for _ in range(10))


def test_a_filled_rung_is_wished_again_only_after_its_take_profit(table):
    table.fill(LONG, Role.ENTRY, 995_000, 60)
    assert table.of(LONG, Role.ENTRY)[995_000] == 40
    table.fill(LONG, Role.ENTRY, 995_000, 40)
    assert 995_000 not in table.of(LONG, Role.ENTRY)
    assert table.of(LONG, Role.TAKE_PROFIT) == {1_004_950: 100}
    assert list(table.of(LONG, Role.STOP).values()) == [100]
    table.fill(LONG, Role.TAKE_PROFIT, 1_004_950, 99)
    assert 995_000 not in table.of(LONG, Role.ENTRY)
    assert table.of(LONG, Role.TAKE_PROFIT) == {1_004_950: 1}
    table.fill(LONG, Role.TAKE_PROFIT, 1_004_950, 1)
    assert table.of(LONG, Role.ENTRY)[995_000] == 100
    assert not table.of(LONG, Role.STOP)


def test_a_taken_rung_is_not_topped_up_when_the_scale_grows(table):
    table.throttle = [0.5, 1.0]
    table.bar_at(C)
    assert table.of(LONG, Role.ENTRY)[995_000] == 50
    table.fill(LONG, Role.ENTRY, 995_000, 50)
    table.throttle = [1.0, 1.0]
    table.bar_at(C)
    assert 995_000 not in table.of(LONG, Role.ENTRY)
    assert table.of(LONG, Role.ENTRY)[990_000] == 110


def test_a_rest_within_the_tolerance_is_not_worth_an_order(table):
    table.fill(LONG, Role.ENTRY, 995_000, 99)
    assert 995_000 not in table.of(LONG, Role.ENTRY)


def test_the_full_leg_is_stopped_outside_its_grid_only(table):
    for price, qty in list(table.of(LONG, Role.ENTRY).items()):
        table.fill(LONG, Role.ENTRY, price, qty)
        (stop,) = table.of(LONG, Role.STOP)
        assert stop <= 945_000
        assert all(stop < rung for rung in table.of(LONG, Role.ENTRY))
    assert table.of(LONG, Role.ENTRY) == {}
    assert table.held[0] == table.params.most_long
    assert sum(table.of(LONG, Role.TAKE_PROFIT).values()) == table.held[0]


def test_a_stopped_leg_is_idle_until_the_recentre(table):
    table.fill(LONG, Role.ENTRY, 995_000, 100)
    (stop,) = table.of(LONG, Role.STOP)
    table.fill(LONG, Role.STOP, stop, 40)
    assert list(table.of(LONG, Role.STOP).values()) == [60]
    table.fill(LONG, Role.STOP, stop, 60)
    table.bar_at(C - 45_000)
    assert not [row for row in table.rows() if row[0] == LONG]
    assert len(table.of(SHORT, Role.ENTRY)) == 10
    table.bar_at(C - 50_000)
    assert len(table.of(LONG, Role.ENTRY)) == 10
    assert max(table.of(LONG, Role.ENTRY)) == 945_250


def test_recentre_keeps_exits_and_opens_nothing_outside_the_stop(table):
    for price in (995_000, 990_000):
        table.fill(LONG, Role.ENTRY, price, table.of(LONG, Role.ENTRY)[price])
    exits = [row for row in table.rows() if row[1] != Role.ENTRY]
    table.bar_at(950_000)
    assert hg.describe(table.params, table.state)["center"] == 950_000
    assert [row for row in table.rows() if row[1] != Role.ENTRY] == exits
    assert table.of(LONG, Role.ENTRY) == {}  # the first new rung would lie within half a step of the old stop
    assert min(table.of(SHORT, Role.ENTRY)) == 954_750


def test_a_reset_forgets_the_indicators_and_keeps_what_is_held(table):
    table.fill(SHORT, Role.ENTRY, 1_005_000, 100)
    exits = [row for row in table.rows() if row[1] != Role.ENTRY]
    assert table.call(Moment.RESET) == exits
    said = hg.describe(table.params, table.state)
    assert (said["ready"], said["center"], said["bars"]) == (0.0, 0.0, 0.0)
    for _ in range(table.params.warmup - 1):
        assert table.bar_at(C) == exits
    assert len(table.bar_at(C)) == len(exits) + 19


def test_an_adopted_position_has_exits_at_once():
    table = Table(made())
    table.held, table.entry = [500, 0], [999_999.6, 0.0]
    assert table.bar_at(C) == [(LONG, Role.STOP, 944_999, 500), (LONG, Role.TAKE_PROFIT, 1_010_000, 500)]
    table.warm()
    assert sum(table.of(LONG, Role.ENTRY).values()) == table.params.most_long - 500


def test_policy_shrinks_the_counter_side_exactly():
    for policy, regime, longs, shorts in (
        ("throttled-counter", Regime.UP, (10, 1.0), (5, 0.5)),
        ("throttled-counter", Regime.SIDEWAYS, (10, 1.0), (10, 1.0)),
        ("core-and-scalp", Regime.SIDEWAYS, (5, 0.5), (5, 0.5)),
        ("core-and-scalp", Regime.DOWN, (5, 0.5), (10, 1.0)),
    ):
        table = Table(made(policy={"strategy": policy})).warm()
        table.state = table.state._replace(regime=table.state.regime._replace(regime=int(regime)))
        table.bar_at(C)
        for leg, (levels, scale) in ((LONG, longs), (SHORT, shorts)):
            assert list(table.of(leg, Role.ENTRY).values()) == [int(100 * 1.1**k * scale + 1e-9) for k in range(levels)]


def test_funding_and_throttle_shrink_openers_only(table):
    table.fill(LONG, Role.ENTRY, 995_000, 100)
    exits = [row for row in table.rows() if row[1] != Role.ENTRY]
    table.rate, table.next_funding = 0.004, table.time + HOUR  # 40 bps against a limit of 10
    table.bar_at(C)
    assert table.of(LONG, Role.ENTRY)[990_000] == int(110 * 0.25)
    assert table.of(SHORT, Role.ENTRY)[1_005_000] == 100
    table.throttle = [1.0, 0.5]
    table.bar_at(C)
    assert table.of(SHORT, Role.ENTRY)[1_005_000] == 50
    table.rate = math.nan  # stale: nothing opens, exits stay
    assert table.bar_at(C) == exits
    table.rate, table.throttle = 0.0, [0.0, 0.0]
    assert table.bar_at(C) == exits


def test_what_the_filters_refuse_is_not_wished(table):
    table.throttle = [0.0004, 1.0]
    table.bar_at(C)
    assert table.of(LONG, Role.ENTRY) == {}
    assert len(table.of(SHORT, Role.ENTRY)) == 10


def test_a_new_rung_never_lies_beyond_the_market_but_an_asked_one_stays(table):
    table.throttle = [0.0, 1.0]
    table.bar_at(C)
    table.throttle = [1.0, 1.0]
    table.bar_at(988_000)
    assert max(table.of(LONG, Role.ENTRY)) == 985_000
    table.bar_at(984_900)  # reached, its fill not heard of yet
    assert max(table.of(LONG, Role.ENTRY)) == 985_000


def test_changed_grid_settings_rebuild_the_ladder_and_keep_the_lots(table):
    table.fill(LONG, Role.ENTRY, 995_000, 100)
    exits = [row for row in table.rows() if row[1] != Role.ENTRY]
    table.params = made(grid={"grid_step_bps": 40.0})
    table.bar_at(C)
    assert max(table.of(LONG, Role.ENTRY)) == 996_000
    assert [row for row in table.rows() if row[1] == Role.TAKE_PROFIT] == [row for row in exits if row[1] == Role.TAKE_PROFIT]


def test_day_change_is_unknown_then_exact(table):
    assert math.isnan(hg.describe(table.params, table.state)["change_24h_pct"])
    for i in range(1, 1441):
        table.bar_at(C + 10 * i)
    assert hg.describe(table.params, table.state)["change_24h_pct"] == pytest.approx(14_400 / C * 100)


def lots_of(lots, leg):
    return range(hg.exits.begin(leg), hg.exits.end(lots, leg), hg.exits.WIDTH)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    policy=st.sampled_from(["throttled-counter", "core-and-scalp"]),
    trigger=st.sampled_from([60.0, 200.0, 500.0]),
    tp_levels=st.integers(1, 3),
    sl_steps=st.integers(2, 12),
)
def test_what_holds_on_any_path(seed, policy, trigger, tp_levels, sl_steps):
    rng = random.Random(seed)
    params = made(
        policy={"strategy": policy},
        rebalance={"recenter_trigger_bps": trigger},
        exit={"tp_levels": tp_levels, "sl_steps": sl_steps},
        regime={"ema_slow": 22, "adx_len": 3, "atr_len": 3},
    )
    table, sd, filled = Table(params), rng.choice([800, 2500, 6000]), set()

    def hold():
        rows = table.rows()
        assert len({row[:3] for row in rows}) == len(rows)
        for leg in (LONG, SHORT):
            entries, profits, stops = (table.of(leg, role) for role in (Role.ENTRY, Role.TAKE_PROFIT, Role.STOP))
            held = table.held[leg]
            assert sum(profits.values()) == held
            assert list(stops.values()) == ([held] if held else [])
            assert held + sum(entries.values()) <= max(params.most_long, held)
            assert not any((leg, price) in filled for price in entries)
            for stop in stops:
                assert (stop < table.entry[leg]) == (leg == LONG)
                assert all((stop < rung) == (leg == LONG) for rung in entries)

    for _ in range(150):
        close = max(table.bar[3] + round(rng.gauss(0, sd)), 100_000)
        reach = [abs(round(rng.gauss(0, sd))) for _ in "hl"]
        high, low = max(close, table.bar[3]) + reach[0], min(close, table.bar[3]) - reach[1]
        for leg, role, price, qty in sorted(table.rows(), key=lambda row: (row[1], row[2])):
            falls = (leg == LONG) == (role != Role.TAKE_PROFIT)  # which way the market must go to reach it
            qty = qty if role == Role.ENTRY else min(qty, table.held[leg])
            if qty > 0 and (low <= price if falls else high >= price):
                part = qty if rng.random() < 0.8 else rng.randint(1, qty)
                whole = part == qty
                table.fill(Leg(leg), Role(role), price, part)
                if role == Role.ENTRY and whole:
                    filled.add((leg, price))
                open_rungs = {(a, table.state.lots.lot[at]) for a in (0, 1) for at in lots_of(table.state.lots, a)}
                filled &= open_rungs  # closed by its take-profit or stop
                hold()
        table.bar_at(close, high, low)
        hold()
        if rng.random() < 0.01:
            table.call(Moment.RESET)
            hold()


@pytest.mark.parametrize(
    ("section", "key", "value", "text"),
    [
        ("regime", "ema_fast", 50, "regime.ema_fast 50 must be below regime.ema_slow 50"),
        ("exit", "sl_steps", 1, "exit.sl_steps 1 must not be below exit.tp_steps 2"),
        ("exit", "tp_levels", 4, "expected 1 to 3"),
        ("grid", "grid_step_bps", 1000.0, "reaches a price of zero"),
        ("grid", "base_qty", 0.00001, "below the symbol's smallest order, 0.0001"),
        ("grid", "grid_levels_long", 51, "expected 0 to 50"),
        ("rebalance", "recenter_trigger_bps", 50.0, "before its first rung can fill"),
        ("policy", "strategy", "throttled_counter", "did you mean 'throttled-counter'?"),
        ("policy", "counter_qty_scale", 1.5, "a policy only shrinks"),
    ],
)
def test_impossible_settings_are_explained(section, key, value, text):
    with pytest.raises(ValueError, match="hedge_grid: ") as error:
        made(**{section: {key: value}})
    assert text in str(error.value)


def test_all_problems_come_at_once():
    with pytest.raises(ValueError, match=r"ema_fast.*policy\.strategy"):
        made(regime={"ema_fast": 60}, policy={"strategy": "x"})


def test_every_setting_says_what_it_is_and_lies_within_its_bounds():
    for section in vars(hg.Settings()).values():
        for name, field in section.__dataclass_fields__.items():
            value, meta = getattr(section, name), field.metadata
            assert meta["doc"]
            assert meta.get("min", value) <= value <= meta.get("max", value)


def test_the_module_registers_itself():
    found = []
    hg.register_strategies(found.append)
    assert found == [hg]
    assert hg.name == "hedge_grid"


def test_a_state_survives_json():
    table = Table(made()).warm()
    table.fill(LONG, Role.ENTRY, 995_000, 60)
    assert "NaN" not in json.dumps(table.state)
    assert "NaN" not in json.dumps(table.params)


def test_a_bar_costs_microseconds():
    table = Table(made()).warm()
    market = Market(0, table.time, C, C, C, C, float(C), 0.0, 8 * HOUR, table.time + HOUR, 0, 0, 0, 0, 0, 0.0, 0, 0.0, 1.0, 1.0, 1e4)
    best = math.inf
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(50):
            table.state = hg.step(table.params, table.state, market, table.wish)
        best = min(best, (time.perf_counter() - begun) / 50)
    assert len(table.rows()) == 20
    assert best < 500e-6  # about 25 us on an idle machine
