"""A look from afar at every guard: is each so far from its line that asking it would change nothing?

One law: "at ease" is never said where one measure of `panel` might not be fine: the limits themselves where they can be compared
directly, and a part in a million nearer where a division would have to be rounded the same way. What is not at ease is measured.
Kernel dialect.
"""

from __future__ import annotations

import math

from hedgegridd.kernel import ledger, measures
from hedgegridd.kernel.ledger import Books
from hedgegridd.research.fast import shapes as s
from hedgegridd.research.fast.panel import worth
from hedgegridd.research.fast.shapes import Guards, Run, Setup, books_of

NEARLY = 1.0 - 1e-6  #: of a limit: whatever is below this part of it is below it, however the figures were rounded
LEAST = 1e-6  #: a limit smaller than this part of its baseline is not told from rounding: then each figure is measured


def part(fraction: float) -> float:
    """The part of a baseline above which no loss of `fraction` is reached; nan = nobody watches, inf = too fine a line to tell."""
    if math.isnan(fraction):
        return 0.0
    return 1.0 - fraction * NEARLY if fraction > LEAST else math.inf


def loss(guards: Guards, guard: int, percent: float) -> float:
    """`part` of a guard's limit in percent."""
    return part(percent / 100.0) if guards.on[guard] == 1 else 0.0


def limit(guards: Guards, guard: int, value: float) -> float:
    """A guard's limit, or inf where nobody watches it."""
    return math.inf if guards.on[guard] == 0 or math.isnan(value) else value


def draw_lines(setup: Setup, run: Run) -> None:
    """Before the first event: how far each figure may go while its guard is surely fine."""
    guards, ease, instrument = run.guards, run.ease, setup.terms.instrument
    ease[s.EASE_DAY] = loss(guards, s.DAILY_LOSS, guards.first[s.DAILY_LOSS])
    ease[s.EASE_PEAK] = loss(guards, s.DRAWDOWN, guards.first[s.DRAWDOWN])
    ease[s.EASE_DAY_PEAK] = loss(guards, s.DRAWDOWN, guards.second[s.DRAWDOWN])
    ease[s.EASE_PAUSE] = part(setup.drawdown_pause_pct / 100.0) if setup.drawdown_pause == 1 else 0.0
    ease[s.EASE_DAY_USDT] = limit(guards, s.DAILY_LOSS, guards.second[s.DAILY_LOSS])
    ease[s.EASE_SESSION_USDT] = limit(guards, s.SESSION_LOSS, guards.first[s.SESSION_LOSS])
    ease[s.EASE_SIZE] = limit(guards, s.POSITION_SIZE, guards.first[s.POSITION_SIZE])
    ease[s.EASE_COST] = limit(guards, s.FUNDING_COST, guards.first[s.FUNDING_COST])
    ease[s.EASE_COST_USDT] = limit(guards, s.FUNDING_COST, guards.second[s.FUNDING_COST])
    ease[s.EASE_INITIAL] = limit(guards, s.MARGIN, guards.first[s.MARGIN]) / 100.0 * instrument.leverage * NEARLY
    ease[s.EASE_MAINT] = limit(guards, s.MARGIN, guards.second[s.MARGIN]) / 100.0 * NEARLY


def settled(guards: Guards) -> int:
    """1 where no guard would change by saying at a bar that all is fine, and fine they are of what is not asked in `at_ease`."""
    for guard in range(s.GUARDS):
        if guards.on[guard] == 1:
            if guards.in_breach[guard] == 1 or guards.unknown_since[guard] != 0 or guards.state[guard] == s.UNKNOWN:
                return 0
            if guards.state[guard] == s.TRIPPED and (guards.on_trip[guard] == s.WARN or guards.pause_until[guard] > 0):
                return 0
    if guards.on[s.DAILY_LOSS] == 1 and math.isnan(guards.first[s.DAILY_LOSS]) and math.isnan(guards.second[s.DAILY_LOSS]):
        return 0
    if guards.on[s.ORDER_ERRORS] == 1 and not guards.first[s.ORDER_ERRORS] > 0.0:
        return 0
    # At a bar the data are as fresh as can be, and the close is the mark.
    return 1 if guards.on[s.STALE_DATA] == 0 or (guards.first[s.STALE_DATA] > 0.0 and guards.second[s.STALE_DATA] > 0.0) else 0


def at_ease(setup: Setup, run: Run) -> bool:
    """After a bar: would asking the strategy's own guard and every breaker change nothing?"""
    x = run.x
    hour, books = hourly(x[s.RATE], run.n[s.FUNDING_MS]), books_of(run.heart)
    return unchanged(run) and far_off(setup, run, books, x[s.MARK], x[s.EQUITY], x[s.SESSION_PEAK], x[s.DAY_PEAK], hour)


def unchanged(run: Run) -> bool:
    """Whatever the prices: did every guard say that all is fine, and did nothing happen since but prices?"""
    n = run.n
    if n[s.SETTLED] == 0 or n[s.CHANGED] == 1 or n[s.PAUSED_BY] != 0:
        return False
    return bool(n[s.ERRORS_FIRST] == n[s.ERRORS_LAST] and n[s.NOW] >= n[s.ERRORS_UNTIL])


def hourly(rate: float, interval_ms: int) -> float:
    """What a leg pays or receives in an hour, its sign taken off; nan = not known."""
    return abs(measures.hourly_rate(rate, interval_ms)) if interval_ms > 0 else math.nan


def far_off(setup: Setup, run: Run, books: Books, mark: float, equity: float, peak: float, day_peak: float, hour: float) -> bool:
    """Are all figures that move with the price far from their lines?"""
    x, ease = run.x, run.ease
    start, session = x[s.DAY_START], x[s.SESSION_START]
    if not (equity > 0.0 and start > 0.0 and session > 0.0):
        return False
    if not (equity > start * ease[s.EASE_DAY] and equity > day_peak * ease[s.EASE_DAY_PEAK]):
        return False
    if not (equity > peak * ease[s.EASE_PEAK] and equity > peak * ease[s.EASE_PAUSE]):
        return False
    if not (start - equity < ease[s.EASE_DAY_USDT] and session - equity < ease[s.EASE_SESSION_USDT]):
        return False
    return easily_held(setup, run, books, mark, equity, hour)


def easily_held(setup: Setup, run: Run, books: Books, mark: float, equity: float, hour: float) -> bool:
    """Are the legs and their openers so small, and their funding so cheap, that no guard minds?"""
    x, ease, unit, tiers = run.x, run.ease, setup.terms.unit, setup.terms.tiers
    long_usdt, short_usdt = worth(books, unit, 0, mark), worth(books, unit, 1, mark)
    long, short = long_usdt + x[s.OPENERS], short_usdt + x[s.OPENERS_SHORT]
    if not (long < ease[s.EASE_SIZE] and short < ease[s.EASE_SIZE] and long + short < equity * ease[s.EASE_INITIAL]):
        return False
    if books.long_qty + books.short_qty == 0:
        return True
    if not ledger.leg_maint(long_usdt, tiers) + ledger.leg_maint(short_usdt, tiers) < equity * ease[s.EASE_MAINT]:
        return False
    if run.guards.on[s.FUNDING_COST] == 0:
        return True
    # A rate that is not known is nan, and no comparison with it is true.
    return bool(measures.eight_hour_bps(hour) < ease[s.EASE_COST] and hour * max(long_usdt, short_usdt) < ease[s.EASE_COST_USDT])
