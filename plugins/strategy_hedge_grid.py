"""The hedge grid: a ladder of entries below the market for LONG, one above it for SHORT, profits taken a few steps later.

Its one law: `step` says what should rest now, in the order in which it is written there - mid, regime, recentre, ladders,
policy, funding, throttle, precision - and is the same function live, in paper and compiled. Exits are wished always, entries
only once the indicators are warm. It knows no account limit (the gate does) and no order state (`diff` does).

What bounds a leg: held plus wished entries never exceed the whole ladder at full size, wherever the grid is recentred to, so
the filled grid that `check` computes is the largest there can be.

This module is the strategy: `name`, `Settings`, `Params`, `State`, `params`, `initial`, `warmup_bars`, `step`, `describe`.
"""

import difflib
import math
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hedgegridd import hookimpl
from hedgegridd.kernel import exits, funding, ladder, placement, regime
from hedgegridd.model import Array, Instrument, Market, Moment, Role, Wish, entry_side

name = "hedge_grid"

BAR, FILL, RESET = int(Moment.BAR), int(Moment.FILL), int(Moment.RESET)
ENTRY, TAKE_PROFIT, STOP = int(Role.ENTRY), int(Role.TAKE_PROFIT), int(Role.STOP)
LONG, SHORT = ladder.LONG, ladder.SHORT
FAR = float(1 << 60)  # a price that no market reaches


# --- settings, in people's units ---------------------------------------------------------------------------------------


def _of(default: Any, doc: str, low: float | None = None, high: float | None = None) -> Any:
    """A setting with its bounds (inclusive) and its explanation."""
    bounds = {k: v for k, v in (("min", low), ("max", high)) if v is not None}
    return field(default=default, metadata={"doc": doc, **bounds})


@dataclass
class GridSettings:
    grid_step_bps: float = _of(50.0, "distance between rungs, basis points of the grid's centre", 0.1, 2000)
    grid_levels_long: int = _of(10, "rungs below the centre, bought by LONG", 0, ladder.MAX_LEVELS)
    grid_levels_short: int = _of(10, "rungs above the centre, sold by SHORT", 0, ladder.MAX_LEVELS)
    base_qty: float = _of(0.01, "quantity of the nearest rung, coins", 0)
    qty_scale: float = _of(1.1, "each rung is this many times the size of the one before it", 0.1, 10)


@dataclass
class ExitSettings:
    tp_steps: int = _of(2, "take-profit distance from the rung, grid steps", 1, 100)
    sl_steps: int = _of(5, "stop distance from the leg's average entry, grid steps; always outside the grid as well", 1, 200)
    tp_levels: int = _of(1, "take-profit levels per lot, equal parts, each a step further than the last", 1, exits.MAX_TP)


@dataclass
class RebalanceSettings:
    recenter_trigger_bps: float = _of(500.0, "the grid is centred anew when the close has left its centre by this", 1, 9000)


@dataclass
class ExecutionSettings:
    price_tolerance_bps: float = _of(0.0, "a resting order this near to a rung serves it", 0, 100)
    qty_tolerance_pct: float = _of(1.0, "a quantity this near to the wished one is left alone, percent", 0, 100)
    post_only: bool = _of(True, "entries and take-profits rest or are refused, they never take")


@dataclass
class FundingSettings:
    funding_window_minutes: int = _of(480, "how far ahead funding settlements count", 0, 10080)
    funding_max_cost_bps: float = _of(10.0, "openers of the paying leg shrink when it would pay more than this within the window", 0, 1000)


@dataclass
class RegimeSettings:
    adx_len: int = _of(14, "bars of the average directional index", 2, 500)
    ema_fast: int = _of(21, "bars of the fast average", 1, 2000)
    ema_slow: int = _of(50, "bars of the slow average", 2, 5000)
    atr_len: int = _of(14, "bars of the average true range", 1, 500)
    hysteresis_bps: float = _of(10.0, "no regime changes while the averages are nearer to each other than this", 0, 1000)
    adx_threshold: float = _of(25.0, "a trend begins at this ADX and ends below 0.8 of it", 0, 100)


@dataclass
class PositionSettings:
    max_position_pct: float = _of(100.0, "largest notional of one leg, percent of equity; checked by the gate", 0, 12500)


