"""One moment after the other: what `heart.engine` does with events and names, done with rows, for one symbol on paper.

One law: the same decisions, in the same order. Thought is the strategy's own `step`, orders are compared by `kernel.diff`, money is
`kernel.ledger`'s; what stands here is the engine's order of thought: facts, risk, strategy, gate, orders, protection, flatten.
Whatever it was not made for sets BAIL, and the full engine takes over. Kernel dialect; `step` and `stance` are bound from outside.
"""

from __future__ import annotations

import math
from typing import Any

from hedgegridd.kernel import diff, ledger, measures
from hedgegridd.kernel.book import CLOSE, ENTRY, FAR, STOP, TAKE_PROFIT
from hedgegridd.kernel.exits import emergency_trigger
from hedgegridd.kernel.ledger import Books
from hedgegridd.model import Market, Moment
from hedgegridd.research.fast import ease, gate, glide, hear, panel, pit, refusals
from hedgegridd.research.fast import shapes as s
from hedgegridd.research.fast.shapes import Events, Run, Setup, books_of
from hedgegridd.research.fast.told import log

DAY_MS = 86_400_000
MINUTE_MS = 60_000
REFUSED_MS = 1_000
RETRY_MAX_MS = 5_000
BAR_MOMENT = int(Moment.BAR)

step: Any = None  # the strategy's, bound by research.compiled
stance: Any = None
learn: Any = None  # the parts of `step` at a bar, where the strategy names them
still: Any = None
wishes: Any = None
note: Any = None
"""`kernel.metrics.note`"""


def begin(setup: Setup, run: Run, time: int) -> None:
    """The first event of a life."""
    n, x = run.n, run.x
    n[s.NOW], n[s.X_NOW], n[s.FUNDING_MS], n[s.UNSETTLED] = time, 0, 28_800_000, 1
    n[s.DAY] = time - time % DAY_MS
    n[s.HOLD], n[s.STIRRED], n[s.DIRTY] = 0, 1, 1
    x[s.MARK], x[s.RATE] = math.nan, math.nan
    for at in (s.EQUITY, s.WALLET, s.SESSION_START, s.SESSION_PEAK, s.DAY_START, s.DAY_PEAK):
        x[at] = setup.start_usdt
    note(run.course, time, setup.start_usdt)
    ease.draw_lines(setup, run)
    pit.report(run)


def play(setup: Setup, params: Any, run: Run, state: Any, events: Events, first: int, last: int) -> tuple[Any, int]:
    """Take in events `first` to before `last`, as far as the log has room; the state, and which event comes next."""
    at = first
    while at < last:
        if run.log.count[0] > s.LOG_ROWS - s.LOG_SPARE or run.log.trips[0] > s.TRIPS - s.GUARDS or run.n[s.BAIL] != 0:
            return state, at
        learnt = False
        if events.kind[at] == s.BAR and glide.ready(run):
            state, at, learnt = glide.bars(setup, params, run, state, events, at, last)
            if at == last:
                return state, at
        state = one(setup, params, run, state, events, at, learnt)
        at += 1
    return state, last


def one(setup: Setup, params: Any, run: Run, state: Any, events: Events, at: int, learnt: bool) -> Any:
    """Take in one event; of a bar that was `learnt` from only the wish is to be made."""
    kind, time = events.kind[at], events.time[at]
    if learnt:
        state = wishes(params, state, market_of(run, BAR_MOMENT, run.n[s.NOW], 0, 0, 0, 0, 1.0), run.wish)
        if act(setup, run, False):
            state = hear_out(setup, params, run, state, events, at)
    elif kind == s.BAR and pit.passes(run, time, events.high[at], events.low[at], events.close[at], events.volume[at]):
        calm = look(setup, run, events, at)
        market = market_of(run, BAR_MOMENT, run.n[s.NOW], 0, 0, 0, 0, 1.0)
        state = learn(params, state, market)
        if not still(params, state, market):
            state = wishes(params, state, market, run.wish)
            calm = False
        if act(setup, run, calm):
            state = hear_out(setup, params, run, state, events, at)
    elif kind == s.WARM:
        state = warm(params, run, state, events, at)
    else:
        if kind == s.BAR:
            pit.see_bar(run, setup, time, events.open[at], events.high[at], events.low[at], events.close[at], events.volume[at])
        elif kind == s.FUNDING:
            pit.settle(run, setup, time, events.rate[at])
        state = listen(setup, params, run, state, events, at)
    if kind == s.BAR and setup.rows == 1:
        tell_bar(setup, params, run, state, time)
    return state


