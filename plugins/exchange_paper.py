"""The paper exchange: an account that lives in memory and fills against the market events it is shown.

Its one law: it decides nothing about trading. Every rule (what may rest, what fills, at what price, for what fee, when the account
dies) is in `hedgegridd.kernel.book`, `matching` and `ledger`; here numbers become events with names on them. No sockets, no clock,
no chance: the same calls give the same events, byte for byte.

An order placed while an event is handled meets only later events, and of a bar only one that opened after it was placed. Where
trades of a symbol arrive, its bars only inform. Ids say whose they are: the order's client id, and for an execution also how much
of the order was filled after it. So they need no counter, and a restart can never give one out twice.

With `latency_ms` an order, a stop like any other, begins to rest that much later: it misses the bar that opens just now, and the
trades, quotes and marks until then. Nothing else is late. Whether it may rest and what lies ahead of it is told as it is placed; one
that the market overtakes on its way fills at its own price, where a real one would be refused and posted again at a better. Cancels,
amends and market closes are done at once, which flatters by what happens on their way: a bar shows no price so soon after its open,
so to delay them would expose them to all of it, and `slippage_bps` is there to be set for the way of a close.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hedgegridd import hookimpl
from hedgegridd.errors import ConfigError, Problem
from hedgegridd.kernel import book as rest
from hedgegridd.kernel import ledger, matching
from hedgegridd.kernel.book import Model, Refusal
from hedgegridd.kernel.matching import Kind, Tape
from hedgegridd.model import (
    Accepted,
    Amended,
    Bar,
    Cancelled,
    Fill,
    Funding,
    FundingPaid,
    Held,
    Instrument,
    Leg,
    Mark,
    MarketEvent,
    Order,
    OrderState,
    Quote,
    Rejected,
    Report,
    Role,
    Trade,
    Transfer,
)

FILL_MODELS = {"touch": Model.TOUCH, "trade_through": Model.THROUGH, "queue": Model.QUEUE}
QUEUE_SHARE_PCT = 10.0

UNKNOWN_SYMBOL, NO_SUCH_ORDER, DUPLICATE = -1121, -2013, -4116
WHY_NOT = {
    Refusal.NOT_WHOLE: "price and quantity must be whole positive ticks and lots",
    Refusal.MARGIN: "margin is insufficient",
    Refusal.TRIGGERS_NOW: "order would immediately trigger",
    Refusal.NOTHING_TO_CLOSE: "it would close more than is held",
    Refusal.TOO_MANY: "too many open orders",
    Refusal.TOO_SMALL: "quantity is below the minimum",
    Refusal.TOO_LARGE: "quantity is above the maximum",
    Refusal.WRONG_SIDE: "side and position side do not match the order's purpose",
    Refusal.NO_PRICE: "no market to trade with: no price has been seen yet",
    Refusal.MIN_NOTIONAL: "notional is below the minimum",
    Refusal.NO_POSITION: "a stop needs an open position",
    Refusal.WOULD_TAKE: "post-only order would take",
    UNKNOWN_SYMBOL: "unknown symbol",
    NO_SUCH_ORDER: "no such limit order",
    DUPLICATE: "client order id is in use by an open order",
}
NOT_WITHIN = "immediate or cancel: no more within its price"
WHY_GONE = {
    Kind.STOPPED: "stop filled",
    Kind.LEG_CLOSED: "position closed",
    Kind.KNOCKED_OUT: "reduce-only knocked out",
    Kind.WIPED: "liquidation",
}


class Pit:
    """Where one symbol trades: its book, its money and the orders' names."""

    __slots__ = ("book", "books", "open", "symbol", "terms", "trades")

    def __init__(self, symbol: str, terms: rest.Terms) -> None:
        self.symbol, self.terms = symbol, terms
        self.book, self.books = rest.new_book(), ledger.new_books()
        self.open: dict[int, Order] = {}  # by ticket
        self.trades = False  # public trades arrive: bars only inform

    @property
    def holds(self) -> bool:
        """Is anything held on either leg?"""
        return bool(self.books.long_qty or self.books.short_qty)

    def unrealized(self) -> float:
        """At the mark, USDT; 0 before any price is known, which values a leg at its entry."""
        mark = self.book.mark[0]
        return 0.0 if math.isnan(mark) else ledger.unrealized(self.books, self.terms.unit, mark)

    def excess(self) -> float:
        """What this symbol adds to the account beyond the maintenance margin it needs, USDT."""
        mark = self.book.mark[0]
        need = 0.0 if math.isnan(mark) else ledger.maint_margin(self.books, self.terms.unit, mark, self.terms.tiers)
        return ledger.net(self.books) + self.unrealized() - need