@dataclass
class PolicySettings:
    strategy: str = field(default=placement.POLICIES[0], metadata={"doc": "which ladders shrink when", "choices": placement.POLICIES})
    counter_levels: int = _of(5, "rungs that a shrunk ladder keeps, counted from the market", 0, ladder.MAX_LEVELS)
    counter_qty_scale: float = _of(0.5, "factor on the quantities of a shrunk ladder", 0, 1)


@dataclass
class RiskManagementSettings:
    max_drawdown_pct: float = _of(4.0, "openers of this strategy pause at this drawdown of equity, percent", 0, 100)
    enable_drawdown_protection: bool = _of(True, "whether max_drawdown_pct is in force")
    max_errors_per_minute: int = _of(10, "openers pause at this many order errors within a minute", 1, 10000)
    circuit_breaker_cooldown_seconds: int = _of(300, "how long that pause lasts", 0, 86400)
    enable_circuit_breaker: bool = _of(True, "whether max_errors_per_minute is in force")
    enable_position_validation: bool = _of(True, "whether position.max_position_pct is in force")


@dataclass
class Settings:
    """Sections of `[instrument.params]`. `execution`, `position` and `risk_management` are read by the engine, not here."""

    grid: GridSettings = field(default_factory=GridSettings)
    exit: ExitSettings = field(default_factory=ExitSettings)
    rebalance: RebalanceSettings = field(default_factory=RebalanceSettings)
    execution: ExecutionSettings = field(default_factory=ExecutionSettings)
    funding: FundingSettings = field(default_factory=FundingSettings)
    regime: RegimeSettings = field(default_factory=RegimeSettings)
    position: PositionSettings = field(default_factory=PositionSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    risk_management: RiskManagementSettings = field(default_factory=RiskManagementSettings)


# --- numbers, in ticks and lots ----------------------------------------------------------------------------------------


class Params(NamedTuple):
    """Settings as numbers. `most_*` is the whole ladder in lots, `tolerance` a fraction of a rung not worth another order."""

    regime: regime.RegimeParams
    warmup: int
    grid: ladder.GridParams
    exit: exits.ExitParams
    policy: placement.PolicyParams
    funding: funding.FundingParams
    most_long: int
    most_short: int
    tolerance: float


class State(NamedTuple):
    """Everything remembered between two steps; the lists inside are changed in place."""

    regime: regime.RegimeState
    center: int  #: 0 = no grid yet
    identity: int  #: of the GridParams that the ladders were built with
    day: Array  #: the closes of the last 24 hours
    grid: ladder.Grid
    lots: exits.Lots
    last: Array  #: what the wish was made of, see CENTER..BELOW


# Columns of State.last. HELD, COST and SCALE have a place for each leg. The wish is of no other close from ABOVE to BELOW.
CENTER, REGIME, HELD, COST, SCALE, ABOVE, BELOW = 0, 1, 2, 4, 6, 8, 9

Rules = tuple[tuple[bool, str], ...]  # (fine, what to say where it is not)


def _grid_rules(s: Settings, i: Instrument) -> Rules:
    g, least = s.grid, max(i.min_qty, 1)
    deepest = max(g.grid_levels_long, g.grid_levels_short)
    sound = min(g.grid_levels_long, g.grid_levels_short) >= 0 and 0 < deepest <= ladder.MAX_LEVELS
    reach, trigger = (deepest + 1) * g.grid_step_bps, s.rebalance.recenter_trigger_bps
    return (
        (sound, f"grid.grid_levels_long and grid_levels_short: expected 0 to {ladder.MAX_LEVELS}, one of them above 0"),
        (g.grid_step_bps > 0.0, f"grid.grid_step_bps is {g.grid_step_bps}, expected more than 0"),
        (g.qty_scale > 0.0, f"grid.qty_scale is {g.qty_scale}, expected more than 0"),
        (
            reach < ladder.BPS,
            f"grid.grid_step_bps {g.grid_step_bps} x {deepest} levels reaches a price of zero: fewer levels, smaller steps",
        ),
        (
            g.base_qty / i.lot_size + ladder.EPSILON >= least,
            f"grid.base_qty {g.base_qty} is below the symbol's smallest order, {least * i.lot_size:.10g}",
        ),
        (
            trigger > g.grid_step_bps,
            f"rebalance.recenter_trigger_bps {trigger} must exceed grid.grid_step_bps {g.grid_step_bps}: "
            "the grid would move away before its first rung can fill",
        ),
    )


def _exit_rules(s: Settings) -> Rules:
    x, step = s.exit, s.grid.grid_step_bps
    last = x.tp_steps + x.tp_levels - 1
    return (
        (x.tp_steps >= 1, f"exit.tp_steps is {x.tp_steps}, expected 1 or more: a lot must be left at a better price"),
        (
            x.sl_steps >= x.tp_steps,
            f"exit.sl_steps {x.sl_steps} must not be below exit.tp_steps {x.tp_steps}: stops would come before profits",
        ),
        (1 <= x.tp_levels <= exits.MAX_TP, f"exit.tp_levels is {x.tp_levels}, expected 1 to {exits.MAX_TP}"),
        (x.sl_steps * step < ladder.BPS, f"exit.sl_steps {x.sl_steps} x {step} bps puts the stop of a LONG at or below zero"),
        (last * step < ladder.BPS, f"exit.tp_steps {x.tp_steps} x {step} bps puts the take-profit of a SHORT at or below zero"),
    )


def _trend_rules(s: Settings) -> Rules:
    r, p = s.regime, s.policy
    near = difflib.get_close_matches(p.strategy, placement.POLICIES, 1, 0.4)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return (
        (r.ema_fast < r.ema_slow, f"regime.ema_fast {r.ema_fast} must be below regime.ema_slow {r.ema_slow}: they could show no trend"),
        (min(r.ema_fast, r.adx_len, r.atr_len) >= 1, "regime.ema_fast, adx_len and atr_len: expected 1 bar or more"),
        (p.strategy in placement.POLICIES, f"policy.strategy is {p.strategy!r}, expected one of {', '.join(placement.POLICIES)}{hint}"),
        (0.0 <= p.counter_qty_scale <= 1.0, f"policy.counter_qty_scale is {p.counter_qty_scale}, expected 0 to 1: a policy only shrinks"),
        (p.counter_levels >= 0, f"policy.counter_levels is {p.counter_levels}, expected 0 or more"),
    )


def _grid_params(s: Settings, i: Instrument) -> ladder.GridParams:
    g = s.grid
    base = round(g.base_qty / i.lot_size, 9)
    shape = (g.grid_step_bps, g.grid_levels_long, g.grid_levels_short, base, g.qty_scale)
    return ladder.GridParams(
        *(float(g.grid_step_bps), g.grid_levels_long, g.grid_levels_short, base, float(g.qty_scale)),
        float(s.rebalance.recenter_trigger_bps),
        *(i.min_qty, i.max_qty, float(i.min_notional), i.unit),
        zlib.crc32(repr(shape).encode()),
    )


def params(settings: Settings, instrument: Instrument) -> Params:
    """Settings of one symbol as numbers; raises ValueError with every impossible combination at once."""
    rules = (*_grid_rules(settings, instrument), *_exit_rules(settings), *_trend_rules(settings))
    problems = [text for fine, text in rules if not fine]
    if problems:
        raise ValueError(f"{name}: " + "; ".join(problems))
    r, x, p, f = settings.regime, settings.exit, settings.policy, settings.funding
    grid = _grid_params(settings, instrument)
    trend = regime.RegimeParams(r.ema_fast, r.ema_slow, r.adx_len, r.atr_len, float(r.hysteresis_bps), float(r.adx_threshold))
    return Params(
        trend,
        regime.warmup_bars(trend),
        grid,
        exits.ExitParams(grid.step_bps, x.tp_steps, x.tp_levels, x.sl_steps, grid.min_qty, grid.max_qty),
        placement.PolicyParams(placement.POLICIES.index(p.strategy), p.counter_levels, float(p.counter_qty_scale)),
        funding.FundingParams(f.funding_window_minutes * 60_000, float(f.funding_max_cost_bps)),
        ladder.whole_leg(grid, LONG),
        ladder.whole_leg(grid, SHORT),
        settings.execution.qty_tolerance_pct / 100.0,
    )


def initial(params: Params) -> State:
    """Before the first bar: nothing learnt, nothing held."""
    return State(
        regime.new_regime(), 0, params.grid.identity, regime.new_day(), ladder.new_grid(), exits.new_lots(), [-1.0] + [0.0] * BELOW
    )


def warmup_bars(params: Params) -> int:
    """Bars until less than 1 % of any indicator's seed is left."""
    return params.warmup


# --- one moment (kernel dialect from here on) --------------------------------------------------------------------------


def step(params: Params, state: State, market: Market, wish: Wish) -> State:
    """Look at one moment, overwrite `wish`, return the next state."""
    if market.moment == BAR:
        state = learn(params, state, market)
    return wishes(params, state, market, wish)


def learn(params: Params, state: State, market: Market) -> State:
    """What a complete bar teaches: the trend, yesterday's price, and where the grid's centre is from now on."""
    trend, center = regime.update(params.regime, state.regime, market.high, market.low, market.close), state.center
    regime.remember(state.day, market.time, market.close)
    if trend.bars >= params.warmup:
        center = ladder.recenter(params.grid, center, market.close)
    return State(trend, center, state.identity, state.day, state.grid, state.lots, state.last)


def still(params: Params, state: State, market: Market) -> bool:
    """After `learn`: is the wish made of the very same things as the last one, so that `wishes` would change nothing?"""
    last, trend = state.last, state.regime.regime
    if state.center != last[CENTER] or trend != last[REGIME] or state.identity != params.grid.identity:
        return False
    if not last[ABOVE] <= market.close <= last[BELOW]:
        return False
    for leg in range(2):
        if held(market, leg) != last[HELD + leg] or cost(market, leg) != last[COST + leg]:
            return False
        if scale(params, trend, leg, market) != last[SCALE + leg]:
            return False
    return True


def wishes(params: Params, state: State, market: Market, wish: Wish) -> State:
    """What should rest, in the order in which it is decided: own fills, ladders, exits, policy, funding, throttle, precision."""
    wish.count[0] = 0
    trend, center, last = state.regime, state.center, state.last
    if market.moment == FILL:
        book(params, state, market)
    elif market.moment == RESET:
        trend, center = regime.new_regime(), 0
        regime.forget(state.day)
    if center > 0 and (center != last[CENTER] or state.identity != params.grid.identity):
        rebuild(params, state, center)
    last[CENTER], last[REGIME], last[ABOVE], last[BELOW] = center, trend.regime, 0.0, FAR
    for leg in range(2):
        levels, factor, have = ladder.levels(params.grid, leg), scale(params, trend.regime, leg, market), held(market, leg)
        last[HELD + leg], last[COST + leg], last[SCALE + leg] = have, cost(market, leg), factor
        exits.hold(params.exit, state.lots, leg, have, cost(market, leg), center, levels, wish)
        allowed = placement.allowed_levels(params.policy, trend.regime, leg, levels)
        if center == 0 or factor <= 0.0 or exits.is_idle(state.lots, leg):
            allowed = 0
        budget = (params.most_long if leg == LONG else params.most_short) - have
        entries(params.grid, params.tolerance, state.grid, state.lots, last, leg, market.close, allowed, factor, budget, wish)
        ladder.withdraw(state.grid, leg, allowed, levels)
    return State(trend, center, params.grid.identity, state.day, state.grid, state.lots, last)


#: `step` at a bar, taken apart: a fast engine asks `wishes` only where not `still`, and a test sees to it that they agree.
parts = (learn, still, wishes)


def held(market: Market, leg: int) -> int:
    """Lots of a leg."""
    return market.long_qty if leg == LONG else market.short_qty


def cost(market: Market, leg: int) -> float:
    """Average entry of a leg, ticks."""
    return market.long_entry if leg == LONG else market.short_entry


def scale(params: Params, trend: int, leg: int, market: Market) -> float:
    """The factor on a leg's openers: policy, funding, throttle."""
    factor = placement.scale(params.policy, trend, leg)
    factor *= funding.scale(params.funding, leg, market.time, market.funding_rate, market.funding_interval_ms, market.next_funding)
    return factor * (market.long_throttle if leg == LONG else market.short_throttle)


def book(params: Params, state: State, market: Market) -> None:
    """Note an own fill in the lots. After a stop the leg stays idle until the grid is centred anew."""
    if market.fill_role == ENTRY:
        rung = ladder.find(params.grid, state.grid, market.fill_leg, market.fill_price)
        target = state.grid.asked[rung] if rung >= 0 else 0
        exits.add(params.exit, state.lots, market.fill_leg, market.fill_price, market.fill_qty, target)
    elif market.fill_role == TAKE_PROFIT:
        exits.take(state.lots, market.fill_leg, market.fill_price, market.fill_qty)
    else:
        exits.take(state.lots, market.fill_leg, 0, market.fill_qty)
        if market.fill_role == STOP:
            exits.make_idle(state.lots, market.fill_leg)


def rebuild(params: Params, state: State, center: int) -> None:
    """Both ladders around a centre. Open lots keep their exits; an idle leg is idle no more once the centre has moved."""
    ladder.build(params.grid, center, state.grid)
    if center != state.last[CENTER]:
        exits.tighten(params.exit, state.lots, LONG, center, params.grid.levels_long)
        exits.tighten(params.exit, state.lots, SHORT, center, params.grid.levels_short)


def entries(
    params: ladder.GridParams,
    tolerance: float,
    grid: ladder.Grid,
    lots: exits.Lots,
    last: Array,
    leg: int,
    mid: int,
    allowed: int,
    scale: float,
    budget: int,
    wish: Wish,
) -> None:
    """Wish the `allowed` rungs of one leg, nearest first, as far as the whole ladder is not held already."""
    first, used, floor = leg * ladder.MAX_LEVELS, exits.open_lots(lots, leg), exits.floor(lots, leg)
    free = exits.LOTS - used
    for rung in range(first, first + allowed):
        price, qty = grid.price[rung], ladder.whole_lots(params, grid.size[rung] * scale)
        lot = exits.find(lots, leg, price) if used > 0 else -1
        if lot >= 0:
            qty = missing(lots.lot[lot + exits.TARGET], qty, lots.lot[lot + exits.ENTERED], tolerance)
        elif free <= 0 or too_near(leg, price, floor, params.step_bps):
            qty = 0
        elif grid.asked[rung] == 0 and not passive(leg, price, mid):
            qty = 0
            note(last, leg, price)
        qty = ladder.legal(params, min(qty, budget), price)
        grid.asked[rung] = qty
        if qty > 0:
            ladder.put(wish, leg, ENTRY, price, qty)
            budget -= qty
            free -= 1


def missing(target: int, qty: int, entered: int, tolerance: float) -> int:
    """What a taken rung still lacks of what it was asked for; a rest within the tolerance is not worth an order."""
    rest = min(target, qty) - entered
    return rest if rest > tolerance * target else 0


def too_near(leg: int, price: int, floor: int, step_bps: float) -> bool:
    """Whether a rung is nearer than half a step to its leg's stop, or beyond it."""
    return floor > 0 and (price - floor) * entry_side(leg) * 2.0 * ladder.BPS < price * step_bps


def passive(leg: int, price: int, mid: int) -> bool:
    """Whether a free rung can wait for the market. One that was asked for before stays wished though the market has reached it: it is
    being filled, and nobody asks this of it."""
    return 0 < price < mid if leg == LONG else price > mid


def note(last: Array, leg: int, price: int) -> None:
    """A rung waits for the market to turn: from its price on, towards the market, the wish is another."""
    if leg == SHORT:
        last[ABOVE] = max(last[ABOVE], price)
    elif price > 0:
        last[BELOW] = min(last[BELOW], price)


def stance(params: Params, state: State) -> tuple[int, int]:
    """Regime and grid centre (ticks, 0 = none), for charts. Still in the kernel dialect."""
    return state.regime.regime, state.center


# --- for people --------------------------------------------------------------------------------------------------------


def describe(params: Params, state: State) -> dict[str, float]:
    """What the strategy thinks. `change_24h_pct` is nan until a whole day of bars is known."""
    trend, ago = state.regime, state.day[regime.AGO]
    return {
        "ready": float(trend.bars >= params.warmup),
        "regime": float(trend.regime),
        "center": float(state.center),
        "strength": regime.confidence(params.regime, trend),
        "change_24h_pct": (trend.close - ago) / ago * 100.0 if ago > 0 else math.nan,
        "atr_bps": trend.atr / trend.close * ladder.BPS if trend.close > 0 else 0.0,
        "adx": trend.adx,
        "bars": float(trend.bars),
        "warmup_bars": float(params.warmup),
    }


@hookimpl
def register_strategies(register: Callable[[Any], None]) -> None:
    register(sys.modules[__name__])
