"""An exchange over a bad network: the paper exchange's matching is the truth, and everything said to it or by it takes time.

One law: it behaves as the contract of an exchange over a network allows, and never better. A request arrives late, not at all, or its
answer is lost; events come late, twice, out of order or never; a report is read in pieces while the market moves, and what executed is
told before it. Everything follows from the clock and the seed.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from hedgegridd.heart.orders import parse
from hedgegridd.kernel import ledger
from hedgegridd.model import (
    BOTH,
    Accepted,
    Amended,
    Cancelled,
    Charged,
    Fill,
    FundingPaid,
    Held,
    Leg,
    Order,
    Rejected,
    Report,
    Role,
    Transfer,
    Trouble,
    Unsure,
    entry_side,
)

RECV_WINDOW_MS = 5_000  # a request that arrives later than this after it was sent is refused
OVERLAP_MS = 60_000  # income is read again from so long before the newest known
LAG_MS = 3_000  # so old a list of orders may be
BANNED, TOO_LATE, IN_THE_WAY, STOP_TAKEN, DUPLICATE, SHORT_OF_MARGIN = -1003, -1021, -2022, -4130, -4116, -2019


class Rates(NamedTuple):
    """How often each thing goes wrong, 0..1."""

    lost_there: float = 0.0  #: a request never arrives
    lost_back: float = 0.0  #: it is done, and its answer is lost
    silent: float = 0.0  #: of what is lost: nothing is said at all, not even that nobody knows
    refused: float = 0.0  #: refused for a reason of the exchange's own
    slow: float = 0.0  #: a request takes seconds to arrive
    unheard: float = 0.0  #: the stream leaves an event out
    twice: float = 0.0  #: an event is told again later
    jumbled: float = 0.0  #: an event comes seconds late, after what followed it
    report_lost: float = 0.0  #: a report is not answered
    report_slow: float = 0.0  #: a report is read over many seconds
    lagging: float = 0.0  #: a list of orders is some seconds old


class Clock:
    """The time of the exchange, and what is due when."""

    def __init__(self, now: int) -> None:
        self.now = now
        self._due: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, ms: float, act: Callable[..., None], *args: Any) -> None:
        """Do this so much later; what is due at one moment is done in the order in which it was asked for."""
        self._count += 1
        heapq.heappush(self._due, (self.now + max(0, int(ms)), self._count, act, args))

    def step(self, until: int) -> bool:
        """Do what is due next. False where that is later than `until`."""
        if not self._due or self._due[0][0] > until:
            self.now = max(self.now, until)
            return False
        self.now, _, act, args = heapq.heappop(self._due)
        act(*args)
        return True


class Reading(NamedTuple):
    """A report that is being read."""

    since: int
    doubted: dict[str, Order]
    orders: dict[str, Order]


class Line:
    """The contract of an exchange over a network. `inner` is the exchange itself, `emit` where the daemon of this life hears it."""

    orders_cost_network = True

    def __init__(self, inner: Any, clock: Clock, rng: random.Random, rates: Rates, strict: bool) -> None:
        self.inner, self.clock, self.rng, self.rates, self.strict = inner, clock, rng, rates, strict
        self.emit: Callable[[Any], None] = lambda event: None
        self.faults: Counter[str] = Counter()
        self.last_fault = 0
        self.life = 0
        self.frozen_until = self.banned_until = 0
        self.deaf = self.deaf_noticed = False
        self.trades: dict[str, list[Fill]] = {}  # every execution, by symbol; the place in the list is the trade's number less one
        self.incomes: list[Any] = []
        self.said: set[Any] = set()  # trades and incomes told in this life
        self.read: dict[str, int] = {}  # symbol -> trades that this life need not tell
        self.income_from = 0
        self.fate: dict[str, str] = {}  # client id -> resting|filled|cancelled
        self.last: dict[str, Order] = {}  # the order as it was last
        self.moved: dict[str, int] = {}  # client id -> when it began or ended
        self.countdowns: dict[str, int] = {}
        self.flying: dict[int, Order] = {}  # orders sent and not arrived, by request
        self.refused_in_the_way: set[tuple[str, int]] = set()
        self.swept: list[str] = []  # foreign orders that we cancelled
        self.requests = 0
        self._captured: list[Any] = []
        self._streamed = 0  # when the last event of the stream is heard
        self._funding = 0.0
        self._doubted: dict[str, Order] = {}
        self._asked, self._reading, self._again, self._owned_up = 0, False, False, False
        inner.emit = self._happened

    # --- faults -------------------------------------------------------------------------------------------------------

    def fault(self, kind: str, ms: float = 0) -> None:
        """Something went wrong, and may have its effect until so much later."""
        self.faults[kind] += 1
        self.last_fault = max(self.last_fault, self.clock.now + int(ms))

    def _chance(self, kind: str) -> bool:
        rate = getattr(self.rates, kind)
        return bool(rate) and self.rng.random() < rate

    def _delay(self) -> int:
        return 15 + min(400, int(self.rng.expovariate(1 / 50)))

    @property
    def answers(self) -> bool:
        """Does the exchange take and answer requests just now?"""
        return self.clock.now >= max(self.frozen_until, self.banned_until)

    def freeze(self, ms: int) -> None:
        """The whole exchange stands still: nothing is taken, nothing is answered, nothing is told."""
        self.frozen_until = max(self.frozen_until, self.clock.now + ms)
        self.fault("freeze", ms)

    def ban(self, ms: int) -> None:
        """It takes no request from us for a while."""
        self.banned_until = max(self.banned_until, self.clock.now + ms)
        self.fault("ban", ms)
        self._say(Trouble(self.clock.now, "ban", "too many requests", "", self.banned_until), 5)

    def deafen(self, ms: int, notice: int) -> None:
        """The stream is gone for so long, and that is noticed so much later."""
        if self.deaf:
            return
        self.deaf = True
        self.fault("deaf", ms)
        self.clock.after(notice, self._notice, self.life)
        self.clock.after(ms, self._hear_again, self.life)

    def _notice(self, life: int) -> None:
        if self.deaf and life == self.life:
            self.deaf_noticed = True
            self._say(Trouble(self.clock.now, "deaf", "the stream is down"), 1)

    def _hear_again(self, life: int) -> None:
        self.deaf = self.deaf_noticed = False
        if life == self.life:
            self._say(Trouble(self.clock.now, "deaf", "the stream was down"), 1)

    def heal(self) -> None:
        """No faults from here on."""
        self.rates, self.deaf, self.deaf_noticed = Rates(), False, False
        self.frozen_until = self.banned_until = min(self.clock.now, max(self.frozen_until, self.banned_until))
        self._say(Trouble(self.clock.now, "deaf", "all is well again"), 1)

    # --- a life of the daemon -----------------------------------------------------------------------------------------

    def begin(self, emit: Callable[[Any], None], last_trade: dict[str, int], income_time: int) -> None:
        """A new life listens: what its journal lacks is told before its first report."""
        self.hang_up()
        self.emit = emit
        older = {name: sum(fill.time < income_time for fill in self.trades.get(name, ())) for name in self.inner.pits}
        self.read = {symbol: last_trade.get(symbol, older[symbol]) for symbol in self.inner.pits}
        self.income_from = (income_time or self.clock.now) - OVERLAP_MS
        self.fault("start", 2_000)

    def hang_up(self) -> None:
        """The listener died: what is on its way to it is lost, what is on its way from it is not."""
        self.life += 1
        self.said.clear()
        self._doubted.clear()
        self._reading = self._again = self._owned_up = self.deaf = self.deaf_noticed = False
        self.emit = lambda event: None

    def _say(self, event: Any, ms: float) -> None:
        self.clock.after(ms, self._deliver, self.life, event)

    def _deliver(self, life: int, event: Any) -> None:
        if life != self.life:
            return
        if self.clock.now < self.frozen_until:
            self.clock.after(self.frozen_until - self.clock.now + self._delay(), self._deliver, life, event)
            return
        self._told(event)
        self.emit(event)

    def _told(self, event: Any) -> None:
        if isinstance(event, Fill):
            self.said.add((event.symbol, event.trade_id))
        elif getattr(event, "income_id", ""):
            self.said.add(event.income_id)

    # --- requests -----------------------------------------------------------------------------------------------------

    def place(self, orders: Sequence[Order]) -> None:
        for order in orders:
            self._send(order, self._place)

    def cancel(self, orders: Sequence[Order]) -> None:
        for order in orders:
            if parse(order.client_id) is None:
                self.swept.append(order.client_id)
                assert (order.symbol, order.leg) in self.refused_in_the_way, f"{order.client_id} is not ours, and was in nobody's way"
            self._send(order, self._cancel)

    def amend(self, client_id: str, qty: int) -> None:
        self._send(self.last.get(client_id) or Order(client_id, "", 0, 0, 0, 0, qty), self._amend, qty)

    def countdown(self, symbols: Sequence[str], ms: int) -> None:
        for symbol in symbols:
            if self.answers:
                self.clock.after(self._delay(), self._wind, symbol, ms)

    def _send(self, order: Order, act: Callable[..., Any], *args: Any) -> None:
        placing, opens = act == self._place, order.role == Role.ENTRY
        if self.clock.now < self.banned_until:
            said = (
                Rejected(order.client_id, self.clock.now, BANNED, "banned")
                if placing
                else Unsure(order.client_id, self.clock.now, "banned")
            )
            self._say(said, 1)
            return
        if placing and self._chance("refused"):
            self._refuse(order, opens)
            return
        if self._chance("lost_there"):
            self.fault("lost_there", 3_000)
            self._lost(order.client_id)
            return
        delay = self._delay()
        if self._chance("slow"):
            delay = self.rng.randint(500, 5_500)
            self.fault("slow", delay)
        self.requests += 1
        if placing:
            self.flying[self.requests] = order
        self.clock.after(delay, self._arrive, self.life, self.requests, self.clock.now, order, act, args)

    def _refuse(self, order: Order, opens: bool) -> None:
        code = self.rng.choice((-5022, -1008, SHORT_OF_MARGIN) if opens else (-1008, -1001))
        self.fault("refused", 1_500)
        if code == SHORT_OF_MARGIN:
            self._say(Trouble(self.clock.now, "slow", "margin is insufficient", "", self.clock.now + self.rng.randint(1_000, 15_000)), 60)
        self._say(Rejected(order.client_id, self.clock.now, code, "refused by the exchange"), self._delay())

    def _lost(self, name: str) -> None:
        """Nobody knows, and somebody may say so."""
        if not self._chance("silent"):
            self._say(Unsure(name, self.clock.now, "no answer"), self.rng.randint(300, 3_000))

    def _arrive(self, life: int, request: int, sent: int, order: Order, act: Callable[..., Any], args: tuple[Any, ...]) -> None:
        now = self.clock.now
        if now < self.frozen_until and self.rng.random() < 0.5 and self.frozen_until - sent < RECV_WINDOW_MS:
            self.clock.after(self.frozen_until - now + 1, self._arrive, life, request, sent, order, act, args)
            return
        self.flying.pop(request, None)
        if now < self.frozen_until:
            if life == self.life:
                self._lost(order.client_id)
            return
        if now - sent > RECV_WINDOW_MS:
            answer: Any = Rejected(order.client_id, now, TOO_LATE, "timestamp outside of the receive window")
        else:
            self._captured = []
            self._tick()
            answer = act(order, *args)
        if life == self.life and answer is not None:
            self._answer(order.client_id, answer)

    def _answer(self, name: str, answer: Any) -> None:
        if self._chance("lost_back"):
            self.fault("lost_back", 3_000)
            self._lost(name)
        else:
            self._say(answer, self._delay())

    def _tick(self) -> None:
        self.inner.now = max(self.inner.now, self.clock.now)

    # --- on the exchange ----------------------------------------------------------------------------------------------

    def _place(self, order: Order) -> Any:
        pit = self.inner.pits[order.symbol]
        own = [one for one in pit.open.values() if one.role == Role.STOP and one.leg == order.leg] if order.role == Role.STOP else []
        if order.client_id in self.inner._ids:
            self.faults["duplicate"] += 1
            return Unsure(order.client_id, self.clock.now, "the id is in use")
        if any(parse(one.client_id) is None for one in own):
            self.fault("stop_taken", 2_000)
            return Rejected(order.client_id, self.clock.now, STOP_TAKEN, "another stop closes this leg")
        if order.role == Role.CLOSE and self.strict and pit.book.closers[order.leg] + order.qty > ledger.held(pit.books, order.leg):
            self.fault("in_the_way", 2_000)
            self.refused_in_the_way.add((order.symbol, order.leg))
            return Rejected(order.client_id, self.clock.now, IN_THE_WAY, "reduce-only order is rejected")
        self.inner.place((order,))
        answer = self._captured[0]
        if isinstance(answer, Rejected):
            self.faults[f"refusal {answer.code}"] += 1
            if order.role == Role.CLOSE and answer.code == IN_THE_WAY:
                self.refused_in_the_way.add((order.symbol, order.leg))
        elif own:
            self._withdraw(own, "replaced")
        return answer

    def _cancel(self, order: Order) -> Any:
        self.inner.cancel((order,))
        if order.client_id in self.fate and isinstance(self._captured[0], Cancelled) and self._captured[0].reason == "unknown":
            return self._end_of(order.client_id)
        return self._captured[0]

    def _amend(self, order: Order, qty: int) -> Any:
        if order.client_id not in self.inner._ids:
            return self._end_of(order.client_id) or Rejected(order.client_id, self.clock.now, -2013, "no such order")
        self.inner.amend(order.client_id, qty)
        return self._captured[0]

    def _end_of(self, name: str) -> Any:
        """What became of an order that rests no more; its fills are told first where they were not."""
        self._tell_fills(parse(name))
        return Cancelled(name, self.clock.now, self.fate[name]) if name in self.fate else None

    def _withdraw(self, orders: Sequence[Order], reason: str) -> None:
        """The exchange takes them off; the stream tells why."""
        heard, self.inner.emit = self.inner.emit, lambda event: self._happened(event._replace(reason=reason))
        self.inner.cancel(orders)
        self.inner.emit = heard

    def _wind(self, symbol: str, ms: int) -> None:
        self.countdowns[symbol] = self.clock.now + ms if ms else 0
        if ms:
            self.clock.after(ms, self._ring, symbol)

    def _ring(self, symbol: str) -> None:
        due = self.countdowns.get(symbol, 0)
        if due and self.clock.now >= due:
            self.countdowns[symbol] = 0
            doomed = [one for one in self.inner.pits[symbol].open.values() if one.role in (Role.ENTRY, Role.TAKE_PROFIT)]
            self.faults["countdown"] += bool(doomed)
            self._tick()
            self._withdraw(doomed, "countdown")

    def market(self, event: Any) -> None:
        """The market moves on the exchange."""
        self._funding = 0.0
        self.inner.market(event)
        if self._funding:
            self._pay(FundingPaid(event.symbol, self.clock.now, BOTH, self._funding, f"funding-{len(self.incomes)}"))

    def transfer(self, amount: float) -> None:
        """Somebody moves money."""
        self._tick()
        self.inner.transfer(amount)
        self._pay(Transfer(self.clock.now, amount, f"transfer-{len(self.incomes)}"))

    def charge(self, symbol: str, amount: float) -> None:
        """The exchange takes money for something else."""
        self.inner.transfers -= amount
        self._pay(Charged(symbol, self.clock.now, amount, "INSURANCE_CLEAR", f"charge-{len(self.incomes)}"))

    def strange_fill(self, symbol: str, leg: int, qty: int, price: int, name: str, reason: str) -> None:
        """Another hand, or the exchange itself, changes a position: lots more, or fewer where negative."""
        pit = self.inner.pits[symbol]
        self._tick()
        side = entry_side(leg) * (1 if qty > 0 else -1)
        pit.books = ledger.fill(pit.books, pit.terms.unit, leg, side, price, abs(qty), 0.1)
        if not ledger.held(pit.books, leg):
            self._withdraw([one for one in pit.open.values() if one.leg == leg and one.role != Role.ENTRY], "position closed")
        self.inner._tidy([pit])
        self._happened(Fill(symbol, self.clock.now, leg, side, price, abs(qty), 0.1, False, name, f"p-{name}", name, reason))

    def _pay(self, event: Any) -> None:
        self.incomes.append(event)
        for _ in range(self.rng.choice((1, 2))):
            self._say(event, self.rng.randint(100, 30_000))

    # --- what happened on the exchange --------------------------------------------------------------------------------

    def _happened(self, event: Any) -> None:
        """Note it in the exchange's own books, and let the stream tell."""
        self._captured.append(event)
        if isinstance(event, FundingPaid):
            self._funding += event.amount
        elif isinstance(event, Fill):
            self._stream(self._executed(event))
        elif isinstance(event, Accepted):
            pit, ticket = self.inner._ids[event.client_id]
            self._note(event.client_id, "resting", pit.open[ticket])
            self._stream(event)
        elif isinstance(event, Amended):
            self.last[event.client_id] = self.last[event.client_id]._replace(qty=event.qty)
            self._stream(event)
        elif isinstance(event, Cancelled) and event.reason != "unknown":
            if event.client_id in self.last:
                self._note(event.client_id, "cancelled", self.last[event.client_id])
            self._stream(event)

    def _note(self, name: str, fate: str, order: Order) -> None:
        self.fate[name], self.last[name], self.moved[name] = fate, order, self.clock.now

    def _executed(self, fill: Fill) -> Fill:
        trades = self.trades.setdefault(fill.symbol, [])
        fill = fill._replace(trade_id=str(len(trades) + 1), time=self.clock.now)
        trades.append(fill)
        order = self.last.get(fill.client_id)
        if order is not None:
            over = fill.client_id not in self.inner._ids
            filled = order._replace(filled=order.filled + fill.qty)
            if over:
                self._note(fill.client_id, "filled", filled)
            else:
                self.last[fill.client_id] = filled
        return fill

    def _stream(self, event: Any) -> None:
        name = getattr(event, "client_id", "")
        if not isinstance(event, Fill) and parse(name) is None:
            return
        if self.deaf:
            self.faults["missed while deaf"] += 1
            return
        if self._chance("unheard"):
            self.fault("unheard", 6_000)
            return
        delay = self._in_line()
        if self._chance("jumbled"):
            delay = self.rng.randint(300, 8_000)
            self.fault("jumbled", delay)
        self._say(event, delay)
        if self._chance("twice"):
            self.faults["twice"] += 1
            self._say(event, delay + self.rng.randint(10, 60_000))

    def _in_line(self) -> int:
        """One stream keeps its order."""
        self._streamed = max(self._streamed, self.clock.now + self._delay())
        return self._streamed - self.clock.now

    # --- reports ------------------------------------------------------------------------------------------------------

    def report(self, doubted: Sequence[Order] = (), now: int = 0) -> None:
        self._doubted.update({order.client_id: order for order in doubted})
        self._asked = max(now, self._asked)
        if self._reading:
            self._again = True
        else:
            self._reading, self._owned_up = True, False
            self.clock.after(1, self._begin_reading, self.life)

    def _begin_reading(self, life: int) -> None:
        if life != self.life:
            return
        self._again = False
        if self._chance("report_lost"):
            self.fault("report_lost", 5_000)
            if self._chance("silent"):
                self._reading = False
                return
            self._fail(life)
            return
        reading = Reading(self._asked, dict(self._doubted), {})
        self.clock.after(self._pause(), self._read_positions, life, reading)

    def _pause(self) -> int:
        if self._chance("report_slow"):
            pause = self.rng.randint(500, 4_000)
            self.fault("report_slow", pause)
            return pause
        return self._delay()

    def _fail(self, life: int) -> None:
        """Try again later, and say once that there is nothing to be read."""
        if not self._owned_up:
            self._say(Trouble(self.clock.now, "deaf", "the account cannot be read"), 1)
            self._owned_up = True
        wait = max(self.frozen_until, self.banned_until) - self.clock.now
        self.clock.after(max(wait, self.rng.randint(250, 4_000)), self._begin_reading, life)

    def _broken(self, life: int) -> bool:
        if life == self.life and not self.answers:
            self._fail(life)
            return True
        return life != self.life

    def _read_positions(self, life: int, reading: Reading) -> None:
        if self._broken(life):
            return
        pits = self.inner.pits.values()
        held = tuple(Held(pit.symbol, int(leg), ledger.held(pit.books, leg), ledger.entry(pit.books, leg)) for pit in pits for leg in Leg)
        self.clock.after(self._pause(), self._read_orders, life, reading, held, (self.clock.now, self.inner.wallet), list(self.inner.pits))

    def _read_orders(self, life: int, reading: Reading, held: Any, money: Any, symbols: list[str]) -> None:
        if self._broken(life):
            return
        symbol, *rest = symbols
        reading.orders.update(self._list_of(symbol))
        if rest:
            self.clock.after(self._pause(), self._read_orders, life, reading, held, money, rest)
        else:
            self.clock.after(self._pause(), self._ask_by_name, life, reading, held, money)

    def _list_of(self, symbol: str) -> dict[str, Order]:
        """The resting orders; where the list lags, as they were some seconds ago."""
        listed = {order.client_id: order for order in self.inner.pits[symbol].open.values()}
        if self._chance("lagging"):
            self.fault("lagging", 4_000)
            before = self.clock.now - self.rng.randint(200, LAG_MS)
            recent = [name for name in reversed(self.moved) if self.moved[name] >= before] if self.moved else []
            for name in recent:
                if self.last[name].symbol == symbol and self.fate[name] == "resting":
                    listed.pop(name, None)
                elif self.last[name].symbol == symbol and self.last[name].role != Role.CLOSE:
                    listed[name] = self.last[name]
        return listed

    def _ask_by_name(self, life: int, reading: Reading, held: Any, money: Any) -> None:
        if self._broken(life):
            return
        absent, over = [], []
        for name in reading.doubted:
            if name in reading.orders:
                continue
            fate = self.fate.get(name, "absent")
            if fate == "resting":
                reading.orders[name] = self.last[name]
            elif fate == "absent":
                absent.append(name)
            else:
                over.append(name)
        self.clock.after(self._pause(), self._tell, life, reading, held, money, tuple(absent), over)

    def _tell(self, life: int, reading: Reading, held: Any, money: Any, absent: tuple[str, ...], over: list[str]) -> None:
        """What was missed, what is over, then the report."""
        if self._broken(life):
            return
        for symbol in self.inner.pits:
            self._tell_missed(symbol)
        for income in self.incomes:
            if income.time >= self.income_from and income.income_id not in self.said:
                self._deliver(life, income)
        for name in over:
            self._deliver(life, Cancelled(name, self.clock.now, self.fate[name]))
        for name in reading.doubted:
            self._doubted.pop(name, None)
        orders = tuple(reading.orders.values())
        self._deliver(life, Report(money[0], money[1], held, orders, reading.since, absent))
        self._reading = False
        if self.deaf_noticed:
            self._say(Trouble(self.clock.now, "deaf", "the stream is down still"), 1)
        if self._again:
            self.report(tuple(self._doubted.values()), self._asked)

    def _tell_missed(self, symbol: str) -> None:
        trades = self.trades.get(symbol, [])
        for fill in trades[self.read.get(symbol, 0) :]:
            if (symbol, fill.trade_id) not in self.said or self._chance("twice"):
                self._deliver(self.life, fill)
        self.read[symbol] = max(self.read.get(symbol, 0), len(trades))

    def _tell_fills(self, rung: Any) -> None:
        if rung is not None and rung.symbol in self.inner.pits:
            self._tell_missed(rung.symbol)
