"""A drop-in strategy: two rungs a leg around a centre, profit one step from the average entry, stop three steps beyond it."""

from typing import NamedTuple

from hedgegridd import Leg, Moment, Role, hookimpl

EXITS = ((Role.TAKE_PROFIT, 1), (Role.STOP, -3))  # steps from the average entry


class Grid:
    step_bps: float = 25.0
    qty: float = 0.002


class Tiny:
    name = "tiny"

    class Settings:
        grid: Grid

    class Params(NamedTuple):
        step: float
        lots: int

    class State(NamedTuple):
        bars: int
        center: int

    def params(self, settings, instrument):
        return self.Params(settings.grid.step_bps / 10_000, round(settings.grid.qty / instrument.lot_size))

    def initial(self, params):
        return self.State(0, 0)

    def warmup_bars(self, params):
        return 5

    def step(self, params, state, market, wish):
        bars, center = state
        if market.moment == Moment.BAR:
            bars, center = bars + 1, market.close if abs(market.close - center) > 4 * params.step * market.close else center
        rows, sides = [], ((Leg.LONG, 1, market.long_qty, market.long_entry), (Leg.SHORT, -1, market.short_qty, market.short_entry))
        for leg, sign, held, entry in sides:
            missing = [(rung, min(params.lots, rung * params.lots - held)) for rung in (1, 2)]
            rows += [(leg, Role.ENTRY, round(center * (1 - sign * rung * params.step)), qty) for rung, qty in missing if qty > 0]
            rows += [(leg, role, round(entry * (1 + sign * steps * params.step)), held) for role, steps in EXITS if held]
        for i, row in enumerate(rows):
            wish.leg[i], wish.role[i], wish.price[i], wish.qty[i] = row
        wish.count[0] = len(rows)
        return self.State(bars, center)

    def describe(self, params, state):
        return {"ready": state.bars > 0, "regime": 0, "center": state.center, "strength": 0.0}


@hookimpl
def register_strategies(register):
    register(Tiny)