def look(setup: Setup, run: Run, events: Events, at: int) -> bool:
    """A bar completed that touched no order: facts and risk. Is every guard at ease? Then none was asked, as none would say a new thing."""
    n = run.n
    if events.time[at] > n[s.NOW]:
        pass_time(run, events.time[at])
    hear.bar(setup, run, events, at)
    if ease.at_ease(setup, run):
        n[s.DIRTY] = 0
        return True
    risk(setup, run)
    return False


def act(setup: Setup, run: Run, calm: bool) -> bool:
    """After thought: orders, protection, flatten. Where all is calm and the wish is the old one, nothing is compared that was compared
    before. Is there anything to hear now?"""
    n = run.n
    if not (calm and compared(run)):
        n[s.STIRRED] = 1
        compare(setup, run)
    elif run.plan.count[0] > 0:
        try_again(setup, run)
    protect(setup, run)
    flatten(setup, run)
    return bool(run.inbox.span[1] > 0 or n[s.WANT_DURABLE] == 1)


def listen(setup: Setup, params: Any, run: Run, state: Any, events: Events, at: int) -> Any:
    """What the exchange said of the event, the event, and all that follows: until nothing is left to say."""
    kind = events.kind[at]
    if kind == s.BAR:
        pit.say(run, s.SEE_BAR, 0, 0, 0, 0, 0, 0, 0.0)
    elif kind == s.FUNDING:
        pit.say(run, s.SEE_FUNDING, 0, 0, 0, 0, 0, 0, 0.0)
    elif kind == s.GAP:
        pit.say(run, s.SEE_GAP, 0, 0, 0, 0, 0, 0, 0.0)
        if events.open[at] == 1:
            pit.say(run, s.SEE_OUTLOOK, 0, 0, 0, 0, 0, 0, 0.0)
    elif kind == s.OUTLOOK:
        pit.say(run, s.SEE_OUTLOOK, 0, 0, 0, 0, 0, 0, 0.0)
    else:
        pit.say(run, s.STOPPING, 0, 0, 0, 0, 0, 0, 0.0)
    return hear_out(setup, params, run, state, events, at)


def hear_out(setup: Setup, params: Any, run: Run, state: Any, events: Events, at: int) -> Any:
    """Until nothing is left to say, and the disk has spoken: facts and risk, thought, then orders."""
    while hear_some(setup, run, events, at):
        state = think(params, run, state)
        answer(setup, run)
    run.inbox.span[0] = run.inbox.span[1] = 0
    if run.n[s.TIDY] == 1:
        forget(run)
    return state


def hear_some(setup: Setup, run: Run, events: Events, at: int) -> bool:
    """Until something gives thought. False = all was heard. The state of the strategy, a large one, is not carried along here."""
    n, span = run.n, run.inbox.span
    while span[0] < span[1] or n[s.WANT_DURABLE] == 1:
        place, kind = span[0], s.DURABLE
        if place < span[1]:
            kind = run.inbox.kind[place]
            span[0] = place + 1
        else:
            n[s.WANT_DURABLE] = 0
        take(setup, run, kind, place, events, at)
        if n[s.THOUGHTS] > 0:
            return True
        answer(setup, run)
    return False


def answer(setup: Setup, run: Run) -> None:
    """After thought, if there was any: orders, protection, flatten."""
    compare(setup, run)
    protect(setup, run)
    flatten(setup, run)


