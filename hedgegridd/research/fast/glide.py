"""Bars in a row that change nothing but prices: no order touched, every guard at ease, the wish the old one.

One law: what a stretch leaves behind is what `turn` would have left, taking its bars one by one; each figure comes from the same
function. Where a bar is not known beforehand to be of that kind, it is left to `turn` untouched; only that a wish is another one shows
once the bar was learnt from. Kernel dialect; `learn`, `still`, `stance` and `note` are bound from outside.
"""

from __future__ import annotations

from typing import Any

from hedgegridd.kernel import book as rest
from hedgegridd.kernel import ledger
from hedgegridd.kernel.book import HIGH, LOW
from hedgegridd.kernel.ledger import Books
from hedgegridd.model import Market, Moment
from hedgegridd.research.fast import ease, hear
from hedgegridd.research.fast import shapes as s
from hedgegridd.research.fast.shapes import Events, Run, Setup, books_of

DAY_MS = 86_400_000
BAR_MOMENT = int(Moment.BAR)
STRETCH = 64  #: bars that are looked over at a glance

learn: Any = None  # the strategy's, bound by research.compiled
still: Any = None
stance: Any = None
note: Any = None


def ready(run: Run) -> bool:
    """Is nothing under way that a bar would have to do with, whatever its prices?"""
    n = run.n
    if n[s.COMPARED] == 0 or n[s.STIRRED] == 1 or n[s.NOW] < n[s.REFUSED_UNTIL] or run.plan.count[0] > 0:
        return False
    if run.inbox.span[1] > 0 or n[s.WANT_DURABLE] == 1 or n[s.FLATTENING] == 1 or not ease.unchanged(run):
        return False
    long, short = run.heart[s.LONG_QTY] > 0.0, run.heart[s.SHORT_QTY] > 0.0
    if n[s.KILLED] == 1 and n[s.KILL_LEVEL] == s.FLATTEN and (long or short):
        return False
    return bool((not long or n[s.CLOSING] == 1) and (not short or n[s.CLOSING_SHORT] == 1))


def bars(setup: Setup, params: Any, run: Run, state: Any, events: Events, first: int, last: int) -> tuple[Any, int, bool]:
    """Bars from `first` on, to before `last` at most, told as well. The state, the bar to go on with, and whether it was learnt from
    already, so that only its wish is to be made."""
    n, x, unit, books = run.n, run.x, setup.terms.unit, books_of(run.heart)
    wallet, peak, day_peak, now = ledger.wallet(setup.start_usdt, 0.0, ledger.net(books)), x[s.SESSION_PEAK], x[s.DAY_PEAK], n[s.NOW]
    rate, funding_ms, next_funding = x[s.RATE], n[s.FUNDING_MS], n[s.NEXT_FUNDING]
    rows, to, at, calm, learnt = run.rows, run.rows.count[0] - first, first, first, False
    while at < last and not learnt:
        if at == calm:
            calm = far_from_all(setup, run, books, events, at, min(at + STRETCH, last), wallet, peak, day_peak)
            if at == calm:
                break
        time, close = events.time[at], events.close[at]
        mark = float(close)
        equity = wallet + ledger.unrealized(books, unit, mark)
        peak, day_peak, now = max(peak, equity), max(day_peak, equity), max(now, time)
        market = Market(
            BAR_MOMENT, now, events.open[at], events.high[at], events.low[at], close, mark, rate, funding_ms, next_funding, 0, 0, 0, 0,
            books.long_qty, books.long_entry, books.short_qty, books.short_entry, 1.0, 1.0, equity,
        )  # fmt: skip
        state = learn(params, state, market)
        learnt = not still(params, state, market)
        rows.equity[to + at] = equity
        rows.regime[to + at], rows.center[to + at] = stance(params, state)
        at += 1
    if at > first:
        n[s.NOW], n[s.BARS], x[s.SESSION_PEAK], x[s.DAY_PEAK] = now, n[s.BARS] + at - first, peak, day_peak
        see(setup, run, events, at - 1)
    at -= 1 if learnt else 0
    if at > first and setup.rows == 1:
        tell(run, books, events, first, at)
    return state, at, learnt


