"""The breaker panel in numbers: the shipped breakers' own measures and what `heart.breakers.Panel` makes of them.

One law: each figure comes from `kernel.measures`, as in the breaker's file, and the states move as on the panel. It acts on
nothing: `look` answers the level that a guard trips at, or -1. Kernel dialect.
"""

from __future__ import annotations

import math

from hedgegridd.kernel import ledger, measures
from hedgegridd.kernel.ledger import Books
from hedgegridd.research.fast.shapes import (
    ARMED,
    DAILY_LOSS,
    DAY_PEAK,
    DAY_START,
    DRAWDOWN,
    EQUITY,
    ERRORS_FIRST,
    ERRORS_LAST,
    FUNDING_COST,
    FUNDING_MS,
    GUARDS,
    HALT,
    MARGIN,
    MARK,
    NOW,
    OPENERS,
    ORDER_ERRORS,
    PAUSE,
    PAUSES,
    POSITION_SIZE,
    RATE,
    SEEN,
    SESSION_LOSS,
    SESSION_PEAK,
    SESSION_START,
    STALE_DATA,
    TRIPPED,
    UNKNOWN,
    WARN,
    Guards,
    Run,
    Setup,
)

FINE, BREACH, BLIND = 0, 1, 2  # what a measure says
HOUR_MS = 3_600_000
PAUSES_TO_HALT = 3
FOR_GOOD = -1  # in place of the end of a pause: a halt stays until a person resets it


def dormant(run: Run, setup: Setup, busy: bool) -> bool:
    """Nothing held or ordered, and no data yet or between two windows of it."""
    seen = run.n[SEEN]
    return not busy and (seen == 0 or run.n[NOW] - seen > setup.max_gap_ms)


def worse(value: float, limit: float, other: float, other_limit: float) -> int:
    """FINE or BREACH of the measure nearest to its threshold, the first of two as near; a limit that is nan is not watched."""
    if math.isnan(limit) or (not math.isnan(other_limit) and other / other_limit > value / limit):
        value, limit = other, other_limit
    return BREACH if value >= limit else FINE


def held_usdt(books: Books, run: Run, setup: Setup, leg: int) -> float:
    """Notional of a leg at the mark, else at its entry."""
    return worth(books, setup.terms.unit, leg, run.x[MARK])


def worth(books: Books, unit: float, leg: int, mark: float) -> float:
    """The same at a given mark."""
    qty = ledger.held(books, leg)
    if qty == 0:
        return 0.0
    return ledger.notional(qty, unit, ledger.entry(books, leg) if math.isnan(mark) else mark)


def daily_loss(run: Run, guards: Guards) -> int:
    start, equity = run.x[DAY_START], run.x[EQUITY]
    percent, amount = guards.first[DAILY_LOSS], guards.second[DAILY_LOSS]
    if not start > 0.0 or math.isnan(equity) or (math.isnan(percent) and math.isnan(amount)):
        return BLIND
    loss = start - equity
    return worse(measures.loss_pct(start, loss), percent, loss, amount)


def drawdown(run: Run, guards: Guards) -> int:
    peak, equity, daily = run.x[SESSION_PEAK], run.x[EQUITY], guards.second[DRAWDOWN]
    if not peak > 0.0 or math.isnan(equity):
        return BLIND
    value = measures.drawdown_pct(peak, equity)
    if math.isnan(daily):
        return BREACH if value >= guards.first[DRAWDOWN] else FINE
    if not run.x[DAY_PEAK] > 0.0:
        return BLIND
    return worse(value, guards.first[DRAWDOWN], measures.drawdown_pct(run.x[DAY_PEAK], equity), daily)


def funding_cost(run: Run, guards: Guards, long_usdt: float, short_usdt: float, holds: bool, asleep: bool) -> int:
    if asleep or not holds:
        return FINE
    if math.isnan(run.x[RATE]) or run.n[FUNDING_MS] == 0:
        return BLIND
    rate = measures.hourly_rate(run.x[RATE], run.n[FUNDING_MS])
    paying = long_usdt if rate > 0.0 else short_usdt
    rate = abs(rate)
    cost = measures.eight_hour_bps(rate) if paying != 0.0 else 0.0
    return worse(cost, guards.first[FUNDING_COST], rate * paying, guards.second[FUNDING_COST])


def margin(run: Run, setup: Setup, guards: Guards, long_usdt: float, short_usdt: float) -> int:
    equity, instrument = run.x[EQUITY], setup.terms.instrument
    if not equity > 0.0:
        return BLIND
    maintenance = initial = 0.0
    maintenance += ledger.leg_maint(long_usdt, setup.terms.tiers)
    initial += measures.initial_usdt(long_usdt, run.x[OPENERS], instrument.leverage)
    maintenance += ledger.leg_maint(short_usdt, setup.terms.tiers)
    initial += measures.initial_usdt(short_usdt, run.x[OPENERS + 1], instrument.leverage)
    first, second = measures.as_pct(initial / equity), measures.as_pct(maintenance / equity)
    return worse(first, guards.first[MARGIN], second, guards.second[MARGIN])


