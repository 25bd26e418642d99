"""The account and its matching: every symbol's book, legs and money, on the project's own kernel.

Its one law: no fill, fee, entry price or liquidation is computed here. `hedgegridd.kernel` does it; this room gives its rows their
names, remembers them, and tells the owner. It checks no parameters (that is `placing`) and knows no sockets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from exchange_simulator import events
from exchange_simulator.records import Algo, Execution, Ids, Income, Json, Order
from exchange_simulator.symbols import Symbol
from hedgegridd.kernel import book as rest
from hedgegridd.kernel import ledger, matching
from hedgegridd.kernel.book import Model
from hedgegridd.kernel.matching import Kind, Move
from hedgegridd.model import Leg, Role

MODELS = {"touch": Model.TOUCH, "trade_through": Model.THROUGH, "queue": Model.QUEUE}
KNOCKED_OUT, MARKET_UNFILLED, IOC_EXPIRED = 4, 9, 2


class Pit:
    """Where one symbol trades."""

    def __init__(self, symbol: Symbol, model: int, slippage_bps: float, leverage: int) -> None:
        self.symbol, self.leverage, self.margin_type = symbol, leverage, "cross"
        self.terms = rest.new_terms(symbol.instrument._replace(leverage=float(leverage)), model, slippage_bps, 0.1)
        self.book, self.books = rest.new_book(), ledger.new_books()
        self.resting: dict[int, Order] = {}  # by ticket
        self.last = symbol.ticks(symbol.start_price)
        self.changed = {0: 0, 1: 0}  # when each leg last changed
        self.thin: int | None = None  # lots that market orders still find, None = enough
        self.countdown = 0  # when its orders are cancelled, 0 = unarmed

    def held(self, leg: int) -> int:
        return ledger.held(self.books, leg)

    def entry(self, leg: int) -> float:
        return ledger.entry(self.books, leg)

    def unrealized(self, leg: int) -> float:
        """USDT, at the mark."""
        mark = self.book.mark[0]
        return 0.0 if math.isnan(mark) or not self.held(leg) else ledger.leg_unrealized(self.books, self.terms.unit, leg, mark)

    def notional(self, leg: int) -> float:
        return ledger.notional(self.held(leg), self.terms.unit, self.book.mark[0])

    def maint(self) -> float:
        return ledger.maint_margin(self.books, self.terms.unit, self.book.mark[0], self.terms.tiers)

    def set_leverage(self, leverage: int) -> None:
        self.leverage = leverage
        instrument = self.symbol.instrument._replace(leverage=float(leverage))
        self.terms = self.terms._replace(instrument=instrument._replace(brackets=()))


class Venue:
    """One account on one exchange."""

    def __init__(
        self, symbols: dict[str, Symbol], clock: Callable[[], int], emit: Callable[[Json], None],
        balance: float, model: str, slippage_bps: float, leverage: int,
    ) -> None:  # fmt: skip
        self.clock, self.emit = clock, emit
        self.pits = {name: Pit(symbol, MODELS[model], slippage_bps, leverage) for name, symbol in symbols.items()}
        self.start, self.transfers = balance, 0.0
        self.hedge, self.multi_assets = True, False
        self.orders: dict[int, Order] = {}
        self.named: dict[tuple[str, str], list[Order]] = {}  # (symbol, client id) -> its orders, oldest first
        self.algos: dict[int, Algo] = {}
        self._waiting: dict[int, Algo] = {}  # those that are open
        self.executions: list[Execution] = []
        self.income: list[Income] = []
        self.ids = Ids()
        self.child_keeps_client_id = False  # a triggered order carries the conditional order's own client id
        self.triggers_rejected = False  # the matching engine refuses what is triggered (margin)
        self._tape = matching.new_tape()

    # --- the account --------------------------------------------------------------------------------------------------

    @property
    def wallet(self) -> float:
        return ledger.wallet(self.start, self.transfers, sum(ledger.net(pit.books) for pit in self.pits.values()))

    @property
    def unrealized(self) -> float:
        return sum(pit.unrealized(leg) for pit in self.pits.values() for leg in Leg)

    @property
    def maint(self) -> float:
        return sum(pit.maint() for pit in self.pits.values() if pit.held(0) or pit.held(1))

    @property
    def bound(self) -> float:
        """Initial margin of legs and resting openers, USDT."""
        return sum(rest.bound_margin(pit.book, pit.books, pit.terms) for pit in self.pits.values())

    @property
    def available(self) -> float:
        return self.wallet + self.unrealized - self.bound

    def spare(self, pit: Pit) -> float:
        """What the rest of the account lends this symbol before it is liquidated, USDT."""
        others = 0.0
        for other in self.pits.values():
            if other is not pit:
                marked = sum(other.unrealized(leg) for leg in Leg)
                others += ledger.net(other.books) + marked - (other.maint() if other.held(0) or other.held(1) else 0.0)
        return ledger.wallet(self.start, self.transfers, others)

    def span(self, pit: Pit) -> ledger.Span:
        """Prices (ticks) at which the account dies."""
        return ledger.liquidation_span(pit.books, pit.terms.unit, self.spare(pit), pit.terms.tiers)

    def tidy(self, pit: Pit) -> None:
        rest.tidy(pit.books, pit.book, pit.terms, self.spare(pit))

    def open_orders(self, symbol: str = "") -> list[Order]:
        pits: Iterable[Pit] = [self.pits[symbol]] if symbol else self.pits.values()
        return [order for pit in pits for order in pit.resting.values()]

    def open_algos(self, symbol: str = "") -> list[Algo]:
        return [algo for algo in self._waiting.values() if symbol in ("", algo.symbol.name)]

    # --- orders -------------------------------------------------------------------------------------------------------

    def admit(self, order: Order) -> None:
        """Remember an order and tell that it is new."""
        self._remember(order)
        self.emit(events.order_update(order, "NEW", order.time))

    def _remember(self, order: Order) -> None:
        self.orders[order.order_id] = order
        self.named.setdefault((order.symbol.name, order.client_id), []).append(order)

    def rest(self, order: Order, lots: int) -> None:
        """Let an admitted limit order rest for what is left of it."""
        pit = self.pits[order.symbol.name]
        order.ticket = self.ids.next("ticket")
        pit.resting[order.ticket] = order
        role = Role.TAKE_PROFIT if order.closes else Role.ENTRY
        rest.add(pit.book, pit.terms, order.ticket, order.leg, role, order.price, lots, 0, 0)

    def best(self, pit: Pit, side: int) -> int:
        """The best opposite price for a taker of this side, ticks."""
        return int(pit.book.seen[rest.ASK] if side > 0 else pit.book.seen[rest.BID])

    def crosses(self, pit: Pit, side: int, price: int) -> bool:
        best = self.best(pit, side)
        return best > 0 and side * (price - best) >= 0

    def take(self, order: Order) -> None:
        """Fill an admitted order at the market, at once: whole, or as far as a thin market goes, and then it expires."""
        pit, left = self.pits[order.symbol.name], order.qty - order.filled
        if pit.thin is not None and order.type == "MARKET":
            left = min(left, pit.thin)
            pit.thin -= left
            if left == 0:
                self.end(order, "EXPIRED", MARKET_UNFILLED)
                return
        order.ticket = self.ids.next("ticket")
        pit.resting[order.ticket] = order
        if order.closes:
            terms = pit.terms._replace(slippage=0.0) if order.price else pit.terms
            books = matching.close(pit.books, pit.book, terms, self.spare(pit), order.ticket, order.leg, left, self._tape)
        else:
            books = self._open_at_market(pit, order, left)
        self.publish(pit, books)
        if order.is_open:
            self.forget(pit, order)
            self.end(order, "EXPIRED", MARKET_UNFILLED)

    def _open_at_market(self, pit: Pit, order: Order, lots: int) -> ledger.Books:
        """An opener that takes: alone in a book of its own it meets the best price, for a taker's fee."""
        best = self.best(pit, order.side)
        slip = math.ceil(best * pit.terms.slippage - 1e-9) if not order.price else 0
        at = best + order.side * slip
        terms = pit.terms._replace(maker=pit.terms.taker, model=int(Model.TOUCH))
        alone = rest.new_book(1)
        rest.see_quote(alone, best, 0, best, 0)
        rest.see_mark(alone, pit.book.mark[0])
        rest.add(alone, terms, order.ticket, order.leg, Role.ENTRY, at, lots, 0, 0)
        move = matching.trade_move(self.clock(), at, lots, order.side > 0)
        books = matching.match(pit.books, alone, terms, self.spare(pit), move, self._tape)
        for row in range(self._tape.count[0]):
            self._tape.maker[row] = 0
        rest.tidy(books, pit.book, pit.terms, self.spare(pit))
        return books

    def resize(self, order: Order, lots: int) -> None:
        """Change what is left of a resting order."""
        pit = self.pits[order.symbol.name]
        rest.resize(pit.book, pit.terms, rest.row_of(pit.book, order.ticket), lots)
        self.tidy(pit)

    def withdraw(self, order: Order) -> None:
        """Take a resting order out of the book; nothing is told."""
        pit = self.pits[order.symbol.name]
        rest.remove(pit.book, rest.row_of(pit.book, order.ticket))
        self.forget(pit, order)
        self.tidy(pit)

    def forget(self, pit: Pit, order: Order) -> None:
        pit.resting.pop(order.ticket, None)
        order.ticket = 0

    def end(self, order: Order, status: str, expiry: int = 0) -> None:
        """An order is over: CANCELED or EXPIRED."""
        order.status, order.updated = status, self.clock()
        self.emit(events.order_update(order, status, order.updated, expiry=expiry))

    def cancel(self, order: Order) -> None:
        """Withdraw a resting order and say so."""
        self.withdraw(order)
        self.end(order, "CANCELED")

    def sweep(self, pit: Pit) -> None:
        """Withdraw all that rests of a symbol, then say so of each: the book is put in order once, not once for each of hundreds."""
        orders = list(pit.resting.values())
        for order in orders:
            rest.remove(pit.book, rest.row_of(pit.book, order.ticket))
            self.forget(pit, order)
        self.tidy(pit)
        for order in orders:
            self.end(order, "CANCELED")

    # --- the market moves ---------------------------------------------------------------------------------------------

    def move(self, pit: Pit, move: Move, model: int | None = None) -> None:
        """Match what rests against what the market did; `model` other than the venue's for this once."""
        if model is None and rest.quiet(pit.book, move.low, move.high):
            return
        terms = pit.terms if model is None else pit.terms._replace(model=model)
        self.publish(pit, matching.match(pit.books, pit.book, terms, self.spare(pit), move, self._tape))

    def mark_moved(self, pit: Pit) -> None:
        """The mark is another: is the account still alive?"""
        rest.watch(pit.books, pit.book, pit.terms, self.spare(pit))
        if not rest.mark_quiet(pit.book, pit.book.mark[0]):
            move = matching.mark_move(pit.book, self.clock(), pit.book.mark[0])
            self.publish(pit, matching.match_mark(pit.books, pit.book, pit.terms, self.spare(pit), move, self._tape))

    def wipe(self, pit: Pit) -> None:
        """The account died: this symbol is closed at the market."""
        at = int(pit.book.seen[rest.BID]) or 1
        self.publish(pit, matching.liquidate(pit.books, pit.book, pit.terms, at, self._tape), spread=False)
        self.tidy(pit)

    # --- what came of it ----------------------------------------------------------------------------------------------

    def publish(self, pit: Pit, books: ledger.Books, spread: bool = True, forced: str = "autoclose-") -> None:
        """Name the tape's rows, book them one by one, tell them; a liquidation takes the other symbols with it."""
        rows = list(self._rows())
        dead = any(kind == Kind.LIQUIDATION for kind, *_ in rows)
        for kind, ticket, leg, side, price, qty, fee, maker in rows:
            if kind in (Kind.FILL, Kind.LIQUIDATION):
                order = pit.resting[ticket] if ticket else self.forced_order(pit, leg, side, price, qty, forced)
                self._execute(pit, order, leg, side, price, qty, fee, bool(maker))
            else:
                self._gone(pit, pit.resting[ticket], kind)
        if pit.books != books:
            raise AssertionError(f"{pit.symbol.name}: the tape does not tell the books: {pit.books} is not {books}")
        self._bury(pit)
        if dead and spread:
            for other in self.pits.values():
                if other is not pit and (other.held(0) or other.held(1) or other.resting):
                    self.wipe(other)
            self.cover()

    def cover(self) -> None:
        """What a liquidation left below nothing, the insurance fund pays."""
        lack = -self.wallet
        if lack > 0:
            now = self.clock()
            self.transfers += lack
            self.income.append(Income("INSURANCE_CLEAR", "", lack, now, self.ids.next("tran")))
            self.emit(events.account_update("INSURANCE_CLEAR", now, self.wallet, lack, []))

    def _rows(self) -> Iterator[tuple[int, int, int, int, int, int, float, int]]:
        tape = self._tape
        count = tape.count[0]
        tape.count[0] = 0
        for row in range(count):
            yield (
                tape.kind[row], tape.ticket[row], tape.leg[row], tape.side[row], tape.price[row], tape.qty[row], tape.fee[row],
                tape.maker[row],
            )  # fmt: skip

    def forced_order(self, pit: Pit, leg: int, side: int, price: int, qty: int, prefix: str) -> Order:
        """The order by which the exchange itself closes a leg."""
        now = self.clock()
        name = prefix + (str(self.ids.next("tran")) if prefix.endswith("-") else "")
        order = Order(pit.symbol, self.ids.next("order"), name, leg, side, "LIMIT", "IOC", price, qty, now, now)
        self._remember(order)
        return order

    def _execute(self, pit: Pit, order: Order, leg: int, side: int, price: int, qty: int, fee: float, maker: bool) -> None:
        now, before = self.clock(), pit.books
        pit.books = ledger.fill(before, pit.terms.unit, leg, side, price, qty, fee)
        pit.changed[leg] = now
        realized = pit.books.realized - before.realized
        fill = Execution(self.ids.next("trade"), order, leg, side, price, qty, fee, realized, maker, now)
        self.executions.append(fill)
        order.filled += qty
        order.ticks_filled += price * qty
        order.status, order.updated = "FILLED" if order.filled >= order.qty else "PARTIALLY_FILLED", now
        if order.status == "FILLED":
            self.forget(pit, order)
        self._book_income(pit, fill)
        self._tell(pit, fill)

    def _book_income(self, pit: Pit, fill: Execution) -> None:
        name, trade = pit.symbol.name, str(fill.trade_id)
        if fill.order.closes:
            self.income.append(Income("REALIZED_PNL", name, fill.realized, fill.time, self.ids.next("tran"), trade))
        self.income.append(Income("COMMISSION", name, -fill.fee, fill.time, self.ids.next("tran"), trade))

    def _tell(self, pit: Pit, fill: Execution) -> None:
        own = not fill.order.client_id.startswith(("autoclose-", "adl_autoclose"))
        self.emit(events.trade_lite(fill.order, fill))
        self.emit(events.account_update("ORDER", fill.time, self.wallet, 0.0, [self.position(pit, fill.leg)]))
        self.emit(events.order_update(fill.order, "TRADE" if own else "CALCULATED", fill.time, fill))

    def position(self, pit: Pit, leg: int) -> Json:
        """A leg as ACCOUNT_UPDATE tells it."""
        return events.position(pit.symbol, leg, pit.held(leg), pit.entry(leg), pit.unrealized(leg), pit.books.realized)

    def _gone(self, pit: Pit, order: Order, kind: int) -> None:
        self.forget(pit, order)
        if kind == Kind.WIPED:
            self.end(order, "CANCELED")
        else:
            self.end(order, "EXPIRED", KNOCKED_OUT)

    def _bury(self, pit: Pit) -> None:
        """closePosition orders die with their position. One that is being triggered right now is at work."""
        for algo in self.open_algos(pit.symbol.name):
            if algo.close_position and algo.status == "NEW" and pit.held(algo.leg) == 0:
                self.algo_to(algo, "EXPIRED")

    def algo_to(self, algo: Algo, status: str, reason: str = "") -> None:
        """A conditional order moves on, and the owner is told."""
        algo.status, algo.updated, algo.reason = status, self.clock(), reason
        if algo.is_open:
            self._waiting[algo.algo_id] = algo
        else:
            self._waiting.pop(algo.algo_id, None)
        self.emit(events.algo_update(algo, algo.updated))
