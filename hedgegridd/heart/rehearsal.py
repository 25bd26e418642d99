"""The stage `paper` of a staged return: what would be opened rests on a book of paper, fills and is closed there. One law: nothing of
it reaches the exchange, nor the live strategy's state or wish.

A second state of the strategy, forked as the stage begins, is told of the paper's own positions and fills and wishes for them: openers
at the size of the next stage, as far as the gate would let them through, take-profits and stops. They are matched against the market by
the one matching engine (a price must be traded through), so that a person sees what the next stage would have made before money does.
Funding is left out. Where the strategy thinks in a host there is one state only: its openers alone are rehearsed, each rung fills once
while it is wished, and what they bought is marked.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from hedgegridd.heart.desk import ENTRY, STOP, TAKES, Desk, pack, put, rows, unpack
from hedgegridd.heart.remote import RemoteDesk
from hedgegridd.kernel import book as rest
from hedgegridd.kernel import ledger, matching
from hedgegridd.model import WISH_ROWS, Bar, Leg, Mark, Moment, Quote, Role, Trade, entry_side, new_wish

if TYPE_CHECKING:
    from hedgegridd.heart.engine import Engine

STAGE = "paper"

Rung = tuple[int, int, int]  #: leg, role, price


class PaperFill(NamedTuple):
    """An execution on paper. `rung`: the order's own price."""

    leg: int
    role: int
    rung: int
    price: int
    qty: int


