"""A drop-in strategy: two rungs a leg around a centre, profit one step from the average entry, stop three steps beyond it."""

from dataclasses import dataclass, field
from typing import NamedTuple

from hedgegridd import Leg, Moment, Role, hookimpl


@dataclass
class Grid:
    step_bps: float = 25.0
    qty: float = 0.002


@dataclass
class Settings:
    grid: Grid = field(default_factory=Grid)


class Params(NamedTuple):
    step: float
    lots: int


class State(NamedTuple):
    bars: int
    center: int


class Tiny:
    name = "tiny"
    Settings, Params, State = Settings, Params, State

    def params(self, settings, instrument):
        return Params(settings.grid.step_bps / 10_000, round(settings.grid.qty / instrument.lot_size))

    def initial(self, params):
        return State(0, 0)

    def warmup_bars(self, params):
        return 5

    def step(self, params, state, market, wish):
        bars, center = state
        if market.moment == Moment.BAR:
            moved = abs(market.close - center) > 4 * params.step * market.close
            bars, center = bars + 1, market.close if moved else center
        rows = []
        for leg, sign, held, entry in (
            (Leg.LONG, 1, market.long_qty, market.long_entry),
            (Leg.SHORT, -1, market.short_qty, market.short_entry),
        ):
            for rung in (1, 2):
                if missing := min(params.lots, rung * params.lots - held):
                    rows += [(leg, Role.ENTRY, round(center * (1 - sign * rung * params.step)), missing)] * (missing > 0)
            if held:
                rows.append((leg, Role.TAKE_PROFIT, round(entry * (1 + sign * params.step)), held))
                rows.append((leg, Role.STOP, round(entry * (1 - sign * 3 * params.step)), held))
        for i, row in enumerate(rows):
            wish.leg[i], wish.role[i], wish.price[i], wish.qty[i] = row
        wish.count[0] = len(rows)
        return State(bars, center)

    def describe(self, params, state):
        return {"ready": state.bars > 0, "regime": 0, "center": state.center, "strength": 0.0}


@hookimpl
def register_strategies(register):
    register(Tiny)