class PaperExchange:
    """The `Exchange` contract on an account in memory; also `transfer`, and `restore` from a `Report`."""

    name = "paper"
    orders_cost_network = False
    why_not, why_gone = WHY_NOT, WHY_GONE

    class Settings:
        """`[exchange.paper]`."""

        starting_balance_usdt: float = 10_000.0
        fill_model: str = "trade_through"  #: touch | trade_through | queue
        slippage_bps: float = 1.0  #: of a taker
        latency_ms: float = 0.0  #: an order begins to rest so much after it was placed
        queue_share_pct: float = QUEUE_SHARE_PCT  #: queue model: of a bar's volume, see `kernel.book.Terms.share`

    def __init__(self) -> None:
        self.emit: Callable[[Any], None] = _nobody
        self.pits: dict[str, Pit] = {}
        self.now = 0  # time of the newest market event
        self.latency_ms = 0
        self.start_usdt = self.transfers = 0.0
        self._ids: dict[str, tuple[Pit, int]] = {}  # client id -> where, ticket
        self._ticket = 0
        self._tape: Tape = matching.new_tape()

    # --- the contract -----------------------------------------------------------------------------------------------

    def start(self, emit: Callable[[Any], None], instruments: dict[str, Instrument], settings: Any) -> None:
        """Open the account. Raises ConfigError for a fill model nobody knows."""
        model = FILL_MODELS.get(settings.fill_model)
        if model is None:
            raise ConfigError([Problem("exchange.paper.fill_model", settings.fill_model, f"one of {', '.join(FILL_MODELS)}")])
        share = getattr(settings, "queue_share_pct", QUEUE_SHARE_PCT) / 100
        self.emit = emit
        self.latency_ms = math.ceil(settings.latency_ms)
        self.start_usdt = float(settings.starting_balance_usdt)
        self.pits = {
            symbol: Pit(symbol, rest.new_terms(instrument, model, settings.slippage_bps, share))
            for symbol, instrument in instruments.items()
        }

    def market(self, event: MarketEvent) -> None:
        """Fill against this event. Costs next to nothing where it reaches no order."""
        act = _ACTS.get(type(event))
        if act is None:
            return
        if event.time > self.now:
            self.now = event.time
        pit = self.pits.get(event.symbol)
        if pit is not None:
            act(self, pit, event)

    def place(self, orders: Sequence[Order]) -> None:
        """Each order is Accepted or Rejected at once; a CLOSE is filled at once as well."""
        room: float | None = None  # margin still free; not asked for unless something opens
        for order in orders:
            if room is None and order.role == Role.ENTRY:
                room = self._room()
            code = self._refusal(order, room or 0.0)
            if code:
                self.emit(Rejected(order.client_id, self.now, int(code), WHY_NOT[code]))
                continue
            self._accept(order)
            if order.role == Role.CLOSE:
                room = None
            elif order.role == Role.ENTRY and room is not None:
                room -= rest.margin(self.pits[order.symbol].terms, order.price, order.qty)

    def amend(self, client_id: str, qty: int) -> None:
        """Whole quantity `qty`; what is no more than filled already ends the order, as the exchange does it."""
        pit, ticket = self._ids.get(client_id, (None, 0))
        order = pit.open[ticket] if pit else None
        if pit is None or order is None or order.role == Role.STOP:
            self.emit(Rejected(client_id, self.now, NO_SUCH_ORDER, WHY_NOT[NO_SUCH_ORDER]))
            return
        if qty <= order.filled:
            self._withdraw(pit, order)
            self._tidy([pit])
            return
        row = rest.row_of(pit.book, ticket)
        code = rest.amend_refusal(pit.book, pit.books, pit.terms, row, qty, qty - order.filled, self._room())
        if code:
            self.emit(Rejected(client_id, self.now, int(code), WHY_NOT[code]))
            return
        rest.resize(pit.book, pit.terms, row, qty - order.filled)
        pit.open[ticket] = order._replace(qty=qty)
        self._tidy([pit])
        self.emit(Amended(client_id, self.now, qty))

    def cancel(self, orders: Sequence[Order]) -> None:
        """Cancelled for each; one that does not rest is "unknown"."""
        touched: dict[str, Pit] = {}
        for order in orders:
            pit, ticket = self._ids.get(order.client_id, (None, 0))
            if pit is None:
                self.emit(Cancelled(order.client_id, self.now, "unknown"))
                continue
            self._withdraw(pit, pit.open[ticket])
            touched[pit.symbol] = pit
        self._tidy(touched.values())

    def report(self, doubted: Sequence[Order] = (), now: int = 0) -> None:
        """Both legs of every symbol, also where they are zero, and every resting order."""
        held = [
            Held(pit.symbol, int(leg), ledger.held(pit.books, leg), ledger.entry(pit.books, leg))
            for pit in self.pits.values()
            for leg in Leg
        ]
        resting = [order for pit in self.pits.values() for order in pit.open.values()]
        self.emit(Report(self.now, self.wallet, tuple(held), tuple(resting)))

    def restore(self, report: Report, seen: Iterable[MarketEvent] = ()) -> None:
        """Take up the account as `report` has it. `seen`: the last market events before it, oldest first; they tell prices and
        fill nothing. Without them nothing can be closed at market before the next event. Only the place in a queue is lost: an order
        keeps the time it was placed at, and what is left of its way."""
        self.now, self.start_usdt, self.transfers = report.time, report.wallet, 0.0
        self._ids.clear()
        self.pits = {symbol: Pit(symbol, pit.terms) for symbol, pit in self.pits.items()}
        for held in report.held:
            if held.symbol in self.pits:
                pit = self.pits[held.symbol]
                pit.books = _holding(pit.books, held)
        for event in seen:
            show = _SHOWS.get(type(event))
            if show is not None and event.symbol in self.pits:
                show(self.pits[event.symbol], event)
        for order in report.orders:
            if order.symbol in self.pits and order.role != Role.CLOSE:
                self._rest(self.pits[order.symbol], order)
        self._tidy(self.pits.values())

    def stop(self) -> None:
        """Nothing to let go of."""

    # --- the account ------------------------------------------------------------------------------------------------

    def transfer(self, amount: float) -> None:
        """Pay in (+) or out (-), USDT."""
        self.transfers += amount
        self._tidy(self.pits.values())
        self.emit(Transfer(self.now, amount))

    @property
    def wallet(self) -> float:
        """USDT on the account with nothing marked to market."""
        return ledger.wallet(self.start_usdt, self.transfers, sum(ledger.net(pit.books) for pit in self.pits.values()))

    @property
    def equity(self) -> float:
        """Wallet plus unrealized, USDT."""
        nets = sum(ledger.net(pit.books) for pit in self.pits.values())
        return ledger.equity(self.start_usdt, self.transfers, nets, sum(pit.unrealized() for pit in self.pits.values()))

    def _room(self) -> float:
        """Equity less all initial margin bound, USDT."""
        return self.equity - sum(rest.bound_margin(pit.book, pit.books, pit.terms) for pit in self.pits.values())

    def _spare(self, pit: Pit) -> float:
        """What the rest of the account lends this symbol before it is liquidated, USDT."""
        others = sum(other.excess() for other in self.pits.values() if other is not pit) if len(self.pits) > 1 else 0.0
        return ledger.wallet(self.start_usdt, self.transfers, others)

    def _tidy(self, pits: Iterable[Pit]) -> None:
        for pit in pits:
            rest.tidy(pit.books, pit.book, pit.terms, self._spare(pit))

    # --- orders -----------------------------------------------------------------------------------------------------

    def _refusal(self, order: Order, room: float) -> int:
        if order.client_id in self._ids:
            return DUPLICATE
        pit = self.pits.get(order.symbol)
        if pit is None:
            return UNKNOWN_SYMBOL
        return rest.refusal(pit.book, pit.books, pit.terms, order.leg, order.role, order.side, order.price, order.qty, room)

    def _accept(self, order: Order) -> None:
        pit = self.pits[order.symbol]
        ticket = self._rest(pit, order._replace(time=self.now, filled=0, order_id=""))
        self.emit(Accepted(order.client_id, pit.open[ticket].order_id, self.now))
        if order.role == Role.CLOSE:
            self._close(pit, ticket, order)

    def _close(self, pit: Pit, ticket: int, order: Order) -> None:
        """At once: the whole at market, or what goes at its price or better; the rest of that ends here."""
        qty = matching.within(pit.book, pit.terms, order.leg, order.price, order.qty) if order.price else order.qty
        if qty:
            self._publish(pit, matching.close(pit.books, pit.book, pit.terms, self._spare(pit), ticket, order.leg, qty, self._tape))
        if qty < order.qty:
            self.emit(Cancelled(self._forget(pit, ticket).client_id, self.now, NOT_WITHIN))

    def _rest(self, pit: Pit, order: Order) -> int:
        """Take an order in under the next ticket; a market order is only named, it never rests."""
        self._ticket += 1
        ticket = self._ticket
        pit.open[ticket] = order._replace(state=OrderState.LIVE, order_id=order.order_id or f"p-{order.client_id}")
        self._ids[order.client_id] = (pit, ticket)
        if order.role != Role.CLOSE:
            left = order.qty - order.filled
            since = order.time + self.latency_ms
            rest.add(pit.book, pit.terms, ticket, order.leg, order.role, order.price, left, since, 1)
        return ticket

    def _withdraw(self, pit: Pit, order: Order) -> None:
        ticket = self._ids[order.client_id][1]
        rest.remove(pit.book, rest.row_of(pit.book, ticket))
        self._forget(pit, ticket)
        self.emit(Cancelled(order.client_id, self.now, "cancelled"))

    def _forget(self, pit: Pit, ticket: int) -> Order:
        order = pit.open.pop(ticket)
        del self._ids[order.client_id]
        return order

    # --- what the market does ---------------------------------------------------------------------------------------

    def _on_bar(self, pit: Pit, bar: Bar) -> None:
        if pit.trades:
            rest.see_volume(pit.book, bar.volume)
            return
        self._watch(pit)
        if not rest.quiet(pit.book, bar.low, bar.high):
            self._match(pit, matching.bar_move(pit.terms, bar.time - bar.interval_ms, bar.open, bar.low, bar.high, bar.volume))
        rest.see_price(pit.book, bar.close, bar.volume)

    def _on_trade(self, pit: Pit, trade: Trade) -> None:
        pit.trades = True
        self._watch(pit)
        if not rest.quiet(pit.book, trade.price, trade.price):
            self._match(pit, matching.trade_move(trade.time, trade.price, trade.qty, trade.buyer_is_maker))
        _see_trade(pit, trade)

    def _on_quote(self, pit: Pit, quote: Quote) -> None:
        if quote.bid < 1 or quote.ask < 1:
            return  # one side of the market is empty: nothing can be told from it
        if not rest.quiet(pit.book, quote.ask, quote.bid):
            self._match(pit, matching.quote_move(quote.time, quote.bid, quote.ask))
        rest.see_quote(pit.book, quote.bid, quote.bid_qty, quote.ask, quote.ask_qty)
        rest.step_up(pit.book, pit.terms, quote.time)

    def _on_mark(self, pit: Pit, mark: Mark) -> None:
        first = not pit.book.seen[rest.MARKED]
        rest.see_mark(pit.book, mark.price)
        if first:
            self._tidy([pit])
        self._watch(pit)
        if not rest.mark_quiet(pit.book, mark.price):
            move = matching.mark_move(pit.book, mark.time, mark.price)
            self._publish(pit, matching.match_mark(pit.books, pit.book, pit.terms, self._spare(pit), move, self._tape))

    def _on_funding(self, pit: Pit, funding: Funding) -> None:
        """Settle at the mark; before any price is known, at the entry."""
        for leg in Leg:
            qty = ledger.held(pit.books, leg)
            if not qty:
                continue
            mark = ledger.entry(pit.books, leg) if math.isnan(pit.book.mark[0]) else pit.book.mark[0]
            amount = ledger.funding_due(qty, pit.terms.unit, mark, funding.rate, leg)
            pit.books = ledger.pay_funding(pit.books, amount)
            self.emit(FundingPaid(pit.symbol, self.now, int(leg), amount))
        self._tidy([pit])

    def _watch(self, pit: Pit) -> None:
        """With several symbols, what the others lost since brings this one's liquidation nearer."""
        if pit.holds and len(self.pits) > 1:
            rest.watch(pit.books, pit.book, pit.terms, self._spare(pit))

    def _match(self, pit: Pit, move: matching.Move) -> None:
        self._publish(pit, matching.match(pit.books, pit.book, pit.terms, self._spare(pit), move, self._tape))

    # --- what came of it --------------------------------------------------------------------------------------------

    def _publish(self, pit: Pit, books: ledger.Books) -> None:
        """Give the tape's rows their names and send them out; a liquidation takes the other symbols with it."""
        pit.books = books
        tape = self._tape
        events = [self._named(pit, row) for row in range(tape.count[0])]
        dead = Kind.LIQUIDATION in tape.kind[: tape.count[0]]
        tape.count[0] = 0
        for event in events:
            self.emit(event)
        if dead:
            for other in self.pits.values():
                if other is not pit and (other.holds or other.open):
                    self._wipe(other)

    def _named(self, pit: Pit, row: int) -> Fill | Cancelled:
        kind, ticket = self._tape.kind[row], self._tape.ticket[row]
        if kind == Kind.FILL:
            return self._filled(pit, ticket, row)
        if kind == Kind.LIQUIDATION:
            return self._liquidated(pit, row)
        return Cancelled(self._forget(pit, ticket).client_id, self.now, WHY_GONE[kind])

    def _filled(self, pit: Pit, ticket: int, row: int) -> Fill:
        tape, order = self._tape, pit.open[ticket]
        order = order._replace(filled=order.filled + tape.qty[row])
        pit.open[ticket] = order
        if order.role != Role.STOP and order.filled >= order.qty:
            self._forget(pit, ticket)
        return self._fill(pit, row, order.client_id, order.order_id, f"{order.order_id}-{order.filled}", "")

    def _liquidated(self, pit: Pit, row: int) -> Fill:
        name = f"autoclose-{pit.symbol}-{'LS'[self._tape.leg[row]]}-{self.now}"
        return self._fill(pit, row, name, f"p-{name}", f"p-{name}-{self._tape.qty[row]}", "liquidation")

    def _fill(self, pit: Pit, row: int, client_id: str, order_id: str, trade_id: str, reason: str) -> Fill:
        tape = self._tape
        leg, side, price, qty = tape.leg[row], tape.side[row], tape.price[row], tape.qty[row]
        return Fill(
            pit.symbol, self.now, leg, side, price, qty, tape.fee[row], bool(tape.maker[row]), client_id, order_id, trade_id, reason
        )

    def _wipe(self, pit: Pit) -> None:
        """The account died elsewhere: this symbol is closed at what is known of its price."""
        entry = max(pit.books.long_entry, pit.books.short_entry)
        at = pit.book.seen[rest.BID] or math.floor(entry if math.isnan(pit.book.mark[0]) else pit.book.mark[0]) or 1
        books = matching.liquidate(pit.books, pit.book, pit.terms, at, self._tape)
        rest.tidy(books, pit.book, pit.terms, self._spare(pit))
        self._publish(pit, books)