def take(setup: Setup, run: Run, kind: int, place: int, events: Events, at: int) -> None:
    """The facts of one saying or event, and what the guards make of them."""
    n = run.n
    time = n[s.X_NOW]
    if s.SEE_BAR <= kind <= s.SEE_OUTLOOK or kind == s.STOPPING:
        time = events.time[at]
    if time > n[s.NOW]:
        pass_time(run, time)
    n[s.THOUGHTS] = 0
    if kind <= s.PAID:
        hear.exchange(setup, run, kind, place)
    elif kind == s.SEE_BAR:
        hear.bar(setup, run, events, at)
        hear.reason(run, BAR_MOMENT, 0, 0, 0, 0)
    elif kind == s.REPORT:
        hear.report(run, place)
    elif kind == s.DURABLE:
        gate.release(setup, run)
    else:
        hear.market(run, kind, events, at)
    if n[s.DIRTY] == 1:
        risk(setup, run)


def pass_time(run: Run, time: int) -> None:
    """A new day begins with the equity as it stood; refusals older than a minute count no more."""
    n, x = run.n, run.x
    n[s.NOW] = time
    if time - n[s.DAY] >= DAY_MS:
        n[s.DAY] = time - time % DAY_MS
        x[s.DAY_START] = x[s.DAY_PEAK] = x[s.EQUITY]
    while n[s.ERRORS_FIRST] < n[s.ERRORS_LAST] and time - run.errors[n[s.ERRORS_FIRST] % s.ERRORS] >= MINUTE_MS:
        n[s.ERRORS_FIRST] += 1
        n[s.DIRTY] = 1


def warm(params: Any, run: Run, state: Any, events: Events, at: int) -> Any:
    """A bar from before the start: learnt from, not traded on."""
    hear.see_bar(run, events, at)
    run.n[s.STIRRED] = 1
    return step(params, state, market_of(run, BAR_MOMENT, events.time[at], 0, 0, 0, 0, 0.0), run.wish)


def forget(run: Run) -> None:
    """Drop the rows of orders that neither side knows any more."""
    orders, kept = run.orders, 0
    run.n[s.TIDY] = 0
    for row in range(orders.count[0]):
        if orders.mine[row] == 1 or orders.rests[row] == 1:
            if kept != row:
                orders.ticket[kept], orders.leg[kept], orders.role[kept] = orders.ticket[row], orders.leg[row], orders.role[row]
                orders.price[kept], orders.qty[kept], orders.filled[kept] = orders.price[row], orders.qty[row], orders.filled[row]
                orders.state[kept], orders.ending[kept], orders.mine[kept] = orders.state[row], orders.ending[row], orders.mine[row]
                orders.rests[kept], orders.there[kept], orders.done[kept] = orders.rests[row], orders.there[row], orders.done[row]
                orders.at[kept] = orders.at[row]
            kept += 1
    orders.count[0] = kept


# --- risk ---------------------------------------------------------------------------------------------------------------


def risk(setup: Setup, run: Run) -> None:
    """The strategy's own risk_management, then every breaker."""
    n = run.n
    n[s.DIRTY], n[s.WEIGHED] = 0, 1
    gate.tally(run, setup)
    if n[s.NOW] == n[s.SEEN] and ease.at_ease(setup, run):  # the data are as fresh as at a bar
        return
    own_guard(setup, run)
    if setup.guarded == 0:
        n[s.SETTLED] = 1
        return
    books = books_of(run.heart)
    long_usdt, short_usdt = panel.held_usdt(books, run, setup, 0), panel.held_usdt(books, run, setup, 1)
    busy = books.long_qty + books.short_qty > 0 or gate.any_mine(run)
    asleep = panel.dormant(run, setup, busy)
    for guard in range(s.GUARDS):
        if run.guards.on[guard] == 1:
            said = panel.measure(run, setup, guard, books, long_usdt, short_usdt, asleep)
            level = panel.hear(run.guards, guard, said, n[s.NOW])
            if level >= 0:
                trip(run, guard, level, books, long_usdt, short_usdt, asleep)
    n[s.SETTLED] = ease.settled(run.guards)


