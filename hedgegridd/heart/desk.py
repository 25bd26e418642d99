"""The desk: all we know of one symbol (its market, books, orders, strategy) and what should rest there.

One law: it knows and thinks, it does not act. `think` asks the strategy, `compare` turns wish and orders into a plan; only the
engine acts on a plan, through the gate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from hedgegridd.heart.modes import LegMode, Standing
from hedgegridd.heart.moves import told
from hedgegridd.heart.orders import Orders
from hedgegridd.heart.tally import Tally, tally
from hedgegridd.heart.window import LONG, Window
from hedgegridd.kernel import diff, ledger
from hedgegridd.model import Array, Bar, Fill, Instrument, Leg, Mark, Market, Moment, Order, OrderState, Quote, Role, entry_side, new_wish
from hedgegridd.views import InstrumentView, LegView

LEGS = (Leg.LONG, Leg.SHORT)
ENTRY, STOP, CLOSE = int(Role.ENTRY), int(Role.STOP), int(Role.CLOSE)
TAKES = "would take: the market is through this price, and openers are makers only"
REFUSED_MS, REFUSED_MAX_MS = 1_000, 60_000
ERRORS_MS = 60_000
NESTED = (tuple, list)
BAR_SPEAKS_MS = 5_000  # how long a bar's close says where the market trades


class Refusal(NamedTuple):
    """A rung the exchange refused: not before `until` again."""

    until: int
    wait_ms: int
    reason: str


def pack(value: Any) -> Any:
    """Nested NamedTuples and lists of numbers as nested lists, for a checkpoint."""
    if not isinstance(value, NESTED):
        return value
    return [pack(item) if isinstance(item, NESTED) else item for item in value]  # not asked of each number: there are thousands


def unpack(template: Any, data: Any) -> Any:
    """The inverse of `pack`: a value of the template's shape (a list's length is the data's)."""
    if isinstance(template, tuple):
        return type(template)(*(unpack(part, item) for part, item in zip(template, data, strict=True)))
    return list(data) if isinstance(template, list) else data