def _holding(books: ledger.Books, held: Held) -> ledger.Books:
    """These books with one leg as reported."""
    if held.leg == Leg.LONG:
        return books._replace(long_qty=held.qty, long_entry=held.entry)
    return books._replace(short_qty=held.qty, short_entry=held.entry)


def _show_bar(pit: Pit, bar: Bar) -> None:
    if pit.trades:
        rest.see_volume(pit.book, bar.volume)
    else:
        rest.see_price(pit.book, bar.close, bar.volume)


def _see_trade(pit: Pit, trade: Trade) -> None:
    """Its price; the volume stays the last bar's."""
    pit.trades = True
    rest.see_price(pit.book, trade.price, pit.book.seen[rest.VOLUME])


def _nobody(event: Any) -> None:
    """Where events go before `start`."""


_ACTS: dict[type, Callable[[PaperExchange, Pit, Any], None]] = {
    Bar: PaperExchange._on_bar,
    Trade: PaperExchange._on_trade,
    Quote: PaperExchange._on_quote,
    Mark: PaperExchange._on_mark,
    Funding: PaperExchange._on_funding,
}
_SHOWS: dict[type, Callable[[Pit, Any], None]] = {
    Bar: _show_bar,
    Trade: _see_trade,
    Quote: lambda pit, quote: rest.see_quote(pit.book, quote.bid, quote.bid_qty, quote.ask, quote.ask_qty),
    Mark: lambda pit, mark: rest.see_mark(pit.book, mark.price),
}


@hookimpl
def register_exchanges(register: Callable[[type], None]) -> None:
    register(PaperExchange)
