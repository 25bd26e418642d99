"""The stage `paper` of a staged return: openers rest on a book of paper and fill there. One law: nothing of it reaches the exchange.

What the strategy would open at the size of the next stage, and the gate would let through, rests here and is matched against the market
by the one matching engine (a price must be traded through). Each rung fills once while it is wished. The positions so made are marked
and shown, so that a person sees what the next stage would have bought before money does; the strategy is not told of them, and no
paper take-profit closes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hedgegridd.heart.desk import ENTRY, TAKES, Desk
from hedgegridd.kernel import book as rest
from hedgegridd.kernel import ledger, matching
from hedgegridd.model import WISH_ROWS, Bar, Leg, Mark, Quote, Trade, entry_side

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine

STAGE = "paper"


class Sheet:
    """The paper book of one symbol."""

    def __init__(self, desk: Desk) -> None:
        self.terms = rest.new_terms(desk.instrument, rest.Model.THROUGH, 0.0, 0.0)
        self.book, self.books = rest.new_book(WISH_ROWS), ledger.new_books()
        self.rungs: dict[int, list[int]] = {}  # ticket -> leg, price, quantity, when it began to rest
        self.done: set[tuple[int, int]] = set()  # (leg, price) filled, and wished still
        self.rested = self.fills = self.ticket = 0
        self.trades = False  # public trades arrive: bars only inform

    def wish(self, wished: set[tuple[int, int]], rungs: dict[tuple[int, int], int], now: int, equity: float) -> None:
        """Of the openers wished, as (leg, price), these should rest now: -> lots."""
        self.done &= wished
        for ticket, (leg, price, qty, _) in list(self.rungs.items()):
            if rungs.get((leg, price)) != qty:
                self._drop(ticket)
        resting = {(leg, price) for leg, price, _, _ in self.rungs.values()}
        for (leg, price), qty in rungs.items():
            if (leg, price) not in resting | self.done and not self._refused(leg, price, qty, equity):
                self._add(leg, price, qty, now)
                self.rested += 1
        rest.tidy(self.books, self.book, self.terms, equity)

    def _refused(self, leg: int, price: int, qty: int, equity: float) -> int:
        return rest.refusal(self.book, self.books, self.terms, leg, ENTRY, entry_side(leg), price, qty, equity)

    def _add(self, leg: int, price: int, qty: int, now: int) -> None:
        self.ticket += 1
        self.rungs[self.ticket] = [int(leg), price, qty, now]
        rest.add(self.book, self.terms, self.ticket, int(leg), ENTRY, price, qty, now, 1)

    def _drop(self, ticket: int) -> None:
        row = rest.row_of(self.book, ticket)
        if row >= 0:
            rest.remove(self.book, row)
        del self.rungs[ticket]

    def take(self, event: Any, tape: matching.Tape, equity: float) -> list[tuple[int, int, int]]:
        """A market event: what it filled, as (leg, price, lots)."""
        if isinstance(event, Mark):
            rest.see_mark(self.book, event.price)
        elif isinstance(event, Quote) and event.bid > 0 and event.ask > 0:
            filled = self._match(matching.quote_move(event.time, event.bid, event.ask), tape, equity)
            rest.see_quote(self.book, event.bid, event.bid_qty, event.ask, event.ask_qty)
            return filled
        elif isinstance(event, Trade):
            self.trades = True
            filled = self._match(matching.trade_move(event.time, event.price, event.qty, event.buyer_is_maker), tape, equity)
            rest.see_price(self.book, event.price, 0)
            return filled
        elif isinstance(event, Bar) and not self.trades:
            begun = event.time - event.interval_ms
            filled = self._match(matching.bar_move(self.terms, begun, event.open, event.low, event.high, event.volume), tape, equity)
            rest.see_price(self.book, event.close, event.volume)
            return filled
        return []

    def _match(self, move: matching.Move, tape: matching.Tape, equity: float) -> list[tuple[int, int, int]]:
        self.books = matching.match(self.books, self.book, self.terms, equity, move, tape)
        filled = []
        for row in range(tape.count[0]):
            if tape.kind[row] == matching.Kind.FILL:
                self.rungs.pop(tape.ticket[row], None)
                self.done.add((tape.leg[row], tape.price[row]))
                filled.append((tape.leg[row], tape.price[row], tape.qty[row]))
        tape.count[0] = 0
        self.fills += len(filled)
        return filled

    def row(self) -> list[Any]:
        """As JSON, for a checkpoint."""
        return [list(self.books), list(self.rungs.values()), sorted(map(list, self.done)), self.rested, self.fills, self.trades,
                list(self.book.seen), self.book.mark[0] if self.book.mark[0] == self.book.mark[0] else None]  # fmt: skip

    def load(self, row: list[Any]) -> None:
        """From a checkpoint."""
        books, rungs, done, self.rested, self.fills, self.trades, seen, mark = row
        self.books, self.done = ledger.Books(*books), {(leg, price) for leg, price in done}
        self.book.seen[:] = seen
        if mark is not None:
            self.book.mark[0] = mark
        for rung in rungs:
            self._add(*rung)


class Rehearsal:
    """The paper books of all symbols; idle but for the stage `paper`."""

    def __init__(self, desks: Iterable[Desk]) -> None:
        self.desks = {desk.symbol: desk for desk in desks}
        self.sheets: dict[str, Sheet] = {}
        self.tape: matching.Tape | None = None

    def begin(self) -> None:
        """The stage begins: empty sheets."""
        self.sheets = {symbol: Sheet(desk) for symbol, desk in self.desks.items()}

    def take(self, engine: Engine, event: Any) -> None:
        """Show the sheets what the market did."""
        sheet = self.sheets.get(getattr(event, "symbol", ""))
        if sheet is None or not isinstance(event, Bar | Mark | Quote | Trade):
            return
        self.tape = self.tape or matching.new_tape()
        for leg, price, qty in sheet.take(event, self.tape, engine.account.equity):
            engine.write("paper_fill", symbol=event.symbol, leg=int(leg), price=price, qty=qty)

    def wish(self, engine: Engine, desk: Desk) -> None:
        """What the gate withholds for the stage alone rests on paper."""
        sheet = self.sheets.get(desk.symbol)
        if sheet is None or engine.gate.patient:
            return
        gate, rungs = engine.gate, {}
        everywhere = gate.hold(rehearsing=True)
        holds = [everywhere or gate.leg_hold(desk, leg) for leg in Leg]
        for leg, role, price, qty, why in desk.withheld:
            if role == ENTRY and why != TAKES and not holds[leg] and not gate.refuse(desk, leg, price, qty):
                rungs[(int(leg), price)] = qty
        wished = {(int(leg), price) for leg, role, price, *_ in desk.withheld if role == ENTRY}
        sheet.wish(wished, rungs, engine.now, engine.account.equity)

    def summary(self) -> dict[str, Any]:
        """What came of it so far, over all symbols; quantities in orders, money in USDT at the mark."""
        pnl = 0.0
        for sheet in self.sheets.values():
            mark = sheet.book.mark[0]
            pnl += ledger.net(sheet.books) + (ledger.unrealized(sheet.books, sheet.terms.unit, mark) if mark == mark else 0.0)
        sheets = self.sheets.values()
        return {"resting": sum(len(one.rungs) for one in sheets), "rested": sum(one.rested for one in sheets),
                "fills": sum(one.fills for one in sheets), "pnl_usdt": pnl}  # fmt: skip

    def dump(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        return {symbol: sheet.row() for symbol, sheet in self.sheets.items()}

    def load(self, data: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.sheets = {symbol: Sheet(self.desks[symbol]) for symbol in data if symbol in self.desks}
        for symbol, sheet in self.sheets.items():
            sheet.load(data[symbol])