def own_guard(setup: Setup, run: Run) -> None:
    """0 = openers may rest, 1 = too many refused orders, 2 = drawdown."""
    n, x, why = run.n, run.x, 0
    if setup.errors_pause == 1:
        if n[s.ERRORS_LAST] - n[s.ERRORS_FIRST] >= setup.errors_pause_count:
            n[s.ERRORS_UNTIL] = n[s.NOW] + setup.errors_pause_ms
        if n[s.NOW] < n[s.ERRORS_UNTIL]:
            why = 1
    if setup.drawdown_pause == 1 and x[s.SESSION_PEAK] > 0.0:
        line = setup.drawdown_pause_pct * (0.8 if n[s.PAUSED_BY] == 2 else 1.0)
        if measures.drawdown_pct(x[s.SESSION_PEAK], x[s.EQUITY]) >= line:
            why = 2
    if why != n[s.PAUSED_BY]:
        n[s.PAUSED_BY], n[s.STIRRED] = why, 1


def trip(run: Run, guard: int, level: int, books: Books, long_usdt: float, short_usdt: float, asleep: bool) -> None:
    """A guard tripped: keep the picture it was taken from, and do what its level asks for."""
    picture(run, guard, books, long_usdt, short_usdt, asleep)
    log(run, s.L_TRIP, guard, 0, level, 0, 0, run.guards.paused[guard], run.log.trips[0], 0.0, 0.0)
    run.log.trips[0] += 1
    if level < s.HALT:
        return
    n = run.n
    rises = n[s.KILLED] == 0 or level > n[s.KILL_LEVEL]
    if rises:
        n[s.KILLED], n[s.KILL_LEVEL] = 1, level
        log(run, s.L_KILL, guard, 0, level, 0, 0, 0, 0, 0.0, 0.0)
    n[s.WANT_DURABLE] = 1
    gate.drop_waiting(run)
    if rises and level == s.FLATTEN:
        start_flatten(run)


def picture(run: Run, guard: int, books: Books, long_usdt: float, short_usdt: float, asleep: bool) -> None:
    """The numbers of the snapshot that a breaker saw, in the order of `fastrun.Picture`."""
    n, x, at = run.n, run.x, run.log.trips[0] * s.PICTURE
    account = (
        float(n[s.NOW]), x[s.EQUITY], x[s.WALLET], books.realized, x[s.MARKED], books.fees, books.funding, x[s.SESSION_START],
        x[s.SESSION_PEAK], x[s.DAY_START], x[s.DAY_PEAK], float(n[s.ERRORS_LAST] - n[s.ERRORS_FIRST]),
    )  # fmt: skip
    symbol = (
        x[s.MARK], float(n[s.CLOSE]), float(n[s.HIGH]), float(n[s.LOW]), float(n[s.HAS_BAR]), x[s.RATE], float(n[s.NEXT_FUNDING]),
        float(n[s.FUNDING_MS]), float(n[s.SEEN]),
    )  # fmt: skip
    long = (float(books.long_qty), books.long_entry, long_usdt, x[s.OPENERS], float(n[s.STOP_AT]))
    short = (float(books.short_qty), books.short_entry, short_usdt, x[s.OPENERS_SHORT], float(n[s.STOP_AT_SHORT]))
    rest = (float(n[s.VOLUME]), 1.0 if asleep else 0.0, float(run.guards.unknown_since[guard]))
    at = paint(run, at, account)
    at = paint(run, at, symbol)
    at = paint(run, at, long)
    at = paint(run, at, short)
    paint(run, at, rest)


def paint(run: Run, at: int, values: tuple[float, ...]) -> int:
    """A part of a picture; where the next one goes."""
    for value in values:
        run.log.picture[at] = value
        at += 1
    return at