class Sheet:
    """The paper book of one symbol."""

    def __init__(self, desk: Desk) -> None:
        self.terms = rest.new_terms(desk.instrument, rest.Model.THROUGH, 0.0, 0.0)
        self.book, self.books = rest.new_book(2 * WISH_ROWS), ledger.new_books()
        self.rungs: dict[int, list[int]] = {}  # ticket -> leg, role, price, quantity, when it began to rest
        self.done: set[Rung] = set()  # filled, and wished still: of a strategy that is not told
        self.rested = self.fills = self.closed = self.ticket = 0
        self.trades = False  # public trades arrive: bars only inform
        self.wish = new_wish()
        self.state = None if isinstance(desk, RemoteDesk) else copied(desk, desk.state)
        self.broken = False

    @property
    def thinks(self) -> bool:
        """Does the strategy wish for the paper's own positions?"""
        return self.state is not None and not self.broken

    def think(self, desk: Desk, moment: Moment, now: int, equity: float, factor: float, fill: PaperFill | None = None) -> None:
        """Ask the strategy what should rest here: a desk that has the live one's market, and this state, wish and position."""
        if not self.thinks:
            return
        other = copy.copy(desk)
        other.state, other.wish, other.books, other.broken = self.state, self.wish, self.books, False
        other.think(moment, now, equity, factor, (0, 0, 0, 0) if fill is None else (fill.leg, fill.role, fill.rung, fill.qty))
        self.state, self.broken = other.state, other.broken

    # --- what rests -------------------------------------------------------------------------------------------------

    def rest(self, wished: set[Rung], rungs: dict[Rung, int], now: int, equity: float, tape: matching.Tape) -> list[PaperFill]:
        """Of what is wished, these should rest now: -> lots. What fills at once: a leg whose stop the market has passed already."""
        self.done &= wished
        for ticket, (leg, role, price, qty, _) in list(self.rungs.items()):
            asked = rungs.get((leg, role, price))
            if asked is None or (asked != qty and role != STOP):  # a stop closes its leg, whatever that holds
                self._drop(ticket)
        rest.tidy(self.books, self.book, self.terms, equity)
        resting, filled = {(leg, role, price) for leg, role, price, _, _ in self.rungs.values()}, list[PaperFill]()
        for rung, qty in rungs.items():
            if rung in resting | self.done:
                continue
            leg, role, price = rung
            side = entry_side(leg) if role == ENTRY else -entry_side(leg)
            code = rest.refusal(self.book, self.books, self.terms, leg, role, side, price, qty, equity)
            if not code:
                self._add(leg, role, price, qty, now)
                self.rested += role == ENTRY
            elif code == rest.Refusal.TRIGGERS_NOW and self.book.seen[rest.BID]:
                filled += self._close(leg, equity, tape)
        rest.tidy(self.books, self.book, self.terms, equity)
        return filled

    def _add(self, leg: int, role: int, price: int, qty: int, now: int) -> None:
        self.ticket += 1
        self.rungs[self.ticket] = [int(leg), int(role), price, qty, now]
        rest.add(self.book, self.terms, self.ticket, int(leg), int(role), price, qty, now, 1)

    def _drop(self, ticket: int) -> None:
        row = rest.row_of(self.book, ticket)
        if row >= 0:
            rest.remove(self.book, row)
        del self.rungs[ticket]

    def _close(self, leg: int, equity: float, tape: matching.Tape) -> list[PaperFill]:
        held = ledger.held(self.books, leg)
        self.books = matching.close(self.books, self.book, self.terms, equity, 0, leg, held, tape)
        return self._read(tape)

    # --- what the market does ---------------------------------------------------------------------------------------

    def take(self, event: Any, tape: matching.Tape, equity: float) -> list[PaperFill]:
        """A market event: what it filled."""
        book, terms, filled = self.book, self.terms, list[PaperFill]()
        if isinstance(event, Mark):
            rest.see_mark(book, event.price)
            if not rest.mark_quiet(book, event.price):
                move = matching.mark_move(book, event.time, event.price)
                self.books = matching.match_mark(self.books, book, terms, equity, move, tape)
                filled = self._read(tape)
        elif isinstance(event, Quote) and event.bid > 0 and event.ask > 0:
            filled = self._match(matching.quote_move(event.time, event.bid, event.ask), tape, equity)
            rest.see_quote(book, event.bid, event.bid_qty, event.ask, event.ask_qty)
        elif isinstance(event, Trade):
            self.trades = True
            filled = self._match(matching.trade_move(event.time, event.price, event.qty, event.buyer_is_maker), tape, equity)
            rest.see_price(book, event.price, 0)
        elif isinstance(event, Bar) and not self.trades:
            begun = event.time - event.interval_ms
            filled = self._match(matching.bar_move(terms, begun, event.open, event.low, event.high, event.volume), tape, equity)
            rest.see_price(book, event.close, event.volume)
        return filled

    def _match(self, move: matching.Move, tape: matching.Tape, equity: float) -> list[PaperFill]:
        self.books = matching.match(self.books, self.book, self.terms, equity, move, tape)
        return self._read(tape)

    def _read(self, tape: matching.Tape) -> list[PaperFill]:
        """What the tape says was executed; what rests no more is struck off."""
        filled = []
        for row in range(tape.count[0]):
            if tape.kind[row] in (matching.Kind.FILL, matching.Kind.LIQUIDATION):
                _, role, rung, *_ = self.rungs.get(tape.ticket[row], (0, int(Role.CLOSE), 0))
                filled.append(PaperFill(tape.leg[row], role, rung, tape.price[row], tape.qty[row]))
        tape.count[0] = 0
        left = {self.book.ticket[row]: self.book.remaining[row] for row in range(self.book.count[0])}
        self.rungs = {ticket: [*rung[:3], left[ticket], rung[4]] for ticket, rung in self.rungs.items() if ticket in left}
        self.done |= set() if self.thinks else {(one.leg, one.role, one.rung) for one in filled}
        self.fills += len(filled)
        self.closed += sum(one.role != ENTRY for one in filled)
        return filled

    # --- checkpoint -------------------------------------------------------------------------------------------------

    def row(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        mark = self.book.mark[0]
        return {
            "books": list(self.books),
            "rungs": list(self.rungs.values()),
            "done": sorted(map(list, self.done)),
            **{key: getattr(self, key) for key in _COUNTED},
            "seen": list(self.book.seen),
            "mark": mark if mark == mark else None,
            "state": pack(self.state),
            "wish": [list(one) for one in rows(self.wish)],
        }

    def load(self, row: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.books, self.done = ledger.Books(*row["books"]), {(leg, role, price) for leg, role, price in row["done"]}
        for key in _COUNTED:
            setattr(self, key, row[key])
        self.book.seen[:] = row["seen"]
        if row["mark"] is not None:
            self.book.mark[0] = row["mark"]
        if self.state is not None:
            self.state = unpack(self.state, row["state"])
        put(self.wish, row["wish"])
        for rung in row["rungs"]:
            self._add(*rung)


_COUNTED = ("rested", "fills", "closed", "trades", "broken")


def copied(desk: Desk, state: Any) -> Any:
    """A state that shares nothing with the one it is made of."""
    return unpack(desk.state, pack(state))


class Rehearsal:
    """The paper books of all symbols; idle but for the stage `paper`."""

    def __init__(self, desks: Iterable[Desk]) -> None:
        self.desks = {desk.symbol: desk for desk in desks}
        self.sheets: dict[str, Sheet] = {}
        self.tape = matching.new_tape(0)

    def begin(self) -> None:
        """The stage begins: empty sheets."""
        self.sheets = {symbol: Sheet(desk) for symbol, desk in self.desks.items()}

    def take(self, engine: Engine, event: Any) -> None:
        """Show the sheets what the market did."""
        sheet = self.sheets.get(getattr(event, "symbol", ""))
        if sheet is None or not isinstance(event, Bar | Mark | Quote | Trade):
            return
        desk = self.desks[event.symbol]
        if self._heard(engine, desk, sheet.take(event, self._tape(), engine.account.equity)):
            self.wish(engine, desk)

    def _tape(self) -> matching.Tape:
        if not self.tape.kind:  # few daemons ever rehearse
            self.tape = matching.new_tape()
        return self.tape

    def _heard(self, engine: Engine, desk: Desk, filled: list[PaperFill]) -> bool:
        """Journal what filled on paper, and tell the strategy's second state. Was there anything?"""
        for fill in filled:
            engine.write("paper_fill", symbol=desk.symbol, leg=int(fill.leg), role=int(fill.role), price=fill.price, qty=fill.qty)
            self._think(engine, desk, Moment.FILL, fill)
        return bool(filled)

    def think(self, engine: Engine, desk: Desk, moment: Moment) -> None:
        """The strategy was asked about its market: its second state is asked as well. What really filled is none of its business."""
        if moment != Moment.FILL:
            self._think(engine, desk, moment)

    def _think(self, engine: Engine, desk: Desk, moment: Moment, fill: PaperFill | None = None) -> None:
        if desk.symbol in self.sheets:
            factor = engine.recovery.wished_factor * engine.panel.size_factor
            self.sheets[desk.symbol].think(desk, moment, engine.now, engine.account.equity, factor, fill)

    def wish(self, engine: Engine, desk: Desk) -> None:
        """What is wished rests on paper: closers, and of the openers those that the gate withholds for the stage alone."""
        sheet = self.sheets.get(desk.symbol)
        if sheet is None or engine.gate.patient:
            return
        for _ in Leg:  # a leg whose stop the market has passed is closed at once, and wished for anew
            wished, rungs = self._rungs(engine, desk, sheet)
            if not self._heard(engine, desk, sheet.rest(wished, rungs, engine.now, engine.account.equity, self._tape())):
                return

    def _rungs(self, engine: Engine, desk: Desk, sheet: Sheet) -> tuple[set[Rung], dict[Rung, int]]:
        """All that is wished, and what of it may rest: -> lots."""
        gate = engine.gate
        everywhere = gate.hold(rehearsing=True)
        holds = [everywhere or gate.leg_hold(desk, leg) for leg in Leg]
        if sheet.thinks:
            asked, takes = rows(sheet.wish), set[Rung]()
        else:
            asked = [(leg, role, price, qty) for leg, role, price, qty, _ in desk.withheld if role == ENTRY]
            takes = {(leg, role, price) for leg, role, price, _, why in desk.withheld if why == TAKES}
        wished = {(int(leg), int(role), price) for leg, role, price, _ in asked}
        may = [row for row in asked if row[1] != ENTRY or not (holds[row[0]] or row[:3] in takes or gate.refuse(desk, row[0], *row[2:]))]
        return wished, {(int(leg), int(role), price): qty for leg, role, price, qty in may}

    def summary(self) -> dict[str, Any]:
        """What came of it so far, over all symbols; quantities in orders, money in USDT: realised and fees, and all of it at the mark."""
        sheets, unrealized = self.sheets.values(), 0.0
        for sheet in sheets:
            mark = sheet.book.mark[0]
            unrealized += ledger.unrealized(sheet.books, sheet.terms.unit, mark) if mark == mark else 0.0
        net = sum(ledger.net(sheet.books) for sheet in sheets)
        counts = {key: sum(getattr(one, key) for one in sheets) for key in ("rested", "fills", "closed")}
        openers = sum(rung[1] == ENTRY for one in sheets for rung in one.rungs.values())
        return {"resting": openers, **counts, "realized_pnl_usdt": net, "pnl_usdt": net + unrealized}

    def dump(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        return {symbol: sheet.row() for symbol, sheet in self.sheets.items()}

    def load(self, data: dict[str, Any]) -> None:
        """From a checkpoint; a sheet of another version, or of another strategy's state, begins anew."""
        self.sheets = {}
        for symbol in [symbol for symbol in self.desks if symbol in data]:
            self.sheets[symbol] = Sheet(self.desks[symbol])
            try:
                self.sheets[symbol].load(data[symbol])
            except (KeyError, TypeError, ValueError):
                self.sheets[symbol] = Sheet(self.desks[symbol])