def position_size(run: Run, guards: Guards, long_usdt: float, short_usdt: float, asleep: bool) -> int:
    size = 0.0 if asleep else max(long_usdt + run.x[OPENERS], short_usdt + run.x[OPENERS + 1])
    return BREACH if size >= guards.first[POSITION_SIZE] else FINE


def session_loss(run: Run, guards: Guards) -> int:
    start, equity = run.x[SESSION_START], run.x[EQUITY]
    if not start > 0.0 or math.isnan(equity):
        return BLIND
    return BREACH if start - equity >= guards.first[SESSION_LOSS] else FINE


def stale_data(run: Run, setup: Setup, guards: Guards, asleep: bool) -> int:
    """`first` is the largest age in seconds, `second` the largest lack of quality."""
    n, at = run.n, STALE_DATA
    if asleep:
        return FINE
    if n[SEEN] == 0:
        return BLIND
    age = measures.age_seconds(max(0, n[NOW] - n[SEEN] - setup.cadence_ms))
    # Bars are all that marks the symbol, so the last price and the mark are one: nothing can be lacking between them.
    return worse(age, guards.first[at], 0.0, guards.second[at])


def measure(run: Run, setup: Setup, guard: int, books: Books, long_usdt: float, short_usdt: float, asleep: bool) -> int:
    """FINE, BREACH or BLIND, as this breaker would say now."""
    guards = run.guards
    if guard == DAILY_LOSS:
        return daily_loss(run, guards)
    if guard == DRAWDOWN:
        return drawdown(run, guards)
    if guard == FUNDING_COST:
        return funding_cost(run, guards, long_usdt, short_usdt, books.long_qty + books.short_qty > 0, asleep)
    if guard == MARGIN:
        return margin(run, setup, guards, long_usdt, short_usdt)
    if guard == ORDER_ERRORS:
        return BREACH if run.n[ERRORS_LAST] - run.n[ERRORS_FIRST] >= guards.first[ORDER_ERRORS] else FINE
    if guard == POSITION_SIZE:
        return position_size(run, guards, long_usdt, short_usdt, asleep)
    if guard == SESSION_LOSS:
        return session_loss(run, guards)
    return stale_data(run, setup, guards, asleep)


# --- what the panel makes of it -------------------------------------------------------------------------------------------


def hear(guards: Guards, guard: int, said: int, now: int) -> int:
    """The level of a trip that just began, else -1."""
    if said == BLIND:
        return _blind(guards, guard, now)
    guards.unknown_since[guard] = 0
    if said == BREACH:
        return _breach(guards, guard, now)
    return _fine(guards, guard, now)


def _blind(guards: Guards, guard: int, now: int) -> int:
    if guards.unknown_since[guard] == 0:
        guards.unknown_since[guard] = now if now != 0 else 1
    if guards.state[guard] == TRIPPED:
        return -1
    if now - guards.unknown_since[guard] >= guards.grace_ms[guard]:
        guards.state[guard], guards.in_breach[guard] = TRIPPED, 1
        guards.trips[guard] += 1
        guards.pause_until[guard] = FOR_GOOD
        return HALT
    if guards.state[guard] != UNKNOWN:
        guards.state[guard] = UNKNOWN
        guards.trips[guard] += 1
    return -1


def _breach(guards: Guards, guard: int, now: int) -> int:
    level = guards.on_trip[guard]
    if level == PAUSE and guards.pause_until[guard] != FOR_GOOD:
        guards.pause_until[guard] = now + guards.cooldown_ms[guard]
    if guards.in_breach[guard] == 1 and guards.state[guard] == TRIPPED:
        return -1
    guards.in_breach[guard], guards.state[guard] = 1, TRIPPED
    guards.trips[guard] += 1
    if level == PAUSE:
        level = _count_pause(guards, guard, now)
    return int(level)


def _count_pause(guards: Guards, guard: int, now: int) -> int:
    """Three pauses within an hour are a halt."""
    first, recent = guard * PAUSES, 0
    for at in range(first, first + guards.paused[guard]):
        if now - guards.pauses[at] < HOUR_MS and recent < PAUSES - 1:
            guards.pauses[first + recent] = guards.pauses[at]
            recent += 1
    guards.pauses[first + recent] = now
    recent += 1
    guards.paused[guard] = recent
    if recent < PAUSES_TO_HALT:
        return PAUSE
    guards.pause_until[guard] = FOR_GOOD
    return HALT


def _fine(guards: Guards, guard: int, now: int) -> int:
    guards.in_breach[guard] = 0
    if guards.state[guard] == TRIPPED:
        cooled = guards.pause_until[guard] > 0 and now >= guards.pause_until[guard]
        if guards.on_trip[guard] != WARN and not cooled:
            return -1
        guards.pause_until[guard] = 0
    guards.state[guard] = ARMED
    return -1


def hold(guards: Guards) -> int:
    """Which guard withholds openers, and since which of its trips: another number, another reason. 0 = none."""
    for guard in range(GUARDS):
        if guards.on[guard] == 1:
            if guards.state[guard] == UNKNOWN:
                return int(16 * (1_000_000 + guards.trips[guard]) + guard)
            if guards.state[guard] == TRIPPED and guards.pause_until[guard] > 0:
                return int(16 * guards.trips[guard] + guard + 1)
    return 0