# --- thought and orders -------------------------------------------------------------------------------------------------


def think(params: Any, run: Run, state: Any) -> Any:
    """Ask the strategy about each thing that gave reason to."""
    n, thought = run.n, run.thought
    for at in range(n[s.THOUGHTS]):
        n[s.STIRRED] = 1
        if n[s.HAS_BAR] == 0:
            run.wish.count[0] = 0
        else:
            market = market_of(
                run, thought.moment[at], n[s.NOW], thought.leg[at], thought.role[at], thought.price[at], thought.qty[at], 1.0
            )  # fmt: skip
            state = step(params, state, market, run.wish)
    return state


def market_of(run: Run, moment: int, time: int, leg: int, role: int, price: int, qty: int, throttle: float) -> Market:
    """All that a strategy may know now."""
    n, x, books = run.n, run.x, books_of(run.heart)
    return Market(
        moment, time, n[s.OPEN], n[s.HIGH], n[s.LOW], n[s.CLOSE], x[s.MARK], x[s.RATE], n[s.FUNDING_MS], n[s.NEXT_FUNDING], leg, role,
        price, qty, books.long_qty, books.long_entry, books.short_qty, books.short_entry, throttle, throttle, x[s.EQUITY],
    )  # fmt: skip


def compare(setup: Setup, run: Run) -> None:
    """Wish against orders, where either was stirred or the reason to withhold openers changed."""
    n = run.n
    held_back = gate.hold(run)
    if held_back != n[s.HOLD]:
        n[s.HOLD], n[s.STIRRED] = held_back, 1
    if n[s.STIRRED] == 0:
        return
    n[s.STIRRED] = 0
    sift(run, held_back != 0 or n[s.HALTED] == 1 or n[s.PAUSED_BY] != 0)
    fill_resting(run)
    found = diff.diff(run.wanted, run.resting, setup.price_tolerance_bps, setup.qty_tolerance_pct, run.plan)
    n[s.COMPARED] = 1 if n[s.NOW] >= n[s.REFUSED_UNTIL] else 0
    if found > 0:
        n[s.PLANS] += 1
        perform(setup, run, found)


def compared(run: Run) -> bool:
    """Would a comparison find what the last one found: the same wish, orders that are as they were, no price crossed?"""
    n = run.n
    calm = n[s.COMPARED] == 1 and n[s.STIRRED] == 0 and n[s.NOW] >= n[s.REFUSED_UNTIL]
    return bool(calm and n[s.ABOVE] < n[s.TRADED] < n[s.BELOW])


def try_again(setup: Setup, run: Run) -> None:
    """What the last comparison found and the gate did not let through."""
    run.n[s.PLANS] += 1
    perform(setup, run, run.plan.count[0])


def sift(run: Run, held_back: bool) -> None:
    """The wish without what may not rest now: openers on hold, those that would take, and rungs that were just refused."""
    n, wish, wanted, kept = run.n, run.wish, run.wanted, 0
    calm = n[s.NOW] >= n[s.REFUSED_UNTIL]
    n[s.ABOVE], n[s.BELOW] = -FAR, FAR
    for row in range(wish.count[0]):
        leg, role, price = wish.leg[row], wish.role[row], wish.price[row]
        if n[s.FLATTENING] == 1:
            continue
        if role == ENTRY and (held_back or takes(run, leg, price)):
            continue
        if not calm and n[s.NOW] < refusals.refused_until(run.refusals, leg, role, price):
            continue
        wanted.leg[kept], wanted.role[kept], wanted.price[kept], wanted.qty[kept] = leg, role, price, wish.qty[row]
        kept += 1
    wanted.count[0] = kept


def takes(run: Run, leg: int, price: int) -> bool:
    """Is the market, as last traded, at or through this entry's price?"""
    n = run.n
    if n[s.HAS_BAR] == 0:
        return False
    through = price >= n[s.TRADED] if leg == 0 else price <= n[s.TRADED]
    if through == (leg == 0):  # the same answer as long as the market stays on this side of the price
        n[s.BELOW] = min(n[s.BELOW], price + 1 if through else price)
    else:
        n[s.ABOVE] = max(n[s.ABOVE], price - 1 if through else price)
    return bool(through)