class Desk:
    """One symbol's market, position, orders and strategy."""

    remote = False  # does its strategy think elsewhere? (heart.remote)
    thinking = False  # is it being asked there?
    books: ledger.Books = told()
    standing: tuple[Standing, Standing] = told()  # the mode of each leg
    bar: Bar | None = told()
    quote: Quote | None = told()
    mark: float | None = told()
    beside_mark: float | None = told()  # where the market traded when the mark was told
    index: float | None = told()
    funding_rate: float | None = told()
    next_funding: int | None = told()
    funding_interval_ms: int = told()
    seen: int = told()  # time of the last market event; the window moves with it
    window: Window | None = told()  # rolling figures, where an armed breaker needs them

    def __init__(self, symbol: str, instrument: Instrument, strategy: Any, settings: Any, *, marks: bool, max_gap_ms: int) -> None:
        self.moved, self.row = set[int](), 0  # who wants to know when it moved (heart.moves), and as what
        self.symbol, self.instrument, self.strategy, self.settings = symbol, instrument, strategy, settings
        self.carries_marks, self.max_gap_ms = marks, max_gap_ms
        self.unit, self.tiers = instrument.unit, ledger.tiers_of(instrument)
        self.params = strategy.params(settings, instrument)
        self.state = strategy.initial(self.params)
        self.orders = Orders(symbol, self._ordered)
        self.books = ledger.Books(0, 0.0, 0, 0.0, 0.0, 0.0, 0.0)
        self.funding_cost = [0.0, 0.0]  # cumulative since the leg was opened, USDT, positive = paid
        self.paid_at = [0, 0]  # time of the last funding booked on each leg
        self.adopted_at = [0, 0]  # when a leg's quantity was taken from the exchange: what executed before is in it
        self.owed: list[list[list[int]]] = [[], []]  # (lots, price) closed on each leg whose opening we have not heard of
        self.owed_at = [0, 0]  # since when
        self.adopts = False  # at a start in live: take up a position that the journal cannot explain
        self.basis_at_entry: list[float | None] = [None, None]
        self.throttle = [1.0, 1.0]
        self.standing = (Standing(), Standing())
        self.halted = ""  # why nothing may open on this symbol until a person resumes it
        self.broken = False  # its strategy failed, and is not asked again until then
        self.guarded = ""  # why the strategy's own risk_management pauses this symbol's openers
        self.errors: list[int] = []  # times of refused orders within the last minute
        self.errors_until = 0  # until when too many of them pause openers
        position, risk = getattr(settings, "position", None), getattr(settings, "risk_management", None)
        self.max_position_pct = math.inf
        if position is not None and (risk is None or risk.enable_position_validation):
            self.max_position_pct = position.max_position_pct
        self.bar = self.quote = None
        self.traded: int | None = None  # price of the last trade known, ticks
        self.trades = False  # public trades arrive: bars only sum them up
        self.volume = 0  # lots the market traded, by trades, else by bars: means something as a difference
        self.mark = self.beside_mark = self.index = self.funding_rate = self.next_funding = None
        self.funding_interval_ms, self.seen = 28_800_000, 0
        self.window = None
        self.ready = False
        self.wish = new_wish()
        self.wanted = new_wish()  # the wish less what may not rest now
        self.noted: list[tuple[Any, ...]] = []  # monitor mode: the wish journaled last
        self.withheld: list[tuple[int, int, int, int, str]] = []  # (leg, role, price, qty, why) of wished rungs that may not rest
        self.refusals: dict[tuple[int, int, int], Refusal] = {}
        self.resting = diff.new_resting(len(self.wish.leg))
        self.names: list[str] = []  # client ids by row of `resting`
        self.plan = diff.new_plan(2 * len(self.wish.leg))
        self._tally, self._tallied = tally((), self.unit), (self.orders.open, 0)  # and of which orders, after how many changes
        self._legs_of: tuple[Any, ...] = ()  # what `_legs` was made of
        self._legs = (self.leg_view(Leg.LONG), self.leg_view(Leg.SHORT))
        self._shaped: tuple[Any, ...] = ()  # what `wanted` was made of
        self._set_aside = 0  # how many rows of `withheld` came of that
        self._served: tuple[Any, ...] = ()  # the wish and the orders that needed nothing when last compared
        self._refused_until = 0  # when the last of `refusals` is over

    def join(self, moved: set[int], row: int) -> None:
        """From now on its moves are told there."""
        self.moved, self.row = moved, row

    def _ordered(self) -> None:
        self.moved.add(self.row)

    # --- market ---------------------------------------------------------------------------------------------------

    def see_bar(self, bar: Bar) -> None:
        self.bar, self.seen, self.traded = bar, bar.time, bar.close
        if not self.trades:
            self.volume += bar.volume
        if self.window is not None:
            self.window.bar(bar)
        if not self.carries_marks:
            self.mark = float(bar.close)

    def see_mark(self, mark: Mark) -> None:
        self.mark, self.index, self.seen = mark.price, mark.index, mark.time
        self.beside_mark = self._traded_at(mark.time)
        if self.window is not None:
            self.window.price(mark.time, mark.price)
        if mark.funding_rate is not None:
            self.funding_rate = mark.funding_rate
        if mark.next_funding is not None:
            self.next_funding = mark.next_funding

    # --- position -------------------------------------------------------------------------------------------------

    def held(self, leg: int) -> int:
        """Lots held on a leg."""
        return self.books.short_qty if leg else self.books.long_qty

    def closing(self, leg: int) -> int:
        """Lots of a leg that market orders on their way will close."""
        return sum(order.qty - order.filled for order in self.orders.of(leg, Role.CLOSE))

    def entry(self, leg: int) -> float:
        """Average entry of a leg, float ticks."""
        return self.books.short_entry if leg else self.books.long_entry

    def book(self, fill: Fill) -> None:
        """Put an execution into the books. What closes more than is held waits for the missing opener, and is booked with it."""
        held, opens = self.held(fill.leg), fill.side == entry_side(fill.leg)
        qty = fill.qty if opens else min(fill.qty, held)
        self.books = ledger.fill(self.books, self.unit, fill.leg, fill.side, fill.price, qty, fill.fee)
        if not held:
            self.basis_at_entry[fill.leg], self.funding_cost[fill.leg] = self.basis_bps(), 0.0
        if qty < fill.qty:
            self.owed[fill.leg].append([fill.qty - qty, fill.price])
            self.owed_at[fill.leg] = self.owed_at[fill.leg] or fill.time
        elif opens:
            self._repay(fill.leg, -fill.side, qty)
        if not self.carries_marks:  # a fill is a trade, and trades are all that marks this symbol
            self.mark = float(fill.price)

    def _repay(self, leg: int, side: int, qty: int) -> None:
        """Lots that were just opened were closed before we heard of them."""
        owed = self.owed[leg]
        while owed and qty > 0:
            some, price = min(qty, owed[0][0]), owed[0][1]
            self.books = ledger.fill(self.books, self.unit, leg, side, price, some, 0.0)
            qty, owed[0][0] = qty - some, owed[0][0] - some
            if not owed[0][0]:
                del owed[0]
        self.owed_at[leg] = self.owed_at[leg] if owed else 0

    def forgive(self, leg: int) -> None:
        """What closed more than was held stays unexplained."""
        self.owed[leg].clear()
        self.owed_at[leg] = 0

    def pay_funding(self, leg: int, amount: float, time: int) -> bool:
        """Book a leg's funding once. False where it was booked before: a crash may have come between it and its settlement."""
        if time <= self.paid_at[leg]:
            return False
        self.pay(leg, amount, time)
        return True

    def pay(self, leg: int, amount: float, time: int) -> None:
        """Book funding on a leg."""
        self.paid_at[leg] = time
        self.books = ledger.pay_funding(self.books, amount)
        self.funding_cost[leg] += amount

    def split_funding(self, amount: float) -> tuple[tuple[int, float], ...]:
        """One sum for both legs as (leg, amount): the long pays rate x notional, the short gets it; together exactly the sum."""
        long, short = self.held_usdt(0), self.held_usdt(1)
        if not long or not short:
            return ((1 if short else 0, amount),)
        rate = self.funding_rate if self.funding_rate is not None or long == short else amount / (long - short)
        mine = long * rate if rate is not None else amount
        return ((0, mine), (1, amount - mine))

    def adopt(self, leg: int, qty: int, entry: float) -> None:
        """Take the exchange's quantity of a leg for the truth. What is gone is taken for closed at the mark: a loss stays a loss."""
        self.forgive(leg)
        gone = self.held(leg) - qty
        if gone > 0 and self.mark is not None:
            self.books = self.books._replace(realized=self.books.realized + ledger.gain(gone, self.unit, leg, self.entry(leg), self.mark))
        if leg == Leg.LONG:
            self.books = self.books._replace(long_qty=qty, long_entry=entry)
        else:
            self.books = self.books._replace(short_qty=qty, short_entry=entry)

    def enter_at(self, leg: int, entry: float) -> None:
        """The exchange's average entry of a leg: what the books realized too much or too little by theirs is put right, equity stays."""
        shifted = ledger.gain(self.held(leg), self.unit, leg, self.entry(leg), entry)
        books = self.books._replace(realized=self.books.realized + shifted)
        self.books = books._replace(short_entry=entry) if leg else books._replace(long_entry=entry)

    def net(self) -> float:
        """Realized - fees - funding, USDT."""
        return self.books.realized - self.books.fees - self.books.funding

    def unrealized(self) -> float:
        return ledger.unrealized(self.books, self.unit, self.mark) if self.mark is not None else 0.0

    def basis_bps(self) -> float | None:
        """(mark - index) / index in bps: the index stands for spot (E33)."""
        return None if self.mark is None or not self.index else (self.mark - self.index) / self.index * 10_000

    # --- thought --------------------------------------------------------------------------------------------------

    def think(self, moment: Moment, time: int, equity: float, size_factor: float, fill: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
        """Ask the strategy what should rest now; `fill` = (leg, role, price, qty)."""
        if self.bar is None:
            self.wish.count[0] = 0
        if self.bar is None or self.broken:
            return
        market = Market(
            moment,
            time,
            self.bar.open,
            self.bar.high,
            self.bar.low,
            self.bar.close,
            self.mark if self.mark is not None else math.nan,
            self.funding_rate if self.funding_rate is not None else math.nan,
            self.funding_interval_ms,
            self.next_funding or 0,
            *fill,
            self.books.long_qty,
            self.books.long_entry,
            self.books.short_qty,
            self.books.short_entry,
            self.throttle[0] * size_factor,
            self.throttle[1] * size_factor,
            equity,
        )
        try:
            self.state = self.strategy.step(self.params, self.state, market, self.wish)
        except Exception as error:  # a fence: plugin code
            self.broken, self.halted = True, f"its strategy failed: {type(error).__name__}: {error}"

    def mend(self) -> None:
        """A person wants it to trade again: a strategy that failed learns anew."""
        self.halted = ""
        if self.broken:
            self.broken, self.ready, self.state = False, False, self.strategy.initial(self.params)

    def look_ready(self) -> None:
        """Has the strategy seen enough bars, and what breakers compare with?"""
        warm = self.window is None or self.window.warm
        self.ready = warm and bool(self.strategy.describe(self.params, self.state)["ready"])

    def warmup_bars(self) -> int:
        """Bars from before the start that strategy and breakers learn from."""
        bars: int = self.strategy.warmup_bars(self.params)
        return max(bars, 0 if self.window is None else LONG) + 1

    def keep_window(self, quotes: bool) -> None:
        """Keep rolling figures from now on; until they are complete nothing opens."""
        if self.window is None:
            self.window, self.ready = Window(self.unit, quotes), False

    @property
    def drawdown_line(self) -> float:
        """At which drawdown, in percent, its strategy's own risk_management pauses it; infinite where it never does."""
        risk = getattr(self.settings, "risk_management", None)
        return risk.max_drawdown_pct if risk is not None and risk.enable_drawdown_protection else math.inf

    def guard(self, now: int, drawdown: float) -> bool:
        """The strategy's own risk_management (rows 20, 28): pause openers at its drawdown, or after too many refused orders.

        `drawdown` is a fraction of the session's peak. A drawdown pause ends at 0.8 of its line, so that it does not flicker.
        True where the pause began or ended.
        """
        risk = getattr(self.settings, "risk_management", None)
        if risk is None:
            return False
        why, line = "", risk.max_drawdown_pct * (0.8 if self.guarded.startswith("drawdown") else 1.0)
        if risk.enable_circuit_breaker:
            why = self._errors_pause(now, risk)
        if risk.enable_drawdown_protection and drawdown * 100 >= line:
            why = f"drawdown protection: risk_management.max_drawdown_pct: {risk.max_drawdown_pct:g} % reached"
        changed, self.guarded = why != self.guarded, why
        return changed

    def _errors_pause(self, now: int, risk: Any) -> str:
        if self.errors:
            self.errors = [time for time in self.errors if now - time < ERRORS_MS]
        if len(self.errors) >= risk.max_errors_per_minute:
            self.errors_until = now + risk.circuit_breaker_cooldown_seconds * 1000
        if now >= self.errors_until:
            return ""
        return f"circuit breaker: risk_management.max_errors_per_minute: {risk.max_errors_per_minute} reached"

    def shape(self, holds: tuple[str, str], hands_off: tuple[bool, bool], now: int) -> None:
        """Make `wanted` of the wish: without entries on hold, without rungs that were just refused or would cross the market,
        and without any row of a leg that a flatten has in hand."""
        if self.broken:  # nobody wishes: what rests to close goes on resting
            closers = [order for order in self.orders.open.values() if order.role in (Role.TAKE_PROFIT, Role.STOP)]
            put(self.wish, [(order.leg, order.role, order.price, order.qty - order.filled) for order in closers])
        touch, count = self._touch(), self.wish.count[0]
        given = (holds, hands_off, touch, *(column[:count] for column in self.wish[1:]))
        calm = now >= self._refused_until  # else time alone may change what rests
        if calm and given == self._shaped:
            del self.withheld[self._set_aside :]  # what the gate added
            return
        self._sift(holds, hands_off, touch, now)
        self._shaped, self._set_aside = given if calm else (), len(self.withheld)

    def _sift(self, holds: tuple[str, str], hands_off: tuple[bool, bool], touch: tuple[float, float], now: int) -> None:
        """Every row of the wish goes to `wanted`, to `withheld` with the reason, or away."""
        wish, wanted, kept, (bid, ask) = self.wish, self.wanted, 0, touch
        calm = now >= self._refused_until
        self.withheld.clear()
        for row in range(wish.count[0]):
            leg, role, price = wish.leg[row], wish.role[row], wish.price[row]
            if hands_off[leg]:
                continue
            why = ""
            if role == ENTRY:
                why = holds[leg] or (TAKES if (price <= bid if leg else price >= ask) else "")
            if not why and not calm:
                why = self._refused_before((leg, role, price), now)
            if why:
                self.withheld.append((leg, role, price, wish.qty[row], why))
                continue
            wanted.leg[kept], wanted.role[kept], wanted.price[kept], wanted.qty[kept] = leg, role, price, wish.qty[row]
            kept += 1
        wanted.count[0] = kept

    def _touch(self) -> tuple[float, float]:
        """(bid, ask) that no entry may meet, ticks; without quotes the last trade is both."""
        if self.quote is not None:
            return self.quote.bid, self.quote.ask
        return (-math.inf, math.inf) if self.traded is None else (self.traded, self.traded)

    def freed(self) -> bool:
        """Is there an opener that was withheld because it would take, and would take no more?"""
        bid, ask = self._touch()
        return any(why == TAKES and (price > bid if leg else price < ask) for leg, _, price, _, why in self.withheld)

    def _refused_before(self, rung: tuple[int, int, int], now: int) -> str:
        """Why a rung that was refused may not be tried again yet."""
        refused = self.refusals.get(rung)
        return f"refused by the exchange: {refused.reason}; tried again later" if refused is not None and now < refused.until else ""

    def refused(self, order: Order, reason: str, now: int, heard: bool = True) -> None:
        """The exchange refused this rung: wait before it is tried again, twice as long each time; where it was not even asked, not so."""
        self.refusals = {key: old for key, old in self.refusals.items() if now - old.until < REFUSED_MAX_MS}  # none is kept for ever
        key = (order.leg, order.role, order.price)
        last = self.refusals.get(key)
        wait = min(2 * last.wait_ms, REFUSED_MAX_MS) if last is not None and heard else REFUSED_MS
        self.refusals[key] = Refusal(now + wait, wait, reason)
        self._refused_until = max(self._refused_until, now + wait)

    def compare(self, hands_off: tuple[bool, bool], unsettled: bool = False) -> int:
        """Compare the wish with what rests or is on its way: the number of rows in `plan`.

        `unsettled`: the exchange has not reported since the start. Openers that rest keep their place in the queue until it has.
        """
        orders, wanted, kept = self.orders, self.wanted, self._kept_stops()
        given = (
            orders.open,
            orders.open.changes,
            list(orders.ending),
            (hands_off, unsettled, kept),
            *(column[: wanted.count[0]] for column in wanted[1:]),
        )
        if self._served and given[0] is self._served[0] and given[1:] == self._served[1:]:
            return 0
        self._fill_resting(hands_off, unsettled, kept)
        execution = self.settings.execution
        found = diff.diff(wanted, self.resting, execution.price_tolerance_bps, execution.qty_tolerance_pct, self.plan)
        self._served = () if found else given
        return found

    def _kept_stops(self) -> tuple[bool, bool]:
        """The legs that are held and for which no stop is wanted now (it was just refused, or the strategy forgot it): whatever stop
        rests there stays. Without this an emergency stop and its withdrawal would chase each other for ever."""
        wanted = self.wanted
        stops = {wanted.leg[row] for row in range(wanted.count[0]) if wanted.role[row] == STOP}
        return self.books.long_qty > 0 and 0 not in stops, self.books.short_qty > 0 and 1 not in stops

    def _fill_resting(self, hands_off: tuple[bool, bool], unsettled: bool, kept: tuple[bool, bool]) -> None:
        """The open orders as columns, but for closes and for a leg that a flatten has in hand. What is UNKNOWN there is left alone."""
        columns, self.names, row = self.resting, [], 0
        for name, order in self.orders.open.items():
            if hands_off[order.leg] or order.role == CLOSE or (unsettled and order.role == ENTRY):
                continue
            columns.leg[row], columns.role[row], columns.price[row] = order.leg, order.role, order.price
            columns.remaining[row] = order.qty - order.filled
            hands_off_it = name in self.orders.ending or (order.role == STOP and kept[order.leg])
            columns.state[row] = OrderState.UNKNOWN if hands_off_it else order.state
            self.names.append(name)
            row += 1
        columns.count[0] = row

    # --- exposure -------------------------------------------------------------------------------------------------

    @property
    def tally(self) -> Tally:
        """What the open orders come to, summed up anew only where a sum may have changed."""
        orders = self.orders.open
        if self._tallied[0] is not orders or self._tallied[1] != orders.sums:
            self._tally, self._tallied = tally(orders.values(), self.unit), (orders, orders.sums)
        return self._tally

    def order(self, leg: int, role: int, side: int, price: int, qty: int, now: int) -> Order:
        """Decide a new order."""
        before = self.tally
        made = self.orders.new(leg, role, side, price, qty, now)
        if role == ENTRY:
            self._tally, self._tallied = before.and_entry(leg, qty * price * self.unit), (self.orders.open, self.orders.open.sums)
        return made

    def openers_usdt(self, leg: int) -> float:
        """Notional of every entry resting or in flight on a leg, at its price."""
        return self.tally.openers_usdt[leg]

    def held_usdt(self, leg: int) -> float:
        """Notional of a leg at the mark, USDT."""
        qty = self.held(leg)
        return qty * self.unit * (self.mark if self.mark is not None else self.entry(leg)) if qty else 0.0

    def stop(self, leg: int) -> int | None:
        """Trigger of the leg's resting stop, ticks."""
        return self.tally.stops[leg]

    # --- views ----------------------------------------------------------------------------------------------------

    def dormant(self, now: int) -> bool:
        """Nothing held or ordered, and no data yet or between two windows of it: nothing here can be a risk."""
        return self.idle and (not self.seen or now - self.seen > self.max_gap_ms)

    @property
    def idle(self) -> bool:
        """Nothing held or ordered."""
        return not (self.books.long_qty or self.books.short_qty or self.orders.open)

    def age_ms(self, now: int, cadence_ms: int) -> int | None:
        """Since the last market event, beyond the feed's own cadence; None before the first."""
        return max(0, now - self.seen - cadence_ms) if self.seen else None

    def view(self, now: int, cadence_ms: int) -> InstrumentView:
        """The symbol in plain units, as breakers see it."""
        tick, bar, quote = self.instrument.tick_size, self.bar, self.quote
        last = self._last_price()
        return InstrumentView(
            self.symbol,
            None if self.mark is None else self.mark * tick,
            None if self.index is None else self.index * tick,
            None if last is None else last * tick,
            None if quote is None else quote.bid * tick,
            None if quote is None else quote.ask * tick,
            None if bar is None else bar.high * tick,
            None if bar is None else bar.low * tick,
            None if bar is None else bar.volume * self.instrument.lot_size,
            self.funding_rate,
            self.next_funding,
            self.funding_interval_ms,
            self.age_ms(now, cadence_ms),
            *self._leg_views(),
            None if self.window is None else self.window.view(),
        )

    def _last_price(self) -> float | None:
        """Where the market traded when the mark was told, ticks: later prices say nothing of it. Trades that are the mark are both."""
        return self.beside_mark if self.carries_marks else self.mark

    def _traded_at(self, now: int) -> float | None:
        """The middle of the best prices, which stand until others come, or the close of a newer bar that ended only now; ticks."""
        bar, quote = self.bar, self.quote
        if bar is not None and now - bar.time <= BAR_SPEAKS_MS and (quote is None or quote.time < bar.time):
            return bar.close
        return None if quote is None else (quote.bid + quote.ask) / 2

    def _leg_views(self) -> tuple[LegView, LegView]:
        """Of both legs, made anew only after what they are made of changed: a price says nothing of a leg that holds nothing."""
        books, tally = self.books, self.tally
        basis = (books, tally, self.mark if books.long_qty or books.short_qty else None)
        if basis != self._legs_of:
            self._legs_of, self._legs = basis, (self.leg_view(Leg.LONG), self.leg_view(Leg.SHORT))
        return self._legs

    def leg_view(self, leg: int) -> LegView:
        qty, stop = self.held(leg), self.stop(leg)
        tick = self.instrument.tick_size
        return LegView(
            qty * self.instrument.lot_size,
            self.entry(leg) * tick,
            self.held_usdt(leg),
            ledger.leg_unrealized(self.books, self.unit, leg, self.mark) if qty and self.mark is not None else 0.0,
            self.openers_usdt(leg),
            None if stop is None else stop * tick,
            stop is not None or not qty,
        )

    # --- checkpoint -----------------------------------------------------------------------------------------------

    _PLAIN = ("throttle", "halted", "broken", "guarded", "errors", "errors_until", "funding_cost", "paid_at", "adopted_at",
              "owed", "owed_at", "basis_at_entry", "mark", "beside_mark", "traded", "volume", "trades", "index", "funding_rate",
              "next_funding", "funding_interval_ms", "seen", "ready")  # fmt: skip

    def dump(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        plain = {name: pack(getattr(self, name)) for name in self._PLAIN}
        bar = list(self.bar) if self.bar else None
        quote = list(self.quote) if self.quote else None
        plain["modes"] = [one.row() for one in self.standing]
        refusals = [[*key, *refusal] for key, refusal in self.refusals.items()]
        window = None if self.window is None else self.window.dump()
        return {"books": list(self.books), "orders": self.orders.dump(), "strategy": self.strategy.name, "state": pack(self.state),
                "bar": bar, "quote": quote, "window": window,
                "wish": [list(row) for row in rows(self.wish)], "refusals": refusals, **plain}  # fmt: skip

    def load(self, data: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.books = ledger.Books(*data["books"])
        self.orders.load(data["orders"])
        if data["strategy"] == self.strategy.name:  # another strategy begins anew
            self.state = unpack(self.state, data["state"])
        paused = [LegMode.TAKE_PROFIT_ONLY * was for was in data.get("paused", (0, 0))]  # what a version without modes knew
        long, short = (Standing.of(row) for row in data.get("modes", [[mode] for mode in paused]))
        self.standing = (long, short)
        self.bar = Bar(*data["bar"]) if data["bar"] else None
        self.quote = Quote(*data["quote"]) if data["quote"] else None
        put(self.wish, data["wish"])
        self.refusals = {(leg, role, price): Refusal(*refusal) for leg, role, price, *refusal in data["refusals"]}
        self._refused_until = max((refusal.until for refusal in self.refusals.values()), default=0)
        for name in self._PLAIN:
            value = data.get(name, getattr(self, name))
            setattr(self, name, list(value) if isinstance(value, list) else value)
        if data.get("window"):
            self.window = Window.load(self.unit, data["window"])
        self.ready = self.ready and (self.window is None or self.window.warm)


def rows(wish: Any) -> list[tuple[Any, ...]]:
    """The rungs of a wish as (leg, role, price, qty)."""
    columns: tuple[Array, ...] = (wish.leg, wish.role, wish.price, wish.qty)
    return list(zip(*(column[: wish.count[0]] for column in columns), strict=True))


def put(wish: Any, wished: Sequence[Sequence[int]]) -> None:
    """Overwrite a wish with these rungs: the inverse of `rows`."""
    for row, (leg, role, price, qty) in enumerate(wished):
        wish.leg[row], wish.role[row], wish.price[row], wish.qty[row] = leg, role, price, qty
    wish.count[0] = len(wished)