def far_from_all(setup: Setup, run: Run, books: Books, events: Events, first: int, last: int, wallet: float, peak: float,
                 day_peak: float) -> int:  # fmt: skip
    """The bar up to which, from `first` on, none touches an order or comes near a guard's line: as many as can be told at a glance."""
    n, edge = run.n, run.book.edge
    low, high, above, below, midnight = edge[LOW], edge[HIGH], n[s.ABOVE], n[s.BELOW], n[s.DAY] + DAY_MS
    least, most, at = rest.FAR, 0, first
    while at < last:
        close = events.close[at]
        if events.kind[at] != s.BAR or events.time[at] >= midnight or events.low[at] <= low or events.high[at] >= high:
            break
        if close <= above or close >= below:
            break
        least, most, at = min(least, close), max(most, close), at + 1
    hourly = ease.hourly(run.x[s.RATE], n[s.FUNDING_MS])
    if at > first and not at_worst(setup, run, books, least, most, wallet, peak, day_peak, hourly):
        at = first + 1 if at_worst(setup, run, books, events.close[first], events.close[first], wallet, peak, day_peak, hourly) else first
    return at


def at_worst(setup: Setup, run: Run, books: Books, least: int, most: int, wallet: float, peak: float, day_peak: float,
             hourly: float) -> bool:  # fmt: skip
    """Are all guards far from their lines whatever closes there are from `least` to `most`? Rounding keeps order, so that no equity
    between is below, and none above, what both legs make of the ends that are worst, and best, for each; one close is itself."""
    unit, down, up = setup.terms.unit, float(least), float(most)
    worst = wallet + (ledger.leg_unrealized(books, unit, 0, down) + ledger.leg_unrealized(books, unit, 1, up))
    best = wallet + (ledger.leg_unrealized(books, unit, 0, up) + ledger.leg_unrealized(books, unit, 1, down))
    return ease.far_off(setup, run, books, up, worst, max(peak, best), max(day_peak, best), hourly)


def see(setup: Setup, run: Run, events: Events, at: int) -> None:
    """Heart and exchange as the last bar left them."""
    n = run.n
    if events.time[at] > n[s.X_NOW]:
        n[s.X_NOW] = events.time[at]
    rest.see_price(run.book, events.close[at], events.volume[at])
    hear.see_bar(run, events, at)
    hear.revalue(setup, run)
    n[s.DIRTY] = 0


def tell(run: Run, books: Books, events: Events, first: int, last: int) -> None:
    """The rows of a stretch: what its loop left out. Most is the same in all of them."""
    n, x, rows, course, row = run.n, run.x, run.rows, run.course, run.rows.count[0]
    long_stop, short_stop, long_rungs, short_rungs = n[s.STOP_AT], n[s.STOP_AT_SHORT], n[s.ENTRIES], n[s.ENTRIES_SHORT]
    rate, wallet = x[s.RATE], x[s.WALLET]
    for at in range(first, last):
        rows.time[row], rows.close[row] = events.time[at], events.close[at]
        rows.long_qty[row], rows.short_qty[row] = books.long_qty, books.short_qty
        rows.long_entry[row], rows.short_entry[row] = books.long_entry, books.short_entry
        rows.long_stop[row], rows.short_stop[row] = long_stop, short_stop
        rows.long_rungs[row], rows.short_rungs[row] = long_rungs, short_rungs
        rows.funding_rate[row], rows.realized[row], rows.fees[row], rows.funding[row] = rate, books.realized, books.fees, books.funding
        rows.wallet[row] = wallet
        note(course, events.time[at], rows.equity[row])
        row += 1
    rows.count[0] = row