def fill_resting(run: Run) -> None:
    """The heart's open orders as columns, but for closes and while a flatten has them in hand. A held leg's stop stays where none
    is wanted."""
    orders, resting, at = run.orders, run.resting, 0
    kept_long, kept_short = keeps_stop(run, 0), keeps_stop(run, 1)
    if run.n[s.FLATTENING] == 0:
        for row in range(orders.count[0]):
            if orders.mine[row] == 1 and orders.role[row] != CLOSE:
                resting.leg[at], resting.role[at], resting.price[at] = orders.leg[row], orders.role[row], orders.price[row]
                resting.remaining[at] = orders.qty[row] - orders.filled[row]
                kept = orders.role[row] == STOP and (kept_short if orders.leg[row] == 1 else kept_long)
                resting.state[at] = 3 if orders.ending[row] == 1 or kept else orders.state[row]
                run.rows_of[at], orders.at[row] = row, at
                at += 1
    resting.count[0] = at


def keeps_stop(run: Run, leg: int) -> bool:
    """Is this leg held, and no stop of it wanted?"""
    if ledger.held(books_of(run.heart), leg) == 0:
        return False
    for row in range(run.wanted.count[0]):
        if run.wanted.role[row] == STOP and run.wanted.leg[row] == leg:
            return False
    return True


def perform(setup: Setup, run: Run, found: int) -> None:
    """A plan: all cancels, then what else it says, in its order."""
    plan, wanted, sent = run.plan, run.wanted, False
    for i in range(found):
        if plan.action[i] == diff.Action.CANCEL:
            sent = gate.cancel(run, run.rows_of[plan.row[i]]) or sent
    if sent:
        pit.tidy(run, setup)
    for i in range(found):
        at = plan.row[i]
        if plan.action[i] == diff.Action.AMEND:
            gate.amend(setup, run, run.rows_of[at], plan.qty[i])
        elif plan.action[i] == diff.Action.PLACE:
            gate.place(setup, run, wanted.leg[at], wanted.role[at], wanted.price[at], plan.qty[i])


# --- protection and flatten ---------------------------------------------------------------------------------------------


def protect(setup: Setup, run: Run) -> None:
    """No leg without a stop: put one under it, or close it where the market is through or the exchange refused the stop twice."""
    books = books_of(run.heart)
    if books.long_qty + books.short_qty == 0 or run.n[s.FLATTENING] == 1:
        return
    gate.tally(run, setup)
    if (books.long_qty == 0 or run.n[s.CLOSING] == 1) and (books.short_qty == 0 or run.n[s.CLOSING_SHORT] == 1):
        return
    rescue_bare(setup, run, books)


def rescue_bare(setup: Setup, run: Run, books: Books) -> None:
    """The legs that have no stop."""
    bare_long = books.long_qty > 0 and run.n[s.CLOSING] == 0
    bare_short = books.short_qty > 0 and run.n[s.CLOSING_SHORT] == 0
    if bare_long:
        rescue(setup, run, books, 0)
    if bare_short:
        rescue(setup, run, books, 1)


def rescue(setup: Setup, run: Run, books: Books, leg: int) -> None:
    """One bare leg."""
    trigger = emergency_trigger(leg, ledger.entry(books, leg), run.x[s.MARK], setup.emergency_pct)
    if refusals.refused_wait(run.refusals, leg, STOP, trigger) > REFUSED_MS:
        trigger = 0
    if run.n[s.NOW] < refusals.refused_until(run.refusals, leg, STOP if trigger > 0 else CLOSE, trigger):
        return
    if trigger > 0:
        gate.place(setup, run, leg, STOP, trigger, ledger.held(books, leg))
    else:
        gate.close_leg(setup, run, leg, ledger.held(books, leg))


def start_flatten(run: Run) -> None:
    """Begin to close everything at the end of this saying."""
    n = run.n
    n[s.FLATTENING], n[s.PHASE], n[s.FLAT_ASKED], n[s.RETRY_MS], n[s.RETRY_AT] = 1, s.CANCELLING, 0, 250, 0
    n[s.WANT_DURABLE] = 1


def flatten(setup: Setup, run: Run) -> None:
    """Openers and take-profits go, legs are closed; then the stops; then the exchange is asked."""
    if run.n[s.KILLED] == 1 or run.n[s.FLATTENING] == 1:
        advance(setup, run)


def advance(setup: Setup, run: Run) -> None:
    """The kill switch is active, or a flatten on its way."""
    n, books = run.n, books_of(run.heart)
    holds = books.long_qty + books.short_qty > 0
    if n[s.KILLED] == 1 and n[s.KILL_LEVEL] == s.FLATTEN and holds and n[s.FLATTENING] == 0:
        start_flatten(run)
    if n[s.FLATTENING] == 0:
        return
    for leg in (0, 1):
        gate.cancel_roles(setup, run, leg, ENTRY, TAKE_PROFIT)
        close_in_pieces(setup, run, books, leg)
    if holds or gate.count_roles(run, ENTRY, TAKE_PROFIT, CLOSE) > 0:
        n[s.PHASE], n[s.FLAT_ASKED] = s.CANCELLING, 0
        return
    for leg in (0, 1):
        gate.cancel_roles(setup, run, leg, STOP, STOP)
    if gate.count_roles(run, STOP, STOP, STOP) > 0:
        return
    n[s.PHASE] = s.VERIFYING
    if n[s.FLAT_ASKED] == 0 or n[s.NOW] - n[s.FLAT_ASKED] >= RETRY_MAX_MS:
        n[s.FLAT_ASKED] = n[s.NOW]
        pit.report(run)


def close_in_pieces(setup: Setup, run: Run, books: Books, leg: int) -> None:
    """Close what is held and not being closed yet: a large leg in tranches, none larger than the largest market order."""
    held = ledger.held(books, leg)
    left = held - gate.closing_qty(run, leg)
    if left <= 0 or run.n[s.NOW] < run.n[s.RETRY_AT]:
        return
    most = held
    if setup.tranches > 1 and panel.held_usdt(books, run, setup, leg) >= setup.tranche_usdt:
        most = -(-held // setup.tranches)
    most = min(setup.terms.instrument.market_max_qty, most)
    while left > 0:
        piece = min(left, most)
        gate.place(setup, run, leg, CLOSE, 0, piece)
        left -= piece


# --- what is told -------------------------------------------------------------------------------------------------------


def tell_bar(setup: Setup, params: Any, run: Run, state: Any, time: int) -> None:
    """A row of the symbol and the account after a bar and all that came of it."""
    n, x, rows, books = run.n, run.x, run.rows, books_of(run.heart)
    gate.tally(run, setup)
    at = rows.count[0]
    regime, center = stance(params, state)
    rows.time[at], rows.close[at], rows.regime[at], rows.center[at] = time, n[s.CLOSE], regime, center
    rows.long_qty[at], rows.short_qty[at] = books.long_qty, books.short_qty
    rows.long_entry[at], rows.short_entry[at] = books.long_entry, books.short_entry
    rows.long_stop[at], rows.short_stop[at] = n[s.STOP_AT], n[s.STOP_AT_SHORT]
    rows.long_rungs[at], rows.short_rungs[at] = n[s.ENTRIES], n[s.ENTRIES_SHORT]
    rows.funding_rate[at], rows.realized[at], rows.fees[at], rows.funding[at] = x[s.RATE], books.realized, books.fees, books.funding
    rows.equity[at], rows.wallet[at] = x[s.EQUITY], x[s.WALLET]
    rows.count[0] = at + 1
    note(run.course, time, x[s.EQUITY])
